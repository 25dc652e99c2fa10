//! The ids behind the names that operators write.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cache::Cached;
use crate::cloud::CloudError;

/// The most names that are kept; a configuration has a handful.
const LIMIT: usize = 1000;

/// Ids by name, each looked up by one task at a time.
pub(super) struct Names {
    life: Duration,
    known: Mutex<HashMap<String, Arc<Cached<String>>>>,
}

impl Names {
    /// Knows nothing yet; what it learns is believed for `life`.
    pub(super) fn new(life: Duration) -> Self {
        Self { life, known: Mutex::new(HashMap::new()) }
    }

    /// The id behind the name, looked up if it is not known.
    pub(super) async fn id<F, Fut>(&self, name: &str, look_up: F) -> Result<String, CloudError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<String, CloudError>>,
    {
        let entry = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= LIMIT {
                known.clear();
            }
            known.entry(name.to_owned()).or_insert_with(|| Arc::new(Cached::new(self.life))).clone()
        };
        Ok(entry.get(look_up).await?.as_str().to_owned())
    }

    /// Forgets all names.
    pub(super) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
