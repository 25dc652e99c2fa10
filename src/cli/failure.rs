//! How a command fails: what happened, what to do next, and the exit status that scripts see.

use std::fmt;
use std::io;

use crate::store::StoreError;

/// The kind of a failure: the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Whoever read our output stopped reading: that is no error of ours.
    ReaderLeft = 0,
    /// The daemon refused, or what was asked for does not exist.
    Refused = 1,
    /// The command line or the configuration cannot be used.
    Usage = 2,
    /// The store or a cloud cannot be reached.
    Unreachable = 3,
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Its kind.
    pub status: Status,
    /// What happened, in one line.
    pub what: String,
    /// What the operator can do next, if there is something.
    pub next: Option<String>,
}

impl Failure {
    /// Refused, or not found.
    pub fn refused(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { status: Status::Refused, what: what.into(), next: Some(next.into()) }
    }

    /// The command line or the configuration cannot be used.
    pub fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { status: Status::Usage, what: what.into(), next: Some(next.into()) }
    }

    /// The store or a cloud cannot be reached.
    pub fn unreachable(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { status: Status::Unreachable, what: what.into(), next: Some(next.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let what = error.to_string();
        match error {
            StoreError::Url(_) => {
                Self::usage(what, "correct `dburi`; `nodepool config-validate` shows where it stands")
            }
            StoreError::Foreign(_) => Self::usage(
                what,
                "nothing was changed there; make a database of its own for this program (nodepool v0 and this one do not share \
                 tables) and name it in `dburi`",
            ),
            StoreError::Denied(_) => Self::unreachable(
                what,
                "make the user of `dburi` the owner of that database (PostgreSQL: ALTER DATABASE ... OWNER TO ...), or grant it all \
                 rights there (MariaDB, MySQL: GRANT ALL ON ...; PostgreSQL 15 and newer: GRANT CREATE ON SCHEMA public TO ...)",
            ),
            StoreError::Server { next, .. } => Self::unreachable(what, next),
            StoreError::Unavailable(_) => Self::unreachable(
                what,
                "run this as the user that nodepoold runs as, and see that the server of the database runs, or that the disk is \
                 there and not full",
            ),
            StoreError::Busy(_) | StoreError::Conflict { .. } => {
                Self::unreachable(what, "somebody else writes at the moment: try again")
            }
            StoreError::Schema(_) => {
                Self::unreachable(what, "use the `nodepool` that came with the `nodepoold` that runs")
            }
            StoreError::Corrupt(_) | StoreError::Rejected(_) => {
                Self::unreachable(what, "restore the database from a copy, or mend the row that is named")
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let what = format!("the output cannot be written: {error}");
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { status: Status::ReaderLeft, what, next: None };
        }
        Self::unreachable(what, "see where the output goes; the disk may be full")
    }
}
