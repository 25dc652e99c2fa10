//! Each fault, seen by those whom it hits.

use std::time::{Duration, Instant};

use serde_json::json;

use super::clients::Events;
use super::driver::{Ci, TOKEN, USER, wait_for};

#[tokio::test]
async fn events_are_lost_doubled_and_late() {
    let ci = Ci::start(&["--zmq", "127.0.0.1:0"]).await;
    let mut events = Events::of(&ci).await;
    ci.agent("n1", "debian").await;
    ci.job("unit", "debian", "true").await;
    let build = async |number: u64, faults: serde_json::Value| {
        ci.faults(&json!({ "jenkins": faults })).await;
        ci.build("unit").await;
        ci.wait_for_build("unit", number, |build| build["result"] == "SUCCESS").await;
        ci.wait_for_computer("n1", "is idle", |computer| computer["idle"] == true).await;
    };
    build(1, json!({"event-lost": {"count": 2}})).await;
    assert_eq!(events.topics(1).await, ["onFinalized 1"]);
    build(2, json!({"event-twice": {"count": 1}})).await;
    assert_eq!(events.topics(4).await, ["onStarted 2", "onStarted 2", "onCompleted 2", "onFinalized 2"]);
    build(3, json!({"event-late": {"count": 1}, "event-late-seconds": 15})).await;
    assert_eq!(events.topics(3).await, ["onCompleted 3", "onFinalized 3", "onStarted 3"]);
}

#[tokio::test]
async fn an_agent_never_comes_online() {
    let ci = Ci::start(&["--fault", "jenkins.agent-never={count: 1}"]).await;
    let machine = ci.machine("n1").await;
    let launcher = ci.launcher(&machine, "given", &machine.host_key);
    ci.create_agent("first", "debian", &launcher).await;
    wait_for("the fault has struck", async || {
        let faults = ci.client.get(ci.sandbox("/sandbox/faults")).send().await.unwrap();
        let faults: serde_json::Value = faults.json().await.unwrap();
        (faults["jenkins"]["agent-never"]["count"] == 0).then_some(())
    })
    .await;
    ci.create_agent("second", "debian", &launcher).await;
    ci.wait_for_computer("second", "is online", |computer| computer["offline"] == false).await;
    let shown = ci.get("computer/first/api/json").await;
    assert_eq!((&shown["offline"], &shown["offlineCause"]), (&json!(true), &json!(null)));
}

#[tokio::test]
async fn a_restart_cuts_everything_and_keeps_what_is_configured() {
    let ci = Ci::start(&["--gearman", "127.0.0.1:0", "--start-gearmand"]).await;
    ci.agent("n1", "debian").await;
    ci.job("long", "debian", "sleep 1000").await;
    ci.build("long").await;
    ci.wait_for_build("long", 1, |build| build["building"] == true).await;
    ci.faults(&json!({"jenkins": {"restart-seconds": 15}})).await;
    ci.restart().await;
    let url = format!("{}api/json", ci.jenkins);
    let ask = async || ci.client.get(&url).basic_auth(USER, Some(TOKEN)).send().await;
    wait_for("connections are cut", async || ask().await.err()).await;
    let starting = wait_for("it is starting", async || ask().await.ok()).await;
    assert_eq!(starting.status(), 503);
    assert!(!starting.headers().contains_key("x-jenkins"));
    assert!(starting.text().await.unwrap().contains("Starting Jenkins"));
    wait_for("it is up", async || ask().await.ok().filter(|answer| answer.status() == 200)).await;
    ci.wait_for_computer("n1", "is online again", |computer| computer["offline"] == false).await;
    ci.wait_for_build("long", 1, |build| build["result"] == "FAILURE").await;
    wait_for("its worker is registered again", async || {
        (super::clients::functions(&ci).await.get("build:long:debian")?.1 == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_controller_is_slow_and_loses_answers() {
    let ci = Ci::start(&[]).await;
    ci.faults(&json!({"jenkins": {"answer-seconds": 1.0}})).await;
    let asked = Instant::now();
    ci.get("api/json").await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "an answer before its time");
    ci.faults(&json!({"jenkins": {"answer-seconds": 0, "answer-lost": {"count": 1}}})).await;
    let url = format!("{}computer/doCreateItem", ci.jenkins);
    let form = [("name", "n1"), ("type", "hudson.slaves.DumbSlave"), ("json", "{}")];
    let lost = ci.client.post(url).basic_auth(USER, Some(TOKEN)).form(&form).send().await;
    assert!(lost.is_err(), "the answer is lost");
    assert_eq!(ci.get("computer/n1/api/json").await["displayName"], "n1", "and the agent is made");
    ci.faults(&json!({"jenkins": {"answer-error": {"count": 1}}})).await;
    assert_eq!(ci.post("computer/n1/doDelete", &[]).await.status, 500);
    assert_eq!(ci.get("computer/n1/api/json").await["displayName"], "n1", "it was not done");
}
