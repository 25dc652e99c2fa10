//! Jobs on nodes: what we are told about them, by whom and when.

use std::time::Duration;

use super::Timestamp;

/// What happened to a job on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobEventKind {
    /// It started.
    Started,
    /// Its result is known, but what follows the job (archives, mails) still runs on the node.
    Completed,
    /// It ended, however it went, and left the node.
    Finished,
}

impl JobEventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Started, Self::Completed, Self::Finished];

    /// The word for this kind in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Finished => "finished",
        }
    }

    /// The kind that `word` names, if any.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// How a job ended. Jenkins knows some more words for a job that did not succeed; they are all the same to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobResult {
    /// It succeeded.
    Success,
    /// It did not: it failed, was unstable, was aborted, was not built.
    Failure,
}

impl JobResult {
    /// The word for this result in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// The result that `word` names, if any.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Success, Self::Failure].into_iter().find(|result| result.word() == word)
    }
}

/// What somebody told us about a job on a node. It becomes a row before anything else happens, so that a job which starts
/// and ends between two looks leaves its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJobEvent {
    /// The name of the agent that the job ran on.
    pub nodename: String,
    /// What happened.
    pub kind: JobEventKind,
    /// The job's name.
    pub job: String,
    /// The number of the build, as far as it was told.
    pub number: Option<i64>,
    /// The branch that was built, as far as it was told.
    pub branch: Option<String>,
    /// How it ended; `None` while it runs, and when nobody said.
    pub result: Option<JobResult>,
}

/// An event that waits for the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEvent {
    /// The number of the event; events are dealt with in this order.
    pub id: i64,
    /// What was told.
    pub told: NewJobEvent,
    /// When we learned of it.
    pub at: Timestamp,
}

/// A rule for a job: nodes on which it fails are held, for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRule {
    /// Its number, as operators type it.
    pub id: i64,
    /// The job's exact name.
    pub name: String,
    /// How many nodes are held for it at once, at most.
    pub hold_on_failure: u32,
    /// How long each of them is held; `None` until somebody ends it.
    pub hold_for: Option<Duration>,
}

/// How long a job ran on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// The job's name.
    pub job: String,
    /// The branch that it built, as far as it was told.
    pub branch: Option<String>,
    /// The label of its node.
    pub label: String,
    /// The provider of its node.
    pub provider: String,
    /// How it ended, as far as it was told.
    pub result: Option<JobResult>,
    /// How long it ran, from when we learned of its start until we learned of its end.
    pub took: Duration,
}
