//! An sshd of a test's own.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use nodepool::remote::{Command, Connection, Endpoint, Output, Remote as _, SshRemote, Trust};
use tempfile::TempDir;

use super::held_port::HeldPort;

/// A folder with keys, and the sshd that runs with them.
pub(crate) struct Server {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    _held: HeldPort,
    sshd: Option<Child>,
}

impl Server {
    /// Keys and settings; `settings` are further lines of sshd_config. The server is not started.
    pub(crate) fn prepared(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        keygen(&["-t", "ed25519", "-f", &path("host")]);
        keygen(&["-t", "ed25519", "-f", &path("user")]);
        fs::copy(path("user.pub"), path("authorized")).unwrap();
        let held = HeldPort::new();
        let port = held.port;
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile {}\nPrintMotd no\n\
             MaxStartups 300:30:500\nPermitRootLogin yes\n{settings}\nLogLevel ERROR\nSetEnv HOME={}\n",
            path("host"),
            path("authorized"),
            // A command's record lies in the home folder: one for each machine, as in the world.
            path("home"),
        );
        fs::create_dir(path("home")).unwrap();
        fs::write(path("sshd_config"), config).unwrap();
        Self { folder, port, _held: held, sshd: None }
    }

    /// A server that runs.
    pub(crate) fn started() -> Self {
        Self::with("")
    }

    /// A server that runs with further settings.
    pub(crate) fn with(settings: &str) -> Self {
        let mut server = Self::prepared(settings);
        server.start();
        server
    }

    pub(crate) fn start(&mut self) {
        // sshd refuses to start as root without its empty folder; a machine without systemd may lack it.
        let _ = fs::create_dir_all("/run/sshd");
        let log = fs::File::create(self.path("sshd.log")).unwrap();
        let sshd = Process::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(self.path("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("cannot run /usr/sbin/sshd: apt-get install openssh-server");
        self.sshd = Some(sshd);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a key of this kind and lets it in.
    pub(crate) fn let_in(&self, name: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        let mut arguments = options.to_vec();
        let text = path.display().to_string();
        arguments.extend(["-f", &text]);
        keygen(&arguments);
        let mut authorized = fs::read_to_string(self.path("authorized")).unwrap();
        authorized.push_str(&fs::read_to_string(path.with_extension("pub")).unwrap());
        fs::write(self.path("authorized"), authorized).unwrap();
        path
    }

    /// How to reach it, with the patience for a server that has just been started.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: Ipv4Addr::LOCALHOST.into(),
            port: self.port,
            users: vec![me()],
            private_key: self.path("user"),
            trust: Trust::FirstContact,
            patience: Duration::from_secs(30),
        }
    }

    pub(crate) async fn connect(&self) -> Box<dyn Connection> {
        match SshRemote::new().connect(&self.endpoint()).await {
            Ok(connection) => connection,
            Err(error) => {
                let log = fs::read_to_string(self.path("sshd.log")).unwrap_or_default();
                panic!("{error}; sshd says: {log}")
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut sshd) = self.sshd.take() {
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
    }
}

/// The user who runs the tests.
pub(crate) fn me() -> String {
    let output = Process::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn keygen(arguments: &[&str]) {
    let output = Process::new("ssh-keygen")
        .args(["-q", "-N", ""])
        .args(arguments)
        .output()
        .expect("cannot run ssh-keygen: apt-get install openssh-client");
    assert!(output.status.success(), "{output:?}");
}

/// The lines that a command printed.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) Vec<String>);

impl Output for Kept {
    fn line(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }
}

pub(crate) fn command(line: &str) -> Command {
    Command { line: line.to_owned(), environment: Vec::new(), deadline: Duration::from_mins(1) }
}

/// Writes a file with a mode.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
