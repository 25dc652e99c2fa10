//! The metrics: each of them, the bound on how many there are, and what Prometheus' own tool says of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nodepool::model::{
    AgentFacts, Fate, FloatingFacts, ImageState, JobFacts, Leftover, LeftoverKind, Node, NodeId, NodeState,
    NodeStep, Resource, Setback, SetbackKind, Timestamp, Usage,
};
use nodepool::plan::{Balance, Plan, Space, Stock};
use nodepool::store::NewImage;
use nodepool::telemetry::{Breaker, EventOutcome, Found, METRICS, Metrics, Move, Pool};

use super::{Served, config, note, now};

/// Something was left behind, and something keeps failing.
fn troubled(metrics: &Metrics) {
    let leftover = |fate| Leftover {
        provider: "cloud1".to_owned(),
        kind: LeftoverKind::Server,
        id: "s-1".to_owned(),
        made_for: "node 17, attempt a-1".to_owned(),
        first_seen: now(),
        listings: 2,
        fate,
        reason: "no row has it".to_owned(),
    };
    metrics.leftovers(&[leftover(Fate::Stopped), leftover(Fate::Stopped), leftover(Fate::Watched)]);
    let failed = |failures| Setback {
        kind: SetbackKind::Launch,
        provider: "cloud1".to_owned(),
        name: "ci-jessie".to_owned(),
        failures,
        last: now(),
        reason: "connect: no answer".to_owned(),
    };
    metrics.breakers(&Breaker::not_closed(&[failed(3), failed(2)], now()));
}

/// Makes everything happen that a metric tells of.
pub async fn busy(served: &Served) {
    served.node("a1", NodeState::Ready, None).await;
    served.node("a2", NodeState::Hold, Some("look at it")).await;
    let image = NewImage {
        recipe: String::new(),
        provider: "cloud1".to_owned(),
        image: "jessie".to_owned(),
        hostname: "template-jessie".to_owned(),
        az: None,
        version: 1,
        attempt: "b1".to_owned(),
        created: now().minus(Duration::from_hours(2)),
        reason: "no image is ready".to_owned(),
    };
    let mut image = served.store.insert_image(&image).await.unwrap();
    image.state = ImageState::Ready;
    served.store.update_image(&image, &note("set up")).await.unwrap();
    for (kind, name) in [(SetbackKind::Launch, "ci-jessie"), (SetbackKind::Image, "jessie")] {
        served.store.record_setback(kind, "cloud1", name, now(), "it failed").await.unwrap();
    }
    let metrics = &served.metrics;
    metrics.tick(Duration::from_millis(3));
    metrics.cloud_call("cloud1", "list_servers", "ok", Duration::from_millis(300));
    metrics.target_call("jenkins1", "list_agents", "ok", Duration::from_millis(300));
    let usage = |limit, used| Usage { limit, used };
    let told = [(Resource::Cores, usage(Some(40), 38)), (Resource::Ram, usage(None, 4096))];
    metrics.quota(&[("cloud0".to_owned(), told.into())].into());
    metrics.quota(&[("cloud1".to_owned(), told.into())].into());
    troubled(metrics);
    metrics.config_reload(true);
    metrics.gearman_ask("zuul:4730", "ok");
    metrics.gearman_ask("left:4730", "ok");
    metrics.job_event("webhook", EventOutcome::Written);
    metrics.publisher("tcp://jenkins1:8888", true);
    metrics.leak("cloud1", "server", Found::Leak);
    metrics.leak("cloud1", "server", Found::Removed);
    metrics.turn("cloud1", Duration::from_secs(2));
    metrics.store_call("write", Duration::from_millis(2));
    metrics.store_call("read", Duration::from_millis(1));
    launch(metrics, 1);
    let failed = node(2, NodeState::Building(NodeStep::Boot), at(2));
    metrics.moved(&Move { node: &failed, to: NodeState::Delete, at: at(22), reached: None });
    let mut stock = Stock::default();
    let balance = Balance { jobs: 5, spares: Some(3), ready: 1, ..Balance::default() };
    stock.labels.insert("ci-jessie".to_owned(), balance);
    stock.labels.insert("ci-off".to_owned(), Balance::default());
    stock.providers.insert("cloud1".to_owned(), Space { limit: Some(7), taken: 6 });
    stock.closed.insert("jenkins1".to_owned(), Some("it cannot be read".to_owned()));
    stock.unknown.insert("nobody".to_owned(), 4);
    // One node is ready, and used after half a minute by a job that waited so long.
    let ready = node(3, NodeState::Ready, at(0));
    for seconds in [100, 130] {
        metrics.looked(at(seconds), &config(), std::iter::once(&ready), &stock);
    }
    metrics.moved(&Move { node: &ready, to: NodeState::Used, at: at(130), reached: None });
    served.ticked(now(), Plan { stock, ..Plan::default() }, None);
}

