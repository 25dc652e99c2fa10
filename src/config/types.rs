//! The types of the whole configuration, as every other room reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::windows::Window;

/// The whole configuration. Maps are keyed by name; lists keep the order of the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder whose tree is copied to `/opt/nodepool-scripts` of each builder.
    pub script_dir: Option<PathBuf>,
    /// Where the store is.
    pub database: DatabaseUrl,
    /// Gearman servers whose queues tell the demand.
    pub gearman_servers: Vec<GearmanServer>,
    /// Endpoints of ZeroMQ at which Jenkins tells of its jobs: `tcp://HOST:PORT`.
    pub zmq_publishers: Vec<String>,
    /// The token with which a Jenkins may tell of its jobs over HTTP; without one nobody may.
    pub event_token: Option<SecretString>,
    /// Who may read and steer over HTTP.
    pub web: WebTokens,
    /// When what is done by the clock is done.
    pub crons: Crons,
    /// How long a node rests between its job's end and its deletion.
    pub delete_delay: Duration,
    /// The largest share, in percent, of what carries our mark at a provider that is deleted as left behind without anybody
    /// confirming it.
    pub leak_limit: u32,
    /// What is logged and where; `None` leaves it to the command line.
    pub logging: Option<Logging>,
    /// Labels in the order of the file.
    pub labels: Vec<Label>,
    /// Providers in the order of the file: this is also the order in which equal ones are preferred.
    pub providers: Vec<Provider>,
    /// Targets in the order of the file.
    pub targets: Vec<Target>,
}

/// A database URL; it may hold a password, so it is secret.
#[derive(Clone, Debug)]
pub struct DatabaseUrl(pub SecretString);

/// A Gearman server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GearmanServer {
    /// Host name or address.
    pub host: String,
    /// TCP port, 4730 unless configured.
    pub port: u16,
    /// The files for TLS; `None` speaks plainly.
    pub tls: Option<GearmanTls>,
}

/// The files with which geard and its clients know each other. All of them are PEM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GearmanTls {
    /// Our private key.
    pub key: PathBuf,
    /// Our certificate.
    pub certificate: PathBuf,
    /// The certificates of the authority that both sides trust.
    pub authority: PathBuf,
}

/// When what is done by the clock is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crons {
    /// When every image in use is built again; `None` never.
    pub image_update: Option<Cron>,
    /// When leftovers are looked for; `None` never.
    pub cleanup: Option<Cron>,
    /// When ready nodes are visited to see whether they still answer; `None` never.
    pub check: Option<Cron>,
}

/// Moments that come again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// Five or six fields with one blank between them: minute, hour, day of the month, month, day of the week, second.
    pub schedule: String,
    /// The time zone by its IANA name; `None` is the machine's own.
    pub zone: Option<String>,
}

/// What is logged and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The form of the lines.
    pub format: LogFormat,
    /// The level of what `levels` does not name.
    pub level: LogLevel,
    /// Levels by the name of a log target, which stands for those below it, too: `nodepool.image`.
    pub levels: BTreeMap<String, LogLevel>,
    /// The folder for nodepool.log, debug.log and image.log; `None` writes no files.
    pub directory: Option<PathBuf>,
    /// How many old files of each are kept.
    pub keep: u32,
}

/// The form of the lines of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object in each line.
    Json,
}

/// The least urgent of what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is doubtful.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What explains it.
    Debug,
    /// Every detail.
    Trace,
}

impl LogLevel {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word for it in a configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl LogFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The word for it in a configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A label: a kind of node that jobs ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name: the Jenkins label, and the key of demand.
    pub name: String,
    /// Name of the provider image that its nodes boot.
    pub image: String,
    /// How many spare nodes to keep ready beyond the demand; `None` when the label is switched off (`min-ready: -1`).
    pub min_ready: Option<u32>,
    /// Spare nodes for every hundred that jobs have, a part of a node as a whole one, when that is more; 0: none.
    pub headroom: u32,
    /// Windows of the week with spare nodes of their own, when that is more.
    pub schedule: Vec<Window>,
    /// Additional servers of each node.
    pub subnodes: u32,
    /// The script in the script folder that each node runs before it is ready.
    pub ready_script: Option<String>,
    /// How long the ready script may run.
    pub ready_script_timeout: Duration,
    /// How long a node may wait for a job until another one takes its place; `None`: for ever.
    pub max_ready_age: Option<Duration>,
    /// Names of the providers that may boot its nodes, in order of preference.
    pub providers: Vec<String>,
}

/// The tokens of those who read and steer over HTTP.
#[derive(Clone, Debug, Default)]
pub struct WebTokens {
    /// Opens what can be read when the port is bound beyond this machine; without one only the other token does.
    pub read_token: Option<SecretString>,
    /// Lets somebody hold and delete nodes and ask for images; it also opens what can be read. Without one nobody may steer.
    pub write_token: Option<SecretString>,
}

