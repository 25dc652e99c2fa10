//! `nodepool job-list`, `job-create` and `job-delete`: jobs whose failures are worth a look. A node on which such a job
//! fails is held, as many at once as the rule says.

use std::time::Duration;

use serde::Serialize;

use super::{Failure, Session, Table};
use crate::model::{JobRule, NodeState};

/// The job to watch.
#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// The job's exact name
    pub name: String,
    /// How many nodes on which it failed are held at once, at most; 0 holds none
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub hold_on_failure: u32,
    /// End each of these holds by itself after this time, such as 2d; without it, they last until `unhold` or `delete`
    #[arg(long = "for", value_name = "TIME", value_parser = super::duration)]
    pub time: Option<Duration>,
}

/// The rules to remove.
#[derive(Clone, Debug, clap::Args)]
pub struct Delete {
    /// Their numbers, as `job-list` shows them
    #[arg(required = true, value_name = "ID", value_parser = super::number)]
    pub ids: Vec<i64>,
}

/// A rule, and how many nodes it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct JobView {
    id: i64,
    name: String,
    hold_on_failure: u32,
    hold_for_seconds: Option<u64>,
    held: usize,
}

/// Prints the rules.
pub async fn list(session: &Session) -> Result<(), Failure> {
    let nodes = session.store.nodes().await?;
    let view = |rule: JobRule| {
        let held = nodes.iter().filter(|node| {
            node.state == NodeState::Hold && node.held_for.as_deref() == Some(rule.name.as_str())
        });
        JobView {
            id: rule.id,
            hold_on_failure: rule.hold_on_failure,
            hold_for_seconds: rule.hold_for.map(|time| time.as_secs()),
            held: held.count(),
            name: rule.name,
        }
    };
    let views: Vec<JobView> = session.store.job_rules().await?.into_iter().map(view).collect();
    session.console.rows(|| table(&views), || views.clone())
}

/// Makes a rule, or changes the one that the job has, and prints all of them.
pub async fn create(session: &Session, arguments: &Create) -> Result<(), Failure> {
    if arguments.name.trim().is_empty() {
        return Err(Failure::usage(
            "the name of the job is empty".to_owned(),
            "give the exact name of a job, as Jenkins shows it",
        ));
    }
    session.store.set_job_rule(&arguments.name, arguments.hold_on_failure, arguments.time).await?;
    session.ring();
    list(session).await
}

/// Removes rules. What they hold stays held.
pub async fn delete(session: &Session, arguments: &Delete) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for id in &arguments.ids {
        if !session.store.remove_job_rule(*id).await? {
            missing.push(id.to_string());
        }
    }
    session.ring();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(
        format!("no rule has the number {}", missing.join(", ")),
        "`nodepool job-list` shows the rules that there are",
    ))
}

/// The columns of nodepool v0.
fn table(views: &[JobView]) -> Table {
    let mut table = Table::new(["ID", "Name", "Hold on Failure"]);
    for view in views {
        let cells = [view.id.to_string(), view.name.clone(), view.hold_on_failure.to_string()];
        table.row(cells.map(Some));
    }
    table
}
