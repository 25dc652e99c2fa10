//! The pool as JSON, `/api/v1`, and what may be asked for there.
//!
//! The document `openapi.json` says what each path takes and answers; a test compares it with the paths below, and another
//! one with what they answer. Whoever steers writes the wishes that the commands write, and knows a token.

mod answers;
mod reads;
mod writes;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};

use super::Site;
use answers::Refused;

/// What each path takes and answers.
const DOCUMENT: &str = include_str!("openapi.json");

/// The paths below `/api/v1`.
pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], DOCUMENT) }))
        .route("/plan", get(reads::plan))
        .route("/config", get(reads::config))
        .route("/providers", get(reads::providers))
        .route("/trend", get(reads::trend))
        .route("/failures", get(reads::failures))
        .route("/nodes", get(reads::nodes))
        .route("/nodes/{id}", get(reads::node).delete(writes::delete_node))
        .route("/nodes/{id}/history", get(reads::node_history))
        .route("/nodes/{id}/hold", post(writes::hold).delete(writes::unhold))
        .route("/images", get(reads::images).post(writes::build_image))
        .route("/images/{id}", get(reads::image).delete(writes::delete_image))
        .route("/images/{id}/history", get(reads::image_history))
        .route("/wishes/{id}", get(reads::wish))
        .fallback(|| async { Refused::new(StatusCode::NOT_FOUND, "there is no such path") })
        .method_not_allowed_fallback(|| async {
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, "that cannot be done here").into_response()
        })
}
