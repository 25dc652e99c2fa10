//! The rows of nodes.

use super::db::Write;
use super::history::{self, About, Note, Subject};
use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError, departed};
use crate::model::{
    AgentFacts, DepartedServer, FloatingFacts, HostKey, ImageId, JobFacts, Node, NodeId, NodeState, NodeStep,
    Owner, Timestamp,
};

/// What is known of a node when its row is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// Name of the provider.
    pub provider: String,
    /// Name of the label.
    pub label: String,
    /// Name of the target.
    pub target: String,
    /// The provider image that it will boot.
    pub image: String,
    /// The row of the snapshot that it will boot, when that is one of ours.
    pub image_id: Option<ImageId>,
    /// The availability zone to ask for, if any.
    pub az: Option<String>,
    /// The attempt id for the tag of its server. It has to be unique for ever.
    pub attempt: String,
    /// The attempt ids of its subnodes, as unique: one subnode is made for each.
    pub subnodes: Vec<String>,
    /// Now.
    pub created: Timestamp,
    /// Why it is made, in words for a person.
    pub reason: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, primary_id, subnode_index, subnodes, provider_name, label_name, target_name, hostname, nodename, image_name, snapshot_image_id, az, ",
            "external_id, ip, ip_private, host_key, state, step, state_time, created, attempt, attempted, ",
            "delete_called, held_until, hold_owner, hold_job, hold_warned, comment, reason, floating_ip_id, floating_ip_attempted, ",
            "agent_attempted, agent_enrolled, manager_name, test_called, test_passed, agent_withdrawn, insists, ",
            "agent_remark, job_name, job_started, job_ended, revision FROM node ",
            $rest
        )
    };
}

const TABLE: &str = "node";
const ALL: &str = select!("ORDER BY id");
// Lines about images of the same number make no difference, and without them no other index is a choice.
const TOLD_OF: &str = select!("WHERE id IN (SELECT subject_id FROM history WHERE id > $1) ORDER BY id");
const ONE: &str = select!("WHERE id = $1");
const SET: &str = select!("WHERE id = $1 OR primary_id = $2 ORDER BY subnode_index");
const INSERT: &str = "INSERT INTO node (provider_name, label_name, target_name, hostname, nodename, image_name, \
    snapshot_image_id, az, state, step, state_time, created, attempt, reason, primary_id, subnode_index, subnodes, \
    revision) VALUES ($1, $2, $3, '', '', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1)";
const NAME: &str = "UPDATE node SET hostname = $1, nodename = $2 WHERE id = $3";
const UPDATE: &str = "UPDATE node SET az = $1, external_id = $2, ip = $3, ip_private = $4, host_key = $5, state = $6, \
    step = $7, state_time = $8, attempted = $9, delete_called = $10, held_until = $11, comment = $12, reason = $13, \
    floating_ip_id = $14, floating_ip_attempted = $15, hold_owner = $16, hold_job = $17, agent_attempted = $18, \
    agent_enrolled = $19, manager_name = $20, test_called = $21, test_passed = $22, agent_withdrawn = $23, \
    insists = $24, agent_remark = $25, job_name = $26, job_started = $27, job_ended = $28, \
    hold_warned = $29, revision = revision + 1 WHERE id = $30 AND revision = $31";
const REMOVE: &str = "DELETE FROM node WHERE id = $1 AND revision = $2";

