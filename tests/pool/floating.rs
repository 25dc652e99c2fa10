//! Floating IPs: with a `pool` each server gets one and leaves none behind; without a `pool` nobody asks about them.

use serde_json::{Value, json};

use super::cloud::text;
use super::setup::{DEADLINE, LONG, Pool, Settings, id};

/// The floating IP that leads to the server at this address.
async fn leading_to(pool: &Pool, private: &str) -> Value {
    let listed = pool.cloud.floating_ips().await;
    let found = listed.iter().find(|one| one["fixed_ip_address"] == private);
    found.unwrap_or_else(|| panic!("nothing leads to {private}: {listed:?}\n{}", pool.log())).clone()
}

/// Nodes of a provider with a pool and two networks are reached at their floating IPs and know it.
async fn check_nodes(pool: &Pool, nodes: &[Value]) {
    pool.until("only the nodes have floating IPs", DEADLINE, async |pool| {
        (pool.cloud.floating_ips().await.len() == nodes.len()).then_some(())
    })
    .await;
    let installation = pool.store().await.installation().await.unwrap();
    for node in nodes {
        let (ip, private) = (text(node, "ip"), text(node, "ip_private"));
        let floating = leading_to(pool, &private).await;
        assert_eq!(floating["floating_ip_address"], ip.as_str());
        let mark = floating["description"].as_str().unwrap();
        assert!(mark.contains(&installation), "{mark}");
        let facts = pool.ssh(node, "cd /etc/nodepool && cat primary_node primary_node_private").await;
        assert_eq!(facts, format!("{ip}\n{private}\n"));
    }
}

#[tokio::test]
async fn with_a_pool_nodes_have_floating_ips_and_leave_none_behind() {
    let settings = Settings {
        pool: Some("public"),
        networks: &["backend", "private"],
        ready_script: Some("ready.sh"),
        ..Settings::default()
    };
    let mut pool = Pool::new(&settings, &["--networks", "private,backend"]).await;
    pool.start();
    let nodes = pool.until_full(2, DEADLINE).await;
    check_nodes(&pool, &nodes).await;
    let server = pool.cloud.servers().await.swap_remove(0);
    let on: Vec<&String> = server["addresses"].as_object().unwrap().keys().collect();
    assert_eq!(on, ["backend", "private"]);

    // The answer to the call for a new node's floating IP is lost, and the daemon dies over it.
    let answers = json!([{"operation": "floating-ip-create", "answer": "lost", "count": 1}]);
    pool.cloud.faults(&json!({ "answers": answers })).await;
    let made = pool.cloud.successes("floating-ip-create").await;
    pool.rows(&["delete", &id(&nodes[0])]).await;
    pool.until("a floating IP is made", DEADLINE, async |pool| {
        (pool.cloud.successes("floating-ip-create").await > made).then_some(())
    })
    .await;
    pool.kill_after(std::time::Duration::ZERO).await;
    pool.start();
    let nodes = pool.until_full(2, LONG).await;
    check_nodes(&pool, &nodes).await;
    // Others may fail: a daemon that starts anew does not know yet which of the networks has a router.
    let made_in_all = pool.cloud.successes("floating-ip-create").await;
    assert_eq!(made_in_all, made + 1, "it was found by its mark\n{}", pool.log());

    pool.reconfigure(&Settings { min_ready: 0, ..settings }).await;
    for node in &nodes {
        pool.rows(&["delete", &id(node)]).await;
    }
    pool.until("no node, server or floating IP is left", DEADLINE, async |pool| {
        let gone = pool.nodes().await.is_empty() && pool.cloud.server_ids().await.is_empty();
        (gone && pool.cloud.floating_ips().await.is_empty()).then_some(())
    })
    .await;
    pool.end().await;
}

#[tokio::test]
async fn floating_ips_of_others_that_lead_nowhere_go_where_the_configuration_says_all() {
    let settings =
        Settings { min_ready: 0, pool: Some("public"), clean_floating_ips: "all", ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    let server = pool.cloud.create_server("theirs", &json!({})).await;
    let port = pool
        .until("their server has a port", DEADLINE, async |pool| pool.cloud.ports(&server).await.pop())
        .await;
    let used = pool.cloud.create_floating_ip(&json!({"port_id": port["id"]})).await;
    let loose = pool.cloud.create_floating_ip(&json!({})).await;
    let mark = json!({"nodepool_installation": "another", "nodepool_owner": "node", "nodepool_owner_id": "1",
        "nodepool_attempt": "a1"});
    let of_another = pool.cloud.create_floating_ip(&json!({"description": mark.to_string()})).await;
    pool.start();
    pool.until("the one that leads nowhere is gone", LONG, async |pool| {
        let left = pool.cloud.floating_ips().await;
        let ids: Vec<String> = left.iter().map(|one| text(one, "id")).collect();
        assert!(ids.contains(&used) && ids.contains(&of_another), "{left:?}\n{}", pool.log());
        (!ids.contains(&loose)).then_some(())
    })
    .await;
    let log = pool.daemon_log();
    assert!(log.contains("it leads to no server, and clean-floating-ips is `all`"), "{log}");
    assert!(pool.cloud.server_ids().await.contains(&server), "servers of others stay");
    pool.end().await;
}

#[tokio::test]
async fn without_a_pool_no_call_is_about_floating_ips() {
    let mut pool = Pool::filled(&Settings { min_ready: 1, ..Settings::default() }).await;
    let first = pool.nodes().await.remove(0);
    pool.rows(&["delete", &id(&first)]).await;
    pool.until("another node is ready", DEADLINE, async |pool| {
        let nodes = pool.until_full(1, DEADLINE).await;
        (nodes[0]["id"] != first["id"]).then_some(())
    })
    .await;
    // A daemon that starts anew looks at everything once.
    pool.stop().await;
    let listings = pool.cloud.requests("image-list").await;
    pool.start();
    pool.until("the new daemon has looked at the cloud", DEADLINE, async |pool| {
        (pool.cloud.requests("image-list").await > listings).then_some(())
    })
    .await;
    pool.until_full(1, DEADLINE).await;
    let asked = pool.cloud.operations().await;
    // Ports are only looked at, for those that servers left behind, and volumes not even that where no node boots from one.
    for about in ["floating-ip", "port-", "volume-"] {
        let mut asked_about = asked.iter().filter(|name| name.starts_with(about));
        assert!(asked_about.all(|name| name == "port-list"), "{asked:?}");
    }
    assert!(asked.iter().any(|name| name == "server-create"), "{asked:?}");
    pool.end().await;
}
