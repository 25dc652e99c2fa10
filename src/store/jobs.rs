//! Rules for jobs that fail, and how long jobs ran.

use std::time::Duration;

use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError};
use crate::model::{JobResult, JobRule, JobRun, Timestamp};

/// The most sums of runtimes that are kept: names of jobs and branches come from outside.
const MOST_SUMS: u32 = 20_000;

const RULES: &str = "SELECT id, name, hold_on_failure, hold_for_ms FROM job ORDER BY id";
const SET_RULE: &str = "UPDATE job SET hold_on_failure = $1, hold_for_ms = $2 WHERE name = $3";
const ADD_RULE: &str = "INSERT INTO job (name, hold_on_failure, hold_for_ms) VALUES ($1, $2, $3)";
const REMOVE_RULE: &str = "DELETE FROM job WHERE id = $1";
const ADD_RUN: &str = "UPDATE job_runtime SET runs = runs + 1, total_ms = total_ms + $1, \
    longest_ms = CASE WHEN longest_ms < $2 THEN $3 ELSE longest_ms END, last = $4 \
    WHERE job_name = $5 AND branch = $6 AND label_name = $7 AND provider_name = $8 AND result = $9";
const FIRST_RUN: &str = "INSERT INTO job_runtime (job_name, branch, label_name, provider_name, result, runs, total_ms, \
    longest_ms, last) VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8)";
const FORGET_RUNS: &str = "DELETE FROM job_runtime WHERE last <= (SELECT last FROM job_runtime \
    ORDER BY last DESC LIMIT 1 OFFSET $1)";
const RUNS: &str = "SELECT job_name, branch, label_name, provider_name, result, runs, total_ms, longest_ms, last \
    FROM job_runtime ORDER BY job_name, branch, label_name, provider_name, result";

/// How long the runs of one job were, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRuntime {
    /// The job's name.
    pub job: String,
    /// The branch that it built; empty when nobody told.
    pub branch: String,
    /// The label of its nodes.
    pub label: String,
    /// The provider of its nodes.
    pub provider: String,
    /// How the runs ended; `None` when nobody told.
    pub result: Option<JobResult>,
    /// How many runs there were.
    pub runs: i64,
    /// How long they took together, in milliseconds.
    pub total_ms: i64,
    /// How long the longest took, in milliseconds.
    pub longest_ms: i64,
    /// When the last one ended.
    pub last: Timestamp,
}

impl Store {
    /// The rules for jobs that fail, in the order in which they were made.
    pub async fn job_rules(&self) -> Result<Vec<JobRule>, StoreError> {
        self.db.rows(RULES, &[]).await?.iter().map(rule).collect()
    }

    /// Has nodes held on which the job of this name fails: at most so many at once, each for so long, or until somebody
    /// ends it. A job has one rule: a second one takes the place of the first.
    pub async fn set_job_rule(
        &self,
        name: &str,
        hold_on_failure: u32,
        hold_for: Option<Duration>,
    ) -> Result<(), StoreError> {
        let name = bounded(name);
        let hold_for = hold_for.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let mut write = self.db.begin().await?;
        let set = [hold_on_failure.into(), hold_for.into(), name.as_str().into()];
        if write.execute(SET_RULE, &set).await? == 0 {
            let add = [name.as_str().into(), hold_on_failure.into(), hold_for.into()];
            write.insert(ADD_RULE, &add).await?;
        }
        write.commit().await
    }

    /// Removes a rule; gives whether there was one of this number. What it holds stays held.
    pub async fn remove_job_rule(&self, id: i64) -> Result<bool, StoreError> {
        Ok(self.db.execute(REMOVE_RULE, &[id.into()]).await? > 0)
    }

    /// Adds up how long a job ran.
    pub async fn add_job_run(&self, run: &JobRun, now: Timestamp) -> Result<(), StoreError> {
        let took = i64::try_from(run.took.as_millis()).unwrap_or(i64::MAX);
        let (job, branch) = (bounded(&run.job), bounded(run.branch.as_deref().unwrap_or_default()));
        let result = run.result.map_or("unknown", JobResult::word);
        let mut write = self.db.begin().await?;
        let again = [
            took.into(),
            took.into(),
            took.into(),
            now.into(),
            job.as_str().into(),
            branch.as_str().into(),
            run.label.as_str().into(),
            run.provider.as_str().into(),
            result.into(),
        ];
        if write.execute(ADD_RUN, &again).await? == 0 {
            let first = [
                job.as_str().into(),
                branch.as_str().into(),
                run.label.as_str().into(),
                run.provider.as_str().into(),
                result.into(),
                took.into(),
                took.into(),
                now.into(),
            ];
            write.execute(FIRST_RUN, &first).await?;
        }
        write.commit().await
    }

    /// How long jobs ran, by name, branch, label, provider and result.
    pub async fn job_runtimes(&self) -> Result<Vec<JobRuntime>, StoreError> {
        self.db.rows(RUNS, &[]).await?.iter().map(runtime).collect()
    }

    /// Forgets the sums that were added to longest ago, when there are too many.
    pub async fn forget_old_job_runs(&self) -> Result<(), StoreError> {
        self.db.execute(FORGET_RUNS, &[MOST_SUMS.into()]).await.map(|_forgotten| ())
    }
}

fn rule(row: &Row) -> Result<JobRule, StoreError> {
    let (id, columns) = row.numbered("job", "id")?;
    let hold_for = columns.optional_integer("hold_for_ms")?;
    Ok(JobRule {
        id,
        name: columns.text("name")?,
        hold_on_failure: columns.count("hold_on_failure")?,
        hold_for: hold_for.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
    })
}

fn runtime(row: &Row) -> Result<JobRuntime, StoreError> {
    let columns = row.named("job_runtime", "of unreadable name");
    let job = columns.text("job_name")?;
    let columns = row.named("job_runtime", &job);
    Ok(JobRuntime {
        branch: columns.text("branch")?,
        label: columns.text("label_name")?,
        provider: columns.text("provider_name")?,
        result: JobResult::from_word(&columns.text("result")?),
        runs: columns.integer("runs")?,
        total_ms: columns.integer("total_ms")?,
        longest_ms: columns.integer("longest_ms")?,
        last: columns.time("last")?,
        job,
    })
}
