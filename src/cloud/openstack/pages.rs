//! Listings that come in pages, read whole or not at all.

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::catalog::Service;
use super::connection::{Call, Connection};
use super::failure::Failure;
use super::microversion::Microversion;
use super::transport::LISTING_LIMIT;
use crate::cloud::CloudError;

/// Entries of a page that we ask for: the most that Nova and Glance give by default.
const PAGE: &str = "1000";

/// The most pages of a listing.
const PAGES: usize = 100;

/// The deadline of a whole listing, in deadlines of one exchange. Nova takes some 8 s for a page of 1000 servers.
const PATIENCE: u32 = 5;

/// One page.
pub(super) trait Page: DeserializeOwned {
    /// One entry.
    type Entry: Entry;

    /// The entries, and whether the service says that more follow.
    fn open(self) -> (Vec<Self::Entry>, bool);
}

/// One entry. One without an id cannot be read: then the listing is an error, for leaving it out could hide a server.
pub(super) trait Entry {
    /// The service's id, by which it continues after this entry.
    fn id(&self) -> &str;
}

impl Connection {
    /// All entries of a listing.
    ///
    /// Pages continue after the last entry's id rather than at the link that the service writes: behind a proxy that
    /// link often names a host that only the cloud can reach.
    ///
    /// # Errors
    /// A listing is whole or it is an error.
    pub(super) async fn list<P: Page>(
        &self,
        service: Service,
        path: &[&str],
        version: Option<Microversion>,
        filters: &[(&'static str, String)],
    ) -> Result<Vec<P::Entry>, CloudError> {
        let deadline = self.deadline().saturating_mul(PATIENCE);
        let late = |_| CloudError::Transient(format!("the listing of {} takes too long", path.join("/")));
        tokio::time::timeout(deadline, self.all_pages::<P>(service, path, version, filters))
            .await
            .map_err(late)?
    }

    async fn all_pages<P: Page>(
        &self,
        service: Service,
        path: &[&str],
        version: Option<Microversion>,
        filters: &[(&'static str, String)],
    ) -> Result<Vec<P::Entry>, CloudError> {
        let mut entries: Vec<P::Entry> = Vec::new();
        for _ in 0..PAGES {
            let mut call = Call::new(service, Method::GET, path).version(version).limit(LISTING_LIMIT);
            call = filters.iter().fold(call, |call, (name, value)| call.query(name, value.as_str()));
            call = call.query("limit", PAGE);
            let marker = entries.last().map(|last| last.id().to_owned());
            if let Some(marker) = &marker {
                call = call.query("marker", marker.as_str());
            }
            let answer = self.call(&call).await.map_err(|failure| broken(failure, marker.is_some()))?;
            let page: P = serde_json::from_slice(&answer.body).map_err(|error| {
                CloudError::Transient(format!("the listing of {} cannot be read: {error}", path.join("/")))
            })?;
            let (more, follows) = page.open();
            let last = more.last().map(|last| last.id().to_owned());
            entries.extend(more);
            match last {
                Some(last) if follows && Some(&last) != marker.as_ref() => {}
                // The same page again.
                Some(_) if follows => break,
                _ => return Ok(entries),
            }
        }
        Err(CloudError::Transient(format!("the listing of {} does not end", path.join("/"))))
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz<P: Page>(body: &[u8]) -> Vec<P::Entry> {
    serde_json::from_slice::<P>(body).map(|page| page.open().0).unwrap_or_default()
}

/// A failure in the middle of a listing may be about the entry to continue after, which is gone by now.
fn broken(failure: Failure, in_the_middle: bool) -> CloudError {
    match (failure.status, failure.error) {
        (Some(StatusCode::BAD_REQUEST), CloudError::Rejected(text)) | (_, CloudError::NotFound(text))
            if in_the_middle =>
        {
            CloudError::Transient(text)
        }
        (status, error) => Failure { status, error }.of_no_thing(),
    }
}
