//! One HTTP exchange: a deadline on all of it, a bound on what is read, and a look at it for whoever wants one.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};

use super::in_words;
use super::last_request::heard;
use super::trace::Trace;

/// The most that is read of an error's body, in bytes; the rest is cut off.
const ERROR_LIMIT: usize = 64 << 10;

/// The most that is read of an answer of which only the end is kept.
const TAIL_READ: usize = 64 << 20;

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it was wanted.
    pub body: Bytes,
}

/// How much of an answer's body is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    /// All of it, which is at most this many bytes.
    Whole(usize),
    /// The last bytes of it, this many.
    Tail(usize),
}

/// Sends a request and reads the answer.
///
/// # Errors
/// What went wrong, in words. The request may have had its effect.
pub async fn exchange(
    request: RequestBuilder,
    deadline: Duration,
    reading: Reading,
) -> Result<Answer, String> {
    let (client, request) = request.build_split();
    let request = request.map_err(in_words)?;
    let trace = Trace::begin(&request);
    let start = Instant::now();
    let outcome = bounded(client, request, deadline, reading).await;
    if let Ok(answer) = &outcome {
        heard(&answer.headers);
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
    reading: Reading,
) -> Result<Answer, String> {
    let all = async {
        let response = client.execute(request).await.map_err(in_words)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match (status.is_success(), reading) {
            (true, Reading::Whole(limit)) => whole(response, limit).await?,
            (true, Reading::Tail(kept)) => tail(response, kept).await?,
            // An error's status says enough: a body that breaks off must not hide it.
            (false, _) => start(response, ERROR_LIMIT).await,
        };
        Ok(Answer { status, headers, body })
    };
    match tokio::time::timeout(deadline, all).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", deadline.as_secs_f32())),
    }
}

/// Reads a body that must be whole.
///
/// # Errors
/// When it breaks off, or is longer than `limit` bytes.
pub async fn whole(mut response: Response, limit: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(in_words)? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(format!("the answer is longer than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads as much of a body as comes, up to `limit` bytes.
async fn start(mut response: Response, limit: usize) -> Bytes {
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

/// Reads the last `kept` bytes of a body.
async fn tail(mut response: Response, kept: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    let mut read = 0_usize;
    while let Some(chunk) = response.chunk().await.map_err(in_words)? {
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
