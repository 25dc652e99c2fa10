//! The documents that show nodes, jobs, builds and the queue.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::controller::{Cause, CauseKind, Controller, Fate, Item, Seat, Slot};
use super::job::{Build, Job};

/// What the page of the controller's own node is called.
pub(super) const BUILT_IN: &str = "(built-in)";
/// The class of jobs.
const PROJECT: &str = "hudson.model.FreeStyleProject";
/// The class of builds.
const BUILD: &str = "hudson.model.FreeStyleBuild";

fn cause(cause: Option<&Cause>) -> Value {
    let Some(cause) = cause else { return Value::Null };
    let (class, description) = match cause.kind {
        CauseKind::User => {
            ("hudson.slaves.OfflineCause$UserCause", format!("Disconnected by admin : {}", cause.text))
        }
        CauseKind::Program => ("hudson.slaves.OfflineCause$ByCLI", cause.text.clone()),
        CauseKind::ChannelTermination => {
            ("hudson.slaves.OfflineCause$ChannelTermination", cause.text.clone())
        }
        CauseKind::LaunchFailed => ("hudson.slaves.OfflineCause$LaunchFailed", cause.text.clone()),
    };
    json!({"_class": class, "timestamp": cause.at.timestamp_millis(), "description": description})
}

fn executor(controller: &Controller, root: &str, number: usize, slot: &Slot) -> Value {
    let current = match slot {
        Slot::Idle | Slot::Taken => Value::Null,
        Slot::Runs { job, number } => {
            let build = controller.jobs.get(job).and_then(|job| job.builds.get(number));
            json!({"_class": BUILD, "number": number, "url": format!("{root}job/{job}/{number}/"),
                "fullDisplayName": format!("{job} #{number}"), "building": build.is_some_and(|build| build.ended.is_none()),
                "result": build.and_then(|build| build.result)})
        }
    };
    json!({"currentExecutable": current, "idle": *slot == Slot::Idle, "likelyStuck": false, "number": number,
        "progress": if *slot == Slot::Idle { -1 } else { 50 }})
}

/// A computer.
pub(super) fn computer(controller: &Controller, root: &str, seat: &Seat) -> Value {
    let node = &seat.node;
    let mut labels = vec![json!({"name": node.name})];
    labels.extend(node.labels.iter().map(|label| json!({ "name": label })));
    let executors =
        seat.slots.iter().enumerate().map(|(number, slot)| executor(controller, root, number, slot));
    let inbound = matches!(node.launcher, super::node::Launcher::Inbound { .. });
    json!({
        "_class": "hudson.slaves.SlaveComputer",
        "absoluteRemotePath": node.root.as_ref().filter(|_| seat.was_online),
        "actions": [],
        "assignedLabels": labels,
        "description": node.description,
        "displayName": node.name,
        "executors": executors.collect::<Vec<_>>(),
        "icon": if seat.is_online() { "symbol-computer" } else { "symbol-computer-offline" },
        "iconClassName": if seat.is_online() { "symbol-computer" } else { "symbol-computer-offline" },
        "idle": seat.is_idle(),
        "jnlpAgent": inbound,
        "launchSupported": !inbound,
        "loadStatistics": {"_class": "hudson.model.Label$1"},
        "manualLaunchAllowed": true,
        "monitorData": {},
        "numExecutors": node.executors,
        "offline": !seat.is_online(),
        "offlineCause": cause(seat.cause()),
        "offlineCauseReason": seat.cause().map_or("", |cause| cause.text.as_str()),
        "oneOffExecutors": [],
        "temporarilyOffline": seat.set_offline.is_some(),
    })
}

/// The controller's own node, which runs nothing.
pub(super) fn built_in() -> Value {
    json!({
        "_class": "hudson.model.Hudson$MasterComputer",
        "absoluteRemotePath": "/var/lib/jenkins",
        "actions": [],
        "assignedLabels": [{"name": "built-in"}],
        "description": "the Jenkins controller's built-in node",
        "displayName": "Built-In Node",
        "executors": [],
        "icon": "symbol-computer",
        "iconClassName": "symbol-computer",
        "idle": true,
        "jnlpAgent": false,
        "launchSupported": true,
        "loadStatistics": {"_class": "hudson.model.Label$1"},
        "manualLaunchAllowed": true,
        "monitorData": {},
        "numExecutors": 0,
        "offline": false,
        "offlineCause": null,
        "offlineCauseReason": "",
        "oneOffExecutors": [],
        "temporarilyOffline": false,
    })
}

