//! The ids that services give to requests: under them their own logs know a call.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::HeaderMap;

/// The most characters that are kept of an id: one of OpenStack has 40.
const LONGEST: usize = 100;

tokio::task_local! {
    static HEARD: LastRequest;
}

/// The id of the last request that a piece of work made. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastRequest(Arc<Mutex<Option<String>>>);

impl LastRequest {
    /// Does work, and keeps the id of the last answer in it that has one.
    pub async fn during<F: Future>(self, work: F) -> F::Output {
        HEARD.scope(self, work).await
    }

    /// The id, if there was one.
    pub fn id(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Notes the id of an answer, for the work that it belongs to.
pub(super) fn heard(headers: &HeaderMap) {
    let Some(id) = request_id(headers) else { return };
    // Outside of such work nobody asks for it.
    let _ = HEARD.try_with(|last| {
        let id = id.chars().take(LONGEST).collect();
        *last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    });
}

/// The id under which the service's own logs know a call: OpenStack's headers, the older one of Nova last.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let names = ["x-openstack-request-id", "x-compute-request-id"];
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_keeps_the_id_of_its_own_last_answer() {
        let answer = |id: &str| {
            HeaderMap::from_iter([("x-openstack-request-id".parse().unwrap(), id.parse().unwrap())])
        };
        let (one, other) = (LastRequest::default(), LastRequest::default());
        heard(&answer("req-nobody"));
        let work = async {
            heard(&answer("req-1"));
            other.clone().during(async { heard(&answer(&"x".repeat(1000))) }).await;
            heard(&answer("req-2"));
            heard(&HeaderMap::new());
        };
        one.clone().during(work).await;
        assert_eq!(one.id().as_deref(), Some("req-2"));
        assert_eq!(other.id(), Some("x".repeat(LONGEST)));
    }
}
