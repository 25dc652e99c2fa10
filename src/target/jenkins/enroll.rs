//! Making an agent.
//!
//! Jenkins checks nothing of what a launcher needs when an agent is made: host, port and credentials may all be wrong. That
//! the agent is known says therefore little; a listing shows whether it came online.

use std::borrow::Cow;
use std::net::IpAddr;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::agents::{self, leads_to_the_list};
use super::connection::{Call, Connection};
use super::settings::Launcher;
use super::{credentials, failure, names};
use crate::target::{Enrollment, TargetError};

/// Makes the agent, unless it is there already.
///
/// # Errors
/// `QuietingDown` before anything is made; `Rejected` when the name cannot be used, or belongs to an agent that is not this
/// node's.
pub(super) async fn enroll(
    connection: &Connection,
    launcher: Launcher,
    credentials_id: Option<&str>,
    enrollment: &Enrollment,
) -> Result<(), TargetError> {
    names::check(&enrollment.name)?;
    if agents::is_quieting_down(connection).await? {
        return Err(TargetError::QuietingDown("Jenkins is about to shut down".to_owned()));
    }
    let launcher = match (launcher, credentials_id) {
        (Launcher::Inbound, _) => inbound_launcher(),
        (Launcher::Ssh, Some(id)) => ssh_launcher(enrollment, id),
        (Launcher::Ssh, None) => {
            ssh_launcher(enrollment, &credentials::ensure(connection, enrollment).await?)
        }
    };
    create(connection, enrollment, &agent(enrollment, &launcher)).await
}

async fn create(connection: &Connection, enrollment: &Enrollment, agent: &Value) -> Result<(), TargetError> {
    let form = vec![
        ("name", Cow::Borrowed(enrollment.name.as_str())),
        ("type", Cow::Borrowed("hudson.slaves.DumbSlave")),
        ("json", Cow::Owned(agent.to_string())),
    ];
    let call = Call::post(&["computer", "doCreateItem"]).form(form);
    let answer = connection.call(&call).await?;
    if leads_to_the_list(answer.status, failure::location(&answer)) {
        return Ok(());
    }
    let refusal = connection.refusal(&call, &answer);
    match (answer.status, refusal) {
        (StatusCode::BAD_REQUEST, TargetError::Rejected(text)) if text.contains("already exists") => {
            adopt(connection, enrollment, text).await
        }
        (StatusCode::NOT_FOUND, TargetError::NotFound(text)) => {
            Err(TargetError::Rejected(format!("{text}; is the URL right?")))
        }
        // Jenkins tells nobody why; what it does not know is what it fails at.
        (StatusCode::INTERNAL_SERVER_ERROR, TargetError::Unavailable(text)) => {
            let plugin = "its log knows why; one reason is that the plugin of the launcher (SSH Build Agents) is missing";
            Err(TargetError::Unavailable(format!("{text}; {plugin}")))
        }
        (_, refusal) => Err(refusal),
    }
}

/// An agent of this name is there: it is this node's, from a call whose answer was lost, or a stranger.
async fn adopt(connection: &Connection, enrollment: &Enrollment, refused: String) -> Result<(), TargetError> {
    match agents::look(connection, &enrollment.name).await? {
        Some(agent) if agent.tag.as_ref() == Some(&enrollment.tag) => Ok(()),
        Some(_) => Err(TargetError::Rejected(format!("{refused}, and it is not this node's"))),
        // An agent without executors has no computer: it holds its name, and nothing over REST reaches it.
        None => Err(TargetError::Rejected(format!(
            "{refused}, and cannot be seen: it may be one with no executors, which only Jenkins' script console removes"
        ))),
    }
}

fn agent(enrollment: &Enrollment, launcher: &Value) -> Value {
    json!({
        "name": enrollment.name,
        "nodeDescription": enrollment.description,
        // A node without an executor has no computer and could never be deleted.
        "numExecutors": "1",
        "remoteFS": enrollment.root,
        "labelString": enrollment.labels.join(" "),
        "mode": "EXCLUSIVE",
        "type": "hudson.slaves.DumbSlave",
        "launcher": launcher,
        "retentionStrategy": class("hudson.slaves.RetentionStrategy$Always"),
        "nodeProperties": {"stapler-class-bag": "true"},
    })
}

/// The host key is known from the visit before, so Jenkins talks to the very machine that we prepared.
fn ssh_launcher(enrollment: &Enrollment, credentials_id: &str) -> Value {
    const VERIFIERS: &str = "hudson.plugins.sshslaves.verifiers";
    let mut strategy = match &enrollment.host_key {
        Some(_) => class(&format!("{VERIFIERS}.ManuallyProvidedKeyVerificationStrategy")),
        None => class(&format!("{VERIFIERS}.NonVerifyingKeyVerificationStrategy")),
    };
    if let (Some(key), Some(fields)) = (&enrollment.host_key, strategy.as_object_mut()) {
        fields.insert("key".to_owned(), json!(key));
    }
    let mut launcher = class("hudson.plugins.sshslaves.SSHLauncher");
    if let Some(fields) = launcher.as_object_mut() {
        fields.insert("host".to_owned(), json!(host(enrollment.address)));
        fields.insert("port".to_owned(), json!(enrollment.port));
        fields.insert("credentialsId".to_owned(), json!(credentials_id));
        fields.insert("sshHostKeyVerificationStrategy".to_owned(), strategy);
    }
    launcher
}

fn host(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

fn inbound_launcher() -> Value {
    let mut launcher = class("hudson.slaves.JNLPLauncher");
    if let Some(fields) = launcher.as_object_mut() {
        fields.insert("webSocket".to_owned(), json!(true));
    }
    launcher
}

/// Both spellings by which Jenkins has named classes: the newer one, and that of nodepool v0.
fn class(name: &str) -> Value {
    json!({"$class": name, "stapler-class": name})
}
