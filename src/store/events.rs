//! Starts and ends of jobs on nodes: news that waits in rows until the plan has dealt with it.

use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError};
use crate::model::{JobEvent, JobEventKind, Timestamp};

/// The most events that one read gives; the rest follow when these are settled.
const MOST_EVENTS: u32 = 1000;

const INSERT: &str = "INSERT INTO job_event (nodename, kind, job, created) VALUES ($1, $2, $3, $4)";
const OPEN: &str =
    "SELECT id, nodename, kind, job, created FROM job_event WHERE settled IS NULL ORDER BY id LIMIT $1";
const SETTLE: &str = "UPDATE job_event SET settled = $1 WHERE id = $2 AND settled IS NULL";

impl Store {
    /// Writes down that a job started or ended on a node; gives the event's number.
    pub async fn add_event(
        &self,
        nodename: &str,
        kind: JobEventKind,
        job: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        let values = [bounded(nodename).into(), word(kind).into(), bounded(job).into(), at.into()];
        self.db.insert(INSERT, &values).await
    }

    /// The events that are not settled, in the order in which they were written; at most 1,000 of them.
    pub async fn open_events(&self) -> Result<Vec<JobEvent>, StoreError> {
        self.db.rows(OPEN, &[MOST_EVENTS.into()]).await?.iter().map(event).collect()
    }

    /// Marks an event as dealt with. One that already was stays as it is.
    pub async fn settle_event(&self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.db.execute(SETTLE, &[now.into(), id.into()]).await.map(|_written| ())
    }
}

const fn word(kind: JobEventKind) -> &'static str {
    match kind {
        JobEventKind::Started => "started",
        JobEventKind::Finished => "finished",
    }
}

fn event(row: &Row) -> Result<JobEvent, StoreError> {
    let (id, columns) = row.numbered("job_event", "id")?;
    let spelled = columns.text("kind")?;
    let kind = [JobEventKind::Started, JobEventKind::Finished]
        .into_iter()
        .find(|kind| word(*kind) == spelled)
        .ok_or_else(|| columns.corrupt(&format!("unknown kind {spelled:?}")))?;
    Ok(JobEvent {
        id,
        nodename: columns.text("nodename")?,
        kind,
        job: columns.text("job")?,
        at: columns.time("created")?,
    })
}
