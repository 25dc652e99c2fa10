//! `nodepool list --watch`: the list as it changes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::list::{self, Arguments};
use super::session::now;
use super::{Failure, Format, Session, rfc3339};
use crate::model::{Node, NodeId};
use crate::store::NodeLine;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The cursor to the first place of the screen; the rest of a line is erased; everything below is.
const HOME: &str = "\x1b[H";
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";
const ERASE_ALL: &str = "\x1b[2J";

/// A change, as a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Change {
    time: String,
    id: i64,
    label: String,
    provider: String,
    from: Option<String>,
    to: Option<String>,
    reason: String,
}

/// Goes on until it is interrupted, or nobody reads any more.
pub(super) async fn run(session: &Session, arguments: &Arguments, nodes: Vec<Node>) -> Result<(), Failure> {
    let format = session.console.format();
    match format {
        Format::Table if io::stdout().is_terminal() => redraw(session, arguments, nodes).await,
        Format::Table | Format::Json => changes(session, arguments, nodes, format).await,
        Format::Yaml | Format::Csv => Err(Failure::usage(
            "whoever watches is told changes line by line, which YAML and CSV have no form for",
            "use `-o json` for a JSON object a line, or the text without -o",
        )),
    }
}

/// Draws the list over and over. Nothing is drawn twice, so that it does not flicker.
async fn redraw(session: &Session, arguments: &Arguments, mut nodes: Vec<Node>) -> Result<(), Failure> {
    write(ERASE_ALL)?;
    loop {
        let chosen = arguments.choose(nodes, !arguments.look.detail);
        let table = list::table(&chosen, arguments.look, now()).render(session.console.colours());
        let title = format!("nodepool list, {} nodes, {} (Ctrl-C ends it)\n", chosen.len(), rfc3339(now()));
        let mut screen = HOME.to_owned();
        for line in title.lines().chain(table.lines()) {
            screen.push_str(line);
            screen.push_str(ERASE_LINE);
            screen.push('\n');
        }
        screen.push_str(ERASE_BELOW);
        write(&screen)?;
        tokio::time::sleep(PAUSE).await;
        nodes = session.store.nodes().await?;
    }
}

/// Tells what changed, a line for each change, beginning with what there is.
async fn changes(
    session: &Session,
    arguments: &Arguments,
    mut nodes: Vec<Node>,
    format: Format,
) -> Result<(), Failure> {
    let mut known: BTreeMap<NodeId, Node> = BTreeMap::new();
    loop {
        nodes.retain(|node| arguments.filter.takes(&NodeLine::from(node)));
        let seen: BTreeMap<NodeId, Node> = nodes.into_iter().map(|node| (node.id, node)).collect();
        let mut text = String::new();
        for change in differences(&known, &seen) {
            text.push_str(&match format {
                Format::Json => serde_json::to_string(&change).unwrap_or_default(),
                Format::Table | Format::Yaml | Format::Csv => change.line(),
            });
            text.push('\n');
        }
        write(&text)?;
        known = seen;
        tokio::time::sleep(PAUSE).await;
        nodes = session.store.nodes().await?;
    }
}

/// What is different. A node that a filter does not take any more has left the list, like one that is gone.
fn differences(before: &BTreeMap<NodeId, Node>, after: &BTreeMap<NodeId, Node>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, node) in before {
        if !after.contains_key(id) {
            changes.push(Change::new(node, Some(node.state.to_string()), None));
        }
    }
    for (id, node) in after {
        let from = before.get(id).map(|node| node.state.to_string());
        let to = node.state.to_string();
        if from.as_ref() != Some(&to) {
            changes.push(Change::new(node, from, Some(to)));
        }
    }
    changes
}

impl Change {
    fn new(node: &Node, from: Option<String>, to: Option<String>) -> Self {
        Self {
            time: rfc3339(now()),
            id: node.id.0,
            label: node.label.clone(),
            provider: node.provider.clone(),
            from,
            to,
            reason: node.reason.clone(),
        }
    }

    fn line(&self) -> String {
        let Self { time, id, label, provider, from, to, reason } = self;
        let reason = super::table::one_line(reason);
        match (from, to) {
            (Some(from), Some(to)) => {
                format!("{time} node {id} {label} {provider}: {from} -> {to}: {reason}")
            }
            (None, Some(to)) => format!("{time} node {id} {label} {provider}: {to}: {reason}"),
            (from, None) => {
                let from = from.as_deref().unwrap_or_default();
                format!("{time} node {id} {label} {provider}: {from} -> not in the list any more")
            }
        }
    }
}

fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
