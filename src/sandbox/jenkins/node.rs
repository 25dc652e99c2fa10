//! A node as it is configured: what `doCreateItem` and `config.xml` say of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use russh::keys::PublicKey;
use serde_json::Value;

use super::page::escaped;
use super::xml;

/// The class of an agent that is launched over ssh.
const SSH_LAUNCHER: &str = "hudson.plugins.sshslaves.SSHLauncher";
/// The class of an agent that connects by itself.
const INBOUND_LAUNCHER: &str = "hudson.slaves.JNLPLauncher";
/// Launchers that Jenkins knows and that have no machine to connect to here.
const OTHER_LAUNCHERS: [&str; 2] =
    ["hudson.slaves.CommandLauncher", "hudson.os.windows.ManagedWindowsServiceLauncher"];
/// The package of the strategies that check a host key.
const VERIFIERS: &str = "hudson.plugins.sshslaves.verifiers";
/// The most executors of one node.
const MOST_EXECUTORS: u32 = 100;

/// A node's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) executors: u32,
    pub(super) root: Option<String>,
    /// In the order in which they were written.
    pub(super) labels: Vec<String>,
    /// Only jobs whose expression fits run here.
    pub(super) exclusive: bool,
    pub(super) launcher: Launcher,
}

/// How an agent comes online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Launcher {
    /// Jenkins connects to the machine.
    Ssh(Ssh),
    /// The machine connects to Jenkins.
    Inbound {
        /// Over a WebSocket.
        web_socket: bool,
    },
    /// In a way that is not served here.
    Other(&'static str),
}

/// Where and how Jenkins connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ssh {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: String,
    pub(super) verification: Verification,
    pub(super) launch_timeout_seconds: u32,
    pub(super) retries: u32,
    pub(super) retry_seconds: u32,
}

/// How the machine's host key is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    /// Not at all.
    None,
    /// It must be this one.
    Provided(Box<PublicKey>),
}

/// Why a node is not taken: an exception inside Jenkins, which the client sees as status 500.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

impl Node {
    /// Reads the `json` of a form. Nothing in it is required.
    pub(super) fn from_form(name: &str, json: &Value) -> Result<Node, Unreadable> {
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
        Ok(Node {
            name: name.to_owned(),
            description: text("nodeDescription").to_owned(),
            executors: executors(number(json.get("numExecutors"))?)?,
            root: Some(text("remoteFS")).filter(|root| !root.is_empty()).map(str::to_owned),
            labels: words(text("labelString")),
            exclusive: exclusive(text("mode"))?,
            launcher: json.get("launcher").map_or(Ok(Launcher::Inbound { web_socket: false }), launcher)?,
        })
    }

    /// This with what a `config.xml` says. The name stays.
    pub(super) fn with_xml(&self, text: &str) -> Result<Node, Unreadable> {
        xml::read(text, |slave| {
            let text = |key: &str| xml::child(slave, key);
            let root = text("remoteFS").filter(|root| !root.is_empty());
            let launcher = match xml::element(slave, "launcher") {
                Some(launcher) => launcher_of_xml(launcher)?,
                None => self.launcher.clone(),
            };
            Ok(Node {
                name: self.name.clone(),
                description: text("description").unwrap_or_default(),
                executors: executors(number(text("numExecutors").map(Value::from).as_ref())?)?,
                root,
                labels: words(&text("label").unwrap_or_default()),
                exclusive: exclusive(&text("mode").unwrap_or_default())?,
                launcher,
            })
        })
        .unwrap_or(Err(Unreadable("no XML")))
    }

    /// The `config.xml`.
    pub(super) fn to_xml(&self) -> String {
        let mut text = String::from("<?xml version=\"1.1\" encoding=\"UTF-8\"?>\n<slave>\n");
        let mut line = |key: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  <{key}>{}</{key}>", escaped(value));
        };
        line("name", &self.name);
        line("description", &self.description);
        line("remoteFS", self.root.as_deref().unwrap_or_default());
        line("numExecutors", &self.executors.to_string());
        line("mode", if self.exclusive { "EXCLUSIVE" } else { "NORMAL" });
        text.push_str("  <retentionStrategy class=\"hudson.slaves.RetentionStrategy$Always\"/>\n");
        text.push_str(&launcher_to_xml(&self.launcher));
        let _ = writeln!(text, "  <label>{}</label>", escaped(&self.labels.join(" ")));
        text.push_str("  <nodeProperties/>\n</slave>");
        text
    }

    /// All its labels: its own name is one of them.
    pub(super) fn all_labels(&self) -> BTreeSet<String> {
        self.labels.iter().chain([&self.name]).cloned().collect()
    }
}

