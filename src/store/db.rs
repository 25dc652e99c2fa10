//! The one place that knows which database it is: connections, the start of a write, values on their way in.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Sqlite, SqliteConnection};

use super::StoreError;
use super::row::Row;
use super::url::Location;
use super::watch::{Commits, Watch};
use crate::model::Timestamp;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
/// What was applied, as sqlx keeps it.
const APPLIED: &str = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";

/// How long SQLite waits for the lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two tries to open a file that others are opening, and how often it is tried: together as long as
/// [`BUSY_TIMEOUT`].
const LOCKED_PAUSE: Duration = Duration::from_millis(20);
const LOCKED_TRIES: u32 = 250;
/// How long a call waits for a connection that other calls of this process use.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one statement may take, [`BUSY_TIMEOUT`] included.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How many connections read at the same time.
const READERS: u32 = 4;
/// How many rows of a query may wait to be taken, so that the thread that reads them need not wait for the other one.
const ROWS_WAITING: usize = 1000;

/// The connections. SQLite has one writer at a time: ours wait for each other here, in order, instead of polling a lock.
#[derive(Clone, Debug)]
pub(super) struct Db {
    write: SqlitePool,
    read: SqlitePool,
    /// `None` where every connection would be another database.
    watch: Option<Watch>,
    stopwatch: Stopwatch,
}

/// Who is told how long reads and writes take: `read` or `write`, and the time.
pub type Timed = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// Tells how long reads and writes take, if anybody wants to know.
#[derive(Clone, Default)]
struct Stopwatch(Option<Timed>);

impl Stopwatch {
    fn stop(&self, operation: &'static str, began: Instant) {
        if let Some(told) = &self.0 {
            told(operation, began.elapsed());
        }
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Stopwatch(on)" } else { "Stopwatch(off)" })
    }
}

/// A write: all of its statements take effect at the commit, or none.
pub(super) struct Write {
    transaction: sqlx::Transaction<'static, Sqlite>,
    began: Instant,
    stopwatch: Stopwatch,
}

/// A value on its way into a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
}

impl Db {
    /// Connects, making the file if needed, and brings the tables up to date.
    pub(super) async fn open(location: &Location) -> Result<Self, StoreError> {
        let options = match location {
            Location::File(path) => {
                make_file(path).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
                SqliteConnectOptions::new().filename(path)
            }
            Location::Memory => SqliteConnectOptions::new(),
        };
        let options = options
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .row_buffer_size(ROWS_WAITING);
        let write = within(connect_first(&options)).await?;
        let (read, watch) = match location {
            Location::File(_) => {
                let options = options.pragma("query_only", "ON");
                (pool(READERS).connect_lazy_with(options.clone()), Some(Watch::new(pool(1), options)))
            }
            // Another connection would see another database.
            Location::Memory => (write.clone(), None),
        };
        let db = Self { write, read, watch, stopwatch: Stopwatch::default() };
        if !db.is_current().await {
            db.migrate().await?;
        }
        Ok(db)
    }

    /// Whether just the migrations that we know were applied, and all of them as we know them: then there is nothing to
    /// do, and a command that only looks needs no lock that a busy daemon may hold. Whatever cannot be read, and whatever
    /// is different, is for [`Self::migrate`] to mend or to refuse.
    async fn is_current(&self) -> bool {
        let applied = sqlx::query_as::<_, (i64, Vec<u8>, bool)>(APPLIED).fetch_all(&self.read);
        let Ok(applied) = within(async { Ok(applied.await?) }).await else { return false };
        let known = MIGRATIONS.iter().map(|known| (known.version, &*known.checksum, true));
        applied.iter().map(|(version, checksum, success)| (*version, checksum.as_slice(), *success)).eq(known)
    }

