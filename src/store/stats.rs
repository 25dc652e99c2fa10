//! What sums over a span of time are made from: changes of state, and how long jobs waited. Both are read page by page from
//! where the span begins, so that the work grows with the span and not with all that is kept.

use std::time::Duration;

use super::row::Row;
use super::{Store, StoreError};
use crate::model::{Node, NodeId, Timestamp};

/// A node that came from one state into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The number of the line of history; later lines have higher ones.
    pub line: i64,
    /// When.
    pub at: Timestamp,
    /// The node. One of several servers is its primary.
    pub node: NodeId,
    /// Its provider.
    pub provider: String,
    /// Its label.
    pub label: String,
    /// The state before, in words; empty for a row that was made.
    pub from: String,
    /// The state after.
    pub to: String,
}

/// How long a job waited for its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueWait {
    /// The provider of the node.
    pub provider: String,
    /// Its label.
    pub label: String,
    /// How long.
    pub waited: Duration,
}

const FIRST: &str = "SELECT id FROM history WHERE created >= $1 ORDER BY created, id LIMIT 1";
const TRANSITIONS: &str = "SELECT id, created, subject_id, provider_name, label_name, from_state, to_state FROM history \
    WHERE id > $1 AND created >= $2 AND subject = 'node' AND label_name <> '' AND from_state <> to_state \
    ORDER BY id LIMIT $3";
const ADD_WAIT: &str =
    "INSERT INTO queue_wait (created, provider_name, label_name, waited_ms) VALUES ($1, $2, $3, $4)";
const WAITS: &str = "SELECT provider_name, label_name, waited_ms FROM queue_wait WHERE created >= $1 ORDER BY created LIMIT $2";

/// Removes waits from before a moment, oldest first; part of [`Store::prune`].
pub(super) const PRUNE: &str = "DELETE FROM queue_wait WHERE id IN (SELECT id FROM \
    (SELECT id FROM queue_wait WHERE created < $1 ORDER BY created LIMIT $2) AS oldest)";

impl Store {
    /// The changes of state since a moment, oldest first, that come after the line `after` of history; `None` for the first
    /// of them. At most `limit`.
    pub async fn transitions_since(
        &self,
        since: Timestamp,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Transition>, StoreError> {
        let after = match after {
            Some(line) => line,
            None => match self.db.rows(FIRST, &[since.into()]).await?.first() {
                Some(row) => row.numbered("history", "id")?.0.saturating_sub(1),
                None => return Ok(Vec::new()),
            },
        };
        let values = [after.into(), since.into(), limit.into()];
        self.db.rows(TRANSITIONS, &values).await?.iter().map(transition).collect()
    }

    /// Keeps how long a job waited for this node.
    pub async fn add_queue_wait(
        &self,
        at: Timestamp,
        node: &Node,
        waited: Duration,
    ) -> Result<(), StoreError> {
        let waited = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
        let values = [at.into(), node.provider.as_str().into(), node.label.as_str().into(), waited.into()];
        let mut write = self.db.begin().await?;
        write.execute(ADD_WAIT, &values).await?;
        write.commit().await
    }

    /// How long jobs waited that got their nodes since a moment, oldest first; at most `limit`.
    pub async fn queue_waits_since(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<QueueWait>, StoreError> {
        self.db.rows(WAITS, &[since.into(), limit.into()]).await?.iter().map(wait).collect()
    }
}

fn transition(row: &Row) -> Result<Transition, StoreError> {
    let (line, columns) = row.numbered("history", "id")?;
    Ok(Transition {
        line,
        at: columns.time("created")?,
        node: NodeId(columns.integer("subject_id")?),
        provider: columns.text("provider_name")?,
        label: columns.text("label_name")?,
        from: columns.text("from_state")?,
        to: columns.text("to_state")?,
    })
}

fn wait(row: &Row) -> Result<QueueWait, StoreError> {
    let columns = row.named("queue_wait", "of a wait");
    let waited = u64::try_from(columns.integer("waited_ms")?).unwrap_or(0);
    Ok(QueueWait {
        provider: columns.text("provider_name")?,
        label: columns.text("label_name")?,
        waited: Duration::from_millis(waited),
    })
}
