//! Reading answers that may be odd: a field of an unexpected shape becomes "not told" instead of failing the whole
//! listing. Only what a listing cannot do without, an id, is read strictly.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::de::{Deserialize, Deserializer, IgnoredAny};

use crate::model::Timestamp;

/// Reads a value if it has the expected shape; anything else, `null` too, is `None`.
pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(match Shape::deserialize(deserializer)? {
        Shape::Expected(value) => Some(value),
        Shape::Other(_) => None,
    })
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

/// A value of the expected shape, or of any other.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Shape<T> {
    /// As expected.
    Expected(T),
    /// Anything else.
    Other(IgnoredAny),
}

impl<T> Shape<T> {
    /// The value, if it is as expected.
    pub(super) fn expected(self) -> Option<T> {
        match self {
            Self::Expected(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

/// The moment that a service wrote as text. Nova and Glance write `2026-11-21T10:00:00Z`; some services leave out the
/// zone and mean UTC.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let utc = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
    let millis = utc.or_else(|_| {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .map(|time| time.and_utc().timestamp_millis())
    });
    millis.ok().map(Timestamp::from_millis)
}

/// A moment as `changes-since` wants it: whole seconds, rounded down, in UTC.
pub(super) fn whole_seconds(moment: Timestamp) -> Option<String> {
    let time: DateTime<Utc> = DateTime::from_timestamp(moment.seconds(), 0)?;
    Some(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_with_and_without_a_zone() {
        let expected = Some(Timestamp::from_millis(1_795_255_200_000));
        assert_eq!(moment("2026-11-21T10:00:00Z"), expected);
        assert_eq!(moment("2026-11-21T11:00:00+01:00"), expected);
        assert_eq!(moment("2026-11-21T10:00:00.000000"), expected);
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn writes_whole_seconds_rounded_down() {
        let text = whole_seconds(Timestamp::from_millis(1_795_255_200_999));
        assert_eq!(text.as_deref(), Some("2026-11-21T10:00:00Z"));
        assert_eq!(whole_seconds(Timestamp::from_millis(i64::MAX)), None);
    }
}
