//! News that waits in a row until the plan has dealt with it: operators' wishes, setbacks.

use super::{ImageId, NodeId, Timestamp};

/// The number of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WishId(pub i64);

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WishKind {
    /// Keep this node until the hold ends.
    Hold {
        /// The node.
        node: NodeId,
        /// Why, for whoever sees it in the list.
        comment: Option<String>,
        /// When the hold ends by itself.
        until: Option<Timestamp>,
        /// Who asks for it.
        owner: Option<String>,
    },
    /// End the hold of this node.
    Unhold(NodeId),
    /// Delete this node.
    Delete {
        /// The node.
        node: NodeId,
        /// Whether it goes although a job runs on it. A held node is deleted either way, as in nodepool v0.
        now: bool,
    },
    /// Build this image of this provider.
    ImageUpdate {
        /// The provider.
        provider: String,
        /// The image in the provider's configuration.
        image: String,
    },
    /// Delete this snapshot image.
    ImageDelete(ImageId),
    /// Visit all ready nodes, and delete those that do not answer any more.
    Check,
    /// List everything at every cloud now, so that leftovers are found and deleted.
    Cleanup,
    /// Go on with a cleanup that stopped itself because so much would be deleted.
    ConfirmCleanup,
    /// Delete a server that is not ours.
    AlienDelete {
        /// The provider.
        provider: String,
        /// The cloud's id of it.
        server: String,
    },
}

/// A wish that the daemon has not settled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its number.
    pub id: WishId,
    /// What is asked for.
    pub kind: WishKind,
    /// When it was written.
    pub created: Timestamp,
}

/// What a setback is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetbackKind {
    /// Builds of an image of a provider failed.
    Image,
    /// Launches of a label at a provider failed.
    Launch,
    /// The cloud refused to create servers for lack of quota, or asked us to slow down.
    Capacity,
    /// Servers that were made in an availability zone of a provider failed, whatever they were for.
    Zone,
    /// A target refused to take nodes. The target stands in the place of the provider.
    Target,
    /// Launches at a provider failed, whatever they were for.
    Provider,
    /// Launches of nodes that boot a snapshot failed; its number is the name.
    Snapshot,
    /// A provider had no host for servers of a flavor, whose name it is.
    Flavor,
}

impl SetbackKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Image,
        Self::Launch,
        Self::Capacity,
        Self::Zone,
        Self::Target,
        Self::Provider,
        Self::Snapshot,
        Self::Flavor,
    ];

    /// The word for it in the store and the metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Launch => "launch",
            Self::Capacity => "capacity",
            Self::Zone => "zone",
            Self::Target => "target",
            Self::Provider => "provider",
            Self::Snapshot => "snapshot",
            Self::Flavor => "flavor",
        }
    }
}

/// How often in a row something went wrong, and when last. A success removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// What it is counted for.
    pub kind: SetbackKind,
    /// The provider.
    pub provider: String,
    /// The image, label, zone or flavor; empty for the whole provider.
    pub name: String,
    /// Failures since the last success, at least 1.
    pub failures: u32,
    /// When the last one happened.
    pub last: Timestamp,
    /// What the last one was.
    pub reason: String,
}
