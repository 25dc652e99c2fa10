//! A crumb: what Jenkins wants to see with a change from whoever logs in with a password, against forged requests.
//!
//! It is bound to the session in which it was given, so that the session's cookie must come with it. API tokens need none.

use reqwest::StatusCode;
use reqwest::header::{HeaderName, SET_COOKIE};
use secrecy::SecretString;
use serde::Deserialize;

use super::transport::Answer;

/// A crumb and its session.
pub(super) struct Crumb {
    /// The header that carries it.
    pub(super) field: HeaderName,
    /// The crumb.
    pub(super) value: SecretString,
    /// The cookie of its session.
    pub(super) cookie: Option<SecretString>,
}

#[derive(Deserialize)]
struct Issued {
    crumb: String,
    #[serde(rename = "crumbRequestField")]
    field: String,
}

impl Crumb {
    /// Reads the answer of `crumbIssuer/api/json`; `None` when there is no crumb in it.
    pub(super) fn read(answer: &Answer) -> Option<Self> {
        if answer.status != StatusCode::OK {
            return None;
        }
        let issued: Issued = serde_json::from_slice(&answer.body).ok()?;
        let field = HeaderName::from_bytes(issued.field.as_bytes()).ok()?;
        // A cookie is told as `NAME=VALUE; and how long it is good`.
        let cookies = answer.headers.get_all(SET_COOKIE).iter();
        let pairs = cookies.filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.trim()));
        let pairs: Vec<&str> = pairs.filter(|pair| pair.contains('=')).collect();
        let cookie = (!pairs.is_empty()).then(|| SecretString::from(pairs.join("; ")));
        Some(Self { field, value: issued.crumb.into(), cookie })
    }
}
