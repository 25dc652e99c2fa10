//! An agent: the seat of a node at the target where it is offered, as the target lists it.

use super::NodeId;

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
