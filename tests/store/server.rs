//! A database server of the tests' own, from Debian's packages: made in a folder, and gone with the process.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::held_port::HeldPort;

/// What runs a server until its input ends, which it does with the process that holds the other end, however that ends. It
/// then takes away the folder, unless it is told a word first.
const GUARDIAN: &str = r#"signal=$1 folder=$2
shift 2
"$@" & server=$!
read -r word
kill "-$signal" "$server"
wait "$server"
[ -n "$word" ] || rm -rf "$folder""#;

/// Longer than a server needs to come up on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server in a folder, on a port of the loopback address.
pub(crate) struct Server {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    _held: HeldPort,
    guardian: Option<Child>,
}

impl Server {
    /// A folder that other users may look into, and a port that nobody else is given. Nothing runs yet.
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = TempDir::with_prefix("nodepool-database-").unwrap().keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let held = HeldPort::new();
        Self { folder, port: held.port, _held: held, guardian: None }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Starts it. `signal` is what ends it at once, as a crash would.
    pub(crate) fn start(&mut self, command: &[&str], signal: &str) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian", signal])
            .arg(&self.folder)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.guardian = Some(guardian.unwrap());
    }

    /// Waits until `connect` succeeds.
    pub(crate) async fn until_up<T, E: std::fmt::Display>(
        &self,
        connect: impl AsyncFn() -> Result<T, E>,
    ) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            match connect().await {
                Ok(connected) => return connected,
                Err(error) if Instant::now() > end => {
                    let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
                    panic!("the server does not come up: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Ends it without giving it time to say goodbye, and leaves its folder as it is.
    pub(crate) fn crash(&mut self) {
        use std::io::Write as _;
        let mut guardian = self.guardian.take().expect("it runs");
        guardian.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        guardian.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            drop(guardian.stdin.take());
            let _ = guardian.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Writes a certificate for the loopback address and its key, and another one that nobody has, beside the data.
pub(crate) fn write_certificates(server: &Server) {
    use std::os::unix::fs::OpenOptionsExt as _;
    for name in ["server", "stranger"] {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(server.path(&format!("{name}.pem")), made.cert.pem()).unwrap();
        let mut key = std::fs::OpenOptions::new();
        let key = key.write(true).create_new(true).mode(0o600).open(server.path(&format!("{name}.key")));
        std::io::Write::write_all(&mut key.unwrap(), made.signing_key.serialize_pem().as_bytes()).unwrap();
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &[&str], package: &str) {
    let (program, arguments) = command.split_first().unwrap();
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).current_dir("/").output();
    let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}: apt-get install {package}"));
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}
