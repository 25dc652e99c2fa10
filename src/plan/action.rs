//! What a plan is made of.

use std::fmt;

use super::balance::Stock;
use super::waiting::Waits;
use crate::fsm::image::ImageEvent;
use crate::fsm::node::NodeEvent;
use crate::model::{Image, ImageId, JobRun, Leftover, Node, NodeId, Owner, SetbackKind, Timestamp, WishId};

/// What to do next, in this order, and what is not done although somebody might expect it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub actions: Vec<Planned>,
    /// What is not done, and why.
    pub refusals: Vec<Refusal>,
    /// When the clock alone will have changed the answer; `None`: only news will.
    pub wake: Option<Timestamp>,
    /// Who asks for nodes and got none: the next observation brings it back.
    pub waiting: Waits,
    /// The sums that it was made from.
    pub stock: Stock,
    /// What was left behind without a row, and what becomes of it.
    pub leftovers: Vec<Leftover>,
}

/// An action and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// Something that is not done, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// What it is about.
    pub subject: Subject,
    /// Why.
    pub reason: Reason,
}

/// Why something is done or not, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A node.
    Node(NodeId),
    /// A snapshot image.
    Image(ImageId),
    /// A label.
    Label(String),
    /// A provider.
    Provider(String),
    /// A target.
    Target(String),
    /// An image of a provider.
    ProviderImage(String, String),
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Record that this happened to a node; the row carries the facts that came with it and its state before.
    Node {
        /// The row with its new facts and its old state.
        row: Box<Node>,
        /// What happened.
        event: NodeEvent,
    },
    /// Record that this happened to all members of a set: to all of them or to none.
    Nodes {
        /// The rows with their new facts and their old states.
        rows: Vec<Node>,
        /// What happened.
        event: NodeEvent,
    },
    /// Record facts of a node whose state stays.
    NodeFacts {
        /// The row with its new facts.
        row: Box<Node>,
    },
    /// Record that this happened to an image.
    Image {
        /// The row with its new facts and its old state.
        row: Box<Image>,
        /// What happened.
        event: ImageEvent,
    },
    /// Record facts of an image whose state stays.
    ImageFacts {
        /// The row with its new facts.
        row: Box<Image>,
    },
    /// Make a row for a new node.
    AddNode(NewNode),
    /// Make a row for a new image.
    AddImage(NewImage),
    /// Count a setback.
    SetBack {
        /// For what.
        kind: SetbackKind,
        /// At which provider.
        provider: String,
        /// For which label or image; empty for the whole provider.
        name: String,
    },
    /// It goes on again: forget the setbacks.
    Recover {
        /// For what.
        kind: SetbackKind,
        /// At which provider.
        provider: String,
        /// For which label or image; empty for the whole provider.
        name: String,
    },
    /// Send somebody out into the world.
    Send(Errand),
    /// Call somebody back: what it does is not wanted any more.
    Recall(Errand),
    /// Answer a wish.
    SettleWish {
        /// The wish.
        wish: WishId,
        /// Whether it was granted.
        granted: bool,
    },
    /// Forget a provider that left the configuration and of which nothing is left.
    ForgetProvider(String),
    /// Forget a target that left the configuration and at which no agent of ours is left.
    ForgetTarget(String),
    /// Mark the event of a job as dealt with.
    SettleJobEvent(i64),
    /// Add up how long a job ran.
    CountJobRun(JobRun),
    /// Tell people that the hold of a node ends soon, and record that they were told.
    WarnOfHoldEnd {
        /// The row with its new facts.
        row: Box<Node>,
    },
}

/// A node to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// Where.
    pub provider: String,
    /// For which label.
    pub label: String,
    /// Offered where.
    pub target: String,
    /// From which provider image.
    pub image: String,
    /// From which snapshot.
    pub image_id: Option<ImageId>,
    /// In which availability zone.
    pub az: Option<String>,
    /// With how many subnodes, all of them at the same place.
    pub subnodes: u32,
}

/// An image to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// Where.
    pub provider: String,
    /// Which.
    pub image: String,
    /// In which availability zone its builder is made.
    pub az: Option<String>,
    /// The settings that it will have in it.
    pub recipe: String,
}

