//! A daemon that dies at any moment, over and over.

use std::time::{Duration, SystemTime};

use super::setup::{LONG, Pool, Settings};

#[tokio::test]
async fn a_daemon_that_is_killed_again_and_again_leaves_no_orphan_and_no_twin() {
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    eprintln!("the moments of the kills come from the seed {seed}");
    let settings = Settings { min_ready: 3, ready_script: Some("ready.sh"), ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    let mut number = u64::from(seed);
    for _ in 0..8 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        pool.start();
        pool.kill_after(Duration::from_millis((number >> 33) % 3000)).await;
    }
    pool.start();
    pool.until_full(3, LONG).await;
    pool.end().await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_as_each_thing_happens_goes_on_with_it() {
    let settings = Settings { min_ready: 2, ready_script: Some("ready.sh"), ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    let moments = [
        "created: the cloud makes its builder",
        "START to run setup_node.sh",
        "snapshot-taken",
        "saved: the cloud has saved its snapshot",
        "verified",
        "nodepool.node: created",
        "addressed",
        "prepared",
    ];
    for moment in moments {
        pool.start();
        // A call that nobody knows the answer of is believed to have come to nothing only after its deadline and a margin.
        pool.until(&format!("the log says: {moment}"), LONG, async |pool| {
            pool.daemon_log().contains(moment).then_some(())
        })
        .await;
        pool.kill_after(Duration::ZERO).await;
    }
    pool.start();
    pool.until_full(2, LONG).await;
    pool.end().await;
}
