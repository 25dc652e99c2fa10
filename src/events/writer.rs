//! The door through which events become rows.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use crate::model::{NewJobEvent, Timestamp};
use crate::store::{Store, StoreError};
use crate::telemetry::{EventOutcome, Metrics};

/// The most events that are written before the bell is rung: those that came first do not wait for a whole flood.
const MOST_AT_ONCE: usize = 32;
/// The pause before a store that could not take an event is tried again; it doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Rings the bell that wakes the daemon.
#[derive(Clone)]
pub struct Ring(Arc<dyn Fn() + Send + Sync>);

impl Ring {
    /// Rings by calling this, which must not wait.
    pub fn by(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(ring))
    }

    /// Rings.
    pub fn ring(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ring")
    }
}

/// An event, who told it, and when.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub(super) event: NewJobEvent,
    pub(super) source: Arc<str>,
    pub(super) at: Timestamp,
}

/// Writes events and rings the bell.
#[derive(Clone, Debug)]
pub struct Writer {
    store: Store,
    ring: Ring,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// A writer into this store.
    pub const fn new(store: Store, ring: Ring, metrics: Arc<Metrics>) -> Self {
        Self { store, ring, metrics }
    }

    /// Writes an event that `source` told now, and rings the bell; gives the event's number.
    pub async fn write(&self, event: &NewJobEvent, source: &str) -> Result<i64, StoreError> {
        let id = self.store.add_event(event, now()).await?;
        self.count(source, EventOutcome::Written);
        self.ring.ring();
        Ok(id)
    }

    /// Wakes the daemon, for news that somebody else wrote.
    pub fn ring(&self) {
        self.ring.ring();
    }

    /// Counts something that was told.
    pub fn count(&self, source: &str, outcome: EventOutcome) {
        self.metrics.job_event(source, outcome);
    }

    /// Writes what comes, in its order, until nobody is left to tell anything.
    pub(super) async fn write_all(self, mut told: mpsc::Receiver<News>) {
        let mut some = Vec::with_capacity(MOST_AT_ONCE);
        while told.recv_many(&mut some, MOST_AT_ONCE).await > 0 {
            for news in some.drain(..) {
                self.insist(&news).await;
            }
            self.ring.ring();
        }
    }

    /// Writes an event, however long the store takes. Those that follow wait in their queue, and when that is full the
    /// publishers are not listened to.
    async fn insist(&self, news: &News) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.store.add_event(&news.event, news.at).await {
                Ok(_id) => {
                    if pause > FIRST_PAUSE {
                        tracing::info!(target: "nodepool.events", "job events are written down again");
                    }
                    return self.count(&news.source, EventOutcome::Written);
                }
                Err(StoreError::Rejected(reason)) => {
                    tracing::warn!(
                        target: "nodepool.events", source = %news.source,
                        "an event of the job {} on {} cannot be written down and is lost: {reason}",
                        news.event.job, news.event.nodename
                    );
                    return self.count(&news.source, EventOutcome::Lost);
                }
                Err(error) => {
                    if pause == FIRST_PAUSE {
                        tracing::warn!(target: "nodepool.events", "job events cannot be written down and wait: {error}");
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
