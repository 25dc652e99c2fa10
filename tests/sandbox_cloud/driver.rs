//! Starts a sandbox and speaks to it: by the `openstack` command, by `ssh`, and by hand.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// A running sandbox, and a key pair to use with it.
pub(crate) struct Sandbox {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    pub(crate) ssh_port: u16,
}

impl Sandbox {
    pub(crate) fn start(flags: &[&str]) -> Sandbox {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen is missing: apt-get install openssh-client").success());
        let ssh_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nodepool-sandbox"))
            .args(["--port", "0", "--ssh-port", &ssh_port.to_string()])
            .args([
                "--boot-time",
                "0.2",
                "--delete-time",
                "0.1",
                "--snapshot-time",
                "0.2",
                "--password",
                "secret",
            ])
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let url = ready
            .trim()
            .strip_prefix("nodepool-sandbox is ready on ")
            .expect("see its standard error")
            .into();
        Sandbox { child, folder, url, ssh_port }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn public_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("key.pub")).unwrap().trim().into()
    }

    pub(crate) fn client(&self) -> Command {
        let mut client = Command::new(openstack_client());
        client.env("OS_CLIENT_CONFIG_FILE", self.state().join("clouds.yaml")).env("OS_CLOUD", "sandbox");
        client
    }

    /// Runs one command of the real client, which must go well. Returns what it prints.
    pub(crate) fn openstack(&self, line: &str) -> String {
        let output = self.client().args(line.split_whitespace()).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}\n{out}\n{err}");
        out
    }

    /// Runs several commands in one process of the real client, which is quicker. Its exit status then says
    /// nothing: look at what it prints.
    pub(crate) fn openstack_lines(&self, lines: &str) -> String {
        let mut client = self.client();
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        client.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap()
    }

    pub(crate) fn ssh_command(&self, address: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ])
        .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes", "-F", "none"])
        .args(["-p", &self.ssh_port.to_string(), "-i"])
        .arg(self.folder.path().join("key"))
        .arg(address);
        ssh
    }

    /// Runs a command in a server as root and returns (exit status, standard output, standard error).
    pub(crate) fn ssh(&self, address: &str, command: &str) -> (i32, String, String) {
        let output =
            self.ssh_command(&format!("root@{address}")).arg(command).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    pub(crate) fn ssh_ok(&self, address: &str, command: &str) -> String {
        let (status, out, err) = self.ssh(address, command);
        assert_eq!(status, 0, "{command}\n{out}\n{err}");
        out
    }

    pub(crate) fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        Command::new("/bin/sh").args(["-c", "kill -TERM $1", "sh", &pid]).status().unwrap();
        wait_until("the sandbox ends", || self.child.try_wait().unwrap().is_some());
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = self.child.id().to_string();
            let _ = Command::new("/bin/sh").args(["-c", "kill -TERM $1", "sh", &pid]).status();
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn openstack_client() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/openstack/bin/openstack");
    let named = std::env::var_os("NODEPOOL_TEST_OPENSTACK").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates =
        named.into_iter().chain([here]).chain(std::env::split_paths(&path).map(|p| p.join("openstack")));
    candidates.find(|file| file.is_file()).expect(
        "the openstack command is missing: python3 -m venv target/test-tools/openstack && \
         target/test-tools/openstack/bin/pip install python-openstackclient",
    )
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < DEADLINE, "waited too long until {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The API spoken by hand, for what the command line does not show.
pub(crate) struct Api<'a> {
    sandbox: &'a Sandbox,
    client: reqwest::Client,
    token: String,
    runtime: tokio::runtime::Runtime,
}

/// An answer: status, headers, JSON or null.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl<'a> Api<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox) -> Api<'a> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        let mut api = Api { sandbox, client, token: String::new(), runtime };
        api.token = api.log_in("secret").unwrap();
        api
    }

    pub(crate) fn log_in(&self, password: &str) -> Result<String, u16> {
        let user = json!({"name": "sandbox", "domain": {"name": "Default"}, "password": password});
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
        let reply = self.send("POST", "/identity/v3/auth/tokens", Some(&body), &[]).unwrap();
        let token = reply.headers.get("x-subject-token").map(|token| token.to_str().unwrap().to_string());
        token.ok_or(reply.status)
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Reply> {
        let mut request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.sandbox.url));
        if headers.iter().all(|(name, _)| *name != "x-auth-token") {
            request = request.header("x-auth-token", &self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.runtime.block_on(async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
            Ok(Reply { status, headers, body })
        })
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.send("GET", path, None, &[("openstack-api-version", "compute 2.93")]).unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// Asks for a server and returns the answer as it comes.
    pub(crate) fn create(&self, name: &str, more: &Value) -> reqwest::Result<Reply> {
        let images = self.get("/image/v2/images?name=debian-12");
        let mut server = json!({"name": name, "imageRef": images["images"][0]["id"], "flavorRef": "1", "networks": "auto"});
        server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let version = [("x-openstack-nova-api-version", "2.53")];
        self.send("POST", "/compute/v2.1/servers", Some(&json!({ "server": server })), &version)
    }

    pub(crate) fn create_ok(&self, name: &str, more: &Value) -> String {
        let reply = self.create(name, more).unwrap();
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.body["server"]["id"].as_str().unwrap().into()
    }

    pub(crate) fn server(&self, id: &str) -> Value {
        self.get(&format!("/compute/v2.1/servers/{id}"))["server"].take()
    }

    pub(crate) fn wait_for(&self, id: &str, status: &str) -> Value {
        wait_until(&format!("server {id} is {status}"), || self.server(id)["status"] == status);
        self.server(id)
    }

    /// A server with our key that answers ssh, by its id and address.
    pub(crate) fn boot(&self, name: &str) -> (String, String) {
        let pair = json!({"keypair": {"name": "key", "public_key": self.sandbox.public_key()}});
        let made = self.send("POST", "/compute/v2.1/os-keypairs", Some(&pair), &[]).unwrap().status;
        assert!([200, 409].contains(&made));
        let id = self.create_ok(name, &json!({"key_name": "key"}));
        let address =
            self.wait_for(&id, "ACTIVE")["addresses"]["private"][0]["addr"].as_str().unwrap().to_string();
        wait_until("ssh answers", || self.sandbox.ssh(&address, "true").0 == 0);
        (id, address)
    }

    pub(crate) fn delete_and_wait(&self, id: &str) {
        let path = format!("/compute/v2.1/servers/{id}");
        assert_eq!(self.send("DELETE", &path, None, &[]).unwrap().status, 204);
        wait_until("the server is gone", || self.send("GET", &path, None, &[]).unwrap().status == 404);
    }
}

/// Processes whose command line or root names this state folder. Dead ones that wait to be reaped have neither.
pub(crate) fn processes_of(state: &Path) -> usize {
    let state = state.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let named = |entry: &std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mounts = std::fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(state) || mounts.lines().any(|line| line.contains(state))
    };
    processes.filter(named).count()
}