/// All computers. A node without executors has none.
pub(super) fn computers(controller: &Controller, root: &str) -> Value {
    let seats: Vec<&Seat> = controller.nodes.values().filter(|seat| !seat.slots.is_empty()).collect();
    let busy: usize = seats.iter().flat_map(|seat| &seat.slots).filter(|slot| **slot != Slot::Idle).count();
    let total: usize = seats.iter().filter(|seat| seat.is_online()).flat_map(|seat| &seat.slots).count();
    let all = [built_in()].into_iter().chain(seats.iter().map(|seat| computer(controller, root, seat)));
    json!({"_class": "hudson.model.ComputerSet", "busyExecutors": busy, "computer": all.collect::<Vec<_>>(),
        "displayName": "Nodes", "totalExecutors": total})
}

/// The nodes that fit a label.
pub(super) fn label(controller: &Controller, name: &str) -> Value {
    let expression = super::label::Expression::parse(name);
    let fitting: Vec<&Seat> = controller
        .nodes
        .values()
        .filter(|seat| expression.as_ref().is_some_and(|expression| expression.fits(&seat.node.all_labels())))
        .collect();
    let online: Vec<&Slot> =
        fitting.iter().filter(|seat| seat.channel.is_some()).flat_map(|seat| &seat.slots).collect();
    let busy = online.iter().filter(|slot| ***slot != Slot::Idle).count();
    let nodes: Vec<Value> = fitting
        .iter()
        .map(|seat| json!({"_class": "hudson.slaves.DumbSlave", "nodeName": seat.node.name}))
        .collect();
    json!({
        "_class": "hudson.model.labels.LabelAtom",
        "actions": [],
        "busyExecutors": busy,
        "clouds": [],
        "description": null,
        "idleExecutors": online.len().saturating_sub(busy),
        "loadStatistics": {"_class": "hudson.model.Label$1"},
        "name": name,
        "nodes": nodes,
        "offline": !fitting.iter().any(|seat| seat.is_online()),
        "tiedJobs": [],
        "totalExecutors": online.len(),
        "propertiesList": [],
    })
}

fn parameters(parameters: &[(String, String)]) -> Value {
    if parameters.is_empty() {
        return json!([]);
    }
    let each: Vec<Value> = parameters
        .iter()
        .map(|(name, value)| json!({"_class": "hudson.model.StringParameterValue", "name": name, "value": value}))
        .collect();
    json!([{"_class": "hudson.model.ParametersAction", "parameters": each}])
}

/// A place in the queue.
pub(super) fn item(controller: &Controller, root: &str, id: u64, item: &Item) -> Value {
    let job = controller.jobs.get(&item.job);
    let expression = job.map(|job| job.config.label_text.as_str()).filter(|text| !text.is_empty());
    let task = json!({"_class": PROJECT, "name": item.job, "url": format!("{root}job/{}/", item.job),
        "color": job.map_or("notbuilt", colour), "labelExpression": expression});
    let told: Vec<String> = item.parameters.iter().map(|(name, value)| format!("\n{name}={value}")).collect();
    let mut shown = json!({
        "_class": "hudson.model.Queue$LeftItem",
        "actions": parameters(&item.parameters),
        "blocked": false,
        "buildable": false,
        "id": id,
        "inQueueSince": item.since.timestamp_millis(),
        "params": told.concat(),
        "stuck": false,
        "task": task,
        "url": format!("queue/item/{id}/"),
        "why": null,
    });
    let Some(fields) = shown.as_object_mut() else { return shown };
    match item.fate {
        Fate::Waits => {
            let quiet = item.ready_at > Instant::now();
            let class =
                if quiet { "hudson.model.Queue$WaitingItem" } else { "hudson.model.Queue$BuildableItem" };
            fields.insert("_class".into(), class.into());
            fields.insert("why".into(), controller.why(item).into());
            fields.insert("buildable".into(), (!quiet).into());
            if !quiet {
                fields.insert("buildableStartMilliseconds".into(), item.since.timestamp_millis().into());
                fields.insert("pending".into(), false.into());
                // With no machine that could ever take it, Jenkins calls it stuck after a while.
                let waited = chrono::Utc::now().signed_duration_since(item.since);
                fields.insert("stuck".into(), (waited.num_seconds() > 60).into());
            }
        }
        Fate::Started(number) => {
            let url = format!("{root}job/{}/{number}/", item.job);
            fields.insert("cancelled".into(), false.into());
            fields.insert("executable".into(), json!({"_class": BUILD, "number": number, "url": url}));
        }
        Fate::Cancelled => {
            fields.insert("cancelled".into(), true.into());
            fields.insert("executable".into(), Value::Null);
        }
    }
    shown
}

/// The queue: what waits, the newest first.
pub(super) fn queue(controller: &Controller, root: &str) -> Value {
    let waiting = controller.queue.iter().rev().filter(|(_, item)| item.fate == Fate::Waits);
    let items: Vec<Value> = waiting.map(|(id, each)| item(controller, root, *id, each)).collect();
    json!({"_class": "hudson.model.Queue", "discoverableItems": [], "items": items})
}

