//! `nodepool ping`, `run` and `ssh`: nodes are reached as they were recorded, and no other machine in their place.

use std::collections::BTreeMap;

use nodepool::model::{HostKey, NodeId, NodeState};
use nodepool::store::Note;
use serde_json::Value;

use super::cloud::text;
use super::setup::{Pool, Settings, id};

/// Writes a row as it would be after something happened. The daemon does not run.
async fn change(pool: &Pool, row: &Value, change: impl FnOnce(&mut nodepool::model::Node)) {
    let store = pool.store().await;
    let mut row_now = store.node(NodeId(row["id"].as_i64().unwrap())).await.unwrap().unwrap();
    let before = row_now.state.to_string();
    change(&mut row_now);
    let note = Note {
        at: row_now.state_time,
        event: "changed".to_owned(),
        from: before,
        to: row_now.state.to_string(),
        reason: "a test".to_owned(),
    };
    store.update_node(&row_now, &note).await.unwrap();
}

#[tokio::test]
async fn nodes_are_reached_as_they_were_recorded() {
    let mut pool = Pool::filled(&Settings { min_ready: 3, ..Settings::default() }).await;
    pool.stop().await;
    let nodes = pool.nodes().await;
    let [one, two, three] = nodes.as_slice() else { panic!("{nodes:?}") };

    let all = pool.nodepool(&["ping"]).await;
    assert!(all.success, "{all:?}\n{}", pool.log());
    assert!(all.out.contains("3 nodes, 3 replies, 0 losses (0%); min "), "{all:?}");
    for node in &nodes {
        assert!(all.out.contains(&format!("node {} (debian at sandbox, {}): ", id(node), text(node, "ip"))));
    }

    // The same command, answered alike and answered by each in its way.
    let alike = pool.nodepool(&["run", "--at-once", "2", "--", "echo", "same;", "echo other >&2"]).await;
    assert!(alike.success, "{alike:?}");
    let numbers = format!("{}-{}", id(one), id(three));
    assert!(alike.out.starts_with(&format!("3 nodes ({numbers}): status 0\n")), "{alike:?}");
    assert!(alike.out.ends_with("  same\n  other\n"), "{alike:?}");
    assert!(alike.err.contains("3 of 3: node "), "progress is told: {alike:?}");
    let names = pool.nodepool(&["run", "-o", "json", "--", "cat /etc/hostname; echo $USER"]).await;
    let names: Vec<Value> = serde_json::from_str(&names.out).unwrap();
    let found: BTreeMap<i64, &str> = names
        .iter()
        .map(|group| (group["nodes"][0].as_i64().unwrap(), group["output"].as_str().unwrap()))
        .collect();
    for node in &nodes {
        let expected = format!("{}\njenkins", text(node, "hostname"));
        assert_eq!(found[&node["id"].as_i64().unwrap()], expected, "the right machine and user");
    }
    let failing =
        pool.nodepool(&["run", "--", &format!("grep -q {} /etc/hostname", text(two, "hostname"))]).await;
    assert!(
        !failing.success && failing.out.contains("2 nodes (") && failing.out.contains("status 1"),
        "{failing:?}"
    );
    let endless = pool.nodepool(&["run", "--timeout", "1s", "--at-once", "100%", "--", "sleep 600"]).await;
    assert!(!endless.success && endless.out.contains("still running after 1 s, killed"), "{endless:?}");

    let shell = pool.nodepool(&["ssh", &id(one), "--", "hostname -f >/dev/null; echo $USER; exit 7"]).await;
    assert_eq!(shell.out, "jenkins\n", "{shell:?}");
    assert!(!shell.success);

    // A job has one node, and another machine answers at the address of the second one.
    change(&pool, one, |node| node.state = NodeState::Used).await;
    let stranger = HostKey(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2d".to_owned(),
    );
    change(&pool, two, |node| node.host_key = Some(stranger)).await;
    let ping = pool.nodepool(&["ping"]).await;
    assert!(!ping.success, "{ping:?}");
    assert!(ping.out.contains("2 nodes, 1 reply, 1 loss (50%)"), "{ping:?}");
    assert!(ping.out.contains(&format!("node {} (debian at sandbox", id(two))), "{ping:?}");
    assert!(ping.out.contains("no reply: the host key changed: recorded ssh-ed25519"), "{ping:?}");
    let refused = pool.nodepool(&["ssh", &id(two), "--", "echo $USER"]).await;
    assert!(!refused.success && refused.out.is_empty(), "{refused:?}");
    assert!(refused.err.contains("Host key verification failed"), "{refused:?}");

    let busy = pool.nodepool(&["ssh", &id(one), "--", "echo $USER"]).await;
    assert!(!busy.success && busy.err.contains("add --used"), "{busy:?}");
    let busy = pool.nodepool(&["ping", "--state", "used"]).await;
    assert!(!busy.success && busy.err.contains("add --used"), "{busy:?}");
    let insisted = pool.nodepool(&["ping", "--state", "used", "--used"]).await;
    assert!(insisted.success && insisted.out.contains("1 node, 1 reply"), "{insisted:?}");
    let insisted = pool.nodepool(&["ssh", "--used", &id(one), "--", "echo $USER"]).await;
    assert!(insisted.success && insisted.out == "jenkins\n", "{insisted:?}");
    pool.end().await;
}
