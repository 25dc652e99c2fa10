//! `nodepool history`: what happened to a node or an image, and why. It may be gone already.

use serde::Serialize;

use super::{Failure, Session, Table, rfc3339};
use crate::model::{ImageId, NodeId};
use crate::store::{HistoryLine, Subject};

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
    let views: Vec<LineView> = lines.into_iter().map(LineView::new).collect();
    session.console.rows(|| table(&views), || views.clone())
}

impl LineView {
    /// The view of a line.
    pub fn new(line: HistoryLine) -> Self {
        Self {
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
