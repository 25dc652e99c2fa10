//! The pool under test: the real daemon and the real command line on a folder of their own.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Cloud, installation, mark, text};

/// What the names of servers and snapshots of this test begin with: what an earlier run left is known by that.
pub(crate) const PREFIX: &str = "nodepool-test-";
/// The name of the server that is not the pool's.
pub(crate) const FOREIGN: &str = "nodepool-test-foreign";

/// How long anything may take. A server costs seconds of computing time, and others use the machine, too.
const DEADLINE: Duration = Duration::from_secs(600);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// How many of the last lines of the daemon's log a failure shows.
const SHOWN_LINES: usize = 60;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells how far the test is. Not captured: it runs for minutes.
pub(crate) fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "[{:6.1} s] {words}", START.elapsed().as_secs_f64());
}

/// Looks until there is what is looked for.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let (start, mut said) = (Instant::now(), String::new());
    loop {
        match look() {
            Ok(found) => {
                say(&format!("{what}: after {:.1} s", start.elapsed().as_secs_f64()));
                return found;
            }
            Err(instead) => {
                assert!(start.elapsed() < DEADLINE, "waited in vain for this: {what}. {instead}");
                if instead != said {
                    say(&format!("    {instead}"));
                    said = instead;
                }
            }
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// A node as `nodepool list -o json` shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: i64,
    pub(crate) hostname: String,
    pub(crate) server_id: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) ip_private: Option<String>,
    pub(crate) az: Option<String>,
    pub(crate) state: String,
    pub(crate) step: Option<String>,
    pub(crate) state_time: String,
    pub(crate) created: String,
    pub(crate) comment: Option<String>,
    pub(crate) reason: String,
}

impl Node {
    pub(crate) fn server(&self) -> &str {
        self.server_id.as_deref().unwrap_or_else(|| panic!("{self:?} has no server"))
    }

    /// Where it stands, in words.
    pub(crate) fn place(&self) -> String {
        match &self.step {
            Some(step) => format!("{} ({step})", self.state),
            None if self.state == "delete" => format!("delete ({})", self.reason),
            None => self.state.clone(),
        }
    }
}

/// The pool.
pub(crate) struct Pool<'c> {
    pub(crate) cloud: &'c Cloud,
    folder: Option<TempDir>,
    path: PathBuf,
    log_file: PathBuf,
    daemon: Option<Child>,
    _turn: Turn,
}

/// One test at a time has the cloud: the next one takes away what it finds.
pub(crate) struct Turn {
    /// Among the tests of this process, which wait for each other as long as it takes.
    _here: MutexGuard<'static, ()>,
    /// Among the processes of this machine.
    _machine: File,
}

impl<'c> Pool<'c> {
    /// An empty folder with a new key, and a cloud without anything of an earlier run.
    /// Its log has that name.
    pub(crate) fn new(cloud: &'c Cloud, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let mut keygen = Command::new("ssh-keygen");
        let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen is missing: apt-get install openssh-client").success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned();
        let turn = Turn::take(cloud, &public);
        let log_file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("devcloud-{name}.log"));
        File::create(&log_file).unwrap();
        let path = folder.path().to_owned();
        Self { cloud, folder: Some(folder), path, log_file, daemon: None, _turn: turn }
    }

    /// Writes the configuration. `place` is what the provider says of networks, zones and addresses, each line without
    /// its indentation.
    pub(crate) fn configure(&self, min_ready: i32, place: &[&str]) {
        let place: String = place.iter().flat_map(|line| ["    ", line, "\n"]).collect();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let (folder, scripts) = (self.path.display(), scripts.display());
        let text = format!(
            "script-dir: {scripts}\n\
             dburi: sqlite:///{folder}/nodepool.db\n\
             labels:\n  \
             - {{name: debian, image: ci-debian, min-ready: {min_ready}, ready-script: ready.sh,\n     \
             providers: [{{name: devcloud}}]}}\n\
             providers:\n  \
             - name: devcloud\n    \
             cloud: devcloud\n    \
             max-servers: 12\n    \
             rate: 0.1\n    \
             api-timeout: 120\n    \
             boot-timeout: 300\n    \
             launch-timeout: 600\n    \
             template-hostname: '{PREFIX}{{image.name}}-{{timestamp}}'\n\
             {place}    \
             images:\n      \
             - {{name: ci-debian, base-image: debian-12, setup: setup_node.sh, min-ram: 512,\n         \
             meta: {{colour: blue}}, private-key: {folder}/key}}\n\
             targets:\n  \
             - {{name: here, hostname: '{PREFIX}{{node_id}}'}}\n"
        );
        std::fs::write(self.path.join("nodepool.yaml"), text).unwrap();
    }

    /// Starts the daemon; its log goes on in the same file.
    pub(crate) fn start(&mut self) {
        assert!(self.daemon.is_none());
        let log = File::options().append(true).open(&self.log_file).unwrap();
        // It must not outlive a test that is killed: it would go on filling the pool.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_nodepoold"), "-d", "-c"]);
        let command = self.cloud.point(&mut command).env("RUST_LOG", "info,nodepool=debug");
        let command = command.arg(self.path.join("nodepool.yaml")).stdin(Stdio::null()).stderr(log);
        let daemon = command.spawn().expect("setpriv is missing: apt-get install util-linux");
        self.daemon = Some(daemon);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.daemon.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits until a daemon that was asked to stop has stopped.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        until("the daemon stops", || daemon.try_wait().unwrap().ok_or_else(|| "it runs".to_owned()))
    }

    /// What `nodepool` prints. It must succeed.
    pub(crate) fn nodepool(&self, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodepool"));
        let command = self.cloud.point(&mut command).arg("-c").arg(self.path.join("nodepool.yaml"));
        let output = command.args(words).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        serde_json::from_str(&self.nodepool(&["-o", "json", "list"])).unwrap()
    }

    pub(crate) fn node(&self, id: i64) -> Option<Node> {
        self.nodes().into_iter().find(|node| node.id == id)
    }

    pub(crate) fn images(&self) -> Vec<Value> {
        serde_json::from_str(&self.nodepool(&["-o", "json", "image-list"])).unwrap()
    }

    /// Looks at the rows until they are as wanted. A daemon that has ended will not get them there.
    pub(crate) fn until_nodes(&mut self, what: &str, wanted: impl Fn(&[Node]) -> bool) -> Vec<Node> {
        let mut daemon = self.daemon.take().unwrap();
        let nodes = until(what, || {
            if let Some(status) = daemon.try_wait().unwrap() {
                panic!("the daemon has ended: {status}");
            }
            let nodes = self.nodes();
            if wanted(&nodes) { Ok(nodes) } else { Err(self.summary(&nodes)) }
        });
        self.daemon = Some(daemon);
        nodes
    }

    /// One line: the images where there is no node yet, and how many nodes are in each state.
    fn summary(&self, nodes: &[Node]) -> String {
        let mut places = std::collections::BTreeMap::new();
        for node in nodes {
            *places.entry(node.place()).or_insert(0) += 1;
        }
        let mut words: Vec<String> = places.iter().map(|(place, count)| format!("{count} {place}")).collect();
        if nodes.is_empty() {
            let image = |image: &Value| format!("image {} {} {}", image["id"], image["state"], image["step"]);
            words.extend(self.images().iter().map(image));
        }
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }

    /// Runs a command on a node, as the user and with the key of nodes, by the system's own client.
    pub(crate) fn ssh(&self, node: &Node, command: &str) -> String {
        let address = node.ip.as_deref().unwrap_or_else(|| panic!("{node:?} has no address"));
        let mut ssh = Command::new("ssh");
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "ConnectTimeout=60",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(["-F", "none", "-i"])
            .arg(self.path.join("key"))
            .arg(format!("jenkins@{address}"))
            .arg(command);
        let output =
            ssh.stdin(Stdio::null()).output().expect("ssh is missing: apt-get install openssh-client");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "node {}: {command}\n{out}\n{err}", node.id);
        out.into_owned()
    }
}

