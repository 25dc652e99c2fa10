//! Bringing the tables up to date, once, whoever else opens the same database.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{Migrate, Migrator};
use sqlx::{Connection, Executor, MySql, MySqlConnection, PgConnection, Postgres, Sqlite, SqliteConnection};

use super::{Pair, within};
use crate::store::StoreError;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static MYSQL: Migrator = sqlx::migrate!("migrations/mysql");

/// What was applied, as sqlx keeps it.
const APPLIED: &str = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";

/// How long a server may take to bring all tables up to date, or to let somebody else do it first.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(5);

/// The tables of a PostgreSQL database that names without a schema find. MariaDB calls such a place a database.
const POSTGRES_TABLES: &str = "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1";
const MYSQL_TABLES: &str = "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
    WHERE table_schema = database() ORDER BY 1";
/// One at a time, of those that open the same database. Locks of all databases of a server have names in common.
/// <https://mariadb.com/kb/en/get_lock/>
const MYSQL_LOCK: &str = "SELECT CAST(get_lock(concat('nodepool.', md5(database())), ?) AS SIGNED)";
/// The table that says that a database is ours.
const OUR_MARK: &str = "_sqlx_migrations";
/// Names that nodepool v0 gave to tables (nodepool/nodedb.py), and we do, too, for other columns.
const SHARED_NAMES: [&str; 3] = ["job", "node", "snapshot_image"];

/// The oldest servers that have what the statements use: checks, defaults of texts and numbers that outlive a restart.
const OLDEST_POSTGRES: u32 = 130_000;
const OLDEST_MARIADB: (u32, u32, u32) = (10, 5, 0);
const OLDEST_MYSQL: (u32, u32, u32) = (8, 0, 19);

/// Brings the tables of a SQLite database up to date: all migrations in one write, so that a daemon and a CLI that start
/// together on a new file do not run them twice.
pub(super) async fn migrate_sqlite(pair: &Pair<Sqlite>) -> Result<(), StoreError> {
    let applied = sqlx::query_as::<_, Applied>(APPLIED).fetch_all(&pair.read);
    if is_current(&SQLITE, applied).await {
        return Ok(());
    }
    let mut write = within(async { Ok(pair.write.begin_with("BEGIN IMMEDIATE").await?) }).await?;
    let connection: &mut SqliteConnection = &mut write;
    within(async { Ok(SQLITE.run_direct(None, connection, false).await?) }).await?;
    within(async { Ok(write.commit().await?) }).await
}

/// Brings the tables of a PostgreSQL database up to date, over this connection.
pub(super) async fn migrate_postgres(mut connection: PgConnection) -> Result<(), StoreError> {
    let applied = sqlx::query_as::<Postgres, Applied>(APPLIED).fetch_all(&mut connection);
    if !is_current(&POSTGRES, applied).await {
        let version = sqlx::query_scalar::<Postgres, String>("SHOW server_version_num");
        let version = within(async { Ok(version.fetch_one(&mut connection).await?) }).await?;
        if version.parse::<u32>().is_ok_and(|version| version < OLDEST_POSTGRES) {
            return Err(StoreError::Schema(format!("it needs PostgreSQL 13 or newer, this is {version}")));
        }
        // What waits for its turn, or builds an index, is not to be cut off as a statement of the day.
        within(async { Ok(connection.execute("SET lock_timeout = 0; SET statement_timeout = 0").await?) })
            .await?;
        patiently(async {
            connection.lock().await?;
            let tables = sqlx::query_scalar::<Postgres, String>(POSTGRES_TABLES);
            refuse_strangers(&tables.fetch_all(&mut connection).await?)?;
            Ok(POSTGRES.run_direct(None, &mut connection, false).await?)
        })
        .await?;
    }
    // The lock ends with the connection.
    let _ = within(async { Ok(connection.close().await?) }).await;
    Ok(())
}

