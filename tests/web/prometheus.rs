//! A real Prometheus scrapes the daemon's page, and answers what the dashboards ask.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::{Child, Command};

use super::held_port::HeldPort;
use super::metrics::busy;
use super::{DEADLINE, Served};

/// A Prometheus that runs until it is dropped.
struct Prometheus {
    _process: Child,
    _folder: tempfile::TempDir,
    _held: HeldPort,
    url: String,
}

impl Prometheus {
    fn start(served: &Served) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: nodepool\n    static_configs:\n      - \
             targets: [{:?}]\n",
            served.address.to_string()
        );
        std::fs::write(&file, text).unwrap();
        let held = HeldPort::new();
        let address = format!("127.0.0.1:{}", held.port);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus is missing: apt-get install prometheus");
        Self {
            _process: process,
            _folder: folder,
            _held: held,
            url: format!("http://{address}/api/v1/query"),
        }
    }

    /// How many series answer a question; `None` while it does not answer.
    async fn count(&self, query: &str) -> Option<usize> {
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build().unwrap();
        let mut url = reqwest::Url::parse(&self.url).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let answer: Value = client.get(url).send().await.ok()?.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        Some(answer["data"]["result"].as_array()?.len())
    }
}

/// Each question of a dashboard, with what Grafana puts in.
fn questions(file: &std::path::Path) -> Vec<String> {
    let board: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| {
            let text = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            text.replace("$label", "ci-jessie").replace("$provider", "cloud1")
        })
        .collect()
}

#[tokio::test]
async fn every_question_of_the_dashboards_is_answered_with_data() {
    let served = Served::new().await;
    busy(&served).await;
    let prometheus = Prometheus::start(&served);
    let end = Instant::now() + DEADLINE;
    while prometheus.count("count_over_time(nodepool_build_info[1m]) >= 3").await != Some(1) {
        assert!(Instant::now() < end, "Prometheus does not scrape");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana");
    let mut asked = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        for question in questions(&file) {
            // What is only shown when something is wrong is not there while nothing is.
            let may_be_empty = question.contains(" == 0") || question.contains(" > 0");
            // A scrape that took too long leaves a gap until the next one.
            let end = Instant::now() + DEADLINE;
            while !prometheus.count(&question).await.is_some_and(|found| found > 0 || may_be_empty) {
                assert!(Instant::now() < end, "{}: {question}", file.display());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            asked += 1;
        }
    }
    assert!(asked >= 40, "only {asked} questions");
}
