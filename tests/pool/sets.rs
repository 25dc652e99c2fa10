//! Nodes of several servers.

use serde_json::Value;

use super::cloud::text;
use super::setup::{DEADLINE, Pool, Settings, id, scripts};

/// As the documentation says: it lets the machines of a set reach each other.
const TRUST: &str = "#!/bin/sh\nset -e\ncat /etc/nodepool/id_rsa.pub >>~/.ssh/authorized_keys\n\
    echo \"$1\" >~/prepared\n";

#[tokio::test]
async fn a_set_becomes_ready_whole_knows_itself_and_goes_whole() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        min_ready: 1,
        subnodes: 2,
        max_servers: 6,
        scripts: Some(scripts(folder.path(), &[("trust.sh", TRUST)])),
        ready_script: Some("trust.sh"),
        ..Settings::default()
    };
    let mut pool = Pool::new(&settings, &[]).await;
    pool.start();
    let set = in_order(pool.until_full(3, DEADLINE).await, &pool).await;
    pool.believe_only_recorded_host_keys().await;

    let ips: Vec<String> = set.iter().map(|node| text(node, "ip")).collect();
    let mut keys = Vec::new();
    for (index, node) in set.iter().enumerate() {
        let facts = pool.ssh(node, "cd /etc/nodepool && cat role node primary_node sub_nodes uuid").await;
        let role = if index == 0 { "primary" } else { "sub" };
        let server = text(node, "server_id");
        let expected = format!("{role}\n{}\n{}\n{}\n{}\n{server}\n", ips[index], ips[0], ips[1], ips[2]);
        assert_eq!(facts, expected);
        let private = pool
            .ssh(node, "cd /etc/nodepool && cat node_private primary_node_private sub_nodes_private")
            .await;
        assert_eq!(private, format!("{}\n{}\n{}\n{}\n", ips[index], ips[0], ips[1], ips[2]));
        assert_eq!(pool.ssh(node, "cat ~/prepared").await, format!("{}\n", text(node, "hostname")));
        keys.push(pool.ssh(node, "cat /etc/nodepool/id_rsa /etc/nodepool/id_rsa.pub").await);
    }
    assert!(keys.iter().all(|key| *key == keys[0]), "the set has one key");
    let reach = format!(
        "for node in $(cat /etc/nodepool/sub_nodes); do ssh -F none -i /etc/nodepool/id_rsa -p {} \
         -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o LogLevel=ERROR jenkins@$node cat /etc/nodepool/uuid; done",
        pool.cloud.ssh_port
    );
    let reached = pool.ssh(&set[0], &reach).await;
    assert_eq!(reached, format!("{}\n{}\n", text(&set[1], "server_id"), text(&set[2], "server_id")));

    let refused = pool.nodepool(&["delete", &id(&set[1])]).await;
    let why = format!("node {} is subnode 1 of node {}", set[1]["id"], set[0]["id"]);
    assert!(!refused.success && refused.err.contains(&why), "{refused:?}");
    pool.rows(&["delete", &id(&set[0])]).await;
    let old: Vec<String> = set.iter().map(|node| text(node, "server_id")).collect();
    pool.until("the whole set is replaced", DEADLINE, async |pool| {
        let nodes = pool.until_full(3, DEADLINE).await;
        nodes.iter().all(|node| !old.contains(&text(node, "server_id"))).then_some(())
    })
    .await;
    pool.end().await;
}

/// Fails on the second machine that was ever made, which is a subnode of the first set.
const FAILS: &str = "#!/bin/sh\ncase \"$(cat /etc/nodepool/role) $1\" in\n\
    \"sub \"*-2|\"sub \"*-2.*) echo there is no java on this machine; exit 7;;\nesac\n";

#[tokio::test]
async fn a_set_whose_member_fails_its_ready_script_goes_whole_and_another_comes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        min_ready: 1,
        subnodes: 2,
        max_servers: 6,
        scripts: Some(scripts(folder.path(), &[("fails.sh", FAILS)])),
        ready_script: Some("fails.sh"),
        ..Settings::default()
    };
    let mut pool = Pool::new(&settings, &[]).await;
    pool.start();
    let set = in_order(pool.until_full(3, DEADLINE).await, &pool).await;
    let numbers: Vec<i64> = set.iter().filter_map(|node| node["id"].as_i64()).collect();
    assert!(numbers.iter().all(|number| *number > 3), "no machine of the first set is left: {numbers:?}");
    let log = pool.daemon_log();
    assert!(log.contains("there is no java on this machine"), "what its script said is in the log: {log}");
    let doomed: Vec<&str> = log.lines().filter(|line| line.contains("doomed: ")).collect();
    for number in 1..=3 {
        let of_member = format!("{{node={number} ");
        assert!(doomed.iter().any(|line| line.contains(&of_member)), "{number}: {doomed:?}");
    }
    assert!(doomed.iter().any(|line| line.contains("status 7")), "{doomed:?}");
    pool.end().await;
}

/// The primary, then its subnodes, as the store knows them.
async fn in_order(nodes: Vec<Value>, pool: &Pool) -> Vec<Value> {
    let rows = pool.store().await.nodes().await.unwrap();
    let mut placed: Vec<(u32, Value)> = nodes
        .into_iter()
        .map(|node| {
            let row = rows.iter().find(|row| node["id"] == row.id.0).expect("it has a row");
            (row.subnode_index, node)
        })
        .collect();
    placed.sort_by_key(|(index, _)| *index);
    placed.into_iter().map(|(_, node)| node).collect()
}
