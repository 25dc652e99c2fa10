//! `nodepool history`: what happened to a node or an image, and why. It may be gone already.

use serde::Serialize;

use super::cause::span;
use super::{Failure, Format, Session, Table, rfc3339};
use crate::model::{ImageId, NodeId};
use crate::store::{FailedTry, HistoryLine, Subject};

/// Whose history.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Number of the node, or of the image with --image
    #[arg(value_name = "ID", value_parser = super::number)]
    pub id: i64,
    /// The number is that of an image
    #[arg(long)]
    pub image: bool,
    /// The most lines to show, the newest ones
    #[arg(long, value_name = "LINES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// A line of history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineView {
    /// When, RFC 3339.
    pub time: String,
    /// The provider of the node or the image.
    pub provider: String,
    /// The host name of the node, or of the image's builder.
    pub hostname: String,
    /// What happened.
    pub event: String,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// Why.
    pub reason: String,
    /// Of a line that tells of a failure: the step, how many seconds it had been there, and may be.
    pub step: Option<String>,
    /// See `step`.
    pub waited_seconds: Option<u64>,
    /// See `step`.
    pub deadline_seconds: Option<u64>,
    /// The end of the machine's console.
    pub console: Option<String>,
    /// The end of what was run on the machine.
    pub output: Option<String>,
}

/// Prints the history, oldest first.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let id = arguments.id;
    let subject = if arguments.image { Subject::Image(ImageId(id)) } else { Subject::Node(NodeId(id)) };
    let lines = session.store.history(subject, arguments.limit).await?;
    if lines.is_empty() {
        let what = if arguments.image { "image" } else { "node" };
        return Err(Failure::refused(
            format!("there is no history of {what} {id}"),
            "it never existed, or so long ago that its history was removed",
        ));
    }
    let failed = session.store.failures_of(subject).await?;
    let views: Vec<LineView> = lines.into_iter().map(|line| LineView::new(line, &failed)).collect();
    session.console.rows(|| table(&views), || views.clone())?;
    if session.console.format() == Format::Table {
        print!("{}", failed.iter().map(evidence).collect::<String>());
    }
    Ok(())
}

/// What is known of a failure, for a person.
fn evidence(failed: &FailedTry) -> String {
    let limit = failed.deadline.map_or_else(String::new, |limit| format!(" of at most {}", span(limit)));
    let mut lines = vec![String::new()];
    lines.push(format!("Failed at step {} after {}{limit}:", failed.step, span(failed.waited)));
    let parts = [
        ("", Some(&failed.message)),
        ("Console", failed.console.as_ref()),
        ("Output", failed.output.as_ref()),
    ];
    for (title, part) in parts {
        let Some(part) = part else { continue };
        if !title.is_empty() {
            lines.push(format!("  {title}, its end:"));
        }
        lines.extend(part.lines().map(|line| format!("    {}", super::table::one_line(line))));
    }
    lines.push(String::new());
    lines.join("\n")
}

impl LineView {
    /// The view of a line.
    pub fn new(line: HistoryLine, failed: &[FailedTry]) -> Self {
        let failed =
            failed.iter().find(|failed| failed.at == line.note.at && failed.message == line.note.reason);
        Self {
            step: failed.map(|failed| failed.step.clone()),
            waited_seconds: failed.map(|failed| failed.waited.as_secs()),
            deadline_seconds: failed.and_then(|failed| failed.deadline).map(|limit| limit.as_secs()),
            console: failed.and_then(|failed| failed.console.clone()),
            output: failed.and_then(|failed| failed.output.clone()),
            time: rfc3339(line.note.at),
            provider: line.provider,
            hostname: line.hostname,
            event: line.note.event,
            from: line.note.from,
            to: line.note.to,
            reason: line.note.reason,
        }
    }
}

fn table(views: &[LineView]) -> Table {
    let mut table = Table::new(["Time", "Event", "From", "To", "Reason"]);
    for view in views {
        let cells = [&view.time, &view.event, &view.from, &view.to, &view.reason];
        table.row(cells.map(|cell| Some(cell.clone())));
    }
    table
}
