//! Which state follows which: the only place that says so.
//!
//! `next(state, event)` is total over both enums without a wildcard on the state, so a new state does not compile until
//! each event has an answer for it. Nothing here knows rows, clocks or clouds.

pub mod image;
pub mod node;

/// An event that a state has no answer for. Meeting one is a bug of ours, not of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} in state {state} cannot take the event {event}")]
pub struct Illegal {
    /// `node` or `image`.
    pub what: &'static str,
    /// The word of the state.
    pub state: &'static str,
    /// The word of the event.
    pub event: &'static str,
}