/// A launch with all of its phases, 65 seconds in all.
fn launch(metrics: &Metrics, id: i64) {
    let mut since = 0;
    for (step, seconds, reached, to) in [
        (NodeState::Building(NodeStep::Create), 2, None, NodeState::Building(NodeStep::Boot)),
        (NodeState::Building(NodeStep::Boot), 20, None, NodeState::Building(NodeStep::Address)),
        (NodeState::Building(NodeStep::Address), 3, None, NodeState::Building(NodeStep::Ssh)),
        (NodeState::Building(NodeStep::Ssh), 10, Some(29), NodeState::Building(NodeStep::Enroll)),
        (NodeState::Building(NodeStep::Enroll), 10, None, NodeState::Test),
        (NodeState::Test, 20, None, NodeState::Ready),
    ] {
        let row = node(id, step, at(since));
        since += seconds;
        metrics.moved(&Move { node: &row, to, at: at(since), reached: reached.map(at) });
    }
}

const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

/// A row that is nowhere but here.
pub fn node(id: i64, state: NodeState, since: Timestamp) -> Node {
    Node {
        id: NodeId(id),
        primary: None,
        subnode_index: 0,
        subnodes: 0,
        provider: "cloud1".to_owned(),
        label: "ci-jessie".to_owned(),
        target: "jenkins1".to_owned(),
        hostname: format!("ci-jessie-{id}.example.org"),
        nodename: format!("ci-jessie-{id}"),
        image: "jessie".to_owned(),
        image_id: None,
        az: Some("zone1".to_owned()),
        server_id: Some(format!("server-{id}")),
        ip: None,
        ip_private: None,
        host_key: None,
        state,
        state_time: since,
        created: at(0),
        attempt: format!("n{id}"),
        attempted: None,
        delete_called: None,
        floating_ip: FloatingFacts::default(),
        agent: AgentFacts::default(),
        job: JobFacts::default(),
        held_until: None,
        held_by: None,
        held_for: None,
        hold_warned: false,
        comment: None,
        reason: format!("reason {id}"),
        revision: 1,
    }
}

