//! A cloud that loses answers, refuses, is late, and makes servers that do not work.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::setup::{DEADLINE, LONG, Pool, Settings};

#[tokio::test]
async fn answers_that_are_lost_late_or_wrong_delay_the_pool_and_leave_nothing() {
    // The answer that is late must be later.
    let settings = |min_ready| Settings { min_ready, api_timeout: 3, ..Settings::default() };
    let mut pool = Pool::new(&settings(0), &[]).await;
    // Each strikes the next calls of its kind; those for the builder, too.
    let answers = json!([
        {"operation": "server-create", "answer": "lost", "count": 1},
        {"operation": "keypair-create", "answer": "lost", "count": 1},
        {"operation": "server-snapshot", "answer": "lost", "count": 1},
        {"operation": "server-delete", "answer": "lost", "count": 2},
        {"operation": "keypair-delete", "answer": {"status": {"code": 503}}, "count": 1},
        {"operation": "server-list", "answer": {"status": {"code": 500}}, "rate": 0.3},
        {"operation": "image-list", "answer": {"status": {"code": 502}}, "count": 1},
        {"operation": "token-create", "answer": {"status": {"code": 503}}, "count": 1},
    ]);
    pool.cloud.faults(&json!({ "answers": answers })).await;
    pool.start();
    pool.until("an image is ready in spite of it all", LONG, async |pool| {
        pool.images().await.iter().any(|image| image["state"] == "ready").then_some(())
    })
    .await;
    let log = pool.daemon_log();
    assert!(log.contains("listing images failed: "), "{log}");
    assert!(log.contains("listing images works again; it failed "), "{log}");
    let creates = pool.cloud.requests("server-create").await;
    let answers = json!([
        {"operation": "server-create", "answer": {"late": {"milliseconds": 5000}}, "count": 1},
        {"operation": "server-create", "answer": "lost", "count": 1},
        {"operation": "server-create",
            "answer": {"status": {"code": 429, "retry-after-seconds": 1}}, "count": 1},
        {"operation": "server-list", "answer": {"status": {"code": 503}}, "rate": 0.3},
        {"operation": "server-delete", "answer": {"status": {"code": 500}}, "rate": 0.5},
    ]);
    pool.cloud.faults(&json!({ "answers": answers })).await;
    pool.reconfigure(&settings(3)).await;
    pool.until("servers were asked for again", LONG, async |pool| {
        (pool.cloud.requests("server-create").await >= creates + 3).then_some(())
    })
    .await;
    pool.cloud.faults(&json!({"answers": []})).await;
    pool.until_full(3, LONG).await;
    pool.end().await;
}

#[tokio::test]
async fn servers_that_fail_or_never_answer_are_replaced_and_the_reason_is_told() {
    let settings = |min_ready| Settings { min_ready, boot_timeout: 10, ..Settings::default() };
    let mut pool = Pool::new(&settings(0), &[]).await;
    pool.start();
    pool.until("the image is ready", DEADLINE, async |pool| {
        pool.images().await.iter().any(|image| image["state"] == "ready").then_some(())
    })
    .await;
    // The first two fail whatever their ssh would do; the third refuses, the fourth is mute.
    let faults = json!({"boot-error": {"count": 2}, "ssh-never": {"count": 3}, "ssh-mute": {"count": 1}});
    pool.cloud.faults(&faults).await;
    pool.reconfigure(&settings(3)).await;
    let nodes = pool.until_full(3, DEADLINE).await;
    let log = pool.daemon_log();
    let told = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert!(told("doomed: its server is in ERROR: No valid host was found") >= 2, "{log}");
    assert!(told("doomed: connect: ") >= 2, "{log}");
    let times = |text: &str| -> Vec<DateTime<Utc>> {
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
    };
    let failed = times("doomed: its server is in ERROR")[0];
    let again = times("added: label").into_iter().find(|added| *added > failed).unwrap();
    // The pause of a second is from the tick that found the failure; its line comes when that is written.
    assert!(again - failed >= TimeDelta::milliseconds(500), "the next try comes after a pause:\n{log}");
    assert!(nodes.iter().all(|node| node["id"].as_i64() > Some(3)), "{nodes:?}");
    pool.end().await;
}
