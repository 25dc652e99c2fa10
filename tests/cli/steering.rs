//! The commands that ask the daemon for something.

use std::time::Duration;

use nodepool::model::{Fate, Leftover, LeftoverKind, NodeId, NodeState, WishKind};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::bench::{Bench, ago, note, now};

#[tokio::test]
async fn hold_without_a_daemon_is_written_down() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Ready, ago(5)).await;
    let before = now();
    let ran = bench.run(&["hold", "1", "--reason", "look at the disk", "--for", "2d"]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.err.contains("nodepoold does not run"), "{}", ran.err);
    assert_eq!(ran.rows()[0][10], "ready", "nothing happened yet");
    let wishes = bench.store.open_wishes().await.unwrap();
    assert_eq!(wishes.len(), 1);
    let WishKind::Hold { node: NodeId(1), comment: Some(comment), until: Some(until), .. } = &wishes[0].kind
    else {
        panic!("{wishes:?}");
    };
    assert_eq!(comment, "look at the disk");
    let two_days = Duration::from_secs(2 * 24 * 3600);
    assert!((before.plus(two_days)..=now().plus(two_days)).contains(until));
}

#[tokio::test]
async fn hold_and_unhold_wait_for_the_daemon() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Ready, ago(5)).await;
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["hold", "1", "--reason", "mine", "-o", "json"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!((&ran.json()[0]["state"], &ran.json()[0]["comment"]), (&"hold".into(), &"mine".into()));
    let ran = bench.run(&["unhold", "1"]).await;
    assert_eq!((ran.status, ran.rows()[0][10].as_str()), (0, "delete"));
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Delete, ago(5)).await;
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["hold", "1"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.starts_with("nodepool: node 1 is delete; only a ready or used node can be held\n  next: "),
        "{ran:?}"
    );
}

#[tokio::test]
async fn unknown_numbers_are_noticed_at_once() {
    let bench = Bench::new().await;
    for (arguments, words) in [
        (["hold", "77"], "nodepool: Node 77 not found.\n"),
        (["unhold", "77"], "nodepool: Node 77 not found.\n"),
        (["delete", "77"], "nodepool: Node 77 not found.\n"),
    ] {
        let ran = bench.run(&arguments).await;
        assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.err.starts_with(words), "{ran:?}");
    }
    assert_eq!(bench.store.open_wishes().await.unwrap(), []);
    for arguments in [["hold", "x"], ["hold", "0"], ["hold", "-1"]] {
        assert_eq!(bench.run(&arguments).await.status, 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn delete_marks_the_node() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Used, ago(5)).await;
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["delete", "1"]).await;
    assert_eq!((ran.status, ran.rows()[0][10].as_str()), (0, "delete"), "{ran:?}");
}

#[tokio::test]
async fn delete_now_waits_until_the_node_is_gone() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Used, ago(5)).await;
    let _daemon = bench.daemon().await;
    let mut child = bench.command(&["delete", "1", "--now"]).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    let told =
        tokio::time::timeout(Duration::from_secs(60), err.next_line()).await.unwrap().unwrap().unwrap();
    assert!(told.contains("waiting for the cloud to confirm that server server-1 is gone"), "{told}");
    let row = bench.store.node(NodeId(1)).await.unwrap().unwrap();
    bench.store.remove_node(&row, &note("gone")).await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(err.next_line().await.unwrap().as_deref(), Some("nodepool: node 1 is gone"));
}

