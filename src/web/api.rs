//! What there is, as JSON: `/api/v1`.

use axum::extract::{Path, Query, State as Extracted};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::{Site, State, Unavailable, now};
use crate::cli::history::LineView;
use crate::cli::{ImageView, NodeView, PlanView};
use crate::model::{ImageId, NodeId};
use crate::store::Subject;

/// The most rows of one answer, and how many there are unless somebody asks for fewer.
const MOST: u32 = 1000;

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
pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/plan", get(plan))
        .route("/nodes", get(nodes))
        .route("/nodes/{id}/history", get(node_history))
        .route("/images", get(images))
        .route("/images/{id}/history", get(image_history))
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
