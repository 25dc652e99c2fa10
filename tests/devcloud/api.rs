//! The cloud itself, asked past nodepool: by its APIs, spoken by hand, and by the `openstack` command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

/// How to get the cloud that the test needs.
const HOW: &str = "`tools/devcloud up` (as root, on Debian 12) starts a real OpenStack on this machine";

/// No single call takes longer, not even on a busy machine.
const CALL_DEADLINE: Duration = Duration::from_secs(120);

/// The newest microversion of Nova that the test speaks: tags, and the flavor's name, are in its listings.
const COMPUTE_VERSION: &str = "compute 2.53";

/// The project of the test, as its user.
pub(crate) struct Cloud {
    pub(crate) clouds_yaml: PathBuf,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    token: String,
    pub(crate) login: Login,
    compute: String,
    image: String,
    network: String,
}

#[derive(Deserialize)]
struct Clouds {
    clouds: BTreeMap<String, Described>,
}

#[derive(Deserialize)]
struct Described {
    auth: Login,
}

/// Who the project's user is.
#[derive(Clone, Deserialize)]
pub(crate) struct Login {
    pub(crate) auth_url: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) project_name: String,
    user_domain_name: String,
    project_domain_name: String,
}

impl Cloud {
    /// Logs in.
    pub(crate) fn open() -> Self {
        let state =
            std::env::var_os("DEVCLOUD_STATE").map_or_else(|| "/var/lib/devcloud".into(), PathBuf::from);
        let clouds_yaml = state.join("clouds.yaml");
        let text = std::fs::read_to_string(&clouds_yaml)
            .unwrap_or_else(|error| panic!("{}: {error}. {HOW}", clouds_yaml.display()));
        let mut described: Clouds = serde_yaml::from_str(&text).unwrap();
        let login = described.clouds.remove("devcloud").expect("clouds.yaml describes devcloud").auth;
        let mut cloud = Self {
            clouds_yaml,
            client: reqwest::Client::builder().no_proxy().timeout(CALL_DEADLINE).build().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            token: String::new(),
            login,
            compute: String::new(),
            image: String::new(),
            network: String::new(),
        };
        cloud.log_in();
        cloud
    }

