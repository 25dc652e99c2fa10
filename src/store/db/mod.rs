//! The one place that knows which database it is: connections, the start of a write, statements on their way.

mod dialect;
mod held;
mod migrations;
mod server;
mod sqlite;
mod value;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Database, MySql, Pool, Postgres, Sqlite, Transaction};

use super::StoreError;
use super::row::Row;
use super::watch::{Commits, Watch};
use crate::database_url::Location;
use dialect::{question_marks, returning_id};
use held::Held;
pub(super) use value::Value;
use value::bind;

/// How long a call waits for a connection that other calls of this process use, and a first connection for the server.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one statement may take, the wait for a lock included.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How many connections read at the same time.
const READERS: u32 = 4;

/// The connections. Writes are one after the other, and those of this process wait for each other here, in order.
///
/// What waits for a server is boxed: it is large, and calls to SQLite would have to carry it around.
#[derive(Clone, Debug)]
pub(super) struct Db {
    pools: Each<Pair<Sqlite>, Pair<Postgres>, Pair<MySql>>,
    /// Where SQLite tells whether somebody wrote. Servers count their writes themselves.
    watch: Option<Watch>,
    stopwatch: Stopwatch,
}

/// One of the three, by the kind of the database.
#[derive(Clone, Debug)]
pub(super) enum Each<S, P, M> {
    Sqlite(S),
    Postgres(P),
    MySql(M),
}

/// One connection for writes and some for reads, which cannot write.
#[derive(Debug)]
struct Pair<D: Database> {
    write: Pool<D>,
    read: Pool<D>,
}

impl<D: Database> Clone for Pair<D> {
    fn clone(&self) -> Self {
        Self { write: self.write.clone(), read: self.read.clone() }
    }
}

impl<D: Database> Pair<D> {
    async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
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
    transaction: Each<Transaction<'static, Sqlite>, Held<Postgres>, Held<MySql>>,
    began: Instant,
    stopwatch: Stopwatch,
}

impl Db {
    /// Connects, making the file of SQLite if needed, and brings the tables up to date.
    pub(super) async fn open(location: &Location) -> Result<Self, StoreError> {
        let (pools, watch) = match location {
            Location::File(file) => {
                let (pair, watch) = sqlite::open_file(file).await?;
                (Each::Sqlite(pair), watch)
            }
            Location::Memory => {
                let (pair, watch) = sqlite::open_memory().await?;
                (Each::Sqlite(pair), watch)
            }
            Location::Postgres(at) => (Each::Postgres(server::open_postgres(at).await?), None),
            Location::MySql(at) => (Each::MySql(server::open_mysql(at).await?), None),
        };
        if let Each::Sqlite(pair) = &pools {
            migrations::migrate_sqlite(pair).await?;
        }
        Ok(Self { pools, watch, stopwatch: Stopwatch::default() })
    }

    /// Waits for what is under way and disconnects.
    pub(super) async fn close(&self) {
        if let Some(watch) = &self.watch {
            watch.close().await;
        }
        match &self.pools {
            Each::Sqlite(pair) => pair.close().await,
            Each::Postgres(pair) => pair.close().await,
            Each::MySql(pair) => pair.close().await,
        }
    }

