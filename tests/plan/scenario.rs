//! How a situation is written down. Whatever is left out has its usual value, so that a file shows what it is about.
//!
//! Times are seconds before the moment of the plan; those of `until` are seconds after it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The first document of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is about.
    #[serde(rename = "about")]
    pub _about: String,
    /// What somebody asks about, in the situations of `tests/plan/why/`.
    pub why: Option<String>,
    /// The configuration: a file of `tests/plan/pools/`.
    #[serde(default = "one")]
    pub pool: String,
    /// Providers of the pool that left the configuration and are still cleaned up.
    #[serde(default)]
    pub retired: Vec<String>,
    /// Those of them whose names other places have now.
    #[serde(default)]
    pub replaced: Vec<String>,
    #[serde(default)]
    pub nodes: Vec<NodeRow>,
    #[serde(default)]
    pub images: Vec<ImageRow>,
    #[serde(default)]
    pub wishes: Vec<WishRow>,
    #[serde(default)]
    pub events: Vec<EventRow>,
    #[serde(default)]
    pub setbacks: Vec<SetbackRow>,
    /// What differs from a cloud that was listed lately and shows the rows' servers. By provider.
    #[serde(default)]
    pub clouds: BTreeMap<String, CloudPart>,
    /// What the targets show that have agents. By target; one that is left out takes nodes as they are.
    #[serde(default)]
    pub targets: BTreeMap<String, TargetPart>,
    /// Rules for jobs that fail: how many nodes are held for each.
    #[serde(default)]
    pub job_rules: BTreeMap<String, u32>,
    /// The leak-limit of the configuration, in percent; left out: its usual value.
    pub leak_limit: Option<u32>,
    /// The delete-delay of the configuration.
    #[serde(default)]
    pub delete_delay: u64,
    /// Jobs that wait in the queues of Jenkins, for each label; left out: nothing tells.
    pub queued: Option<BTreeMap<String, u32>>,
    /// Jobs for each label; left out: nothing tells.
    pub demand: Option<BTreeMap<String, u32>>,
    /// Who asked for nodes and got none, and since when.
    #[serde(default)]
    pub waiting: WaitingPart,
    /// Errands under way, as text.
    #[serde(default)]
    pub in_flight: Vec<String>,
    #[serde(default)]
    pub tries: Vec<TryRow>,
    /// What checks showed.
    #[serde(default)]
    pub checks: Vec<CheckRow>,
    /// What the daemon must not do: `deletes`, `launches`, `images`.
    #[serde(default)]
    pub forbidden: Vec<String>,
}

