//! An agent: the seat of a node at the target where it is offered, as the target lists it.

use super::{NodeId, Timestamp};

/// What a target is told of an agent whose node has its one job: no other one starts there.
pub const CLOSED: &str = "nodepool: this node has its one job and takes no other";

/// What says that an agent is ours: it is written into the agent's description, which every target shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentTag {
    /// The installation that enrolled it.
    pub installation: String,
    /// The node that it is the seat of.
    pub node: NodeId,
}

/// An agent as a target lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name: the `nodename` of its node.
    pub name: String,
    /// Our mark, if it carries one. An agent without one is never touched.
    pub tag: Option<AgentTag>,
    /// Whether it is connected and takes jobs.
    pub online: bool,
    /// Whether no job is on it. One that is offline may still have a job on it.
    pub idle: bool,
    /// Whether somebody set it offline: a person, or what runs jobs there when its one job was over.
    pub set_offline: bool,
    /// Why it is offline, in the words of the target; empty when it is not, or nothing is known.
    pub offline_reason: String,
    /// The labels that it serves, without its own name.
    pub labels: Vec<String>,
    /// What runs on it, as far as the target says: the address of the build.
    pub build: Option<String>,
}

/// What a row knows of its agent: facts only.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as the columns of the row are")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// When the call that enrolls it was last about to be made. `None`: no target was told of the node.
    pub attempted: Option<Timestamp>,
    /// Whether the target took it.
    pub enrolled: bool,
    /// Who took it, where a target has several who may.
    pub manager: Option<String>,
    /// When the job that tries it out was last about to be started.
    pub test_called: Option<Timestamp>,
    /// Whether that job succeeded.
    pub test_passed: bool,
    /// Whether the target took it back, or surely does not have it.
    pub withdrawn: bool,
    /// Whether an operator wants it taken back although a job may run on it.
    pub insists: bool,
    /// What the target was told about the node beyond its label: that it has its one job ([`CLOSED`]), or who holds it, and
    /// why. Either way no further job starts there.
    pub remark: Option<String>,
}

/// What a row knows of the one job of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFacts {
    /// Its name, as far as it was told.
    pub name: Option<String>,
    /// When we learned that it started.
    pub started: Option<Timestamp>,
    /// When we learned that it ended.
    pub ended: Option<Timestamp>,
}

impl JobFacts {
    /// Whether a job was seen to start and not to end.
    pub const fn is_running(&self) -> bool {
        self.started.is_some() && self.ended.is_none()
    }
}
