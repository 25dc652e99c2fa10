//! What each address answers.

mod computers;
mod credentials;
mod jobs;
mod queue;

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::door::Asked;
use super::{Jenkins, inbound, page, view};
use crate::sandbox::http::Answer;

/// An answer, and under which name it is counted.
pub(super) type Named = (&'static str, Answer);

/// Answers a request of somebody who may ask it.
pub(super) fn answer(jenkins: &Arc<Jenkins>, asked: &Asked) -> Named {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [] => ("jenkins-page", page::page("Dashboard [Jenkins]")),
        ["api", "json"] => {
            let whole = view::root(&jenkins.controller(), &asked.root);
            ("jenkins-root", asked.document(whole, &[]))
        }
        ["crumbIssuer", "api", "json"] => ("jenkins-crumb", crumb(jenkins, asked)),
        ["me" | "whoAmI", "api", "json"] => {
            let user = &jenkins.settings.user;
            let whole = json!({"_class": "hudson.model.User", "absoluteUrl": format!("{}user/{user}", asked.root),
                "fullName": user, "id": user, "name": user, "anonymous": false, "authenticated": true});
            ("jenkins-user", asked.document(whole, &[]))
        }
        ["label", name, "api", "json"] => {
            let whole = view::label(&jenkins.controller(), name);
            ("jenkins-label", asked.document(whole, &[]))
        }
        ["quietDown"] => ("jenkins-quiet", posted(asked, || quiet(jenkins, asked, true))),
        ["cancelQuietDown"] => ("jenkins-quiet", posted(asked, || quiet(jenkins, asked, false))),
        ["restart" | "safeRestart"] => (
            "jenkins-restart",
            posted(asked, || {
                jenkins.restart();
                page::redirect(asked.root.clone())
            }),
        ),
        ["computer", rest @ ..] => computers::answer(jenkins, asked, rest),
        ["jnlpJars", "agent.jar"] => ("jenkins-agent-jar", page::jar(inbound::AGENT)),
        ["queue", rest @ ..] => queue::answer(jenkins, asked, rest),
        ["createItem"] => ("jenkins-job-create", posted(asked, || jobs::create(jenkins, asked))),
        ["job", name, rest @ ..] => jobs::answer(jenkins, asked, name, rest),
        ["credentials", "store", "system", "domain", "_", rest @ ..] => {
            credentials::answer(jenkins, asked, rest)
        }
        _ => ("jenkins-unknown", page::not_found()),
    }
}

/// What changes something must be posted.
fn posted(asked: &Asked, answer: impl FnOnce() -> Answer) -> Answer {
    if asked.method == Method::POST { answer() } else { page::only_post() }
}

fn crumb(jenkins: &Jenkins, asked: &Asked) -> Answer {
    let (crumb, cookie) = jenkins.logins.crumb(&asked.headers);
    let whole = json!({"_class": "hudson.security.csrf.DefaultCrumbIssuer", "crumb": crumb,
        "crumbRequestField": super::login::CRUMB});
    let answer = asked.document(whole, &[]);
    match cookie {
        Some(cookie) => answer.with("set-cookie", cookie),
        None => answer,
    }
}

fn quiet(jenkins: &Jenkins, asked: &Asked, down: bool) -> Answer {
    jenkins.change(|controller| controller.quieting_down = down);
    page::redirect(asked.root.clone())
}

/// An object that a form sends as JSON; `None` when there is none, an error when it cannot be read.
fn form(asked: &Asked) -> Result<serde_json::Value, Answer> {
    if asked.has_type(&["application/json"]) {
        return Err(page::no_form());
    }
    let text = asked.parameter("json").ok_or_else(page::no_form)?;
    serde_json::from_str(text)
        .map_err(|_| page::html(StatusCode::BAD_REQUEST, "Error 400 Failed to parse JSON"))
}
