//! What `--debug` shows of each HTTP exchange: all that a person needs to see, and no secret.
//!
//! What is secret is known by its place: the headers and the fields of JSON below. A proxy may send back in its own words
//! what it was sent, so what was masked once is masked in every later text of the exchange, too. A body that is not JSON
//! is not shown when it was sent by us, for then nothing says what is secret in it; neither is XML that was received: an
//! agent's start file and a configuration carry secrets without a mark.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Request, Url};
use serde_json::Value;
use tracing::{Level, debug, enabled};

use super::{Answer, request_id};

/// The log target of exchanges.
const TARGET: &str = "nodepool.http";

/// The most characters of a body that are shown.
const BODY_SHOWN: usize = 4000;

/// The most characters of a header that are shown.
const HEADER_SHOWN: usize = 300;

/// A longer body is not looked into, and only its size is shown.
const BODY_READ: usize = 4 << 20;

/// What stands in the place of a secret.
const MASK: &str = "[secret]";

/// Headers whose value is never shown.
const SECRET_HEADERS: [&str; 9] = [
    ".crumb",
    "authorization",
    "cookie",
    "jenkins-crumb",
    "proxy-authorization",
    "set-cookie",
    "x-auth-token",
    "x-service-token",
    "x-subject-token",
];

/// Fields of JSON whose value is never shown, when it is no object and no list.
const SECRET_FIELDS: [&str; 12] = [
    "adminpass",
    "api_key",
    "apikey",
    "crumb",
    "passcode",
    "password",
    "private_key",
    "secret",
    "signature",
    "token",
    "trust_id",
    "user_data",
];

/// One exchange that is being watched.
pub struct Trace {
    name: String,
    secrets: Vec<String>,
}

impl Trace {
    /// Shows a request that is about to be sent. `None` when nobody looks.
    pub fn begin(request: &Request) -> Option<Self> {
        if !enabled!(target: TARGET, Level::DEBUG) {
            return None;
        }
        let mut trace =
            Self { name: format!("{} {}", request.method(), shown_url(request.url())), secrets: Vec::new() };
        let headers = trace.headers(request.headers());
        let body = match request.body().map(reqwest::Body::as_bytes) {
            None => String::new(),
            Some(Some(bytes)) => trace.sent(bytes),
            Some(None) => "[a stream]".to_owned(),
        };
        debug!(target: TARGET, %headers, %body, "> {}", trace.name);
        Some(trace)
    }

    /// Shows the answer.
    pub fn end(mut self, outcome: &Result<Answer, String>, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(answer) => {
                let headers = self.headers(&answer.headers);
                let body = self.received(&answer.body);
                let request_id = request_id(&answer.headers).unwrap_or("-");
                let request_id = self.text(request_id, HEADER_SHOWN);
                let status = answer.status.as_u16();
                debug!(target: TARGET, status, millis, %request_id, %headers, %body, "< {}", self.name);
            }
            Err(text) => {
                let error = self.text(text, BODY_SHOWN);
                debug!(target: TARGET, millis, %error, "< {} brought no answer", self.name);
            }
        }
    }

    /// Headers in one line; secret ones are remembered.
    fn headers(&mut self, headers: &HeaderMap) -> String {
        let mut line = String::new();
        for (name, value) in headers {
            let text = String::from_utf8_lossy(value.as_bytes());
            let shown = if SECRET_HEADERS.contains(&name.as_str()) {
                self.remember(&text);
                MASK.to_owned()
            } else {
                self.text(&text, HEADER_SHOWN)
            };
            for part in [if line.is_empty() { "" } else { "; " }, name.as_str(), ": ", &shown] {
                line.push_str(part);
            }
        }
        line
    }

    fn sent(&mut self, body: &[u8]) -> String {
        self.json(body).unwrap_or_else(|| format!("[{} bytes]", body.len()))
    }

    fn received(&mut self, body: &[u8]) -> String {
        if let Some(json) = self.json(body) {
            return json;
        }
        if body.len() > BODY_READ {
            return format!("[{} bytes]", body.len());
        }
        if body.trim_ascii_start().starts_with(b"<?xml") || body.trim_ascii_start().starts_with(b"<jnlp") {
            return format!("[{} bytes of XML]", body.len());
        }
        let text = String::from_utf8_lossy(body);
        if holds_a_key(&text) { MASK.to_owned() } else { self.text(&text, BODY_SHOWN) }
    }

    /// A body of JSON without its secrets, which are remembered.
    fn json(&mut self, body: &[u8]) -> Option<String> {
        if body.len() > BODY_READ {
            return None;
        }
        let mut json: Value = serde_json::from_slice(body).ok()?;
        self.mask(&mut json);
        Some(self.text(&json.to_string(), BODY_SHOWN))
    }

    fn mask(&mut self, json: &mut Value) {
        match json {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let secret = SECRET_FIELDS.contains(&name.to_ascii_lowercase().as_str());
                    match value {
                        Value::String(text) if secret => {
                            self.remember(text);
                            MASK.clone_into(text);
                        }
                        Value::Number(_) if secret => *value = MASK.into(),
                        _ => self.mask(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.mask(value)),
            Value::String(text) if holds_a_key(text) => MASK.clone_into(text),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A short word would be found everywhere, and tells nothing that its place does not tell.
    fn remember(&mut self, secret: &str) {
        if secret.len() >= 4 {
            self.secrets.push(secret.to_owned());
        }
    }

    /// A text in one line and bounded, without the secrets of this exchange.
    fn text(&self, text: &str, limit: usize) -> String {
        let text = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK));
        let mut line: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
        if let Some((end, _)) = line.char_indices().nth(limit) {
            let rest = line.len().saturating_sub(end);
            line.truncate(end);
            return format!("{line}... [{rest} more bytes]");
        }
        line
    }
}

