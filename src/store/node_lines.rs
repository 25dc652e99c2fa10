//! What a table of nodes shows, read in one value.
//!
//! Every value that the driver hands over is copied and sent through a channel, which for all columns of 10,000 nodes
//! takes ten times as long as SQLite needs to find them. Monitoring runs `nodepool list` every minute: it reads the few
//! columns that it shows, and reads them as one JSON text, which SQLite writes itself.

use super::{Store, StoreError};
use crate::model::{Node, NodeId, NodeState, Timestamp};

/// The columns of `nodepool list` for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLine {
    /// Its number.
    pub id: NodeId,
    /// The node to which it belongs, when it is a subnode.
    pub primary: Option<NodeId>,
    /// Name of the provider.
    pub provider: String,
    /// The availability zone asked for, if any.
    pub az: Option<String>,
    /// Name of the label.
    pub label: String,
    /// Name of the target.
    pub target: String,
    /// Full host name.
    pub hostname: String,
    /// The name of its agent.
    pub nodename: String,
    /// The cloud's id of its server, once known.
    pub server_id: Option<String>,
    /// The address at which it is reached.
    pub ip: Option<String>,
    /// Where it stands.
    pub state: NodeState,
    /// When it entered `state`.
    pub state_time: Timestamp,
}

/// The functions are those of SQLite; MariaDB calls the outer one `json_arrayagg`, PostgreSQL `json_agg`, and its inner
/// one `json_build_array`.
const LINES: &str = "SELECT json_group_array(json_array(id, primary_id, provider_name, az, label_name, target_name, \
    hostname, nodename, external_id, ip, state, step, state_time)) AS lines FROM node";

/// One node in the order of [`LINES`].
type Written = (
    i64,
    Option<i64>,
    String,
    Option<String>,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    i64,
);

impl Store {
    /// The lines of all nodes, in no order.
    pub async fn node_lines(&self) -> Result<Vec<NodeLine>, StoreError> {
        let Some(row) = self.db.row(LINES, &[]).await? else { return Ok(Vec::new()) };
        let columns = row.named("node", "of all nodes");
        let written: Vec<Written> = serde_json::from_str(&columns.text("lines")?)
            .map_err(|error| columns.corrupt(&error.to_string()))?;
        written.into_iter().map(line).collect()
    }
}

fn line(written: Written) -> Result<NodeLine, StoreError> {
    let (id, primary, provider, az, label, target, hostname, nodename, server_id, ip, state, step, time) =
        written;
    let state = NodeState::from_words(&state, step.as_deref()).ok_or_else(|| {
        StoreError::Corrupt(format!("table node, row {id}: unknown state {state:?} with step {step:?}"))
    })?;
    Ok(NodeLine {
        id: NodeId(id),
        primary: primary.map(NodeId),
        provider,
        az,
        label,
        target,
        hostname,
        nodename,
        server_id,
        ip,
        state,
        state_time: Timestamp::from_millis(time),
    })
}

impl From<&Node> for NodeLine {
    fn from(node: &Node) -> Self {
        Self {
            id: node.id,
            primary: node.primary,
            provider: node.provider.clone(),
            az: node.az.clone(),
            label: node.label.clone(),
            target: node.target.clone(),
            hostname: node.hostname.clone(),
            nodename: node.nodename.clone(),
            server_id: node.server_id.clone(),
            ip: node.ip.clone(),
            state: node.state,
            state_time: node.state_time,
        }
    }
}
