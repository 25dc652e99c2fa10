//! Reading agents: all of a controller in one listing, or one.

use reqwest::StatusCode;
use serde::Deserialize;

use super::connection::{Call, Connection};
use super::lenient::{entries, lenient, lenient_list};
use super::transport::Reading;
use crate::model::Agent;
use crate::target::{Roster, TargetError, tag_in};

/// The most that is read of a listing: an agent takes some 600 bytes.
const LISTING_LIMIT: usize = 32 << 20;

/// What is asked of each agent. Jenkins adds `_class` to every object.
const FIELDS: &str = "displayName,description,assignedLabels[name],idle,offline,temporarilyOffline,\
                      offlineCauseReason,offlineCause[description],executors[currentExecutable[url]]";

#[derive(Deserialize)]
struct Listing {
    #[serde(deserialize_with = "entries")]
    computer: Vec<Computer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Computer {
    #[serde(rename = "_class", default, deserialize_with = "lenient")]
    class: Option<String>,
    display_name: String,
    #[serde(default, deserialize_with = "lenient")]
    description: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    assigned_labels: Vec<LabelName>,
    #[serde(default, deserialize_with = "lenient")]
    idle: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    offline: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    temporarily_offline: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    offline_cause_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    offline_cause: Option<Cause>,
    #[serde(default, deserialize_with = "lenient_list")]
    executors: Vec<Executor>,
}

#[derive(Deserialize)]
struct LabelName {
    name: String,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(rename = "_class", default, deserialize_with = "lenient")]
    class: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    description: Option<String>,
}

#[derive(Deserialize)]
struct Executor {
    #[serde(rename = "currentExecutable", default, deserialize_with = "lenient")]
    executable: Option<Executable>,
}

#[derive(Deserialize)]
struct Executable {
    #[serde(default, deserialize_with = "lenient")]
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Root {
    #[serde(default, deserialize_with = "lenient")]
    quieting_down: Option<bool>,
}

/// Every agent of the controller, and whether it quiets down.
///
/// Jenkins has no object that shows both, so these are two requests, which go out together.
///
/// # Errors
/// When either is not known.
pub(super) async fn roster(connection: &Connection) -> Result<Roster, TargetError> {
    let tree = format!("computer[{FIELDS}]");
    let call = Call::get(&["computer", "api", "json"]).query("tree", tree);
    let call = call.reading(Reading::Whole(LISTING_LIMIT));
    let listing = async { elsewhere(connection.read::<Listing>(&call).await) };
    let (listing, quieting_down) = futures::join!(listing, is_quieting_down(connection));
    let computers = listing?.computer.into_iter();
    let agents = computers.filter(|computer| !computer.is_the_controller()).map(Computer::into_agent);
    Ok(Roster { agents: agents.collect(), quieting_down: quieting_down? })
}

/// Whether the controller is about to shut down.
///
/// # Errors
/// When that is not known.
pub(super) async fn is_quieting_down(connection: &Connection) -> Result<bool, TargetError> {
    let call = Call::get(&["api", "json"]).query("tree", "quietingDown");
    let root: Root = elsewhere(connection.read(&call).await)?;
    root.quieting_down.ok_or_else(|| {
        TargetError::Unavailable(
            "GET api/json: the answer does not say whether Jenkins quiets down".to_owned(),
        )
    })
}

/// One agent; `None` when there is none of this name.
///
/// # Errors
/// When that is not known.
pub(super) async fn look(connection: &Connection, name: &str) -> Result<Option<Agent>, TargetError> {
    let path = ["computer", name, "api", "json"];
    let call = Call::get(&path).query("tree", FIELDS);
    match connection.read::<Computer>(&call).await {
        Ok(computer) if computer.display_name == name => Ok(Some(computer.into_agent())),
        Ok(computer) => Err(TargetError::Unavailable(format!(
            "asked for the agent `{name}`, Jenkins tells of `{}`",
            computer.display_name
        ))),
        Err(TargetError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A listing that is not found is no agent that is not found: there is no Jenkins here.
fn elsewhere<T>(answer: Result<T, TargetError>) -> Result<T, TargetError> {
    answer.map_err(|error| match error {
        TargetError::NotFound(text) => TargetError::Rejected(format!("{text}; is the URL right?")),
        other => other,
    })
}

impl Computer {
    /// Whether it is the controller's own place for builds.
    fn is_the_controller(&self) -> bool {
        self.class.as_ref().is_some_and(|class| class.ends_with("MasterComputer"))
    }

    /// What is not told is taken for what nobody acts on: not online, and not idle.
    fn into_agent(self) -> Agent {
        let offline = self.offline.unwrap_or(true);
        let urls = self.executors.into_iter().filter_map(|executor| executor.executable?.url);
        let labels = self.assigned_labels.into_iter().map(|label| label.name);
        Agent {
            tag: self.description.as_deref().and_then(tag_in),
            online: !offline,
            idle: self.idle.unwrap_or(false),
            set_offline: self.temporarily_offline.unwrap_or(false),
            offline_reason: if offline {
                why(self.offline_cause_reason, self.offline_cause)
            } else {
                String::new()
            },
            labels: labels.filter(|label| *label != self.display_name).collect(),
            build: urls.into_iter().next(),
            name: self.display_name,
        }
    }
}

/// Why an agent is offline: the reason, else what the cause says of itself, else the kind of the cause.
fn why(reason: Option<String>, cause: Option<Cause>) -> String {
    const LIMIT: usize = 500;
    let (class, description) = cause.map_or((None, None), |cause| (cause.class, cause.description));
    // `hudson.slaves.OfflineCause$LaunchFailed`.
    let class = class.and_then(|class| Some(class.rsplit(['.', '$']).next()?.to_owned()));
    let said = [reason, description, class].into_iter().flatten().find(|text| !text.trim().is_empty());
    said.unwrap_or_default().chars().filter(|character| !character.is_control()).take(LIMIT).collect()
}

/// Whether an answer says that something was done to the list of agents: it leads to that list.
pub(super) fn leads_to_the_list(status: StatusCode, location: Option<&str>) -> bool {
    status == StatusCode::FOUND
        && location.is_some_and(|location| {
            let location = location.trim_end_matches('/');
            location == "." || location.ends_with("/computer") || location == "computer"
        })
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let listing = serde_json::from_slice::<Listing>(body).map(|listing| listing.computer).unwrap_or_default();
    let agents =
        listing.into_iter().filter(|computer| !computer.is_the_controller()).map(Computer::into_agent);
    let one = serde_json::from_slice::<Computer>(body).map(Computer::into_agent);
    let root = serde_json::from_slice::<Root>(body).map(|root| root.quieting_down);
    std::hint::black_box((agents.collect::<Vec<_>>(), one.ok(), root.ok()));
}