/// A call or a visit: work that takes time and may fail. It is known by what it is for, so that it is never done twice
/// at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Errand {
    /// Delete a server.
    DeleteServer {
        /// Where.
        provider: String,
        /// The cloud's id.
        id: String,
        /// Whose server it is; `None` for a leaked one.
        owner: Option<Owner>,
    },
    /// Delete a snapshot.
    DeleteSnapshot {
        /// Where.
        provider: String,
        /// The cloud's id.
        id: String,
    },
    /// Delete a keypair.
    DeleteKeypair {
        /// Where.
        provider: String,
        /// Its name.
        name: String,
    },
    /// Delete a floating IP.
    DeleteFloatingIp {
        /// Where.
        provider: String,
        /// The cloud's id.
        id: String,
        /// Whose floating IP it is; `None` for a leaked one.
        owner: Option<Owner>,
    },
    /// Delete a port that its server left behind.
    DeletePort {
        /// Where.
        provider: String,
        /// The cloud's id.
        id: String,
        /// The server that it was made for.
        server: String,
    },
    /// Delete a volume that its server left behind.
    DeleteVolume {
        /// Where.
        provider: String,
        /// The cloud's id.
        id: String,
    },
    /// Put our mark on a volume that the cloud made for a server of ours.
    MarkVolume {
        /// Where.
        provider: String,
        /// The cloud's id.
        id: String,
        /// What the server was made for.
        owner: Owner,
        /// The attempt that made it.
        attempt: String,
    },
    /// Create the server of a row.
    CreateServer {
        /// Where.
        provider: String,
        /// For whom.
        owner: Owner,
    },
    /// Make a floating IP for the server of a row.
    CreateFloatingIp {
        /// Where.
        provider: String,
        /// For whom.
        owner: Owner,
    },
    /// Ask for the snapshot of a builder.
    TakeSnapshot {
        /// Where.
        provider: String,
        /// Of which image row.
        image: ImageId,
    },
    /// List the servers: all of them, or what changed.
    ListServers {
        /// Where.
        provider: String,
        /// Whether all of them.
        complete: bool,
    },
    /// List the images.
    ListImages {
        /// Where.
        provider: String,
    },
    /// List the keypairs.
    ListKeypairs {
        /// Where.
        provider: String,
    },
    /// List the floating IPs.
    ListFloatingIps {
        /// Where.
        provider: String,
    },
    /// List the ports of servers.
    ListPorts {
        /// Where.
        provider: String,
    },
    /// List the volumes.
    ListVolumes {
        /// Where.
        provider: String,
    },
    /// Read what the project may have and has.
    ReadQuota {
        /// Where.
        provider: String,
    },
    /// Read the host key of the server of a row from its console.
    ReadConsole {
        /// Where.
        provider: String,
        /// Whose server it is.
        owner: Owner,
    },
    /// Ask how many jobs wait for nodes.
    AskDemand,
    /// Reach a new node, write its files, run its ready script.
    PrepareNode(NodeId),
    /// Reach a builder, copy the scripts, run the setup script.
    SetUpBuilder(ImageId),
    /// Reach the server that was booted from a new snapshot.
    VerifySnapshot(ImageId),
    /// Reach a ready node and run a command on it.
    CheckNode(NodeId),
    /// List the agents of a target.
    ListAgents {
        /// Which target.
        target: String,
    },
    /// Offer a node at its target.
    Enroll(NodeId),
    /// Take an agent back from a target.
    Withdraw {
        /// Which target.
        target: String,
        /// The agent's name.
        name: String,
        /// Whose agent it is; `None` for a leaked one.
        node: Option<NodeId>,
        /// How much it presses. A try in vain does not delay one that presses more.
        pressing: Pressing,
    },
    /// Start the job that tries out a node.
    StartTest {
        /// Which node.
        node: NodeId,
        /// Which job.
        job: String,
    },
    /// Give the agent of a node that passed its test its labels.
    Relabel(NodeId),
    /// Say at the target who holds a node.
    Describe {
        /// Which node.
        node: NodeId,
        /// What is said, as the row will remember it.
        remark: String,
    },
    /// Let no further job start on the agent of a node that has its one job.
    Close(NodeId),
    /// Read what the target's log says about an agent that does not come online.
    ReadLaunchLog(NodeId),
}

/// How much it presses to take an agent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressing {
    /// When no job is on it.
    WhenIdle,
    /// Its job is known to be over.
    JobOver,
    /// An operator does not wait for its job.
    AtOnce,
}

