//! What is taken and what is answered when something is wrong: always JSON.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::super::Site;
use crate::store::StoreError;

/// Why something is not answered as it was asked for.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    why: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// There is no such thing.
    pub(super) fn unknown(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::warn!(target: "nodepool.web", "{error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.why}))).into_response()
    }
}

/// The number in a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) i64);

impl FromRequestParts<Site> for Number {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Refused> {
        match Path::<i64>::from_request_parts(parts, site).await {
            Ok(Path(number)) if number > 0 => Ok(Self(number)),
            _ => Err(Refused::new(StatusCode::NOT_FOUND, "the path has to have a number from 1 on")),
        }
    }
}

/// What the query says. What it must not say is an error, so that a word that was spelled wrong is noticed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Site> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Refused> {
        match Query::<T>::from_request_parts(parts, site).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Refused::new(StatusCode::BAD_REQUEST, error.body_text())),
        }
    }
}

/// What is sent as a JSON object. An array of the values is not taken for one.
#[derive(Clone, Debug)]
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Site> for Sent<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Refused> {
        let sent = Json::<Map<String, Value>>::from_request(request, site).await;
        let Json(sent) = sent.map_err(|error| Refused::new(error.status(), error.body_text()))?;
        let sent = serde_json::from_value(Value::Object(sent));
        sent.map(Self).map_err(|error| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
    }
}
