//! nodepool-sandbox: an OpenStack cloud and a Jenkins on one machine, on loopback, for trying, testing and rehearsing.

use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Parser;
use nodepool::sandbox::Sandbox;
use nodepool::sandbox::faults::Faults;
use nodepool::sandbox::jenkins::settings::{Gearman, JenkinsSettings, KeyFile, Traffic};
use nodepool::sandbox::random;
use nodepool::sandbox::settings::{NETWORK, POOL, Settings};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

/// A cloud on one machine, for trying, testing and rehearsing.
///
/// Serves Keystone, Nova, Glance and Neutron on 127.0.0.1. Each server gets a loopback address with its own ssh
/// server, and runs commands for real in a file tree of its own (needs the package bubblewrap). With --jenkins there is a
/// Jenkins beside it, whose agents are such servers and whose builds run on them.
#[derive(Parser)]
#[command(name = "nodepool-sandbox", version)]
struct Arguments {
    /// TCP port of the API on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 5050)]
    port: u16,
    /// TCP port on which servers answer ssh, each on its own address
    #[arg(long, default_value_t = 2222)]
    ssh_port: u16,
    /// First loopback address of servers
    #[arg(long, default_value = "127.77.0.1")]
    first_address: Ipv4Addr,
    /// Folder for images and servers, emptied at start and end [default: ~/.local/state/nodepool-sandbox]
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Where to write the clouds.yaml [default: clouds.yaml in the state folder]
    #[arg(long, value_name = "FILE")]
    clouds_yaml: Option<PathBuf>,
    /// Leave the state folder in place at the end
    #[arg(long)]
    keep: bool,
    /// Name of the image that is there at start
    #[arg(long, default_value = "debian-12")]
    image: String,
    /// Names of the private networks; the first has a router to the network `public`, the pool of floating IPs
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', default_value = NETWORK)]
    networks: Vec<String>,
    /// Users of that image, who may log in with the server's keypair
    #[arg(long, value_delimiter = ',', default_value = "root,debian")]
    users: Vec<String>,
    /// How long a token is valid, such as 30s or 1h
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    token_life: Duration,
    /// Password of the user `sandbox`; a random one when not given
    #[arg(long, env = "NODEPOOL_SANDBOX_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// How the cloud behaves, as a file in YAML or JSON
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// One setting of the faults, such as quota.instances=5 or boot-seconds={min: 1, max: 3}; repeatable
    #[arg(long = "fault", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Seconds until a server is ACTIVE: a number, or MIN..MAX
    #[arg(long, value_name = "SECONDS")]
    boot_time: Option<String>,
    /// Seconds from ACTIVE until the address is listed
    #[arg(long, value_name = "SECONDS")]
    address_delay: Option<String>,
    /// Seconds from ACTIVE until a server answers ssh
    #[arg(long, value_name = "SECONDS")]
    ssh_delay: Option<String>,
    /// Seconds until a deleted server is gone
    #[arg(long, value_name = "SECONDS")]
    delete_time: Option<String>,
    /// Seconds until a snapshot is active
    #[arg(long, value_name = "SECONDS")]
    snapshot_time: Option<String>,
    /// Quota of servers; -1 is no limit
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    quota_instances: Option<i64>,
    /// Quota of floating IPs; -1 is no limit
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    quota_floating_ips: Option<i64>,
    /// Quota of virtual processors; -1 is no limit
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    quota_cores: Option<i64>,
    /// Quota of memory; -1 is no limit
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    quota_ram: Option<i64>,
    /// Start of the random numbers
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    #[command(flatten)]
    ci: Ci,
}

/// The Jenkins beside the cloud.
#[derive(clap::Args)]
struct Ci {
    /// Serve a Jenkins on this address and port, such as 127.0.0.1:8080; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    jenkins: Option<SocketAddr>,
    /// What the paths of the Jenkins start with, such as /jenkins
    #[arg(long, value_name = "PATH", default_value = "", requires = "jenkins")]
    jenkins_prefix: String,
    /// The user of the Jenkins
    #[arg(long, value_name = "NAME", default_value = "admin", requires = "jenkins")]
    jenkins_user: String,
    /// The user's password; a random one when not given
    #[arg(long, env = "NODEPOOL_SANDBOX_JENKINS_PASSWORD", hide_env_values = true, requires = "jenkins")]
    jenkins_password: Option<String>,
    /// The user's API token; a random one, which is printed, when not given
    #[arg(long, env = "NODEPOOL_SANDBOX_JENKINS_TOKEN", hide_env_values = true, requires = "jenkins")]
    jenkins_token: Option<String>,
    /// A credential that the Jenkins has: its id, a user, and the file with the user's private key; repeatable
    #[arg(long = "jenkins-key", value_name = "ID:USER:FILE", requires = "jenkins", value_parser = key_file)]
    jenkins_keys: Vec<KeyFile>,
    /// Publish job events over ZMQ on this address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", requires = "jenkins")]
    zmq: Option<SocketAddr>,
    /// Register executors with the Gearman server at this address
    #[arg(long, value_name = "ADDRESS:PORT", requires = "jenkins")]
    gearman: Option<SocketAddr>,
    /// Start Debian's gearmand at that address (127.0.0.1:4730 unless --gearman says otherwise; port 0 takes a free one)
    #[arg(long, requires = "jenkins")]
    start_gearmand: bool,
    /// Submit jobs for the labels that there are: `steady`, `burst`, or a file of lines AFTER JOB LABEL SECONDS
    #[arg(long, value_name = "steady|burst|FILE", requires = "jenkins")]
    jobs: Option<String>,
}

