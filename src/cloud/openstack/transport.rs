//! One HTTP exchange: a deadline on all of it, and a bound on what is read.

use std::time::{Duration, Instant};

use reqwest::{Client, Request, RequestBuilder};

use super::settings::Settings;
use crate::cloud::CloudError;
pub(super) use crate::http::Answer;
use crate::http::{self, Trace};

/// The most that is read of a listing: some ten thousand servers.
pub(super) const LISTING_LIMIT: usize = 64 << 20;

/// The most that is read of any other answer.
pub(super) const ANSWER_LIMIT: usize = 4 << 20;

/// The HTTP client of one cloud.
///
/// # Errors
/// `Rejected` when the certificates cannot be read.
pub(super) fn client(settings: &Settings) -> Result<Client, CloudError> {
    let wrong = |text: String| CloudError::Rejected(text);
    let mut builder = http::client(settings.api_timeout).danger_accept_invalid_certs(!settings.verify);
    if let Some(path) = &settings.ca_file {
        let read = std::fs::read(path).map_err(|error| error.to_string());
        let trusting = read.and_then(|pem| http::trusting(builder, &pem));
        builder = trusting.map_err(|text| wrong(format!("{}: {text}", path.display())))?;
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
    let request = request.map_err(http::in_words)?;
    let trace = Trace::begin(&request);
    let start = Instant::now();
    let outcome = bounded(client, request, deadline, limit).await;
    if let Ok(answer) = &outcome {
        http::heard(&answer.headers);
    }
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
        let response = client.execute(request).await.map_err(http::in_words)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            http::whole(response, limit).await?
        } else {
            // An error's status says enough: a body that breaks off must not hide it.
            http::start(response, http::ERROR_LIMIT).await
        };
        Ok(Answer { status, headers, body })
    };
    match tokio::time::timeout(deadline, whole).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", deadline.as_secs_f32())),
    }
}
