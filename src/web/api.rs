//! What there is, as JSON: `/api/v1`. It shows and changes nothing.
//!
//! There is no log-in, so it answers only to this machine, whatever address the port is bound to; and only when it is asked
//! for by an address or as `localhost`, so that no web page of somebody else can have a browser ask for it under a name of
//! its own.

use std::net::{IpAddr, SocketAddr};

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path, Query, Request, State as Extracted};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde::Deserialize;

use super::connection::Bounded;
use super::{State, Unavailable, now};
use crate::cli::history::LineView;
use crate::cli::{ImageView, NodeView, PlanView};
use crate::model::{ImageId, NodeId};
use crate::store::Subject;

/// The most rows of one answer, and how many there are unless somebody asks for fewer.
const MOST: u32 = 1000;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Which part of the rows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Page {
    /// Only rows with higher numbers.
    after: i64,
    /// At most so many.
    limit: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: 0, limit: MOST }
    }
}

impl Page {
    fn limit(self) -> usize {
        usize::try_from(self.limit.min(MOST)).unwrap_or_default()
    }
}

/// The paths below `/api/v1`.
pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/plan", get(plan))
        .route("/nodes", get(nodes))
        .route("/nodes/{id}/history", get(node_history))
        .route("/images", get(images))
        .route("/images/{id}/history", get(image_history))
        .layer(middleware::from_fn(only_this_machine))
}

async fn only_this_machine(
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = host.is_some_and(|host| !is_plain(host));
    if !peer.ip().to_canonical().is_loopback() || named {
        let text = "the API answers only to the machine of nodepoold, by its address or as localhost\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

/// Whether a `Host` header holds an address or `localhost`, with or without a port.
fn is_plain(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

async fn plan(Extracted(state): Extracted<State>) -> Json<PlanView> {
    Json(PlanView::new(&state.last.borrow().clone()))
}

async fn nodes(
    Extracted(state): Extracted<State>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<NodeView>>, Unavailable> {
    let now = now();
    let nodes = state.store.nodes().await?;
    let later = nodes.iter().filter(|node| node.id.0 > page.after);
    Ok(Json(later.take(page.limit()).map(|node| NodeView::new(node, now)).collect()))
}

async fn images(
    Extracted(state): Extracted<State>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<ImageView>>, Unavailable> {
    let now = now();
    let images = state.store.images().await?;
    let later = images.iter().filter(|image| image.id.0 > page.after);
    Ok(Json(later.take(page.limit()).map(|image| ImageView::new(image, now)).collect()))
}

async fn node_history(
    Extracted(state): Extracted<State>,
    Path(id): Path<i64>,
) -> Result<Json<Vec<LineView>>, Unavailable> {
    history(&state, Subject::Node(NodeId(id))).await
}

async fn image_history(
    Extracted(state): Extracted<State>,
    Path(id): Path<i64>,
) -> Result<Json<Vec<LineView>>, Unavailable> {
    history(&state, Subject::Image(ImageId(id))).await
}

async fn history(state: &State, subject: Subject) -> Result<Json<Vec<LineView>>, Unavailable> {
    let lines = state.store.history(subject, MOST).await?;
    let failed = state.store.failures_of(subject).await?;
    Ok(Json(lines.into_iter().map(|line| LineView::new(line, &failed)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_localhost() {
        for host in ["127.0.0.1", "127.0.0.1:8005", "localhost", "LOCALHOST:80", "[::1]:8005", "[::1]"] {
            assert!(is_plain(host), "{host}");
        }
        for host in ["evil.example.org", "localhost.evil.example.org:8005", "127.0.0.1.evil:1", ""] {
            assert!(!is_plain(host), "{host}");
        }
    }
}