/// The reason why a name cannot be taken, in Jenkins' words.
pub(super) fn unsafe_name(name: &str) -> Option<String> {
    let char = name.chars().find(|char| char.is_control() || "?*/\\%!@#$^&|<>[]:;".contains(*char))?;
    Some(format!("{char}  is an unsafe character"))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A number that may be written as a text, if there is one.
fn number(value: Option<&Value>) -> Result<Option<u32>, Unreadable> {
    let number = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number.map(Some).ok_or(Unreadable("number"))
}

fn executors(number: Option<u32>) -> Result<u32, Unreadable> {
    let number = number.unwrap_or(1);
    if number <= MOST_EXECUTORS { Ok(number) } else { Err(Unreadable("numExecutors")) }
}

fn exclusive(mode: &str) -> Result<bool, Unreadable> {
    match mode {
        "" | "NORMAL" => Ok(false),
        "EXCLUSIVE" => Ok(true),
        _ => Err(Unreadable("mode")),
    }
}

fn class(object: &Value) -> &str {
    let named = object.get("$class").or_else(|| object.get("stapler-class"));
    named.and_then(Value::as_str).unwrap_or_default()
}

fn launcher(json: &Value) -> Result<Launcher, Unreadable> {
    let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |key: &str, usual: u32| number(json.get(key)).ok().flatten().unwrap_or(usual);
    match class(json) {
        SSH_LAUNCHER => Ok(Launcher::Ssh(Ssh {
            host: text("host"),
            port: u16::try_from(count("port", 22)).map_err(|_| Unreadable("port"))?,
            credentials: text("credentialsId"),
            verification: match json.get("sshHostKeyVerificationStrategy") {
                Some(strategy) => verification(class(strategy), strategy.get("key").and_then(Value::as_str))?,
                None => Verification::None,
            },
            launch_timeout_seconds: count("launchTimeoutSeconds", 60),
            retries: count("maxNumRetries", 10),
            retry_seconds: count("retryWaitTime", 15),
        })),
        INBOUND_LAUNCHER => {
            let web_socket = json.get("webSocket").and_then(Value::as_bool).unwrap_or(false);
            Ok(Launcher::Inbound { web_socket })
        }
        other => other_launcher(other),
    }
}

fn other_launcher(class: &str) -> Result<Launcher, Unreadable> {
    let known = OTHER_LAUNCHERS.iter().find(|known| **known == class);
    known.map(|known| Launcher::Other(known)).ok_or(Unreadable("launcher"))
}

fn verification(class: &str, key: Option<&str>) -> Result<Verification, Unreadable> {
    match class.rsplit_once('.') {
        Some((VERIFIERS, "ManuallyProvidedKeyVerificationStrategy")) => {
            // The plugin refuses a line that is no key when the form is submitted.
            let key = key.and_then(|line| PublicKey::from_openssh(line.trim()).ok());
            key.map(|key| Verification::Provided(Box::new(key))).ok_or(Unreadable("key"))
        }
        Some((
            VERIFIERS,
            "NonVerifyingKeyVerificationStrategy"
            | "KnownHostsFileKeyVerificationStrategy"
            | "ManuallyTrustedKeyVerificationStrategy",
        )) => Ok(Verification::None),
        _ => Err(Unreadable("sshHostKeyVerificationStrategy")),
    }
}

fn launcher_of_xml(launcher: roxmltree::Node<'_, '_>) -> Result<Launcher, Unreadable> {
    let text = |key: &str| xml::child(launcher, key);
    let count = |key: &str, usual: u32| text(key).and_then(|number| number.parse().ok()).unwrap_or(usual);
    match launcher.attribute("class").unwrap_or_default() {
        SSH_LAUNCHER => Ok(Launcher::Ssh(Ssh {
            host: text("host").unwrap_or_default(),
            port: u16::try_from(count("port", 22)).map_err(|_| Unreadable("port"))?,
            credentials: text("credentialsId").unwrap_or_default(),
            verification: match xml::element(launcher, "sshHostKeyVerificationStrategy") {
                Some(strategy) => {
                    // As the plugin keeps a key: its algorithm, and the rest in base64.
                    let key = xml::element(strategy, "key").and_then(|key| {
                        Some(format!("{} {}", xml::child(key, "algorithm")?, xml::child(key, "key")?))
                    });
                    verification(strategy.attribute("class").unwrap_or_default(), key.as_deref())?
                }
                None => Verification::None,
            },
            launch_timeout_seconds: count("launchTimeoutSeconds", 60),
            retries: count("maxNumRetries", 10),
            retry_seconds: count("retryWaitTime", 15),
        })),
        INBOUND_LAUNCHER => {
            Ok(Launcher::Inbound { web_socket: text("webSocket").is_some_and(|value| value == "true") })
        }
        other => other_launcher(other),
    }
}

fn launcher_to_xml(launcher: &Launcher) -> String {
    match launcher {
        Launcher::Ssh(ssh) => {
            let verification = match &ssh.verification {
                Verification::None => format!(
                    "    <sshHostKeyVerificationStrategy class=\"{VERIFIERS}.NonVerifyingKeyVerificationStrategy\"/>\n"
                ),
                Verification::Provided(key) => {
                    let line = key.to_openssh().unwrap_or_default();
                    let mut words = line.split_whitespace();
                    format!(
                        "    <sshHostKeyVerificationStrategy class=\"{VERIFIERS}.ManuallyProvidedKeyVerificationStrategy\">\n      \
                         <key>\n        <algorithm>{}</algorithm>\n        <key>{}</key>\n      </key>\n    \
                         </sshHostKeyVerificationStrategy>\n",
                        words.next().unwrap_or_default(),
                        words.next().unwrap_or_default(),
                    )
                }
            };
            format!(
                "  <launcher class=\"{SSH_LAUNCHER}\" plugin=\"ssh-slaves@1.32.0\">\n    <host>{}</host>\n    <port>{}</port>\n    \
                 <credentialsId>{}</credentialsId>\n    <launchTimeoutSeconds>{}</launchTimeoutSeconds>\n    \
                 <maxNumRetries>{}</maxNumRetries>\n    <retryWaitTime>{}</retryWaitTime>\n{verification}    \
                 <tcpNoDelay>true</tcpNoDelay>\n  </launcher>\n",
                escaped(&ssh.host),
                ssh.port,
                escaped(&ssh.credentials),
                ssh.launch_timeout_seconds,
                ssh.retries,
                ssh.retry_seconds,
            )
        }
        Launcher::Inbound { web_socket } => format!(
            "  <launcher class=\"{INBOUND_LAUNCHER}\">\n    <webSocket>{web_socket}</webSocket>\n  </launcher>\n"
        ),
        Launcher::Other(class) => format!("  <launcher class=\"{class}\"/>\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn whole() -> Value {
        json!({"numExecutors": "1", "remoteFS": "/d", "labelString": " a  b ", "mode": "EXCLUSIVE",
            "nodeDescription": "one & only", "launcher": {"stapler-class": SSH_LAUNCHER, "host": "10.0.0.1", "port": "2222",
            "credentialsId": "pool", "sshHostKeyVerificationStrategy": {
                "$class": format!("{VERIFIERS}.ManuallyProvidedKeyVerificationStrategy"), "key": KEY}}})
    }

    #[test]
    fn nothing_in_the_form_is_required() {
        let node = Node::from_form("n1", &json!({})).unwrap();
        assert_eq!((node.executors, node.exclusive, node.root), (1, false, None));
        assert_eq!(node.launcher, Launcher::Inbound { web_socket: false });
        assert_eq!(node.labels, Vec::<String>::new());
    }

    #[test]
    fn a_node_is_the_same_after_its_config_xml() {
        let node = Node::from_form("n1", &whole()).unwrap();
        assert_eq!(node.labels, ["a", "b"]);
        assert!(matches!(&node.launcher, Launcher::Ssh(ssh) if ssh.port == 2222));
        assert_eq!(node.with_xml(&node.to_xml()).unwrap(), node);
        let moved = node.to_xml().replace("<label>a b</label>", "<label>c</label>");
        assert_eq!(node.with_xml(&moved).unwrap().labels, ["c"]);
        assert!(node.with_xml("no xml").is_err());
    }

    #[test]
    fn what_jenkins_fails_on_is_refused() {
        let refused = |change: Value| {
            let mut form = whole();
            form.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            Node::from_form("n1", &form).unwrap_err().0
        };
        assert_eq!(refused(json!({"mode": "exclusive"})), "mode");
        assert_eq!(refused(json!({"launcher": {"$class": "no.Plugin"}})), "launcher");
        assert_eq!(refused(json!({"numExecutors": "many"})), "number");
        assert_eq!(refused(json!({"numExecutors": 1000})), "numExecutors");
        assert_eq!(unsafe_name("a/b").as_deref(), Some("/  is an unsafe character"));
        assert_eq!(unsafe_name("debian-1.local_2"), None);
    }
}
