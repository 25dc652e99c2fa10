//! From a service's answer to the error that names what the caller will do.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::transport::Answer;
use crate::cloud::CloudError;
use crate::http;

/// The longest text of an error, in characters.
const TEXT_LIMIT: usize = 500;

/// The longest pause that a service may ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// An answer that is not a success.
pub(super) struct Refusal<'a> {
    /// What was asked.
    pub(super) method: &'a Method,
    /// The status.
    pub(super) status: StatusCode,
    /// How long the service wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The service's words.
    pub(super) message: &'a str,
    /// What to tell a person: call, status, words, request id.
    pub(super) text: String,
}

/// A failed call, with the status where there was one: a few calls know better than the rule what theirs means.
#[derive(Debug)]
pub(super) struct Failure {
    /// The status of the answer.
    pub(super) status: Option<StatusCode>,
    /// What the caller is told.
    pub(super) error: CloudError,
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        Self { status: None, error }
    }
}

impl From<Failure> for CloudError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl Failure {
    /// For calls that are not about one thing: a 404 then says that the service is not where we ask.
    pub(super) fn of_no_thing(self) -> CloudError {
        match self.error {
            CloudError::NotFound(text) => CloudError::Rejected(text),
            other => other,
        }
    }
}

impl Refusal<'_> {
    /// The error that the answer stands for.
    ///
    /// A refusal for want of room is 403 in today's Nova, 409 in Neutron and 413 in old services, each of which means
    /// something else as well; only the words tell them apart.
    pub(super) fn into_failure(self) -> Failure {
        let status = self.status;
        let retry_after = self.retry_after;
        let text = self.text;
        let asked_to_wait = retry_after.is_some() && self.method == Method::GET;
        let error = match status.as_u16() {
            401 => CloudError::AuthFailed(text),
            404 | 410 => CloudError::NotFound(text),
            403 | 409 | 413 if speaks_of_quota(self.message) => CloudError::Quota(text),
            413 | 429 => CloudError::Throttled { text, retry_after },
            503 if asked_to_wait => CloudError::Throttled { text, retry_after },
            408 | 425 | 500..=599 => CloudError::Transient(text),
            _ => CloudError::Rejected(text),
        };
        Failure { status: Some(status), error }
    }
}

/// Whether a refusal is about a quota, or want of room that ends as a quota's does, by the words of Nova,
/// Neutron and Glance.
fn speaks_of_quota(message: &str) -> bool {
    let message = message.to_lowercase();
    // Neutron, when a pool of floating IPs is used up.
    message.contains("no more ip addresses available")
        || message.contains("quota")
        || (message.contains("maximum number") && message.contains("exceeded"))
}

/// How long the service wants to be left alone: seconds or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTime::parse_from_rfc2822(text).ok()?;
        until.signed_duration_since(now).to_std().unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// What to tell a person about an answer: the call, the status, the service's words, and the id under which the
/// service's own logs know the call.
pub(super) fn text(call: &str, answer: &Answer, message: &str) -> String {
    let id = http::request_id(&answer.headers).map(|id| format!(" ({})", tidy(id))).unwrap_or_default();
    format!("{}{id}", tidy(&format!("{call}: {} {message}", answer.status.as_u16())))
}

/// Takes secrets out of a text that a service wrote: a debugging proxy may send back what it was sent.
pub(super) fn redact(text: &str, secrets: &[&SecretString]) -> String {
    let secrets = secrets.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty());
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
}

/// The service's words in an error body: JSON with one key whose name varies, HTML or plain text.
pub(super) fn message(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(json) => words(&json, 3).unwrap_or_default().to_owned(),
        Err(_) => without_markup(&String::from_utf8_lossy(body)),
    }
}

/// The first text under `message` (or what stands for it), at most `depth` objects deep.
fn words(json: &Value, depth: u8) -> Option<&str> {
    let object = json.as_object()?;
    let own = ["message", "detail", "title", "faultstring"].iter().find_map(|key| object.get(*key)?.as_str());
    let deeper = depth.checked_sub(1)?;
    own.filter(|text| !text.is_empty()).or_else(|| object.values().find_map(|value| words(value, deeper)))
}

/// The text of a page without its tags, and without its head: the title says the same again.
fn without_markup(page: &str) -> String {
    let body = ["</head>", "</title>"].iter().find_map(|end| Some(page.split_once(end)?.1));
    let mut text = String::new();
    let mut inside = false;
    for letter in body.unwrap_or(page).chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    text
}

/// A text for a person: one line, no control characters, bounded.
pub(super) fn tidy(text: &str) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => {
            line.truncate(end);
            line.push_str("...");
            line
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_words_of_each_kind_of_body() {
        for (body, expected) in [
            (r#"{"forbidden": {"code": 403, "message": "Quota exceeded"}}"#, "Quota exceeded"),
            (r#"{"NeutronError": {"type": "X", "message": "no", "detail": ""}}"#, "no"),
            (r#"{"message": "plain"}"#, "plain"),
            (r#"{"odd": [1, 2]}"#, ""),
            ("<html><title>502</title><body>Bad\n Gateway</body></html>", "Bad Gateway"),
            ("down for lunch", "down for lunch"),
            ("", ""),
        ] {
            assert_eq!(tidy(&message(body.as_bytes())), expected, "{body}");
        }
    }

    #[test]
    fn bounds_the_text() {
        assert_eq!(tidy(&"ü".repeat(5000)).chars().count(), TEXT_LIMIT + 3);
    }

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now = DateTime::parse_from_rfc3339("2026-11-21T10:00:00Z").unwrap().to_utc();
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sat, 21 Nov 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("Sat, 21 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999"), Some(LONGEST_PAUSE));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn names_errors_by_the_reaction() {
        let classify = |method: Method, status: u16, retry_after: Option<Duration>, message: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = Refusal { method: &method, status, retry_after, message, text: String::new() };
            refusal.into_failure().error
        };
        let text = String::new;
        let pause = Some(Duration::from_secs(5));
        let throttled = CloudError::Throttled { text: text(), retry_after: pause };
        for (method, status, pause, message, expected) in [
            (Method::POST, 403, None, "Quota exceeded for instances", CloudError::Quota(text())),
            (Method::POST, 403, None, "Maximum number of ports exceeded", CloudError::Quota(text())),
            (Method::POST, 403, None, "Policy doesn't allow", CloudError::Rejected(text())),
            (Method::POST, 413, pause, "This request was rate-limited.", throttled.clone()),
            (Method::POST, 413, pause, "Quota exceeded for cores", CloudError::Quota(text())),
            (Method::POST, 409, None, "Quota exceeded for resources: ['port']", CloudError::Quota(text())),
            (
                Method::POST,
                409,
                None,
                "No more IP addresses available on network n-1.",
                CloudError::Quota(text()),
            ),
            (Method::POST, 409, None, "conflict", CloudError::Rejected(text())),
            (Method::POST, 429, pause, "", throttled.clone()),
            (Method::GET, 503, pause, "", throttled),
            (Method::POST, 503, pause, "", CloudError::Transient(text())),
            (Method::GET, 503, None, "", CloudError::Transient(text())),
            (Method::DELETE, 404, None, "", CloudError::NotFound(text())),
            (Method::POST, 400, None, "", CloudError::Rejected(text())),
            (Method::POST, 422, None, "", CloudError::Rejected(text())),
            (Method::GET, 302, None, "", CloudError::Rejected(text())),
        ] {
            assert_eq!(
                classify(method.clone(), status, pause, message),
                expected,
                "{method} {status} {message}"
            );
        }
    }
}
