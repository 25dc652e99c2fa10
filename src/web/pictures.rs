//! The rows that are shown, read once for everybody who looks, and not more often than the store can bear.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use std::sync::Arc;

use super::now;
use crate::model::{Image, Node};
use crate::store::{self, FailedTry, HistoryLine, Store, StoreError};

/// The least time between two reads for those who are told of changes.
const PAUSE: Duration = Duration::from_secs(1);
/// Reading for them takes at most this part of the time: one tenth.
const SHARE: u32 = 10;
/// How far back failures are shown.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// How many images that are gone are shown.
const GONE_SHOWN: u32 = 50;

/// The rows at one moment.
#[derive(Debug)]
pub(super) struct Picture {
    rows: store::Picture,
    /// What failed in the last day, without what the machines said.
    pub(super) failures: Vec<FailedTry>,
    /// How the last images that are no more went, the newest image last.
    pub(super) gone_images: Vec<HistoryLine>,
}

impl Picture {
    /// All nodes.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.rows.nodes
    }

    /// All snapshot images.
    pub(super) fn images(&self) -> &[Image] {
        &self.rows.images
    }
}

/// The newest picture.
#[derive(Debug)]
pub(super) struct Pictures {
    store: Store,
    newest: Mutex<Option<Newest>>,
}

#[derive(Debug)]
struct Newest {
    picture: Arc<Picture>,
    began: Instant,
    took: Duration,
}

impl Pictures {
    pub(super) fn new(store: Store) -> Self {
        Self { store, newest: Mutex::new(None) }
    }

    /// A picture that was read after this call. Several who ask at once share one.
    pub(super) async fn fresh(&self) -> Result<Arc<Picture>, StoreError> {
        let asked = Instant::now();
        self.read(|newest| newest.began >= asked).await
    }

    /// A picture that may be a little older.
    pub(super) async fn recent(&self) -> Result<Arc<Picture>, StoreError> {
        self.read(|newest| newest.began.elapsed() < PAUSE.max(newest.took.saturating_mul(SHARE))).await
    }

    async fn read(&self, will_do: impl FnOnce(&Newest) -> bool) -> Result<Arc<Picture>, StoreError> {
        let mut newest = self.newest.lock().await;
        if let Some(known) = newest.as_ref().filter(|newest| will_do(newest)) {
            return Ok(Arc::clone(&known.picture));
        }
        let began = Instant::now();
        // What somebody still draws stays with them, and all is read again.
        let before = newest.take().and_then(|newest| Arc::into_inner(newest.picture));
        let rows = self.store.picture(before.map(|before| before.rows)).await?;
        let failures = self.store.failures_in_short(now().minus(A_DAY)).await?;
        let gone_images = self.store.gone_images(GONE_SHOWN).await?;
        let picture = Arc::new(Picture { rows, failures, gone_images });
        *newest = Some(Newest { picture: Arc::clone(&picture), began, took: began.elapsed() });
        Ok(picture)
    }
}
