//! What carries our mark on a cloud and belongs to no row.

use super::Timestamp;

/// What kind of thing was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftoverKind {
    /// A server.
    Server,
    /// A snapshot.
    Image,
    /// A keypair, known by its name.
    Keypair,
    /// A floating IP.
    FloatingIp,
    /// A port of a server that is gone.
    Port,
    /// A volume that a server booted from which is gone.
    Volume,
}

impl LeftoverKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Server, Self::Image, Self::Keypair, Self::FloatingIp, Self::Port, Self::Volume];

    /// The word for it in the store and the CLI.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Image => "image",
            Self::Keypair => "keypair",
            Self::FloatingIp => "floating-ip",
            Self::Port => "port",
            Self::Volume => "volume",
        }
    }
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It was not seen for long enough to be sure.
    Watched,
    /// It is being deleted.
    Deleted,
    /// There are too many of them: somebody has to confirm that they are to go.
    Stopped,
}

impl Fate {
    /// Every fate.
    pub const ALL: [Self; 3] = [Self::Watched, Self::Deleted, Self::Stopped];

    /// The word for it in the store, the CLI and the metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Watched => "watched",
            Self::Deleted => "deleted",
            Self::Stopped => "stopped",
        }
    }
}

/// Something that was left behind, with the evidence for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The provider.
    pub provider: String,
    /// What it is.
    pub kind: LeftoverKind,
    /// The cloud's id of it, or its name.
    pub id: String,
    /// What its mark says that it was made for, in words for a person.
    pub made_for: String,
    /// When the first listing began that showed it, as far back as this daemon remembers.
    pub first_seen: Timestamp,
    /// How many complete listings in a row showed it.
    pub listings: u32,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, in words for a person.
    pub reason: String,
}