    /// All migrations in one write, so that a daemon and a CLI that start together on a new file do not run them twice.
    async fn migrate(&self) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        let connection: &mut SqliteConnection = &mut write.transaction;
        within(async { Ok(MIGRATIONS.run_direct(None, connection, false).await?) }).await?;
        write.commit().await
    }

    /// Waits for what is under way and disconnects.
    pub(super) async fn close(&self) {
        if let Some(watch) = &self.watch {
            watch.close().await;
        }
        self.read.close().await;
        self.write.close().await;
    }

    /// Begins a write. It takes the lock at once: a write that began as a read may fail when another came in between.
    pub(super) async fn begin(&self) -> Result<Write, StoreError> {
        let began = Instant::now();
        let beginning = async { Ok(self.write.begin_with("BEGIN IMMEDIATE").await?) };
        Ok(Write { transaction: within(beginning).await?, began, stopwatch: self.stopwatch.clone() })
    }

    /// The commits until now; `None` when this database does not tell.
    pub(super) async fn commits(&self) -> Result<Option<Commits>, StoreError> {
        match &self.watch {
            Some(watch) => within(watch.commits()).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rows that a SELECT gives.
    pub(super) async fn rows(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let began = Instant::now();
        let rows = within(async {
            Ok(bind(sql, values).fetch_all(&self.read).await?.into_iter().map(Row::new).collect())
        })
        .await;
        self.stopwatch.stop("read", began);
        rows
    }

    /// The row that a SELECT gives, if any.
    pub(super) async fn row(&self, sql: &'static str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        let began = Instant::now();
        let read = async { Ok(bind(sql, values).fetch_optional(&self.read).await?.map(Row::new)) };
        let row = within(read).await;
        self.stopwatch.stop("read", began);
        row
    }

    /// Tells from now on how long reads and writes take; clones that were made before do not.
    pub(super) fn timed(&mut self, told: Timed) {
        self.stopwatch = Stopwatch(Some(told));
    }

    /// A write of one statement; gives how many rows it wrote.
    pub(super) async fn execute(&self, sql: &'static str, values: &[Value]) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let written = write.execute(sql, values).await?;
        write.commit().await?;
        Ok(written)
    }

    /// A write of one INSERT into a table whose numbers the database gives out; gives the number.
    pub(super) async fn insert(&self, sql: &'static str, values: &[Value]) -> Result<i64, StoreError> {
        let mut write = self.begin().await?;
        let id = write.insert(sql, values).await?;
        write.commit().await?;
        Ok(id)
    }
}

impl Write {
    /// Runs a statement that gives no rows; gives how many it wrote.
    pub(super) async fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, StoreError> {
        within(async { Ok(bind(sql, values).execute(&mut *self.transaction).await?.rows_affected()) }).await
    }

    /// Runs an INSERT into a table whose numbers the database gives out; gives the number.
    pub(super) async fn insert(&mut self, sql: &'static str, values: &[Value]) -> Result<i64, StoreError> {
        within(async { Ok(bind(sql, values).execute(&mut *self.transaction).await?.last_insert_rowid()) })
            .await
    }

    /// The row that a SELECT gives, if any.
    pub(super) async fn row(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        within(async { Ok(bind(sql, values).fetch_optional(&mut *self.transaction).await?.map(Row::new)) })
            .await
    }

    /// Makes it last. A write that is dropped instead never happened.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { transaction, began, stopwatch } = self;
        let committed = within(async { Ok(transaction.commit().await?) }).await;
        stopwatch.stop("write", began);
        committed
    }
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

fn bind<'q>(sql: &'static str, values: &[Value]) -> Query<'q, Sqlite, SqliteArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Integer(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.clone()),
    })
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
    for _ in 0..LOCKED_TRIES {
        match pool(1).connect_with(options.clone()).await.map_err(StoreError::from) {
            Err(StoreError::Busy(_)) => tokio::time::sleep(LOCKED_PAUSE).await,
            connected => return connected,
        }
    }
    Ok(pool(1).connect_with(options.clone()).await?)
}

/// Ends `call` at the latest after [`STATEMENT_TIMEOUT`].
async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STATEMENT_TIMEOUT, call).await.unwrap_or_else(|_elapsed| {
        Err(StoreError::Unavailable(format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs())))
    })
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(Some(value.into()))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(Some(value.into()))
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Integer(Some(value.millis()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Integer(value.map(Timestamp::millis))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}
