//! What is known of launches and builds that failed, within a bound.

use std::time::Duration;

use super::history::Subject;
use super::row::Row;
use super::text::{bounded, last};
use super::{Store, StoreError};
use crate::model::Timestamp;

/// How many failures are kept: the newest ones. With the bound on each text this bounds the table to about 40 MiB.
const MOST: i64 = 2000;

/// A launch or a build that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTry {
    /// When.
    pub at: Timestamp,
    /// Of what.
    pub subject: Subject,
    /// At which provider.
    pub provider: String,
    /// In which availability zone, where one was chosen.
    pub az: Option<String>,
    /// The provider image that was booted or built.
    pub image: String,
    /// The label of a node; `None` for a build.
    pub label: Option<String>,
    /// At which step.
    pub step: String,
    /// For how long it had been at that step.
    pub waited: Duration,
    /// For how long it may be at that step.
    pub deadline: Option<Duration>,
    /// What went wrong, in the words of whoever noticed: a fault of a server with the cloud's text, an answer with its
    /// request id, the end of a script.
    pub message: String,
    /// The last lines of the machine's console, if they could be read.
    pub console: Option<String>,
    /// The last lines of what was run on it over ssh, if anything was.
    pub output: Option<String>,
}

const INSERT: &str = "INSERT INTO failure (created, subject, subject_id, provider_name, az, image_name, label_name, step, \
    waited_ms, deadline_ms, message, console, output) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const CUT: &str = "DELETE FROM failure WHERE id <= $1";
const OF_SUBJECT: &str = "SELECT id, created, subject, subject_id, provider_name, az, image_name, label_name, step, \
    waited_ms, deadline_ms, message, console, output FROM failure WHERE subject = $1 AND subject_id = $2 ORDER BY id";
const SINCE: &str = "SELECT id, created, subject, subject_id, provider_name, az, image_name, label_name, step, waited_ms, \
    deadline_ms, message, console, output FROM failure WHERE created >= $1 ORDER BY id";
const IN_SHORT: &str = "SELECT id, created, subject, subject_id, provider_name, az, image_name, label_name, step, waited_ms, \
    deadline_ms, message, NULL AS console, NULL AS output FROM failure WHERE created >= $1 ORDER BY id";

/// Removes failures from before a moment, oldest first; part of [`Store::prune`].
pub(super) const PRUNE: &str = "DELETE FROM failure WHERE id IN (SELECT id FROM \
    (SELECT id FROM failure WHERE created < $1 ORDER BY created LIMIT $2) AS oldest)";

impl Store {
    /// Keeps what is known of a failure. Of long texts from the machine the end is kept, of others the beginning.
    pub async fn add_failure(&self, failed: &FailedTry) -> Result<(), StoreError> {
        let (subject, id) = failed.subject.words();
        let values = [
            failed.at.into(),
            subject.into(),
            id.into(),
            failed.provider.as_str().into(),
            failed.az.as_deref().into(),
            failed.image.as_str().into(),
            failed.label.as_deref().into(),
            failed.step.as_str().into(),
            millis(failed.waited).into(),
            failed.deadline.map(millis).into(),
            bounded(&failed.message).into(),
            failed.console.as_deref().map(last).into(),
            failed.output.as_deref().map(last).into(),
        ];
        let mut write = self.db.begin().await?;
        let number = write.insert(INSERT, &values).await?;
        write.execute(CUT, &[number.saturating_sub(MOST).into()]).await?;
        write.commit().await
    }

    /// What failed about a node or an image, oldest first.
    pub async fn failures_of(&self, subject: Subject) -> Result<Vec<FailedTry>, StoreError> {
        let (word, id) = subject.words();
        self.db.rows(OF_SUBJECT, &[word.into(), id.into()]).await?.iter().map(failed_try).collect()
    }

    /// What failed since a moment, oldest first.
    pub async fn failures_since(&self, since: Timestamp) -> Result<Vec<FailedTry>, StoreError> {
        self.db.rows(SINCE, &[since.into()]).await?.iter().map(failed_try).collect()
    }

    /// What failed since a moment, oldest first, without what the machines said: that can be much.
    pub async fn failures_in_short(&self, since: Timestamp) -> Result<Vec<FailedTry>, StoreError> {
        self.db.rows(IN_SHORT, &[since.into()]).await?.iter().map(failed_try).collect()
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn failed_try(row: &Row) -> Result<FailedTry, StoreError> {
    let (_id, columns) = row.numbered("failure", "id")?;
    let time = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    let kind = columns.text("subject")?;
    let subject = Subject::from_words(&kind, columns.integer("subject_id")?)
        .ok_or_else(|| columns.corrupt(&format!("unknown subject {kind:?}")))?;
    Ok(FailedTry {
        at: columns.time("created")?,
        subject,
        provider: columns.text("provider_name")?,
        az: columns.optional_text("az")?,
        image: columns.text("image_name")?,
        label: columns.optional_text("label_name")?,
        step: columns.text("step")?,
        waited: time(columns.integer("waited_ms")?),
        deadline: columns.optional_integer("deadline_ms")?.map(time),
        message: columns.text("message")?,
        console: columns.optional_text("console")?,
        output: columns.optional_text("output")?,
    })
}
