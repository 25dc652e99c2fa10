//! What a cloud makes for a server by itself and forgets to delete with it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cloud::text;
use super::setup::{DEADLINE, LONG, Pool, Settings, id};

fn ids(things: &[Value]) -> BTreeSet<String> {
    things.iter().map(|thing| text(thing, "id")).collect()
}

/// The port and the volume of a deleted node are found when an operator has the cloud looked through, and go; those of
/// the nodes that live stay.
#[tokio::test]
async fn ports_and_volumes_that_a_cloud_forgets_are_found_and_go() {
    let pool = Pool::filled(&Settings { from_volumes: true, ..Settings::default() }).await;
    let project = text(&pool.cloud.servers().await[0], "tenant_id");
    let is_marked = |volume: &Value| volume["metadata"]["nodepool_installation"].is_string();
    let volumes = pool
        .until("the volume of each node carries our mark", DEADLINE, async |pool| {
            let volumes = pool.cloud.volumes(&project).await;
            (volumes.len() == 2 && volumes.iter().all(is_marked)).then_some(volumes)
        })
        .await;
    let gone = pool.nodes().await[0].clone();
    let (server, node) = (text(&gone, "server_id"), id(&gone));
    let left_ports = ids(&pool.cloud.ports(&server).await);
    assert_eq!(left_ports.len(), 1, "a server has a port");
    let is_of_gone = |volume: &&Value| volume["attachments"][0]["server_id"] == server.as_str();
    let left_volume = text(volumes.iter().find(is_of_gone).expect("it is attached"), "id");

    pool.cloud.faults(&json!({"port-left": {"rate": 1.0}, "volume-left": {"rate": 1.0}})).await;
    assert!(pool.nodepool(&["delete", "--now", &node]).await.success);
    pool.cloud.faults(&json!({"port-left": {"rate": 0.0}, "volume-left": {"rate": 0.0}})).await;
    let nodes = pool.until_full(2, DEADLINE).await;
    assert_eq!(ids(&pool.cloud.ports(&server).await), left_ports, "the cloud forgot the port");
    assert!(ids(&pool.cloud.volumes(&project).await).contains(&left_volume), "the cloud forgot the volume");

    let asked = pool.nodepool(&["gc"]).await;
    assert!(asked.success, "{asked:?}");
    pool.until("`gc --dry-run` tells of both, with what they were made for", DEADLINE, async |pool| {
        let found = pool.rows(&["gc", "--dry-run"]).await;
        let tells = |kind: &str, of: &str| {
            let is_it = |one: &&Value| one["kind"] == kind && one["id"] == of;
            found.iter().find(is_it).is_some_and(|one| text(one, "made_for").contains(&node))
        };
        let told = left_ports.iter().all(|port| tells("port", port)) && tells("volume", &left_volume);
        told.then_some(())
    })
    .await;
    pool.until("both are gone", LONG, async |pool| {
        let is_clean = pool.cloud.ports(&server).await.is_empty()
            && !ids(&pool.cloud.volumes(&project).await).contains(&left_volume);
        is_clean.then_some(())
    })
    .await;
    for node in &nodes {
        assert_eq!(pool.cloud.ports(&text(node, "server_id")).await.len(), 1, "{node}");
    }
    assert_eq!(pool.cloud.volumes(&project).await.len(), 2, "each node that lives has its volume");
    pool.end().await;
}
