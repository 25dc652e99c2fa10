//! The sandbox's own doors: what it is, the faults in force, and how often it was asked.
//!
//! They are open to whoever reaches the loopback address, so they refuse what a browser sends from a page.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use super::Sandbox;
use super::faults::{Faults, FaultsError};
use super::http::{Answer, Refusal, Request};
use super::operation::Operation;

/// Answers a request to the sandbox itself.
pub(crate) fn answer(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    if request.header("origin").is_some() {
        return Err(Refusal::forbidden("Not for web pages"));
    }
    match request.operation {
        Operation::FaultsReplace => {
            let text = std::str::from_utf8(&request.body).map_err(|error| refuse(&error))?;
            put(sandbox, Faults::from_text(text))
        }
        Operation::FaultsChange => {
            let change = sandbox.dice().faults().patched(&request.json()?);
            put(sandbox, change)
        }
        Operation::FaultsShow => shown(sandbox),
        Operation::RequestsShow => Ok(Answer::ok(&json!({ "requests": *sandbox.counts() }))),
        Operation::RequestsReset => {
            sandbox.counts().clear();
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        Operation::JenkinsRestart => match &sandbox.jenkins {
            Some(jenkins) => {
                jenkins.restart();
                Ok(Answer::empty(StatusCode::ACCEPTED))
            }
            None => Err(Refusal::not_found("There is no Jenkins: start the sandbox with --jenkins")),
        },
        _ => Ok(Answer::ok(&json!({
            "jenkins": sandbox.jenkins.as_ref().map(|jenkins| json!({
                "url": jenkins.url(), "zmq": jenkins.zmq(), "gearman": jenkins.gearman()})),
            "auth_url": format!("{}/identity/v3", sandbox.base_url()),
            "clouds_yaml": sandbox.clouds_yaml(),
            "operations": Operation::ALL.iter().map(|operation| operation.name()).collect::<Vec<_>>(),
        }))),
    }
}

fn put(sandbox: &Sandbox, faults: Result<Faults, FaultsError>) -> Result<Answer, Refusal> {
    let faults = faults.map_err(|error| refuse(&error))?;
    tracing::info!("faults changed");
    tracing::debug!(?faults);
    sandbox.dice().replace(faults);
    shown(sandbox)
}

fn shown(sandbox: &Sandbox) -> Result<Answer, Refusal> {
    let value = serde_json::to_value(sandbox.dice().faults()).map_err(|error| refuse(&error))?;
    Ok(Answer::ok(&value))
}

fn refuse(error: &dyn std::error::Error) -> Refusal {
    Refusal::bad_request(error.to_string())
}
