//! What nodepool v0 told a statsd, under the names that it had, so that dashboards and alarms made for it go on.
//!
//! Each name is sent as UDP and nobody waits for it: a statsd that is away costs nothing but the numbers. Names are those
//! of nodepool 0.2 and 0.3 (`nodepool.nodes.STATE`, `nodepool.launch.SUB` and so on); times are milliseconds.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cadence::{BufferedUdpMetricSink, CountedExt as _, Gauged as _, StatsdClient, Timed as _};

use super::launches::{Ended, Move};
use crate::config::Config;
use crate::model::{Image, JobResult, JobRun, Node, NodeState, NodeStep, Timestamp};

/// The port of statsd unless `STATSD_PORT` names another one.
pub const DEFAULT_PORT: u16 = 8125;

/// The states of nodepool v0, each of which is told even when no node is in it.
const STATES: [&str; 6] = ["building", "test", "ready", "used", "hold", "delete"];

/// The least time between two reports of what there is.
const PAUSE: Duration = Duration::from_secs(5);

/// A statsd to tell.
pub struct Statsd {
    client: StatsdClient,
    to: SocketAddr,
    reported: Mutex<Option<Timestamp>>,
}

impl Statsd {
    /// A statsd at `host`, as the environment of nodepool v0 named it. Its address is looked up now.
    ///
    /// # Errors
    /// The name is not known, or no socket can be had.
    pub fn new(host: &str, port: u16, prefix: Option<&str>) -> io::Result<Self> {
        let to = (host, port).to_socket_addrs()?.next();
        let to = to.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no address"))?;
        let from: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(from)?;
        socket.set_nonblocking(true)?;
        let sink = BufferedUdpMetricSink::from(to, socket).map_err(io::Error::other)?;
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let prefix = prefix.map_or_else(|| "nodepool".to_owned(), |prefix| format!("{prefix}.nodepool"));
        Ok(Self { client: StatsdClient::from_sink(&prefix, sink), to, reported: Mutex::default() })
    }

    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.to
    }

    /// `nodepool.nodes.STATE` and the same for each target, label and provider, and the limits of the providers.
    pub(super) fn nodes<'n>(&self, now: Timestamp, config: &Config, nodes: impl Iterator<Item = &'n Node>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.is_some_and(|reported| now.since(reported) < PAUSE) {
            return;
        }
        *reported = Some(now);
        let mut gauges: BTreeMap<String, u64> = BTreeMap::new();
        for state in STATES {
            let targets = config.targets.iter().map(|known| ("target", &known.name));
            let labels = config.labels.iter().map(|known| ("label", &known.name));
            let providers = config.providers.iter().map(|known| ("provider", &known.name));
            for (kind, name) in targets.chain(labels).chain(providers) {
                gauges.insert(path(&[kind, name, "nodes", state]), 0);
            }
            gauges.insert(path(&["nodes", state]), 0);
        }
        for node in nodes.filter(|node| node.state != NodeState::Gone) {
            let state = node.state.word();
            let manager = node.agent.manager.as_deref();
            let whose = manager.map_or(("target", node.target.as_str()), |manager| ("manager", manager));
            for name in [
                path(&["nodes", state]),
                path(&[whose.0, whose.1, "nodes", state]),
                path(&["label", &node.label, "nodes", state]),
                path(&["provider", &node.provider, "nodes", state]),
            ] {
                let count = gauges.entry(name).or_default();
                *count = count.saturating_add(1);
            }
        }
        for provider in &config.providers {
            let most = provider.max_servers.unwrap_or(0);
            gauges.insert(path(&["provider", &provider.name, "max_servers"]), most.into());
        }
        for (name, count) in gauges {
            // Nobody waits for a statsd, and nobody is told that it was away.
            let _ = self.client.gauge(&name, count);
        }
        let _ = self.client.flush();
    }

    /// `nodepool.launch.SUB` and the same by provider, zone, image and target; `nodepool.delete.IMAGE.PROVIDER.TARGET`.
    pub(super) fn moved(&self, moved: &Move<'_>) {
        let node = moved.node;
        if moved.to == NodeState::Gone && node.primary.is_none() {
            let name = path(&["delete", &node.image, &node.provider, &node.target]);
            self.took(&name, moved.at.since(node.state_time));
        }
        let Some(ended) = moved.ended() else { return };
        let sub = match ended {
            Ended::Ready => "ready",
            Ended::Failed(phase) => error_word(node.state, phase),
        };
        let whose = match node.agent.manager.as_deref() {
            Some(manager) => ("manager", manager),
            None => ("target", node.target.as_str()),
        };
        let mut names = vec![
            path(&["launch", "provider", &node.provider, sub]),
            path(&["launch", "image", &node.image, sub]),
            path(&["launch", whose.0, whose.1, sub]),
            path(&["launch", sub]),
        ];
        names.extend(node.az.as_deref().map(|az| path(&["launch", "provider", &node.provider, az, sub])));
        for name in names {
            self.took(&name, moved.lasted());
        }
    }

    /// `nodepool.image_update.IMAGE.PROVIDER`.
    pub(super) fn image_ready(&self, image: &Image, now: Timestamp) {
        self.took(&path(&["image_update", &image.image, &image.provider]), now.since(image.created));
    }

    /// `nodepool.task.PROVIDER.TASK`, with the names that nodepool v0's tasks had.
    pub(super) fn cloud_call(&self, provider: &str, operation: &str, took: Duration) {
        self.took(&path(&["task", provider, &task(operation)]), took);
    }

    /// `nodepool.job.JOB`, and the same with the branch, the label and the provider; only of jobs that succeeded.
    pub(super) fn job_ended(&self, run: &JobRun) {
        if run.result != Some(JobResult::Success) {
            return;
        }
        let mut parts = vec!["job", &run.job];
        let deeper = run.branch.as_deref().map(|branch| [branch, &run.label, &run.provider]);
        let deeper = deeper.into_iter().flatten().map(Some);
        for part in std::iter::once(None).chain(deeper) {
            parts.extend(part);
            let name = path(&parts);
            let _ = self.client.time(&format!("{name}.runtime"), millis(run.took));
            let _ = self.client.incr(&format!("{name}.builds"));
        }
    }

    fn took(&self, name: &str, took: Duration) {
        let _ = self.client.time(name, millis(took));
        let _ = self.client.incr(name);
    }
}