/// A build.
pub(super) fn build(job: &Job, root: &str, number: u64, build: &Build) -> Value {
    json!({
        "_class": BUILD,
        "actions": parameters(&build.parameters),
        "artifacts": [],
        "building": build.ended.is_none(),
        "builtOn": build.node,
        "changeSet": {"_class": "hudson.scm.EmptyChangeLogSet", "items": [], "kind": null},
        "culprits": [],
        "description": null,
        "displayName": format!("#{number}"),
        "duration": build.duration(),
        "estimatedDuration": job.estimate(),
        "executor": null,
        "fullDisplayName": format!("{} #{number}", job.name),
        "id": number.to_string(),
        "inProgress": build.ended.is_none(),
        "keepLog": false,
        "number": number,
        "queueId": build.item,
        "result": build.result,
        "timestamp": build.started.timestamp_millis(),
        "url": format!("{root}job/{}/{number}/", job.name),
    })
}

/// The colour of the ball beside a job.
pub(super) fn colour(job: &Job) -> &'static str {
    if job.config.disabled {
        return "disabled";
    }
    let runs = job.builds.values().next_back().is_some_and(|build| build.ended.is_none());
    let last = job.builds.values().rev().find_map(|build| build.result);
    match (last, runs) {
        (None, false) => "notbuilt",
        (None, true) => "notbuilt_anime",
        (Some("SUCCESS"), false) => "blue",
        (Some("SUCCESS"), true) => "blue_anime",
        (Some("FAILURE"), false) => "red",
        (Some("FAILURE"), true) => "red_anime",
        (Some(_), false) => "aborted",
        (Some(_), true) => "aborted_anime",
    }
}

/// A job.
pub(super) fn job(controller: &Controller, root: &str, job: &Job) -> Value {
    let url = format!("{root}job/{}/", job.name);
    let link = |number: &u64| json!({"_class": BUILD, "number": number, "url": format!("{url}{number}/")});
    let last = |fits: &dyn Fn(&Build) -> bool| {
        job.builds.iter().rev().find(|(_, build)| fits(build)).map(|(number, _)| link(number))
    };
    let builds: Vec<Value> = job.builds.keys().rev().take(100).map(link).collect();
    let in_queue = controller.queue.values().any(|item| item.fate == Fate::Waits && item.job == job.name);
    let definitions: Vec<Value> = job
        .config
        .parameters
        .iter()
        .map(|parameter| {
            json!({"_class": "hudson.model.StringParameterDefinition", "name": parameter.name,
                "defaultParameterValue": {"name": parameter.name, "value": parameter.default}})
        })
        .collect();
    let property = if definitions.is_empty() {
        json!([])
    } else {
        json!([{"_class": "hudson.model.ParametersDefinitionProperty", "parameterDefinitions": definitions}])
    };
    json!({
        "_class": PROJECT,
        "actions": [],
        "allBuilds": builds,
        "buildable": !job.config.disabled,
        "builds": builds,
        "color": colour(job),
        "description": job.config.description,
        "disabled": job.config.disabled,
        "displayName": job.name,
        "fullDisplayName": job.name,
        "fullName": job.name,
        "inQueue": in_queue,
        "labelExpression": Some(&job.config.label_text).filter(|text| !text.is_empty()),
        "lastBuild": last(&|_| true),
        "lastCompletedBuild": last(&|build| build.ended.is_some()),
        "lastFailedBuild": last(&|build| build.result == Some("FAILURE")),
        "lastSuccessfulBuild": last(&|build| build.result == Some("SUCCESS")),
        "name": job.name,
        "nextBuildNumber": job.last_number.saturating_add(1),
        "property": property,
        "url": url,
    })
}

/// The controller.
pub(super) fn root(controller: &Controller, root: &str) -> Value {
    let jobs: Vec<Value> = controller
        .jobs
        .values()
        .map(|job| {
            json!({"_class": PROJECT, "name": job.name, "url": format!("{root}job/{}/", job.name), "color": colour(job)})
        })
        .collect();
    json!({
        "_class": "hudson.model.Hudson",
        "assignedLabels": [{"name": "built-in"}],
        "description": null,
        "jobs": jobs,
        "mode": "NORMAL",
        "nodeDescription": "the Jenkins controller's built-in node",
        "nodeName": "",
        "numExecutors": 0,
        "primaryView": {"_class": "hudson.model.AllView", "name": "all", "url": root},
        "quietingDown": controller.quieting_down,
        "slaveAgentPort": -1,
        "url": root,
        "useCrumbs": true,
        "useSecurity": true,
        "views": [{"_class": "hudson.model.AllView", "name": "all", "url": root}],
    })
}
