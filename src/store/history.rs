//! The history: one line for each write to a node or a snapshot image. It outlives the rows, for a bounded time.

use std::fmt::Display;

use super::db::{Db, Value, Write};
use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError, build_log, failures, stats};
use crate::model::{ImageId, Node, NodeId, Timestamp};

/// What a line of history is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A node.
    Node(NodeId),
    /// A snapshot image.
    Image(ImageId),
}

/// Why a row is written: becomes a line of its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// The event that the state machine was given.
    pub event: String,
    /// The state before, in words.
    pub from: String,
    /// The state after, in words.
    pub to: String,
    /// Why, in words for a person.
    pub reason: String,
}

/// A line of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// Its number; later lines have higher ones.
    pub id: i64,
    /// What it is about.
    pub subject: Subject,
    /// The provider of the node or the image.
    pub provider: String,
    /// The host name of the node, or of the image's builder.
    pub hostname: String,
    /// What happened.
    pub note: Note,
}

const INSERT: &str = "INSERT INTO history \
    (created, subject, subject_id, provider_name, hostname, label_name, event, from_state, to_state, reason) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const OF_SUBJECT: &str = "SELECT id, created, subject, subject_id, provider_name, hostname, event, from_state, \
    to_state, reason FROM history WHERE subject = $1 AND subject_id = $2 ORDER BY id DESC LIMIT $3";
const RECENT: &str = "SELECT id, created, subject, subject_id, provider_name, hostname, event, from_state, \
    to_state, reason FROM history ORDER BY id DESC LIMIT $1";
// Along the index, from the newest image on: of nodes, which are many more, no line is read.
const GONE_IMAGES: &str = "SELECT id, created, subject, subject_id, provider_name, hostname, event, from_state, \
    to_state, reason FROM history WHERE subject = 'image' AND to_state = 'gone' \
    ORDER BY subject_id DESC, id DESC LIMIT $1";

const SINCE: &str = "SELECT id, subject, subject_id FROM history WHERE id >= $1 ORDER BY id LIMIT $2";
const LAST: &str = "SELECT id FROM history ORDER BY id DESC LIMIT 1";

/// With more lines than this, all nodes are read as quickly as those that they tell of.
const MOST_TOLD: u32 = 1000;

// The derived tables are for MariaDB, which takes no LIMIT directly below IN.
const PRUNE_WISHES: &str = "DELETE FROM wish WHERE id IN (SELECT id FROM \
    (SELECT id FROM wish WHERE settled IS NOT NULL AND settled < $1 ORDER BY settled LIMIT $2) AS oldest)";
const PRUNE_EVENTS: &str = "DELETE FROM job_event WHERE id IN (SELECT id FROM \
    (SELECT id FROM job_event WHERE settled IS NOT NULL AND settled < $1 ORDER BY settled LIMIT $2) AS oldest)";
const PRUNE_HISTORY: &str = "DELETE FROM history WHERE id IN (SELECT id FROM \
    (SELECT id FROM history WHERE created < $1 ORDER BY created LIMIT $2) AS oldest)";

impl Store {
    /// The last `limit` lines about a node or an image, newest last. It need not exist any more.
    pub async fn history(&self, subject: Subject, limit: u32) -> Result<Vec<HistoryLine>, StoreError> {
        let (word, id) = subject.words();
        lines(&self.db, OF_SUBJECT, &[word.into(), id.into(), limit.into()]).await
    }

    /// The last `limit` lines about anything, newest last.
    pub async fn recent_history(&self, limit: u32) -> Result<Vec<HistoryLine>, StoreError> {
        lines(&self.db, RECENT, &[limit.into()]).await
    }

    /// How the last `limit` images that are no more went, the newest image last.
    pub async fn gone_images(&self, limit: u32) -> Result<Vec<HistoryLine>, StoreError> {
        lines(&self.db, GONE_IMAGES, &[limit.into()]).await
    }

    /// The number of the last line.
    pub(super) async fn last_line(&self) -> Result<Option<i64>, StoreError> {
        let last = self.db.row(LAST, &[]).await?;
        last.map(|row| Ok(row.numbered("history", "id")?.0)).transpose()
    }

