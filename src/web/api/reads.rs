//! What can be read.

use std::sync::PoisonError;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extracted;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::{Site, State, now};
use super::answers::{Asked, Number, Refused};
use crate::cli::failures::{GroupView, groups};
use crate::cli::history::LineView;
use crate::cli::plan_view::QuotaView;
use crate::cli::{Facts, ImageView, NodeView, PlanView, config_show, rfc3339};
use crate::model::{ImageId, NodeId, NodeState, Timestamp, WishId};
use crate::store::Subject;

/// The most rows of one answer, and how many there are unless somebody asks for fewer.
const MOST: u32 = 1000;

/// Nothing: a query that says something else is wrong.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Which nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NodesAsked {
    /// Only rows with higher numbers.
    after: i64,
    /// At most so many.
    limit: u32,
    /// Only nodes in this state.
    state: Option<String>,
    /// Only nodes of this label.
    label: Option<String>,
    /// Only nodes at this provider.
    provider: Option<String>,
}

impl Default for NodesAsked {
    fn default() -> Self {
        Self { after: 0, limit: MOST, state: None, label: None, provider: None }
    }
}

/// Which images.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ImagesAsked {
    /// Only rows with higher numbers.
    after: i64,
    /// At most so many.
    limit: u32,
    /// Only images at this provider.
    provider: Option<String>,
    /// Only builds of this image.
    image: Option<String>,
}

impl Default for ImagesAsked {
    fn default() -> Self {
        Self { after: 0, limit: MOST, provider: None, image: None }
    }
}

/// How far back.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HoursAsked {
    hours: u32,
}

impl Default for HoursAsked {
    fn default() -> Self {
        Self { hours: 24 }
    }
}

/// A provider: how full it is, what its cloud allows, and how fast it may be asked.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProviderAnswer {
    name: String,
    max_servers: Option<u32>,
    servers: Option<u32>,
    quota: Vec<QuotaView>,
    seconds_between_calls: f64,
    last_call_waited_seconds: f64,
    calls_that_waited: u64,
}

/// The pool at one moment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PointAnswer {
    at: String,
    ready: u32,
    building: u32,
    busy: u32,
    going: u32,
    demand: u32,
    launched: u32,
    failed: u32,
}

/// What became of a wish.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WishAnswer {
    wish: i64,
    /// `open`, `granted` or `refused`.
    state: &'static str,
    outcome: Option<String>,
    at: Option<String>,
}

fn most(limit: u32) -> usize {
    usize::try_from(limit.min(MOST)).unwrap_or_default()
}

/// Whether a value is the one that was asked for, if one was.
fn fits(asked: Option<&String>, value: &str) -> bool {
    asked.is_none_or(|asked| asked == value)
}

pub(super) async fn plan(Extracted(state): Extracted<State>, _: Asked<Nothing>) -> Json<PlanView> {
    Json(PlanView::new(&state.last.borrow().clone()))
}

/// The configuration in force, with every default written out and secrets masked.
pub(super) async fn config(Extracted(state): Extracted<State>, _: Asked<Nothing>) -> Json<Facts> {
    let config = state.config.borrow().clone();
    Json(config_show::shown(&config))
}

pub(super) async fn providers(
    Extracted(state): Extracted<State>,
    _: Asked<Nothing>,
) -> Json<Vec<ProviderAnswer>> {
    let config = state.config.borrow().clone();
    let mut view = PlanView::new(&state.last.borrow().clone());
    let providers = config.providers.iter().map(|provider| {
        let planned = view.providers.remove(&provider.name);
        let pace = state.metrics.pace(&provider.name);
        ProviderAnswer {
            name: provider.name.clone(),
            max_servers: provider.max_servers,
            servers: planned.as_ref().map(|planned| planned.servers),
            quota: planned.map(|planned| planned.quota).unwrap_or_default(),
            seconds_between_calls: provider.rate.as_secs_f64(),
            last_call_waited_seconds: pace.wait_seconds,
            calls_that_waited: pace.put_off,
        }
    });
    Json(providers.collect())
}

pub(super) async fn trend(Extracted(site): Extracted<Site>, _: Asked<Nothing>) -> Json<Vec<PointAnswer>> {
    let points = site.trend.lock().unwrap_or_else(PoisonError::into_inner).pool();
    let points = points.into_iter().map(|point| PointAnswer {
        at: rfc3339(point.at),
        ready: point.ready,
        building: point.building,
        busy: point.busy,
        going: point.going,
        demand: point.demand,
        launched: point.launched,
        failed: point.failed,
    });
    Json(points.collect())
}

