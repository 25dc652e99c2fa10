//! The daemon's own driver at this Jenkins, which was built without it: a node's life as an agent.

use std::time::Duration;

use nodepool::model::{Agent, AgentTag, NodeId};
use nodepool::target::jenkins::{JenkinsTarget, Launcher, Settings};
use nodepool::target::{
    DemandSource as _, Enrollment, Roster, Target as _, TargetError, Withdrawal, describe,
};
use secrecy::ExposeSecret as _;

use super::driver::{Ci, Machine, PASSWORD, TOKEN, USER, wait_for};

fn tag() -> AgentTag {
    AgentTag { installation: "inst-1".into(), node: NodeId(7) }
}

async fn driver(ci: &Ci, apikey: &str, launcher: Launcher) -> JenkinsTarget {
    let settings = Settings {
        url: ci.jenkins.clone(),
        user: USER.into(),
        apikey: apikey.into(),
        credentials_id: None,
        launcher,
        api_timeout: Duration::from_secs(30),
        ca_file: None,
    };
    JenkinsTarget::new(settings).await.unwrap()
}

/// A node on a machine, offered without labels.
fn enrollment(ci: &Ci, machine: &Machine) -> Enrollment {
    let launcher = ci.launcher(machine, "", "");
    Enrollment {
        name: "n1".into(),
        tag: tag(),
        description: describe("debian", &tag(), None),
        labels: Vec::new(),
        address: machine.address.parse().unwrap(),
        port: launcher["port"].as_str().unwrap().parse().unwrap(),
        username: "root".into(),
        private_key: ci.folder.path().join("key"),
        host_key: Some(machine.host_key.clone()),
        root: "/root/ci".into(),
    }
}

fn withdrawal(insist: bool) -> Withdrawal {
    Withdrawal { name: "n1".into(), tag: tag(), manager: None, insist }
}

async fn roster(driver: &JenkinsTarget) -> Roster {
    driver.roster().await.unwrap().unwrap()
}

/// Waits until the listing shows the agent as wanted.
async fn listed(driver: &JenkinsTarget, what: &str, wanted: impl Fn(&Agent) -> bool) -> Agent {
    wait_for(&format!("the listing shows that the agent {what}"), async || {
        let roster = driver.roster().await.ok().flatten()?;
        roster.agents.into_iter().find(|agent| agent.name == "n1" && wanted(agent))
    })
    .await
}

#[tokio::test]
async fn the_driver_takes_a_node_through_its_life() {
    let ci = Ci::start(&[]).await;
    let driver = driver(&ci, TOKEN, Launcher::Ssh).await;
    let machine = ci.machine("n1").await;
    driver.enroll(&enrollment(&ci, &machine)).await.unwrap();
    let agent = listed(&driver, "is online", |agent| agent.online).await;
    assert_eq!((agent.tag, agent.labels.as_slice()), (Some(tag()), &[][..]));
    driver.enroll(&enrollment(&ci, &machine)).await.expect("it is there, and this node's");

    ci.job("check", "n1", "true").await;
    driver.start_test("check", "n1").await.unwrap();
    ci.wait_for_build("check", 1, |build| build["result"] == "SUCCESS").await;
    driver.relabel("n1", &tag(), &["debian".into()]).await.unwrap();
    let agent = listed(&driver, "has its label", |agent| agent.labels == ["debian"]).await;
    assert_eq!(agent.tag, Some(tag()));

    ci.job("long", "debian", "sleep 1000").await;
    ci.build("long").await;
    // The executor of the build before may be freed a moment after its result is shown.
    let long = |agent: &Agent| agent.build.as_deref().is_some_and(|build| build.ends_with("/job/long/1/"));
    assert!(!listed(&driver, "builds", long).await.idle);
    ci.job("next", "debian", "true").await;
    ci.build("next").await;
    ci.job("other", "other", "true").await;
    ci.build("other").await;
    let queue = driver.queue(["debian".to_owned(), "other".to_owned(), "n1".to_owned()]);
    wait_for("both wait", async || {
        let waiting = queue.ask().await.unwrap().waiting;
        (waiting.get("debian") == Some(&1) && waiting.get("other") == Some(&1)).then_some(())
    })
    .await;
    let error = driver.withdraw(&withdrawal(false)).await.unwrap_err();
    assert!(matches!(&error, TargetError::Busy(text) if text.contains("/job/long/1/")), "{error:?}");
    let stranger = Withdrawal { tag: AgentTag { node: NodeId(8), ..tag() }, ..withdrawal(true) };
    let error = driver.withdraw(&stranger).await.unwrap_err();
    assert!(matches!(error, TargetError::Rejected(_)), "{error:?}");
    assert_eq!(roster(&driver).await.agents.len(), 1);
    let told = describe("debian", &tag(), Some("held by <jo> & co"));
    driver.hold("n1", &tag(), &told, "held by <jo> & co").await.unwrap();
    let shown = ci.get("computer/n1/api/json").await;
    assert_eq!(
        (&shown["description"], &shown["offlineCauseReason"]),
        (&told.into(), &"held by <jo> & co".into())
    );
    let agent = listed(&driver, "still builds", |agent| agent.build.is_some()).await;
    assert!(agent.set_offline, "{agent:?}");
    driver.withdraw(&withdrawal(true)).await.unwrap();
    ci.wait_for_build("long", 1, |build| build["result"] == "FAILURE").await;
    assert!(roster(&driver).await.agents.is_empty());
    driver.withdraw(&withdrawal(false)).await.expect("it is gone");
}

