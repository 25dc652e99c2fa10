//! The web page of the daemon, its health, its metrics and a JSON API, which show the pool and take wishes; and a door for
//! job events.
//!
//! It listens on this machine only unless it is told otherwise, and then whoever reads needs a token (`door`). Who wishes
//! something, and who tells of jobs, always needs one.

mod api;
mod connection;
mod door;
mod events;
mod health;
mod html;
mod live;
mod page;
mod pictures;
mod stories;
mod trend;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{FromRef, Path, Query, Request, State as Extracted};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::config::Config;
use crate::events::Writer;
use crate::model::Timestamp;
use crate::store::{Store, StoreError};
use crate::telemetry::{LastTick, Metrics, Pool};
use connection::{Bounded, Caller};
use page::{Filter, Shown, Story, Whose};
use pictures::Pictures;
use trend::Trend;

/// Where the page is unless the operator chooses otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8005";

/// The longest that an answer may take to be made.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the page shows.
#[derive(Clone, Debug)]
pub struct State {
    /// The store, which is only read, and into which wishes are written.
    pub store: Store,
    /// The configuration in use.
    pub config: watch::Receiver<Arc<Config>>,
    /// What operators should know about the files of the configuration, such as that newer ones cannot be used.
    pub doubts: watch::Receiver<Vec<String>>,
    /// What the last tick decided.
    pub last: watch::Receiver<LastTick>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The door for job events, whose bell wishes ring, too.
    pub events: Writer,
}

/// What the paths work with.
#[derive(Clone, Debug)]
struct Site {
    state: State,
    pictures: Arc<Pictures>,
    trend: Arc<Mutex<Trend>>,
    /// A place for each page that is open and told of changes.
    streams: Arc<Semaphore>,
    /// Whether the port can be reached from other machines.
    everywhere: bool,
    stop: CancellationToken,
}

impl FromRef<Site> for State {
    fn from_ref(site: &Site) -> Self {
        site.state.clone()
    }
}

/// Serves until `stop` is cancelled, and then finishes what is being answered.
///
/// # Errors
/// The listener is broken.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) -> io::Result<()> {
    let everywhere = !listener.local_addr()?.ip().to_canonical().is_loopback();
    let trend = Arc::new(Mutex::new(Trend::default()));
    let kept = trend::keep(Arc::clone(&trend), state.last.clone(), Arc::clone(&state.metrics), stop.clone());
    let pictures = Arc::new(Pictures::new(state.store.clone()));
    let streams = Arc::new(Semaphore::new(live::MOST));
    let site = Site { state, pictures, trend, streams, everywhere, stop: stop.clone() };
    let service = router(&site).into_make_service_with_connect_info::<Caller>();
    let served = axum::serve(Bounded::new(listener), service).with_graceful_shutdown(stop.cancelled_owned());
    let (served, ()) = tokio::join!(served.into_future(), kept);
    served
}

fn router(site: &Site) -> Router {
    let readers = middleware::from_fn_with_state(site.clone(), door::readers);
    let for_readers = Router::new()
        .route("/", get(page))
        .route("/node/{id}", get(node))
        .route("/image/{id}", get(image))
        .route("/live", get(live::live))
        .nest("/api/v1", api::router())
        .layer(readers);
    let for_probes = Router::new()
        .route("/image-list", get(image_list))
        .route("/dib-image-list", get(|| async { cli::image_list::no_diskimages() }))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(site.clone(), door::probes));
    Router::new()
        .merge(for_readers)
        .merge(for_probes)
        .route("/style.css", get(|| async { file("text/css; charset=utf-8", include_str!("style.css")) }))
        .route("/page.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page.js")) }))
        .route("/icon.svg", get(|| async { file("image/svg+xml", include_str!("icon.svg")) }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/api/events/jenkins", post(events::jenkins))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. See /\n") })
        .layer(middleware::from_fn(bound))
        .with_state(site.clone())
}

/// A file that came with the program.
fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn page(
    Extracted(site): Extracted<Site>,
    Query(filter): Query<Filter>,
) -> Result<Html<String>, Unavailable> {
    let state = &site.state;
    let picture = site.pictures.fresh().await?;
    let config = state.config.borrow().clone();
    let last = state.last.borrow().clone();
    let doubts = state.doubts.borrow().clone();
    let trend = site.trend.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let shown = Shown {
        config: &config,
        doubts: &doubts,
        picture: &picture,
        last: &last,
        metrics: &state.metrics,
        trend: &trend,
        filter: &filter,
        now: now(),
    };
    Ok(Html(shown.page()))
}

async fn node(Extracted(state): Extracted<State>, Path(id): Path<i64>) -> Result<Response, Unavailable> {
    Ok(told(&stories::node(&state.store, id).await?))
}

async fn image(Extracted(state): Extracted<State>, Path(id): Path<i64>) -> Result<Response, Unavailable> {
    Ok(told(&stories::image(&state.store, id).await?))
}

/// A page of its own for a story; what never was is not found.
fn told(story: &Story) -> Response {
    let unknown = matches!(story.whose, Whose::Gone(..)) && story.lines.is_empty();
    let status = if unknown { StatusCode::NOT_FOUND } else { StatusCode::OK };
    (status, Html(story.page(now()))).into_response()
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
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (header::CACHE_CONTROL, "no-store"),
        // One answer a connection, so that a bound on a connection's life is a bound on what a client can occupy.
        (header::CONNECTION, "close"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Styles, the script, the icon and the stream come from here, and forms lead here. Nothing is inline, nothing is from
/// elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

fn now() -> Timestamp {
    SystemTime::now().into()
}