impl Errand {
    /// The provider whose pace the errand has to keep; `None` for what costs no cloud anything.
    pub fn paced_by(&self) -> Option<&str> {
        match self {
            Self::DeleteServer { provider, .. }
            | Self::DeleteSnapshot { provider, .. }
            | Self::DeleteKeypair { provider, .. }
            | Self::DeleteFloatingIp { provider, .. }
            | Self::DeletePort { provider, .. }
            | Self::DeleteVolume { provider, .. }
            | Self::MarkVolume { provider, .. }
            | Self::CreateServer { provider, .. }
            | Self::CreateFloatingIp { provider, .. }
            | Self::ReadConsole { provider, .. }
            | Self::TakeSnapshot { provider, .. }
            | Self::ListServers { provider, .. }
            | Self::ListImages { provider }
            | Self::ListKeypairs { provider }
            | Self::ListFloatingIps { provider }
            | Self::ListPorts { provider }
            | Self::ListVolumes { provider }
            | Self::ReadQuota { provider } => Some(provider),
            Self::AskDemand
            | Self::ListAgents { .. }
            | Self::Enroll(_)
            | Self::Withdraw { .. }
            | Self::StartTest { .. }
            | Self::Relabel(_)
            | Self::Describe { .. }
            | Self::Close(_)
            | Self::ReadLaunchLog(_)
            | Self::PrepareNode(_)
            | Self::SetUpBuilder(_)
            | Self::VerifySnapshot(_)
            | Self::CheckNode(_) => None,
        }
    }

    /// Whether it is a visit to a machine over ssh.
    pub const fn is_visit(&self) -> bool {
        matches!(
            self,
            Self::PrepareNode(_) | Self::SetUpBuilder(_) | Self::VerifySnapshot(_) | Self::CheckNode(_)
        )
    }

    /// Whether it is a call to a target.
    pub const fn is_call_to_target(&self) -> bool {
        matches!(
            self,
            Self::ListAgents { .. }
                | Self::Enroll(_)
                | Self::Withdraw { .. }
                | Self::StartTest { .. }
                | Self::Relabel(_)
                | Self::Describe { .. }
                | Self::Close(_)
                | Self::ReadLaunchLog(_)
        )
    }

    /// What goes first when the pace does not allow everything: deleting, then creating, then listing.
    pub const fn priority(&self) -> u8 {
        match self {
            Self::AskDemand
            | Self::ListAgents { .. }
            | Self::Enroll(_)
            | Self::Withdraw { .. }
            | Self::StartTest { .. }
            | Self::Relabel(_)
            | Self::Describe { .. }
            | Self::Close(_)
            | Self::ReadLaunchLog(_)
            | Self::PrepareNode(_)
            | Self::SetUpBuilder(_)
            | Self::VerifySnapshot(_)
            | Self::CheckNode(_) => 0,
            Self::DeleteServer { .. }
            | Self::DeleteSnapshot { .. }
            | Self::DeleteKeypair { .. }
            | Self::DeleteFloatingIp { .. }
            | Self::DeletePort { .. }
            | Self::DeleteVolume { .. } => 1,
            Self::CreateServer { .. }
            | Self::CreateFloatingIp { .. }
            | Self::ReadConsole { .. }
            | Self::TakeSnapshot { .. } => 2,
            Self::ListServers { .. }
            | Self::ListImages { .. }
            | Self::ListKeypairs { .. }
            | Self::ListFloatingIps { .. }
            | Self::ListPorts { .. }
            | Self::ListVolumes { .. }
            | Self::MarkVolume { .. }
            | Self::ReadQuota { .. } => 3,
        }
    }

