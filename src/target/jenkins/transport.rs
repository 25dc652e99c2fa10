//! One HTTP exchange with a controller: a deadline on all of it, and a bound on what is read.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use reqwest::{Client, Request, RequestBuilder, Response};

use super::settings::Settings;
pub(super) use crate::http::Answer;
use crate::http::{self, Trace};
use crate::target::TargetError;

/// The most that is read of an answer of which only the end is kept.
const TAIL_READ: usize = 64 << 20;

/// The most that is read of a file of certificates, in bytes.
const CERTIFICATES_LIMIT: u64 = 4 << 20;

/// How much of an answer's body is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// All of it, which is at most this many bytes.
    Whole(usize),
    /// The last bytes of it, this many.
    Tail(usize),
}

/// The HTTP client of one controller.
///
/// # Errors
/// `Rejected` when the certificates cannot be read.
pub(super) async fn client(settings: &Settings) -> Result<Client, TargetError> {
    // Jenkins tells why a job waits in the language of whoever asks.
    let language = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static("en"))]);
    // A redirect, which is not followed, is how Jenkins says that something was done.
    let mut builder = http::client(settings.api_timeout).default_headers(language);
    if let Some(path) = &settings.ca_file {
        let read = file(path, CERTIFICATES_LIMIT).await;
        let trusting = read.and_then(|pem| http::trusting(builder, &pem));
        builder = trusting.map_err(|text| TargetError::Rejected(format!("{}: {text}", path.display())))?;
    }
    let made = builder.build();
    made.map_err(|error| TargetError::Rejected(format!("the HTTP client cannot be made: {error}")))
}

/// Reads a file of at most this many bytes.
pub(super) async fn file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    use tokio::io::AsyncReadExt as _;
    let file = tokio::fs::File::open(path).await.map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut content).await;
    let read = read.map_err(|error| error.to_string())?;
    if u64::try_from(read).is_ok_and(|read| read <= limit) {
        Ok(content)
    } else {
        Err(format!("it is longer than {limit} bytes"))
    }
}

/// Sends a request and reads the answer.
///
/// # Errors
/// What went wrong, in words. The request may have had its effect.
pub(super) async fn exchange(
    request: RequestBuilder,
    deadline: Duration,
    reading: Reading,
) -> Result<Answer, String> {
    let (client, request) = request.build_split();
    let request = request.map_err(http::in_words)?;
    let trace = Trace::begin(&request);
    let start = Instant::now();
    let outcome = bounded(client, request, deadline, reading).await;
    if let Some(trace) = trace {
        trace.end(&outcome, start.elapsed());
    }
    outcome
}

async fn bounded(
    client: Client,
    request: Request,
    deadline: Duration,
    reading: Reading,
) -> Result<Answer, String> {
    let whole = async {
        let response = client.execute(request).await.map_err(http::in_words)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match (status.is_success(), reading) {
            (true, Reading::Whole(limit)) => http::whole(response, limit).await?,
            (true, Reading::Tail(kept)) => tail(response, kept).await?,
            // An error's status says enough: a body that breaks off must not hide it.
            (false, _) => http::start(response, http::ERROR_LIMIT).await,
        };
        Ok(Answer { status, headers, body })
    };
    match tokio::time::timeout(deadline, whole).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", deadline.as_secs_f32())),
    }
}

async fn tail(mut response: Response, kept: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    let mut read = 0_usize;
    while let Some(chunk) = response.chunk().await.map_err(http::in_words)? {
        read = read.saturating_add(chunk.len());
        if read > TAIL_READ {
            break;
        }
        body.extend_from_slice(&chunk);
        let surplus = body.len().saturating_sub(kept);
        drop(body.split_to(surplus));
    }
    Ok(body.freeze())
}
