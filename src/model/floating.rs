//! What a row knows of the floating IP of one of its servers.

use super::Timestamp;

/// The floating IP that a row asked for: facts only.
///
/// Both are forgotten only when the floating IP is confirmed gone, or surely was never made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FloatingFacts {
    /// The cloud's id of it, once known.
    pub id: Option<String>,
    /// When the call for it was about to be made. `None`: there is none, and none was asked for.
    pub attempted: Option<Timestamp>,
}

impl FloatingFacts {
    /// Whether there is none, and surely none will appear.
    pub const fn is_none(&self) -> bool {
        self.id.is_none() && self.attempted.is_none()
    }
}
