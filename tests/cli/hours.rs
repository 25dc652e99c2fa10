//! `nodepool schedule`: how many spare nodes there are to be, and which setting says so.

use nodepool::model::NodeState;

use crate::bench::{Bench, ago};

const LABELS: &str = "\
script-dir: .
labels:
  - name: daily
    image: ci
    min-ready: 1
    headroom: 20%
    schedule: {'daily 00:00-12:00 UTC': 12, 'daily 12:00-24:00 UTC': 7}
    providers: [{name: cloud1}]
  - {name: plain, image: ci, min-ready: 3, providers: [{name: cloud1}]}
  - {name: loaded, image: ci, min-ready: 0, headroom: 20%, providers: [{name: cloud1}]}
  - {name: idle, image: ci, min-ready: -1, providers: [{name: cloud1}]}
providers:
  - name: cloud1
    auth-url: https://keystone.example.org/v3
    username: ci
    password: s3cr3t
    project-name: ci
    max-servers: 50
    images: [{name: ci, base-image: debian, setup: setup.sh, min-ram: 512, private-key: key}]
targets: [{name: jenkins}]
";

#[tokio::test]
async fn the_schedule_tells_which_setting_asks_for_most() {
    let bench = Bench::configured(LABELS).await;
    bench.script("setup.sh");
    bench.script("key");
    for _ in 0..6 {
        bench.node("cloud1", "loaded", NodeState::Used, ago(60)).await;
    }
    // A day of two halves has three spans, or two when it begins with one of them.
    let spans = bench.run(&["schedule", "daily", "-o", "json"]).await.json();
    let spans = spans.as_array().unwrap();
    assert!((2..=3).contains(&spans.len()), "{spans:#?}");
    for pair in spans.windows(2) {
        assert_eq!(pair[0]["until"], pair[1]["from"]);
        assert_ne!(pair[0]["spares"], pair[1]["spares"]);
    }
    for span in spans {
        let window = match span["spares"].as_u64().unwrap() {
            12 => "schedule daily 00:00-12:00 UTC",
            7 => "schedule daily 12:00-24:00 UTC",
            other => panic!("{other} spare nodes"),
        };
        assert_eq!(span["because"], window);
    }
    let all = bench.run(&["schedule", "--next", "30d"]).await;
    assert_eq!(all.status, 0, "{all:?}");
    let told = |label: &str| -> Vec<(String, String)> {
        let rows = all.rows().into_iter().filter(|row| row[1] == label);
        rows.map(|row| (row[4].clone(), row[5].clone())).collect()
    };
    assert!(told("daily").len() >= 60);
    assert_eq!(told("plain"), [("3".to_owned(), "min-ready".to_owned())]);
    assert_eq!(told("loaded"), [("2".to_owned(), "headroom 20% of 6 busy nodes".to_owned())]);
    assert_eq!(told("idle"), [("off".to_owned(), "switched off (min-ready: -1)".to_owned())]);
    let wrong = bench.run(&["schedule", "plian"]).await;
    assert_eq!(wrong.status, 1);
    assert!(wrong.err.contains("did you mean plain?"), "{wrong:?}");
}
