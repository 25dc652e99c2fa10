//! A pool of one test: a sandbox, a configuration, a database, `nodepoold` and `nodepool`.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nodepool::store::Store;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::cloud::{Cloud, text};

/// Longer than anything takes on a busy machine. What may also take the time after which the engine believes that a
/// server whose create call was not answered does not exist has [`LONG`].
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const LONG: Duration = Duration::from_secs(150);

/// In the foreground, and with the status page on any free port.
const DAEMON: [&str; 3] = ["-d", "--webapp", "127.0.0.1:0"];

const PAUSE: Duration = Duration::from_millis(100);

/// What differs between the pools of the tests.
pub(crate) struct Settings {
    pub(crate) min_ready: u32,
    pub(crate) subnodes: u32,
    pub(crate) max_servers: u32,
    /// How long a call may take, in seconds: longer than a machine with much else to do takes to answer.
    pub(crate) api_timeout: u32,
    /// How long a server may take until it is reached, in seconds: longer than any takes here.
    pub(crate) boot_timeout: u32,
    /// When what is done by the clock: nothing that adds something.
    pub(crate) cron: Option<&'static str>,
    /// The folder with the scripts; ours, if none is given.
    pub(crate) scripts: Option<PathBuf>,
    pub(crate) setup: &'static str,
    pub(crate) ready_script: Option<&'static str>,
    pub(crate) ready_script_timeout: Duration,
    /// How long a node may be ready, in seconds.
    pub(crate) max_ready_age: Option<u32>,
    /// Where floating IPs come from.
    pub(crate) pool: Option<&'static str>,
    /// Which of them are looked for.
    pub(crate) clean_floating_ips: &'static str,
    /// The networks of a server; the cloud's choice, if none is named.
    pub(crate) networks: &'static [&'static str],
    /// Whether nodes boot from volumes.
    pub(crate) from_volumes: bool,
    /// The URL of the database; that of a file beside the daemon, if none is given.
    pub(crate) database: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_ready: 2,
            subnodes: 0,
            max_servers: 6,
            api_timeout: 10,
            boot_timeout: 30,
            cron: Some("{image-update: never}"),
            scripts: None,
            setup: "setup_node.sh",
            ready_script: None,
            ready_script_timeout: Duration::from_secs(60),
            max_ready_age: None,
            pool: None,
            clean_floating_ips: "no",
            networks: &[],
            from_volumes: false,
            database: None,
        }
    }
}

impl Settings {
    /// What the provider says of networks and addresses.
    fn place(&self) -> String {
        let mut yaml = format!("    clean-floating-ips: {}\n", self.clean_floating_ips);
        if let Some(pool) = self.pool {
            writeln!(yaml, "    pool: {pool}").unwrap();
        }
        if !self.networks.is_empty() {
            writeln!(yaml, "    networks:").unwrap();
        }
        for network in self.networks {
            writeln!(yaml, "      - net-label: {network}").unwrap();
        }
        yaml
    }
}

/// A pool, its cloud, and the daemon if it runs.
pub(crate) struct Pool {
    daemon: Option<Child>,
    pub(crate) cloud: Cloud,
    pub(crate) folder: TempDir,
}

