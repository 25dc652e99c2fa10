//! What the program tells about itself: every metric and every log target, in one table each.
//!
//! The values of labels come from the configuration and from fixed words only, so that no cloud and no job can make the
//! number of series grow.

mod flow;
mod launches;
mod log;
mod metrics;
mod outputs;
mod rotate;
mod statsd;
mod stock;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use launches::Move;
pub use log::{LogFormat, log};
pub use metrics::{EventOutcome, Found, Metrics, Pace};
pub use outputs::{LogGuard, is_journal, log_to};
pub use statsd::{DEFAULT_PORT as STATSD_PORT, Statsd};
pub use stock::Pool;

use crate::model::{Node, NodeState, Resource, Setback, Timestamp, Usage};
use crate::plan::{BreakerState, Plan};

/// A metric: its name, its labels, what it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

const fn metric(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, labels, help }
}

/// Nodes now.
pub const NODES: Metric = metric(
    "nodepool_nodes",
    &["provider", "label", "state"],
    "Nodes now, by provider, label and state (building, test, ready, used, hold, delete)",
);
/// Subnodes now.
pub const SUBNODES: Metric = metric(
    "nodepool_subnodes",
    &["provider", "label", "state"],
    "Subnodes now, by provider, label and state: together with the nodes, all servers of nodes",
);
/// Images now.
pub const IMAGES: Metric = metric(
    "nodepool_images",
    &["provider", "image", "state"],
    "Snapshot images now, by provider, image and state (building, ready, delete)",
);
/// The watermark of a label.
pub const MIN_READY: Metric = metric(
    "nodepool_min_ready",
    &["label"],
    "Spare nodes to keep ready, as configured; -1 for a label switched off",
);
/// The watermark of a label as it is now.
pub const SPARES_WANTED: Metric = metric(
    "nodepool_spares_wanted",
    &["label"],
    "Spare nodes to keep ready now, by min-ready, headroom and schedule; -1 for a label switched off",
);
/// The limit of a provider.
pub const MAX_SERVERS: Metric = metric(
    "nodepool_max_servers",
    &["provider"],
    "The most servers that may exist at once, as configured; -1 for a provider that is drained",
);
/// What a project may have.
pub const QUOTA_LIMIT: Metric = metric(
    "nodepool_quota_limit",
    &["provider", "resource"],
    "How much of a resource the project may have (instances, cores, ram_mib, ports, floating_ips), as the cloud told last; \
     -1 where it sets no limit",
);
/// What a project has.
pub const QUOTA_USED: Metric = metric(
    "nodepool_quota_used",
    &["provider", "resource"],
    "How much of a resource the project has, whoever made it: as the cloud told last, and what was asked for since",
);
/// What failed several times in a row.
pub const BREAKERS: Metric = metric(
    "nodepool_breakers",
    &["provider", "kind", "state"],
    "Labels, images, zones, snapshots, targets and whole providers where launches or builds failed several times in a row: \
     open (left alone for a while) or half-open (one node tries it)",
);
/// What was left behind.
pub const LEFTOVERS: Metric = metric(
    "nodepool_leftovers",
    &["provider", "fate"],
    "Things on a cloud that carry our mark and have no row, by what becomes of them (watched, deleted, stopped: a cleanup \
     that would delete so much waits for `nodepool gc --confirm`)",
);
/// Calls to clouds.
pub const CLOUD_CALLS: Metric = metric(
    "nodepool_cloud_calls_total",
    &["provider", "operation", "outcome"],
    "Calls to clouds that ended, by outcome (ok, not_found, quota, throttled, transient, rejected, auth_failed)",
);
/// How long calls to clouds took.
pub const CLOUD_CALL_SECONDS: Metric =
    metric("nodepool_cloud_call_seconds", &["provider", "operation"], "How long calls to clouds took");
/// Calls to targets.
pub const TARGET_CALLS: Metric = metric(
    "nodepool_target_calls_total",
    &["target", "operation", "outcome"],
    "Calls to targets (a Jenkins, launchers behind Gearman) that ended, by outcome (ok, not_found, busy, unavailable, \
     rejected, auth_failed, quieting_down)",
);
/// How long calls to targets took.
pub const TARGET_CALL_SECONDS: Metric =
    metric("nodepool_target_call_seconds", &["target", "operation"], "How long calls to targets took");
