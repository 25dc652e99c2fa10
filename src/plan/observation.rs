//! Everything that a decision may depend on.

use std::collections::BTreeMap;

use super::{Checked, CloudView, Errand, TargetView, Waits};
use crate::model::{Image, JobEvent, JobRule, Node, NodeId, Setback, SetbackKind, Timestamp, Wish};

/// Everything that is known at one moment.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The moment.
    pub now: Timestamp,
    /// Our installation's id: what carries it is ours.
    pub installation: &'a str,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All snapshot images.
    pub images: Vec<Image>,
    /// What operators asked for and nobody has answered, oldest first.
    pub wishes: Vec<Wish>,
    /// What jobs did and nobody has dealt with, oldest first.
    pub events: Vec<JobEvent>,
    /// Which nodes are held for jobs that fail.
    pub jobs: Vec<JobRule>,
    /// What went wrong lately.
    pub setbacks: Vec<Setback>,
    /// What each provider's cloud showed, and what of it could not be read.
    pub clouds: &'a BTreeMap<String, CloudView>,
    /// What the targets showed that have agents, by the target's name: those of the configuration, and those that left
    /// it while nodes are still there.
    pub targets: &'a BTreeMap<String, TargetView>,
    /// How many jobs, queued and running, ask for each label; `None` when nothing tells.
    pub demand: Option<&'a BTreeMap<String, u32>>,
    /// How many more jobs wait for each label, as told by who does not tell which run; `None` when nothing tells.
    pub waiting_jobs: Option<&'a BTreeMap<String, u32>>,
    /// When the demand was last asked for, whatever came of it.
    pub demand_asked: Option<Timestamp>,
    /// Who asked for nodes and got none, as the last plan left it.
    pub waiting: &'a Waits,
    /// What is under way, and since when.
    pub in_flight: &'a BTreeMap<Errand, Timestamp>,
    /// Errands that were tried and whose purpose is not reached.
    pub tries: &'a BTreeMap<Errand, Tries>,
    /// What the last visits to ready nodes showed.
    pub checks: &'a BTreeMap<NodeId, Checked>,
    /// What the daemon may do.
    pub permissions: Permissions,
}

/// What the daemon may do, as its command line says. What is not permitted is refused with a reason; the rest goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Whether it deletes anything in a cloud (`--no-deletes` forbids it).
    pub deletes: bool,
    /// Whether it makes new nodes (`--no-launches` forbids it).
    pub launches: bool,
    /// Whether it begins to build images (`--no-images` forbids it).
    pub images: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self { deletes: true, launches: true, images: true }
    }
}

/// Why nothing is deleted, in words for a person.
pub(super) const NO_DELETES: &str = "nodepoold runs with --no-deletes";
/// Why no node is made, in words for a person.
pub(super) const NO_LAUNCHES: &str = "nodepoold runs with --no-launches";
/// Why no image is built, in words for a person.
pub(super) const NO_IMAGES: &str = "nodepoold runs with --no-images";

/// How often an errand was tried in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// How often in a row, at least 1.
    pub count: u32,
    /// When the last try ended.
    pub last: Timestamp,
    /// What came of the last try.
    pub last_end: TryEnd,
}

/// What came of a try in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryEnd {
    /// It failed.
    Failed,
    /// It was accepted, and its effect may only take its time.
    Accepted,
    /// A job is in the way, which is no failure.
    Busy,
}

impl Observation<'_> {
    /// What went wrong for this purpose, if anything did since the last success.
    pub fn setback(&self, kind: SetbackKind, provider: &str, name: &str) -> Option<&Setback> {
        self.setbacks
            .iter()
            .find(|setback| setback.kind == kind && setback.provider == provider && setback.name == name)
    }
}
