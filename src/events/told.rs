//! What a Jenkins says about a job, as far as we need it. Pure: text in, an event out.
//!
//! Two plugins say nearly the same: zmq-event-publisher, whose topics are `onStarted`, `onCompleted` and `onFinalized`, and
//! Notification, whose phases are `STARTED`, `COMPLETED` and `FINALIZED`. zuul-launcher publishes as the first one does.
//! Anything else in what they say is left alone, so that another version of them may say more.

use serde_json::Value;
use thiserror::Error;

use crate::model::{JobEventKind, JobResult, NewJobEvent};

/// The longest name of a node: longer ones are no host names, and none of ours is.
const LONGEST_NAME: usize = 255;
/// The parameters that hold the branch, the first one wins: Zuul's, multibranch pipelines', Git's, Gerrit's, people's.
const BRANCHES: [&str; 5] = ["ZUUL_BRANCH", "BRANCH_NAME", "GIT_BRANCH", "GERRIT_BRANCH", "BRANCH"];

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something happened to a job on a node.
    Event(NewJobEvent),
    /// The job runs on no node, but on the controller itself.
    NoNode,
    /// It was not said on which node the job runs.
    UnknownNode,
    /// It is about something else than the start or the end of a job.
    SomethingElse,
}

/// What was said cannot be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unreadable(String);

/// Reads a message of a publisher: `TOPIC BLANK JSON`.
pub fn read_published(message: &[u8]) -> Result<Heard, Unreadable> {
    let blank = message.iter().position(|byte| *byte == b' ');
    let (topic, json) = blank.and_then(|at| message.split_at_checked(at)).unwrap_or((message, &[]));
    let kind = match topic {
        b"onStarted" => JobEventKind::Started,
        b"onCompleted" => JobEventKind::Completed,
        b"onFinalized" => JobEventKind::Finished,
        _ => return Ok(Heard::SomethingElse),
    };
    Ok(event(kind, &object(json)?, None))
}

/// Reads what was sent over HTTP. `node` is the node as the sender named it beside the text, which counts when the text
/// names none.
pub fn read(json: &[u8], node: Option<&str>) -> Result<Heard, Unreadable> {
    let said = object(json)?;
    let phase = said.pointer("/build/phase").and_then(Value::as_str);
    let Some(phase) = phase else {
        return Err(Unreadable("there is no `build.phase`, such as `STARTED` or `FINALIZED`".to_owned()));
    };
    let kind = match phase {
        "STARTED" => JobEventKind::Started,
        "COMPLETED" => JobEventKind::Completed,
        "FINALIZED" | "FINISHED" => JobEventKind::Finished,
        _ => return Ok(Heard::SomethingElse),
    };
    Ok(event(kind, &said, node))
}

