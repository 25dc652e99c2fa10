//! The identity of a machine as ssh sees it.

use std::fmt;

/// A server's public host key in OpenSSH's one-line form, without a comment: `ssh-ed25519 AAAA...`.
///
/// It is recorded at the first contact with a server and must be the same at each later one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey(pub String);

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
