//! What happens by the clock, and what is left of an earlier configuration.

use super::setup::{DEADLINE, Pool, Settings};

#[tokio::test]
async fn a_cron_fires_again_and_again_in_a_running_daemon() {
    let settings = Settings { min_ready: 1, cron: None, ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    let yaml = pool.folder.path().join("nodepool.yaml");
    let without = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, format!("{without}cron:\n  check: '* * * * * *'\n")).unwrap();
    pool.start_with(&["--debug"]);
    let node = pool.until_full(1, DEADLINE).await.remove(0);
    let count = |pool: &Pool, words: &str| pool.daemon_log().matches(words).count();
    let visit = format!("errand=CheckNode(NodeId({}))", node["id"]);
    pool.until("it was checked three times", DEADLINE, async |pool| {
        (count(pool, "nodepool.cron: check: 1 wish was written") >= 3 && count(pool, &visit) >= 3)
            .then_some(())
    })
    .await;
    assert_eq!(pool.until_full(1, DEADLINE).await[0]["id"], node["id"], "a check changes nothing");
    let open = pool.store().await.open_wishes().await.unwrap();
    assert!(open.len() <= 1, "one that is not done yet is not asked for again: {open:?}");

    // Another moment, put in force while it runs: the first of January.
    std::fs::write(&yaml, format!("{without}cron:\n  check: '0 0 1 1 *'\n")).unwrap();
    pool.signal("HUP").await;
    pool.until("the other moment is in force", DEADLINE, async |pool| {
        (count(pool, "cron check") >= 1).then_some(())
    })
    .await;
    pool.end().await;
}

#[tokio::test]
async fn a_node_that_was_ready_for_too_long_goes_when_another_one_is_ready() {
    let pool = Pool::filled(&Settings { min_ready: 1, ..Settings::default() }).await;
    let old = pool.nodes().await.remove(0);
    pool.reconfigure(&Settings { min_ready: 1, max_ready_age: Some(2), ..Settings::default() }).await;
    pool.until("the old one is to go", DEADLINE, async |pool| {
        let nodes = pool.nodes().await;
        let serves = |node: &serde_json::Value| node["state"] == "ready";
        assert!(nodes.iter().any(serves), "there is always one: {nodes:?}\n{}", pool.log());
        (!nodes.iter().any(|node| node["id"] == old["id"] && serves(node))).then_some(())
    })
    .await;
    let told = pool.nodepool(&["history", &super::setup::id(&old)]).await;
    assert!(told.out.contains("longer than the max-ready-age of 2 s, and others are"), "{told:?}");
    // No node is renewed any more, and so the pool comes to rest.
    pool.reconfigure(&Settings { min_ready: 1, ..Settings::default() }).await;
    pool.until("nothing is under way", DEADLINE, async |pool| {
        let nodes = pool.nodes().await;
        let rests = nodes.iter().all(|node| node["state"] == "ready");
        (rests && pool.holds_only(&nodes).await).then_some(())
    })
    .await;
    pool.end().await;
}

#[tokio::test]
async fn a_provider_that_left_while_the_daemon_did_not_run_is_emptied_and_watched() {
    let mut pool = Pool::filled(&Settings { min_ready: 2, ..Settings::default() }).await;
    pool.stop().await;
    let database = pool.database();
    let yaml = format!("dburi: sqlite:///{}\nlabels: []\nproviders: []\ntargets: []\n", database.display());
    std::fs::write(pool.folder.path().join("nodepool.yaml"), yaml).unwrap();
    assert_eq!(pool.cloud.server_ids().await.len(), 2, "nobody is there to delete them");
    pool.start();
    pool.until("nothing of it is left", DEADLINE, async |pool| {
        let gone = pool.nodes().await.is_empty() && pool.images().await.is_empty();
        (gone && pool.holds_only(&[]).await).then_some(())
    })
    .await;
    // What may have been made there by a call whose answer was lost would be found, also by the next daemon.
    pool.until("the plan says that it is watched", DEADLINE, async |pool| {
        pool.signal("USR2").await;
        pool.daemon_log()
            .contains("it left the configuration; what may still appear there is waited for")
            .then_some(())
    })
    .await;
    assert_eq!(pool.store().await.providers().await.unwrap().len(), 1);
    pool.end().await;
}