/// Brings the tables of a MariaDB or MySQL database up to date, over this connection.
pub(super) async fn migrate_mysql(mut connection: MySqlConnection) -> Result<(), StoreError> {
    let applied = sqlx::query_as::<MySql, Applied>(APPLIED).fetch_all(&mut connection);
    if !is_current(&MYSQL, applied).await {
        let version = sqlx::query_scalar::<MySql, String>("SELECT CAST(version() AS CHAR)");
        let version = within(async { Ok(version.fetch_one(&mut connection).await?) }).await?;
        refuse_old(&version)?;
        patiently(async {
            // sqlx waits for its lock with a timeout that is negative, and MariaDB does not wait then.
            let locked =
                sqlx::query_scalar::<MySql, Option<i64>>(MYSQL_LOCK).bind(MIGRATION_TIMEOUT.as_secs());
            if locked.fetch_one(&mut connection).await? != Some(1) {
                return Err(StoreError::Busy("somebody else brings the tables up to date".to_owned()));
            }
            let tables = sqlx::query_scalar::<MySql, String>(MYSQL_TABLES);
            refuse_strangers(&tables.fetch_all(&mut connection).await?)?;
            let known = Migrator {
                migrations: Cow::Borrowed(&MYSQL.migrations),
                locking: false,
                ..Migrator::DEFAULT
            };
            Ok(known.run_direct(None, &mut connection, false).await?)
        })
        .await?;
    }
    // The lock ends with the connection.
    let _ = within(async { Ok(connection.close().await?) }).await;
    Ok(())
}

/// A line of [`APPLIED`].
type Applied = (i64, Vec<u8>, bool);

/// Whether just the migrations that we know were applied, and all of them as we know them: then there is nothing to
/// do, and a command that only looks needs no lock that a busy daemon may hold. Whatever cannot be read, and whatever
/// is different, is for the migrations to mend or to refuse.
async fn is_current(known: &Migrator, applied: impl Future<Output = sqlx::Result<Vec<Applied>>>) -> bool {
    let Ok(applied) = within(async { Ok(applied.await?) }).await else { return false };
    let known = known.iter().map(|known| (known.version, &*known.checksum, true));
    applied.iter().map(|(version, checksum, success)| (*version, checksum.as_slice(), *success)).eq(known)
}

/// Ends `call` at the latest after [`MIGRATION_TIMEOUT`].
async fn patiently(call: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
    tokio::time::timeout(MIGRATION_TIMEOUT, call).await.unwrap_or_else(|_elapsed| {
        let minutes = MIGRATION_TIMEOUT.as_secs() / 60;
        Err(StoreError::Busy(format!("the tables could not be brought up to date within {minutes} minutes")))
    })
}

/// Nothing is written to a database in which somebody else has tables of the names of ours, as nodepool v0 has.
fn refuse_strangers(tables: &[String]) -> Result<(), StoreError> {
    if tables.iter().any(|table| table == OUR_MARK) {
        return Ok(());
    }
    let found: Vec<&str> =
        tables.iter().map(String::as_str).filter(|table| SHARED_NAMES.contains(table)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(StoreError::Foreign(format!("it has tables called {}", found.join(", "))))
}

/// MariaDB says `10.11.6-MariaDB-1`, behind some proxies `5.5.5-10.11.6-MariaDB`; MySQL says `8.0.36`.
fn refuse_old(told: &str) -> Result<(), StoreError> {
    let maria = told.contains("MariaDB");
    let number = if maria { told.trim_start_matches("5.5.5-") } else { told };
    let mut parts = number.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let version = (part(), part(), part());
    let (oldest, name) =
        if maria { (OLDEST_MARIADB, "MariaDB 10.5") } else { (OLDEST_MYSQL, "MySQL 8.0.19") };
    if version < oldest {
        return Err(StoreError::Schema(format!("it needs {name} or newer, this is {told}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_lack_what_we_use_are_told_so() {
        for good in [
            "10.11.19-MariaDB-0+deb12u1",
            "5.5.5-10.5.0-MariaDB",
            "11.4.2-MariaDB",
            "8.0.19",
            "9.1.0-commercial",
        ] {
            assert_eq!(refuse_old(good), Ok(()), "{good}");
        }
        for old in ["10.4.33-MariaDB", "5.5.5-10.3.39-MariaDB", "5.7.44-log", "8.0.18", ""] {
            assert!(matches!(refuse_old(old), Err(StoreError::Schema(_))), "{old}");
        }
    }

    #[test]
    fn tables_of_others_are_left_alone() {
        let tables = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(refuse_strangers(&tables(&["_sqlx_migrations", "node"])), Ok(()), "these are ours");
        assert_eq!(refuse_strangers(&tables(&["spatial_ref_sys"])), Ok(()), "these have names of their own");
        let refused = refuse_strangers(&tables(&["node", "snapshot_image", "subnode"])).unwrap_err();
        assert!(refused.to_string().contains("node, snapshot_image"), "{refused}");
    }
}
