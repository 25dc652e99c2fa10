//! Nodes of a Jenkins from their test job to their end, told of by the webhook alone.

use nodepool::model::CLOSED;
use serde_json::{Value, json};

use super::cloud::text;
use super::setup::{DEADLINE, Pool, Settings, id};
use super::webhook::Told;

const PAIR: &str = "  - name: pair\n    image: ci-debian\n    min-ready: 1\n    subnodes: 1\n    providers: [{name: sandbox}]\n";

#[tokio::test]
async fn nodes_are_tested_take_one_job_with_their_subnodes_and_never_go_under_a_job() {
    let settings = Settings { min_ready: 1, max_servers: 8, ..Settings::default() };
    let told = Told::start(&settings, PAIR, "      test-job: try\n").await;
    told.test_job("createItem?name=try", "echo its labels are $NODE_LABELS").await;
    for (name, label, script) in
        [("short", "pair", "sleep 1000"), ("long", "debian", "sleep 1000"), ("next", "debian", "true")]
    {
        told.job(name, label, script).await;
    }
    let nodes = told.pool.until_full(3, DEADLINE).await;
    tested(&told, &nodes).await;
    used_with_its_subnode(&told).await;
    busy(&told).await;
    a_restarted_jenkins_starts_no_second_job(&told).await;
    told.pool.end().await;
}

/// Each node passed its test job before it had its label.
async fn tested(told: &Told, nodes: &[Value]) {
    let primaries: Vec<&Value> = nodes.iter().filter(|node| node["primary"].is_null()).collect();
    assert_eq!(primaries.len(), 2, "{nodes:?}");
    for node in &primaries {
        let (name, label) = (text(node, "nodename"), text(node, "label"));
        let agent = told.agent(&name).await.expect("a ready node has its agent");
        let labels = agent["assignedLabels"].as_array().unwrap();
        assert!(labels.iter().any(|shown| shown["name"] == label.as_str()), "{agent}");
        let history = told.history(node).await;
        assert!(history.contains("its test job try succeeded"), "{history}");
    }
    for number in 1..=2 {
        let build = told.jenkins.read(&format!("job/try/{number}/api/json")).await.unwrap();
        let name = text(&build, "builtOn");
        assert!(primaries.iter().any(|node| node["nodename"] == name.as_str()), "{build}");
        let log = told.jenkins.text(&format!("job/try/{number}/consoleText")).await;
        assert!(log.contains(&format!("its labels are {name}\n")), "it had no other label yet: {log}");
    }
}

/// A set is used and goes as one.
async fn used_with_its_subnode(told: &Told) {
    let name = told.build("short", 1).await;
    let used = told.until_node(&name, "is used", |node| node["state"] == "used").await;
    let of_set = async |_: &Pool| {
        let nodes = told.pool.nodes().await;
        nodes.into_iter().find(|node| node["primary"] == used["id"] && node["state"] == "used")
    };
    let subnode = told.pool.until("its subnode is used with it", DEADLINE, of_set).await;
    told.jenkins.post("job/short/1/stop", None).await;
    told.until_gone(&name).await;
    let gone = async |pool: &Pool| {
        let servers = pool.cloud.server_ids().await;
        let nodes = pool.nodes().await;
        let none = nodes.iter().all(|node| node["id"] != subnode["id"]);
        (none && !servers.contains(&text(&subnode, "server_id"))).then_some(())
    };
    told.pool.until("its subnode is gone, too", DEADLINE, gone).await;
}

/// A busy node is spared until somebody insists. What takes its place fails its test job, until that is mended.
async fn busy(told: &Told) {
    told.test_job("job/try/config.xml", "exit 3").await;
    let name = told.build("long", 1).await;
    let row = told
        .until_node(&name, "is used by its job", |node| node["state"] == "used" && node["job"] == "long")
        .await;
    let asked = told.pool.nodepool(&["delete", &id(&row)]).await;
    let said = format!("{}{}", asked.out, asked.err);
    assert!(asked.success && said.contains("when job long is over"), "{asked:?}");
    let refused = async |pool: &Pool| {
        let looked = pool.cloud.requests("jenkins-computer-show").await > 0;
        let waits = told.page().await.contains("waits for the job on it to end");
        (looked && waits).then_some(())
    };
    told.pool.until("its withdrawal waits for the job", DEADLINE, refused).await;
    let server = text(&row, "server_id");
    assert!(told.pool.cloud.server_ids().await.contains(&server), "the server stays under the job");
    let build = told.jenkins.read("job/long/1/api/json").await.unwrap();
    assert_eq!(build["building"], true, "{build}");

    let failed = async |pool: &Pool| {
        let mut failed = Vec::new();
        for line in pool.daemon_log().lines().filter(|line| line.contains("its test job try failed")) {
            failed.push(line.to_owned());
        }
        failed.into_iter().next()
    };
    let line = told.pool.until("the next node fails its test job", DEADLINE, failed).await;
    assert!(line.contains("delete"), "it goes: {line}");
    told.test_job("job/try/config.xml", "true").await;

    let insisted = told.pool.nodepool(&["delete", "--now", &id(&row)]).await;
    let said = format!("{}{}", insisted.out, insisted.err);
    assert!(insisted.success && said.contains("job long runs on it and fails by that"), "{insisted:?}");
    assert_eq!(told.result("long", 1).await, "FAILURE");
    told.until_gone(&name).await;
    let nodes = told.pool.until_full(3, DEADLINE).await;
    assert!(nodes.iter().all(|node| node["nodename"] != name.as_str()));
}

/// Jenkins restarts under a job. It connects to the agent again and has a job that only this agent could run; but the agent
/// was closed when its own job began.
async fn a_restarted_jenkins_starts_no_second_job(told: &Told) {
    told.job("cut", "debian", "sleep 1000").await;
    let name = told.build("cut", 1).await;
    let closed = async |_: &Pool| {
        let agent = told.agent(&name).await?;
        (agent["offlineCauseReason"] == CLOSED && agent["idle"] == false).then_some(())
    };
    told.pool.until("the agent takes no other job, and has its own", DEADLINE, closed).await;
    told.job("second", &name, "true").await;
    told.jenkins.post("job/second/build?delay=0sec", None).await;
    told.pool.cloud.faults(&json!({"jenkins": {"restart-seconds": 1, "relaunch-seconds": 1}})).await;
    told.pool.cloud.ask("POST", "/sandbox/jenkins/restart", None).await;
    told.until_gone(&name).await;
    assert_eq!(told.result("cut", 1).await, "FAILURE");
    let second = told.jenkins.read("job/second/api/json?tree=nextBuildNumber").await.unwrap();
    assert_eq!(second["nextBuildNumber"], 1, "it never began");
    told.pool.until_full(3, DEADLINE).await;
}
