//! `nodepool delete`: take nodes away, whatever their state.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::list::{self, Look};
use super::several::{Found, whole};
use super::{Failure, Ids, Session, confirm};
use crate::model::{Node, NodeId, NodeState, WishKind};

/// The pause between two looks at the node.
const PAUSE: Duration = Duration::from_millis(200);

/// What to delete.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Which nodes.
    #[command(flatten)]
    pub ids: Ids,
    /// Delete a node even while a job runs on it, which then fails, and wait until the cloud confirms that the servers are
    /// gone
    #[arg(long)]
    pub now: bool,
    /// Do not ask, also on a terminal where several nodes, or with --now a used or held one, are to be deleted
    #[arg(short, long)]
    pub yes: bool,
    /// The longest to wait with --now
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = super::duration, requires = "now")]
    pub timeout: Duration,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

const NEXT: &str = "`nodepool list` shows the nodes that there are, and their states";

/// Asks for the deletions and prints the nodes, or waits until they are gone.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let Found { rows, mut problems } = session.find_nodes(&arguments.ids).await?;
    if rows.is_empty() {
        return whole(&problems, NEXT);
    }
    if let Some(what) = doubtful(&rows, arguments.now).filter(|_| !arguments.yes) {
        confirm::ask(&what)?;
    }
    let wishes: Vec<WishKind> =
        rows.iter().map(|node| WishKind::Delete { node: node.id, now: arguments.now }).collect();
    // A job on the node is worth a word: it delays the deletion, or ends with it.
    let plain = |wish: &WishKind| match wish {
        WishKind::Delete { node, .. } => Some(format!("node {node} will be deleted")),
        _ => None,
    };
    let accepted = session.ask(&wishes, &mut problems, plain).await?;
    let asked: Vec<NodeId> =
        rows.iter().zip(&accepted).filter_map(|(node, accepted)| accepted.then_some(node.id)).collect();
    let deadline = Instant::now().checked_add(arguments.timeout);
    let mut shown = Vec::new();
    for id in asked.iter().copied() {
        if arguments.now {
            wait(session, id, deadline, arguments.timeout).await?;
        } else {
            shown.extend(session.store.node(id).await?);
        }
    }
    if !asked.is_empty() {
        list::show(session, shown, arguments.look)?;
    }
    whole(&problems, NEXT)
}

/// What a person should confirm, if this may be a slip.
fn doubtful(nodes: &[Node], now: bool) -> Option<String> {
    match nodes {
        [node] if now && matches!(node.state, NodeState::Used | NodeState::Hold) => {
            Some(format!("delete node {} ({}), which is in state {}", node.id, node.hostname, node.state))
        }
        [_] => None,
        several => {
            let busy = several.iter().filter(|node| matches!(node.state, NodeState::Used | NodeState::Hold));
            Some(format!("delete {} nodes, {} of them used or held", several.len(), busy.count()))
        }
    }
}

/// Waits until the row is gone: that is when the cloud no longer shows the server.
async fn wait(
    session: &Session,
    id: NodeId,
    deadline: Option<Instant>,
    timeout: Duration,
) -> Result<(), Failure> {
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
