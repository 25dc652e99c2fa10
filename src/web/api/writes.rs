//! What can be asked for. It is written down as a wish, as the commands do it; the daemon grants or refuses it.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State as Extracted};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Number, json};

use super::super::door::refuse_writer;
use super::super::{Site, State, now};
use super::answers::{Asked, Number as Id, Refused, Sent};
use super::reads::Nothing;
use crate::model::{ImageId, NodeId, WishKind};

/// The most wishes that may be open: as many as the daemon reads at once.
const MOST_OPEN: usize = 1000;
/// The longest text, in characters.
const LONGEST: usize = 1000;
/// The longest hold that ends by itself: ten years.
const LONGEST_HOLD: u64 = 10 * 366 * 24 * 3600;

/// Somebody who may steer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer;

impl FromRequestParts<Site> for Writer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Response> {
        let config = site.state.config.borrow();
        match refuse_writer(config.web.write_token.as_ref(), &parts.headers) {
            Some(refused) => Err(refused),
            None => Ok(Self),
        }
    }
}

/// How to hold a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HoldAsked {
    /// Why, for whoever sees it in the list.
    reason: Option<String>,
    /// Who holds it.
    owner: Option<String>,
    /// After how many seconds the hold ends by itself.
    seconds: Option<Number>,
}

/// How to delete a node.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeleteAsked {
    /// Whether its job is not waited for.
    now: bool,
}

/// Which image to build.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuildAsked {
    provider: String,
    image: String,
}

pub(super) async fn hold(
    _: Writer,
    Extracted(state): Extracted<State>,
    Id(id): Id,
    _: Asked<Nothing>,
    Sent(asked): Sent<HoldAsked>,
) -> Result<Response, Refused> {
    let texts = [asked.reason.as_ref(), asked.owner.as_ref()];
    if texts.into_iter().flatten().any(|text| text.chars().count() > LONGEST) {
        let why = format!("a text may have at most {LONGEST} characters");
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let seconds = asked.seconds.as_ref().map(whole);
    if seconds.is_some_and(|seconds| !seconds.is_some_and(|seconds| (1..=LONGEST_HOLD).contains(&seconds))) {
        let why = format!("`seconds` has to be a whole number from 1 to {LONGEST_HOLD}");
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let node = known_node(&state, id).await?;
    let until = seconds.flatten().map(|seconds| now().plus(Duration::from_secs(seconds)));
    wish(&state, WishKind::Hold { node, comment: asked.reason, until, owner: asked.owner }).await
}

pub(super) async fn unhold(
    _: Writer,
    Extracted(state): Extracted<State>,
    Id(id): Id,
    _: Asked<Nothing>,
) -> Result<Response, Refused> {
    let node = known_node(&state, id).await?;
    wish(&state, WishKind::Unhold(node)).await
}

pub(super) async fn delete_node(
    _: Writer,
    Extracted(state): Extracted<State>,
    Id(id): Id,
    Asked(asked): Asked<DeleteAsked>,
) -> Result<Response, Refused> {
    let node = known_node(&state, id).await?;
    wish(&state, WishKind::Delete { node, now: asked.now }).await
}

pub(super) async fn build_image(
    _: Writer,
    Extracted(state): Extracted<State>,
    _: Asked<Nothing>,
    Sent(asked): Sent<BuildAsked>,
) -> Result<Response, Refused> {
    let known = state
        .config
        .borrow()
        .provider(&asked.provider)
        .is_some_and(|provider| provider.images.iter().any(|image| image.name == asked.image));
    if !known {
        return Err(Refused::unknown("image of such a provider"));
    }
    wish(&state, WishKind::ImageUpdate { provider: asked.provider, image: asked.image }).await
}

pub(super) async fn delete_image(
    _: Writer,
    Extracted(state): Extracted<State>,
    Id(id): Id,
    _: Asked<Nothing>,
) -> Result<Response, Refused> {
    state.store.image(ImageId(id)).await?.ok_or_else(|| Refused::unknown("image"))?;
    wish(&state, WishKind::ImageDelete(ImageId(id))).await
}

/// A whole number. JSON has one kind of numbers: 7200.0 is one, too.
fn whole(number: &Number) -> Option<u64> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0)?.to_string().parse().ok();
    number.as_u64().or_else(float)
}

async fn known_node(state: &State, id: i64) -> Result<NodeId, Refused> {
    let node = state.store.node(NodeId(id)).await?;
    node.map(|node| node.id).ok_or_else(|| Refused::unknown("node"))
}

/// Writes the wish down, rings, and says where the outcome will be.
async fn wish(state: &State, kind: WishKind) -> Result<Response, Refused> {
    if state.store.open_wishes().await?.len() >= MOST_OPEN {
        return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, "too many wishes are open; try again later"));
    }
    let id = state.store.add_wish(&kind, now()).await?.0;
    state.events.ring();
    tracing::info!(target: "nodepool.web", "wish {id} was asked for over HTTP: {kind:?}");
    let place = HeaderValue::from_str(&format!("/api/v1/wishes/{id}")).ok();
    let mut answer = (StatusCode::ACCEPTED, Json(json!({"wish": id}))).into_response();
    if let Some(place) = place {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}
