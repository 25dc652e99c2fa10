//! `nodepool list` and `nodepool image-list`: the shape that scripts rely on.

use nodepool::model::{ImageState, ImageStep, NodeState, NodeStep};

use crate::bench::{Bench, ago};

#[tokio::test]
async fn list_is_the_table_of_nodepool_0_1() {
    let bench = Bench::new().await;
    bench.node("zed", "ci-trusty", NodeState::Ready, ago(7200)).await;
    bench.node("wmflabs", "ci-trusty", NodeState::Building(NodeStep::Create), ago(360)).await;
    bench.node("wmflabs", "ci-jessie", NodeState::Used, ago(36)).await;
    let ran = bench.run(&["list"]).await;
    assert_eq!(
        ran.out,
        "\
+----+----------+------+-----------+----------+-------------------------+-------------+-----------+------------+----------+-------------+
| ID | Provider | AZ   | Label     | Target   | Hostname                | NodeName    | Server ID | IP         | State    | Age (hours) |
+----+----------+------+-----------+----------+-------------------------+-------------+-----------+------------+----------+-------------+
| 3  | wmflabs  | nova | ci-jessie | jenkins1 | ci-jessie-3.example.org | ci-jessie-3 | server-3  | 10.68.16.3 | used     | 0.01        |
| 2  | wmflabs  | None | ci-trusty | jenkins1 | ci-trusty-2.example.org | ci-trusty-2 | None      | None       | building | 0.10        |
| 1  | zed      | nova | ci-trusty | jenkins1 | ci-trusty-1.example.org | ci-trusty-1 | server-1  | 10.68.16.1 | ready    | 2.00        |
+----+----------+------+-----------+----------+-------------------------+-------------+-----------+------------+----------+-------------+
"
    );
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

/// Monitoring at Wikimedia split each line at the bars, dropped what was empty, and compared the eleventh value, the
/// hours, with a limit for the tenth, the state.
#[tokio::test]
async fn a_probe_reads_state_and_hours() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Delete, ago(3600)).await;
    bench.node("wmflabs", "ci-jessie", NodeState::Building(NodeStep::Boot), ago(9000)).await;
    let ran = bench.run(&["list"]).await;
    let mut found = Vec::new();
    for line in ran.out.lines() {
        let props: Vec<&str> = line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        if props.first().is_some_and(|id| id.parse::<i64>().is_ok()) {
            let hours: f64 = props[10].parse().unwrap();
            found.push((props[9].to_owned(), hours));
        }
    }
    assert_eq!(found, [("delete".to_owned(), 1.0), ("building".to_owned(), 2.5)]);
    let eleventh = |line: &str| line.split('|').nth(10).map(str::trim).map(str::to_owned);
    assert_eq!(ran.out.lines().nth(3).and_then(eleventh), Some("delete".to_owned()), "cut -d'|' -f11");
}

#[tokio::test]
async fn an_age_as_a_clock_and_more_columns_after_it() {
    let bench = Bench::new().await;
    let mut node = bench.node("wmflabs", "ci-jessie", NodeState::Hold, ago(90_061)).await;
    node.comment = Some("look at\nthe disk".to_owned());
    bench.write(&node).await;
    let ran = bench.run(&["list", "--age", "clock", "--detail"]).await;
    assert!(
        ran.out.contains("| State | Age         | Step | Comment          | Held until | Reason "),
        "{}",
        ran.out
    );
    let rows = ran.rows();
    assert!(rows[0][11].starts_with("01:01:0"), "{rows:?}");
    assert_eq!(rows[0][12..16], ["None", "look at the disk", "None", "it was made so"]);
}

#[tokio::test]
async fn json_and_yaml_tell_everything() {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Building(NodeStep::Address), ago(50)).await;
    let ran = bench.run(&["list", "-o", "json"]).await;
    let json = ran.json();
    assert_eq!(json[0]["state"], "building");
    assert_eq!(json[0]["step"], "address");
    assert_eq!(json[0]["reason"], "it was made so");
    assert_eq!(json[0]["held_until"], serde_json::Value::Null);
    let age = json[0]["age_seconds"].as_u64().unwrap();
    assert!((50..110).contains(&age), "{age}");
    let time = json[0]["state_time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-11-21T10:00:00.000Z".len(), "{time}");

    let yaml: serde_json::Value =
        serde_yaml::from_str(&bench.run(&["-o", "yaml", "list"]).await.out).unwrap();
    assert_eq!((&yaml[0]["hostname"], &yaml[0]["id"]), (&json[0]["hostname"], &json[0]["id"]));
}

#[tokio::test]
async fn image_list_is_the_table_of_nodepool_0_1() {
    let bench = Bench::new().await;
    let built = nodepool::model::Timestamp::from_seconds(1_486_399_717);
    bench.image("wmflabs", "snapshot-ci-jessie", ImageState::Ready, built).await;
    bench.image("wmflabs", "snapshot-ci-jessie", ImageState::Building(ImageStep::Save), ago(7200)).await;
    let ran = bench.run(&["image-list"]).await;
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>().join(" "),
        "| ID | Provider | Image | Hostname | Version | Image ID | Server ID | State | Age (hours) |"
    );
    assert!(
        lines[3].starts_with(
            "| 1  | wmflabs  | snapshot-ci-jessie | snapshot-ci-jessie-1486399717 | 1486399717 | snapshot-1 | None      \
             | ready    | "
        ),
        "{}",
        ran.out
    );
    let rows = ran.rows();
    assert_eq!((rows[1][8].as_str(), rows[1][9].as_str()), ("building", "2.00"));
    assert_eq!(ran.status, 0);
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_error() {
    let bench = Bench::new().await;
    for _ in 0..600 {
        bench.node("wmflabs", "ci-jessie", NodeState::Ready, ago(5)).await;
    }
    // More than a pipe holds, so that the binary still writes when nobody reads any more.
    let ran = bench.run_and_stop_reading(&["list", "-o", "json"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}
