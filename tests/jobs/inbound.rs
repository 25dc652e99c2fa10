//! Agents that connect by themselves, started by the ready script that we ship.

use serde_json::json;

use super::setup::{DEADLINE, Pool, Settings};
use super::webhook::Told;

#[tokio::test]
async fn inbound_agents_connect_by_themselves_run_a_job_and_come_back_after_a_restart() {
    let settings = Settings { min_ready: 1, ready_script: Some("jenkins_agent.sh"), ..Settings::default() };
    let told = Told::start(&settings, "", "      launcher: inbound\n").await;
    // What a node says of its own agent, and of the secret of it that nobody else may see.
    let script = "set +x; cd; . /etc/nodepool/jenkins; stat -c %a /etc/nodepool/jenkins agent.secret; \
        echo agent $NODEPOOL_JENKINS_AGENT_NAME of $NODEPOOL_JENKINS_URL; \
        cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -cFf agent.secret || true";
    told.job("look", "debian", script).await;
    let ready = told.pool.until_full(1, DEADLINE).await;
    let name = ready[0]["nodename"].as_str().unwrap().to_owned();
    assert_eq!(told.agent(&name).await.unwrap()["jnlpAgent"], true);

    told.pool.cloud.faults(&json!({"jenkins": {"restart-seconds": 8, "relaunch-seconds": 1}})).await;
    told.pool.cloud.ask("POST", "/sandbox/jenkins/restart", None).await;
    let gone = async |_: &Pool| told.agent(&name).await.is_none().then_some(());
    told.pool.until("the Jenkins is down", DEADLINE, gone).await;
    let back = async |_: &Pool| (told.agent(&name).await?["offline"] == false).then_some(());
    told.pool.until("the agent has come back", DEADLINE, back).await;

    assert_eq!(told.build("look", 1).await, name);
    assert_eq!(told.result("look", 1).await, "SUCCESS");
    let log = told.jenkins.text("job/look/1/consoleText").await;
    let expected = format!("600\n600\nagent {name} of {}\n0\n", told.jenkins.url);
    assert!(log.contains(&expected), "{log}");
    told.until_gone(&name).await;
    told.pool.until_full(1, DEADLINE).await;
    told.pool.end().await;
}
