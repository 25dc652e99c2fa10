//! What every HTTP client of ours does alike: which answers it follows, whom it trusts, and how much it reads.
//!
//! Who is asked, with what deadline, and what an answer means, is told by the drivers.

mod exchange;
mod last_request;
mod trace;

use std::error::Error;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

pub use exchange::{Answer, Reading, exchange, whole};
pub use last_request::{LastRequest, request_id};
#[cfg(feature = "fuzz")]
pub use trace::fuzz as fuzz_trace;

/// The most time that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept: less than the 5 s after which Apache, in front of many services, closes it. A
/// request that meets such a close has an unknown outcome.
const IDLE: Duration = Duration::from_secs(4);

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
