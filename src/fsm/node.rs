//! The life of a node.

use super::Illegal;
use crate::model::{NodeState, NodeStep};

/// What can happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeEvent {
    /// The cloud gave its server an id, or the server of an unanswered create call was found.
    Created,
    /// Its server is ACTIVE, but shows no address.
    Active,
    /// Its server is ACTIVE and shows an address.
    Addressed,
    /// It was reached, has its files, and its ready script succeeded.
    Prepared,
    /// The job that tries it out was started.
    TestBegun,
    /// It is offered where jobs run: its agent is online, and passed its test where there is one.
    Enrolled,
    /// A job started on it.
    JobStarted,
    /// The job on it ended.
    JobFinished,
    /// An operator holds it.
    Held,
    /// Its hold ended, by time or by an operator.
    HoldEnded,
    /// It has to go: a failure, a wish, a vanished server.
    Doomed,
    /// The cloud no longer shows its server, or never made one.
    Gone,
}

impl NodeEvent {
    /// Every event.
    pub const ALL: [Self; 12] = [
        Self::Created,
        Self::Active,
        Self::Addressed,
        Self::Prepared,
        Self::TestBegun,
        Self::Enrolled,
        Self::JobStarted,
        Self::JobFinished,
        Self::Held,
        Self::HoldEnded,
        Self::Doomed,
        Self::Gone,
    ];

    /// The word for this event in the history.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::Addressed => "addressed",
            Self::Prepared => "prepared",
            Self::TestBegun => "test-begun",
            Self::Enrolled => "enrolled",
            Self::JobStarted => "job-started",
            Self::JobFinished => "job-finished",
            Self::Held => "held",
            Self::HoldEnded => "hold-ended",
            Self::Doomed => "doomed",
            Self::Gone => "gone",
        }
    }
}

/// The state that follows when `event` meets a node in `state`.
///
/// What the table promises: `used` never leads back to `ready`; a held node is not doomed, its hold has to end first;
/// and only a node in `delete` can be gone.
pub const fn next(state: NodeState, event: NodeEvent) -> Result<NodeState, Illegal> {
    use NodeEvent as E;
    use NodeState as S;
    let following = match (state, event) {
        (S::Building(NodeStep::Create), E::Created) => S::Building(NodeStep::Boot),
        (S::Building(NodeStep::Boot), E::Active) => S::Building(NodeStep::Address),
        (S::Building(NodeStep::Boot | NodeStep::Address), E::Addressed) => S::Building(NodeStep::Ssh),
        (S::Building(NodeStep::Ssh), E::Prepared) => S::Building(NodeStep::Enroll),
        (S::Building(NodeStep::Enroll), E::TestBegun) => S::Test,
        (S::Building(NodeStep::Enroll) | S::Test, E::Enrolled) => S::Ready,
        // A job on a node that is not ready yet: it was handed out, so it must never be ready.
        (S::Building(NodeStep::Ssh | NodeStep::Enroll) | S::Ready | S::Used, E::JobStarted) => S::Used,
        (S::Building(NodeStep::Ssh | NodeStep::Enroll) | S::Ready | S::Used, E::JobFinished) => S::Delete,
        (S::Ready | S::Used | S::Hold | S::Delete, E::Held) => S::Hold,
        // A job on a held node changes nothing: the person who holds it decides.
        (S::Hold, E::JobStarted | E::JobFinished) => S::Hold,
        (S::Hold, E::HoldEnded) => S::Delete,
        (S::Test, E::JobStarted) => S::Test,
        (S::Test, E::JobFinished) => S::Delete,
        (S::Building(_) | S::Test | S::Ready | S::Used, E::Doomed) => S::Delete,
        // News that comes late, while the node is already on its way out.
        (S::Delete, E::Created | E::JobStarted | E::JobFinished | E::Doomed) => S::Delete,
        (S::Delete, E::Gone) => S::Gone,
        (
            S::Building(_) | S::Test | S::Ready | S::Used | S::Hold | S::Delete | S::Gone,
            E::Created
            | E::Active
            | E::Addressed
            | E::Prepared
            | E::TestBegun
            | E::Enrolled
            | E::JobStarted
            | E::JobFinished
            | E::Held
            | E::HoldEnded
            | E::Doomed
            | E::Gone,
        ) => return Err(Illegal { what: "node", state: state.word(), event: event.word() }),
    };
    Ok(following)
}
