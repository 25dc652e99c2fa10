//! One HTTP exchange: a deadline on all of it, and a bound on what is read.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Request, RequestBuilder, Response, StatusCode};

use super::settings::Settings;
use super::trace::Trace;
use crate::cloud::CloudError;

/// The most that is read of a listing: some ten thousand servers.
pub(super) const LISTING_LIMIT: usize = 64 << 20;

/// The most that is read of any other answer.
pub(super) const ANSWER_LIMIT: usize = 4 << 20;

/// The most that is read of an error's body; the rest is cut off.
const ERROR_LIMIT: usize = 64 << 10;

/// How long an unused connection is kept: less than the 5 s after which Apache, in front of many clouds, closes it. A
/// request that meets such a close has an unknown outcome.
const IDLE: Duration = Duration::from_secs(4);

/// A whole answer.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body.
    pub(super) body: Bytes,
}

/// The HTTP client of one cloud.
///
/// # Errors
/// `Rejected` when the certificates cannot be read.
pub(super) fn client(settings: &Settings) -> Result<Client, CloudError> {
    let wrong = |text: String| CloudError::Rejected(text);
    let mut builder = Client::builder()
        .user_agent(concat!("nodepool/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.api_timeout.min(Duration::from_secs(10)))
        .pool_idle_timeout(IDLE)
        // A redirect would carry the token to wherever it points, and turns a POST into a GET.
        .redirect(Policy::none())
        .danger_accept_invalid_certs(!settings.verify);
    if let Some(path) = &settings.ca_file {
        let pem = std::fs::read(path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        let certificates = Certificate::from_pem_bundle(&pem);
        let certificates = certificates.map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        if certificates.is_empty() {
            return Err(wrong(format!("{}: no certificate in it", path.display())));
        }
        builder = builder.tls_built_in_root_certs(false);
        builder = certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate);
    }
    builder.build().map_err(|error| wrong(format!("the HTTP client cannot be made: {error}")))
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// What went wrong, in words. The request may have had its effect.
pub(super) async fn exchange(
    request: RequestBuilder,
    deadline: Duration,
    limit: usize,
) -> Result<Answer, String> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| chain(&error.without_url()))?;
    let trace = Trace::begin(&request);
    let start = Instant::now();
    let outcome = bounded(client, request, deadline, limit).await;
    if let Some(trace) = trace {
        trace.end(&outcome, start.elapsed());
    }
    outcome
}

async fn bounded(
    client: Client,
    request: Request,
    deadline: Duration,
    limit: usize,
) -> Result<Answer, String> {
    let whole = async {
        let response = client.execute(request).await.map_err(|error| chain(&error.without_url()))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            read(response, limit).await?
        } else {
            // An error's status says enough: a body that breaks off must not hide it.
            read_start(response, ERROR_LIMIT).await
        };
        Ok(Answer { status, headers, body })
    };
    match tokio::time::timeout(deadline, whole).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", deadline.as_secs_f32())),
    }
}

/// Reads a body that must be whole.
async fn read(mut response: Response, limit: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(format!("the answer is longer than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads as much of a body as comes, up to the limit.
async fn read_start(mut response: Response, limit: usize) -> Bytes {
    let mut body = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() >= limit {
            break;
        }
    }
    body.freeze()
}

/// An error with its causes: reqwest's own text does not say whether the connection was refused or cut.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
