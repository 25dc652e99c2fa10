//! Facts in an order that a person chose: the keys of a file as they are usually written, not sorted by letter.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// A value of JSON or YAML.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// A scalar.
    Value(serde_json::Value),
    /// A list.
    List(Vec<Facts>),
    /// A mapping whose order is kept.
    Map(Vec<(String, Facts)>),
}

impl Facts {
    /// A mapping of these entries.
    pub(super) fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A list of texts.
    pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> Self {
        Self::List(texts.into_iter().map(|text| text.as_ref().into()).collect())
    }

    /// Adds an entry to a mapping.
    pub(super) fn add(&mut self, key: &str, value: impl Into<Self>) {
        if let Self::Map(entries) = self {
            entries.push((key.to_owned(), value.into()));
        }
    }

    /// Adds an entry to a mapping, if there is a value.
    pub(super) fn add_if(&mut self, key: &str, value: Option<impl Into<Self>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }
}

impl<T: Into<serde_json::Value>> From<T> for Facts {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
