//! `nodepool ssh`: a shell on a node, with the right user and key, believing the recorded host key and no other.

use super::reach::{self, Door};
use super::{Failure, Session};
use crate::config::Config;

/// Which node.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Number of the node
    #[arg(value_name = "ID", value_parser = super::number)]
    pub id: i64,
    /// Also when a job has it
    #[arg(long)]
    pub used: bool,
    /// A command to run there in place of a shell
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
}

/// A call of the system's ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its arguments. `%KNOWN_HOSTS%` stands for the path of a file with [`Self::known_hosts`].
    pub arguments: Vec<String>,
    /// The host keys to believe; `None`: the configuration says to believe whoever answers.
    pub known_hosts: Option<String>,
}

/// What stands for the file with the host keys.
pub const KNOWN_HOSTS: &str = "%KNOWN_HOSTS%";

/// How to call ssh.
///
/// # Errors
/// There is no such node, a job has it, or there is no way in.
pub async fn call(session: &Session, config: &Config, arguments: &Arguments) -> Result<Call, Failure> {
    let node = reach::one(session, arguments.id, arguments.used).await?;
    let door = reach::door(config, &node).map_err(|why| {
        Failure::refused(
            format!("there is no way into {}: {why}", node.title()),
            "`nodepool history ID` shows how far it got, `nodepool why ID` what it waits for",
        )
    })?;
    Ok(written(&door, &format!("nodepool-{}", node.id), &arguments.command))
}

fn written(door: &Door, alias: &str, command: &[String]) -> Call {
    let mut arguments: Vec<String> = ["-i".to_owned(), door.private_key.display().to_string()].into();
    let mut option = |text: String| arguments.extend(["-o".to_owned(), text]);
    option(format!("Port={}", door.port));
    option(format!("User={}", door.user));
    option("IdentitiesOnly=yes".to_owned());
    // The address may have been another node's yesterday: the key on record is known by the name of this one.
    option(format!("HostKeyAlias={alias}"));
    option("GlobalKnownHostsFile=/dev/null".to_owned());
    option("UpdateHostKeys=no".to_owned());
    if let Some(key) = &door.host_key {
        option(format!("UserKnownHostsFile={KNOWN_HOSTS}"));
        option("StrictHostKeyChecking=yes".to_owned());
        let kind = key.0.split_once(' ').map_or("", |(kind, _)| kind);
        if let Some(kinds) = algorithms(kind) {
            option(format!("HostKeyAlgorithms={kinds}"));
        }
    } else {
        option("UserKnownHostsFile=/dev/null".to_owned());
        option("StrictHostKeyChecking=no".to_owned());
    }
    arguments.extend(["--".to_owned(), door.address.to_string()]);
    arguments.extend(command.iter().cloned());
    let known_hosts = door.host_key.as_ref().map(|key| format!("{alias} {key}\n"));
    Call { arguments, known_hosts }
}

/// The signatures that go with a kind of key, so that a machine with several keys shows the one on record.
fn algorithms(kind: &str) -> Option<&str> {
    match kind {
        "" => None,
        "ssh-rsa" => Some("rsa-sha2-512,rsa-sha2-256"),
        kind => Some(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostKey;

    #[test]
    fn only_the_recorded_key_is_believed() {
        let door = Door {
            address: "2001:db8::7".parse().unwrap(),
            port: 2222,
            user: "jenkins".to_owned(),
            private_key: "/keys/id".into(),
            host_key: Some(HostKey("ssh-rsa AAAA".to_owned())),
        };
        let call = written(&door, "nodepool-7", &["uname".to_owned(), "-a".to_owned()]);
        let line = call.arguments.join(" ");
        for part in [
            "-i /keys/id",
            "Port=2222",
            "User=jenkins",
            "StrictHostKeyChecking=yes",
            "HostKeyAlgorithms=rsa-sha2-512,rsa-sha2-256",
            "UserKnownHostsFile=%KNOWN_HOSTS%",
            "-- 2001:db8::7 uname -a",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert_eq!(call.known_hosts.as_deref(), Some("nodepool-7 ssh-rsa AAAA\n"));
        let careless = written(&Door { host_key: None, ..door }, "nodepool-7", &[]);
        assert_eq!(careless.known_hosts, None);
        assert!(careless.arguments.join(" ").contains("StrictHostKeyChecking=no"));
    }
}