/// A row of the node table.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the row")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRow {
    pub id: i64,
    /// The word of its state, and of its step.
    pub state: String,
    #[serde(default = "small")]
    pub label: String,
    #[serde(default = "alpha")]
    pub provider: String,
    #[serde(default = "jenkins")]
    pub target: String,
    /// The image that it boots, by its name in the configuration.
    #[serde(default = "ubuntu")]
    pub image_name: String,
    /// The row of the snapshot that it boots.
    #[serde(default = "first")]
    pub image: i64,
    pub az: Option<String>,
    /// The node to which it belongs as a subnode.
    pub primary: Option<i64>,
    /// Its place among the subnodes of that node.
    #[serde(default)]
    pub index: u32,
    /// How many subnodes were made with it.
    #[serde(default)]
    pub subnodes: u32,
    /// The cloud's id of its server, as the row knows it.
    pub server: Option<String>,
    /// The id of a server with its tag that the row does not know of.
    pub unknown_server: Option<String>,
    /// A volume of that server which goes with it.
    pub volume: Option<String>,
    /// How the cloud lists that server; left out: it does not.
    pub shown: Option<String>,
    /// Whether only the last listing shows it.
    #[serde(default)]
    pub shown_once: bool,
    /// The address that the cloud shows; by default an ACTIVE server has one.
    pub address: Option<String>,
    pub fault: Option<String>,
    /// When the create call was made; by default 300 s ago for a server that is known.
    pub asked: Option<u64>,
    /// When it came into its state.
    #[serde(default = "minute")]
    pub since: u64,
    pub delete_called: Option<u64>,
    /// The cloud's id of its floating IP, as the row knows it.
    pub floating_ip: Option<String>,
    /// The id of a floating IP with its tag that the row does not know of.
    pub unknown_floating_ip: Option<String>,
    /// `attached`, `loose` or `no` (usual): how the cloud lists that floating IP.
    pub floating_ip_shown: Option<String>,
    /// When the call for its floating IP was made.
    pub floating_ip_asked: Option<u64>,
    /// When the target was told of it, which took it.
    pub enrolled: Option<u64>,
    /// When the target was told of it, without an answer.
    pub enroll_asked: Option<u64>,
    /// `online`, `busy`, `claimed` (a job whose address is not known), `tested` (with its test job), `offline`, `lost`, `spent`,
    /// `set-offline`, `taken` or `no` (usual): how the target lists it.
    pub agent: Option<String>,
    pub manager: Option<String>,
    #[serde(default)]
    pub test_passed: bool,
    #[serde(default)]
    pub withdrawn: bool,
    #[serde(default)]
    pub insists: bool,
    pub remark: Option<String>,
    /// The name of its job, and when it started and ended.
    pub job: Option<String>,
    pub job_started: Option<u64>,
    pub job_ended: Option<u64>,
    pub held_by: Option<String>,
    pub held_for: Option<String>,
    #[serde(default)]
    pub hold_warned: bool,
    /// When its hold ends, in seconds from now.
    pub until: Option<u64>,
    pub comment: Option<String>,
    #[serde(default)]
    pub reason: String,
}

/// A row of the image table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRow {
    pub id: i64,
    pub state: String,
    #[serde(default = "alpha")]
    pub provider: String,
    #[serde(default = "ubuntu")]
    pub image: String,
    /// The cloud's id of the snapshot, as the row knows it.
    pub snapshot: Option<String>,
    /// `active` (usual), `pending`, `unusable` or `no`.
    pub snapshot_shown: Option<String>,
    /// The id of a snapshot with its tag that the row does not know of.
    pub unknown_snapshot: Option<String>,
    /// When the call for the snapshot was made.
    pub snapshot_asked: Option<u64>,
    pub keypair: Option<String>,
    pub builder: Option<String>,
    pub builder_shown: Option<String>,
    pub builder_asked: Option<u64>,
    pub verifier: Option<String>,
    pub verifier_shown: Option<String>,
    pub verifier_asked: Option<u64>,
    pub az: Option<String>,
    /// The address that the cloud shows of its servers; by default an ACTIVE server has one.
    pub address: Option<String>,
    /// The cloud's id of the floating IP of its builder.
    pub floating_ip: Option<String>,
    pub floating_ip_asked: Option<u64>,
    pub verifier_floating_ip: Option<String>,
    /// The settings that it was built from.
    #[serde(default)]
    pub recipe: String,
    /// How many nodes became ready from it.
    #[serde(default = "many")]
    pub nodes_ready: u32,
    #[serde(default = "hour")]
    pub since: u64,
    #[serde(default)]
    pub reason: String,
}

/// What the last visit to a ready node showed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRow {
    pub node: i64,
    /// When the visit ended; it began a second before.
    pub ago: u64,
    /// How often in a row it was not reached; 0: it was.
    #[serde(default)]
    pub failures: u32,
    /// Why it was not even tried.
    pub not_tried: Option<String>,
}

