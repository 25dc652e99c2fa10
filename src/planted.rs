//! Bugs that the simulation has to find: proof that it can fail.
//!
//! Each breaks one rule of the house in one place. A program that was built without the feature `planted-bugs` has none
//! of them: [`is_planted`] is `false` there when it is compiled.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A server is asked for before its row says so.
    CallBeforeIntent,
    /// A listing of servers that failed is taken for an empty one.
    EmptyListingOnError,
    /// What carries the tag of another installation is taken for ours.
    ForeignTagIsOurs,
    /// One listing is enough to believe that a server was never made, however early it began.
    AbsenceAtFirstSight,
    /// Servers that are being deleted do not count against `max-servers`.
    DoomedServersDoNotCount,
    /// Builders and verifiers do not count against `max-servers`.
    BuildersDoNotCount,
    /// The row of a node goes when the cloud accepted the deletion, not when the server is gone.
    RowGoneWhenAccepted,
    /// A server is asked to go only once, whatever becomes of that.
    DeletionAskedOnce,
    /// A hold ends when the next plan is made.
    HoldEndsAtOnce,
    /// A create call whose answer was lost is taken for one that was refused.
    UncertainIsRefused,
    /// What is ours and belongs to no row stays.
    LeaksStay,
    /// The keypair of a builder is forgotten.
    KeypairsStay,
    /// A job that ended is not written down.
    EndsAreForgotten,
    /// The ports stay that a cloud forgot to delete with their servers.
    PortsStay,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::CallBeforeIntent,
        Self::EmptyListingOnError,
        Self::ForeignTagIsOurs,
        Self::AbsenceAtFirstSight,
        Self::DoomedServersDoNotCount,
        Self::BuildersDoNotCount,
        Self::RowGoneWhenAccepted,
        Self::DeletionAskedOnce,
        Self::HoldEndsAtOnce,
        Self::UncertainIsRefused,
        Self::LeaksStay,
        Self::KeypairsStay,
        Self::EndsAreForgotten,
        Self::PortsStay,
    ];
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in what this thread does from now on, in place of the one before.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this rule is broken here.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this rule is broken here.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_planted(_bug: Bug) -> bool {
    false
}
