//! How long launches took, as a whole and in each phase, and how they ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Registry};

use super::metrics::counters;
use super::{LAUNCH_PHASE_SECONDS, LAUNCH_SECONDS, LAUNCHES, Metric};
use crate::model::{Node, NodeState, NodeStep, Timestamp};

/// The upper ends of the buckets, in seconds: a good cloud boots in half a minute, and v0 gave up after an hour.
const BUCKETS: [f64; 12] = [0.25, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 900.0, 3600.0];

/// A node whose row changed from one state to another.
#[derive(Clone, Copy, Debug)]
pub struct Move<'a> {
    /// The row as it was.
    pub node: &'a Node,
    /// Its state from now on.
    pub to: NodeState,
    /// Now.
    pub at: Timestamp,
    /// When the machine let us in, of a node that is being prepared.
    pub reached: Option<Timestamp>,
}

/// How a launch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The node is ready.
    Ready,
    /// It failed, or was given up, in this phase.
    Failed(&'static str),
}

impl Move<'_> {
    /// How the launch ended, if this ended it. A set of nodes is one launch: that of its primary.
    pub(super) fn ended(&self) -> Option<Ended> {
        let building = matches!(self.node.state, NodeState::Building(_) | NodeState::Test);
        if !building || self.node.primary.is_some() {
            return None;
        }
        match self.to {
            // A job can be there before the agent is seen online.
            NodeState::Ready | NodeState::Used => Some(Ended::Ready),
            NodeState::Delete => Some(Ended::Failed(self.phase())),
            _ => None,
        }
    }

    /// From the decision to make the node until now.
    pub(super) fn lasted(&self) -> Duration {
        self.at.since(self.node.created)
    }

    /// The phase that the node was in.
    fn phase(&self) -> &'static str {
        match self.node.state {
            NodeState::Building(NodeStep::Ssh) if self.reached.is_some() => "ready-script",
            NodeState::Building(step) => step.word(),
            state => state.word(),
        }
    }

    /// The phases that this ended, each with how long it took; the last one is the one that failed if one did.
    fn phases(&self) -> Vec<(&'static str, Duration)> {
        let since = self.node.state_time;
        match (self.node.state, self.reached) {
            (NodeState::Building(NodeStep::Ssh), Some(reached)) => {
                vec![("ssh", reached.since(since)), ("ready-script", self.at.since(reached))]
            }
            (NodeState::Building(_) | NodeState::Test, _) => vec![(self.phase(), self.at.since(since))],
            _ => Vec::new(),
        }
    }
}

/// The metrics of launches.
#[derive(Debug)]
pub(super) struct Launches {
    ended: IntCounterVec,
    /// Those that became ready and those that failed, of all providers and labels.
    counts: [AtomicU64; 2],
    seconds: HistogramVec,
    phases: HistogramVec,
}

impl Launches {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            ended: counters(registry, LAUNCHES)?,
            counts: Default::default(),
            seconds: histogram(registry, LAUNCH_SECONDS)?,
            phases: histogram(registry, LAUNCH_PHASE_SECONDS)?,
        })
    }

    pub(super) fn moved(&self, moved: &Move<'_>) {
        let node = moved.node;
        let failed = moved.to == NodeState::Delete;
        let mut phases = moved.phases().into_iter().peekable();
        while let Some((phase, took)) = phases.next() {
            let outcome = if failed && phases.peek().is_none() { "failed" } else { "ok" };
            self.phases.with_label_values(&[&node.provider, phase, outcome]).observe(took.as_secs_f64());
        }
        let Some(ended) = moved.ended() else { return };
        let outcome = if ended == Ended::Ready { "ready" } else { "failed" };
        self.ended.with_label_values(&[&node.provider, &node.label, outcome]).inc();
        let [ready, failed] = &self.counts;
        let count = if ended == Ended::Ready { ready } else { failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.seconds.with_label_values(&[&node.provider, outcome]).observe(moved.lasted().as_secs_f64());
    }

    /// How many became ready, and how many failed.
    pub(super) fn ended(&self) -> [u64; 2] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

fn histogram(registry: &Registry, metric: Metric) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::new(metric.name, metric.help).buckets(BUCKETS.to_vec());
    let made = HistogramVec::new(options, metric.labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}