/// A wish; exactly one of the first ones says what for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WishRow {
    pub hold: Option<i64>,
    pub unhold: Option<i64>,
    pub delete: Option<i64>,
    /// `provider/image`.
    pub image_update: Option<String>,
    pub image_delete: Option<i64>,
    /// `provider/server`: a server that is not ours.
    pub alien_delete: Option<String>,
    /// Whether the operator of a deletion insists.
    #[serde(default)]
    pub insists: bool,
    pub owner: Option<String>,
    /// `check`, `cleanup` or `confirm-cleanup`.
    pub clock: Option<String>,
    pub comment: Option<String>,
    pub until: Option<u64>,
    #[serde(default)]
    pub ago: u64,
}

/// News of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRow {
    /// The name of the agent: `node-ID` for a node of ours.
    pub node: String,
    pub started: Option<String>,
    pub finished: Option<String>,
    pub completed: Option<String>,
    /// `success` or `failure`.
    pub result: Option<String>,
}

/// Something that went wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetbackRow {
    /// `launch`, `image`, `capacity` or `zone`.
    pub of: String,
    #[serde(default = "alpha")]
    pub provider: String,
    #[serde(default)]
    pub name: String,
    pub failures: u32,
    pub ago: u64,
    pub reason: String,
}

/// Labels that wait.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaitingPart {
    pub jobs: BTreeMap<String, u64>,
    pub spares: BTreeMap<String, u64>,
}

/// An errand that was tried.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TryRow {
    pub errand: String,
    pub count: u32,
    pub ago: u64,
    #[serde(default)]
    pub accepted: bool,
    /// Whether a job was in the way.
    #[serde(default)]
    pub busy: bool,
}

/// What a cloud showed besides the servers and snapshots of the rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudPart {
    /// When the two last complete listings of servers began; a single one; or none.
    pub listed: Vec<u64>,
    /// When the last listing of changes began.
    pub looked: Option<f64>,
    pub images_listed: Vec<u64>,
    pub keypairs_listed: Vec<u64>,
    /// Why the last listing of servers failed.
    pub trouble: Option<String>,
    pub images_trouble: Option<String>,
    pub floating_ips_listed: Vec<u64>,
    pub floating_ips_trouble: Option<String>,
    pub floating_ips: Vec<StrayFloatingIp>,
    /// What the cloud tells of its limits; left out: it sets none.
    pub limits: LimitsPart,
    pub servers: Vec<StrayServer>,
    pub snapshots: Vec<StraySnapshot>,
    pub keypairs: Vec<StrayKeypair>,
    /// When the two last listings of ports and of volumes began.
    pub ports_listed: Vec<u64>,
    pub ports_trouble: Option<String>,
    pub ports: Vec<StrayPort>,
    pub volumes_listed: Vec<u64>,
    pub volumes_trouble: Option<String>,
    pub volumes: Vec<StrayVolume>,
    /// Servers that the cloud called gone, and when.
    pub gone: BTreeMap<String, u64>,
    /// When the last row that was there went.
    pub rowless: Option<u64>,
}

impl Default for CloudPart {
    fn default() -> Self {
        Self {
            listed: vec![70, 10],
            looked: None,
            images_listed: vec![400, 100],
            keypairs_listed: vec![400, 100],
            trouble: None,
            images_trouble: None,
            floating_ips_listed: vec![400, 100],
            floating_ips_trouble: None,
            floating_ips: Vec::new(),
            limits: LimitsPart::default(),
            servers: Vec::new(),
            snapshots: Vec::new(),
            keypairs: Vec::new(),
            ports_listed: vec![400, 100],
            ports_trouble: None,
            ports: Vec::new(),
            volumes_listed: vec![400, 100],
            volumes_trouble: None,
            volumes: Vec::new(),
            gone: BTreeMap::new(),
            rowless: None,
        }
    }
}

