//! An empty database and an empty cloud become a pool, and operators steer it.

use super::cloud::text;
use super::setup::{DEADLINE, Pool, Settings, id};

#[tokio::test]
async fn fills_from_nothing_and_replaces_what_is_deleted() {
    let settings = Settings { ready_script: Some("ready.sh"), ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    pool.start();
    let nodes = pool.until_full(2, DEADLINE).await;
    let images = pool.images().await;
    assert_eq!((images.len(), &images[0]["state"]), (1, &"ready".into()), "{images:?}");
    for server in pool.cloud.servers().await {
        assert!(server["key_name"].is_null(), "the snapshot lets us in, not a keypair: {server}");
    }
    pool.believe_only_recorded_host_keys().await;
    for node in &nodes {
        let (ip, server) = (text(node, "ip"), text(node, "server_id"));
        let facts =
            pool.ssh(node, "cd /etc/nodepool && cat role node primary_node_private sub_nodes uuid").await;
        assert_eq!(facts, format!("primary\n{ip}\n{ip}\n{server}\n"));
        let provider =
            pool.ssh(node, ". /etc/nodepool/provider && echo $NODEPOOL_PROVIDER $NODEPOOL_CLOUD").await;
        assert_eq!(provider, "sandbox sandbox\n");
        let hostname = pool.ssh(node, "echo $USER; cat /etc/hostname; sudo -n id -un").await;
        assert_eq!(hostname, format!("jenkins\n{}\nroot\n", text(node, "hostname")), "by ready.sh");
        let key =
            pool.ssh(node, "ls -l /etc/nodepool/id_rsa && cut -d' ' -f1 /etc/nodepool/id_rsa.pub").await;
        assert!(key.starts_with("-rw-------") && key.contains("\nssh-"), "{key}");
    }

    // The last look may have been a moment ago.
    pool.until("the plan is told", DEADLINE, async |pool| {
        let plan = pool.nodepool(&["plan"]).await;
        assert!(plan.success, "{plan:?}");
        plan.out.contains("| debian | 0    | 2      | 2     |").then_some(())
    })
    .await;
    let why = pool.nodepool(&["why", "debian"]).await;
    assert!(why.success && why.out.contains("nothing is missing"), "{why:?}");

    let deleted = pool.rows(&["delete", &id(&nodes[0])]).await;
    // It may be gone already.
    assert!(deleted.iter().all(|row| row["state"] == "delete"), "{deleted:?}");
    let after = pool
        .until("the node is replaced", DEADLINE, async |pool| {
            let nodes_now = pool.until_full(2, DEADLINE).await;
            (!nodes_now.iter().any(|node| node["id"] == nodes[0]["id"])).then_some(nodes_now)
        })
        .await;
    assert!(after.iter().any(|node| node["id"] == nodes[1]["id"]), "the other one stays: {after:?}");
    assert!(!pool.cloud.server_ids().await.contains(&text(&nodes[0], "server_id")));
    let refused = pool.nodepool(&["delete", &id(&nodes[0])]).await;
    assert!(!refused.success && refused.err.contains("not found"), "{refused:?}");
    let log = pool.daemon_log();
    // A statement that takes more than a second is the machine's slowness.
    let ours = log.lines().filter(|line| !line.contains(" sqlx::query"));
    let complaint = ours.into_iter().find(|line| line.contains("  WARN ") || line.contains(" ERROR "));
    assert_eq!(complaint, None, "nothing went wrong");
    each_line_says_whose_it_is(&log);
    let history = pool.nodepool(&["history", &id(&nodes[0])]).await;
    for (event, reason) in [("created", "the cloud makes its server (req-"), ("delete-accepted", "(req-")] {
        let told = |line: &str| line.contains(&format!("| {event} ")) && line.contains(reason);
        assert!(history.out.lines().any(told), "{event}: {history:?}");
    }
    pool.end().await;
}

/// Whoever looks for one node, one attempt or one request of a cloud finds its lines.
fn each_line_says_whose_it_is(log: &str) {
    let mut requests = 0;
    for (target, whose) in [
        (" nodepool.node: ", "{node="),
        (" nodepool.image: ", "{image="),
        (" nodepool.image.build: ", "{image="),
    ] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(target)).collect();
        assert!(!lines.is_empty(), "{target}: {log}");
        for line in lines {
            let told = [whose, " attempt=\"", " provider=\"sandbox\""].iter().all(|part| line.contains(part));
            assert!(told, "{line}");
            requests += usize::from(line.contains(": created: ") && line.contains(" request_id=\"req-"));
        }
    }
    // A builder and at least three nodes.
    assert!(requests >= 4, "{requests}: {log}");
}

#[tokio::test]
async fn a_hold_lasts_over_restarts_until_it_is_ended() {
    let mut pool = Pool::filled(&Settings { min_ready: 1, ..Settings::default() }).await;
    let held = pool.nodes().await.remove(0);
    let rows = pool.rows(&["hold", &id(&held), "--reason", "look at it"]).await;
    assert_eq!((&rows[0]["state"], &rows[0]["comment"]), (&"hold".into(), &"look at it".into()));
    let beside = async |pool: &Pool| {
        pool.until("another node is ready beside the held one", DEADLINE, async |pool| {
            let (ready, held_now) = (pool.nodes_in("ready").await, pool.nodes_in("hold").await);
            let alone = held_now.len() == 1 && held_now[0]["server_id"] == held["server_id"];
            assert!(alone, "the hold is broken: {held_now:?}\n{}", pool.log());
            (ready.len() == 1).then(|| ready[0].clone())
        })
        .await
    };
    let other = beside(&pool).await;

    pool.stop().await;
    let listings = pool.cloud.requests("server-list").await;
    pool.start();
    pool.until("the daemon has looked at the cloud again", DEADLINE, async |pool| {
        (pool.cloud.requests("server-list").await > listings).then_some(())
    })
    .await;
    assert_eq!(beside(&pool).await["id"], other["id"], "both stay over the restart");
    pool.ssh(&held, "true").await;
    let refused = pool.nodepool(&["unhold", &id(&other)]).await;
    assert!(!refused.success && refused.err.contains("not held"), "{refused:?}");

    pool.rows(&["unhold", &id(&held)]).await;
    let nodes = pool.until_full(1, DEADLINE).await;
    assert_eq!(nodes[0]["id"], other["id"], "the held one is gone, and the pool was full without it");
    pool.end().await;
}
