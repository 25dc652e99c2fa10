//! Ready scripts that do not behave.

use std::time::Duration;

use serde_json::json;

use super::cloud::text;
use super::setup::{DEADLINE, Pool, Settings, id, scripts};

/// Hangs on the first node for as long as it is let, and does not listen to anybody.
const STUBBORN: &str = "#!/bin/bash\ncase $1 in *-1) ;; *) exit 0 ;; esac\necho 'waits for ever'\n\
    trap '' TERM HUP INT\n(trap '' TERM HUP INT; sleep 98765 & wait) &\nwait\nsleep 98765\n";

#[tokio::test]
async fn a_ready_script_that_outlives_its_deadline_is_killed_and_its_node_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        min_ready: 1,
        scripts: Some(scripts(folder.path(), &[("stubborn.sh", STUBBORN)])),
        ready_script: Some("stubborn.sh"),
        ready_script_timeout: Duration::from_secs(5),
        ..Settings::default()
    };
    let mut pool = Pool::new(&settings, &[]).await;
    pool.start();
    let node = pool
        .until("the script runs on the first node", DEADLINE, async |pool| {
            let node = pool.nodes().await.into_iter().find(|node| node["step"] == "ssh")?;
            (processes(pool, &node).await > 0).then_some(node)
        })
        .await;
    // The server stays as long as we look what is left on it.
    let refused = json!([{"operation": "server-delete", "answer": {"status": {"code": 503}}, "rate": 1.0}]);
    pool.cloud.faults(&json!({ "answers": refused })).await;
    let doomed = pool
        .until("the node is given up", DEADLINE, async |pool| {
            pool.nodes_in("delete").await.into_iter().find(|row| row["id"] == node["id"])
        })
        .await;
    let reason = text(&doomed, "reason");
    assert!(reason.starts_with("ready-script: "), "{reason}\n{}", pool.log());
    let history = pool.nodepool(&["history", &id(&node)]).await;
    for part in [
        "Failed at step ready-script after ",
        " of at most 5 s:",
        "Output, its end:\n    *** START to run",
        "    waits for ever\n",
    ] {
        assert!(history.out.contains(part), "{part}\n{history:?}");
    }
    let failures = pool.rows(&["failures"]).await;
    assert_eq!(
        (&failures[0]["count"], &failures[0]["step"]),
        (&1.into(), &"ready-script".into()),
        "{failures:?}"
    );
    assert_eq!(failures[0]["example"], id(&node).as_str());
    assert_eq!(processes(&pool, &node).await, 0, "the script and what it started:\n{}", pool.log());
    pool.cloud.faults(&json!({ "answers": [] })).await;
    let nodes = pool.until_full(1, DEADLINE).await;
    assert_ne!(nodes[0]["id"], node["id"]);
    pool.end().await;
}

/// How many processes of the script run on the node.
async fn processes(pool: &Pool, node: &serde_json::Value) -> usize {
    let listed =
        pool.ssh(node, "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null").await;
    let of_script = |line: &&str| line.contains("sleep 98765") || line.contains("stubborn.sh");
    listed.lines().filter(of_script).count()
}
