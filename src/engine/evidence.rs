//! What is kept of a launch or a build that failed: the step and its limit, the words of whoever noticed, the end of the
//! machine's console and of what was run on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Engine, News};
use crate::cloud::Cloud;
use crate::config::Offer;
use crate::model::{Image, ImageState, Node, NodeId, NodeState, NodeStep, Timestamp};
use crate::plan::{Errand, Reason};
use crate::store::{FailedTry, Subject};

/// How many of the last lines of a script are kept, and how many characters of each.
const LINES: usize = 60;
const LINE: usize = 500;
/// How long a cloud may take to tell what is on a console, once a launch has failed.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(20);

/// What a visit that failed leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What is on the machine's console.
    pub console: Option<String>,
    /// The last lines of what was run on it.
    pub output: Option<String>,
}

/// The last lines that were printed.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLines(VecDeque<String>);

impl LastLines {
    pub(super) fn add(&mut self, line: &str) {
        if self.0.len() >= LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.chars().take(LINE).collect());
    }

    /// The lines as one text; `None` when nothing was printed.
    pub(super) fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n"))
    }
}

/// A machine whose visit failed.
pub(super) struct Witness {
    pub(super) errand: Errand,
    pub(super) node: NodeId,
    pub(super) server: Option<String>,
    pub(super) cloud: Option<Arc<dyn Cloud>>,
    pub(super) news: mpsc::UnboundedSender<News>,
}

impl Witness {
    /// Reads the console while the server is still there, and tells the engine. A console that cannot be read is no reason
    /// to keep anybody waiting.
    pub(super) async fn tell(self, output: Option<String>) {
        let console = match (&self.cloud, &self.server) {
            (Some(cloud), Some(server)) => {
                let read = tokio::time::timeout(CONSOLE_PATIENCE, cloud.console_log(server)).await;
                read.ok().and_then(Result::ok).filter(|text| !text.trim().is_empty())
            }
            _ => None,
        };
        let evidence = Evidence { console, output };
        // Nobody listens any more when the daemon is on its way out.
        let _ = self.news.send(News::Evidence { errand: self.errand, node: self.node, evidence });
    }
}

impl Engine {
    /// Keeps what is known of a launch that failed. That it cannot be kept stands in nobody's way.
    pub(super) async fn keep_failed_launch(&mut self, now: Timestamp, row: &Node, reason: &Reason) {
        let step = match row.state {
            NodeState::Building(NodeStep::Ssh) if self.memory.reached.contains_key(&row.head()) => {
                "ready-script"
            }
            NodeState::Building(step) => step.word(),
            NodeState::Test => "test",
            _ => return,
        };
        let found = self.memory.evidence.remove(&row.id).map(|(_visit, found)| found);
        let Evidence { console, output } = found.unwrap_or_default();
        let failed = FailedTry {
            at: now,
            subject: Subject::Node(row.id),
            provider: row.provider.clone(),
            az: row.az.clone(),
            image: row.image.clone(),
            label: Some(row.label.clone()),
            step: step.to_owned(),
            waited: now.since(row.state_time),
            deadline: self.deadline_of(row, step),
            message: reason.0.clone(),
            console,
            output,
        };
        self.keep(&failed).await;
    }

    /// Keeps what is known of a build that failed; what its scripts printed is in its log.
    pub(super) async fn keep_failed_build(&mut self, now: Timestamp, row: &Image, reason: &Reason) {
        let ImageState::Building(step) = row.state else { return };
        let failed = FailedTry {
            at: now,
            subject: Subject::Image(row.id),
            provider: row.provider.clone(),
            az: row.az.clone(),
            image: row.image.clone(),
            label: None,
            step: step.word().to_owned(),
            waited: now.since(row.state_time),
            deadline: None,
            message: reason.0.clone(),
            console: None,
            output: None,
        };
        self.keep(&failed).await;
    }

    async fn keep(&self, failed: &FailedTry) {
        if let Err(error) = self.store.add_failure(failed).await {
            tracing::warn!(target: "nodepool.engine", "what is known of a failure could not be kept: {error}");
        }
    }

    /// How long a launch may be at a step, as configured.
    fn deadline_of(&self, row: &Node, step: &str) -> Option<Duration> {
        let provider = self.config.provider(&row.provider)?;
        match step {
            "create" | "boot" | "address" => Some(provider.launch_timeout),
            "ssh" => Some(provider.boot_timeout),
            "ready-script" => self.config.label(&row.label).map(|label| label.ready_script_timeout),
            "enroll" => match &self.config.target(&row.target)?.offer {
                Offer::Jenkins(jenkins) => Some(jenkins.enroll_timeout),
                Offer::Gearman | Offer::Nowhere => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_of_each_a_part() {
        let mut lines = LastLines::default();
        assert_eq!(lines.text(), None);
        for number in 0..1000 {
            lines.add(&format!("{number} {}", "x".repeat(10_000)));
        }
        let text = lines.text().unwrap();
        assert_eq!(text.lines().count(), LINES);
        assert!(text.starts_with("940 x") && text.lines().all(|line| line.chars().count() <= LINE));
    }
}
