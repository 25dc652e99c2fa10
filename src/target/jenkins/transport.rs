//! How a controller is reached over HTTP: whom we trust, and how we ask.

use std::path::Path;

use reqwest::Client;
use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};

use super::settings::Settings;
use crate::http;
pub(super) use crate::http::{Answer, Reading, exchange};
use crate::target::TargetError;

/// The most that is read of a file of certificates, in bytes.
const CERTIFICATES_LIMIT: u64 = 4 << 20;

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
