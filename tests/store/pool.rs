//! A pool whose state is on a server: the real daemon and the real command, against the sandbox's cloud.

use serde_json::Value;

use crate::Place;
use crate::setup::{DEADLINE, Pool, Settings, id};

/// The state of the row of this number, if there is one.
async fn state(pool: &Pool, number: &str) -> Option<Value> {
    let nodes = pool.nodes().await;
    nodes.iter().find(|node| id(node) == number).map(|node| node["state"].clone())
}

#[tokio::test]
async fn a_pool_fills_is_steered_and_outlives_its_daemon() {
    let place = Place::empty().await;
    let settings = Settings { database: Some(place.url()), ..Settings::default() };
    let mut pool = Pool::filled(&settings).await;
    let nodes = pool.nodes().await;
    let (held, deleted) = (id(&nodes[0]), id(&nodes[1]));

    let another = pool.start_another().await;
    assert!(!another.success && another.err.contains("another nodepoold of this machine"), "{another:?}");

    let ran = pool.nodepool(&["hold", &held, "--reason", "look at it"]).await;
    assert!(ran.success, "{ran:?}");
    assert_eq!(state(&pool, &held).await.unwrap(), "hold");
    let ran = pool.nodepool(&["delete", &deleted]).await;
    assert!(ran.success, "{ran:?}");
    pool.until("the node is gone and two others are ready", DEADLINE, async |pool| {
        let gone = state(pool, &deleted).await.is_none();
        (gone && pool.nodes_in("ready").await.len() == 2).then_some(())
    })
    .await;

    // The daemon says in the database where it serves.
    pool.until("`nodepool plan` is answered", DEADLINE, async |pool| {
        pool.nodepool(&["plan"]).await.success.then_some(())
    })
    .await;
    let doctor = pool.nodepool(&["doctor", "-o", "json"]).await.out;
    assert!(doctor.contains("on the server at 127.0.0.1:") && !doctor.contains("s3cr"), "{doctor}");

    let before = pool.nodes().await;
    pool.kill_after(std::time::Duration::ZERO).await;
    pool.start();
    pool.until("the new daemon works on it", DEADLINE, async |pool| {
        let done = pool.nodepool(&["unhold", &held]).await;
        done.success.then_some(())
    })
    .await;
    let after = pool.nodes().await;
    // The node that is not held any more may be gone already.
    let mut before = before.iter().filter(|node| id(node) != held);
    assert!(before.all(|node| after.iter().any(|same| id(same) == id(node))), "{after:?}");
    assert!(!pool.log().contains("s3cr"), "a password is in the log");
    pool.end().await;
}
