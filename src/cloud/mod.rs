//! What the engine may ask of a cloud, and how a cloud may fail.
//!
//! A driver makes calls and translates; it decides nothing and remembers nothing but what it may cache. It never
//! retries, except once after a 401: the next tick is the retry. Waiting for a server or an image is not its business
//! either: the engine sees that in a listing.

pub mod metered;
pub mod openstack;
pub mod pace;

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{CloudImage, FloatingIp, Keypair, Port, Quota, Server, Tag, Timestamp, Volume};

/// A project on a cloud.
///
/// Every call has a deadline inside: it ends, with an answer or with an error.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// All servers of the project; or, given a moment, those that changed since, deleted ones too.
    ///
    /// A deleted server may be listed without its tag and its addresses: Nova deletes them with it. Know it by its id.
    ///
    /// # Errors
    /// A listing is whole or it is an error.
    async fn servers(&self, changed_since: Option<Timestamp>) -> Result<Vec<Server>, CloudError>;

    /// All images that the project owns.
    async fn images(&self) -> Result<Vec<CloudImage>, CloudError>;

    /// All keypairs of the user.
    async fn keypairs(&self) -> Result<Vec<Keypair>, CloudError>;

    /// Asks for a server and gives its id. The cloud boots it afterwards.
    async fn create_server(&self, request: &ServerRequest) -> Result<String, CloudError>;

    /// Asks for the deletion of a server. The cloud deletes it afterwards.
    async fn delete_server(&self, id: &str) -> Result<(), CloudError>;

    /// Asks for a snapshot of a server and gives the image's id. The cloud saves it afterwards.
    async fn create_snapshot(&self, request: &SnapshotRequest) -> Result<String, CloudError>;

    /// Deletes an image.
    async fn delete_image(&self, id: &str) -> Result<(), CloudError>;

    /// Registers a public key. A keypair of that name that exists already is a success.
    async fn create_keypair(&self, name: &str, public_key: &str) -> Result<(), CloudError>;

    /// Deletes a keypair.
    async fn delete_keypair(&self, name: &str) -> Result<(), CloudError>;

    /// All floating IPs of the project.
    ///
    /// # Errors
    /// A listing is whole or it is an error.
    async fn floating_ips(&self) -> Result<Vec<FloatingIp>, CloudError>;

    /// Makes a floating IP that leads to a server, and gives its id. The server must be ACTIVE: before that it has no
    /// port to lead to.
    ///
    /// # Errors
    /// `Quota` when the project may have no more, or the pool has none left.
    async fn create_floating_ip(&self, request: &FloatingIpRequest) -> Result<String, CloudError>;

    /// Deletes a floating IP, whether it leads to a server or not.
    async fn delete_floating_ip(&self, id: &str) -> Result<(), CloudError>;

    /// All ports of the project that belong to servers, or did.
    ///
    /// # Errors
    /// A listing is whole or it is an error; `Rejected` on a cloud without Neutron.
    async fn ports(&self) -> Result<Vec<Port>, CloudError>;

    /// Deletes a port of a server that is gone. One that belongs to something else by now is `NotFound`, and stays.
    async fn delete_port(&self, id: &str, server_id: &str) -> Result<(), CloudError>;

    /// All volumes of the project.
    ///
    /// # Errors
    /// A listing is whole or it is an error; `Rejected` on a cloud without Cinder, or where we may not list them.
    async fn volumes(&self) -> Result<Vec<Volume>, CloudError>;

    /// Puts our mark on a volume, beside whatever else is said of it.
    async fn mark_volume(&self, id: &str, tag: &Tag) -> Result<(), CloudError>;

    /// Asks for the deletion of a volume. The cloud deletes it afterwards.
    ///
    /// # Errors
    /// `Rejected` while it is attached to a server, or at work.
    async fn delete_volume(&self, id: &str) -> Result<(), CloudError>;

    /// What a server wrote on its console: the end of it, at most [`CONSOLE_LIMIT`] bytes.
    ///
    /// It is written by whatever runs on the server, so nothing in it is to be trusted further than that.
    ///
    /// # Errors
    /// `Transient` when there is no console yet, `Rejected` when there never will be one.
    async fn console_log(&self, server_id: &str) -> Result<String, CloudError>;

    /// What the project may have and has, and the flavors by which servers are counted. A part that the cloud does not
    /// tell anybody is left out.
    async fn quota(&self) -> Result<Quota, CloudError>;
}

