//! A snapshot image: our row for one build of one provider's image.

use std::fmt;

use super::{FloatingFacts, HostKey, Owner, Timestamp};

/// The number of a snapshot image, as operators type it. Never used twice by one installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub i64);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a building snapshot image stands on its way to `ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageStep {
    /// The row exists; the builder's keypair and server are still to be created, or an answer was lost.
    Create,
    /// The cloud boots the builder from the base image.
    Boot,
    /// Over ssh: the scripts are copied and the setup script runs.
    Setup,
    /// The cloud is asked for a snapshot of the builder, or the answer to that call was lost.
    Snapshot,
    /// The cloud saves the snapshot.
    Save,
    /// The snapshot is booted once and reached over ssh.
    Verify,
}

impl ImageStep {
    /// Every step, in the order in which a build passes them.
    pub const ALL: [Self; 6] =
        [Self::Create, Self::Boot, Self::Setup, Self::Snapshot, Self::Save, Self::Verify];

    /// The word for this step in the store, the CLI and the metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Boot => "boot",
            Self::Setup => "setup",
            Self::Snapshot => "snapshot",
            Self::Save => "save",
            Self::Verify => "verify",
        }
    }

    /// The step that `word` names, if any.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.word() == word)
    }
}

/// The state of a snapshot image. *Current* and *previous* are not states: they follow from the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageState {
    /// On its way to ready.
    Building(ImageStep),
    /// Nodes can be booted from it.
    Ready,
    /// To be taken away; the row stays until everything that it made is gone.
    Delete,
    /// Confirmed gone. No row is in this state: reaching it removes the row.
    Gone,
}

impl ImageState {
    /// Every state that a row can be in, each step of building apart.
    pub const STORED: [Self; 8] = [
        Self::Building(ImageStep::Create),
        Self::Building(ImageStep::Boot),
        Self::Building(ImageStep::Setup),
        Self::Building(ImageStep::Snapshot),
        Self::Building(ImageStep::Save),
        Self::Building(ImageStep::Verify),
        Self::Ready,
        Self::Delete,
    ];

    /// The word for this state in the store, the CLI and the metrics; the step of building is told by [`Self::step`].
    pub const fn word(self) -> &'static str {
        match self {
            Self::Building(_) => "building",
            Self::Ready => "ready",
            Self::Delete => "delete",
            Self::Gone => "gone",
        }
    }

    /// The step of a building image; `None` in every other state.
    pub const fn step(self) -> Option<ImageStep> {
        match self {
            Self::Building(step) => Some(step),
            Self::Ready | Self::Delete | Self::Gone => None,
        }
    }

    /// The state that a row's two columns spell, if they spell one.
    pub fn from_words(state: &str, step: Option<&str>) -> Option<Self> {
        let step = step.and_then(ImageStep::from_word);
        Self::STORED.into_iter().find(|known| known.word() == state && known.step() == step)
    }
}

impl fmt::Display for ImageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step() {
            Some(step) => write!(f, "{} ({})", self.word(), step.word()),
            None => f.write_str(self.word()),
        }
    }
}

/// One row of the snapshot image table: facts only.
///
/// The row names everything that its build made on the cloud. Each of those is forgotten only when it is confirmed
/// gone, whatever the state of the image: a ready image may still have a builder to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its number.
    pub id: ImageId,
    /// Name of the provider whose cloud it lives on.
    pub provider: String,
    /// Name of the image in the provider's configuration.
    pub image: String,
    /// Name of the builder and of the snapshot, from the provider's template.
    pub hostname: String,
    /// When the build was decided, in seconds since the epoch: the newest version that is ready is the current one.
    pub version: i64,
    /// Name of the keypair made for this build, while it may exist.
    pub keypair: Option<String>,
    /// The cloud's id of the builder, while it may exist.
    pub server_id: Option<String>,
    /// The builder's host key: recorded at the first contact, read from its console, or made by us.
    pub host_key: Option<HostKey>,
    /// The floating IP of the builder, where its provider has a pool.
    pub floating_ip: FloatingFacts,
    /// The cloud's id of the snapshot, once known.
    pub external_id: Option<String>,
    /// The cloud's id of the server that verifies the snapshot, while it may exist.
    pub verify_server_id: Option<String>,
    /// The availability zone that was chosen for the server made last: the builder, and later the server that verifies.
    pub az: Option<String>,
    /// The host key of that server, known as the builder's is.
    pub verify_host_key: Option<HostKey>,
    /// The floating IP of that server.
    pub verify_floating_ip: FloatingFacts,
    /// Where it stands.
    pub state: ImageState,
    /// When it entered `state`.
    pub state_time: Timestamp,
    /// When the row was made.
    pub created: Timestamp,
    /// The attempt id in the tags of all that it makes: unique for ever, made with the row.
    pub attempt: String,
    /// When the create call for the builder was about to be made.
    pub attempted: Option<Timestamp>,
    /// When the call for the snapshot was about to be made.
    pub snapshot_attempted: Option<Timestamp>,
    /// When the create call for the verifying server was about to be made.
    pub verify_attempted: Option<Timestamp>,
    /// The settings that it has in it, as they were when its build began, one a line; empty where they were not written down.
    pub recipe: String,
    /// How many nodes became ready from it. It is counted beside the other facts and not written with them.
    pub nodes_ready: u32,
    /// Why it is in its state, in words for a person.
    pub reason: String,
    /// Counts the writes to this row (compare-and-set).
    pub revision: i64,
}

impl Image {
    /// The row with other facts about the floating IP of this owner's server.
    #[must_use]
    pub fn with_floating_ip(self, owner: Owner, facts: FloatingFacts) -> Self {
        match owner {
            Owner::Verifier(_) => Self { verify_floating_ip: facts, ..self },
            Owner::Node(_) | Owner::Builder(_) => Self { floating_ip: facts, ..self },
        }
    }
}
