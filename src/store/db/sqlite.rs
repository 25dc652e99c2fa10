//! SQLite: a file of ours, or a database in memory.
//!
//! SQLite has one writer at a time: ours wait for each other in the pool of one connection, in order, instead of polling
//! a lock.

use std::path::Path;
use std::time::Duration;

use sqlx::Sqlite;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::time::Instant;

use super::{ACQUIRE_TIMEOUT, Pair, READERS, within};
use crate::database_url::File;
use crate::store::StoreError;
use crate::store::watch::Watch;

/// The pause between two tries to open a file that others are opening, and for how long it is tried: as long as SQLite
/// usually waits.
const LOCKED_PAUSE: Duration = Duration::from_millis(20);
const LOCKED_PATIENCE: Duration = Duration::from_secs(5);
/// How many rows of a query may wait to be taken, so that the thread that reads them need not wait for the other one.
const ROWS_WAITING: usize = 1000;

/// Opens a file, making it if needed.
pub(super) async fn open_file(file: &File) -> Result<(Pair<Sqlite>, Option<Watch>), StoreError> {
    make_file(&file.path).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let options = common(SqliteConnectOptions::new().filename(&file.path)).busy_timeout(file.busy_timeout);
    let write = within(connect_first(&options)).await?;
    let options = options.pragma("query_only", "ON");
    let read = pool(READERS).connect_lazy_with(options.clone());
    Ok((Pair { write, read }, Some(Watch::new(pool(1), options))))
}

/// Makes a database in memory. Every connection would be another database, so there is one, and nobody to watch.
pub(super) async fn open_memory() -> Result<(Pair<Sqlite>, Option<Watch>), StoreError> {
    let write = within(connect_first(&common(SqliteConnectOptions::new()))).await?;
    Ok((Pair { read: write.clone(), write }, None))
}

fn common(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .row_buffer_size(ROWS_WAITING)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection to a file does not go stale, and one in memory is the database: neither is ever replaced.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the file, and the folder that it is in, for our eyes only. SQLite gives its companion files the same mode.
async fn make_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Connects, waiting for others that open the same new file.
///
/// Making a new file a WAL database takes the file for oneself for a moment, and of two that try at once SQLite tells
/// one that it is locked without ever waiting (<https://www.sqlite.org/wal.html>, "Sometimes Queries Return
/// SQLITE_BUSY"). So the waiting is done here, as long as SQLite waits elsewhere.
async fn connect_first(options: &SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let began = Instant::now();
    loop {
        match pool(1).connect_with(options.clone()).await.map_err(StoreError::from) {
            Err(StoreError::Busy(_)) if began.elapsed() < LOCKED_PATIENCE => {
                tokio::time::sleep(LOCKED_PAUSE).await;
            }
            connected => return connected,
        }
    }
}
