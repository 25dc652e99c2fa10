//! Notices that somebody wrote, whoever it was, for the price of one cheap question.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::StoreError;

/// A connection that only watches for commits.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// One at a time.
    connection: SqlitePool,
    /// How many there were, one after the other.
    connections: Arc<AtomicU64>,
}

/// The commits that were seen.
///
/// SQLite counts those of others for each connection anew
/// (<https://www.sqlite.org/pragma.html#pragma_data_version>), so two counts tell something only when the same connection
/// counted. On a server the writes count themselves, in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Commits {
    connection: u64,
    count: i64,
}

impl Commits {
    /// As the database itself counts them.
    pub(super) fn counted(count: i64) -> Self {
        Self { connection: 0, count }
    }
}

impl Watch {
    /// Connects when it is asked first. `single` makes pools of one connection.
    pub(super) fn new(single: SqlitePoolOptions, options: SqliteConnectOptions) -> Self {
        let connections = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&connections);
        let pool = single.after_connect(move |_connection, _metadata| {
            counter.fetch_add(1, Ordering::AcqRel);
            Box::pin(async { Ok(()) })
        });
        Self { connection: pool.connect_lazy_with(options), connections }
    }

    /// The commits until now. As long as they are the same, what was read after they were asked for is true.
    pub(super) async fn commits(&self) -> Result<Commits, StoreError> {
        // While it is held, no other one takes its place.
        let mut held = self.connection.acquire().await?;
        let connection = self.connections.load(Ordering::Acquire);
        let count = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *held).await?;
        Ok(Commits { connection, count })
    }

    /// Disconnects.
    pub(super) async fn close(&self) {
        self.connection.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that takes another one's place counts from the start again, and may come to the same number.
    #[tokio::test]
    async fn counts_of_two_connections_are_never_the_same() {
        let options = SqliteConnectOptions::new().in_memory(true);
        let watch = Watch::new(SqlitePoolOptions::new().max_connections(1), options);
        let first = watch.commits().await.unwrap();
        assert_eq!(watch.commits().await.unwrap(), first, "nobody wrote");
        watch.connection.acquire().await.unwrap().close().await.unwrap();
        let second = watch.commits().await.unwrap();
        assert_eq!(second.count, first.count, "SQLite counts anew");
        assert_ne!(second, first);
    }
}
