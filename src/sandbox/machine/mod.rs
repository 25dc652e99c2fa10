//! One server as a machine: its file tree, its processes, its host key.
//!
//! The processes of a server live in namespaces that bubblewrap makes: uid 0 in a user namespace, process ids and
//! host name of its own, the tree as `/`. The first command starts a small first process that holds them; every
//! command enters them with nsenter, so that one command sees and can signal what another one started. A server
//! that was never asked to run anything has no process. When the first process is killed, the kernel ends all.

mod commands;
mod place;
mod tools;

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::PublicKey;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

pub(crate) use place::Place;

use super::addresses::Held;

/// How long the first process of a server may take to start, and to end.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// The most that is read of a file in a server's tree.
const FILE_LIMIT: u64 = 1 << 20;
/// The search path of a login, Debian's with the sandbox's own commands in front.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A server's machine.
#[derive(Debug)]
pub(crate) struct Machine {
    place: Arc<Place>,
    folder: PathBuf,
    host_name: String,
    address: Ipv4Addr,
    held: Mutex<Vec<Held>>,
    first: tokio::sync::Mutex<Option<First>>,
    /// Held while the tree is copied, so that it is not removed meanwhile.
    copying: Arc<tokio::sync::Mutex<()>>,
    /// Set when the server is deleted: its listener closes and its connections are cut.
    pub(crate) gone: CancellationToken,
}

/// The process that holds a server's namespaces.
#[derive(Debug)]
struct First {
    child: Child,
    /// Its process id inside bubblewrap's namespaces, as seen from here.
    pid: u32,
}

/// Who a command runs as.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) home: String,
    pub(crate) shell: String,
}

impl Machine {
    /// A machine without a tree yet. Its first address is the one that it calls its own.
    pub(crate) fn new(place: Arc<Place>, id: &str, name: &str, held: Vec<Held>) -> Self {
        Machine {
            folder: place.server_folder(id),
            place,
            host_name: host_name(name),
            address: held.first().map_or(Ipv4Addr::LOCALHOST, Held::address),
            held: Mutex::new(held),
            first: tokio::sync::Mutex::new(None),
            copying: Arc::default(),
            gone: CancellationToken::new(),
        }
    }

    /// The ssh port's sockets, once.
    pub(crate) fn take_held(&self) -> Vec<Held> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The name that `hostname` says inside.
    pub(crate) fn host_name(&self) -> &str {
        &self.host_name
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Makes the tree from an image's, with this server's names and keys.
    pub(crate) async fn prepare(
        &self,
        image: &Path,
        host_key: &PublicKey,
        key: Option<&str>,
    ) -> io::Result<()> {
        let tree = self.tree();
        tokio::fs::create_dir_all(&tree).await?;
        let host_key = host_key.to_openssh().map_err(io::Error::other)?;
        let address = self.address.to_string();
        let mut arguments =
            vec![self.host_name.clone(), address, host_key, key.unwrap_or_default().to_string()];
        arguments.extend(self.place.users.iter().cloned());
        let folders = [(image.to_path_buf(), "/image"), (tree, "/tree")];
        self.copy(folders, tools::PREPARE_SCRIPT, arguments).await
    }

    /// Copies the tree into an image's folder.
    pub(crate) async fn snapshot(&self, image: &Path) -> io::Result<()> {
        tokio::fs::create_dir_all(image).await?;
        let folders = [(self.folder.clone(), "/server"), (image.to_path_buf(), "/image")];
        self.copy(folders, tools::SNAPSHOT_SCRIPT, Vec::new()).await
    }

    /// Runs to its end also when nobody waits for it any more.
    async fn copy(
        &self,
        folders: [(PathBuf, &'static str); 2],
        script: &'static str,
        arguments: Vec<String>,
    ) -> io::Result<()> {
        let (place, copying) = (Arc::clone(&self.place), Arc::clone(&self.copying).lock_owned().await);
        let copied = tokio::spawn(async move {
            let folders = folders.each_ref().map(|(outside, inside)| (outside.as_path(), *inside));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let copied = place.tools.run(&folders, script, &arguments).await;
            drop(copying);
            copied
        });
        copied.await.map_err(io::Error::other)?
    }

    /// The user's line in the tree's own /etc/passwd, if there is one with a home.
    pub(crate) async fn login(&self, user: &str) -> Option<Login> {
        let passwd = self.read("/etc/passwd").await?;
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, _, _, _, home, shell] = fields.as_slice() else { return None };
            let shell = if shell.is_empty() { "/bin/sh" } else { shell };
            let right = *name == user && home.starts_with('/');
            right.then(|| Login { user: user.into(), home: (*home).into(), shell: shell.into() })
        })
    }

    /// Whether the key stands in the user's authorized_keys.
    pub(crate) async fn accepts(&self, login: &Login, offered: &PublicKey) -> bool {
        let file = self.read(&format!("{}/.ssh/authorized_keys", login.home)).await;
        let Some(file) = file else { return false };
        file.lines().filter_map(authorized_key).any(|key| key.key_data() == offered.key_data())
    }

