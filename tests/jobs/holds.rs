//! Holds, by a rule and by hand, as people see them in Jenkins.

use serde_json::Value;

use super::cloud::text;
use super::setup::{DEADLINE, Pool, Settings, id};
use super::webhook::Told;

/// Waits until Jenkins says of an agent that it is held, and takes no more jobs there.
async fn until_told(told: &Told, name: &str, words: &str) -> Value {
    let says = async |_: &Pool| {
        let agent = told.agent(name).await?;
        let said = text(&agent, "description").contains(words)
            && text(&agent, "offlineCauseReason").contains(words)
            && agent["temporarilyOffline"] == true;
        said.then_some(agent)
    };
    told.pool.until(&format!("the agent of {name} says {words:?}"), DEADLINE, says).await
}

#[tokio::test]
async fn holds_by_a_rule_and_by_hand_are_seen_in_jenkins_and_end() {
    let settings = Settings { min_ready: 2, max_servers: 8, ..Settings::default() };
    let told = Told::start(&settings, "", "").await;
    for (name, script) in [("unit", "exit 1"), ("unit-2", "exit 1"), ("good", "true")] {
        told.job(name, "debian", script).await;
    }
    told.pool.rows(&["job-create", "unit", "--hold-on-failure", "1"]).await;
    told.pool.until_full(2, DEADLINE).await;

    let held = told.build("unit", 1).await;
    let row = told.until_node(&held, "is held", |node| node["state"] == "hold").await;
    assert_eq!((&row["held_by"], &row["job"]), (&"nodepool".into(), &"unit".into()), "{row}");
    assert_eq!(row["comment"], "Automatically held after failing unit");
    let agent = until_told(&told, &held, "held by nodepool: Automatically held after failing unit").await;
    assert!(text(&agent, "description").starts_with("Dynamic single use debian node [nodepool "), "{agent}");

    // The rule holds one, and is for the exact name.
    for (job, number) in [("unit-2", 1), ("unit", 2), ("good", 1)] {
        let name = told.build(job, number).await;
        assert_ne!(name, held, "no job starts on a held node");
        told.until_gone(&name).await;
    }
    let rules = told.pool.rows(&["job-list"]).await;
    assert_eq!((&rules[0]["name"], &rules[0]["held"]), (&"unit".into(), &1.into()), "{rules:?}");
    by_hand(&told).await;
    told.pool.rows(&["unhold", &id(&row)]).await;
    told.until_gone(&held).await;
    told.pool.until_full(2, DEADLINE).await;
    super::doctor::finds_nothing_wrong(&told).await;
    super::doctor::tells_which_end_is_at_fault(&told).await;
    let told = leaves_its_target(told).await;
    told.pool.end().await;
}

/// A hold with an owner, a reason and an end, which is warned of.
async fn by_hand(told: &Told) {
    let ready = async |pool: &Pool| pool.nodes_in("ready").await.into_iter().next();
    let row = told.pool.until("a node is ready", DEADLINE, ready).await;
    let name = text(&row, "nodename");
    let held = ["hold", &id(&row), "--owner", "jo", "--reason", "looks at a leak", "--for", "24s"];
    let held = told.pool.rows(&held).await;
    let until = text(&held[0], "held_until");
    // Jenkins is told whole seconds.
    let until = until.split(['.', 'Z']).next().unwrap();
    let agent = until_told(told, &name, &format!("held by jo until {until}Z: looks at a leak")).await;
    assert_eq!(agent["offline"], true, "{agent}");
    let warned = format!("nodepool hold {} --for", row["id"]);
    let warning = async |pool: &Pool| {
        let log = pool.daemon_log();
        log.lines().find(|line| line.contains(&warned)).map(str::to_owned)
    };
    let line = told.pool.until("its end is warned of", DEADLINE, warning).await;
    assert!(line.contains("its hold ends in"), "{line}");
    told.until_gone(&name).await;
    let history = told.history(&row).await;
    let order = ["jo holds it: looks at a leak", "its hold ends in", "its hold came to its end"];
    let places: Vec<_> = order.iter().map(|words| history.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{history}");
}

/// While the daemon does not run, the target leaves the configuration: its agents are taken back all the same.
async fn leaves_its_target(mut told: Told) -> Told {
    told.pool.stop().await;
    let path = told.pool.folder.path().join("nodepool.yaml");
    let yaml = std::fs::read_to_string(&path).unwrap();
    let (before, _) = yaml.split_once("targets:").unwrap();
    std::fs::write(&path, format!("{before}targets:\n  - name: other\n")).unwrap();
    told.pool.start();
    let taken_back = async |_: &Pool| {
        let agents = told.jenkins.read("computer/api/json?tree=computer[displayName,description]").await?;
        let agents = agents["computer"].as_array()?;
        agents.iter().all(|agent| !text(agent, "description").contains("[nodepool ")).then_some(())
    };
    told.pool.until("the agents of the old target are taken back", DEADLINE, taken_back).await;
    let moved = async |pool: &Pool| {
        let nodes = pool.nodes().await;
        (nodes.len() == 2 && nodes.iter().all(|node| node["target"] == "other")).then_some(())
    };
    told.pool.until("the nodes are at the new one", DEADLINE, moved).await;
    let log = told.pool.daemon_log();
    assert!(log.contains("target local left the configuration earlier"), "{log}");
    told
}