/// Ticks.
pub const TICKS: Metric =
    metric("nodepool_ticks_total", &[], "Times that everything was looked at and decided again");
/// How long ticks took.
pub const TICK_SECONDS: Metric = metric(
    "nodepool_tick_seconds",
    &[],
    "How long it took to look at everything, decide, and write down what to do",
);
/// Launches.
pub const LAUNCHES: Metric = metric(
    "nodepool_launches_total",
    &["provider", "label", "outcome"],
    "Nodes that became ready or failed on the way, by outcome (ready, failed)",
);
/// How long launches took as a whole.
pub const LAUNCH_SECONDS: Metric = metric(
    "nodepool_launch_seconds",
    &["provider", "outcome"],
    "How long launches of nodes took from the decision to the end, by outcome (ready, failed)",
);
/// How long each phase of a launch took.
pub const LAUNCH_PHASE_SECONDS: Metric = metric(
    "nodepool_launch_phase_seconds",
    &["provider", "phase", "outcome"],
    "How long each phase of a launch took (create, boot, address, ssh, ready-script, enroll, test), by outcome (ok, failed)",
);
/// How long jobs waited.
pub const QUEUE_WAIT_SECONDS: Metric = metric(
    "nodepool_queue_wait_seconds",
    &["label"],
    "How long jobs waited, from when their demand was seen until a node of the label was used; the oldest is taken to go first",
);
/// Jobs that ask for nodes.
pub const DEMAND: Metric = metric(
    "nodepool_demand",
    &["label"],
    "Nodes that jobs ask for, those that run included; without spare ones",
);
/// Nodes that are missing.
pub const DEFICIT: Metric = metric(
    "nodepool_deficit",
    &["label"],
    "Nodes that are missing: wanted by jobs or as spare ones, and neither there nor on their way when the last plan began",
);
/// Demand that nobody can meet.
pub const UNKNOWN_DEMAND: Metric =
    metric("nodepool_unknown_demand", &[], "Jobs that ask for labels that are not in the configuration");
/// Servers at a provider.
pub const SERVERS: Metric = metric(
    "nodepool_servers",
    &["provider"],
    "Servers that exist or may come to exist: of nodes, builders and leaked ones, as max-servers counts them",
);
/// Room at a provider.
pub const CAPACITY: Metric =
    metric("nodepool_capacity", &["provider"], "Servers that still fit below max-servers");
/// The oldest node in each state.
pub const OLDEST_NODE_SECONDS: Metric = metric(
    "nodepool_oldest_node_seconds",
    &["label", "state"],
    "For how long the node of this label that has been in this state longest has been in it; 0 where there is none",
);
/// The age of images.
pub const IMAGE_AGE_SECONDS: Metric = metric(
    "nodepool_image_age_seconds",
    &["provider", "image"],
    "How long ago the build of the image that nodes boot from was decided; no value where no image is ready",
);
/// Held nodes.
pub const HELD_NODES: Metric = metric(
    "nodepool_held_nodes",
    &["label", "by"],
    "Nodes that are held: by a person, or by a rule for failed jobs (person, rule)",
);
/// Leaks found.
pub const LEAKS_FOUND: Metric = metric(
    "nodepool_leaks_found_total",
    &["place", "kind"],
    "Things that carry our mark and belong to no row, by provider or target and kind (server, snapshot, keypair, floating_ip, port, volume, agent)",
);
/// Leaks removed.
pub const LEAKS_REMOVED: Metric = metric(
    "nodepool_leaks_removed_total",
    &["place", "kind"],
    "Leaks whose deletion was accepted, by provider or target and kind",
);
/// Time that nodes spent.
pub const NODE_SECONDS: Metric = metric(
    "nodepool_node_seconds_total",
    &["provider", "label", "state"],
    "Time that all nodes together spent in each state: ready is idle, used is busy",
);
/// Reloads.
pub const CONFIG_RELOADS: Metric = metric(
    "nodepool_config_reloads_total",
    &["outcome"],
    "Times that the configuration files were read, by outcome (ok, refused)",
);
/// How long the store took.
pub const STORE_SECONDS: Metric =
    metric("nodepool_store_seconds", &["operation"], "How long calls to the store took (read, write)");