impl Ci {
    fn settings(self) -> Result<Option<JenkinsSettings>> {
        let Some(address) = self.jenkins else { return Ok(None) };
        let prefix = self.jenkins_prefix.trim_end_matches('/');
        if !prefix.is_empty() && !prefix.starts_with('/') {
            bail!("--jenkins-prefix {prefix}: must start with /");
        }
        let secret = |given: Option<String>| SecretString::from(given.unwrap_or_else(random::secret));
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 4730));
        let gearman = (self.start_gearmand || self.gearman.is_some())
            .then(|| Gearman { address: self.gearman.unwrap_or(usual), start: self.start_gearmand });
        let traffic = match self.jobs.as_deref() {
            None => None,
            Some("steady") => Some(Traffic::Steady),
            Some("burst") => Some(Traffic::Burst),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("--jobs {path}"))?;
                Some(Traffic::from_list(&text).map_err(|why| anyhow!("--jobs {path}: {why}"))?)
            }
        };
        Ok(Some(JenkinsSettings {
            address,
            prefix: prefix.to_owned(),
            user: self.jenkins_user,
            password: secret(self.jenkins_password),
            token: secret(self.jenkins_token),
            keys: self.jenkins_keys,
            zmq: self.zmq,
            gearman,
            traffic,
        }))
    }
}

/// Reads `ID:USER:FILE`.
fn key_file(text: &str) -> Result<KeyFile, String> {
    let mut parts = text.splitn(3, ':').filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(id), Some(user), Some(path)) => {
            Ok(KeyFile { id: id.into(), user: user.into(), path: path.into() })
        }
        _ => Err("expected ID:USER:FILE, such as pool:jenkins:/home/me/.ssh/id_ed25519".into()),
    }
}

impl Arguments {
    /// The faults of the file, with the flags laid over them.
    fn faults(&self) -> Result<Faults> {
        let mut faults = match &self.faults {
            None => Faults::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
                Faults::from_text(&text).with_context(|| path.display().to_string())?
            }
        };
        let spans = [
            ("boot-seconds", &self.boot_time),
            ("address-seconds", &self.address_delay),
            ("ssh-seconds", &self.ssh_delay),
            ("delete-seconds", &self.delete_time),
            ("snapshot-seconds", &self.snapshot_time),
        ];
        for (key, span) in spans {
            let Some(span) = span else { continue };
            let value = span.split_once("..").map(|(min, max)| format!("{{min: {min}, max: {max}}}"));
            faults = faults.with_setting(&format!("{key}={}", value.as_deref().unwrap_or(span)))?;
        }
        let numbers = [
            ("quota.instances", self.quota_instances.map(|number| number.to_string())),
            ("quota.floating-ips", self.quota_floating_ips.map(|number| number.to_string())),
            ("quota.cores", self.quota_cores.map(|number| number.to_string())),
            ("quota.ram-mb", self.quota_ram.map(|number| number.to_string())),
            ("seed", self.seed.map(|number| number.to_string())),
        ];
        for (key, number) in numbers {
            if let Some(number) = number {
                faults = faults.with_setting(&format!("{key}={number}"))?;
            }
        }
        for setting in &self.settings {
            faults = faults.with_setting(setting)?;
        }
        Ok(faults)
    }

    fn settings(self) -> Result<Settings> {
        if !self.first_address.is_loopback() {
            bail!("--first-address {}: must be inside 127.0.0.0/8", self.first_address);
        }
        if let Some(user) = self.users.iter().find(|user| !is_user_name(user)) {
            bail!("--users: {user:?} cannot be a user's name");
        }
        let twice = |name: &String| self.networks.iter().filter(|other| *other == name).count() > 1;
        if let Some(name) =
            self.networks.iter().find(|name| name.is_empty() || name.as_str() == POOL || twice(name))
        {
            bail!("--networks: {name:?} is empty, there twice, or the name of the external network");
        }
        let state_dir = match self.state_dir {
            Some(folder) => std::path::absolute(folder)?,
            None => default_state_dir()?,
        };
        Ok(Settings {
            port: self.port,
            ssh_port: self.ssh_port,
            first_address: self.first_address,
            state_dir,
            clouds_yaml: self.clouds_yaml.map(std::path::absolute).transpose()?,
            keep: self.keep,
            base_image: self.image,
            networks: self.networks,
            users: self.users,
            token_life: self.token_life,
            password: SecretString::from(self.password.unwrap_or_else(random::secret)),
            application_secret: SecretString::from(random::secret()),
            jenkins: self.ci.settings()?,
        })
    }
}

fn is_user_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits)
}

fn default_state_dir() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    let state = state.or_else(home).context("HOME is not set: name a folder with --state-dir")?;
    Ok(state.join("nodepool-sandbox"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,nodepool=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let arguments = Arguments::parse();
    let faults = arguments.faults()?;
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sandbox, doors) = Sandbox::start(arguments.settings()?, faults).await?;
    let clouds_yaml = sandbox.clouds_yaml();
    let ready = format!(
        "nodepool-sandbox is ready on {url}\n  export OS_CLIENT_CONFIG_FILE={} OS_CLOUD=sandbox\n  \
         openstack image list\n  curl {url}/sandbox/faults\n{}",
        clouds_yaml.display(),
        sandbox.jenkins_told(),
        url = sandbox.base_url(),
    );
    // In one piece: whoever waits for the first line may not read on. It runs on also when nobody reads.
    if let Err(error) = std::io::stdout().write_all(ready.as_bytes()) {
        tracing::warn!(%error, "cannot write to the standard output");
    }
    let until = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    sandbox.serve(doors, until).await?;
    Ok(())
}
