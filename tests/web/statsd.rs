//! statsd: the names and forms that nodepool v0 sent, over UDP to a listener of ours.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

use nodepool::model::{AgentFacts, JobResult, JobRun, NodeState, NodeStep, Timestamp};
use nodepool::plan::Stock;
use nodepool::telemetry::{Metrics, Move, Statsd};

use super::config;
use super::metrics::node;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// What came, by name: the value and the kind of each.
type Heard = BTreeMap<String, Vec<String>>;

/// Lets something be told, and gives what a statsd hears of it.
fn heard(tell: impl FnOnce(&Metrics)) -> Heard {
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let metrics = Metrics::new().unwrap().with_statsd(Some(Statsd::new("127.0.0.1", port, None).unwrap()));
    tell(&metrics);
    // The last one flushes: nothing that was told before is still on its way.
    let late = START.plus(Duration::from_secs(3600));
    metrics.looked(late, &config(), std::iter::empty(), &Stock::default());
    let mut heard = Heard::new();
    let mut buffer = [0; 8192];
    while !heard.contains_key("nodepool.target.jenkins1.nodes.used") {
        let (length, _from) = listener.recv_from(&mut buffer).expect("statsd was not told");
        for line in std::str::from_utf8(&buffer[..length]).unwrap().lines() {
            let (name, value) = line.split_once(':').unwrap();
            heard.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    heard
}

/// The names that came in, without those of what there is.
fn names(heard: &Heard) -> Vec<&str> {
    let names = heard.keys().map(String::as_str);
    names.filter(|name| !name.contains(".nodes.") && !name.ends_with(".max_servers")).collect()
}

#[test]
fn what_there_is_has_the_names_of_v0() {
    let states = [NodeState::Ready, NodeState::Ready, NodeState::Building(NodeStep::Boot), NodeState::Hold];
    let mut nodes: Vec<_> = (1..).zip(states).map(|(id, state)| node(id, state, START)).collect();
    nodes[3].agent = AgentFacts { manager: Some("launcher7".to_owned()), ..AgentFacts::default() };
    let told = heard(|metrics| metrics.looked(START, &config(), nodes.iter(), &Stock::default()));
    for (name, value) in [
        ("nodepool.nodes.ready", "2|g"),
        ("nodepool.nodes.building", "1|g"),
        ("nodepool.nodes.test", "0|g"),
        ("nodepool.nodes.delete", "0|g"),
        ("nodepool.nodes.hold", "1|g"),
        ("nodepool.target.jenkins1.nodes.ready", "2|g"),
        ("nodepool.target.jenkins1.nodes.hold", "0|g"),
        ("nodepool.manager.launcher7.nodes.hold", "1|g"),
        ("nodepool.label.ci-jessie.nodes.building", "1|g"),
        ("nodepool.label.ci-off.nodes.ready", "0|g"),
        ("nodepool.provider.cloud1.nodes.ready", "2|g"),
        ("nodepool.provider.cloud1.max_servers", "7|g"),
    ] {
        assert_eq!(
            told.get(name).and_then(|values| values.first()).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn launches_and_deletions_have_the_names_of_v0() {
    let ready = node(1, NodeState::Building(NodeStep::Enroll), START);
    let booting = node(2, NodeState::Building(NodeStep::Boot), START);
    let deleted = node(3, NodeState::Delete, START);
    let later = START.plus(Duration::from_secs(65));
    let told = heard(|metrics| {
        for (node, to) in
            [(&ready, NodeState::Ready), (&booting, NodeState::Delete), (&deleted, NodeState::Gone)]
        {
            metrics.moved(&Move { node, to, at: later, reached: None });
        }
    });
    let both = Some(&vec!["65000|ms".to_owned(), "1|c".to_owned()]);
    let names_of = |sub: &str| {
        [
            format!("nodepool.launch.{sub}"),
            format!("nodepool.launch.image.jessie.{sub}"),
            format!("nodepool.launch.provider.cloud1.{sub}"),
            format!("nodepool.launch.provider.cloud1.zone1.{sub}"),
            format!("nodepool.launch.target.jenkins1.{sub}"),
        ]
    };
    let mut expected: Vec<String> = ["ready", "error.status"].iter().flat_map(|sub| names_of(sub)).collect();
    expected.push("nodepool.delete.jessie.cloud1.jenkins1".to_owned());
    for name in &expected {
        assert_eq!(told.get(name), both, "{name}");
    }
    assert_eq!(names(&told).len(), expected.len(), "{told:?}");
}

#[test]
fn each_failure_has_the_word_of_v0() {
    for (step, reached, word) in [
        (NodeState::Building(NodeStep::Create), None, "error.unknown"),
        (NodeState::Building(NodeStep::Boot), None, "error.status"),
        (NodeState::Building(NodeStep::Address), None, "error.network"),
        (NodeState::Building(NodeStep::Ssh), None, "error.auth"),
        (NodeState::Building(NodeStep::Ssh), Some(START), "error.nodepool"),
        (NodeState::Building(NodeStep::Enroll), None, "error.nodepool"),
        (NodeState::Test, None, "error.nodepool"),
    ] {
        let failed = node(1, step, START);
        let told = heard(|metrics| {
            metrics.moved(&Move { node: &failed, to: NodeState::Delete, at: START, reached });
        });
        assert!(told.contains_key(&format!("nodepool.launch.{word}")), "{step}: {told:?}");
    }
}

#[test]
fn calls_and_jobs_have_the_names_of_v0_and_cannot_break_a_line() {
    let run = |branch: Option<&str>, result| JobRun {
        job: "gate:x\n1|c".to_owned(),
        branch: branch.map(str::to_owned),
        label: "ci-jessie".to_owned(),
        provider: "cloud1".to_owned(),
        result,
        took: Duration::from_millis(1500),
    };
    let took = Duration::from_millis(20);
    let told = heard(|metrics| {
        for operation in [
            "create_server",
            "list_changed_servers",
            "delete_floating_ip",
            "list_floating_ips",
            "create_keypair",
        ] {
            metrics.cloud_call("cloud1", operation, "ok", took);
        }
        metrics.job_ended(&run(Some("master"), Some(JobResult::Success)));
        metrics.job_ended(&run(None, Some(JobResult::Failure)));
    });
    let names = names(&told);
    let expected = [
        "nodepool.job.gate_x_1_c.builds",
        "nodepool.job.gate_x_1_c.master.builds",
        "nodepool.job.gate_x_1_c.master.ci-jessie.builds",
        "nodepool.job.gate_x_1_c.master.ci-jessie.cloud1.builds",
        "nodepool.job.gate_x_1_c.master.ci-jessie.cloud1.runtime",
        "nodepool.job.gate_x_1_c.master.ci-jessie.runtime",
        "nodepool.job.gate_x_1_c.master.runtime",
        "nodepool.job.gate_x_1_c.runtime",
        "nodepool.task.cloud1.AddKeypairTask",
        "nodepool.task.cloud1.CreateServerTask",
        "nodepool.task.cloud1.DeleteFloatingIPTask",
        "nodepool.task.cloud1.ListFloatingIPsTask",
        "nodepool.task.cloud1.ListServersTask",
    ];
    assert_eq!(names, expected);
    assert_eq!(told["nodepool.job.gate_x_1_c.runtime"], ["1500|ms"], "only the job that succeeded");
    assert_eq!(told["nodepool.task.cloud1.CreateServerTask"], ["20|ms", "1|c"]);
}
