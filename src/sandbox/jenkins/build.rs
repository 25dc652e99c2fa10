//! A build: a command that runs on the node, over the connection of its agent.

use std::sync::Arc;

use chrono::Utc;
use tokio::time::sleep;

use super::Jenkins;
use super::controller::{Cause, CauseKind, Controller};
use super::events::{self, Topic};
use super::notification::{self, Phase};
use super::ssh::Channel;

/// What an agent that was used once is set offline with, in the words of the Gearman plugin.
pub(super) const USED_UP: &str = "Offline due to Gearman request";
/// The parameter that has a node set offline when the build is over.
pub(super) const ONCE: &str = "OFFLINE_NODE_WHEN_COMPLETE";

/// A build that has begun.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) job: String,
    pub(super) number: u64,
    pub(super) node: String,
    pub(super) serial: u64,
    pub(super) slot: usize,
}

/// What a build needs to run.
struct Task {
    channel: Option<Arc<Channel>>,
    command: String,
    pid_file: String,
    stop: tokio_util::sync::CancellationToken,
}

/// Runs a build to its end, and tells of it. Gives the result. Its executor stays [`Occupied`] for as long as the caller
/// wants.
pub(super) async fn run(jenkins: &Jenkins, begun: &Begun) -> &'static str {
    notification::tell(jenkins, Phase::Queued, begun).await;
    events::announce(jenkins, Topic::Started, begun);
    notification::tell(jenkins, Phase::Started, begun).await;
    let result = match task(jenkins, begun) {
        Some(task) => carry_out(jenkins, begun, &task).await,
        // Its node went before it began to run.
        None => "FAILURE",
    };
    jenkins.change(|controller| {
        if let Some(build) = controller.build(&begun.job, begun.number) {
            build.log.add(&format!("Finished: {result}\n"));
            build.ended = Some(Utc::now());
            build.result = Some(result);
        }
        // With the result: a node that is used up takes no other job, whenever this Jenkins restarts.
        if once(controller, begun) {
            set_offline(controller, begun);
        }
    });
    events::announce(jenkins, Topic::Completed, begun);
    notification::tell(jenkins, Phase::Completed, begun).await;
    events::announce(jenkins, Topic::Finalized, begun);
    notification::tell(jenkins, Phase::Finalized, begun).await;
    sleep(jenkins.duration(|faults| faults.finish_seconds)).await;
    result
}

/// The executor of a build that has begun; freed when this is dropped.
pub(super) struct Occupied {
    jenkins: Arc<Jenkins>,
    begun: Begun,
}

impl Occupied {
    pub(super) fn by(jenkins: &Arc<Jenkins>, begun: &Begun) -> Self {
        Self { jenkins: Arc::clone(jenkins), begun: begun.clone() }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let Begun { node, serial, slot, .. } = &self.begun;
        self.jenkins.change(|controller| controller.free(node, *serial, *slot));
    }
}

/// Whether the node is for one build only.
fn once(controller: &mut Controller, begun: &Begun) -> bool {
    let build = controller.build(&begun.job, begun.number);
    build.is_some_and(|build| wants_once(&build.parameters))
}

/// Whether these parameters say so, in one of the spellings that the Gearman plugin takes.
pub(super) fn wants_once(parameters: &[(String, String)]) -> bool {
    let value = parameters.iter().find(|(name, _)| name == ONCE).map(|(_, value)| value.as_str());
    matches!(value, Some("1" | "true" | "True" | "TRUE"))
}

fn set_offline(controller: &mut Controller, begun: &Begun) {
    if let Some(seat) = controller.seat(&begun.node, begun.serial) {
        seat.set_offline = Some(Cause::now(CauseKind::Program, USED_UP));
    }
}

fn task(jenkins: &Jenkins, begun: &Begun) -> Option<Task> {
    let mut controller = jenkins.controller();
    let script = controller.jobs.get(&begun.job)?.config.script.clone();
    let build = controller.build(&begun.job, begun.number)?;
    let (parameters, stop) = (build.parameters.clone(), build.stop.clone());
    let seat = controller.seat(&begun.node, begun.serial)?;
    let root = seat.node.root.clone().unwrap_or_else(|| "/tmp/jenkins".into());
    let workspace = format!("{root}/workspace/{}", begun.job);
    let pid_file = format!("{workspace}/.pid-{}", begun.number);
    let number = begun.number.to_string();
    let labels = seat.node.all_labels().into_iter().collect::<Vec<_>>().join(" ");
    let url = format!("{}job/{}/{number}/", jenkins.url(), begun.job);
    let tag = format!("jenkins-{}-{number}", begun.job);
    let own = [
        ("BUILD_NUMBER", number.as_str()),
        ("BUILD_ID", &number),
        ("BUILD_TAG", &tag),
        ("BUILD_URL", &url),
        ("JOB_NAME", &begun.job),
        ("NODE_NAME", &begun.node),
        ("NODE_LABELS", &labels),
        ("WORKSPACE", &workspace),
    ];
    let given = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let exports: Vec<String> = given
        .chain(own)
        .filter(|(name, _)| is_variable(name))
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    let command = format!(
        "mkdir -p {workspace} && cd {workspace} && echo $$ >{pid} && export {} && exec sh -xe -c {}",
        exports.join(" "),
        quoted(&script),
        workspace = quoted(&workspace),
        pid = quoted(&pid_file),
    );
    let channel = seat.channel.clone();
    Some(Task { channel, command, pid_file, stop })
}

fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(fits)
}

async fn carry_out(jenkins: &Jenkins, begun: &Begun, task: &Task) -> &'static str {
    let log = |text: &str| {
        if let Some(build) = jenkins.controller().build(&begun.job, begun.number) {
            build.log.add(text);
        }
    };
    log(&format!("Building remotely on {}\n", begun.node));
    let Some(channel) = &task.channel else {
        log("FATAL: the agent is not connected\n");
        return "FAILURE";
    };
    let running = channel.run(&task.command, |bytes| log(&String::from_utf8_lossy(bytes)));
    tokio::select! {
        status = running => match status {
            Some(0) => "SUCCESS",
            Some(status) => {
                log(&format!("Build step 'Execute shell' marked build as failure (status {status})\n"));
                "FAILURE"
            }
            None => {
                log("FATAL: command execution failed: the channel is closing down or has closed down\n");
                "FAILURE"
            }
        },
        () = task.stop.cancelled() => {
            log("Aborted\n");
            let kill = format!("kill -TERM -- -$(cat {0}) || kill -TERM $(cat {0})", quoted(&task.pid_file));
            // It is over anyway: a machine that does not answer only takes longer.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), channel.run(&kill, |_| {})).await;
            "ABORTED"
        }
    }
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\0', "").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_used_up_in_four_spellings() {
        let once = |value: &str| wants_once(&[(ONCE.to_owned(), value.to_owned())]);
        assert!(["1", "true", "True", "TRUE"].into_iter().all(once));
        assert!(!["0", "yes", "tRUE", "", "01"].into_iter().any(once));
        assert!(!wants_once(&[]));
    }

    #[test]
    fn words_are_quoted() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert!(is_variable("ZUUL_REF") && !is_variable("1A") && !is_variable("a-b") && !is_variable(""));
    }
}