    /// The number of the last line, and the nodes that the lines after `line` are about; `None` when that line is not there
    /// any more, or too many are after it.
    pub(super) async fn told_since(&self, line: i64) -> Result<Option<(i64, Vec<NodeId>)>, StoreError> {
        let rows = self.db.rows(SINCE, &[line.into(), MOST_TOLD.into()]).await?;
        if rows.len() >= usize::try_from(MOST_TOLD).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        let (mut first, mut last, mut nodes) = (None, line, Vec::new());
        for row in &rows {
            let (id, columns) = row.numbered("history", "id")?;
            first.get_or_insert(id);
            last = id;
            if id > line && columns.text("subject")? == "node" {
                nodes.push(NodeId(columns.integer("subject_id")?));
            }
        }
        Ok((first == Some(line)).then_some((last, nodes)))
    }

    /// Removes wishes and events settled before `before`, and history and logs of builds from before it, oldest first,
    /// at most `at_most` rows in all; gives how many. Less than `at_most` means that nothing is left to remove.
    pub async fn prune(&self, before: Timestamp, at_most: u32) -> Result<u64, StoreError> {
        let mut removed = 0_u64;
        let mut write = self.db.begin().await?;
        for sql in
            [PRUNE_WISHES, PRUNE_EVENTS, PRUNE_HISTORY, build_log::PRUNE, failures::PRUNE, stats::PRUNE]
        {
            let rest = u64::from(at_most).saturating_sub(removed);
            let rest = i64::try_from(rest).unwrap_or(i64::MAX);
            removed = removed.saturating_add(write.execute(sql, &[before.into(), rest.into()]).await?);
        }
        write.commit().await?;
        Ok(removed)
    }
}

impl Subject {
    pub(super) fn words(self) -> (&'static str, i64) {
        match self {
            Self::Node(id) => ("node", id.0),
            Self::Image(id) => ("image", id.0),
        }
    }

    pub(super) fn from_words(kind: &str, number: i64) -> Option<Self> {
        match kind {
            "node" => Some(Self::Node(NodeId(number))),
            "image" => Some(Self::Image(ImageId(number))),
            _ => None,
        }
    }
}

/// The note for the row that is made with it.
pub(super) fn first(at: Timestamp, state: &dyn Display, reason: &str) -> Note {
    Note {
        at,
        event: "created".to_owned(),
        from: String::new(),
        to: state.to_string(),
        reason: reason.to_owned(),
    }
}

/// Whom a line of history is about.
pub(super) struct About<'a> {
    pub(super) subject: Subject,
    pub(super) provider: &'a str,
    pub(super) hostname: &'a str,
    /// The label of a node that counts for it; empty for images and subnodes.
    pub(super) label: &'a str,
}

impl<'a> About<'a> {
    /// A node.
    pub(super) fn node(node: &'a Node) -> Self {
        let label = if node.primary.is_none() { node.label.as_str() } else { "" };
        let subject = Subject::Node(node.id);
        Self { subject, provider: &node.provider, hostname: &node.hostname, label }
    }

    /// An image.
    pub(super) fn image(id: ImageId, provider: &'a str, hostname: &'a str) -> Self {
        Self { subject: Subject::Image(id), provider, hostname, label: "" }
    }
}

/// Writes a line of history as part of `write`.
pub(super) async fn append(write: &mut Write, about: &About<'_>, note: &Note) -> Result<(), StoreError> {
    let (word, id) = about.subject.words();
    let values = [
        note.at.into(),
        word.into(),
        id.into(),
        about.provider.into(),
        about.hostname.into(),
        about.label.into(),
        bounded(&note.event).into(),
        bounded(&note.from).into(),
        bounded(&note.to).into(),
        bounded(&note.reason).into(),
    ];
    write.execute(INSERT, &values).await?;
    Ok(())
}

async fn lines(db: &Db, sql: &'static str, values: &[Value]) -> Result<Vec<HistoryLine>, StoreError> {
    db.rows(sql, values).await?.iter().rev().map(line).collect()
}

fn line(row: &Row) -> Result<HistoryLine, StoreError> {
    let (id, columns) = row.numbered("history", "id")?;
    let kind = columns.text("subject")?;
    let subject = Subject::from_words(&kind, columns.integer("subject_id")?)
        .ok_or_else(|| columns.corrupt(&format!("unknown subject {kind:?}")))?;
    Ok(HistoryLine {
        id,
        subject,
        provider: columns.text("provider_name")?,
        hostname: columns.text("hostname")?,
        note: Note {
            at: columns.time("created")?,
            event: columns.text("event")?,
            from: columns.text("from_state")?,
            to: columns.text("to_state")?,
            reason: columns.text("reason")?,
        },
    })
}