pub(super) async fn failures(
    Extracted(state): Extracted<State>,
    Asked(asked): Asked<HoursAsked>,
) -> Result<Json<Vec<GroupView>>, Refused> {
    let since = now().minus(Duration::from_secs(u64::from(asked.hours).saturating_mul(3600)));
    let failed = state.store.failures_in_short(since.max(Timestamp::default())).await?;
    let groups = groups(&failed).into_iter().take(most(MOST));
    Ok(Json(groups.map(|(count, last)| GroupView::new(count, last)).collect()))
}

pub(super) async fn nodes(
    Extracted(state): Extracted<State>,
    Asked(asked): Asked<NodesAsked>,
) -> Result<Json<Vec<NodeView>>, Refused> {
    let words = NodeState::STORED.map(NodeState::word);
    if let Some(unknown) = asked.state.as_ref().filter(|state| !words.contains(&state.as_str())) {
        return Err(Refused::new(StatusCode::BAD_REQUEST, format!("there is no state {unknown:?}")));
    }
    let now = now();
    let nodes = state.store.nodes().await?;
    let chosen = nodes.iter().filter(|node| {
        node.id.0 > asked.after
            && fits(asked.state.as_ref(), node.state.word())
            && fits(asked.label.as_ref(), &node.label)
            && fits(asked.provider.as_ref(), &node.provider)
    });
    Ok(Json(chosen.take(most(asked.limit)).map(|node| NodeView::new(node, now)).collect()))
}

pub(super) async fn node(
    Extracted(state): Extracted<State>,
    Number(id): Number,
    _: Asked<Nothing>,
) -> Result<Json<NodeView>, Refused> {
    let node = state.store.node(NodeId(id)).await?.ok_or_else(|| Refused::unknown("node"))?;
    Ok(Json(NodeView::new(&node, now())))
}

pub(super) async fn images(
    Extracted(state): Extracted<State>,
    Asked(asked): Asked<ImagesAsked>,
) -> Result<Json<Vec<ImageView>>, Refused> {
    let now = now();
    let images = state.store.images().await?;
    let chosen = images.iter().filter(|image| {
        image.id.0 > asked.after
            && fits(asked.provider.as_ref(), &image.provider)
            && fits(asked.image.as_ref(), &image.image)
    });
    Ok(Json(chosen.take(most(asked.limit)).map(|image| ImageView::new(image, now)).collect()))
}

pub(super) async fn image(
    Extracted(state): Extracted<State>,
    Number(id): Number,
    _: Asked<Nothing>,
) -> Result<Json<ImageView>, Refused> {
    let image = state.store.image(ImageId(id)).await?.ok_or_else(|| Refused::unknown("image"))?;
    Ok(Json(ImageView::new(&image, now())))
}

pub(super) async fn node_history(
    Extracted(state): Extracted<State>,
    Number(id): Number,
    _: Asked<Nothing>,
) -> Result<Json<Vec<LineView>>, Refused> {
    history(&state, Subject::Node(NodeId(id))).await
}

pub(super) async fn image_history(
    Extracted(state): Extracted<State>,
    Number(id): Number,
    _: Asked<Nothing>,
) -> Result<Json<Vec<LineView>>, Refused> {
    history(&state, Subject::Image(ImageId(id))).await
}

async fn history(state: &State, subject: Subject) -> Result<Json<Vec<LineView>>, Refused> {
    let lines = state.store.history(subject, MOST).await?;
    let failed = state.store.failures_of(subject).await?;
    Ok(Json(lines.into_iter().map(|line| LineView::new(line, &failed)).collect()))
}

pub(super) async fn wish(
    Extracted(state): Extracted<State>,
    Number(id): Number,
    _: Asked<Nothing>,
) -> Result<Json<WishAnswer>, Refused> {
    if let Some(settled) = state.store.wish_outcome(WishId(id)).await? {
        let word = if settled.granted { "granted" } else { "refused" };
        let at = Some(rfc3339(settled.at));
        return Ok(Json(WishAnswer { wish: id, state: word, outcome: Some(settled.outcome), at }));
    }
    let open = state.store.open_wishes().await?.iter().any(|wish| wish.id.0 == id);
    if !open {
        return Err(Refused::unknown("wish"));
    }
    Ok(Json(WishAnswer { wish: id, state: "open", outcome: None, at: None }))
}