    fn log_in(&mut self) {
        let login = self.login.clone();
        let user = json!({
            "name": login.username, "password": login.password, "domain": {"name": login.user_domain_name},
        });
        let project = json!({"name": login.project_name, "domain": {"name": login.project_domain_name}});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": project},
        }});
        let request = self.client.post(format!("{}/auth/tokens", login.auth_url)).json(&body);
        let (token, answer) = self.runtime.block_on(async {
            let response = request.send().await.and_then(reqwest::Response::error_for_status);
            let response = response.unwrap_or_else(|error| panic!("Keystone: {error}. {HOW}"));
            let token = response.headers()["x-subject-token"].to_str().unwrap().to_owned();
            (token, response.json::<Value>().await.unwrap())
        });
        let endpoint = |kind: &str| {
            let catalog = answer["token"]["catalog"].as_array().unwrap();
            let service = catalog.iter().find(|service| service["type"] == kind);
            let endpoints = service.unwrap_or_else(|| panic!("no {kind} service"))["endpoints"].as_array();
            let public = endpoints.unwrap().iter().find(|endpoint| endpoint["interface"] == "public");
            public.unwrap()["url"].as_str().unwrap().trim_end_matches('/').to_owned()
        };
        self.token = token;
        (self.compute, self.image, self.network) =
            (endpoint("compute"), endpoint("image"), endpoint("network"));
    }

    fn ask(&self, method: reqwest::Method, url: &str) -> Result<Value, String> {
        let request = self
            .client
            .request(method, url)
            .header("x-auth-token", &self.token)
            .header("openstack-api-version", COMPUTE_VERSION);
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = response.bytes().await.map_err(|error| error.to_string())?;
            let deleted_already = status == reqwest::StatusCode::NOT_FOUND;
            if !status.is_success() && !deleted_already {
                return Err(format!("{url}: {status}: {}", String::from_utf8_lossy(&body)));
            }
            Ok(serde_json::from_slice(&body).unwrap_or_default())
        })
    }

    fn list(&self, url: &str, what: &str) -> Result<Vec<Value>, String> {
        let mut answer = self.ask(reqwest::Method::GET, url)?;
        match answer[what].take() {
            Value::Array(list) => Ok(list),
            _ => Err(format!("{url} lists no {what}")),
        }
    }

    /// All servers of the project.
    pub(crate) fn servers(&self) -> Result<Vec<Value>, String> {
        self.list(&format!("{}/servers/detail?limit=1000", self.compute), "servers")
    }

    /// All servers that were made, changed or deleted since then.
    pub(crate) fn servers_since(&self, moment: DateTime<Utc>) -> Result<Vec<Value>, String> {
        let since = moment.format("%FT%TZ");
        self.list(&format!("{}/servers/detail?limit=1000&changes-since={since}", self.compute), "servers")
    }

    /// All images that belong to the project.
    pub(crate) fn images(&self) -> Result<Vec<Value>, String> {
        self.list(&format!("{}/v2/images?visibility=private&limit=1000", self.image), "images")
    }

    /// All keypairs of the user.
    pub(crate) fn keypairs(&self) -> Result<Vec<Value>, String> {
        let pairs = self.list(&format!("{}/os-keypairs", self.compute), "keypairs")?;
        Ok(pairs.into_iter().map(|mut pair| pair["keypair"].take()).collect())
    }

    /// All floating IPs of the project.
    pub(crate) fn floating_ips(&self) -> Result<Vec<Value>, String> {
        self.list(&format!("{}/v2.0/floatingips", self.network), "floatingips")
    }

    /// The id of the network of that name.
    pub(crate) fn network_id(&self, name: &str) -> String {
        let found = self.list(&format!("{}/v2.0/networks?name={name}", self.network), "networks").unwrap();
        text(found.first().unwrap_or_else(|| panic!("no network {name}. {HOW}")), "id").to_owned()
    }

    /// The ports of a server.
    pub(crate) fn ports(&self, server: &str) -> Vec<Value> {
        self.list(&format!("{}/v2.0/ports?device_id={server}", self.network), "ports").unwrap()
    }

    pub(crate) fn delete_floating_ip(&self, id: &str) -> Result<(), String> {
        self.ask(reqwest::Method::DELETE, &format!("{}/v2.0/floatingips/{id}", self.network)).map(drop)
    }

    pub(crate) fn delete_server(&self, id: &str) -> Result<(), String> {
        self.ask(reqwest::Method::DELETE, &format!("{}/servers/{id}", self.compute)).map(drop)
    }

    pub(crate) fn delete_image(&self, id: &str) -> Result<(), String> {
        self.ask(reqwest::Method::DELETE, &format!("{}/v2/images/{id}", self.image)).map(drop)
    }

    pub(crate) fn delete_keypair(&self, name: &str) -> Result<(), String> {
        self.ask(reqwest::Method::DELETE, &format!("{}/os-keypairs/{name}", self.compute)).map(drop)
    }

    /// What the `openstack` command prints. It must succeed.
    pub(crate) fn openstack(&self, words: &[&str]) -> String {
        self.openstack_as("devcloud", words)
    }

    /// The same with the rights of the cloud's administrator.
    pub(crate) fn openstack_as_admin(&self, words: &[&str]) -> String {
        self.openstack_as("devcloud-admin", words)
    }

    fn openstack_as(&self, user: &str, words: &[&str]) -> String {
        // The one that came with the cloud: another one may stand before it in the PATH.
        let client = Path::new("/usr/bin/openstack");
        assert!(client.exists(), "{} is missing. {HOW}", client.display());
        let output =
            self.point(&mut Command::new(client)).env("OS_CLOUD", user).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Has a command find this cloud, and nothing that this shell was set up for.
    pub(crate) fn point<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["OS_", "NODEPOOL_", "RUST_LOG"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        command.env("OS_CLIENT_CONFIG_FILE", &self.clouds_yaml)
    }
}

/// The installation that marked a server or an image, if one did.
pub(crate) fn installation(thing: &Value) -> Option<&str> {
    // Images have their properties beside their fields.
    [&thing["metadata"]["nodepool_installation"], &thing["nodepool_installation"]]
        .into_iter()
        .find_map(Value::as_str)
}

/// The mark on a floating IP, if its description is one.
pub(crate) fn mark(floating_ip: &Value) -> Option<BTreeMap<String, String>> {
    serde_json::from_str(floating_ip["description"].as_str()?).ok()
}

/// The text of a field.
pub(crate) fn text<'v>(thing: &'v Value, field: &str) -> &'v str {
    thing[field].as_str().unwrap_or_else(|| panic!("no {field} in {thing}"))
}
