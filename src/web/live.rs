//! The stream of news for a page that is open: server-sent events, which every browser takes up again by itself.
//!
//! A tick of the daemon says that there may be news. Then the parts of the page are made again, and those that differ from
//! what this page was told last are sent; at most once a second, however much happens. So the stream needs no memory of what
//! was missed: a page that comes back is told everything as it is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::PoisonError;
use std::time::Duration;

use axum::extract::{ConnectInfo, Query, State as Extracted};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::connection::Caller;
use super::page::{Filter, Part, Shown};
use super::{Site, Unavailable, now, stories};
use crate::store::StoreError;
use crate::telemetry::LastTick;

/// The most streams at once; each may need a page's worth of memory.
pub(super) const MOST: usize = 16;
/// The least time between two messages.
const PAUSE: Duration = Duration::from_secs(1);
/// The most time between two messages, so that both sides notice when the other one is gone.
const BEAT: Duration = Duration::from_secs(10);
/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);

/// Which page is open.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Open {
    view: String,
}

#[derive(Clone, Copy, Debug)]
enum View {
    Pool,
    Node(i64),
    Image(i64),
}

impl View {
    fn of(word: &str) -> Option<Self> {
        if word == "home" {
            return Some(Self::Pool);
        }
        let (folder, id) = word.split_once('/')?;
        let id = id.parse().ok()?;
        match folder {
            "node" => Some(Self::Node(id)),
            "image" => Some(Self::Image(id)),
            _ => None,
        }
    }
}

/// Tells what changes, until somebody has enough of it.
pub(super) async fn live(
    Extracted(site): Extracted<Site>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Query(open): Query<Open>,
    Query(filter): Query<Filter>,
) -> Response {
    let Some(view) = View::of(&open.view) else {
        return (StatusCode::BAD_REQUEST, "there is no such view\n").into_response();
    };
    let Ok(permit) = std::sync::Arc::clone(&site.streams).try_acquire_owned() else {
        let again = [(header::RETRY_AFTER, HeaderValue::from_static("10"))];
        let text = format!("{MOST} pages are open already\n");
        return (StatusCode::SERVICE_UNAVAILABLE, again, text).into_response();
    };
    caller.stays();
    let last = site.state.last.clone();
    let viewer = Viewer { site, view, filter, last, told: BTreeMap::new(), sent: None, _permit: permit };
    let events = stream::unfold(viewer, |mut viewer| async {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let mut response = Sse::new(events).into_response();
    // Proxies that collect an answer before they hand it on would collect this one for ever.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A page that is open, and what it was told.
struct Viewer {
    site: Site,
    view: View,
    filter: Filter,
    last: watch::Receiver<LastTick>,
    told: BTreeMap<&'static str, u64>,
    sent: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

impl Viewer {
    /// The next message; `None` when there will be none.
    async fn next(&mut self) -> Option<Event> {
        let event = match self.sent {
            None => self.news().await.map(|event| event.retry(RETRY)),
            Some(sent) => {
                let stop = self.site.stop.clone();
                stop.run_until_cancelled(self.later(sent)).await.flatten()
            }
        };
        self.sent = Some(Instant::now());
        event
    }

    /// Waits until there is news, or until it is time to say that there is none.
    async fn later(&mut self, sent: Instant) -> Option<Event> {
        let beat = tokio::time::sleep(BEAT);
        tokio::pin!(beat);
        loop {
            tokio::select! {
                changed = self.last.changed() => changed.ok()?,
                () = &mut beat => return Some(message("beat", &json!({"now": now().millis()}))),
            }
            tokio::time::sleep(PAUSE.saturating_sub(sent.elapsed())).await;
            self.last.mark_unchanged();
            if let Some(event) = self.news().await {
                return Some(event);
            }
            // What happens in the meantime makes no news here: looking again at once would only cost.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The parts that are not as this page was told.
    async fn news(&mut self) -> Option<Event> {
        let parts = match self.parts().await {
            Ok(parts) => parts,
            Err(error) => {
                let Unavailable(text) = error.into();
                return Some(message("trouble", &json!({"now": now().millis(), "text": text})));
            }
        };
        let first = self.told.is_empty();
        let mut changed = BTreeMap::new();
        for Part { id, html } in &parts {
            let mut hasher = DefaultHasher::new();
            html.as_str().hash(&mut hasher);
            let hash = hasher.finish();
            if self.told.insert(id, hash) != Some(hash) {
                changed.insert(*id, html.as_str());
            }
        }
        (first || !changed.is_empty())
            .then(|| message("parts", &json!({"now": now().millis(), "parts": changed})))
    }

    async fn parts(&self) -> Result<Vec<Part>, StoreError> {
        let site = &self.site;
        match self.view {
            View::Node(id) => Ok(stories::node(&site.state.store, id).await?.parts()),
            View::Image(id) => Ok(stories::image(&site.state.store, id).await?.parts()),
            View::Pool => {
                let picture = site.pictures.recent().await?;
                let (config, last) = (site.state.config.borrow().clone(), self.last.borrow().clone());
                let doubts = site.state.doubts.borrow().clone();
                let trend = site.trend.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let shown = Shown {
                    config: &config,
                    doubts: &doubts,
                    picture: &picture,
                    last: &last,
                    metrics: &site.state.metrics,
                    trend: &trend,
                    filter: &self.filter,
                    now: now(),
                };
                Ok(shown.parts())
            }
        }
    }
}

fn message(name: &'static str, data: &serde_json::Value) -> Event {
    Event::default().event(name).data(data.to_string())
}