/// A provider: a project on a cloud, and what we may do there.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Its name in clouds.yaml, if it is described there.
    pub cloud: Option<String>,
    /// How to log in to its cloud.
    pub credentials: CloudCredentials,
    /// The deadline of each API call.
    pub api_timeout: Duration,
    /// How long a server may take from ACTIVE with an address until ssh answers.
    pub boot_timeout: Duration,
    /// How long a server may take from the create call until it is ACTIVE with an address.
    pub launch_timeout: Duration,
    /// The most servers that may exist at once, of any kind; `None` drains the provider (`max-servers: -1`).
    pub max_servers: Option<u32>,
    /// The operator's keypair to give to builders instead of one made for each build. Never deleted by us.
    pub keypair: Option<String>,
    /// The average pause between two API calls that change or list something.
    pub rate: Duration,
    /// Availability zones to choose from; empty leaves the choice to the cloud.
    pub availability_zones: Vec<String>,
    /// Networks to plug, in order; empty leaves the choice to the cloud.
    pub networks: Vec<Network>,
    /// The external network, by name or id, from which each server gets a floating IP; `None` uses no floating IPs.
    pub pool: Option<String>,
    /// Which floating IPs are looked for to delete them.
    pub clean_floating_ips: CleanFloatingIps,
    /// Security groups of every server, by name or id; empty leaves the choice to the cloud.
    pub security_groups: Vec<String>,
    /// Whether a machine whose host key is not the one that is known is refused.
    pub host_key_checking: bool,
    /// Whether to reach nodes over IPv6 when they have such an address.
    pub ipv6_preferred: bool,
    /// Template of the name of builders and snapshots: `{image.name}`, `{provider.name}`, `{timestamp}`.
    pub template_hostname: String,
    /// Its images in the order of the file.
    pub images: Vec<ProviderImage>,
    /// Whether it left the configuration and is kept only to clean up what it still has. Always `None` in what was loaded.
    pub retired: Option<Retirement>,
}

/// Which floating IPs are looked for to delete them when nothing needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanFloatingIps {
    /// Those that we made, where there is a `pool`.
    #[default]
    OfPool,
    /// Those that we made, whether there is a `pool` or not.
    Ours,
    /// Those of others as well that lead to no server.
    All,
}

/// Why a provider is kept that is not in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// It left.
    Left,
    /// Another place has its name now, and waits until it is forgotten.
    Replaced,
}

/// A network to plug into servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Which one.
    pub wanted: NetworkName,
    /// Whether its addresses can be reached from everywhere.
    pub public: bool,
}

/// How a network is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkName {
    /// By the cloud's id.
    Id(String),
    /// By its name.
    Name(String),
}

/// An image of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderImage {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: ImageSource,
    /// The least memory of the flavor, in MiB.
    pub min_ram: u32,
    /// Text that the flavor's name must contain.
    pub name_filter: Option<String>,
    /// The user to log in as on finished nodes.
    pub username: String,
    /// That user's home: the work folder of the Jenkins agent.
    pub user_home: String,
    /// The private key that opens nodes.
    pub private_key: PathBuf,
    /// The users to try on a builder, in this order.
    pub bootstrap_users: Vec<String>,
    /// Whether to ask for a config drive; `None` leaves it to the cloud.
    pub config_drive: Option<bool>,
    /// Properties of the snapshot.
    pub meta: BTreeMap<String, String>,
    /// The ssh port of builders and nodes.
    pub ssh_port: u16,
    /// The cloud's keypair to give to nodes.
    pub key_name: Option<String>,
    /// Text for cloud-init on nodes.
    pub user_data: Option<String>,
    /// The size of the volume to boot nodes from, in GiB; `None` boots from the image itself.
    pub boot_volume_gib: Option<u32>,
    /// The address at which machines are reached.
    pub connection_address: ConnectionAddress,
    /// Where the host key of a machine is known from.
    pub host_key_source: HostKeySource,
    /// Whether no new builds of it are made.
    pub pause: bool,
}

/// The address at which a machine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionAddress {
    /// The one that can be reached from everywhere: a floating IP, if it has one.
    Public,
    /// One that can be reached from inside the cloud only.
    Private,
    /// The one on the network of this name.
    Network(String),
}

/// Where the host key of a machine is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeySource {
    /// From the first time that it is reached.
    Learn,
    /// From the log of its console, where cloud-init prints it.
    Console,
    /// From us: user data sets it.
    UserData,
}

