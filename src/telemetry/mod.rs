//! What the program tells about itself: every metric and every log target, in one table each.
//!
//! The values of labels come from the configuration and from fixed words only, so that no cloud and no job can make the
//! number of series grow.

mod log;
mod metrics;
mod outputs;
mod rotate;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use log::{LogFormat, log};
pub use metrics::{EventOutcome, Launch, Metrics};
pub use outputs::{LogGuard, is_journal, log_to};

use crate::model::{Node, NodeState, Resource, Timestamp, Usage};
use crate::plan::Plan;

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
    "How much of a resource the project has, whoever made it, as the cloud told last",
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
pub const METRICS: [Metric; 18] = [
    NODES,
    SUBNODES,
    IMAGES,
    MIN_READY,
    MAX_SERVERS,
    QUOTA_LIMIT,
    QUOTA_USED,
    CLOUD_CALLS,
    CLOUD_CALL_SECONDS,
    TICKS,
    TICK_SECONDS,
    LAUNCHES,
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
    ("nodepool.web", "the web page: a store that did not answer"),
    ("nodepool.http", "each exchange with a cloud, at debug, with its secrets masked"),
    ("nodepool.log", "the log itself"),
    ("nodepool.stack_dump", "what everything waits for, when USR2 asks"),
];

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
