//! The listing of agents: what each state looks like, and what oddness costs.

use nodepool::target::{Target as _, TargetError};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{Fake, agent, description, page, parameter, tag, with};

const LISTING: &str = "/computer/api/json";

async fn listed(computers: Value) -> (Fake, nodepool::target::Roster) {
    let fake = Fake::ready().await;
    fake.json("GET", LISTING, json!({"_class": "hudson.model.ComputerSet", "computer": computers})).await;
    let roster = fake.driver().await.roster().await.unwrap().unwrap();
    (fake, roster)
}

#[tokio::test]
async fn each_state_of_an_agent_is_told_as_it_is() {
    let busy =
        json!([{"currentExecutable": {"_class": "hudson.model.FreeStyleBuild", "url": "http://j/job/x/7/"}}]);
    let cause = |class: &str, text: Value| json!({"_class": class, "timestamp": 1, "description": text});
    let set = cause("hudson.slaves.OfflineCause$ByCLI", json!("Offline due to Gearman request"));
    let gone = cause("hudson.slaves.OfflineCause$ChannelTermination", json!("Connection was broken"));
    let failed = cause("hudson.slaves.OfflineCause$LaunchFailed", Value::Null);
    let off = |fields: Value| with(json!({"idle": true, "offline": true, "offlineCauseReason": ""}), fields);
    let ours = |name: &str, fields: Value| with(agent(name, &description()), fields);
    let (fake, roster) = listed(json!([
        {"_class": "hudson.model.Hudson$MasterComputer", "displayName": "Built-In Node", "idle": true, "offline": false},
        ours("free", json!({})),
        ours("new", off(json!({}))),
        ours("assigned", json!({"idle": false, "executors": [{"currentExecutable": null}]})),
        ours("building", json!({"idle": false, "executors": busy})),
        ours("set-off-busy", off(json!({"idle": false, "temporarilyOffline": true, "offlineCauseReason": "by me",
            "executors": busy}))),
        ours("spent", off(json!({"temporarilyOffline": true, "offlineCause": set}))),
        ours("died", off(json!({"offlineCause": gone}))),
        ours("failed", off(json!({"offlineCause": failed}))),
        agent("alien", "somebody else's"),
    ]))
    .await;
    let shown: Vec<_> = roster
        .agents
        .iter()
        .map(|one| (one.name.as_str(), one.online, one.idle, one.set_offline, one.offline_reason.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("free", true, true, false, ""),
            ("new", false, true, false, ""),
            ("assigned", true, false, false, ""),
            ("building", true, false, false, ""),
            ("set-off-busy", false, false, true, "by me"),
            ("spent", false, true, true, "Offline due to Gearman request"),
            ("died", false, true, false, "Connection was broken"),
            ("failed", false, true, false, "LaunchFailed"),
            ("alien", true, true, false, ""),
        ]
    );
    assert!(!roster.quieting_down);
    assert_eq!(roster.agents[0].tag, Some(tag()));
    assert_eq!(roster.agents[0].labels, ["ci-jessie"], "its own name is no label");
    assert_eq!(roster.agents[3].build.as_deref(), Some("http://j/job/x/7/"));
    assert_eq!(roster.agents[8].tag, None);
    let tree = parameter(&fake.request("GET", LISTING).await, "tree").unwrap();
    for field in
        ["description", "assignedLabels[name]", "idle", "offline", "temporarilyOffline", "executors["]
    {
        assert!(tree.starts_with("computer[") && tree.contains(field), "{field} is not in {tree}");
    }
}

#[tokio::test]
async fn an_odd_agent_costs_that_agent_and_what_is_not_told_makes_nobody_act() {
    let (_, roster) = listed(json!([
        null,
        "agent",
        {"displayName": 7},
        {"displayName": "bare"},
        {"displayName": "odd", "description": ["x"], "assignedLabels": {"a": 1}, "idle": "yes", "offline": null,
            "temporarilyOffline": 1, "offlineCause": 3, "offlineCauseReason": {}, "executors": [null, {}, {"currentExecutable": 9}]},
        agent("good", &description()),
    ]))
    .await;
    let shown: Vec<_> = roster.agents.iter().map(|one| (one.name.as_str(), one.online, one.idle)).collect();
    assert_eq!(shown, [("bare", false, false), ("odd", false, false), ("good", true, true)]);
}

#[tokio::test]
async fn a_controller_that_quiets_down_says_so() {
    let fake = Fake::empty().await;
    fake.json("GET", LISTING, json!({"computer": []})).await;
    fake.json("GET", "/api/json", json!({"quietingDown": true})).await;
    let roster = fake.driver().await.roster().await.unwrap().unwrap();
    assert!(roster.quieting_down && roster.agents.is_empty());
}

#[tokio::test]
async fn what_is_no_listing_is_never_an_empty_one() {
    for body in [json!({}), json!([]), json!({"computer": null}), json!({"computer": {}}), json!("computer")]
    {
        let fake = Fake::ready().await;
        fake.json("GET", LISTING, body.clone()).await;
        let error = fake.driver().await.roster().await.unwrap_err();
        assert!(matches!(error, TargetError::Unavailable(_)), "{body}: {error:?}");
    }
    let fake = Fake::ready().await;
    fake.respond("GET", LISTING, page(200)).await;
    let error = fake.driver().await.roster().await.unwrap_err();
    assert!(matches!(error, TargetError::Unavailable(_)), "a proxy's own page: {error:?}");
    let fake = Fake::empty().await;
    fake.json("GET", LISTING, json!({"computer": []})).await;
    let error = fake.driver().await.roster().await.unwrap_err();
    assert!(
        matches!(&error, TargetError::Rejected(text) if text.contains("URL")),
        "half of it is missing: {error:?}"
    );
}

#[tokio::test]
async fn ten_thousand_agents_are_read_and_an_endless_listing_is_not() {
    let many: Vec<Value> = (0..10_000).map(|number| agent(&format!("ci-{number}"), &description())).collect();
    let (_, roster) = listed(Value::Array(many)).await;
    assert_eq!(roster.agents.len(), 10_000);
    let fake = Fake::ready().await;
    let endless = format!("{{\"computer\": [{}]}}", " ".repeat(33 << 20));
    fake.respond("GET", LISTING, ResponseTemplate::new(200).set_body_raw(endless, "application/json")).await;
    let error = fake.driver().await.roster().await.unwrap_err();
    assert!(matches!(&error, TargetError::Unavailable(text) if text.contains("longer than")), "{error:?}");
}
