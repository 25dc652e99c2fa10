//! `nodepool list`: the nodes.

use super::session::now;
use super::view::NodeView;
use super::{Age, Failure, Session, Table};
use crate::model::{Node, Timestamp};

/// How tables of nodes and images look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Look {
    /// How ages are written in tables
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub age: Age,
    /// Add columns after the age: step, comment, end of the hold, reason
    #[arg(long)]
    pub detail: bool,
}

/// Prints all nodes, ordered by provider and label.
pub async fn run(session: &Session, look: Look) -> Result<(), Failure> {
    let nodes = session.store.nodes().await?;
    show(session, nodes, look)
}

/// Prints these nodes.
pub(super) fn show(session: &Session, mut nodes: Vec<Node>, look: Look) -> Result<(), Failure> {
    nodes.sort_by(|one, other| {
        (&one.provider, &one.label, one.id).cmp(&(&other.provider, &other.label, other.id))
    });
    let views = views(&nodes, now());
    session.console.rows(|| table(&views, look), &views)
}

fn views(nodes: &[Node], now: Timestamp) -> Vec<NodeView> {
    nodes.iter().map(|node| NodeView::new(node, now)).collect()
}

/// The columns of nodepool 0.1 and 0.2 in their places: scripts cut them out by their number.
fn table(views: &[NodeView], look: Look) -> Table {
    let mut columns = vec![
        "ID",
        "Provider",
        "AZ",
        "Label",
        "Target",
        "Hostname",
        "NodeName",
        "Server ID",
        "IP",
        "State",
        look.age.title(),
    ];
    if look.detail {
        columns.extend(["Step", "Comment", "Held until", "Reason"]);
    }
    let mut table = Table::new(columns);
    for node in views {
        let mut cells = vec![
            Some(node.id.to_string()),
            Some(node.provider.clone()),
            node.az.clone(),
            Some(node.label.clone()),
            Some(node.target.clone()),
            Some(node.hostname.clone()),
            Some(node.nodename.clone()),
            node.server_id.clone(),
            node.ip.clone(),
            Some(node.state.to_owned()),
            Some(node.age(look.age)),
        ];
        if look.detail {
            cells.extend([
                node.step.map(str::to_owned),
                node.comment.clone(),
                node.held_until.clone(),
                Some(node.reason.clone()),
            ]);
        }
        table.row(cells);
    }
    table
}