impl Store {
    /// All nodes, oldest first.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.db.rows(ALL, &[]).await?.iter().map(node).collect()
    }

    /// The nodes that the history tells of after this line, and perhaps others.
    pub(super) async fn nodes_told_of_after(&self, line: i64) -> Result<Vec<Node>, StoreError> {
        self.db.rows(TOLD_OF, &[line.into()]).await?.iter().map(node).collect()
    }

    /// One node, if it exists.
    pub async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        self.db.row(ONE, &[id.0.into()]).await?.as_ref().map(node).transpose()
    }

    /// A node, if it exists, and then the subnodes that are left of it, in their order.
    pub async fn node_set(&self, id: NodeId) -> Result<Vec<Node>, StoreError> {
        self.db.rows(SET, &[id.0.into(), id.0.into()]).await?.iter().map(node).collect()
    }

    /// Makes the row of a node and those of its subnodes, all in state `building (create)`, and their first lines of
    /// history: all of them or none. Gives the row of the node itself.
    ///
    /// `name` makes the host name from the number that a row gets, which no other node ever had, and for a subnode also
    /// from the number of its primary.
    pub async fn insert_node(
        &self,
        new: &NewNode,
        name: &(dyn Fn(NodeId, Option<NodeId>) -> String + Sync),
    ) -> Result<Node, StoreError> {
        let mut write = self.db.begin().await?;
        let primary = insert(&mut write, new, &Place::Alone, name).await?;
        for (index, attempt) in (1..).zip(&new.subnodes) {
            insert(&mut write, new, &Place::Subnode { primary, index, attempt }, name).await?;
        }
        let node = read(&mut write, primary).await?;
        write.commit().await?;
        Ok(node)
    }

    /// Writes what may change of a node (all but its number, provider, label, target, names, image, creation time and
    /// attempt) and a line of history, and gives the row as it is now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the row is gone or not at the revision of `node` any more.
    pub async fn update_node(&self, node: &Node, entry: &Note) -> Result<Node, StoreError> {
        let mut write = self.db.begin().await?;
        let node = update(&mut write, node, entry).await?;
        write.commit().await?;
        Ok(node)
    }

    /// Writes several nodes as [`Self::update_node`] does one: all of them or none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of the rows is gone or not at its revision any more; then none is written.
    pub async fn update_nodes(&self, nodes: &[(Node, Note)]) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        for (node, entry) in nodes {
            update(&mut write, node, entry).await?;
        }
        write.commit().await
    }

    /// Removes the row of a node whose server is confirmed gone, remembers that server, and writes the last line of its
    /// history.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the row is gone or not at the revision of `node` any more.
    pub async fn remove_node(&self, node: &Node, entry: &Note) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        if write.execute(REMOVE, &[node.id.0.into(), node.revision.into()]).await? == 0 {
            return Err(conflict(node));
        }
        if let Some(id) = &node.server_id {
            let server = DepartedServer {
                provider: node.provider.clone(),
                id: id.clone(),
                owner: Owner::Node(node.id),
                attempt: node.attempt.clone(),
                departed: entry.at,
            };
            departed::record(&mut write, &server).await?;
        }
        history::append(&mut write, &About::node(node), entry).await?;
        write.commit().await
    }
}

/// What place a row has in its set.
enum Place<'n> {
    /// It stands for the set, or is alone.
    Alone,
    /// It is a subnode.
    Subnode { primary: NodeId, index: u32, attempt: &'n str },
}

async fn insert(
    write: &mut Write,
    new: &NewNode,
    place: &Place<'_>,
    name: &(dyn Fn(NodeId, Option<NodeId>) -> String + Sync),
) -> Result<NodeId, StoreError> {
    let state = NodeState::Building(NodeStep::Create);
    let (primary, index, subnodes, attempt, reason) = match place {
        Place::Alone => {
            let subnodes = u32::try_from(new.subnodes.len()).unwrap_or(u32::MAX);
            (None, 0, subnodes, new.attempt.as_str(), new.reason.clone())
        }
        Place::Subnode { primary, index, attempt } => {
            (Some(*primary), *index, 0, *attempt, format!("subnode {index} of node {primary}"))
        }
    };
    let values = [
        new.provider.as_str().into(),
        new.label.as_str().into(),
        new.target.as_str().into(),
        new.image.as_str().into(),
        new.image_id.map(|id| id.0).into(),
        new.az.as_deref().into(),
        state.word().into(),
        state.step().map(NodeStep::word).into(),
        new.created.into(),
        new.created.into(),
        attempt.into(),
        bounded(&reason).into(),
        primary.map(|id| id.0).into(),
        index.into(),
        subnodes.into(),
    ];
    let id = NodeId(write.insert(INSERT, &values).await?);
    let hostname = name(id, primary);
    let nodename = hostname.split('.').next().unwrap_or_default();
    write.execute(NAME, &[hostname.as_str().into(), nodename.into(), id.0.into()]).await?;
    let entry = history::first(new.created, &state, &reason);
    let label = if primary.is_none() { new.label.as_str() } else { "" };
    let about = About { subject: Subject::Node(id), provider: &new.provider, hostname: &hostname, label };
    history::append(write, &about, &entry).await?;
    Ok(id)
}