/// The most bytes of a console that are given: what Nova keeps of the console of a server on KVM.
pub const CONSOLE_LIMIT: usize = 100 << 10;

/// The most bytes of user data: Nova takes 65,535 characters of base64, which write three bytes with four.
pub const USER_DATA_LIMIT: usize = 49_149;

/// An image to boot from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootImage {
    /// One of the cloud, by the operator's word for it: a name or an id.
    NameOrId(String),
    /// By the cloud's id.
    Id(String),
}

/// A network to plug into a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkChoice {
    /// By the cloud's id.
    Id(String),
    /// By its name.
    Name(String),
}

/// Text for cloud-init on a new server. It may hold secrets, so only its length is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData(pub String);

impl Deref for UserData {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({} bytes)", self.0.len())
    }
}

/// The server that the engine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRequest {
    /// Its name.
    pub name: String,
    /// What it boots.
    pub image: BootImage,
    /// The least memory of its flavor in MiB: the smallest flavor that fits is taken.
    pub min_ram: u32,
    /// Text that the flavor's name must contain.
    pub name_filter: Option<String>,
    /// The availability zone; `None` leaves it to the cloud.
    pub az: Option<String>,
    /// The networks to plug, in order; empty leaves it to the cloud.
    pub networks: Vec<NetworkChoice>,
    /// The keypair to install; nodes get none.
    pub keypair: Option<String>,
    /// Whether to ask for a config drive; `None` leaves it to the cloud.
    pub config_drive: Option<bool>,
    /// The security groups to be in, by name or id; empty leaves the cloud's default.
    pub security_groups: Vec<String>,
    /// Text for cloud-init, at most [`USER_DATA_LIMIT`] bytes.
    pub user_data: Option<UserData>,
    /// The size in GiB of a volume to copy the image to and to boot from; the cloud deletes it with the server. `None`
    /// boots from the disk that the flavor gives.
    pub boot_volume_gib: Option<u32>,
    /// Our mark.
    pub tag: Tag,
    /// Name of the provider, for the metadata that nodepool v0 wrote.
    pub provider: String,
    /// Name of the provider image, for the metadata that nodepool v0 wrote.
    pub image_name: String,
}

/// The snapshot that the engine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The server to take it of.
    pub server_id: String,
    /// Its name.
    pub name: String,
    /// Our mark.
    pub tag: Tag,
    /// The operator's properties for it.
    pub meta: Vec<(String, String)>,
}

/// The floating IP that the engine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatingIpRequest {
    /// Where it comes from: the external network, by name or id.
    pub pool: String,
    /// The server that it is to lead to.
    pub server_id: String,
    /// Our mark.
    pub tag: Tag,
}

/// How a call failed, named by what the caller will do about it.
///
/// The text is for a person and carries the cloud's own words and its request id; it never holds a secret.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum CloudError {
    /// What the call was about does not exist. For a deletion that is success.
    #[error("not found: {0}")]
    NotFound(String),
    /// No room: wait until something of ours is gone.
    #[error("quota: {0}")]
    Quota(String),
    /// Too many calls: wait, as long as the cloud says if it does.
    #[error("asked to slow down: {text}")]
    Throttled {
        /// The cloud's words.
        text: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The call may or may not have had its effect: a timeout, a cut connection, a 5xx. Look before trying again.
    #[error("no certain answer: {0}")]
    Transient(String),
    /// The cloud understood and refused; the same call will be refused again.
    #[error("refused: {0}")]
    Rejected(String),
    /// We could not log in.
    #[error("login failed: {0}")]
    AuthFailed(String),
}

impl CloudError {
    /// The word for this kind of failure in the metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Quota(_) => "quota",
            Self::Throttled { .. } => "throttled",
            Self::Transient(_) => "transient",
            Self::Rejected(_) => "rejected",
            Self::AuthFailed(_) => "auth_failed",
        }
    }

    /// Whether the call surely had no effect.
    pub const fn had_no_effect(&self) -> bool {
        match self {
            Self::NotFound(_)
            | Self::Quota(_)
            | Self::Throttled { .. }
            | Self::Rejected(_)
            | Self::AuthFailed(_) => true,
            Self::Transient(_) => false,
        }
    }
}
