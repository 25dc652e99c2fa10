//! What an answer that is no success means, named by what the caller will do about it.
//!
//! Jenkins says errors in HTML. The reason of a refusal is in the header `X-Error`; of a missing permission the page names
//! it; of a failure inside nothing is told.

use reqwest::StatusCode;
use reqwest::header::LOCATION;

use super::connection::Call;
use super::transport::Answer;
use crate::target::TargetError;

/// The most characters of an error's text.
const TEXT_LIMIT: usize = 500;

/// Whether Jenkins refused a change for lack of a crumb, or because of an old one.
pub(super) fn wants_crumb(answer: &Answer) -> bool {
    answer.status == StatusCode::FORBIDDEN
        && String::from_utf8_lossy(&answer.body).to_lowercase().contains("no valid crumb")
}

/// The failures that any call may meet and that say nothing of what it asked for.
pub(super) fn of_every_call(call: &Call<'_>, answer: &Answer) -> Option<TargetError> {
    let text = |said: &str| format!("{}: {}{said}", call.name(), answer.status);
    match answer.status {
        StatusCode::UNAUTHORIZED => {
            Some(TargetError::AuthFailed(text("; Jenkins does not take the user or the API key")))
        }
        StatusCode::FORBIDDEN => Some(TargetError::AuthFailed(text(&reason(answer)))),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Some(TargetError::Unavailable(text(&reason(answer))))
        }
        StatusCode::INTERNAL_SERVER_ERROR => None,
        status if status.is_server_error() => Some(TargetError::Unavailable(text(&reason(answer)))),
        _ => None,
    }
}

/// What is left: the failures of this call.
pub(super) fn of_this_call(call: &Call<'_>, answer: &Answer) -> TargetError {
    let text = format!("{}: {}{}", call.name(), answer.status, reason(answer));
    match answer.status {
        StatusCode::NOT_FOUND => TargetError::NotFound(text),
        status if status.is_redirection() => TargetError::Rejected(format!("{text}; is the URL right?")),
        // The call may have had its effect before something failed.
        status if status.is_server_error() => TargetError::Unavailable(text),
        _ => TargetError::Rejected(text),
    }
}

/// Where an answer leads: the path of its `Location`, without what stands before and after it.
pub(super) fn location(answer: &Answer) -> Option<&str> {
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    location.split(['?', '#']).next()
}

/// Why Jenkins refused, behind a colon; empty when it does not say.
fn reason(answer: &Answer) -> String {
    if let Some(error) = answer.headers.get("X-Error") {
        let said = String::from_utf8_lossy(error.as_bytes());
        return format!(": {}", said.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if answer.status.is_redirection() {
        // What stands before an at sign would be a password.
        let shown = location(answer).map(|location| location.rsplit('@').next().unwrap_or(location));
        return shown.map_or_else(String::new, |shown| format!(" to {shown}"));
    }
    let body = String::from_utf8_lossy(&answer.body);
    let missing = body.split_once(" is missing the ").and_then(|(_, rest)| rest.split_once(" permission"));
    match missing {
        Some((permission, _)) if permission.len() < 100 => {
            format!(": the user is missing the permission {permission}")
        }
        _ => String::new(),
    }
}

/// A text fit to be shown: bounded, without control characters, and without the secret.
pub(super) fn tidy(text: &str, secret: &str) -> String {
    let text = if secret.is_empty() { text.to_owned() } else { text.replace(secret, "[redacted]") };
    let mut shown: String =
        text.chars().filter(|character| !character.is_control()).take(TEXT_LIMIT).collect();
    if text.chars().count() > TEXT_LIMIT {
        shown.push_str("...");
    }
    shown
}