/// Limits of a project, each as what is used of how much. Servers of less than 4096 MiB take 2 cores and 2048 MiB, the
/// others 4 cores and 8192 MiB.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsPart {
    /// When they were read; 0: never.
    pub read: u64,
    pub trouble: Option<String>,
    pub instances: Option<[u64; 2]>,
    pub cores: Option<[u64; 2]>,
    pub ram: Option<[u64; 2]>,
    pub ports: Option<[u64; 2]>,
    pub floating_ips: Option<[u64; 2]>,
    /// Nodes whose servers were made after that, or whose answer had not come.
    pub uncounted: Vec<i64>,
    /// Nodes that went since then.
    pub went: Vec<i64>,
}

impl Default for LimitsPart {
    fn default() -> Self {
        Self {
            read: 10,
            trouble: None,
            instances: None,
            cores: None,
            ram: None,
            ports: None,
            floating_ips: None,
            uncounted: Vec::new(),
            went: Vec::new(),
        }
    }
}

/// A target that has agents.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetPart {
    /// `jenkins` (usual) or `gearman`; `left`: it is not in the configuration any more.
    pub kind: String,
    pub test_job: Option<String>,
    pub inbound: bool,
    /// Whether agents stay open to other jobs when theirs starts.
    pub left_open: bool,
    /// When the two last listings of agents began.
    pub listed: Vec<u64>,
    /// Why the last listing failed.
    pub trouble: Option<String>,
    /// Since when that is so.
    pub unreadable: Option<u64>,
    pub quieting_down: bool,
    pub agents: Vec<StrayAgent>,
}

impl Default for TargetPart {
    fn default() -> Self {
        Self {
            kind: "jenkins".to_owned(),
            test_job: None,
            inbound: false,
            left_open: false,
            listed: vec![30, 10],
            trouble: None,
            unreadable: None,
            quieting_down: false,
            agents: Vec::new(),
        }
    }
}

/// An agent that no row has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrayAgent {
    pub name: String,
    /// Its mark: `installation node`; left out: none.
    pub tag: Option<String>,
    /// Whether only the last listing shows it.
    #[serde(default)]
    pub once: bool,
}

/// A server that no row knows by its id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrayServer {
    pub id: String,
    /// Its tag: `installation kind number attempt`; left out: none.
    pub tag: Option<String>,
    /// A volume of it that goes with it.
    pub volume: Option<String>,
    /// Whether only the last listing shows it.
    #[serde(default)]
    pub once: bool,
}

/// A snapshot that no row knows by its id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StraySnapshot {
    pub id: String,
    pub tag: Option<String>,
    #[serde(default)]
    pub once: bool,
}

/// A floating IP that no row knows by its id, or one of a builder or verifier.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrayFloatingIp {
    pub id: String,
    pub tag: Option<String>,
    #[serde(default)]
    pub attached: bool,
    #[serde(default)]
    pub once: bool,
}

/// A port.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrayPort {
    pub id: String,
    /// The cloud's id of its server.
    pub server: String,
    /// Whose server that was, as the store or the port itself says; left out: nobody knows.
    pub tag: Option<String>,
    #[serde(default)]
    pub once: bool,
}

/// A volume.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrayVolume {
    pub id: String,
    #[serde(default = "available")]
    pub state: String,
    /// The server that it is attached to.
    pub server: Option<String>,
    pub tag: Option<String>,
    /// Whether the volume does not say itself what the tag says.
    #[serde(default)]
    pub unmarked: bool,
    #[serde(default)]
    pub once: bool,
}

/// A keypair.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrayKeypair {
    pub name: String,
    #[serde(default)]
    pub once: bool,
}

fn available() -> String {
    "available".to_owned()
}

fn one() -> String {
    "one".to_owned()
}

fn small() -> String {
    "small".to_owned()
}

fn alpha() -> String {
    "alpha".to_owned()
}

fn jenkins() -> String {
    "jenkins".to_owned()
}

fn ubuntu() -> String {
    "ubuntu".to_owned()
}

const fn first() -> i64 {
    1
}

const fn minute() -> u64 {
    60
}

const fn many() -> u32 {
    1000
}

const fn hour() -> u64 {
    3600
}
