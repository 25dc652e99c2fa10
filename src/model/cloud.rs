//! What a cloud shows: servers, images and keypairs as listed, and the tag by which ours are known.

use std::net::IpAddr;

use super::{ImageId, NodeId, Timestamp};

/// What one of our servers or snapshots was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The server of a node.
    Node(NodeId),
    /// The server on which a snapshot image is prepared, or the snapshot itself.
    Builder(ImageId),
    /// The server that is booted once from a new snapshot.
    Verifier(ImageId),
}

/// The mark that everything we make on a cloud carries. What does not carry it is never touched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// The installation that made it: made once, kept in the store.
    pub installation: String,
    /// What it was made for.
    pub owner: Owner,
    /// The attempt of the row that made it. Unlike a row's number it is never used again, not even by a store that was
    /// restored from an old copy.
    pub attempt: String,
}

/// The state of a server as far as the pool cares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerStatus {
    /// The cloud still builds it.
    Build,
    /// It runs.
    Active,
    /// The cloud gave up on it.
    Error,
    /// The cloud reports it as deleted (a listing of changes does).
    Deleted,
    /// Anything else, in the cloud's own word: SHUTOFF, SUSPENDED, RESCUE, ...
    Other(String),
}

/// One address of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Name of the network that it belongs to.
    pub network: String,
    /// Whether it is a floating one.
    pub floating: bool,
}

/// A server as a cloud lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The cloud's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: ServerStatus,
    /// Its addresses; empty until the cloud shows any.
    pub addresses: Vec<Address>,
    /// Why it is in `Error`, in the cloud's words.
    pub fault: Option<String>,
    /// When the cloud says that it was created.
    pub created: Option<Timestamp>,
    /// Our tag, or another installation's; `None` for a server that no nodepool of this kind made.
    pub tag: Option<Tag>,
    /// The availability zone that it runs in.
    pub az: Option<String>,
    /// The ids of the volumes that the cloud is to delete with it: those that it made to boot the server from.
    pub volumes: Vec<String>,
}

/// The state of a cloud's image as far as the pool cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloudImageStatus {
    /// Being saved or imported.
    Pending,
    /// Servers can be booted from it.
    Active,
    /// Deleted, killed, deactivated: no server can be booted from it.
    Unusable,
}

/// An image as a cloud lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudImage {
    /// The cloud's id.
    pub id: String,
    /// Its name; clouds allow images without one.
    pub name: Option<String>,
    /// Its state.
    pub status: CloudImageStatus,
    /// When the cloud says that it was created.
    pub created: Option<Timestamp>,
    /// Our tag, or another installation's.
    pub tag: Option<Tag>,
    /// Whether the cloud says that it is a snapshot of a server.
    pub snapshot: bool,
}

/// A keypair as a cloud lists it. Keypairs carry no metadata: ours are known by their name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keypair {
    /// Its name, unique in the project.
    pub name: String,
}

/// A floating IP as a cloud lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatingIp {
    /// The cloud's id.
    pub id: String,
    /// The address that the outside world uses.
    pub ip: IpAddr,
    /// Our tag, or another installation's; `None` for one that no nodepool of this kind made.
    pub tag: Option<Tag>,
    /// Whether it leads to a server (to a port, in Neutron's words). A deleted server leaves its floating IP behind.
    pub server_attached: bool,
}

/// A port of a server, as a cloud lists it: where the server is plugged into a network. The cloud makes it with the
/// server and deletes it with the server, unless that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The cloud's id.
    pub id: String,
    /// The cloud's id of the server that it was made for, whether or not that still exists.
    pub server_id: String,
    /// Our tag, or another installation's: as the port itself says, or as we know of its server.
    pub tag: Option<Tag>,
}

/// A volume as a cloud lists it. The cloud makes the one that a server boots from, and deletes it with the server, unless
/// that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The cloud's id.
    pub id: String,
    /// The cloud's word for its state, in small letters: `available`, `in-use`, `error`, `deleting`, ...
    pub state: String,
    /// The ids of the servers that it is attached to, whether or not they still exist.
    pub servers: Vec<String>,
    /// Our tag, or another installation's: as the volume itself says, or as we know of its server.
    pub tag: Option<Tag>,
    /// Whether the volume itself says so.
    pub marked: bool,
}

impl Volume {
    /// Whether the cloud would delete it: one that is attached, or at work, it refuses to.
    pub fn is_deletable(&self) -> bool {
        const STATES: [&str; 5] =
            ["available", "error", "error_restoring", "error_extending", "error_managing"];
        STATES.contains(&self.state.as_str())
    }
}

/// A server of ours that is gone. What the cloud forgot to delete with it still names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepartedServer {
    /// The provider.
    pub provider: String,
    /// The cloud's id of it, which no other server ever gets.
    pub id: String,
    /// What it was made for.
    pub owner: Owner,
    /// The attempt that made it.
    pub attempt: String,
    /// When it was known to be gone, or was told to go.
    pub departed: Timestamp,
}

impl Tag {
    /// The name of the keypair that belongs to this tag's builder, `nodepool-INSTALLATION-image-ID`.
    pub fn keypair_name(installation: &str, image: ImageId) -> String {
        format!("nodepool-{installation}-image-{image}")
    }

    /// The image whose build made the keypair `name`, if it is a keypair of `installation`.
    pub fn keypair_owner(installation: &str, name: &str) -> Option<ImageId> {
        let rest = name.strip_prefix("nodepool-")?.strip_prefix(installation)?;
        rest.strip_prefix("-image-")?.parse().ok().map(ImageId)
    }
}

impl Owner {
    /// The two words by which the owner is written on a cloud: what it is, and its number.
    pub fn words(self) -> (&'static str, i64) {
        match self {
            Self::Node(id) => ("node", id.0),
            Self::Builder(id) => ("builder", id.0),
            Self::Verifier(id) => ("verifier", id.0),
        }
    }

    /// The image whose build made the server, if it is one of those.
    pub const fn image(self) -> Option<ImageId> {
        match self {
            Self::Node(_) => None,
            Self::Builder(id) | Self::Verifier(id) => Some(id),
        }
    }

    /// The owner that `kind` and `number` spell, if any.
    pub fn from_words(kind: &str, number: i64) -> Option<Self> {
        match kind {
            "node" => Some(Self::Node(NodeId(number))),
            "builder" => Some(Self::Builder(ImageId(number))),
            "verifier" => Some(Self::Verifier(ImageId(number))),
            _ => None,
        }
    }
}
