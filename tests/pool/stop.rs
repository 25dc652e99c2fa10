//! The daemon's ends and beginnings.

use std::time::Duration;

use super::setup::{DEADLINE, Pool, Settings};

/// A graceful stop takes no longer, whatever is under way and however busy the machine.
const STOP: Duration = Duration::from_secs(30);

#[tokio::test]
async fn each_signal_stops_it_gracefully_and_the_next_start_goes_on() {
    let mut pool = Pool::new(&Settings { ready_script: Some("ready.sh"), ..Settings::default() }, &[]).await;
    for (signal, moment) in [("TERM", "START to run setup_node.sh"), ("INT", "addressed: ")] {
        pool.start();
        pool.until(&format!("the log says {moment}"), DEADLINE, async |pool| {
            pool.daemon_log().contains(moment).then_some(())
        })
        .await;
        pool.signal(signal).await;
        assert!(pool.ended(STOP).await.success(), "{signal}: {}", pool.log());
    }
    pool.start();
    let nodes = pool.until_full(2, DEADLINE).await;
    assert_eq!(pool.images().await.len(), 1, "the build went on, it did not start again: {}", pool.log());

    let second = pool.start_another().await;
    assert!(!second.success && second.err.contains("another nodepoold runs on"), "{second:?}");
    assert_eq!(second.err.lines().count(), 1, "one line says it: {second:?}");

    let starts = |pool: &Pool| pool.daemon_log().matches("has started").count();
    for signal in ["USR1", "INT", "TERM"] {
        pool.signal(signal).await;
        assert!(pool.ended(STOP).await.success(), "{signal}: {}", pool.log());
        assert!(!pool.folder.path().join("nodepool.db.bell").exists(), "it takes its socket away");
        let before = starts(&pool);
        pool.start();
        pool.until("it has started", DEADLINE, async |pool| (starts(pool) > before).then_some(())).await;
    }
    let after = pool.until_full(2, DEADLINE).await;
    let servers = |nodes: &[serde_json::Value]| -> Vec<_> {
        nodes.iter().map(|node| (node["id"].clone(), node["server_id"].clone())).collect()
    };
    assert_eq!(servers(&after), servers(&nodes), "ready nodes live through restarts");
    pool.end().await;
}
