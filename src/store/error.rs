//! How a call of the store may fail, named by what the caller will do about it.

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
    /// The database is locked by others: nothing was written, try again at the next tick.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// The database cannot be used now (disk full, file gone, no answer): try again at the next tick, tell the operator.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database refused a write because of what it says: nothing was written.
    #[error("the database refused: {0}")]
    Rejected(String),
    /// A row cannot be read: an operator has to mend it.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
    /// The tables cannot be brought to what this version of the program needs, or are newer than it.
    #[error("the tables of the database do not fit this version of the program: {0}")]
    Schema(String),
    /// No database of this kind is supported.
    #[error("databases of the kind `{0}` are not supported, only `sqlite`")]
    Unsupported(String),
    /// The URL is not one of a database.
    #[error("the database URL is not usable: {0}")]
    Url(&'static str),
}

/// SQLite's primary result codes, from <https://www.sqlite.org/rescode.html>.
const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const CORRUPT: i64 = 11;
const TOO_BIG: i64 = 18;
const CONSTRAINT: i64 = 19;
const NOT_A_DATABASE: i64 = 26;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy("no connection became free in time".to_owned()),
            sqlx::Error::PoolClosed => Self::Unavailable("it was closed".to_owned()),
            sqlx::Error::Database(database) => {
                let text = database.message().to_owned();
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
