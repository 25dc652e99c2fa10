//! One HTTP exchange with a controller: a deadline on all of it, and a bound on what is read.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, StatusCode};

use super::settings::Settings;
use crate::target::TargetError;

/// The most that is read of an error's body; the rest is cut off.
const ERROR_LIMIT: usize = 64 << 10;

/// The most that is read of an answer of which only the end is kept.
const TAIL_READ: usize = 64 << 20;

/// How long an unused connection is kept: less than the 5 s after which Apache, in front of many controllers, closes it.
/// A request that meets such a close has an unknown outcome.
const IDLE: Duration = Duration::from_secs(4);

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

/// An answer.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body, as far as it was wanted.
    pub(super) body: Bytes,
}

/// The HTTP client of one controller.
///
/// # Errors
/// `Rejected` when the certificates cannot be read.
pub(super) async fn client(settings: &Settings) -> Result<Client, TargetError> {
    // Jenkins tells why a job waits in the language of whoever asks.
    let language = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static("en"))]);
    let mut builder = Client::builder()
        .user_agent(concat!("nodepool/", env!("CARGO_PKG_VERSION")))
        .default_headers(language)
        .connect_timeout(settings.api_timeout.min(Duration::from_secs(10)))
        .pool_idle_timeout(IDLE)
        // A redirect is how Jenkins says that something was done; and one to elsewhere must not carry the API key along.
        .redirect(Policy::none());
    if let Some(path) = &settings.ca_file {
        let certificates = certificates(path).await;
        let certificates =
            certificates.map_err(|text| TargetError::Rejected(format!("{}: {text}", path.display())))?;
        builder = builder.tls_built_in_root_certs(false);
        builder = certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate);
    }
    let made = builder.build();
    made.map_err(|error| TargetError::Rejected(format!("the HTTP client cannot be made: {error}")))
}

async fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = file(path, CERTIFICATES_LIMIT).await?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
    if certificates.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(certificates) }
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
    let whole = async {
        let response = request.send().await.map_err(chain)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match (status.is_success(), reading) {
            (true, Reading::Whole(limit)) => whole(response, limit).await?,
            (true, Reading::Tail(kept)) => tail(response, kept).await?,
            // An error's status says enough: a body that breaks off must not hide it.
            (false, _) => start(response, ERROR_LIMIT).await,
        };
        Ok(Answer { status, headers, body })
    };
    match tokio::time::timeout(deadline, whole).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", deadline.as_secs_f32())),
    }
}

async fn whole(mut response: Response, limit: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(chain)? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(format!("the answer is longer than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

async fn tail(mut response: Response, kept: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    let mut read = 0_usize;
    while let Some(chunk) = response.chunk().await.map_err(chain)? {
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

/// An error with its causes and without its URL: reqwest's own text does not say whether the connection was refused or cut.
fn chain(error: reqwest::Error) -> String {
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
