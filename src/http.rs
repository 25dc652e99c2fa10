//! What every HTTP client of ours does alike: which answers it follows, whom it trusts, and how much it reads.
//!
//! Who is asked, with what deadline, and what an answer means, is told by the drivers.

mod last_request;
mod trace;

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode};

pub use last_request::{LastRequest, heard, request_id};
pub use trace::Trace;
#[cfg(feature = "fuzz")]
pub use trace::fuzz as fuzz_trace;

/// The most that is read of an error's body, in bytes; the rest is cut off.
pub const ERROR_LIMIT: usize = 64 << 10;

/// The most time that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept: less than the 5 s after which Apache, in front of many services, closes it. A
/// request that meets such a close has an unknown outcome.
const IDLE: Duration = Duration::from_secs(4);

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it was wanted.
    pub body: Bytes,
}

/// A client for calls with this deadline. It follows no redirect: that would carry a secret to wherever it points, and turn a
/// POST into a GET.
pub fn client(deadline: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("nodepool/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(deadline.min(CONNECT))
        .pool_idle_timeout(IDLE)
        .redirect(Policy::none())
}

/// A client that trusts the certificates of a PEM file, and no others.
///
/// # Errors
/// When the file holds none, or something else.
pub fn trusting(client: ClientBuilder, pem: &[u8]) -> Result<ClientBuilder, String> {
    let certificates = Certificate::from_pem_bundle(pem).map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    let client = client.tls_built_in_root_certs(false);
    Ok(certificates.into_iter().fold(client, ClientBuilder::add_root_certificate))
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
pub async fn start(mut response: Response, limit: usize) -> Bytes {
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

/// An error with its causes and without its URL, which may hold a secret: reqwest's own text does not say whether the
/// connection was refused or cut.
pub fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