fn holds_a_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// The URL without a user and a password: a catalogue could name them.
fn shown_url(url: &Url) -> String {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // A URL that can have them can have others.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url.to_string()
}

/// What is shown of a body, whoever wrote it.
#[cfg(feature = "fuzz")]
pub fn fuzz(body: &[u8]) {
    let mut trace = Trace { name: String::new(), secrets: Vec::new() };
    std::hint::black_box((trace.sent(body), trace.received(body)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trace() -> Trace {
        Trace { name: String::new(), secrets: Vec::new() }
    }

    #[test]
    fn masks_by_place_and_then_everywhere() {
        let mut trace = trace();
        let login = json!({"auth": {"identity": {"password": {"user": {"name": "robot", "password": "open-sesame"}},
            "application_credential": {"id": "c-1", "secret": "much-secret"}}}});
        let shown = trace.sent(login.to_string().as_bytes());
        assert!(shown.contains("robot") && shown.contains("c-1"), "{shown}");
        assert!(!shown.contains("sesame") && !shown.contains("much-secret"), "{shown}");
        assert_eq!(trace.received(b"<p>you sent\nopen-sesame</p>"), "<p>you sent [secret]</p>");

        let server =
            json!({"server": {"name": "n", "user_data": "I2Nsb3VkLWNvbmZpZw==", "adminPass": "Tr0ub4dor"}});
        let shown = trace.sent(server.to_string().as_bytes());
        assert_eq!(shown, r#"{"server":{"adminPass":"[secret]","name":"n","user_data":"[secret]"}}"#);
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc";
        assert_eq!(
            trace.received(json!({"keypair": [key]}).to_string().as_bytes()),
            r#"{"keypair":["[secret]"]}"#
        );
        assert_eq!(trace.received(key.as_bytes()), MASK);
        assert_eq!(trace.sent(b"password=open"), "[13 bytes]");
        let start_file = b"\n<jnlp><argument>4f1c-secret</argument></jnlp>";
        assert_eq!(trace.received(start_file), "[46 bytes of XML]");
        let crumb = br#"{"crumb": "c4-secret", "crumbRequestField": "Jenkins-Crumb"}"#;
        assert_eq!(trace.received(crumb), r#"{"crumb":"[secret]","crumbRequestField":"Jenkins-Crumb"}"#);
    }

    #[test]
    fn masks_headers_and_what_repeats_them() {
        let mut trace = trace();
        let mut headers = HeaderMap::new();
        headers.insert("X-Auth-Token", "gAAAA-token".parse().unwrap());
        headers.insert("Accept", "text/plain".parse().unwrap());
        assert_eq!(trace.headers(&headers), "x-auth-token: [secret]; accept: text/plain");
        let echo = json!({"message": "your token is gAAAA-token"});
        assert_eq!(trace.received(echo.to_string().as_bytes()), r#"{"message":"your token is [secret]"}"#);
    }

    #[test]
    fn shows_a_bounded_line() {
        let shown = trace().received("é\u{1b}[31m\n".repeat(10_000).as_bytes());
        assert!(shown.len() < BODY_SHOWN * 2 + 100 && !shown.contains('\u{1b}'));
        assert!(shown.contains("more bytes]"));
        assert_eq!(trace().received(&vec![b'x'; BODY_READ + 1]), format!("[{} bytes]", BODY_READ + 1));
    }

    #[test]
    fn a_url_shows_no_user() {
        let url = Url::parse("http://robot:word@host/path?name=x").unwrap();
        assert_eq!(shown_url(&url), "http://host/path?name=x");
    }
}
