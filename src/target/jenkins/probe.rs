//! Looking whether a controller can be used at all: who is logged in, what that user may, and whether what the
//! configuration names is there. Nothing is changed.

use std::borrow::Cow;

use reqwest::StatusCode;
use serde::Deserialize;

use super::connection::{Call, Connection};
use super::{Launcher, agents, names};
use crate::model::counted;
use crate::target::TargetError;

/// What was looked at, and how it is.
pub type Probe = (&'static str, Result<Told, TargetError>);

/// What a look that was answered found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is as it should be.
    Good(String),
    /// Nobody could tell, and why not.
    Unknown(String),
}

/// The plugin that launches agents over ssh, by the name that Jenkins gives it.
const SSH_PLUGIN: &str = "ssh-slaves";

/// Looks at everything. Without a login nothing else is looked at.
pub(super) async fn probe(
    connection: &Connection,
    launcher: Launcher,
    credentials_id: Option<&str>,
    test_job: Option<&str>,
) -> Vec<Probe> {
    let login = login(connection).await;
    let is_in = login.is_ok();
    let mut found = vec![("login", login.map(Told::Good))];
    if !is_in {
        return found;
    }
    found.push(("agents", listing(connection).await.map(Told::Good)));
    found.push(("right to make agents", may_create(connection).await.map(Told::Good)));
    if launcher == Launcher::Ssh {
        found.push(("plugin for ssh agents", plugin(connection).await));
    }
    if let Some(id) = credentials_id {
        found.push(("credentials", credentials(connection, id).await.map(Told::Good)));
    }
    if let Some(job) = test_job {
        found.push(("test job", job_is_there(connection, job).await.map(Told::Good)));
    }
    found
}

async fn login(connection: &Connection) -> Result<String, TargetError> {
    let call = Call::get(&["api", "json"]).query("tree", "mode");
    let answer = connection.call(&call).await?;
    if answer.status != StatusCode::OK {
        return Err(connection.refusal(&call, &answer));
    }
    let version = answer.headers.get("X-Jenkins").and_then(|version| version.to_str().ok());
    match version {
        Some(version) => Ok(format!("logged in to Jenkins {version}")),
        None => Err(TargetError::Rejected(format!(
            "{}: what answers is no Jenkins; is the URL right?",
            call.name()
        ))),
    }
}

async fn listing(connection: &Connection) -> Result<String, TargetError> {
    let roster = agents::roster(connection).await?;
    let ours = roster.agents.iter().filter(|agent| agent.tag.is_some()).count();
    let agents = counted(roster.agents.len(), "agent", "agents");
    let text = format!("{agents}, {ours} of them made by a nodepool");
    if roster.quieting_down { Err(TargetError::QuietingDown(text)) } else { Ok(text) }
}

/// Jenkins looks at the permission before it looks for the name, which is not there.
async fn may_create(connection: &Connection) -> Result<String, TargetError> {
    let call = Call::post(&["computer", "doCreateItem"]).form(vec![("name", Cow::Borrowed(""))]);
    let answer = connection.call(&call).await?;
    match answer.status {
        StatusCode::BAD_REQUEST => Ok("the user may make agents".to_owned()),
        _ => Err(connection.refusal(&call, &answer)),
    }
}

#[derive(Deserialize)]
struct Plugins {
    #[serde(default)]
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plugin {
    short_name: String,
    #[serde(default)]
    active: bool,
}

/// Most users may not see the plugins, which is no trouble.
async fn plugin(connection: &Connection) -> Result<Told, TargetError> {
    let call = Call::get(&["pluginManager", "api", "json"]).query("tree", "plugins[shortName,active]");
    let answer = match connection.call(&call).await {
        Err(TargetError::AuthFailed(_)) => {
            return Ok(Told::Unknown("this user may not see which plugins there are".to_owned()));
        }
        answer => answer?,
    };
    let plugins: Option<Plugins> = serde_json::from_slice(&answer.body).ok();
    let Some(plugins) = plugins.filter(|_| answer.status == StatusCode::OK) else {
        return Ok(Told::Unknown("this Jenkins does not tell which plugins there are".to_owned()));
    };
    let found = plugins.plugins.iter().find(|plugin| plugin.short_name == SSH_PLUGIN);
    match found {
        Some(plugin) if plugin.active => Ok(Told::Good(format!("{SSH_PLUGIN} is active"))),
        Some(_) => Err(TargetError::Rejected(format!("the plugin {SSH_PLUGIN} is not active"))),
        None => Err(TargetError::Rejected(format!("the plugin {SSH_PLUGIN} is not installed"))),
    }
}

async fn credentials(connection: &Connection, id: &str) -> Result<String, TargetError> {
    let path = ["credentials", "store", "system", "domain", "_", "credential", id, "api", "json"];
    let call = Call::get(&path).query("tree", "id");
    let answer = connection.call(&call).await?;
    match answer.status {
        StatusCode::OK => Ok(format!("{id} is there")),
        StatusCode::NOT_FOUND => {
            Err(TargetError::Rejected(format!("Jenkins' own store has no credentials `{id}`")))
        }
        _ => Err(connection.refusal(&call, &answer)),
    }
}

#[derive(Deserialize)]
struct Job {
    #[serde(default)]
    buildable: bool,
}

async fn job_is_there(connection: &Connection, job: &str) -> Result<String, TargetError> {
    let mut path: Vec<&str> = Vec::new();
    for part in job.split('/').filter(|part| !part.is_empty()) {
        names::check(part)?;
        path.extend(["job", part]);
    }
    path.extend(["api", "json"]);
    let call = Call::get(&path).query("tree", "buildable");
    let answer = connection.call(&call).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(TargetError::Rejected(format!("there is no job `{job}`"))),
        _ => return Err(connection.refusal(&call, &answer)),
    }
    let known: Option<Job> = serde_json::from_slice(&answer.body).ok();
    if known.is_some_and(|known| known.buildable) {
        Ok(format!("{job} can be built"))
    } else {
        Err(TargetError::Rejected(format!("the job `{job}` cannot be built: it is disabled")))
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let plugins = serde_json::from_slice::<Plugins>(body).map(|plugins| plugins.plugins.len());
    let job = serde_json::from_slice::<Job>(body).map(|job| job.buildable);
    std::hint::black_box((plugins.ok(), job.ok()));
}
