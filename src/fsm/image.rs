//! The life of a snapshot image.

use super::Illegal;
use crate::model::{ImageState, ImageStep};

/// What can happen to a snapshot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageEvent {
    /// The cloud gave the builder an id, or the builder of an unanswered create call was found.
    Created,
    /// The builder is ACTIVE and shows an address.
    Booted,
    /// The scripts are on the builder and the setup script succeeded.
    SetUp,
    /// The cloud gave the snapshot an id, or the snapshot of an unanswered call was found.
    SnapshotTaken,
    /// The cloud saved the snapshot.
    Saved,
    /// A server booted from the snapshot was reached.
    Verified,
    /// It has to go: a failure, a wish, two newer ones.
    Doomed,
    /// Everything that it made is gone.
    Gone,
}

impl ImageEvent {
    /// Every event.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Booted,
        Self::SetUp,
        Self::SnapshotTaken,
        Self::Saved,
        Self::Verified,
        Self::Doomed,
        Self::Gone,
    ];

    /// The word for this event in the history.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Booted => "booted",
            Self::SetUp => "set-up",
            Self::SnapshotTaken => "snapshot-taken",
            Self::Saved => "saved",
            Self::Verified => "verified",
            Self::Doomed => "doomed",
            Self::Gone => "gone",
        }
    }
}

/// The state that follows when `event` meets an image in `state`.
///
/// What the table promises: only a verified image becomes `ready`, and only one in `delete` can be gone.
pub const fn next(state: ImageState, event: ImageEvent) -> Result<ImageState, Illegal> {
    use ImageEvent as E;
    use ImageState as S;
    let following = match (state, event) {
        (S::Building(ImageStep::Create), E::Created) => S::Building(ImageStep::Boot),
        (S::Building(ImageStep::Boot), E::Booted) => S::Building(ImageStep::Setup),
        (S::Building(ImageStep::Setup), E::SetUp) => S::Building(ImageStep::Snapshot),
        (S::Building(ImageStep::Snapshot), E::SnapshotTaken) => S::Building(ImageStep::Save),
        (S::Building(ImageStep::Save), E::Saved) => S::Building(ImageStep::Verify),
        (S::Building(ImageStep::Verify), E::Verified) => S::Ready,
        (S::Building(_) | S::Ready, E::Doomed) => S::Delete,
        // News that comes late, while the image is already on its way out.
        (S::Delete, E::Created | E::SnapshotTaken | E::Doomed) => S::Delete,
        (S::Delete, E::Gone) => S::Gone,
        (
            S::Building(_) | S::Ready | S::Delete | S::Gone,
            E::Created
            | E::Booted
            | E::SetUp
            | E::SnapshotTaken
            | E::Saved
            | E::Verified
            | E::Doomed
            | E::Gone,
        ) => return Err(Illegal { what: "image", state: state.word(), event: event.word() }),
    };
    Ok(following)
}
