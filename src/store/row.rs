//! A row on its way out. What cannot be read is reported with the table and the row, for whoever has to mend it.

use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, MySql, Postgres, Row as _, Sqlite, Type};

use super::StoreError;
use super::db::Each;
use crate::model::Timestamp;

/// A row that a SELECT gave.
pub(super) struct Row(Each<SqliteRow, PgRow, MySqlRow>);

/// The columns of one row of one table.
pub(super) struct Columns<'r> {
    row: &'r Row,
    table: &'static str,
    key: String,
}

impl Row {
    pub(super) fn new(row: Each<SqliteRow, PgRow, MySqlRow>) -> Self {
        Self(row)
    }

    /// The row's columns; `key` is the table's primary key, an integer.
    pub(super) fn numbered(
        &self,
        table: &'static str,
        key: &'static str,
    ) -> Result<(i64, Columns<'_>), StoreError> {
        let columns = Columns { row: self, table, key: "of unreadable number".to_owned() };
        let number = columns.integer(key)?;
        Ok((number, Columns { key: number.to_string(), ..columns }))
    }

    /// The row's columns; `key` is how the caller asked for it.
    pub(super) fn named(&self, table: &'static str, key: &str) -> Columns<'_> {
        Columns { row: self, table, key: key.to_owned() }
    }
}

impl Columns<'_> {
    pub(super) fn integer(&self, column: &'static str) -> Result<i64, StoreError> {
        self.required(column)
    }

    pub(super) fn optional_integer(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        self.optional(column)
    }

    pub(super) fn count(&self, column: &'static str) -> Result<u32, StoreError> {
        let number = self.integer(column)?;
        u32::try_from(number)
            .map_err(|_| self.corrupt(&format!("column {column}: {number} is not a small number")))
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.required(column)
    }

    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.optional(column)
    }

    pub(super) fn boolean(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.integer(column)? != 0)
    }

    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.integer(column).map(Timestamp::from_millis)
    }

    pub(super) fn optional_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_integer(column)?.map(Timestamp::from_millis))
    }

    /// The error that this row deserves.
    pub(super) fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("table {}, row {}: {what}", self.table, self.key))
    }

    /// Asked for a value itself, sqlx reads SQLite's NULL as 0 or as an empty text.
    fn required<'r, T: Read<'r>>(&'r self, column: &str) -> Result<T, StoreError> {
        self.optional(column)?.ok_or_else(|| self.corrupt(&format!("column {column}: is null")))
    }

    fn optional<'r, T: Read<'r>>(&'r self, column: &str) -> Result<Option<T>, StoreError> {
        let read = match &self.row.0 {
            Each::Sqlite(row) => row.try_get(column),
            Each::Postgres(row) => row.try_get(column),
            Each::MySql(row) => row.try_get(column),
        };
        read.map_err(|error| self.corrupt(&format!("column {column}: {error}")))
    }
}

/// What can be read from a column of each kind of database.
trait Read<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> + Decode<'r, MySql> + Type<MySql>
{
}

impl<'r, T> Read<'r> for T where
    T: Decode<'r, Sqlite>
        + Type<Sqlite>
        + Decode<'r, Postgres>
        + Type<Postgres>
        + Decode<'r, MySql>
        + Type<MySql>
{
}