/// Where a provider image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// A snapshot that we build.
    Snapshot {
        /// The cloud's image to start from, by name or id.
        base_image: String,
        /// The script in the script folder that prepares the builder.
        setup: String,
        /// How long the setup script may run.
        setup_timeout: Duration,
    },
}

/// A target: where nodes are offered.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Template of a node's host name: `{label.name}`, `{provider.name}`, `{node_id}`, `{timestamp}`.
    pub hostname: String,
    /// Template of a subnode's host name: the fields of `hostname`, where `{node_id}` is the number of its primary, and
    /// `{subnode_id}`, its own number.
    pub subnode_hostname: String,
    /// How nodes are offered there.
    pub offer: Offer,
}

/// How nodes are offered at a target.
#[derive(Clone, Debug)]
pub enum Offer {
    /// They are ready when they are prepared; whoever wants one finds it in the store.
    Nowhere,
    /// As agents of a Jenkins controller.
    Jenkins(Box<Jenkins>),
    /// To a launcher that takes nodes over Gearman, on any of `gearman-servers`.
    Gearman,
}

/// A Jenkins controller.
#[derive(Clone, Debug)]
pub struct Jenkins {
    /// Its URL, with the path that it is served under.
    pub url: String,
    /// Who logs in.
    pub user: String,
    /// That user's API token or password.
    pub apikey: SecretString,
    /// The id of the credentials with which Jenkins logs in to nodes; `None` has us make them from the nodes' user and
    /// private key.
    pub credentials_id: Option<String>,
    /// How agents connect.
    pub launcher: Launcher,
    /// The job that a node must pass before it is ready.
    pub test_job: Option<String>,
    /// Whether what waits in Jenkins' own queue counts as demand.
    pub queue_demand: bool,
    /// Whether an agent is set offline when its job starts.
    pub close_used_agents: bool,
    /// How long an agent may take from its enrollment until it is online.
    pub enroll_timeout: Duration,
    /// The deadline of each call.
    pub api_timeout: Duration,
    /// A file with the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How the agents of a Jenkins connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// Jenkins logs in to the node over ssh.
    Ssh,
    /// The node connects to Jenkins over a WebSocket; its ready script starts the agent.
    Inbound,
}

/// How to log in to a cloud, after clouds.yaml, secure files and the environment were merged.
#[derive(Clone, Debug)]
pub struct CloudCredentials {
    /// Keystone's URL.
    pub auth_url: String,
    /// Who logs in.
    pub identity: Identity,
    /// The region to use, when the catalogue has several.
    pub region: Option<String>,
    /// `public`, `internal` or `admin`: which URLs of the catalogue to use.
    pub interface: String,
    /// The type under which the catalogue lists the compute service; `None` knows the usual ones.
    pub compute_type: Option<String>,
    /// The name of the compute service in the catalogue; `None` takes any.
    pub compute_name: Option<String>,
    /// A file with the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether TLS certificates are checked.
    pub verify: bool,
}

/// Who logs in to Keystone v3.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A user with a password, scoped to a project.
    Password {
        /// The user.
        user: Named,
        /// The password.
        password: SecretString,
        /// The project.
        project: Named,
    },
    /// An application credential, which carries its project.
    ApplicationCredential {
        /// Its id; or its name, and then the user that it belongs to.
        id: Option<String>,
        /// Its name.
        name: Option<String>,
        /// The user, needed with a name.
        user: Option<Named>,
        /// Its secret.
        secret: SecretString,
    },
}

/// A user or a project, by id or by name within a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The id, which is enough alone.
    pub id: Option<String>,
    /// The name, when there is no id.
    pub name: Option<String>,
    /// The domain of the name.
    pub domain: Option<Domain>,
}

/// A Keystone domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

impl Config {
    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// The label of this name.
    pub fn label(&self, name: &str) -> Option<&Label> {
        self.labels.iter().find(|label| label.name == name)
    }

    /// Whether anything tells how many jobs wait.
    pub fn tells_demand(&self) -> bool {
        !self.queues().is_empty() || !self.gearman_servers.is_empty()
    }

    /// The targets whose queue tells how many jobs wait. Of several that are one Jenkins it is the first, so that no job
    /// counts twice.
    pub fn queues(&self) -> Vec<&Target> {
        let mut asked = BTreeSet::new();
        let tells = |target: &&Target| match &target.offer {
            Offer::Jenkins(jenkins) if jenkins.queue_demand => {
                asked.insert(jenkins.url.trim_end_matches('/').to_owned())
            }
            Offer::Jenkins(_) | Offer::Gearman | Offer::Nowhere => false,
        };
        self.targets.iter().filter(tells).collect()
    }

    /// The target of this name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }
}

impl Provider {
    /// The image of this name.
    pub fn image(&self, name: &str) -> Option<&ProviderImage> {
        self.images.iter().find(|image| image.name == name)
    }
}
