//! The web page of the daemon, its health, its metrics and a JSON API, which show and change nothing; and a door for job
//! events.
//!
//! There is no log-in, so it listens on this machine only unless it is told otherwise, and what it shows is no secret. Who
//! tells of jobs needs a token.

mod api;
mod connection;
mod events;
mod health;
mod html;
mod status;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Request, State as Extracted};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::config::Config;
use crate::events::Writer;
use crate::model::Timestamp;
use crate::store::{Store, StoreError};
use crate::telemetry::{LastTick, Metrics, Pool};
use connection::Bounded;

/// Where the page is unless the operator chooses otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8005";

/// The longest that an answer may take to be made.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the page shows.
#[derive(Clone, Debug)]
pub struct State {
    /// The store, which is only read.
    pub store: Store,
    /// The configuration in use.
    pub config: watch::Receiver<Arc<Config>>,
    /// What operators should know about the files of the configuration, such as that newer ones cannot be used.
    pub doubts: watch::Receiver<Vec<String>>,
    /// What the last tick decided.
    pub last: watch::Receiver<LastTick>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The door for job events.
    pub events: Writer,
}

/// Serves until `stop` is cancelled, and then finishes what is being answered.
///
/// # Errors
/// The listener is broken.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) -> io::Result<()> {
    let service = router(state).into_make_service_with_connect_info::<api::Peer>();
    axum::serve(Bounded::new(listener), service).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(state: State) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/image-list", get(image_list))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .nest("/api/v1", api::router())
        .route("/api/events/jenkins", post(events::jenkins))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. See /\n") })
        .layer(middleware::from_fn(bound))
        .with_state(state)
}

async fn page(Extracted(state): Extracted<State>) -> Result<Html<String>, Unavailable> {
    let nodes = state.store.nodes().await?;
    let images = state.store.images().await?;
    let config = state.config.borrow().clone();
    let last = state.last.borrow().clone();
    Ok(Html(
        status::Shown {
            config: &config,
            doubts: &state.doubts.borrow().clone(),
            nodes: &nodes,
            images: &images,
            last: &last,
            now: now(),
        }
        .page(),
    ))
}

async fn image_list(Extracted(state): Extracted<State>) -> Result<String, Unavailable> {
    let images = state.store.images().await?;
    Ok(cli::image_list::text(images, now(), cli::list::Look::default()))
}

async fn metrics(Extracted(state): Extracted<State>) -> Result<Response, Unavailable> {
    let nodes = state.store.nodes().await?;
    let images = state.store.images().await?;
    let setbacks = state.store.setbacks().await?;
    let config = state.config.borrow().clone();
    let last = state.last.borrow().clone();
    let (nodes, images, setbacks) = (&nodes, &images, &setbacks);
    let pool = Pool { config: &config, nodes, images, setbacks, last: &last, now: now() };
    let text = state.metrics.render(&pool).map_err(|error| Unavailable(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

async fn ready(Extracted(state): Extracted<State>) -> Response {
    let last = state.last.borrow().clone();
    let reasons = health::reasons(&last, now(), health::store(&state.store).await);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = if reasons.is_empty() { "ready\n".to_owned() } else { "not ready\n".to_owned() };
    // A doubt is no reason to send anybody elsewhere: the daemon works, with what was in force before.
    let doubts = state.doubts.borrow().clone();
    let doubts = doubts.into_iter().map(|doubt| format!("warning: {doubt}"));
    for line in reasons.into_iter().chain(doubts) {
        text.push_str("- ");
        text.push_str(&line);
        text.push('\n');
    }
    (status, text).into_response()
}

/// Something that the answer needs did not answer itself.
struct Unavailable(String);

impl From<StoreError> for Unavailable {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl axum::response::IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        tracing::warn!(target: "nodepool.web", "{}", self.0);
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", self.0)).into_response()
    }
}

/// Gives each answer a deadline, and the headers that keep browsers from doing more with it than to show it.
async fn bound(request: Request, next: Next) -> Response {
    let mut response = tokio::time::timeout(PATIENCE, next.run(request))
        .await
        .unwrap_or_else(|_| Unavailable("it took too long".to_owned()).into_response());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        // One answer a connection, so that a bound on a connection's life is a bound on what a client can occupy.
        (header::CONNECTION, "close"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The page has one style of its own, no script, no image, no form, and nothing from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

fn now() -> Timestamp {
    SystemTime::now().into()
}
