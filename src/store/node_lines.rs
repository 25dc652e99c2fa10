//! What a table of nodes shows, read in one value.
//!
//! Every value that the driver of SQLite hands over is copied and sent through a channel, which for all columns of 10,000
//! nodes takes ten times as long as SQLite needs to find them. Monitoring runs `nodepool list` every minute: it reads the
//! few columns that it shows, and reads them as one JSON text, which SQLite writes itself. A server hands its rows over
//! as they are.

use super::row::Row;
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

/// The functions are those of SQLite.
const AS_JSON: &str = "SELECT json_group_array(json_array(id, primary_id, provider_name, az, label_name, target_name, \
    hostname, nodename, external_id, ip, state, step, state_time)) AS written FROM node";
const AS_ROWS: &str = "SELECT id, primary_id, provider_name, az, label_name, target_name, hostname, nodename, external_id, \
    ip, state, step, state_time FROM node";

/// One node in the order of [`AS_JSON`].
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
        if !self.db.is_sqlite() {
            return self.db.rows(AS_ROWS, &[]).await?.iter().map(|row| line(written(row)?)).collect();
        }
        let Some(row) = self.db.row(AS_JSON, &[]).await? else { return Ok(Vec::new()) };
        let columns = row.named("node", "of all nodes");
        let written: Vec<Written> = serde_json::from_str(&columns.text("written")?)
            .map_err(|error| columns.corrupt(&error.to_string()))?;
        written.into_iter().map(line).collect()
    }
}

fn written(row: &Row) -> Result<Written, StoreError> {
    let (id, columns) = row.numbered("node", "id")?;
    Ok((
        id,
        columns.optional_integer("primary_id")?,
        columns.text("provider_name")?,
        columns.optional_text("az")?,
        columns.text("label_name")?,
        columns.text("target_name")?,
        columns.text("hostname")?,
        columns.text("nodename")?,
        columns.optional_text("external_id")?,
        columns.optional_text("ip")?,
        columns.text("state")?,
        columns.optional_text("step")?,
        columns.integer("state_time")?,
    ))
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
