//! Agents on real machines: online, offline, broken, refused.

use serde_json::{Value, json};

use super::driver::{Ci, wait_for};

const FAILED: &str = "This agent is offline because Jenkins failed to launch the agent process on it.";

fn is_cut_off(computer: &Value) -> bool {
    computer["offlineCauseReason"] == "Connection was broken"
}

#[tokio::test]
async fn a_key_made_over_rest_lets_the_agent_in() {
    let ci = Ci::start(&[]).await;
    let class = "com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey";
    let key = ci.private_key();
    let sent = json!({"": "0", "credentials": {"scope": "GLOBAL", "id": "by-form", "username": "root",
        "privateKeySource": {"stapler-class": format!("{class}$DirectEntryPrivateKeySource"), "privateKey": key},
        "stapler-class": class}});
    let store = "credentials/store/system/domain/_/";
    let sent = sent.to_string();
    assert_eq!(ci.post(&format!("{store}createCredentials"), &[("json", &sent)]).await.status, 302);
    let document = format!(
        "<{class}><scope>SYSTEM</scope><id>by-xml</id><description>d</description><username>root</username>\
         <privateKeySource class=\"{class}$DirectEntryPrivateKeySource\"><privateKey>{key}</privateKey>\
         </privateKeySource></{class}>"
    );
    assert_eq!(ci.post_xml(&format!("{store}createCredentials"), &document).await.status, 200);
    assert_eq!(ci.post_xml(&format!("{store}createCredentials"), &document).await.status, 409);
    assert_eq!(ci.get(&format!("{store}credential/by-xml/api/json")).await["id"], "by-xml");
    assert_eq!(ci.read(&format!("{store}credential/none/api/json")).await.status, 404);
    assert!(!ci.read(&format!("{store}credential/by-xml/config.xml")).await.text.contains("PRIVATE KEY"));
    let machine = ci.machine("n1").await;
    for (name, credentials) in [("n1", "by-form"), ("n2", "by-xml")] {
        ci.create_agent(name, "debian", &ci.launcher(&machine, credentials, &machine.host_key)).await;
        ci.wait_for_computer(name, "is online", |computer| computer["offline"] == false).await;
    }
}

#[tokio::test]
async fn a_launch_that_fails_is_told_and_tried_again() {
    let ci = Ci::start(&["--fault", "jenkins.relaunch-seconds=600"]).await;
    let machine = ci.machine("n1").await;
    let other = ci.machine("n2").await;
    let failed = |computer: &Value| computer["offlineCauseReason"] == FAILED;
    for (name, credentials, key, why) in [
        ("wrong-key", "given", &other.host_key, "does not match the key required"),
        (
            "no-credentials",
            "missing",
            &machine.host_key,
            "Failed to find credentials entry with id [missing]",
        ),
    ] {
        ci.create_agent(name, "debian", &ci.launcher(&machine, credentials, key)).await;
        let shown = ci.wait_for_computer(name, "failed", failed).await;
        assert_eq!(shown["offlineCause"]["_class"], "hudson.slaves.OfflineCause$LaunchFailed");
        assert_eq!((&shown["temporarilyOffline"], &shown["idle"]), (&json!(false), &json!(true)));
        let log = ci.read(&format!("computer/{name}/logText/progressiveText?start=0")).await;
        assert!(log.text.contains(why), "{}", log.text);
        assert_eq!(log.header("x-text-size"), log.text.len().to_string());
    }
    // Put right, it comes online when somebody has it launched.
    let config = ci.read("computer/wrong-key/config.xml").await.text;
    let word = |line: &str| line.split_whitespace().nth(1).unwrap().to_owned();
    let right = config.replace(&word(&other.host_key), &word(&machine.host_key));
    assert_eq!(ci.post_xml("computer/wrong-key/config.xml", &right).await.status, 200);
    assert_eq!(ci.post("computer/wrong-key/launchSlaveAgent", &[]).await.status, 302);
    ci.wait_for_computer("wrong-key", "is online", |computer| computer["offline"] == false).await;
}

#[tokio::test]
async fn a_machine_that_goes_takes_its_agent_and_its_build_along() {
    let ci = Ci::start(&[]).await;
    let machine = ci.agent("n1", "debian").await;
    ci.job("long", "debian", "sleep 1000").await;
    ci.build("long").await;
    ci.wait_for_computer("n1", "builds", |computer| {
        computer["executors"][0]["currentExecutable"]["building"] == true
    })
    .await;
    assert_eq!(ci.get("computer/n1/api/json").await["idle"], false);
    ci.delete_machine(&machine).await;
    ci.wait_for_build("long", 1, |build| build["result"] == "FAILURE").await;
    let shown = ci.wait_for_computer("n1", "is cut off", is_cut_off).await;
    assert_eq!(shown["offlineCause"]["_class"], "hudson.slaves.OfflineCause$ChannelTermination");
    assert_eq!((&shown["offline"], &shown["temporarilyOffline"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn a_node_that_is_busy_is_deleted_all_the_same_and_its_build_fails() {
    let ci = Ci::start(&[]).await;
    ci.agent("n1", "debian").await;
    ci.job("long", "debian", "sleep 1000").await;
    ci.build("long").await;
    ci.wait_for_build("long", 1, |build| build["building"] == true).await;
    let deleted = ci.post("computer/n1/doDelete", &[]).await;
    assert_eq!(
        (deleted.status, deleted.header("location")),
        (302, format!("{}computer/", ci.jenkins).as_str())
    );
    ci.wait_for_build("long", 1, |build| build["result"] == "FAILURE").await;
    assert_eq!(ci.read("computer/n1/api/json").await.status, 404);
}

#[tokio::test]
async fn a_node_set_offline_finishes_its_build_and_takes_no_other() {
    let ci = Ci::start(&[]).await;
    ci.agent("n1", "debian").await;
    ci.job("wait", "debian", "until test -e /root/go; do sleep 0.1; done").await;
    ci.job("next", "debian", "true").await;
    ci.build("wait").await;
    ci.wait_for_build("wait", 1, |build| build["building"] == true).await;
    ci.post("computer/n1/toggleOffline", &[("offlineMessage", "first")]).await;
    let shown = ci.get("computer/n1/api/json").await;
    assert_eq!((&shown["idle"], &shown["offline"]), (&json!(false), &json!(true)));
    assert_eq!(shown["offlineCause"]["description"], "Disconnected by admin : first");
    ci.post("computer/n1/changeOfflineCause", &[("offlineMessage", "second")]).await;
    assert_eq!(ci.get("computer/n1/api/json").await["offlineCauseReason"], "second");
    ci.build("next").await;
    assert_eq!(ci.post("job/wait/1/stop", &[]).await.status, 302);
    ci.wait_for_build("wait", 1, |build| build["result"] == "ABORTED").await;
    ci.wait_for_computer("n1", "is idle", |computer| computer["idle"] == true).await;
    let queue = ci.get("queue/api/json").await;
    assert_eq!(queue["items"][0]["why"], "All nodes of label ‘debian’ are offline");
    assert_eq!(queue["items"][0]["task"]["labelExpression"], "debian");
    ci.post("computer/n1/toggleOffline", &[]).await;
    ci.wait_for_build("next", 1, |build| build["result"] == "SUCCESS").await;
    wait_for("the queue is empty", async || {
        ci.get("queue/api/json").await["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}
