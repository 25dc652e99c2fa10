//! What is not ours stays; what is ours and belongs to nobody goes.

use serde_json::{Value, json};

use super::cloud::text;
use super::setup::{DEADLINE, Pool, Settings};

#[tokio::test]
async fn foreign_servers_stay_and_leaked_ones_go() {
    let settings = Settings { min_ready: 1, max_servers: 2, ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    let alien = pool.cloud.create_server("build-server", &json!({"purpose": "somebody else's"})).await;
    pool.start();
    let full = async |pool: &Pool| {
        pool.until("a node is ready beside the strangers", DEADLINE, async |pool| {
            let nodes = pool.nodes_in("ready").await;
            (nodes.len() == 1 && pool.nodes().await.len() == 1).then(|| nodes[0].clone())
        })
        .await
    };
    let node = full(&pool).await;
    pool.until("only the node and the stranger are there", DEADLINE, async |pool| {
        (pool.cloud.server_ids().await.len() == 2).then_some(())
    })
    .await;
    pool.stop().await;

    let servers = pool.cloud.servers().await;
    let ours = servers.iter().find(|server| server["id"] == node["server_id"]).unwrap();
    let tag = |changes: &[(&str, &str)]| -> Value {
        let mut metadata = ours["metadata"].clone();
        for (key, value) in changes {
            metadata[key] = json!(value);
        }
        metadata
    };
    let other_installation = tag(&[("nodepool_installation", "6a1f5c9e-somebody-else")]);
    let neighbour = pool.cloud.create_server("their-node", &other_installation).await;
    let leaked =
        [tag(&[("nodepool_owner_id", "4711")]), tag(&[("nodepool_attempt", "earlier")])].map(async |tag| {
            let name = format!("leaked-{}", text(&tag, "nodepool_attempt"));
            pool.cloud.create_server(&name, &tag).await
        });
    let leaked = futures::future::join_all(leaked).await;
    let listings = pool.cloud.requests("server-list").await;
    let deletes = pool.cloud.requests("server-delete").await;

    pool.start();
    pool.until("the leaked servers are gone", DEADLINE, async |pool| {
        let listings = pool.cloud.requests("server-list").await - listings;
        let deletes = pool.cloud.requests("server-delete").await - deletes;
        // The second number may be newer than the first one, so more than one listing is asked for only then.
        assert!(deletes == 0 || listings > 1, "{deletes} after {listings} listings\n{}", pool.log());
        let ids = pool.cloud.server_ids().await;
        leaked.iter().all(|leaked| !ids.contains(leaked)).then_some(())
    })
    .await;
    assert_eq!(full(&pool).await["server_id"], node["server_id"], "the node lived through it");
    let mut expected = vec![alien, neighbour.clone(), text(&node, "server_id")];
    expected.sort();
    assert_eq!(pool.cloud.server_ids().await, expected, "{}", pool.log());
    let ran = pool.nodepool(&["alien-delete", "--yes", &neighbour]).await;
    assert!(ran.success, "{ran:?}");
    pool.until("the server that an operator named is gone, and no other", DEADLINE, async |pool| {
        let ids = pool.cloud.server_ids().await;
        (!ids.contains(&neighbour)).then(|| assert_eq!(ids.len(), 2, "{ids:?}"))
    })
    .await;
    assert!(pool.daemon_log().contains("4711"), "a deletion of what no row has is told:\n{}", pool.log());
    pool.end().await;
}