    /// Whether the database is SQLite, inside this process.
    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self.pools, Each::Sqlite(_))
    }

    /// Begins a write. It takes the lock at once: a write that began as a read may fail when another came in between.
    pub(super) async fn begin(&self) -> Result<Write, StoreError> {
        let began = Instant::now();
        let transaction = within(self.begin_alone()).await?;
        Ok(Write { transaction, began, stopwatch: self.stopwatch.clone() })
    }

    async fn begin_alone(
        &self,
    ) -> Result<Each<Transaction<'static, Sqlite>, Held<Postgres>, Held<MySql>>, StoreError> {
        Ok(match &self.pools {
            Each::Sqlite(pair) => Each::Sqlite(pair.write.begin_with("BEGIN IMMEDIATE").await?),
            Each::Postgres(pair) => {
                Each::Postgres(Box::pin(Held::writing(&pair.write, server::COUNT)).await?)
            }
            Each::MySql(pair) => Each::MySql(Box::pin(Held::writing(&pair.write, server::COUNT)).await?),
        })
    }

    /// The commits until now; `None` when this database does not tell.
    pub(super) async fn commits(&self) -> Result<Option<Commits>, StoreError> {
        if let Some(watch) = &self.watch {
            return within(watch.commits()).await.map(Some);
        }
        if self.is_sqlite() {
            return Ok(None);
        }
        match self.row(server::COUNTED, &[]).await? {
            Some(row) => row.named("installation", "1").integer("commits").map(Commits::counted).map(Some),
            None => Ok(None),
        }
    }

    /// The rows that a SELECT gives.
    pub(super) async fn rows(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let began = Instant::now();
        let rows = within(self.fetch_all(sql, values)).await;
        self.stopwatch.stop("read", began);
        rows
    }

    async fn fetch_all(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        match &self.pools {
            Each::Sqlite(pair) => {
                let rows = bind(sql, values).fetch_all(&pair.read).await?;
                Ok(rows.into_iter().map(|row| Row::new(Each::Sqlite(row))).collect())
            }
            Each::Postgres(pair) => {
                let mut held = Box::pin(Held::of(&pair.read)).await?;
                let rows = Box::pin(bind(sql, values).fetch_all(held.busy()?)).await;
                Ok(held.quiet(rows)?.into_iter().map(|row| Row::new(Each::Postgres(row))).collect())
            }
            Each::MySql(pair) => {
                let mut held = Box::pin(Held::of(&pair.read)).await?;
                let rows = Box::pin(bind(question_marks(sql), values).fetch_all(held.busy()?)).await;
                Ok(held.quiet(rows)?.into_iter().map(|row| Row::new(Each::MySql(row))).collect())
            }
        }
    }

    /// The row that a SELECT gives, if any.
    pub(super) async fn row(&self, sql: &'static str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        let began = Instant::now();
        let row = within(self.fetch_optional(sql, values)).await;
        self.stopwatch.stop("read", began);
        row
    }

    async fn fetch_optional(&self, sql: &'static str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        let row = match &self.pools {
            Each::Sqlite(pair) => bind(sql, values).fetch_optional(&pair.read).await?.map(Each::Sqlite),
            Each::Postgres(pair) => {
                let mut held = Box::pin(Held::of(&pair.read)).await?;
                let row = Box::pin(bind(sql, values).fetch_optional(held.busy()?)).await;
                held.quiet(row)?.map(Each::Postgres)
            }
            Each::MySql(pair) => {
                let mut held = Box::pin(Held::of(&pair.read)).await?;
                let row = Box::pin(bind(question_marks(sql), values).fetch_optional(held.busy()?)).await;
                held.quiet(row)?.map(Each::MySql)
            }
        };
        Ok(row.map(Row::new))
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
        within(async {
            Ok(match &mut self.transaction {
                Each::Sqlite(on) => bind(sql, values).execute(&mut **on).await?.rows_affected(),
                Each::Postgres(held) => {
                    let written = Box::pin(bind(sql, values).execute(held.busy()?)).await;
                    held.quiet(written)?.rows_affected()
                }
                // sqlx asks the server to count what a statement found, as the others do, and not what it changed.
                Each::MySql(held) => {
                    let written = Box::pin(bind(question_marks(sql), values).execute(held.busy()?)).await;
                    held.quiet(written)?.rows_affected()
                }
            })
        })
        .await
    }

    /// Runs an INSERT into a table whose numbers the database gives out; gives the number.
    pub(super) async fn insert(&mut self, sql: &'static str, values: &[Value]) -> Result<i64, StoreError> {
        within(async {
            match &mut self.transaction {
                Each::Sqlite(on) => Ok(bind(sql, values).execute(&mut **on).await?.last_insert_rowid()),
                Each::Postgres(held) => {
                    let row = Box::pin(bind(returning_id(sql), values).fetch_one(held.busy()?)).await;
                    Row::new(Each::Postgres(held.quiet(row)?)).named("of an INSERT", "new").integer("id")
                }
                Each::MySql(held) => {
                    let written = Box::pin(bind(question_marks(sql), values).execute(held.busy()?)).await;
                    let id = held.quiet(written)?.last_insert_id();
                    i64::try_from(id)
                        .map_err(|_error| StoreError::Corrupt(format!("the number {id} is too high")))
                }
            }
        })
        .await
    }

    /// The row that a SELECT gives, if any.
    pub(super) async fn row(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        within(async {
            let row = match &mut self.transaction {
                Each::Sqlite(on) => bind(sql, values).fetch_optional(&mut **on).await?.map(Each::Sqlite),
                Each::Postgres(held) => {
                    let row = Box::pin(bind(sql, values).fetch_optional(held.busy()?)).await;
                    held.quiet(row)?.map(Each::Postgres)
                }
                Each::MySql(held) => {
                    let row = Box::pin(bind(question_marks(sql), values).fetch_optional(held.busy()?)).await;
                    held.quiet(row)?.map(Each::MySql)
                }
            };
            Ok(row.map(Row::new))
        })
        .await
    }

    /// Makes it last. A write that is dropped instead never happened.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { transaction, began, stopwatch } = self;
        let committed = within(async {
            match transaction {
                Each::Sqlite(transaction) => Ok(transaction.commit().await?),
                Each::Postgres(held) => Box::pin(held.commit()).await,
                Each::MySql(held) => Box::pin(held.commit()).await,
            }
        })
        .await;
        stopwatch.stop("write", began);
        committed
    }
}

/// Ends `call` at the latest after [`STATEMENT_TIMEOUT`].
async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STATEMENT_TIMEOUT, call).await.unwrap_or_else(|_elapsed| {
        Err(StoreError::Unavailable(format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs())))
    })
}