    /// What it is for, in words for a person.
    pub fn purpose(&self) -> String {
        match self {
            Self::DeleteServer { id, .. } => format!("the deletion of server {id}"),
            Self::DeleteSnapshot { id, .. } => format!("the deletion of snapshot {id}"),
            Self::DeleteKeypair { name, .. } => format!("the deletion of keypair {name}"),
            Self::DeleteFloatingIp { id, .. } => format!("the deletion of floating IP {id}"),
            Self::DeletePort { id, .. } => format!("the deletion of port {id}"),
            Self::DeleteVolume { id, .. } => format!("the deletion of volume {id}"),
            Self::MarkVolume { id, .. } => format!("the mark on volume {id}"),
            Self::CreateServer { .. } => "the call for its server".to_owned(),
            Self::CreateFloatingIp { .. } => "the call for its floating IP".to_owned(),
            Self::ReadConsole { .. } => "the search for its host key on its console".to_owned(),
            Self::TakeSnapshot { .. } => "the call for its snapshot".to_owned(),
            Self::ListServers { .. } => "the listing of servers".to_owned(),
            Self::ListImages { .. } => "the listing of images".to_owned(),
            Self::ListKeypairs { .. } => "the listing of keypairs".to_owned(),
            Self::ListFloatingIps { .. } => "the listing of floating IPs".to_owned(),
            Self::ListPorts { .. } => "the listing of ports".to_owned(),
            Self::ListVolumes { .. } => "the listing of volumes".to_owned(),
            Self::ReadQuota { .. } => "the reading of limits".to_owned(),
            Self::AskDemand => "the question for the demand".to_owned(),
            Self::PrepareNode(_) => "its preparation".to_owned(),
            Self::SetUpBuilder(_) => "the setup of its builder".to_owned(),
            Self::VerifySnapshot(_) => "the visit to the server booted from its snapshot".to_owned(),
            Self::CheckNode(_) => "its check".to_owned(),
            Self::ListAgents { .. } => "the listing of agents".to_owned(),
            Self::Enroll(_) => "its enrollment".to_owned(),
            Self::Withdraw { name, .. } => format!("the withdrawal of agent {name}"),
            Self::StartTest { job, .. } => format!("the start of its test job {job}"),
            Self::Relabel(_) => "the change of its agent's labels".to_owned(),
            Self::Describe { .. } => "the description of its agent".to_owned(),
            Self::Close(_) => "the call that closes its agent to other jobs".to_owned(),
            Self::ReadLaunchLog(_) => "the search for the reason in the target's log".to_owned(),
        }
    }

    /// Whether it takes something away from a cloud or a target.
    pub const fn is_deletion(&self) -> bool {
        matches!(
            self,
            Self::DeleteServer { .. }
                | Self::DeleteSnapshot { .. }
                | Self::DeleteKeypair { .. }
                | Self::DeleteFloatingIp { .. }
                | Self::DeletePort { .. }
                | Self::DeleteVolume { .. }
                | Self::Withdraw { .. }
        )
    }

    /// Whether it only looks: a listing, or the question for the demand.
    pub const fn is_listing(&self) -> bool {
        matches!(
            self,
            Self::ListServers { .. }
                | Self::ListImages { .. }
                | Self::ListKeypairs { .. }
                | Self::ListFloatingIps { .. }
                | Self::ListPorts { .. }
                | Self::ListVolumes { .. }
                | Self::ReadQuota { .. }
                | Self::ListAgents { .. }
                | Self::AskDemand
        )
    }

    /// The node whose row the errand is about.
    pub const fn node(&self) -> Option<NodeId> {
        match self {
            Self::PrepareNode(id)
            | Self::CheckNode(id)
            | Self::Enroll(id)
            | Self::Withdraw { node: Some(id), .. }
            | Self::StartTest { node: id, .. }
            | Self::Relabel(id)
            | Self::Describe { node: id, .. }
            | Self::Close(id)
            | Self::ReadLaunchLog(id)
            | Self::CreateServer { owner: Owner::Node(id), .. }
            | Self::CreateFloatingIp { owner: Owner::Node(id), .. }
            | Self::ReadConsole { owner: Owner::Node(id), .. }
            | Self::DeleteFloatingIp { owner: Some(Owner::Node(id)), .. }
            | Self::DeleteServer { owner: Some(Owner::Node(id)), .. } => Some(*id),
            _ => None,
        }
    }

    /// The image whose row the errand is about.
    pub const fn image(&self) -> Option<ImageId> {
        match self {
            Self::SetUpBuilder(id)
            | Self::VerifySnapshot(id)
            | Self::TakeSnapshot { image: id, .. }
            | Self::CreateServer { owner: Owner::Builder(id) | Owner::Verifier(id), .. }
            | Self::CreateFloatingIp { owner: Owner::Builder(id) | Owner::Verifier(id), .. }
            | Self::ReadConsole { owner: Owner::Builder(id) | Owner::Verifier(id), .. }
            | Self::DeleteFloatingIp { owner: Some(Owner::Builder(id) | Owner::Verifier(id)), .. }
            | Self::DeleteServer { owner: Some(Owner::Builder(id) | Owner::Verifier(id)), .. } => Some(*id),
            _ => None,
        }
    }
}