#[tokio::test]
async fn delete_now_has_a_bound_and_needs_a_daemon() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Used, ago(5)).await;
    let ran = bench.run(&["delete", "1", "--now"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("nodepoold does not run"), "{ran:?}");
    assert_eq!(bench.store.open_wishes().await.unwrap().len(), 1, "it is written down all the same");

    let _daemon = bench.daemon().await;
    let ran = bench.run(&["delete", "1", "--now", "--timeout", "1ms"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("node 1 is not gone after 1ms: node 1 is in state delete"), "{ran:?}");
}

#[tokio::test]
async fn history_outlives_the_node() {
    let bench = Bench::new().await;
    let node = bench.node("wmflabs", "ci-jessie", NodeState::Delete, ago(5)).await;
    bench.store.remove_node(&node, &note("gone")).await.unwrap();
    let ran = bench.run(&["history", "1"]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let events: Vec<_> = ran.rows().iter().map(|row| (row[2].clone(), row[5].clone())).collect();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].1, "a spare node is missing");
    assert_eq!(events[2], ("gone".to_owned(), "the test says so".to_owned()));
    assert_eq!(bench.run(&["history", "1", "--limit", "1", "-o", "json"]).await.json()[0]["event"], "gone");
    assert_eq!(bench.run(&["history", "1", "--image"]).await.status, 1);
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_told_without_its_password() {
    let bench = Bench::new().await;
    let yaml = bench.folder.path().join("nodepool.yaml");
    for (url, status, words) in [
        (
            "mysql+pymysql://nodepool:hunter2@127.0.0.1:1/nodepool",
            3,
            "the server at 127.0.0.1:1 cannot be reached",
        ),
        ("mysql+pymysql://nodepool:hunter2@db/nodepool?pool=3", 2, "the parameter `pool` is not supported"),
        ("sqlite:////dev/null/nodepool.db", 3, "the database is unavailable"),
    ] {
        std::fs::write(&yaml, format!("dburi: {url}\nlabels: []\nproviders: []\ntargets: []\n")).unwrap();
        let ran = bench.run(&["list"]).await;
        assert_eq!((ran.status, ran.out.as_str()), (status, ""), "{ran:?}");
        assert!(ran.err.contains(words) && ran.err.contains("\n  next: "), "{ran:?}");
        assert!(!ran.err.contains("hunter2"), "{ran:?}");
        let ran = bench.run(&["config-validate"]).await;
        assert_eq!(
            ran.status,
            i32::from(status == 2),
            "what stands in the file can be told without the database: {ran:?}"
        );
        assert_eq!(ran.out.contains(words), status == 2, "{ran:?}");
        assert!(!ran.out.contains("hunter2"), "{ran:?}");
    }
}

#[tokio::test]
async fn jobs_are_watched_under_their_exact_names() {
    let bench = Bench::new().await;
    let ran = bench.run(&["job-create", "gate unit", "--hold-on-failure", "2", "--for", "2d"]).await;
    assert_eq!((ran.status, ran.rows().len()), (0, 1), "{ran:?}");
    let ran = bench.run(&["job-create", "lint"]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    // A job has one rule.
    let ran = bench.run(&["job-create", "lint", "--hold-on-failure", "1"]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let jobs = bench.run(&["job-list", "-o", "json"]).await.json();
    assert_eq!((&jobs[0]["name"], &jobs[0]["hold_on_failure"]), (&"gate unit".into(), &2.into()));
    assert_eq!((&jobs[0]["hold_for_seconds"], &jobs[0]["held"]), (&172_800.into(), &0.into()));
    assert_eq!((&jobs[1]["id"], &jobs[1]["hold_on_failure"]), (&2.into(), &1.into()));
    let list = bench.run(&["job-list"]).await.out;
    assert!(list.contains("| ID | Name      | Hold on Failure |"), "{list}");
    let ran = bench.run(&["job-delete", "1", "7"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("no rule has the number 7") && ran.err.contains("job-list"), "{ran:?}");
    assert_eq!(bench.run(&["job-list", "-o", "json"]).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stopped_cleanup_is_shown_and_confirmed_by_a_person_only() {
    let bench = Bench::new().await;
    let ran = bench.run(&["gc", "--confirm", "--yes"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("no cleanup is stopped"), "{}", ran.err);
    let leftover = |id: &str, fate| Leftover {
        provider: "wmflabs".to_owned(),
        kind: LeftoverKind::Server,
        id: id.to_owned(),
        made_for: "node 17, attempt a-1".to_owned(),
        first_seen: ago(90),
        listings: 4,
        fate,
        reason: "no row has it".to_owned(),
    };
    let found = [leftover("s-1", Fate::Deleted), leftover("s-2", Fate::Stopped)];
    bench.store.keep_leftovers(&found).await.unwrap();
    assert_eq!(bench.store.leftovers().await.unwrap(), found);
    let ran = bench.run(&["gc", "--dry-run"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!(ran.rows()[1][1..5], ["wmflabs", "server", "s-2", "node 17, attempt a-1"]);
    assert_eq!((ran.rows()[1][6].as_str(), ran.rows()[1][8].as_str()), ("4", "stopped"));
    let ran = bench.run(&["gc", "--confirm"]).await;
    assert_eq!((ran.status, ran.rows().len()), (1, 1), "nobody can be asked here: {ran:?}");
    assert_eq!(bench.store.open_wishes().await.unwrap(), []);
    let ran = bench.run(&["gc", "--confirm", "--yes"]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let ran = bench.run(&["gc"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (0, ""), "{ran:?}");
    let wishes: Vec<_> = bench.store.open_wishes().await.unwrap().into_iter().map(|wish| wish.kind).collect();
    assert_eq!(wishes, [WishKind::ConfirmCleanup, WishKind::Cleanup]);
}
