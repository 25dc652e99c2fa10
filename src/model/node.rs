//! A node: our row for one single-use machine, from the wish to have it until its server is confirmed gone.
//!
//! A node of several servers is a set of rows: its primary and its subnodes. Each has its own server, tag and life; they
//! are made together, become ready together and go together.

use std::fmt;

use super::{AgentFacts, FloatingFacts, HostKey, ImageId, JobFacts, Timestamp};

/// The number of a node, as operators type it. Never used twice by one installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a building node stands on its way to `ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeStep {
    /// The row exists; its server is still to be created, or the answer to that call is outstanding or was lost.
    Create,
    /// The cloud accepted the server and boots it.
    Boot,
    /// The server is ACTIVE, but the cloud does not show an address for it yet.
    Address,
    /// The node is reached over ssh, gets its `/etc/nodepool` files and runs its ready script.
    Ssh,
    /// The node is offered at its target, and its agent is awaited there.
    Enroll,
}

impl NodeStep {
    /// Every step, in the order in which a node passes them.
    pub const ALL: [Self; 5] = [Self::Create, Self::Boot, Self::Address, Self::Ssh, Self::Enroll];

    /// The word for this step in the store, the CLI and the metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Boot => "boot",
            Self::Address => "address",
            Self::Ssh => "ssh",
            Self::Enroll => "enroll",
        }
    }

    /// The step that `word` names, if any.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.word() == word)
    }
}

/// The state of a node. The words are those of nodepool v0.
///
/// A failure is not a state: it is [`NodeState::Delete`] with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// On its way to ready.
    Building(NodeStep),
    /// Offered without labels while a test job runs on it.
    Test,
    /// Waiting for its one job.
    Ready,
    /// A job runs on it, or ran on it.
    Used,
    /// Kept for a person to look at.
    Hold,
    /// To be taken away; the row stays until the cloud no longer shows its server.
    Delete,
    /// Confirmed gone. No row is in this state: reaching it removes the row.
    Gone,
}

impl NodeState {
    /// Every state that a row can be in, each step of building apart.
    pub const STORED: [Self; 10] = [
        Self::Building(NodeStep::Create),
        Self::Building(NodeStep::Boot),
        Self::Building(NodeStep::Address),
        Self::Building(NodeStep::Ssh),
        Self::Building(NodeStep::Enroll),
        Self::Test,
        Self::Ready,
        Self::Used,
        Self::Hold,
        Self::Delete,
    ];

    /// The word for this state in the store, the CLI and the metrics; the step of building is told by [`Self::step`].
    pub const fn word(self) -> &'static str {
        match self {
            Self::Building(_) => "building",
            Self::Test => "test",
            Self::Ready => "ready",
            Self::Used => "used",
            Self::Hold => "hold",
            Self::Delete => "delete",
            Self::Gone => "gone",
        }
    }

    /// The step of a building node; `None` in every other state.
    pub const fn step(self) -> Option<NodeStep> {
        match self {
            Self::Building(step) => Some(step),
            Self::Test | Self::Ready | Self::Used | Self::Hold | Self::Delete | Self::Gone => None,
        }
    }

    /// The state that a row's two columns spell, if they spell one.
    pub fn from_words(state: &str, step: Option<&str>) -> Option<Self> {
        let step = step.and_then(NodeStep::from_word);
        Self::STORED.into_iter().find(|known| known.word() == state && known.step() == step)
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step() {
            Some(step) => write!(f, "{} ({})", self.word(), step.word()),
            None => f.write_str(self.word()),
        }
    }
}

/// One row of the node table: facts only. What follows from them is computed by the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// The node to which it belongs, when it is a subnode; `None` for ordinary nodes and for primaries.
    pub primary: Option<NodeId>,
    /// Its place among the subnodes of its primary: 1, 2, ...; 0 when it is none.
    pub subnode_index: u32,
    /// How many subnodes were made with it. It stays when some of them are gone.
    pub subnodes: u32,
    /// Name of the provider whose cloud it is booted on.
    pub provider: String,
    /// Name of the label that it serves.
    pub label: String,
    /// Name of the target at which it is offered.
    pub target: String,
    /// Full host name, from the target's template.
    pub hostname: String,
    /// The host name up to its first dot: the name of its agent.
    pub nodename: String,
    /// The provider image that it boots.
    pub image: String,
    /// The row of the snapshot that it boots, when that is one of ours.
    pub image_id: Option<ImageId>,
    /// The availability zone asked for, if any.
    pub az: Option<String>,
    /// The cloud's id of its server, once known.
    pub server_id: Option<String>,
    /// The address at which it is reached.
    pub ip: Option<String>,
    /// Its address on the private network, where that differs.
    pub ip_private: Option<String>,
    /// Its host key: recorded at the first contact, read from its console, or made by us before it was created.
    pub host_key: Option<HostKey>,
    /// Where it stands.
    pub state: NodeState,
    /// When it entered `state`.
    pub state_time: Timestamp,
    /// When the row was made.
    pub created: Timestamp,
    /// The attempt id in the tag of its server: unique for ever, made with the row.
    pub attempt: String,
    /// When the create call for its server was about to be made. `None`: no call was ever made.
    pub attempted: Option<Timestamp>,
    /// When the first delete call for its server was about to be made. From then on it cannot be held.
    pub delete_called: Option<Timestamp>,
    /// Its floating IP, where its provider has a pool.
    pub floating_ip: FloatingFacts,
    /// Its agent at its target.
    pub agent: AgentFacts,
    /// Its one job.
    pub job: JobFacts,
    /// When its hold ends by itself, if it does.
    pub held_until: Option<Timestamp>,
    /// Who holds it.
    pub held_by: Option<String>,
    /// The job for whose failure it is held, when a rule holds it.
    pub held_for: Option<String>,
    /// Whether people were told that its hold ends soon.
    pub hold_warned: bool,
    /// What the operator who held it said.
    pub comment: Option<String>,
    /// Why it is in its state, in words for a person.
    pub reason: String,
    /// Counts the writes to this row; a write names the revision that it replaces (compare-and-set).
    pub revision: i64,
}

impl Node {
    /// The node that stands for its whole set: its primary, or it itself.
    pub const fn head(&self) -> NodeId {
        match self.primary {
            Some(primary) => primary,
            None => self.id,
        }
    }

    /// Whether it belongs to the node `primary` as a subnode.
    pub fn is_subnode_of(&self, primary: NodeId) -> bool {
        self.primary == Some(primary)
    }

    /// What it is called in reasons: `node 17`, or `subnode 2 (node 19)`.
    pub fn title(&self) -> String {
        match self.primary {
            Some(_) => format!("subnode {} (node {})", self.subnode_index, self.id),
            None => format!("node {}", self.id),
        }
    }
}
