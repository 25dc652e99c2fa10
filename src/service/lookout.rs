//! What a daemon looks for in a database that commands and daemons of other machines use, too.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::WishId;
use crate::store::{Page, Signs, Store, StoreError};

/// The pause between two looks: what an operator waits for on another machine, where the bell is not heard.
const PAUSE: Duration = Duration::from_millis(500);

/// Looks at a shared database all the time: rings the bell for wishes of other machines, and says there where the page is
/// served as long as this daemon holds the lease.
pub struct Lookout {
    /// The store.
    pub store: Store,
    /// Rings the bell.
    pub ring: Box<dyn Fn() + Send + Sync>,
    /// What is said of the page.
    pub page: Page,
}

/// What was seen before.
enum Seen {
    Nothing,
    /// The newest wish, if there was any.
    Newest(Option<WishId>),
}

impl Lookout {
    /// Looks until `stop` is cancelled. What cannot be read is read again after the pause: the engine says what is wrong with
    /// the store.
    pub async fn run(self, stop: CancellationToken) {
        let mut seen = Seen::Nothing;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            if let Err(error) = self.look(&mut seen).await {
                tracing::debug!(target: "nodepool", "the store was not looked at: {error}");
            }
        }
    }

    async fn look(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let Signs { newest_wish, holder, page } = self.store.signs().await?;
        if matches!(seen, Seen::Newest(before) if *before < newest_wish) {
            (self.ring)();
        }
        *seen = Seen::Newest(newest_wish);
        if holder.as_ref() == Some(&self.page.holder) && page.as_ref() != Some(&self.page) {
            self.store.announce_page(&self.page).await?;
        }
        Ok(())
    }
}