impl fmt::Debug for Statsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statsd").field("to", &self.to).finish_non_exhaustive()
    }
}

/// nodepool v0's word for a launch that failed there.
fn error_word(state: NodeState, phase: &str) -> &'static str {
    match state {
        NodeState::Building(NodeStep::Create) => "error.unknown",
        NodeState::Building(NodeStep::Boot) => "error.status",
        NodeState::Building(NodeStep::Address) => "error.network",
        NodeState::Building(NodeStep::Ssh) if phase == "ssh" => "error.auth",
        _ => "error.nodepool",
    }
}

/// nodepool v0's name for the task that made a call: `create_server` is `CreateServerTask`.
fn task(operation: &str) -> String {
    let known = match operation {
        "list_changed_servers" => "list_servers",
        "create_snapshot" => "create_image",
        "create_keypair" => "add_keypair",
        other => other,
    };
    let mut name = String::new();
    for word in known.split('_') {
        match word {
            "ip" => name.push_str("IP"),
            "ips" => name.push_str("IPs"),
            word => {
                let mut letters = word.chars();
                name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
                name.push_str(letters.as_str());
            }
        }
    }
    name.push_str("Task");
    name
}

/// A name of these parts. What would end the name, or begin another datagram's line, becomes an underscore.
fn path(parts: &[&str]) -> String {
    let clean = |letter: char| {
        let ends = letter.is_whitespace() || letter.is_control() || ":|@#".contains(letter);
        if ends { '_' } else { letter }
    };
    parts.iter().map(|part| part.chars().map(clean).collect::<String>()).collect::<Vec<_>>().join(".")
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
