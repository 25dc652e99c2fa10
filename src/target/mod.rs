//! The room towards those who use nodes: where nodes are asked for, and where they are offered.
//!
//! A source of demand is asked again and again and says how things are, never what changed. A target takes nodes in, gives
//! them back and lists which it has. Neither waits, retries or remembers: what to do about an answer is for the plan to
//! decide.

pub mod gearman;
pub mod jenkins;
pub mod metered;
pub mod sources;
pub mod zmq;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use secrecy::SecretString;
use thiserror::Error;

use crate::model::{Agent, AgentTag, NodeId};

/// How many jobs ask for nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The jobs of each label, those that wait and those that run. A label that nobody asks for is missing or 0.
    pub jobs: BTreeMap<String, u32>,
    /// The jobs of each label that wait, as told by sources that do not tell which run. None of them is in `jobs`.
    pub waiting: BTreeMap<String, u32>,
}

/// Why there is no demand to tell. It is not the same as no demand.
#[derive(Debug, Error)]
pub enum DemandError {
    /// Nothing that was told is recent enough to act on. Ask again soon.
    #[error("the demand is not known: {0}")]
    Unknown(String),
}

/// Something that knows how many jobs wait for nodes.
#[async_trait]
pub trait DemandSource: Send + Sync {
    /// How many jobs there are now, as far as anybody told recently.
    ///
    /// It answers within a moment even when what it asks does not. An ask that is dropped has no effect.
    async fn ask(&self) -> Result<Demand, DemandError>;
}

/// A place where nodes are offered: a Jenkins controller, or a launcher behind Gearman.
///
/// Each call has a deadline of its own and may be dropped at any moment. Calls that change something may be repeated: to
/// enroll what is enrolled and to withdraw what is gone are successes.
#[async_trait]
pub trait Target: Send + Sync {
    /// Offers a node. That the answer is good says only that the target knows the agent, not that it is online.
    async fn enroll(&self, enrollment: &Enrollment) -> Result<Enrolled, TargetError>;

    /// Takes an agent back, so that no job starts there any more. One that is gone already is a success; one that does not
    /// carry the mark is refused and left alone.
    async fn withdraw(&self, withdrawal: &Withdrawal) -> Result<(), TargetError>;

    /// Every agent that the target has, also those that are not ours; `None` from a target that cannot list any.
    async fn roster(&self) -> Result<Option<Roster>, TargetError>;

    /// Gives an agent that carries this mark these labels, instead of those that it has.
    async fn relabel(&self, name: &str, tag: &AgentTag, labels: &[String]) -> Result<(), TargetError>;

    /// Lets no further job start on an agent that carries this mark, and says something else about it than was said when
    /// it was enrolled. A job that runs there goes on. The mark must be part of the description; see [`describe`]. `why`
    /// is the part of it that says who holds it.
    async fn hold(&self, name: &str, tag: &AgentTag, description: &str, why: &str)
    -> Result<(), TargetError>;

    /// Lets no further job start on an agent that carries this mark, and says `why`. A job that runs there goes on. One that
    /// takes no jobs already keeps the reason that it has.
    async fn close(&self, name: &str, tag: &AgentTag, why: &str) -> Result<(), TargetError>;

    /// Starts a job that tries out the agent of this name, with the parameter `NODE`.
    async fn start_test(&self, job: &str, name: &str) -> Result<(), TargetError>;

    /// What the target's log says about its tries to launch an agent: at most the last 4,000 characters.
    async fn launch_log(&self, name: &str) -> Result<String, TargetError>;

    /// What an inbound agent of this name needs to connect.
    async fn inbound(&self, name: &str) -> Result<Inbound, TargetError>;
}

/// A node to be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    /// The agent's name.
    pub name: String,
    /// Our mark, which becomes part of the description.
    pub tag: AgentTag,
    /// What people are told about it; see [`describe`].
    pub description: String,
    /// The labels that it serves; empty while a test job tries it out.
    pub labels: Vec<String>,
    /// The address at which the target reaches the node.
    pub address: IpAddr,
    /// The ssh port of the node.
    pub port: u16,
    /// The user to log in as.
    pub username: String,
    /// The file with the private key that lets that user in, for targets that hold no credentials of their own.
    pub private_key: PathBuf,
    /// The host key of the node as a line `TYPE BASE64`, if it is known.
    pub host_key: Option<String>,
    /// The folder on the node in which the agent works.
    pub root: String,
}

/// An agent to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// The agent's name.
    pub name: String,
    /// The mark that it must carry.
    pub tag: AgentTag,
    /// Who took the node, where a target has several who may.
    pub manager: Option<String>,
    /// Whether to take it even when a job is on it, which then fails. Otherwise that is refused ([`TargetError::Busy`]).
    pub insist: bool,
}

/// What a target lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Every agent that could be read, also those that are not ours.
    pub agents: Vec<Agent>,
    /// Whether the target starts no jobs any more, since it is about to shut down. It takes no nodes then.
    pub quieting_down: bool,
}

/// What a target answered to an enrollment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolled {
    /// Who took the node, where a target has several who may.
    pub manager: Option<String>,
}

/// What an inbound agent needs to connect to its controller.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The controller's URL.
    pub url: String,
    /// The agent's name.
    pub name: String,
    /// The agent's secret.
    pub secret: SecretString,
}

/// How a call failed, named by what the caller will do about it. The text is for a person and never holds a secret.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    /// There is no such agent.
    #[error("not found: {0}")]
    NotFound(String),
    /// A job is on the agent: leave it alone.
    #[error("busy: {0}")]
    Busy(String),
    /// Nothing is known of the call's effect: the target is down, starting, slow. Look before trying again.
    #[error("no certain answer: {0}")]
    Unavailable(String),
    /// The target understood and refused; the same call will be refused again.
    #[error("refused: {0}")]
    Rejected(String),
    /// We could not log in, or may not do this.
    #[error("login failed: {0}")]
    AuthFailed(String),
    /// The target takes no nodes now: it is about to shut down.
    #[error("takes no nodes now: {0}")]
    QuietingDown(String),
}

impl TargetError {
    /// The word for this kind of failure in the metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Busy(_) => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Rejected(_) => "rejected",
            Self::AuthFailed(_) => "auth_failed",
            Self::QuietingDown(_) => "quieting_down",
        }
    }
}

/// What an agent's description says: the words of nodepool v0, which people and scripts look for, then our mark, then
/// whatever else there is to say.
pub fn describe(label: &str, tag: &AgentTag, remark: Option<&str>) -> String {
    let mark = format!("[nodepool {}/{}]", tag.installation, tag.node);
    let told = format!("Dynamic single use {label} node {mark}");
    remark.map_or_else(|| told.clone(), |remark| format!("{told} {remark}"))
}

/// The mark in a description, if it has one.
pub fn tag_in(description: &str) -> Option<AgentTag> {
    let (_, rest) = description.split_once("[nodepool ")?;
    let (mark, _) = rest.split_once(']')?;
    let (installation, node) = mark.rsplit_once('/')?;
    let node = NodeId(node.parse().ok()?);
    (!installation.is_empty()).then(|| AgentTag { installation: installation.to_owned(), node })
}
