//! Reading answers that may be odd: a field of an unexpected shape becomes "not told", and an entry of one is left out.

use serde::de::{Deserialize, Deserializer, IgnoredAny};

/// Reads a value if it has the expected shape; anything else, `null` too, is `None`.
pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Shape::deserialize(deserializer)?.expected())
}

/// Reads a list and leaves out the entries that do not have the expected shape.
pub(super) fn lenient_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let entries: Option<Vec<Shape<T>>> = lenient(deserializer)?;
    Ok(entries.unwrap_or_default().into_iter().filter_map(Shape::expected).collect())
}

/// Reads a list that must be one, and leaves out the entries that do not have the expected shape.
pub(super) fn entries<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let entries: Vec<Shape<T>> = Vec::deserialize(deserializer)?;
    Ok(entries.into_iter().filter_map(Shape::expected).collect())
}

/// A value of the expected shape, or of any other.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Shape<T> {
    Expected(T),
    Other(IgnoredAny),
}

impl<T> Shape<T> {
    fn expected(self) -> Option<T> {
        match self {
            Self::Expected(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}