/// Calls that had to wait for their turn.
pub const CALLS_PUT_OFF: Metric = metric(
    "nodepool_calls_put_off_total",
    &["provider"],
    "Calls to clouds that were due and had to wait because of the rate or because the cloud asked to slow down",
);
/// How long the next call has to wait.
pub const PACE_WAIT_SECONDS: Metric = metric(
    "nodepool_pace_wait_seconds",
    &["provider"],
    "How long the call that was due last had to wait; 0 when it did not",
);
/// Failures in a row.
pub const SETBACK_FAILURES: Metric = metric(
    "nodepool_setback_failures",
    &["kind", "place", "name"],
    "Failures in a row that nothing has succeeded since: of image builds, launches, capacity, zones, at targets",
);
/// Pauses after failures.
pub const SETBACK_PAUSE_SECONDS: Metric = metric(
    "nodepool_setback_pause_seconds",
    &["kind", "place", "name"],
    "How long nothing is tried because of these failures, from now; 0 when the next look tries again",
);
/// Targets.
pub const TARGET_UP: Metric = metric(
    "nodepool_target_up",
    &["target"],
    "1 while the target takes nodes, 0 while it cannot be read, shuts down or refuses what is enrolled",
);
/// Whether the configuration that is on the disk is the one in use.
pub const CONFIG_RELOAD_OK: Metric = metric(
    "nodepool_config_reload_ok",
    &[],
    "1 when the configuration files are in use as they are now; 0 when they have errors and older ones are in use",
);
/// Questions to Gearman servers.
pub const GEARMAN_ASKS: Metric = metric(
    "nodepool_gearman_asks_total",
    &["server", "outcome"],
    "Questions to Gearman servers about their queues, by outcome (ok, late, no_connection, tls, broken, nonsense, silent); \
     what is late is counted again when it ends",
);
/// Whether Gearman servers answer.
pub const GEARMAN_SERVER_UP: Metric = metric(
    "nodepool_gearman_server_up",
    &["server"],
    "1 while the Gearman server tells its queues in time, 0 while what it told before counts, or nothing",
);
/// Job events.
pub const JOB_EVENTS: Metric = metric(
    "nodepool_job_events_total",
    &["source", "outcome"],
    "What was told about jobs, by a publisher or the webhook, by outcome (written, ignored, unreadable, lost)",
);
/// Publishers of job events.
pub const PUBLISHER_CONNECTED: Metric = metric(
    "nodepool_zmq_publisher_connected",
    &["publisher"],
    "1 while the job events that this publisher publishes are heard, 0 while they are missed",
);
/// The version.
pub const BUILD_INFO: Metric =
    metric("nodepool_build_info", &["version"], "Always 1; the version is in the label");

/// Every metric. Those of the process (memory, file descriptors, CPU time) come on top.
pub const METRICS: [Metric; 44] = [
    NODES,
    SUBNODES,
    IMAGES,
    MIN_READY,
    SPARES_WANTED,
    MAX_SERVERS,
    QUOTA_LIMIT,
    QUOTA_USED,
    LEFTOVERS,
    BREAKERS,
    CLOUD_CALLS,
    CLOUD_CALL_SECONDS,
    TARGET_CALLS,
    TARGET_CALL_SECONDS,
    TICKS,
    TICK_SECONDS,
    LAUNCHES,
    LAUNCH_SECONDS,
    LAUNCH_PHASE_SECONDS,
    QUEUE_WAIT_SECONDS,
    DEMAND,
    DEFICIT,
    UNKNOWN_DEMAND,
    SERVERS,
    CAPACITY,
    OLDEST_NODE_SECONDS,
    IMAGE_AGE_SECONDS,
    HELD_NODES,
    LEAKS_FOUND,
    LEAKS_REMOVED,
    NODE_SECONDS,
    CONFIG_RELOADS,
    STORE_SECONDS,
    CALLS_PUT_OFF,
    PACE_WAIT_SECONDS,
    SETBACK_FAILURES,
    SETBACK_PAUSE_SECONDS,
    TARGET_UP,
    CONFIG_RELOAD_OK,
    GEARMAN_ASKS,
    GEARMAN_SERVER_UP,
    JOB_EVENTS,
    PUBLISHER_CONNECTED,
    BUILD_INFO,
];

