//! How a cloud is reached over HTTP: whom we trust, and how much we read.

use reqwest::Client;

use super::settings::Settings;
use crate::cloud::CloudError;
use crate::http;
pub(super) use crate::http::{Answer, Reading, exchange};

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
