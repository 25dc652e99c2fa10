//! Values that rarely change, fetched by one task at a time and kept for a while.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cloud::CloudError;

/// How long a failure is repeated instead of asking again. Long enough that tasks that waited for the same answer share
/// the failure, too, instead of waiting for a deadline one after the other; short enough that the next tick asks anew.
const FAILURE_LIFE: Duration = Duration::from_millis(500);

/// One value with a bounded life.
///
/// Only one task fetches; the others wait for it. A fetch must have a deadline of its own.
pub(super) struct Cached<T> {
    life: Duration,
    failure_life: Duration,
    last: Mutex<Option<Fetched<T>>>,
}

/// What a fetch gave, and when.
struct Fetched<T> {
    at: Instant,
    outcome: Result<Arc<T>, CloudError>,
}

impl<T> Cached<T> {
    /// An empty cache whose value is kept for `life`.
    pub(super) fn new(life: Duration) -> Self {
        Self { life, failure_life: FAILURE_LIFE, last: Mutex::new(None) }
    }

    /// The value, fetched if there is none or it is too old.
    pub(super) async fn get<F, Fut>(&self, fetch: F) -> Result<Arc<T>, CloudError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, CloudError>>,
    {
        let mut last = self.last.lock().await;
        if let Some(Fetched { at, outcome }) = &*last {
            let life = if outcome.is_ok() { self.life } else { self.failure_life };
            if at.elapsed() < life {
                return outcome.clone();
            }
        }
        let outcome = fetch().await.map(Arc::new);
        *last = Some(Fetched { at: Instant::now(), outcome: outcome.clone() });
        outcome
    }

    /// Forgets the value, so that the next task fetches it.
    pub(super) async fn forget(&self) {
        *self.last.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn keeps_a_value_for_its_life_until_it_is_forgotten() {
        let fetches = AtomicU32::new(0);
        let fetch = || async { Ok(fetches.fetch_add(1, Ordering::Relaxed)) };
        let mut cache = Cached::new(LONG);
        assert_eq!(cache.get(fetch).await, Ok(Arc::new(0)));
        assert_eq!(cache.get(fetch).await, Ok(Arc::new(0)));
        cache.forget().await;
        assert_eq!(cache.get(fetch).await, Ok(Arc::new(1)));
        cache.life = Duration::ZERO;
        assert_eq!(cache.get(fetch).await, Ok(Arc::new(2)));
    }

    #[tokio::test]
    async fn shares_a_failure_for_a_moment() {
        let mut cache = Cached::new(LONG);
        let failure = CloudError::Transient("down".into());
        cache.failure_life = LONG;
        assert_eq!(cache.get(|| async { Err(failure.clone()) }).await, Err(failure.clone()));
        assert_eq!(cache.get(|| async { Ok(1) }).await, Err(failure));
        cache.failure_life = Duration::ZERO;
        assert_eq!(cache.get(|| async { Ok(1) }).await, Ok(Arc::new(1)));
    }
}
