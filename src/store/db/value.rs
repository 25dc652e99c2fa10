//! Values on their way into a statement.

use sqlx::query::Query;
use sqlx::{Database, Encode, IntoArguments, SqlSafeStr, Type};

use crate::model::Timestamp;

/// A value on its way into a statement.
#[derive(Clone, Debug)]
pub(in crate::store) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
}

/// A statement with its values.
pub(super) fn bind<'q, D>(sql: impl SqlSafeStr, values: &[Value]) -> Query<'q, D, D::Arguments>
where
    D: Database,
    D::Arguments: IntoArguments<D>,
    Option<i64>: Encode<'q, D> + Type<D>,
    Option<String>: Encode<'q, D> + Type<D>,
{
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Integer(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.clone()),
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