    /// Reads a file of the tree. Links are not followed: they could lead out of it.
    async fn read(&self, path: &str) -> Option<String> {
        let mut at = self.tree();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if part == ".." {
                return None;
            }
            at.push(part);
            if tokio::fs::symlink_metadata(&at).await.ok()?.is_symlink() {
                return None;
            }
        }
        let mut text = String::new();
        let file = tokio::fs::File::open(&at).await.ok()?;
        file.take(FILE_LIMIT).read_to_string(&mut text).await.ok()?;
        Some(text)
    }

    /// A command of this login's shell, ready to be spawned: `shell -c TEXT`, or the shell as for a login.
    /// With a terminal it runs under `script`, which makes one.
    pub(crate) async fn shell(
        &self,
        login: &Login,
        text: Option<&str>,
        terminal: Option<&Terminal>,
        variables: &[(String, String)],
    ) -> io::Result<Command> {
        let pid = self.first_process().await?;
        let mut command = self.place.tools.entering(pid, &login.home);
        // The variables are arguments of env, inside: the programs on the way there must not see them.
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.args([
            format!("HOME={}", login.home),
            format!("USER={}", login.user),
            format!("LOGNAME={}", login.user),
            format!("SHELL={}", login.shell),
            format!("PATH={SEARCH_PATH}"),
            // Root's tar would give files to owners that this namespace does not have.
            "TAR_OPTIONS=--no-same-owner".into(),
        ]);
        match (text, terminal) {
            (Some(text), None) => command.args([login.shell.as_str(), "-c", text]),
            (None, None) => command.args([login.shell.as_str(), "-l"]),
            (text, Some(terminal)) => command.args(terminal.words(text)),
        };
        Ok(command)
    }

    /// The process to enter. Starts it when there is none.
    async fn first_process(&self) -> io::Result<u32> {
        let mut first = self.first.lock().await;
        if self.gone.is_cancelled() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(running) = first.as_mut()
            && running.child.try_wait()?.is_none()
        {
            return Ok(running.pid);
        }
        let started = tokio::time::timeout(START_DEADLINE, self.start()).await;
        let started = started.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let pid = started.pid;
        *first = Some(started);
        Ok(pid)
    }

    async fn start(&self) -> io::Result<First> {
        let mut command = self.place.tools.server_box();
        // bubblewrap says on its standard output which process it made; that process says when all is in place.
        command.args(["--new-session", "--info-fd", "1", "--hostname", &self.host_name]);
        command.args(self.place.mounts(&self.tree())).args(["--chdir", "/"]);
        command.args(["--", "/bin/sh", "-c", "echo ready >&2; exec sleep infinity"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut said = String::new();
        if let Some(output) = child.stdout.take() {
            output.take(FILE_LIMIT).read_to_string(&mut said).await?;
        }
        let mut line = String::new();
        if let Some(errors) = child.stderr.take() {
            BufReader::new(errors.take(FILE_LIMIT)).read_line(&mut line).await?;
        }
        if line.trim() != "ready" {
            return Err(io::Error::other(format!("bubblewrap: {}", line.trim())));
        }
        let made: Made = serde_json::from_str(&said).map_err(io::Error::other)?;
        Ok(First { child, pid: made.child_pid })
    }

    /// Ends all processes, as a power switch does.
    pub(crate) async fn stop(&self) {
        let mut first = self.first.lock().await;
        if let Some(mut running) = first.take() {
            // With its first process the kernel ends every other of the namespace; bubblewrap waits for that.
            let killed = self.place.tools.kill(running.pid).await;
            let ended = tokio::time::timeout(START_DEADLINE, running.child.wait()).await;
            if killed.is_err() || !matches!(ended, Ok(Ok(_))) {
                tracing::warn!(host = self.host_name, "the server's first process did not end");
            }
        }
    }

    /// Ends the machine for good: no address, no process, no file.
    pub(crate) async fn destroy(&self) {
        self.gone.cancel();
        drop(self.take_held());
        self.stop().await;
        let copying = self.copying.lock().await;
        let (place, folder) = (Arc::clone(&self.place), self.folder.clone());
        let removed = tokio::task::spawn_blocking(move || place.remove_tree(&folder)).await;
        drop(copying);
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, host = self.host_name, "the server's files could not be removed");
        }
    }
}

/// The terminal that a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    pub(crate) kind: String,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
}

impl Terminal {
    /// The words that run `$SHELL` in a terminal of this size.
    fn words(&self, text: Option<&str>) -> Vec<String> {
        let inner = match text {
            Some(_) => "exec \"$SHELL\" -c \"$SANDBOX_COMMAND\"",
            None => "exec \"$SHELL\" -l",
        };
        let script = ["/usr/bin/script", "--quiet", "--return", "--flush", "--command"].map(String::from);
        let mut words =
            vec![format!("TERM={}", self.kind), format!("SANDBOX_COMMAND={}", text.unwrap_or_default())];
        words.extend(script);
        words.push(format!("stty rows {} cols {}; {inner}", self.rows, self.columns));
        words.push("/dev/null".into());
        words
    }
}

/// What bubblewrap writes to its information descriptor.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Made {
    child_pid: u32,
}

/// A server's name as a host name: letters, digits and dashes, at most 63.
fn host_name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(fit).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "server".into() } else { name.into() }
}

/// The key of a line in authorized_keys, which may have options in front.
fn authorized_key(line: &str) -> Option<PublicKey> {
    let line = line.trim();
    let start = ["ssh-", "ecdsa-", "sk-"].iter().filter_map(|kind| line.find(kind)).min()?;
    PublicKey::from_openssh(line.get(start..)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_becomes_a_host_name() {
        assert_eq!(host_name("Trusty_1.example.org"), "trusty-1-example-org");
        assert_eq!(host_name("…"), "server");
        assert_eq!(host_name(&"x".repeat(300)).len(), 63);
    }

    #[test]
    fn keys_are_read_with_and_without_options() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ who@where";
        assert!(authorized_key(key).is_some());
        assert_eq!(authorized_key(&format!("no-pty,command=\"x\" {key}")), authorized_key(key));
        assert!(authorized_key("# a comment").is_none());
        assert!(authorized_key("ssh-ed25519 nonsense").is_none());
    }
}
