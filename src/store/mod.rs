//! The SQL: one function per query, in one file per table.
//!
//! The daemon and the CLI share the database and meet nowhere else. Rows hold facts; what follows from them is computed
//! by the plan. Every write to a node or a snapshot image is a compare-and-set on the row's revision, and its line of
//! history is part of the same transaction.
//!
//! Only `db`, `watch` and `row` know which database it is: SQLite, PostgreSQL, or MariaDB and MySQL. The statements
//! everywhere else are the ones that all of them have in common, with `$1..$n` used once each and in order; times are
//! milliseconds since the epoch. The one exception is in `node_lines`. Writes come one after the other on each of them,
//! whoever writes: an UPDATE that finds no row may be followed by an INSERT.

mod build_log;
mod db;
mod departed;
mod error;
mod events;
mod failures;
mod history;
mod images;
mod installation;
mod jobs;
mod leases;
mod leftovers;
mod node_lines;
mod nodes;
mod picture;
mod providers;
mod row;
mod setbacks;
mod shared;
mod stats;
mod targets;
mod text;
mod watch;
mod wishes;

pub use build_log::{BuildLine, MOST_BYTES, MOST_LINES, NewLine};
pub use db::Timed;
pub use error::StoreError;
pub use failures::FailedTry;
pub use history::{HistoryLine, Note, Subject};
pub use images::NewImage;
pub use jobs::JobRuntime;
pub use leases::{ENGINE_LEASE, Lease};
pub use node_lines::NodeLine;
pub use nodes::NewNode;
pub use picture::Picture;
pub use shared::{Page, Signs};
pub use stats::{QueueWait, Transition};
pub use wishes::Settled;

use crate::database_url;
use db::Db;

/// The database of one installation. Cloning it is cheap; clones share their connections.
///
/// Every call ends within a deadline. A write that ended with an error other than [`StoreError::Unavailable`] did not
/// happen; after `Unavailable` it may have, so read again.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
}

impl Store {
    /// Opens the database that `url` names and brings its tables up to date if needed. A file is made, readable by its
    /// owner only.
    ///
    /// `sqlite:///var/lib/nodepool/nodepool.db`, `sqlite:////var/lib/nodepool/nodepool.db` (SQLAlchemy's spelling) and
    /// `sqlite:relative.db` name a file. `sqlite::memory:` is a database of its own for each call, gone with the last
    /// clone.
    ///
    /// `postgresql://user:password@host:5432/database` and `mysql://user:password@host:3306/database` (also with the
    /// names that SQLAlchemy gives to drivers, as in `mysql+pymysql:`) name an empty database on a server, or one of ours.
    ///
    /// # Errors
    /// [`StoreError::Server`] when the server is not there or refuses us, [`StoreError::Foreign`] when the database is
    /// another program's, and [`StoreError::Url`] for URLs that cannot be used.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open(&database_url::parse(url)?).await? })
    }

    /// The same store, which tells how long its reads and writes take. Clones tell, too.
    #[must_use]
    pub fn timed(mut self, told: Timed) -> Self {
        self.db.timed(told);
        self
    }

    /// Ends the connections of all clones, after what they are doing. Dropping the store instead loses nothing.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
