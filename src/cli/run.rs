//! `nodepool run`: a command on many nodes, equal answers together.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::reach::{AtOnce, Choice, Door, Machines, Ran};
use super::{Console, Failure, Session, ids, table};
use crate::config::Config;
use crate::model::Node;

/// How long a node may take to let us in.
const PATIENCE: Duration = Duration::from_secs(15);
/// The most of what the command prints on a node that is kept.
const MOST_BYTES: usize = 64 * 1024;

/// What to run, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Which nodes.
    #[command(flatten)]
    pub choice: Choice,
    /// How many at the same time: a number, or a share such as 25%
    #[arg(long, value_name = "NUMBER|SHARE", default_value = "25%")]
    pub at_once: AtOnce,
    /// How long the command may run on a node; then it is killed there
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = super::duration)]
    pub timeout: Duration,
    /// The command; several words are put together with blanks, for the shell there
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub command: Vec<String>,
}

/// Nodes with the same answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Group {
    nodes: Vec<i64>,
    /// The exit status of the command; `None` where it did not run to its end.
    status: Option<u32>,
    /// Why not.
    error: Option<String>,
    /// What it printed.
    output: String,
}

/// What came of it on a node.
type Outcome = Result<Ran, String>;

/// Runs the command and prints what came of it.
///
/// # Errors
/// On a node the command did not run to its end, or did not end with status 0.
pub async fn run(
    session: &Session,
    config: &Config,
    machines: &dyn Machines,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let nodes = arguments.choice.nodes(session, config).await?;
    let all = nodes.len();
    // Of two streams the order would be another one on each node, and equal answers would not be equal.
    let line = format!("exec 2>&1\n{}", arguments.command.join(" "));
    let at_once = arguments.at_once.of(all);
    let asked = nodes.into_iter().map(|(node, door)| ask(machines, node, door, &line, arguments.timeout));
    let mut answers = stream::iter(asked).buffer_unordered(at_once);
    let progress = Progress::new(session.console, all);
    let mut outcomes = Vec::new();
    while let Some((node, outcome)) = answers.next().await {
        progress.tell(node, &outcome);
        outcomes.push((node, outcome));
    }
    progress.end();
    let failed: Vec<i64> = outcomes
        .iter()
        .filter(|(_, outcome)| !matches!(outcome, Ok(Ran { status: 0, .. })))
        .map(|(node, _)| *node)
        .collect();
    let groups = group(outcomes);
    session.console.answer(|| text(&groups), &groups)?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(
        format!("the command did not succeed on {} of {all} nodes: {}", failed.len(), ids::in_words(&failed)),
        "`nodepool ssh ID` opens a shell on one of them",
    ))
}

async fn ask(
    machines: &dyn Machines,
    node: Node,
    door: Result<Door, String>,
    line: &str,
    deadline: Duration,
) -> (i64, Outcome) {
    let outcome = match door {
        Ok(door) => {
            let ran = machines.run(&door, PATIENCE, line, deadline, MOST_BYTES).await;
            ran.map_err(|error| format!("{error:#}"))
        }
        Err(why) => Err(why),
    };
    (node.id.0, outcome)
}

/// Equal answers together, those of most nodes first.
fn group(outcomes: Vec<(i64, Outcome)>) -> Vec<Group> {
    let mut groups: BTreeMap<(Option<u32>, Option<String>, String), Vec<i64>> = BTreeMap::new();
    for (node, outcome) in outcomes {
        let key = match outcome {
            Ok(ran) => (Some(ran.status), None, ran.lines.join("\n")),
            Err(why) => (None, Some(why), String::new()),
        };
        groups.entry(key).or_default().push(node);
    }
    let groups = groups.into_iter().map(|((status, error, output), mut nodes)| {
        nodes.sort_unstable();
        Group { nodes, status, error, output }
    });
    let mut groups: Vec<Group> = groups.collect();
    groups.sort_by(|one, other| (other.nodes.len(), &one.nodes).cmp(&(one.nodes.len(), &other.nodes)));
    groups
}

fn text(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let count = group.nodes.len();
        let nodes = if count == 1 { "node" } else { "nodes" };
        let how = match (group.status, &group.error) {
            (Some(status), _) => format!("status {status}"),
            (None, error) => table::one_line(error.as_deref().unwrap_or_default()).into_owned(),
        };
        // Writing to a text does not fail.
        let _ = writeln!(text, "{count} {nodes} ({}): {how}", ids::in_words(&group.nodes));
        for line in group.output.lines() {
            text.push_str("  ");
            text.push_str(&table::one_line(line));
            text.push('\n');
        }
    }
    if groups.is_empty() {
        text.push_str("no node fits\n");
    }
    text
}

/// What is told while it runs: a bar on a terminal, and a line for each node elsewhere, both on standard error.
struct Progress {
    console: Console,
    bar: ProgressBar,
    all: usize,
}

impl Progress {
    fn new(console: Console, all: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(all).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{pos} of {len} nodes {wide_bar} {msg}") {
            bar.set_style(style);
        }
        bar.tick();
        Self { console, bar, all }
    }

    fn tell(&self, node: i64, outcome: &Outcome) {
        self.bar.inc(1);
        let how = match outcome {
            Ok(ran) => format!("node {node} ended with status {}", ran.status),
            Err(why) => format!("node {node}: {}", table::one_line(why)),
        };
        if self.bar.is_hidden() {
            self.console.note(&format!("{} of {}: {how}", self.bar.position(), self.all));
        } else {
            self.bar.set_message(how);
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_stand_together_the_most_frequent_first() {
        let ran = |status, line: &str| Ok(Ran { status, lines: vec![line.to_owned()] });
        let groups = group(vec![
            (4, ran(0, "Linux\u{1b}[2J")),
            (1, ran(1, "no")),
            (3, Err("not reached: timed out".to_owned())),
            (2, ran(0, "Linux\u{1b}[2J")),
        ]);
        assert_eq!(
            text(&groups),
            "2 nodes (2, 4): status 0\n  Linux [2J\n1 node (1): status 1\n  no\n1 node (3): not reached: timed out\n"
        );
    }
}
