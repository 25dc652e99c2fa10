//! Starts and ends of jobs on nodes: news that waits in rows until the plan has dealt with it.

use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError};
use crate::model::{JobEvent, JobEventKind, JobResult, NewJobEvent, Timestamp};

/// The most events that one read gives; the rest follow when these are settled.
const MOST_EVENTS: u32 = 1000;

const INSERT: &str = "INSERT INTO job_event (nodename, kind, job, number, branch, result, created) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
const OPEN: &str = "SELECT id, nodename, kind, job, number, branch, result, created FROM job_event \
                    WHERE settled IS NULL ORDER BY id LIMIT $1";
const SETTLE: &str = "UPDATE job_event SET settled = $1 WHERE id = $2 AND settled IS NULL";

impl Store {
    /// Writes down what somebody told about a job on a node; gives the event's number.
    pub async fn add_event(&self, told: &NewJobEvent, at: Timestamp) -> Result<i64, StoreError> {
        let values = [
            bounded(&told.nodename).into(),
            told.kind.word().into(),
            bounded(&told.job).into(),
            told.number.into(),
            told.branch.as_deref().map(bounded).into(),
            told.result.map(JobResult::word).into(),
            at.into(),
        ];
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

fn event(row: &Row) -> Result<JobEvent, StoreError> {
    let (id, columns) = row.numbered("job_event", "id")?;
    let spelled = columns.text("kind")?;
    let kind = JobEventKind::from_word(&spelled)
        .ok_or_else(|| columns.corrupt(&format!("unknown kind {spelled:?}")))?;
    let result = columns.optional_text("result")?;
    let told = NewJobEvent {
        nodename: columns.text("nodename")?,
        kind,
        job: columns.text("job")?,
        number: columns.optional_integer("number")?,
        branch: columns.optional_text("branch")?,
        result: result.as_deref().and_then(JobResult::from_word),
    };
    Ok(JobEvent { id, told, at: columns.time("created")? })
}