/// Every log target, for filters such as `info,nodepool.image.build=off`, and what is logged there.
pub const LOG_TARGETS: [(&str, &str); 12] = [
    ("nodepool.node", "a node's row changed, and why"),
    ("nodepool.image", "an image's row changed, and why"),
    ("nodepool.image.build", "the lines that setup scripts print"),
    ("nodepool.node.ready", "the lines that ready scripts print, at debug"),
    ("nodepool.engine", "the loop: leases, stores and work that broke off"),
    ("nodepool.target", "where demand comes from: Gearman servers that do not answer"),
    ("nodepool.events", "what is told about jobs: who is heard, what cannot be written down"),
    ("nodepool.cron", "what the clock asks for"),
    ("nodepool.web", "the web page: a store that did not answer, and what is asked for over HTTP"),
    ("nodepool.http", "each exchange with a cloud or a Jenkins, at debug, with its secrets masked"),
    ("nodepool.log", "the log itself"),
    ("nodepool.stack_dump", "what everything waits for, when USR2 asks"),
];

/// The target of the spans that say whose a line is: node, image, attempt, provider, target, request id. They are in every
/// log, whatever is filtered.
pub const SPANS: &str = "nodepool.span";

/// What the last tick decided.
#[derive(Clone, Debug, Default)]
pub struct LastTick {
    /// When; the epoch when there was none yet.
    pub at: Timestamp,
    /// What was decided.
    pub plan: Arc<Plan>,
    /// Why the last try to tick failed, if it did.
    pub trouble: Option<String>,
    /// The pool as that tick saw it.
    pub census: Census,
    /// What the clouds told of their limits, as it was read last.
    pub usage: Arc<QuotaUsage>,
    /// What failed several times in a row.
    pub breakers: Arc<Vec<Breaker>>,
}

/// Something that failed several times in a row, and how its breaker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// What failed.
    pub setback: Setback,
    /// Open or half-open.
    pub state: BreakerState,
}

impl Breaker {
    /// Those that are not closed.
    pub fn not_closed(setbacks: &[Setback], now: Timestamp) -> Vec<Self> {
        let all = setbacks.iter();
        let all = all.map(|one| Self { setback: one.clone(), state: BreakerState::of(one, now) });
        all.filter(|one| one.state != BreakerState::Closed).collect()
    }
}

/// What the clouds told of their limits, by provider and resource.
pub type QuotaUsage = BTreeMap<String, BTreeMap<Resource, Usage>>;

/// The pool in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Nodes that wait for a job.
    pub ready: usize,
    /// Nodes on their way.
    pub building: usize,
    /// Nodes that a job or a person has.
    pub busy: usize,
    /// Nodes that go.
    pub going: usize,
    /// Jobs that ask for nodes; `None` when nothing tells.
    pub demand: Option<u32>,
}

impl Census {
    /// Counts what a tick saw.
    pub fn of(nodes: &[Node], demand: Option<&BTreeMap<String, u32>>) -> Self {
        let count = |fits: fn(NodeState) -> bool| nodes.iter().filter(|node| fits(node.state)).count();
        Self {
            ready: count(|state| state == NodeState::Ready),
            building: count(|state| matches!(state, NodeState::Building(_))),
            busy: count(|state| matches!(state, NodeState::Test | NodeState::Used | NodeState::Hold)),
            going: count(|state| state == NodeState::Delete),
            demand: demand.map(|demand| demand.values().fold(0_u32, |sum, jobs| sum.saturating_add(*jobs))),
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ready, {} building, {} busy, {} going",
            self.ready, self.building, self.busy, self.going
        )?;
        match self.demand {
            Some(demand) => write!(f, ", demand {demand}"),
            None => Ok(()),
        }
    }
}
