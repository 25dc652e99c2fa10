//! `nodepool delete`: take a node away, whatever its state.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::list::{self, Look};
use super::wish::Answer;
use super::{Failure, Session};
use crate::model::{Node, NodeId, WishKind};

/// The pause between two looks at the node.
const PAUSE: Duration = Duration::from_millis(200);

/// What to delete.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Number of the node
    #[arg(value_name = "ID", value_parser = super::number)]
    pub id: i64,
    /// Wait until the cloud confirms that its server is gone
    #[arg(long)]
    pub now: bool,
    /// The longest to wait with --now
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = super::duration, requires = "now")]
    pub timeout: Duration,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the deletion and prints the node, or waits until it is gone.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let id = NodeId(arguments.id);
    session.node(id).await?;
    let answer = session.wish(&WishKind::Delete { node: id, now: arguments.now }).await?;
    if arguments.now {
        if let Answer::Refused(why) = answer {
            return Err(Failure::refused(why, "`nodepool list` shows the state of each node"));
        }
        wait(session, id, arguments.timeout).await?;
        return list::show(session, Vec::new(), arguments.look);
    }
    session.settle(&answer, "`nodepool list` shows the state of each node")?;
    let row = session.store.node(id).await?;
    list::show(session, row.into_iter().collect(), arguments.look)
}

/// Waits until the row is gone: that is when the cloud no longer shows the server.
async fn wait(session: &Session, id: NodeId, timeout: Duration) -> Result<(), Failure> {
    let deadline = Instant::now().checked_add(timeout);
    let mut progress = Progress::new(session);
    loop {
        let Some(node) = session.store.node(id).await? else {
            progress.end();
            session.console.note(&format!("node {id} is gone"));
            return Ok(());
        };
        if !session.daemon_is_alive().await? {
            return Err(Failure::refused(
                format!("nodepoold does not run, so nobody deletes node {id} now; the wish is written down"),
                "start nodepoold; it deletes the node then",
            ));
        }
        progress.show(&waits_for(&node));
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::refused(
                format!(
                    "node {id} is not gone after {}: {}",
                    humantime::format_duration(timeout),
                    waits_for(&node)
                ),
                "nodepoold goes on deleting it; `nodepool history` shows what it did, a longer --timeout waits longer",
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn waits_for(node: &Node) -> String {
    let server = match &node.server_id {
        Some(server) => format!("the cloud to confirm that server {server} is gone"),
        None => "the cloud to confirm that it made no server".to_owned(),
    };
    format!("node {} is in state {} ({}); waiting for {server}", node.id, node.state, node.reason)
}

/// What is waited for: a line that changes on a terminal, or one line for each change.
struct Progress<'s> {
    session: &'s Session,
    spinner: Option<ProgressBar>,
    shown: String,
}

impl<'s> Progress<'s> {
    fn new(session: &'s Session) -> Self {
        let spinner = io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(PAUSE);
            spinner
        });
        Self { session, spinner, shown: String::new() }
    }

    fn show(&mut self, text: &str) {
        if self.shown != text {
            text.clone_into(&mut self.shown);
            match &self.spinner {
                Some(spinner) => spinner.set_message(text.to_owned()),
                None => self.session.console.note(text),
            }
        }
    }

    fn end(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