/// Lines that are told when everything has happened.
const TOLD: &[&str] = &[
    "nodepool_nodes{label=\"ci-jessie\",provider=\"cloud1\",state=\"ready\"} 1",
    "nodepool_nodes{label=\"ci-jessie\",provider=\"cloud1\",state=\"used\"} 0",
    "nodepool_images{image=\"jessie\",provider=\"cloud1\",state=\"ready\"} 1",
    "nodepool_min_ready{label=\"ci-jessie\"} 3",
    "nodepool_min_ready{label=\"ci-off\"} -1",
    "nodepool_max_servers{provider=\"cloud1\"} 7",
    "nodepool_quota_limit{provider=\"cloud1\",resource=\"cores\"} 40",
    "nodepool_quota_used{provider=\"cloud1\",resource=\"cores\"} 38",
    "nodepool_quota_limit{provider=\"cloud1\",resource=\"ram_mib\"} -1",
    "nodepool_cloud_calls_total{operation=\"list_servers\",outcome=\"ok\",provider=\"cloud1\"} 1",
    "nodepool_cloud_call_seconds_bucket{operation=\"list_servers\",provider=\"cloud1\",le=\"0.25\"} 0",
    "nodepool_target_calls_total{operation=\"list_agents\",outcome=\"ok\",target=\"jenkins1\"} 1",
    "nodepool_target_call_seconds_bucket{operation=\"list_agents\",target=\"jenkins1\",le=\"0.5\"} 1",
    "nodepool_cloud_call_seconds_bucket{operation=\"list_servers\",provider=\"cloud1\",le=\"0.5\"} 1",
    "nodepool_ticks_total 1",
    "nodepool_tick_seconds_count 1",
    "nodepool_launches_total{label=\"ci-jessie\",outcome=\"failed\",provider=\"cloud1\"} 1",
    "nodepool_launch_seconds_count{outcome=\"ready\",provider=\"cloud1\"} 1",
    "nodepool_launch_seconds_sum{outcome=\"ready\",provider=\"cloud1\"} 65",
    "nodepool_launch_phase_seconds_sum{outcome=\"ok\",phase=\"create\",provider=\"cloud1\"} 2",
    "nodepool_launch_phase_seconds_sum{outcome=\"ok\",phase=\"boot\",provider=\"cloud1\"} 20",
    "nodepool_launch_phase_seconds_sum{outcome=\"ok\",phase=\"address\",provider=\"cloud1\"} 3",
    "nodepool_launch_phase_seconds_sum{outcome=\"ok\",phase=\"ssh\",provider=\"cloud1\"} 4",
    "nodepool_launch_phase_seconds_sum{outcome=\"ok\",phase=\"ready-script\",provider=\"cloud1\"} 6",
    "nodepool_launch_phase_seconds_sum{outcome=\"ok\",phase=\"enroll\",provider=\"cloud1\"} 10",
    "nodepool_launch_phase_seconds_sum{outcome=\"ok\",phase=\"test\",provider=\"cloud1\"} 20",
    "nodepool_launch_phase_seconds_sum{outcome=\"failed\",phase=\"boot\",provider=\"cloud1\"} 20",
    "nodepool_queue_wait_seconds_sum{label=\"ci-jessie\"} 30",
    "nodepool_queue_wait_seconds_count{label=\"ci-jessie\"} 1",
    "nodepool_demand{label=\"ci-jessie\"} 5",
    "nodepool_deficit{label=\"ci-jessie\"} 7",
    "nodepool_deficit{label=\"ci-off\"} 0",
    "nodepool_unknown_demand 4",
    "nodepool_servers{provider=\"cloud1\"} 6",
    "nodepool_capacity{provider=\"cloud1\"} 1",
    "nodepool_target_up{target=\"jenkins1\"} 0",
    "nodepool_held_nodes{by=\"person\",label=\"ci-jessie\"} 1",
    "nodepool_held_nodes{by=\"rule\",label=\"ci-jessie\"} 0",
    "nodepool_leaks_found_total{kind=\"server\",place=\"cloud1\"} 1",
    "nodepool_leaks_removed_total{kind=\"server\",place=\"cloud1\"} 1",
    "nodepool_node_seconds_total{label=\"ci-jessie\",provider=\"cloud1\",state=\"ready\"} 30",
    "nodepool_config_reloads_total{outcome=\"ok\"} 1",
    "nodepool_store_seconds_count{operation=\"write\"} 1",
    "nodepool_calls_put_off_total{provider=\"cloud1\"} 1",
    "nodepool_pace_wait_seconds{provider=\"cloud1\"} 2",
    "nodepool_setback_failures{kind=\"launch\",name=\"ci-jessie\",place=\"cloud1\"} 1",
    "nodepool_config_reload_ok 1",
    "nodepool_gearman_asks_total{outcome=\"ok\",server=\"zuul:4730\"} 1",
    "nodepool_gearman_server_up{server=\"zuul:4730\"} 1",
    "nodepool_leftovers{fate=\"deleted\",provider=\"cloud1\"} 0",
    "nodepool_leftovers{fate=\"stopped\",provider=\"cloud1\"} 2",
    "nodepool_breakers{kind=\"launch\",provider=\"cloud1\",state=\"open\"} 1",
    "nodepool_job_events_total{outcome=\"written\",source=\"webhook\"} 1",
    "nodepool_zmq_publisher_connected{publisher=\"tcp://jenkins1:8888\"} 1",
];