async fn update(write: &mut Write, node: &Node, entry: &Note) -> Result<Node, StoreError> {
    let values = [
        node.az.as_deref().into(),
        node.server_id.as_deref().into(),
        node.ip.as_deref().into(),
        node.ip_private.as_deref().into(),
        node.host_key.as_ref().map(|key| key.0.as_str()).into(),
        node.state.word().into(),
        node.state.step().map(NodeStep::word).into(),
        node.state_time.into(),
        node.attempted.into(),
        node.delete_called.into(),
        node.held_until.into(),
        node.comment.as_deref().map(bounded).into(),
        bounded(&node.reason).into(),
        node.floating_ip.id.as_deref().into(),
        node.floating_ip.attempted.into(),
        node.held_by.as_deref().map(bounded).into(),
        node.held_for.as_deref().map(bounded).into(),
        node.agent.attempted.into(),
        node.agent.enrolled.into(),
        node.agent.manager.as_deref().map(bounded).into(),
        node.agent.test_called.into(),
        node.agent.test_passed.into(),
        node.agent.withdrawn.into(),
        node.agent.insists.into(),
        node.agent.remark.as_deref().map(bounded).into(),
        node.job.name.as_deref().map(bounded).into(),
        node.job.started.into(),
        node.job.ended.into(),
        node.hold_warned.into(),
        node.id.0.into(),
        node.revision.into(),
    ];
    if write.execute(UPDATE, &values).await? == 0 {
        return Err(conflict(node));
    }
    history::append(write, &About::node(node), entry).await?;
    read(write, node.id).await
}

fn conflict(node: &Node) -> StoreError {
    StoreError::Conflict { table: TABLE, id: node.id.0, revision: node.revision }
}

/// The row as this write leaves it.
async fn read(write: &mut Write, id: NodeId) -> Result<Node, StoreError> {
    let row = write.row(ONE, &[id.0.into()]).await?;
    node(&row.ok_or_else(|| StoreError::Corrupt(format!("table {TABLE}, row {id}: written, not found")))?)
}

fn node(row: &Row) -> Result<Node, StoreError> {
    let (id, columns) = row.numbered(TABLE, "id")?;
    let (state, step) = (columns.text("state")?, columns.optional_text("step")?);
    let state = NodeState::from_words(&state, step.as_deref())
        .ok_or_else(|| columns.corrupt(&format!("unknown state {state:?} with step {step:?}")))?;
    Ok(Node {
        id: NodeId(id),
        primary: columns.optional_integer("primary_id")?.map(NodeId),
        subnode_index: columns.count("subnode_index")?,
        subnodes: columns.count("subnodes")?,
        provider: columns.text("provider_name")?,
        label: columns.text("label_name")?,
        target: columns.text("target_name")?,
        hostname: columns.text("hostname")?,
        nodename: columns.text("nodename")?,
        image: columns.text("image_name")?,
        image_id: columns.optional_integer("snapshot_image_id")?.map(ImageId),
        az: columns.optional_text("az")?,
        server_id: columns.optional_text("external_id")?,
        ip: columns.optional_text("ip")?,
        ip_private: columns.optional_text("ip_private")?,
        host_key: columns.optional_text("host_key")?.map(HostKey),
        state,
        state_time: columns.time("state_time")?,
        created: columns.time("created")?,
        attempt: columns.text("attempt")?,
        attempted: columns.optional_time("attempted")?,
        delete_called: columns.optional_time("delete_called")?,
        held_until: columns.optional_time("held_until")?,
        held_by: columns.optional_text("hold_owner")?,
        held_for: columns.optional_text("hold_job")?,
        hold_warned: columns.boolean("hold_warned")?,
        comment: columns.optional_text("comment")?,
        reason: columns.text("reason")?,
        floating_ip: FloatingFacts {
            id: columns.optional_text("floating_ip_id")?,
            attempted: columns.optional_time("floating_ip_attempted")?,
        },
        agent: AgentFacts {
            attempted: columns.optional_time("agent_attempted")?,
            enrolled: columns.boolean("agent_enrolled")?,
            manager: columns.optional_text("manager_name")?,
            test_called: columns.optional_time("test_called")?,
            test_passed: columns.boolean("test_passed")?,
            withdrawn: columns.boolean("agent_withdrawn")?,
            insists: columns.boolean("insists")?,
            remark: columns.optional_text("agent_remark")?,
        },
        job: JobFacts {
            name: columns.optional_text("job_name")?,
            started: columns.optional_time("job_started")?,
            ended: columns.optional_time("job_ended")?,
        },
        revision: columns.integer("revision")?,
    })
}
