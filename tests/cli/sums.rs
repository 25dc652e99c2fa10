//! `nodepool stats`: sums of what happened lately, and of nothing before.

use std::time::Duration;

use nodepool::model::{Node, NodeState, NodeStep, Timestamp};
use nodepool::store::Note;

use crate::bench::{Bench, now};

/// Lets a node come into a state at a moment, as the engine does.
async fn comes(bench: &Bench, row: &Node, to: NodeState, at: Timestamp) -> Node {
    let note = Note {
        at,
        event: "moved".to_owned(),
        from: row.state.to_string(),
        to: to.to_string(),
        reason: "a test".to_owned(),
    };
    let moved = Node { state: to, state_time: at, ..row.clone() };
    bench.store.update_node(&moved, &note).await.unwrap()
}

#[tokio::test]
async fn what_happened_lately_is_summed_up() {
    let bench = Bench::new().await;
    let start = now();
    let ago = |seconds| start.minus(Duration::from_secs(seconds));
    let create = NodeState::Building(NodeStep::Create);
    // Yesterday's node is none of the last hour.
    let old = bench.node("alpha", "small", create, ago(100_000)).await;
    comes(&bench, &old, NodeState::Delete, ago(90_000)).await;
    let good = bench.node("alpha", "small", create, ago(1000)).await;
    let good = comes(&bench, &good, NodeState::Ready, ago(940)).await;
    let good = comes(&bench, &good, NodeState::Used, ago(840)).await;
    bench.store.add_queue_wait(ago(840), &good, Duration::from_secs(12)).await.unwrap();
    comes(&bench, &good, NodeState::Delete, ago(540)).await;
    let bad = bench.node("beta", "small", create, ago(500)).await;
    comes(&bench, &bad, NodeState::Delete, ago(400)).await;

    let rows = bench.run(&["stats", "--since", "1h", "-o", "json"]).await.json();
    let row = |label: &str, provider: &str| {
        let found = rows.as_array().unwrap().iter();
        found.clone().find(|row| row["label"] == label && row["provider"] == provider).unwrap().clone()
    };
    let alpha = row("small", "alpha");
    assert_eq!((&alpha["launches"], &alpha["failures"]), (&1.into(), &0.into()), "{alpha}");
    let seconds = |value: &serde_json::Value| value.as_f64().unwrap().round();
    assert!((seconds(&alpha["ready_p50"]) - 60.0).abs() <= 1.0, "{alpha}");
    assert!((seconds(&alpha["wait_p99"]) - 12.0).abs() <= 1.0, "{alpha}");
    assert!((alpha["idle_share"].as_f64().unwrap() - 0.25).abs() < 0.01, "{alpha}");
    let beta = row("small", "beta");
    assert_eq!((&beta["launches"], &beta["failures"]), (&1.into(), &1.into()), "{beta}");
    let all = row("all", "all");
    assert_eq!(
        (&all["launches"], &all["failures"], &all["jobs"]),
        (&2.into(), &1.into(), &1.into()),
        "{all}"
    );
    let days = bench.run(&["stats", "--since", "2d", "-o", "json"]).await.json();
    let all = days.as_array().unwrap().last().unwrap();
    assert_eq!((&all["launches"], &all["failures"]), (&3.into(), &2.into()), "{all}");
    let table = bench.run(&["stats"]).await;
    assert!(table.status == 0 && table.out.starts_with('+'), "{table:?}");
}
