//! The frame around every request: is the controller up, who asks, may they, what is asked, what goes wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::sleep;

use super::login::{CRUMB, Caller};
use super::{Jenkins, Readiness, answers, inbound, page};
use crate::sandbox::http::{Answer, Connection, path_segments};

/// The most that a request may send.
const BODY_LIMIT: usize = 4 << 20;
/// How long a request's body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_mins(1);

/// What is asked.
pub(super) struct Asked {
    pub(super) method: Method,
    /// The parts of the path behind the prefix.
    pub(super) path: Vec<String>,
    /// The query's parameters, then the form's.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What links start with, as the client wrote it, with a slash at the end.
    pub(super) root: String,
}

impl Asked {
    /// The first value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the body is of this type.
    pub(super) fn has_type(&self, kinds: &[&str]) -> bool {
        let sent = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        sent.is_some_and(|sent| kinds.iter().any(|kind| sent.starts_with(kind)))
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Answers with the part of a document that is wanted. What `hidden` names is empty unless asked for.
    pub(super) fn document(&self, whole: Value, hidden: &[&str]) -> Answer {
        if let Some(tree) = self.parameter("tree") {
            return match super::tree::Tree::parse(tree) {
                Some(tree) => page::json(&tree.of(&whole)),
                None => page::html(StatusCode::BAD_REQUEST, "Error 400 Cannot parse the tree parameter"),
            };
        }
        let depth = self.parameter("depth").and_then(|depth| depth.parse().ok()).unwrap_or(0);
        page::json(&super::tree::at_depth(whole, depth, hidden))
    }
}

/// Answers one request.
pub(super) async fn serve(
    State(jenkins): State<Arc<Jenkins>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: axum::extract::Request,
) -> Response {
    match jenkins.readiness() {
        Readiness::Down => {
            connection.cut();
            return Answer::empty(StatusCode::SERVICE_UNAVAILABLE).into_response();
        }
        Readiness::Starting => {
            jenkins.count("jenkins-starting", 503);
            return page::html(StatusCode::SERVICE_UNAVAILABLE, "Starting Jenkins").into_response();
        }
        Readiness::Up => {}
    }
    if inbound::is_entrance(&jenkins, request.uri().path()) {
        return inbound::enter(&jenkins, request).await;
    }
    let life = jenkins.stage().life;
    let answered = life.run_until_cancelled(answer(&jenkins, request, &connection)).await;
    let Some((name, answer)) = answered else {
        // It went down meanwhile.
        connection.cut();
        return Answer::empty(StatusCode::SERVICE_UNAVAILABLE).into_response();
    };
    tracing::debug!(operation = name, status = answer.status.as_u16(), "answered");
    jenkins.count(name, answer.status.as_u16());
    answer.into_response()
}

async fn answer(
    jenkins: &Arc<Jenkins>,
    request: axum::extract::Request,
    connection: &Connection,
) -> (&'static str, Answer) {
    sleep(jenkins.duration(|faults| faults.answer_seconds)).await;
    let asked = match read(jenkins, request).await {
        Ok(asked) => asked,
        Err(refusal) => return ("jenkins-unread", refusal),
    };
    if let Some(refusal) = refused(jenkins, &asked) {
        return ("jenkins-refused", refusal);
    }
    let (lost, error) = {
        let mut dice = jenkins.dice();
        (
            dice.strikes(|faults| &mut faults.jenkins.answer_lost),
            dice.strikes(|faults| &mut faults.jenkins.answer_error),
        )
    };
    if error {
        return ("jenkins-error", page::oops());
    }
    let answered = answers::answer(jenkins, &asked);
    if lost {
        connection.cut();
    }
    answered
}

async fn read(jenkins: &Jenkins, request: axum::extract::Request) -> Result<Asked, Answer> {
    let (parts, body) = request.into_parts();
    let mut path = path_segments(&parts.uri);
    for part in jenkins.settings.prefix.split('/').filter(|part| !part.is_empty()) {
        if path.first().is_none_or(|first| first != part) {
            return Err(page::not_found());
        }
        path.remove(0);
    }
    let body = read_body(body).await.ok_or_else(page::no_form)?;
    let query = parts.uri.query().unwrap_or_default();
    let mut parameters = pairs(query.as_bytes());
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let root = match host {
        Some(host) => format!("http://{host}{}/", jenkins.settings.prefix),
        None => jenkins.url(),
    };
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        parameters.extend(pairs(&body));
    }
    Ok(Asked { method: parts.method, path, parameters, headers: parts.headers, body, root })
}

async fn read_body(body: Body) -> Option<Bytes> {
    tokio::time::timeout(BODY_DEADLINE, to_bytes(body, BODY_LIMIT)).await.ok()?.ok()
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

/// The refusal of somebody who may not ask this.
fn refused(jenkins: &Jenkins, asked: &Asked) -> Option<Answer> {
    let changes = asked.method == Method::POST;
    let no_crumb =
        || page::html(StatusCode::FORBIDDEN, "Error 403 No valid crumb was included in the request");
    match jenkins.logins.caller(&asked.headers) {
        Caller::Unknown => {
            let answer = page::html(StatusCode::UNAUTHORIZED, "Error 401 Unauthorized");
            Some(answer.with("www-authenticate", "Basic realm=\"Jenkins\""))
        }
        // What agents start with is there for everybody.
        Caller::Anonymous if !changes && asked.path.first().is_some_and(|first| first == "jnlpJars") => None,
        Caller::Anonymous if changes => Some(no_crumb()),
        Caller::Anonymous => Some(page::html(StatusCode::FORBIDDEN, "Authentication required")),
        Caller::ByPassword if changes => {
            let sent = asked.headers.get(CRUMB).and_then(|value| value.to_str().ok());
            let sent = sent.or_else(|| asked.parameter(CRUMB));
            (!jenkins.logins.has_crumb(&asked.headers, sent)).then(no_crumb)
        }
        Caller::ByPassword | Caller::ByToken => None,
    }
}
