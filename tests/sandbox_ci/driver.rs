//! Starts a sandbox with a Jenkins, boots machines in its cloud, and makes agents of them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);
/// What the user of the Jenkins logs in with.
pub(crate) const USER: &str = "admin";
pub(crate) const TOKEN: &str = "token-of-the-test";
pub(crate) const PASSWORD: &str = "password-of-the-test";

/// A running sandbox.
pub(crate) struct Ci {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
    url: String,
    pub(crate) jenkins: String,
    pub(crate) zmq: Option<String>,
    pub(crate) gearman: Option<String>,
    ssh_port: u16,
    pub(crate) client: reqwest::Client,
    token: String,
}

/// A machine of the cloud.
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) host_key: String,
}

/// An answer of the Jenkins.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Ci {
    pub(crate) async fn start(flags: &[&str]) -> Ci {
        static STARTED: AtomicU8 = AtomicU8::new(0);
        let number = 30 + STARTED.fetch_add(1, Ordering::Relaxed) % 60;
        let first_address = format!("127.{number}.{}.1", std::process::id() % 250);
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().await;
        assert!(made.expect("ssh-keygen is missing: apt-get install openssh-client").success());
        let ssh_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nodepool-sandbox"))
            .args(["--port", "0", "--ssh-port", &ssh_port.to_string(), "--first-address", &first_address])
            .args(["--boot-time", "0.1", "--delete-time", "0.1", "--password", "secret"])
            .args(["--jenkins", "127.0.0.1:0", "--jenkins-token", TOKEN, "--jenkins-password", PASSWORD])
            .args(["--jenkins-key", &format!("given:root:{}", key.display())])
            .args(["--fault", "jenkins.launch-seconds=0", "--fault", "jenkins.finish-seconds=0"])
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).await.unwrap();
        let url = ready.trim().strip_prefix("nodepool-sandbox is ready on ");
        let url = url.expect("see its standard error").to_owned();
        let builder = reqwest::Client::builder().no_proxy().timeout(DEADLINE);
        let client = builder.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let told: Value = client.get(format!("{url}/sandbox")).send().await.unwrap().json().await.unwrap();
        let text = |key: &str| told["jenkins"][key].as_str().map(str::to_owned);
        let (jenkins, zmq, gearman) = (text("url").unwrap(), text("zmq"), text("gearman"));
        let token = String::new();
        let mut ci = Ci { child, folder, url, jenkins, zmq, gearman, ssh_port, client, token };
        ci.log_in().await;
        ci
    }

    async fn log_in(&mut self) {
        let user = json!({"name": "sandbox", "domain": {"name": "Default"}, "password": "secret"});
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
        let url = format!("{}/identity/v3/auth/tokens", self.url);
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        self.token = answer.headers()["x-subject-token"].to_str().unwrap().into();
        let key = std::fs::read_to_string(self.folder.path().join("key.pub")).unwrap();
        let pair = json!({"keypair": {"name": "key", "public_key": key.trim()}});
        self.cloud("POST", "/compute/v2.1/os-keypairs", Some(&pair)).await;
    }

    /// An address of the sandbox itself.
    pub(crate) fn sandbox(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The private key that opens every machine for root.
    pub(crate) fn private_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("key")).unwrap()
    }

    async fn cloud(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = request.header("x-auth-token", &self.token);
        let request = request.header("x-openstack-nova-api-version", "2.53");
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Changes the faults that are in force.
    pub(crate) async fn faults(&self, changes: &Value) {
        self.cloud("PATCH", "/sandbox/faults", Some(changes)).await;
    }

    /// Restarts the Jenkins.
    pub(crate) async fn restart(&self) {
        self.cloud("POST", "/sandbox/jenkins/restart", None).await;
    }

    /// Boots a machine that answers ssh.
    pub(crate) async fn machine(&self, name: &str) -> Machine {
        let images = self.cloud("GET", "/image/v2/images", None).await;
        let server = json!({"name": name, "imageRef": images["images"][0]["id"], "flavorRef": "1",
            "networks": "auto", "key_name": "key"});
        let made = self.cloud("POST", "/compute/v2.1/servers", Some(&json!({ "server": server }))).await;
        let id = made["server"]["id"].as_str().unwrap().to_owned();
        let path = format!("/compute/v2.1/servers/{id}");
        let said = wait_for("the machine speaks on its console", async || {
            let action = json!({"os-getConsoleOutput": {}});
            let server = self.cloud("GET", &path, None).await;
            if server["server"]["status"] != "ACTIVE" {
                return None;
            }
            let said = self.cloud("POST", &format!("{path}/action"), Some(&action)).await;
            let said = said["output"].as_str()?.to_owned();
            let address = server["server"]["addresses"]["private"][0]["addr"].as_str()?.to_owned();
            said.contains("END SSH HOST KEY KEYS").then_some((said, address))
        })
        .await;
        let line = said.0.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap();
        let host_key = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let address = said.1;
        wait_for("ssh answers", async || {
            tokio::net::TcpStream::connect((address.as_str(), self.ssh_port)).await.ok()
        })
        .await;
        Machine { id, address, host_key }
    }

    /// Deletes a machine.
    pub(crate) async fn delete_machine(&self, machine: &Machine) {
        self.cloud("DELETE", &format!("/compute/v2.1/servers/{}", machine.id), None).await;
    }

    /// The launcher of an agent on a machine.
    pub(crate) fn launcher(&self, machine: &Machine, credentials: &str, host_key: &str) -> Value {
        let strategy = "hudson.plugins.sshslaves.verifiers.ManuallyProvidedKeyVerificationStrategy";
        json!({"$class": "hudson.plugins.sshslaves.SSHLauncher", "host": machine.address, "port": self.ssh_port.to_string(),
            "credentialsId": credentials, "maxNumRetries": 2, "retryWaitTime": 1,
            "sshHostKeyVerificationStrategy": {"$class": strategy, "key": host_key}})
    }

    /// Makes an agent.
    pub(crate) async fn create_agent(&self, name: &str, labels: &str, launcher: &Value) -> Reply {
        let agent = json!({"numExecutors": "1", "remoteFS": "/root/ci", "labelString": labels, "mode": "EXCLUSIVE",
            "nodeDescription": "made by a test", "launcher": launcher,
            "retentionStrategy": {"$class": "hudson.slaves.RetentionStrategy$Always"}});
        let json = agent.to_string();
        let form = [("name", name), ("type", "hudson.slaves.DumbSlave"), ("json", &json)];
        self.post("computer/doCreateItem", &form).await
    }

    /// A machine with an agent that came online.
    pub(crate) async fn agent(&self, name: &str, labels: &str) -> Machine {
        let machine = self.machine(name).await;
        let launcher = self.launcher(&machine, "given", &machine.host_key);
        assert_eq!(self.create_agent(name, labels, &launcher).await.status, 302);
        // A job that waited for it may be over, and have set it offline, before anybody looks.
        let came = |computer: &Value| computer["offline"] == false || computer["temporarilyOffline"] == true;
        self.wait_for_computer(name, "is or was online", came).await;
        machine
    }

    /// Waits until an agent is as wanted, and gives what is shown of it.
    pub(crate) async fn wait_for_computer(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(&format!("{name} {what}"), async || {
            let shown = self.try_get(&format!("computer/{name}/api/json?depth=1")).await?;
            wanted(&shown).then_some(shown)
        })
        .await
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.jenkins));
        request.basic_auth(USER, Some(TOKEN))
    }

    async fn try_get(&self, path: &str) -> Option<Value> {
        let answer = self.request("GET", path).send().await.ok()?;
        answer.json().await.ok()
    }

    /// A document that is there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.try_get(path).await.unwrap_or_else(|| panic!("{path} is no document"))
    }

    /// A text, or whatever is answered.
    pub(crate) async fn read(&self, path: &str) -> Reply {
        reply(self.request("GET", path).send().await.unwrap()).await
    }

    /// Posts a form with the API token.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        reply(self.request("POST", path).form(form).send().await.unwrap()).await
    }

    /// Posts an XML document with the API token.
    pub(crate) async fn post_xml(&self, path: &str, text: &str) -> Reply {
        let request = self.request("POST", path).header("content-type", "application/xml");
        reply(request.body(text.to_owned()).send().await.unwrap()).await
    }

    /// Makes a job that runs a script on a label.
    pub(crate) async fn job(&self, name: &str, label: &str, script: &str) {
        let text = format!(
            "<project><assignedNode>{label}</assignedNode><canRoam>false</canRoam><builders><hudson.tasks.Shell>\
             <command>{script}</command></hudson.tasks.Shell></builders></project>"
        );
        assert_eq!(self.post_xml(&format!("createItem?name={name}"), &text).await.status, 200);
    }

    /// Has a job built at once.
    pub(crate) async fn build(&self, job: &str) {
        let answer = self.post(&format!("job/{job}/build?delay=0sec"), &[]).await;
        assert_eq!(answer.status, 201);
        assert!(answer.header("location").contains("/queue/item/"));
    }

    /// Waits until a build is as wanted.
    pub(crate) async fn wait_for_build(
        &self,
        job: &str,
        number: u64,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(&format!("build {job} {number}"), async || {
            let build = self.try_get(&format!("job/{job}/{number}/api/json")).await?;
            wanted(&build).then_some(build)
        })
        .await
    }

    /// Runs a program of the Python environment with python-jenkins and pyzmq.
    pub(crate) fn python(script: &str) -> Command {
        let python = python();
        assert!(
            python.exists(),
            "python-jenkins is missing: python3 -m venv target/test-tools/python-jenkins && \
             target/test-tools/python-jenkins/bin/pip install python-jenkins pyzmq"
        );
        let mut command = Command::new(python);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox_ci").join(script);
        command
            .arg("-u")
            .arg(script)
            .kill_on_drop(true)
            .env_remove("PYTHONPATH")
            .env("NO_PROXY", "127.0.0.1");
        command
    }
}

fn python() -> PathBuf {
    std::env::var_os("NODEPOOL_TEST_PYTHON_JENKINS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/python-jenkins/bin/python"),
        PathBuf::from,
    )
}

impl Drop for Ci {
    fn drop(&mut self) {
        // Only a sandbox that ends by itself takes its servers' processes and gearmand along.
        if let Some(pid) = self.child.id() {
            let _ = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
            while matches!(self.child.try_wait(), Ok(None)) {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

async fn reply(answer: reqwest::Response) -> Reply {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Reply { status, headers, text: answer.text().await.unwrap() }
}

/// Looks again and again until something is there.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
