//! Who submits jobs: to the Gearman server if there is one, else to the queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gearman::admin::AdminClient;
use gearman::client::Client;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::controller::{Controller, Fate};
use super::job::{Config, Job};
use super::label::Expression;
use super::settings::{Planned, Traffic};
use super::{Jenkins, build, page};
use crate::sandbox::random;

/// Between two jobs of steady traffic.
const STEADY_PAUSE: Duration = Duration::from_secs(4);
/// Between two bursts.
const BURST_PAUSE: Duration = Duration::from_secs(60);
/// The jobs of a burst.
const BURST: usize = 20;
/// How long such jobs run, in seconds: one after the other.
const LENGTHS: [f64; 4] = [2.0, 5.0, 3.0, 8.0];
/// No more jobs are submitted while so many wait.
const MOST_WAITING: u64 = 200;
/// How long the Gearman server may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// What the builds of such a job run.
const SCRIPT: &str = "echo \"$JOB_NAME runs on $NODE_NAME for $DURATION s\"\nsleep \"$DURATION\"";

/// Submits jobs until it is dropped.
pub(super) async fn run(jenkins: &Arc<Jenkins>) {
    let begun = Instant::now();
    match &jenkins.settings.traffic {
        None => {}
        Some(Traffic::List(list)) => {
            for planned in list {
                let after = Duration::try_from_secs_f64(planned.after).unwrap_or_default();
                sleep_until(begun.checked_add(after).unwrap_or(begun)).await;
                submit(jenkins, planned).await;
            }
        }
        Some(Traffic::Steady) => several(jenkins, 1, STEADY_PAUSE).await,
        Some(Traffic::Burst) => several(jenkins, BURST, BURST_PAUSE).await,
    }
    std::future::pending::<()>().await;
}

/// Submits so many jobs at once again and again, for one label after the other.
async fn several(jenkins: &Arc<Jenkins>, count: usize, pause: Duration) {
    let mut seen = BTreeSet::new();
    let mut lengths = LENGTHS.iter().cycle();
    let mut turn = 0_usize;
    loop {
        sleep(if seen.is_empty() { Duration::from_secs(1) } else { pause }).await;
        seen.extend(jenkins.controller().labels());
        if seen.is_empty() || waiting(jenkins).await.is_none_or(|jobs| jobs >= MOST_WAITING) {
            continue;
        }
        for _ in 0..count {
            let label = seen.iter().nth(turn.checked_rem(seen.len()).unwrap_or(0)).cloned();
            turn = turn.wrapping_add(1);
            let (Some(label), Some(seconds)) = (label, lengths.next()) else { continue };
            let planned = Planned { after: 0.0, job: format!("test-{label}"), label, seconds: *seconds };
            submit(jenkins, &planned).await;
        }
    }
}

/// How many jobs wait or run; `None` when the Gearman server does not tell.
async fn waiting(jenkins: &Jenkins) -> Option<u64> {
    let Some(address) = jenkins.gearman() else {
        let controller = jenkins.controller();
        let waiting = controller.queue.values().filter(|item| item.fate == Fate::Waits).count();
        return u64::try_from(waiting).ok();
    };
    let ask = async {
        let mut server = AdminClient::connect(address).await.ok()?;
        let status = server.status().await.ok()?;
        let builds = status.iter().filter(|line| line.function.starts_with("build:"));
        Some(builds.fold(0_u64, |sum, line| sum.saturating_add(line.total)))
    };
    timeout(DEADLINE, ask).await.ok().flatten()
}

/// Submits one job, which is made first if Jenkins does not have it.
async fn submit(jenkins: &Arc<Jenkins>, planned: &Planned) {
    if jenkins.controller().jobs.get(&planned.job).is_none_or(|job| !runs_on(job, &planned.label)) {
        jenkins.change(|controller| make(controller, &planned.job, &planned.label));
    }
    let duration = planned.seconds.to_string();
    let Some(address) = jenkins.gearman() else {
        let given = [("DURATION".to_owned(), duration), ("RUN".to_owned(), random::hex_id())];
        jenkins.change(|controller| controller.enqueue(&planned.job, &given, Instant::now()));
        return;
    };
    let unique = random::hex_id();
    let data = json!({"ZUUL_UUID": unique, "DURATION": duration, build::ONCE: "1"}).to_string();
    let function = format!("build:{}:{}", planned.job, planned.label);
    let submitting = async {
        let client = Client::builder().servers([address.to_string()]).connect().await?;
        let options = gearman::client::SubmitOptions::background();
        client.submit(&function, Some(&unique), data, options).await
    };
    match timeout(DEADLINE, submitting).await {
        Ok(Ok(_)) => tracing::debug!(function, "a job was submitted"),
        Ok(Err(error)) => tracing::warn!(%error, function, "a job was not submitted"),
        Err(_) => tracing::warn!(function, "a job was not submitted: no answer in time"),
    }
}

fn runs_on(job: &Job, label: &str) -> bool {
    job.config.label.as_ref().is_some_and(|expression| expression.atoms().contains(label))
}

/// Makes a job that runs on a label, or has one that is there run on this label, too.
fn make(controller: &mut Controller, name: &str, label: &str) {
    let known = controller.jobs.get(name).and_then(|job| job.config.label.as_ref());
    let mut labels: Vec<&str> =
        known.map(|expression| expression.atoms().into_iter().collect()).unwrap_or_default();
    labels.push(label);
    let expression = labels.join(" || ");
    if let Some(job) = controller.jobs.get_mut(name) {
        job.config.label = Expression::parse(&expression);
        job.config.label_text = expression;
        return;
    }
    // Whoever queues it says by a value of its own that it is another one than those that wait.
    let parameter = |name: &str, default: &str| {
        format!(
            "<hudson.model.StringParameterDefinition><name>{name}</name><defaultValue>{default}</defaultValue>\
             </hudson.model.StringParameterDefinition>"
        )
    };
    let text = format!(
        "<project><description>Traffic of nodepool-sandbox</description>\
         <properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>{}{}{}</parameterDefinitions>\
         </hudson.model.ParametersDefinitionProperty></properties><assignedNode>{}</assignedNode>\
         <canRoam>false</canRoam><builders><hudson.tasks.Shell><command>{}</command></hudson.tasks.Shell></builders></project>",
        parameter("DURATION", "2"),
        parameter("RUN", ""),
        parameter(build::ONCE, "1"),
        page::escaped(&expression),
        page::escaped(SCRIPT),
    );
    if let Some(config) = Config::read(&text) {
        controller.jobs.insert(name.to_owned(), Job::new(name, config));
    }
}
