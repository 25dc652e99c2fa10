//! What goes wrong with the Jenkins, its agents and its events, and how long things take there.

use serde::{Deserialize, Serialize};

use crate::sandbox::faults::{Failure, Span};

/// How the Jenkins behaves. Every field has a default: an empty document is a quick Jenkins without faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct JenkinsFaults {
    /// From the moment that an agent is to be launched until Jenkins connects to its machine.
    pub launch_seconds: Span,
    /// From the end of an agent's connection, or of a launch that failed, until it is launched again.
    pub relaunch_seconds: Span,
    /// From the end of a build until its executor is free again.
    pub finish_seconds: Span,
    /// How long every answer takes.
    pub answer_seconds: Span,
    /// How long a restart takes. For the first third connections are cut, then the answer is 503.
    pub restart_seconds: Span,
    /// How much later a late event comes.
    pub event_late_seconds: Span,
    /// Requests that are done and whose connection is cut before the answer.
    pub answer_lost: Failure,
    /// Requests that are not done and answered with status 500.
    pub answer_error: Failure,
    /// New agents that never come online.
    pub agent_never: Failure,
    /// Events that are not published.
    pub event_lost: Failure,
    /// Events that are published twice.
    pub event_twice: Failure,
    /// Events that are published late.
    pub event_late: Failure,
}

impl Default for JenkinsFaults {
    fn default() -> Self {
        JenkinsFaults {
            launch_seconds: Span::Fixed(0.2),
            relaunch_seconds: Span::Fixed(60.0),
            finish_seconds: Span::Fixed(0.1),
            answer_seconds: Span::Fixed(0.0),
            restart_seconds: Span::Fixed(10.0),
            event_late_seconds: Span::Fixed(5.0),
            answer_lost: Failure::default(),
            answer_error: Failure::default(),
            agent_never: Failure::default(),
            event_lost: Failure::default(),
            event_twice: Failure::default(),
            event_late: Failure::default(),
        }
    }
}

impl JenkinsFaults {
    /// Every time, with the name of its field.
    pub(crate) fn spans(&self) -> [(&'static str, Span); 6] {
        [
            ("jenkins.launch-seconds", self.launch_seconds),
            ("jenkins.relaunch-seconds", self.relaunch_seconds),
            ("jenkins.finish-seconds", self.finish_seconds),
            ("jenkins.answer-seconds", self.answer_seconds),
            ("jenkins.restart-seconds", self.restart_seconds),
            ("jenkins.event-late-seconds", self.event_late_seconds),
        ]
    }

    /// Every share, with the name of its field.
    pub(crate) fn rates(&self) -> [(&'static str, f64); 6] {
        [
            ("jenkins.answer-lost", self.answer_lost.rate),
            ("jenkins.answer-error", self.answer_error.rate),
            ("jenkins.agent-never", self.agent_never.rate),
            ("jenkins.event-lost", self.event_lost.rate),
            ("jenkins.event-twice", self.event_twice.rate),
            ("jenkins.event-late", self.event_late.rate),
        ]
    }
}