impl Pool<'_> {
    /// What the daemons have logged. The file outlives the test, also when that went well.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log_file).unwrap()
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default();
            say(&format!("failed; the last lines of {}:\n{}", self.log_file.display(), last.join("\n")));
            say(&format!("its database and key are in {}", folder.keep().display()));
            say("what it made is still in the cloud; the next run takes it away");
        }
    }
}

impl Turn {
    /// Waits for the end of another run, takes away what an earlier one left, and writes down what ours may leave.
    /// Keypairs carry no mark of a test, so they are known by the public key; the file that is locked keeps it.
    pub(crate) fn take(cloud: &Cloud, public_key: &str) -> Self {
        static HERE: Mutex<()> = Mutex::new(());
        let here = HERE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { _here: here, _machine: turn_on_this_machine(cloud, public_key) }
    }
}

fn turn_on_this_machine(cloud: &Cloud, public_key: &str) -> File {
    let path = std::env::temp_dir().join("nodepool-devcloud-test.lock");
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    until("no other run of this test", || {
        file.try_lock().map_err(|error| format!("{}: {error}", path.display()))
    });
    let mut earlier = String::new();
    file.read_to_string(&mut earlier).unwrap();
    until("nothing of an earlier run is in the cloud", || clean(cloud, &earlier));
    file.rewind().unwrap();
    file.set_len(0).unwrap();
    writeln!(file, "{public_key}").unwrap();
    file
}

/// Removes what tests made. A floating IP has no name of a test; in the project of the tests each with a mark is one's.
fn clean(cloud: &Cloud, earlier_keys: &str) -> Result<(), String> {
    let mut found = 0;
    for floating_ip in cloud.floating_ips()? {
        if mark(&floating_ip).is_some() {
            found += 1;
            cloud.delete_floating_ip(text(&floating_ip, "id"))?;
        }
    }
    for server in cloud.servers()? {
        let ours = text(&server, "name").starts_with(PREFIX) && installation(&server).is_some();
        if ours || server["name"] == FOREIGN {
            found += 1;
            if server["OS-EXT-STS:task_state"] != "deleting" {
                cloud.delete_server(text(&server, "id"))?;
            }
        }
    }
    for image in cloud.images()? {
        let named = image["name"].as_str().is_some_and(|name| name.starts_with(PREFIX));
        if named && installation(&image).is_some() {
            found += 1;
            cloud.delete_image(text(&image, "id"))?;
        }
    }
    for pair in cloud.keypairs()? {
        if earlier_keys.lines().any(|key| key == text(&pair, "public_key").trim()) {
            found += 1;
            cloud.delete_keypair(text(&pair, "name"))?;
        }
    }
    if found == 0 { Ok(()) } else { Err(format!("{found} things of an earlier run are there")) }
}
