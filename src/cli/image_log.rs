//! `nodepool image-log`: what the scripts of a build printed.

use super::follow::{LineView, gap};
use super::{Failure, Session};
use crate::model::ImageId;
use crate::store::{BuildLine, MOST_LINES};

/// Whose log.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Number of the image; it may be gone already
    #[arg(value_name = "ID", value_parser = super::number)]
    pub id: i64,
    /// The most lines to show, the newest ones [default: all that are kept]
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Prints the log, oldest line first.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let id = arguments.id;
    let most = u32::try_from(MOST_LINES).unwrap_or(u32::MAX);
    let mut lines = session.store.build_lines(ImageId(id), 0, most).await?;
    if lines.is_empty() {
        return Err(Failure::refused(
            format!("there is no log of a build of image {id}"),
            format!("`nodepool history --image {id}` shows how far the build came; old logs are removed"),
        ));
    }
    let surplus = arguments.limit.and_then(|limit| lines.len().checked_sub(usize::try_from(limit).ok()?));
    let surplus = surplus.filter(|surplus| *surplus > 0);
    if let Some(surplus) = surplus {
        lines.drain(..surplus);
    }
    session.console.lines(|| text(&lines, surplus.is_some()), || lines.iter().map(LineView::new).collect())
}

/// The lines, and where some are missing; at the front only when it was not asked for.
fn text(lines: &[BuildLine], shortened: bool) -> String {
    let mut text = String::new();
    let mut last = match lines.first() {
        Some(first) if shortened => first.number.saturating_sub(1),
        _ => 0,
    };
    for line in lines {
        text.push_str(&gap(last, line).unwrap_or_default());
        text.push_str(&LineView::new(line).text());
        last = line.number;
    }
    text
}
