//! A sandbox of one test, and its API as somebody else than nodepool uses it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const PASSWORD: &str = "secret";

/// A running sandbox.
pub(crate) struct Cloud {
    child: Child,
    url: String,
    folder: PathBuf,
    pub(crate) ssh_port: u16,
    client: reqwest::Client,
    token: String,
}

impl Cloud {
    /// Starts one below `folder`, on ports and loopback addresses that no other test uses.
    pub(crate) async fn start(folder: &Path, flags: &[&str]) -> Self {
        static STARTED: AtomicU8 = AtomicU8::new(0);
        let number = 100 + STARTED.fetch_add(1, Ordering::Relaxed) % 100;
        let first_address = format!("127.{number}.{}.1", std::process::id() % 250);
        let ssh_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.join("sandbox.log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nodepool-sandbox"))
            .args(["--port", "0", "--ssh-port", &ssh_port.to_string(), "--first-address", &first_address])
            .args(["--boot-time", "0.3", "--delete-time", "0.1", "--snapshot-time", "0.2"])
            .args(["--password", PASSWORD, "--state-dir"])
            .arg(folder.join("cloud"))
            .arg("--clouds-yaml")
            .arg(folder.join("clouds.yaml"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).await.unwrap();
        let url = ready.trim().strip_prefix("nodepool-sandbox is ready on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| {
            panic!("{}", std::fs::read_to_string(folder.join("sandbox.log")).unwrap_or_default())
        });
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut cloud =
            Self { child, url, folder: folder.to_owned(), ssh_port, client, token: String::new() };
        cloud.token = cloud.log_in().await;
        cloud
    }

    async fn log_in(&self) -> String {
        let user = json!({"name": "sandbox", "domain": {"name": "Default"}, "password": PASSWORD});
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
        let url = format!("{}/identity/v3/auth/tokens", self.url);
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        answer.headers().get("x-subject-token").unwrap().to_str().unwrap().to_owned()
    }

    /// The file that tells clients how to reach it.
    pub(crate) fn clouds_yaml(&self) -> PathBuf {
        self.folder.join("clouds.yaml")
    }

    /// What an address of the sandbox answers.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = request.header("x-auth-token", &self.token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn listed(&self, path: &str, key: &str) -> Vec<Value> {
        self.ask("GET", path, None).await[key].as_array().unwrap().clone()
    }

    /// All servers that are not deleted, with all that Nova says of them.
    pub(crate) async fn servers(&self) -> Vec<Value> {
        self.listed("/compute/v2.1/servers/detail", "servers").await
    }

    /// The ids of all servers that are not deleted, sorted.
    pub(crate) async fn server_ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.servers().await.iter().map(|server| text(server, "id")).collect();
        ids.sort();
        ids
    }

    /// All keypairs.
    pub(crate) async fn keypairs(&self) -> Vec<Value> {
        self.listed("/compute/v2.1/os-keypairs", "keypairs").await
    }

    /// All images, the one that was there at the start too.
    pub(crate) async fn images(&self) -> Vec<Value> {
        self.listed("/image/v2/images", "images").await
    }

    /// All floating IPs.
    pub(crate) async fn floating_ips(&self) -> Vec<Value> {
        self.listed("/network/v2.0/floatingips", "floatingips").await
    }

    /// The ports of a server.
    pub(crate) async fn ports(&self, server: &str) -> Vec<Value> {
        self.listed(&format!("/network/v2.0/ports?device_id={server}"), "ports").await
    }

    /// All volumes of a project, with all that Cinder says of them.
    pub(crate) async fn volumes(&self, project: &str) -> Vec<Value> {
        self.listed(&format!("/volume/v3/{project}/volumes/detail"), "volumes").await
    }

    /// Makes a floating IP of the network `public` with these fields as somebody else would, and gives its id.
    pub(crate) async fn create_floating_ip(&self, fields: &Value) -> String {
        let networks = self.listed("/network/v2.0/networks", "networks").await;
        let public = networks.iter().find(|network| network["name"] == "public").unwrap();
        let mut body = json!({"floatingip": fields});
        body["floatingip"]["floating_network_id"] = public["id"].clone();
        text(&self.ask("POST", "/network/v2.0/floatingips", Some(&body)).await["floatingip"], "id")
    }

    /// Creates a server as somebody else would, and gives its id.
    pub(crate) async fn create_server(&self, name: &str, metadata: &Value) -> String {
        let images = self.images().await;
        let base = images.iter().find(|image| image["name"] == "debian-12").unwrap();
        let server = json!({"name": name, "imageRef": base["id"], "flavorRef": "1", "metadata": metadata,
            "networks": "auto"});
        let body = json!({ "server": server });
        text(&self.ask("POST", "/compute/v2.1/servers", Some(&body)).await["server"], "id")
    }

    /// Changes the faults that are in force: these fields are laid over them.
    pub(crate) async fn faults(&self, changes: &Value) {
        self.ask("PATCH", "/sandbox/faults", Some(changes)).await;
    }

    /// How often an operation was asked for since the start.
    pub(crate) async fn requests(&self, operation: &str) -> u64 {
        let counts = self.ask("GET", "/sandbox/requests", None).await["requests"][operation].take();
        let by_status = counts.as_object().map(|counts| counts.values().filter_map(Value::as_u64).sum());
        by_status.unwrap_or(0)
    }

    /// How often an operation did what it was asked for, as far as the cloud knows.
    pub(crate) async fn successes(&self, operation: &str) -> u64 {
        let counts = self.ask("GET", "/sandbox/requests", None).await["requests"][operation].take();
        let of_success = |(status, count): (&String, &Value)| status.starts_with('2').then(|| count.as_u64());
        counts.as_object().map_or(0, |counts| counts.iter().filter_map(of_success).flatten().sum())
    }

    /// The names of all operations that were asked for since the start.
    pub(crate) async fn operations(&self) -> Vec<String> {
        let counts = self.ask("GET", "/sandbox/requests", None).await["requests"].take();
        counts.as_object().unwrap().keys().cloned().collect()
    }

    pub(crate) async fn stop(&mut self) {
        super::setup::signal(&self.child, "TERM").await;
        let _ = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // Only a sandbox that ends by itself takes its servers' processes along.
        if let Some(pid) = self.child.id() {
            let _ = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
            while matches!(self.child.try_wait(), Ok(None)) {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

/// A field that is text.
pub(crate) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value} is no text")).to_owned()
}