/// What a run of the CLI left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) success: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Pool {
    /// A cloud and a configuration; the daemon is not started yet.
    pub(crate) async fn new(settings: &Settings, sandbox_flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(folder.path().join("key"))
            .status()
            .await;
        assert!(made.expect("ssh-keygen is missing: apt-get install openssh-client").success());
        let cloud = Cloud::start(folder.path(), sandbox_flags).await;
        let pool = Self { daemon: None, cloud, folder };
        pool.configure(settings);
        pool
    }

    /// A pool whose daemon runs and has filled it.
    pub(crate) async fn filled(settings: &Settings) -> Self {
        let mut pool = Self::new(settings, &[]).await;
        pool.start();
        pool.until_full(settings.min_ready as usize, DEADLINE).await;
        pool
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration. A daemon that runs reads it when it is told to.
    pub(crate) fn configure(&self, settings: &Settings) {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut yaml = String::new();
        if let Some(cron) = settings.cron {
            writeln!(yaml, "cron: {cron}").unwrap();
        }
        let scripts = settings.scripts.as_ref().unwrap_or(&ours).display();
        let (file, key) = (format!("sqlite:///{}", self.database().display()), self.path("key"));
        write!(
            yaml,
            "script-dir: {scripts}\n\
             dburi: {}\n\
             labels:\n\
             \x20 - name: debian\n\
             \x20   image: ci-debian\n\
             \x20   min-ready: {}\n\
             \x20   subnodes: {}\n\
             \x20   ready-script-timeout: {}\n",
            settings.database.as_ref().unwrap_or(&file),
            settings.min_ready,
            settings.subnodes,
            settings.ready_script_timeout.as_secs()
        )
        .unwrap();
        if let Some(script) = settings.ready_script {
            writeln!(yaml, "    ready-script: {script}").unwrap();
        }
        if let Some(age) = settings.max_ready_age {
            writeln!(yaml, "    max-ready-age: {age}").unwrap();
        }
        write!(
            yaml,
            "    providers:\n\
             \x20     - name: sandbox\n\
             providers:\n\
             \x20 - name: sandbox\n\
             \x20   cloud: sandbox\n\
             \x20   max-servers: {}\n\
             \x20   rate: 0.01\n\
             \x20   api-timeout: {}\n\
             \x20   boot-timeout: {}\n\
             {}\
             \x20   images:\n\
             \x20     - name: ci-debian\n\
             \x20       base-image: debian-12\n\
             \x20       setup: {}\n\
             \x20       min-ram: 512\n\
             \x20       username: jenkins\n\
             \x20       private-key: {}\n\
             \x20       ssh-port: {}\n\
             \x20       boot-from-volume: {}\n\
             targets:\n\
             \x20 - name: local\n",
            settings.max_servers,
            settings.api_timeout,
            settings.boot_timeout,
            settings.place(),
            settings.setup,
            key.display(),
            self.cloud.ssh_port,
            settings.from_volumes
        )
        .unwrap();
        std::fs::write(self.path("nodepool.yaml"), yaml).unwrap();
    }

    fn command(&self, program: &str, log: Option<&str>) -> Command {
        let mut command = Command::new(program);
        let secure = self.path("secure.conf");
        let err = match log {
            Some(name) => File::options().create(true).append(true).open(self.path(name)).unwrap().into(),
            None => Stdio::piped(),
        };
        command
            .arg("-c")
            .arg(self.path("nodepool.yaml"))
            .args(secure.exists().then_some(["-s".as_ref(), secure.as_os_str()]).into_iter().flatten())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("OS_CLIENT_CONFIG_FILE", self.cloud.clouds_yaml())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err)
            .kill_on_drop(true);
        command
    }

    /// Starts the daemon. It logs to one file, however often it is started.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts the daemon with more arguments.
    pub(crate) fn start_with(&mut self, more: &[&str]) {
        self.start_in(more, &[]);
    }

    /// Starts the daemon with more arguments and more variables.
    pub(crate) fn start_in(&mut self, more: &[&str], variables: &[(&str, &str)]) {
        assert!(self.daemon.is_none(), "it runs already");
        let mut command = self.command(env!("CARGO_BIN_EXE_nodepoold"), Some("daemon.log"));
        self.daemon = Some(
            command
                .args(DAEMON)
                .args(more)
                .envs(variables.iter().copied())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        );
    }

    /// Starts another daemon on the same database and gives how it ends.
    pub(crate) async fn start_another(&self) -> Ran {
        let output = self.command(env!("CARGO_BIN_EXE_nodepoold"), None).args(DAEMON).output();
        ran(output, "another nodepoold").await
    }

    /// Runs the daemon with these arguments and nothing else, and gives how that ended.
    pub(crate) async fn nodepoold(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_nodepoold"), None);
        ran(command.args(arguments).output(), &format!("nodepoold {arguments:?}")).await
    }

    /// Sends a signal to the daemon.
    pub(crate) async fn signal(&self, name: &str) {
        signal(self.daemon.as_ref().expect("the daemon does not run"), name).await;
    }

    /// How often the daemon has read the files of the configuration again.
    pub(crate) fn readings(&self) -> usize {
        let log = self.daemon_log();
        let ends = ["what it says is in force now", "what was in force before stays in force"];
        let same = "it says what is in force already";
        log.lines().filter(|line| line.contains(same) || ends.iter().any(|end| line.contains(end))).count()
    }

    /// Has other settings put in force, and waits until they are.
    pub(crate) async fn reconfigure(&self, settings: &Settings) {
        let before = self.readings();
        self.configure(settings);
        self.signal("HUP").await;
        self.until("the files are read again", DEADLINE, async |pool| {
            (pool.readings() > before).then_some(())
        })
        .await;
    }

    /// Waits for the end of the daemon after a signal.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("the daemon does not run");
        let ended = tokio::time::timeout(deadline, daemon.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("the daemon did not end within {deadline:?}\n{}", self.log()))
            .unwrap()
    }

    /// Stops the daemon as an init system does.
    pub(crate) async fn stop(&mut self) {
        self.signal("TERM").await;
        assert!(self.ended(DEADLINE).await.success(), "{}", self.log());
    }

    /// Lets the daemon run for a while and kills it so that it can do nothing about it.
    pub(crate) async fn kill_after(&mut self, delay: Duration) {
        let mut daemon = self.daemon.take().expect("the daemon does not run");
        if let Ok(ended) = tokio::time::timeout(delay, daemon.wait()).await {
            panic!("the daemon ended by itself: {ended:?}\n{}", self.log());
        }
        daemon.kill().await.unwrap();
    }

    /// Runs the CLI.
    pub(crate) async fn nodepool(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_nodepool"), None);
        ran(command.args(arguments).output(), &format!("nodepool {arguments:?}")).await
    }

    /// Runs the CLI, which must succeed, and gives what it prints as JSON.
    pub(crate) async fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments = [arguments, &["-o", "json"]].concat();
        let ran = self.nodepool(&arguments).await;
        assert!(ran.success, "{arguments:?}: {ran:?}\n{}", self.log());
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// The rows of the nodes.
    pub(crate) async fn nodes(&self) -> Vec<Value> {
        self.rows(&["list"]).await
    }

    /// The rows of the images.
    pub(crate) async fn images(&self) -> Vec<Value> {
        self.rows(&["image-list"]).await
    }

    /// The nodes in this state.
    pub(crate) async fn nodes_in(&self, state: &str) -> Vec<Value> {
        let mut nodes = self.nodes().await;
        nodes.retain(|node| node["state"] == state);
        nodes
    }

    /// What the daemon and the sandbox have logged.
    pub(crate) fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.path(name)).unwrap_or_default();
        format!("--- nodepoold\n{}--- sandbox\n{}", read("daemon.log"), read("sandbox.log"))
    }

    /// What the daemon has logged.
    pub(crate) fn daemon_log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Waits until `look` gives something, and fails with the log when it does not in time.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut look: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            assert!(!self.has_ended(), "the daemon ended by itself before {what}\n{}", self.log());
            if start.elapsed() > deadline {
                let (nodes, images) = (self.nodepool(&["list", "--detail"]).await, self.images().await);
                panic!("waited {deadline:?} until {what}\n{}\n{images:?}\n{}", nodes.out, self.log());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the daemon was started and is a zombie now, which nobody has waited for.
    fn has_ended(&self) -> bool {
        let pid = self.daemon.as_ref().and_then(Child::id);
        let stat = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        stat.is_some_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
    }

    /// Waits until there are `count` nodes, all of them ready, and the cloud holds their servers and nothing else that
    /// nodepool made.
    pub(crate) async fn until_full(&self, count: usize, deadline: Duration) -> Vec<Value> {
        self.until(&format!("{count} nodes are ready and nothing else is there"), deadline, async |pool| {
            let nodes = pool.nodes().await;
            let ready = nodes.len() == count && nodes.iter().all(|node| node["state"] == "ready");
            (ready && pool.holds_only(&nodes).await).then_some(nodes)
        })
        .await
    }

    /// Whether of what nodepool made the cloud holds the servers of these nodes and the snapshots of the rows, and
    /// nothing else.
    pub(crate) async fn holds_only(&self, nodes: &[Value]) -> bool {
        let tagged = |value: &Value| !value["metadata"]["nodepool_installation"].is_null();
        let servers = self.cloud.servers().await;
        let mut servers: Vec<_> = servers.iter().filter(|it| tagged(it)).map(|it| text(it, "id")).collect();
        let mut expected: Vec<_> =
            nodes.iter().filter_map(|node| Some(node["server_id"].as_str()?.to_owned())).collect();
        servers.sort();
        expected.sort();
        let snapshots =
            self.cloud.images().await.iter().filter(|it| !it["nodepool_installation"].is_null()).count();
        servers == expected
            && self.cloud.keypairs().await.is_empty()
            && snapshots == self.images().await.len()
    }

    /// Lets [`Pool::ssh`] believe the host keys on record, and none but those from now on.
    pub(crate) async fn believe_only_recorded_host_keys(&self) {
        let mut known = String::new();
        for node in self.store().await.nodes().await.unwrap() {
            let (ip, key) = (node.ip.unwrap(), node.host_key.expect("its host key is on record").0);
            writeln!(known, "[{ip}]:{} {key}", self.cloud.ssh_port).unwrap();
        }
        std::fs::write(self.path("known_hosts"), known).unwrap();
    }

    /// The database, beside the daemon.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&format!("sqlite:///{}", self.database().display())).await.unwrap()
    }

    /// The file of the database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("nodepool.db")
    }

    /// Runs a command on a node with the system's ssh and gives what it prints.
    pub(crate) async fn ssh(&self, node: &Value, command: &str) -> String {
        let recorded = self.path("known_hosts");
        let (strict, known) = if recorded.exists() { ("yes", recorded) } else { ("no", "/dev/null".into()) };
        let output = Command::new("ssh")
            .args(["-F", "none", "-o", &format!("StrictHostKeyChecking={strict}")])
            .args(["-o", &format!("UserKnownHostsFile={}", known.display())])
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes"])
            .args(["-o", "LogLevel=ERROR", "-p", &self.cloud.ssh_port.to_string(), "-i"])
            .arg(self.path("key"))
            .arg(format!("jenkins@{}", text(node, "ip")))
            .arg(command)
            .stdin(Stdio::null())
            .output();
        let ran = ran(output, "ssh (apt-get install openssh-client)").await;
        assert!(ran.success, "{command}: {ran:?}\n{}", self.log());
        ran.out
    }

    /// Ends both, so that nothing is left when the folder goes.
    pub(crate) async fn end(mut self) {
        if self.daemon.is_some() {
            self.stop().await;
        }
        self.cloud.stop().await;
    }
}

/// Sends a signal to a process that we started.
pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it has ended already").to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap().success());
}

async fn ran(output: impl Future<Output = std::io::Result<std::process::Output>>, what: &str) -> Ran {
    let output = tokio::time::timeout(DEADLINE, output).await;
    let output =
        output.unwrap_or_else(|_| panic!("{what} did not end")).unwrap_or_else(|e| panic!("{what}: {e}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ran { success: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The number of a row, as an argument for the CLI.
pub(crate) fn id(row: &Value) -> String {
    row["id"].as_i64().unwrap_or_else(|| panic!("{row} has no number")).to_string()
}

/// A folder with our scripts and these others.
pub(crate) fn scripts(folder: &Path, others: &[(&str, &str)]) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let into = folder.join("scripts");
    std::fs::create_dir_all(&into).unwrap();
    for script in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")).unwrap() {
        let script = script.unwrap();
        std::fs::copy(script.path(), into.join(script.file_name())).unwrap();
    }
    for (name, script) in others {
        let file = into.join(name);
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    into
}