#[tokio::test]
async fn a_password_works_through_a_restart_and_while_it_quiets_down_nothing_is_enrolled() {
    let ci = Ci::start(&[]).await;
    let driver = driver(&ci, PASSWORD, Launcher::Ssh).await;
    let machine = ci.machine("n1").await;
    driver.enroll(&enrollment(&ci, &machine)).await.unwrap();
    listed(&driver, "is online", |agent| agent.online).await;
    ci.restart().await;
    let error = wait_for("the restart is felt", async || driver.roster().await.err()).await;
    assert!(matches!(error, TargetError::Unavailable(_)), "{error:?}");
    listed(&driver, "is online again", |agent| agent.online).await;
    assert_eq!(ci.post("quietDown", &[]).await.status, 302);
    assert!(roster(&driver).await.quieting_down);
    let other = Enrollment { name: "n2".into(), ..enrollment(&ci, &machine) };
    let error = driver.enroll(&other).await.unwrap_err();
    assert!(matches!(error, TargetError::QuietingDown(_)), "{error:?}");
    driver.withdraw(&withdrawal(false)).await.unwrap();
    assert!(roster(&driver).await.agents.is_empty(), "with the crumb of a new session");
}

#[tokio::test]
async fn a_launch_that_fails_leaves_its_reason_in_the_log() {
    let ci = Ci::start(&[]).await;
    let driver = driver(&ci, TOKEN, Launcher::Ssh).await;
    let (machine, other) = (ci.machine("n1").await, ci.machine("n2").await);
    let wrong = Enrollment { host_key: Some(other.host_key), ..enrollment(&ci, &machine) };
    driver.enroll(&wrong).await.unwrap();
    let agent = listed(&driver, "failed", |agent| agent.offline_reason.contains("failed to launch")).await;
    assert!(!agent.online && agent.idle && !agent.set_offline);
    let log = driver.launch_log("n1").await.unwrap();
    assert!(log.contains("does not match"), "{log}");
}

#[tokio::test]
async fn an_inbound_agent_gets_what_it_needs() {
    let ci = Ci::start(&[]).await;
    let driver = driver(&ci, TOKEN, Launcher::Inbound).await;
    let machine = ci.machine("n1").await;
    driver.enroll(&enrollment(&ci, &machine)).await.unwrap();
    let inbound = driver.inbound("n1").await.unwrap();
    assert_eq!((inbound.url.as_str(), inbound.name.as_str()), (ci.jenkins.as_str(), "n1"));
    assert_eq!(inbound.secret.expose_secret().len(), 64);
    assert!(ci.read("computer/n1/jenkins-agent.jnlp").await.text.contains(inbound.secret.expose_secret()));
    // Whoever has the secret may come in, and over a WebSocket only. The program is there for everybody.
    let connect = async |path: &str, secret: &str| {
        let request = ci.client.get(format!("{}{path}", ci.jenkins)).header("Node-Name", "n1");
        request.header("Secret-Key", secret).send().await.unwrap().status().as_u16()
    };
    assert_eq!(connect("wsagents/", "0123456789abcdef").await, 403);
    assert_eq!(connect("wsagents/", inbound.secret.expose_secret()).await, 400);
    assert_eq!(connect("jnlpJars/agent.jar", "").await, 200);
}
