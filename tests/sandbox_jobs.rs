//! Jobs through the whole program: a real gearmand holds them, the sandbox's Jenkins runs them over real ssh, `nodepoold`
//! brings the nodes.
//!
//! Needs bubblewrap, openssh-client, gearman-job-server and gearman-tools; a test that misses one fails and says how to
//! get it.

#[expect(dead_code, reason = "this test uses a part of what clouds can do")]
#[path = "pool/cloud.rs"]
mod cloud;
#[path = "jobs/controller.rs"]
mod controller;
#[path = "jobs/doctor.rs"]
mod doctor;
#[path = "wire/held_port.rs"]
mod held_port;
#[path = "jobs/holds.rs"]
mod holds;
#[path = "jobs/inbound.rs"]
mod inbound;
#[path = "jobs/jenkins.rs"]
mod jenkins;
#[path = "jobs/life.rs"]
mod life;
#[expect(dead_code, reason = "this test uses a part of what pools can do")]
#[path = "pool/setup.rs"]
mod setup;
#[path = "jobs/webhook.rs"]
mod webhook;

use std::collections::BTreeSet;
use std::time::Duration;

use controller::Ci;
use serde_json::json;

/// How many jobs are submitted for each of two labels.
const JOBS: usize = 100;

/// Longer than so many jobs take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(8);

#[tokio::test]
async fn each_of_two_hundred_jobs_runs_on_a_node_of_its_own() {
    let mut ci = Ci::start().await;
    ci.pool.start();
    ci.pool.until_full(4, setup::LONG).await;
    ci.submit(JOBS).await;
    ci.until_done(2 * JOBS, PATIENCE).await;
    let nodes = ci.nodes_of_builds().await;
    assert_eq!(nodes.len(), 2 * JOBS, "no job runs twice");
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), 2 * JOBS, "no node runs two jobs");
    ci.until_nothing_is_left(setup::LONG).await;
    ci.pool.end().await;
}

#[tokio::test]
async fn lost_events_killed_daemons_and_a_restarted_jenkins_cost_no_job_and_no_node() {
    let mut ci = Ci::start().await;
    ci.pool.cloud.faults(&json!({"jenkins": {"event-lost": {"rate": 0.2}}})).await;
    ci.pool.start();
    ci.submit(JOBS).await;
    for done in [20, 60, 110] {
        ci.until_done(done, PATIENCE).await;
        ci.pool.kill_after(Duration::ZERO).await;
        ci.pool.start();
    }
    ci.until_done(150, PATIENCE).await;
    ci.restart_jenkins().await;
    ci.until_done(2 * JOBS, PATIENCE).await;
    let nodes = ci.nodes_of_successes().await;
    let distinct: BTreeSet<_> = nodes.iter().collect();
    assert_eq!(distinct.len(), nodes.len(), "no node runs two jobs");
    ci.until_nothing_is_left(PATIENCE).await;
    ci.pool.end().await;
}