fn object(json: &[u8]) -> Result<Value, Unreadable> {
    if json.trim_ascii_start().starts_with(b"<") {
        return Err(Unreadable("this looks like XML; choose the format JSON in Jenkins".to_owned()));
    }
    let value: Value =
        serde_json::from_slice(json).map_err(|error| Unreadable(format!("this is no JSON: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(Unreadable("this is JSON, but no object".to_owned())) }
}

fn event(kind: JobEventKind, said: &Value, node: Option<&str>) -> Heard {
    let nodename = match said.pointer("/build/node_name").and_then(Value::as_str).or(node) {
        None => return Heard::UnknownNode,
        Some("") => return Heard::NoNode,
        Some(name) if name.len() > LONGEST_NAME => return Heard::UnknownNode,
        Some(name) => name.to_owned(),
    };
    let text = |place: &str| said.pointer(place).and_then(word).filter(|text| !text.is_empty());
    let branch = BRANCHES.iter().find_map(|name| text(&format!("/build/parameters/{name}")));
    let status = text("/build/status").filter(|_| kind != JobEventKind::Started);
    Heard::Event(NewJobEvent {
        nodename,
        kind,
        job: text("/name").unwrap_or_default(),
        number: text("/build/number").and_then(|number| number.parse().ok()),
        branch: branch.or_else(|| text("/build/scm/branch")),
        result: status
            .map(|status| if status == "SUCCESS" { JobResult::Success } else { JobResult::Failure }),
    })
}

/// Text, or a number as it is written.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As zmq-event-publisher 0.0.5 writes it.
    const PUBLISHED: &str = r#"onFinalized {"name":"gate-x","url":"job/gate-x/","build":{"full_url":"http://j/job/gate-x/7/","number":7,"phase":"FINISHED","status":"SUCCESS","url":"job/gate-x/7/","parameters":{"ZUUL_UUID":"u","ZUUL_BRANCH":"master"},"node_name":"n1","node_description":"d","host_name":"jenkins01"}}"#;

    fn expected() -> NewJobEvent {
        NewJobEvent {
            nodename: "n1".to_owned(),
            kind: JobEventKind::Finished,
            job: "gate-x".to_owned(),
            number: Some(7),
            branch: Some("master".to_owned()),
            result: Some(JobResult::Success),
        }
    }

    #[test]
    fn what_the_plugin_publishes_is_understood() {
        assert_eq!(read_published(PUBLISHED.as_bytes()), Ok(Heard::Event(expected())));
        let failed = PUBLISHED.replace("SUCCESS", "ABORTED").replace("onFinalized", "onCompleted");
        let completed =
            NewJobEvent { kind: JobEventKind::Completed, result: Some(JobResult::Failure), ..expected() };
        assert_eq!(read_published(failed.as_bytes()), Ok(Heard::Event(completed)));
        let started = PUBLISHED.replace("onFinalized", "onStarted");
        let begun = NewJobEvent { kind: JobEventKind::Started, result: None, ..expected() };
        assert_eq!(
            read_published(started.as_bytes()),
            Ok(Heard::Event(begun)),
            "a job that runs has no result"
        );
    }

    #[test]
    fn what_zuul_launcher_publishes_is_understood() {
        let said = br#"onStarted {"name":"gate-x","build":{"node_name":"n1","host_name":"zl","parameters":{"ZUUL_BRANCH":"master"}}}"#;
        let begun = NewJobEvent { kind: JobEventKind::Started, number: None, result: None, ..expected() };
        assert_eq!(read_published(said), Ok(Heard::Event(begun)));
    }

    #[test]
    fn what_is_about_no_node_of_ours_is_told_apart() {
        let of = |said: &str| read_published(said.as_bytes());
        assert_eq!(of(r#"onStarted {"name":"x","build":{"node_name":""}}"#), Ok(Heard::NoNode));
        assert_eq!(of(r#"onFinalized {"name":"x","build":{}}"#), Ok(Heard::UnknownNode));
        assert_eq!(of(r#"onFinalized {"name":"x","build":{"node_name":3}}"#), Ok(Heard::UnknownNode));
        assert_eq!(of(r#"onDeleted {"name":"x"}"#), Ok(Heard::SomethingElse));
        assert_eq!(
            of(&format!(r#"onStarted {{"build":{{"node_name":"{}"}}}}"#, "n".repeat(256))),
            Ok(Heard::UnknownNode)
        );
    }

    #[test]
    fn what_is_mad_is_refused() {
        for said in [
            "onStarted",
            "onStarted ",
            "onStarted {",
            "onStarted [1]",
            "onStarted \u{0}\u{1}",
            "onFinalized null",
        ] {
            assert!(read_published(said.as_bytes()).is_err(), "{said:?}");
        }
        assert_eq!(read_published(b""), Ok(Heard::SomethingElse));
        assert_eq!(read_published(b"\xff\xfe \xff"), Ok(Heard::SomethingElse));
        let deep = format!("onStarted {}", "[".repeat(100_000));
        assert!(read_published(deep.as_bytes()).is_err(), "and does not end the program");
    }

    #[test]
    fn what_the_notification_plugin_sends_is_understood() {
        let said = br#"{"name":"gate-x","display_name":"gate-x","url":"job/gate-x/","build":{"full_url":"http://j/job/gate-x/7/","number":7,"queue_id":3,"timestamp":1,"duration":5,"phase":"FINALIZED","status":"SUCCESS","url":"job/gate-x/7/","scm":{"branch":"master","changes":[],"culprits":[]},"log":"","notes":"","artifacts":{}}}"#;
        assert_eq!(read(said, Some("n1")), Ok(Heard::Event(expected())));
        assert_eq!(read(said, None), Ok(Heard::UnknownNode), "the plugin does not say on which node");
        let queued = String::from_utf8_lossy(said).replace("FINALIZED", "QUEUED");
        assert_eq!(read(queued.as_bytes(), Some("n1")), Ok(Heard::SomethingElse));
        let own = br#"{"name":"j","build":{"phase":"STARTED","node_name":"n2","number":"8"}}"#;
        let Ok(Heard::Event(event)) = read(own, Some("n1")) else { panic!("an event") };
        assert_eq!(
            (event.nodename.as_str(), event.number),
            ("n2", Some(8)),
            "what the text says comes first"
        );
    }

    #[test]
    fn what_cannot_be_used_is_explained() {
        let why = |said: &[u8]| read(said, Some("n1")).unwrap_err().to_string();
        assert!(why(b"<?xml version='1.0'?>").contains("choose the format JSON"));
        assert!(why(b"{\"name\":\"x\"}").contains("`build.phase`"));
        assert!(why(b"{").contains("no JSON"));
        assert!(why(b"[]").contains("no object"));
    }
}
