//! How a call of the store may fail, named by what the caller will do about it.

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::database_url::UrlError;

/// Why a call of the store failed. The texts never hold the database's URL, which may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote or removed the row first: read again, decide again.
    #[error("{table} {id} is not at revision {revision} any more")]
    Conflict {
        /// The table.
        table: &'static str,
        /// The row's number.
        id: i64,
        /// The revision that the write was to replace.
        revision: i64,
    },
    /// The database is locked by others, or chose this write to let others go on: nothing was written, try again at the
    /// next tick.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// The database cannot be used now (disk full, file gone, server away, no answer): try again at the next tick, tell the operator.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The user that we are may not do this there: an operator has to grant it.
    #[error("the database does not permit it: {0}")]
    Denied(String),
    /// The database refused a write because of what it says: nothing was written.
    #[error("the database refused: {0}")]
    Rejected(String),
    /// A row cannot be read: an operator has to mend it.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
    /// The tables cannot be brought to what this version of the program needs, or are newer than it.
    #[error("the tables of the database do not fit this version of the program: {0}")]
    Schema(String),
    /// The database belongs to another program, nodepool v0 for example, and was not touched.
    #[error("the database is not ours: {0}")]
    Foreign(String),
    /// The server of the database is not there, or does not let us in.
    #[error("the database cannot be opened: {what}")]
    Server {
        /// What happened, in words for a person.
        what: String,
        /// What an operator can do about it.
        next: &'static str,
    },
    /// The URL names no database that we know.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// SQLite's primary result codes, from <https://www.sqlite.org/rescode.html>.
const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const CORRUPT: i64 = 11;
const TOO_BIG: i64 = 18;
const CONSTRAINT: i64 = 19;
const NOT_A_DATABASE: i64 = 26;

/// MariaDB's numbers, from <https://mariadb.com/kb/en/mariadb-error-code-reference/>, and what MySQL has instead, from
/// <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>.
const DATABASE_DENIED: u16 = 1044;
const TABLE_DENIED: u16 = 1142;
const LOCK_WAIT_TIMEOUT: u16 = 1205;
const LOCK_DEADLOCK: u16 = 1213;
const TRUNCATED_WRONG_VALUE: u16 = 1366;
const MYSQL_CHECK_VIOLATED: u16 = 3819;
const NOT_KEYFILE: u16 = 1034;
const CRASHED_ON_USAGE: u16 = 1194;
const CRASHED_ON_REPAIR: u16 = 1195;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy("no connection became free in time".to_owned()),
            sqlx::Error::PoolClosed => Self::Unavailable("it was closed".to_owned()),
            sqlx::Error::Database(database) => {
                let text = database.message().to_owned();
                if let Some(mysql) = database.try_downcast_ref::<MySqlDatabaseError>() {
                    return Self::of_mysql(mysql.number(), mysql.code().unwrap_or_default(), text);
                }
                if let Some(postgres) = database.try_downcast_ref::<PgDatabaseError>() {
                    return Self::of_postgres(postgres.code(), text);
                }
                // The primary code is the low byte of an extended one.
                let code = database.code().and_then(|code| code.parse::<i64>().ok());
                match code.map(|code| code & 0xff) {
                    Some(BUSY | LOCKED) => Self::Busy(text),
                    Some(CONSTRAINT | TOO_BIG) => Self::Rejected(text),
                    Some(CORRUPT | NOT_A_DATABASE) => Self::Corrupt(text),
                    _ => Self::Unavailable(text),
                }
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl StoreError {
    /// An error of a server. While one cannot be reached, sqlx tries again until it has no more time.
    pub(super) fn from_server(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Unavailable(
                "its server cannot be reached, or all connections to it are in use".to_owned(),
            ),
            other => other.into(),
        }
    }

    /// SQLSTATEs, from <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
    fn of_postgres(state: &str, text: String) -> Self {
        match (state.get(..2).unwrap_or_default(), state) {
            // The transaction was rolled back (40001 serialisation, 40P01 deadlock); 55P03 waited too long for a lock.
            ("40", _) | (_, "55P03") => Self::Busy(text),
            (_, "42501") => Self::Denied(text),
            // Data that does not fit, a constraint, and what a trigger raises.
            ("22" | "23", _) | (_, "P0001") => Self::Rejected(text),
            // XX001 and XX002: damaged data, a damaged index.
            (_, "XX001" | "XX002") => Self::Corrupt(text),
            _ => Self::Unavailable(text),
        }
    }

    fn of_mysql(number: u16, state: &str, text: String) -> Self {
        match (number, state.get(..2).unwrap_or_default()) {
            (LOCK_WAIT_TIMEOUT | LOCK_DEADLOCK, _) => Self::Busy(text),
            (DATABASE_DENIED | TABLE_DENIED, _) => Self::Denied(text),
            (NOT_KEYFILE | CRASHED_ON_USAGE | CRASHED_ON_REPAIR, _) => Self::Corrupt(text),
            // The same classes of SQLSTATE as above; 45 is what a trigger signals.
            (TRUNCATED_WRONG_VALUE | MYSQL_CHECK_VIOLATED, _) | (_, "22" | "23" | "45") => {
                Self::Rejected(text)
            }
            _ => Self::Unavailable(text),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            sqlx::migrate::MigrateError::ExecuteMigration(error, version) => match Self::from(error) {
                Self::Rejected(text) => Self::Schema(format!("migration {version}: {text}")),
                other => other,
            },
            other => Self::Schema(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_is_named_by_what_to_do() {
        let text = || "told".to_owned();
        for state in ["40001", "40P01", "55P03"] {
            assert_eq!(StoreError::of_postgres(state, text()), StoreError::Busy(text()), "{state}");
        }
        for state in ["23505", "23514", "23502", "22001", "22021", "P0001"] {
            assert_eq!(StoreError::of_postgres(state, text()), StoreError::Rejected(text()), "{state}");
        }
        for state in ["57P01", "53100", "57014", "42P01", "08006", ""] {
            assert_eq!(StoreError::of_postgres(state, text()), StoreError::Unavailable(text()), "{state}");
        }
        assert_eq!(StoreError::of_postgres("42501", text()), StoreError::Denied(text()));
        for number in [1044, 1142] {
            assert_eq!(StoreError::of_mysql(number, "42000", text()), StoreError::Denied(text()), "{number}");
        }
        assert_eq!(StoreError::of_postgres("XX001", text()), StoreError::Corrupt(text()));
        for number in [1205, 1213] {
            assert_eq!(StoreError::of_mysql(number, "40001", text()), StoreError::Busy(text()), "{number}");
        }
        for (number, state) in
            [(1062, "23000"), (4025, "23000"), (3819, "HY000"), (1406, "22001"), (1644, "45000")]
        {
            assert_eq!(StoreError::of_mysql(number, state, text()), StoreError::Rejected(text()), "{number}");
        }
        for (number, state) in [(1021, "HY000"), (1053, "08S01"), (1290, "HY000")] {
            assert_eq!(
                StoreError::of_mysql(number, state, text()),
                StoreError::Unavailable(text()),
                "{number}"
            );
        }
        assert_eq!(StoreError::of_mysql(1194, "HY000", text()), StoreError::Corrupt(text()));
        let away = StoreError::from_server(sqlx::Error::PoolTimedOut);
        assert!(
            matches!(away, StoreError::Unavailable(_)),
            "the pool tries until it has no more time: {away}"
        );
    }
}