#[tokio::test]
async fn metrics_tell_the_rows_the_configuration_and_what_happened() {
    let served = Served::new().await;
    busy(&served).await;
    let answer = served.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    for &line in TOLD {
        assert!(answer.text.lines().any(|found| found == line), "{line}\n{}", answer.text);
    }
    let line = "nodepool_subnodes{label=\"ci-jessie\",provider=\"cloud1\",state=\"ready\"} 0";
    assert!(answer.text.lines().any(|found| found == line), "{line}\n{}", answer.text);
    for metric in METRICS {
        assert!(
            answer.text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)),
            "{}",
            metric.name
        );
    }
    assert!(answer.text.contains("process_resident_memory_bytes "));
    for (name, least) in [
        ("nodepool_oldest_node_seconds{label=\"ci-jessie\",state=\"hold\"}", 0.0),
        ("nodepool_image_age_seconds{image=\"jessie\",provider=\"cloud1\"}", 7200.0),
        ("nodepool_setback_pause_seconds{kind=\"launch\",name=\"ci-jessie\",place=\"cloud1\"}", 0.0),
    ] {
        let value = answer.text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert!(value.is_some_and(|value| value >= least && value < least + 600.0), "{name}: {value:?}");
    }

    served.metrics.gearman_ask("zuul:4730", "silent");
    let later = served.get("/metrics").await.text;
    assert!(later.contains("nodepool_gearman_server_up{server=\"zuul:4730\"} 0\n"), "{later}");
    assert!(
        !later.contains("nodepool_gearman_server_up{server=\"left"),
        "it left the configuration: {later}"
    );

    // What is gone from the rows does not stay in the metrics.
    let node = served.store.nodes().await.unwrap().remove(0);
    served.store.remove_node(&node, &note("not wanted")).await.unwrap();
    let line = "nodepool_nodes{label=\"ci-jessie\",provider=\"cloud1\",state=\"ready\"} 0";
    assert!(served.get("/metrics").await.text.contains(line));
}

/// How many series so many nodes make, each of them launched, used and gone once.
fn series(count: i64) -> usize {
    let (metrics, config) = (Metrics::new().unwrap(), config());
    let states = NodeState::STORED.iter().cycle();
    let nodes: Vec<Node> = (1..=count).zip(states).map(|(id, state)| node(id, *state, at(0))).collect();
    for node in &nodes {
        launch(&metrics, node.id.0);
        metrics.moved(&Move { node, to: NodeState::Delete, at: at(9), reached: None });
        metrics.moved(&Move { node, to: NodeState::Used, at: at(9), reached: None });
        metrics.moved(&Move { node, to: NodeState::Gone, at: at(9), reached: None });
    }
    for seconds in [10, 20] {
        metrics.looked(at(seconds), &config, nodes.iter(), &Stock::default());
    }
    let last = nodepool::telemetry::LastTick::default();
    let pool = Pool { config: &config, nodes: &nodes, images: &[], setbacks: &[], last: &last, now: at(30) };
    let text = metrics.render(&pool).unwrap();
    assert!(!text.contains("ci-jessie-1"), "no node has a series of its own:\n{text}");
    text.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn ten_thousand_nodes_make_as_many_series_as_ten() {
    let many = series(10_000);
    assert_eq!(many, series(10));
    assert!(many < 1000, "{many}");
}

/// Runs Prometheus' own tool, and gives what it said.
fn promtool(arguments: &[&str], folder: &Path, input: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.expect("promtool is missing: apt-get install prometheus");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}\n{input}");
    said
}

fn deploy(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder)
}

#[tokio::test]
async fn promtool_finds_no_fault_in_the_metrics() {
    let served = Served::new().await;
    busy(&served).await;
    let text = served.get("/metrics").await.text;
    let said = promtool(&["check", "metrics"], &deploy(""), &text);
    assert_eq!(said, "");
}

#[test]
fn the_alarms_go_off_when_they_should_and_only_then() {
    promtool(&["check", "rules", "nodepool.rules.yml"], &deploy("prometheus"), "");
    promtool(&["test", "rules", "nodepool.rules.test.yml"], &deploy("prometheus"), "");
}

/// The names of series that a text mentions.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("nodepool_")).collect()
}

#[test]
fn dashboards_and_alarms_ask_for_metrics_that_there_are() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for metric in METRICS {
        let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", metric.name));
        known.extend(parts.into_iter().filter(|_| metric.name.ends_with("_seconds")));
        known.insert(metric.name.to_owned());
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["grafana", "prometheus"] {
        files.extend(std::fs::read_dir(deploy(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let names = mentioned(&text);
        assert!(!names.is_empty(), "{}", file.display());
        let unknown: Vec<_> = names.iter().filter(|name| !known.contains(**name)).collect();
        assert!(unknown.is_empty(), "{} asks for {unknown:?}", file.display());
    }
}
