//! `POST /api/events/jenkins`: where a Jenkins tells of its jobs over HTTP, with its Notification plugin.
//!
//! That plugin can send no header but `Authorization: Basic`, from a user and a password in the URL, and does not say on
//! which node a job runs; but it puts variables of the build into the URL. So the token is taken from `Bearer` or as the
//! password of `Basic`, and the node from the text or from the URL's `node`:
//! `http://nodepool:TOKEN@HOST:8005/api/events/jenkins?node=${NODE_NAME}`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State as Extracted};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::SecretString;
use serde_json::json;

use super::State;
use super::door::{is_token, shown_token};
use crate::events::{Heard, read};
use crate::telemetry::EventOutcome;

/// The source in the metrics.
const SOURCE: &str = "webhook";
/// The longest text, in bytes. A plugin that is told to send the log of a build with it sends more.
const LONGEST: usize = 256 * 1024;
/// How long the store may take. A Jenkins job waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes in what a Jenkins tells. The answer comes when it is written down.
pub(super) async fn jenkins(
    Extracted(state): Extracted<State>,
    query: Result<Query<BTreeMap<String, String>>, QueryRejection>,
    request: Request,
) -> Response {
    let token = state.config.borrow().event_token.clone();
    if let Some(refusal) = refusal(token.as_ref(), request.headers()) {
        return refusal;
    }
    let text = match to_bytes(request.into_body(), LONGEST).await {
        Ok(text) => text,
        Err(error) if is_too_long(&error) => {
            let why = format!("the text has more than {LONGEST} bytes; let Jenkins send no lines of the log");
            return answer(StatusCode::PAYLOAD_TOO_LARGE, &state, Err(why));
        }
        Err(error) => {
            return answer(StatusCode::BAD_REQUEST, &state, Err(format!("the text broke off: {error}")));
        }
    };
    let node = query.ok().and_then(|Query(mut query)| query.remove("node"));
    let event = match read(&text, node.as_deref()) {
        Ok(Heard::Event(event)) => event,
        Ok(Heard::NoNode) => return answer(StatusCode::OK, &state, Ok("the job runs on the controller")),
        Ok(Heard::SomethingElse) => return answer(StatusCode::OK, &state, Ok("no job started or ended")),
        Ok(Heard::UnknownNode) => return answer(StatusCode::BAD_REQUEST, &state, Err(NO_NODE.to_owned())),
        Err(error) => return answer(StatusCode::BAD_REQUEST, &state, Err(error.to_string())),
    };
    match tokio::time::timeout(PATIENCE, state.events.write(&event, SOURCE)).await {
        Ok(Ok(id)) => Json(json!({"event": id})).into_response(),
        Ok(Err(error)) => unavailable(&state, &error.to_string()),
        Err(_) => unavailable(&state, "the database did not answer in time"),
    }
}

const NO_NODE: &str = "on which node? End the URL in Jenkins with ?node=${NODE_NAME}";

/// What is answered to a caller who does not know the token.
fn refusal(token: Option<&SecretString>, headers: &HeaderMap) -> Option<Response> {
    let Some(token) = token else {
        let why = "no token is configured; write `token = ...` into the section [events] of secure.conf";
        return Some((StatusCode::FORBIDDEN, Json(json!({"error": why}))).into_response());
    };
    if shown_token(headers).is_some_and(|shown| is_token(&shown, token)) {
        return None;
    }
    let why = "the token is missing or wrong; send `Authorization: Bearer TOKEN`, or write \
               http://nodepool:TOKEN@HOST... as the URL";
    let ask = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
    Some((StatusCode::UNAUTHORIZED, ask, Json(json!({"error": why}))).into_response())
}

/// Whether a text was longer than it may be; otherwise the connection broke.
fn is_too_long(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.to_string().contains("length limit exceeded") {
            return true;
        }
        source = cause.source();
    }
    false
}

/// The answer to what is no row, and its count.
fn answer(status: StatusCode, state: &State, why: Result<&str, String>) -> Response {
    let text = match why {
        Ok(ignored) => {
            state.events.count(SOURCE, EventOutcome::Ignored);
            json!({"ignored": ignored})
        }
        Err(error) => {
            state.events.count(SOURCE, EventOutcome::Unreadable);
            // The plugin tells nobody what it is answered.
            tracing::warn!(target: "nodepool.events", "what a Jenkins sent cannot be used: {error}");
            json!({"error": error})
        }
    };
    (status, Json(text)).into_response()
}

fn unavailable(state: &State, why: &str) -> Response {
    state.events.count(SOURCE, EventOutcome::Lost);
    tracing::warn!(target: "nodepool.events", "what a Jenkins sent could not be written down: {why}");
    let again = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
    (StatusCode::SERVICE_UNAVAILABLE, again, Json(json!({"error": why}))).into_response()
}
