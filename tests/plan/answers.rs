//! What follows from each answer to each errand, as one table.

use std::fmt::Write as _;
use std::time::Duration;

use nodepool::fsm;
use nodepool::model::{Image, Node};
use nodepool::plan::{Answer, Consequence, Errand, Failure, Fault, consequences};

use super::errands;
use super::rendered;
use super::scenario::Scenario;
use super::situation::{read_image, read_node};

/// Each errand, and the rows that it may find when it comes home.
const HOMECOMINGS: [(&str, &[&str]); 22] = [
    (
        "create-server alpha for node 1",
        &[
            "nodes: [{id: 1, state: building create, asked: 5}]",
            "nodes: [{id: 1, state: delete, asked: 5}]",
            "nodes: []",
            "nodes: [{id: 1, state: building create, az: az1, asked: 5}]",
        ],
    ),
    (
        "create-server alpha for builder 1",
        &[
            "images: [{id: 1, state: building create, builder_asked: 5}]",
            "images: [{id: 1, state: delete, builder_asked: 5}]",
        ],
    ),
    (
        "create-server alpha for verifier 1",
        &[
            "images: [{id: 1, state: building verify, snapshot: snap-1, verifier_asked: 5}]",
            "images: [{id: 1, state: delete, snapshot: snap-1, verifier_asked: 5}]",
        ],
    ),
    (
        "take-snapshot alpha for image 1",
        &[
            "images: [{id: 1, state: building snapshot, builder: b1, snapshot_asked: 5}]",
            "images: [{id: 1, state: delete, builder: b1, snapshot_asked: 5}]",
        ],
    ),
    ("delete-server alpha s1 of node 1", &["nodes: [{id: 1, state: delete, server: s1}]"]),
    (
        "delete-snapshot alpha snap-1",
        &[
            "images: [{id: 1, state: delete, snapshot: snap-1}]",
            "images: [{id: 1, state: delete, snapshot: snap-of-another-call}]",
        ],
    ),
    ("delete-keypair alpha key-1", &["images: [{id: 1, state: delete, keypair: key-1}]"]),
    (
        "prepare-node 1",
        &[
            "nodes: [{id: 1, state: building ssh, server: s1}]",
            "nodes: [{id: 1, state: delete, server: s1}]",
            "nodes: [{id: 1, state: building ssh, az: az1, server: s1}]",
            "nodes: [{id: 1, state: delete, az: az1, server: s1}]",
            "nodes: [{id: 1, subnodes: 1, state: building ssh, server: s1}, \
             {id: 2, primary: 1, index: 1, state: building ssh, server: s2}]",
            "nodes: [{id: 1, subnodes: 1, state: building ssh, server: s1}, \
             {id: 2, primary: 1, index: 1, state: delete, server: s2}]",
            "nodes: [{id: 1, subnodes: 1, state: building ssh, server: s1}]",
        ],
    ),
    (
        "create-floating-ip alpha for node 1",
        &[
            "nodes: [{id: 1, state: building address, server: s1, floating_ip_asked: 5}]",
            "nodes: [{id: 1, state: delete, server: s1, floating_ip_asked: 5}]",
        ],
    ),
    (
        "create-floating-ip alpha for builder 1",
        &["images: [{id: 1, state: building boot, builder: b1, floating_ip_asked: 5}]"],
    ),
    (
        "delete-floating-ip alpha f1 of node 1",
        &[
            "nodes: [{id: 1, state: delete, server: s1, floating_ip: f1}]",
            "nodes: [{id: 1, state: delete, server: s1, floating_ip: f-of-another-call}]",
        ],
    ),
    (
        "delete-floating-ip alpha f1 of verifier 1",
        &["images: [{id: 1, state: ready, snapshot: snap-1, verifier_floating_ip: f1}]"],
    ),
    (
        "read-console alpha of node 1",
        &["nodes: [{id: 1, state: building ssh, server: s1}]", "nodes: [{id: 1, state: delete, server: s1}]"],
    ),
    (
        "set-up-builder 1",
        &[
            "images: [{id: 1, state: building setup, builder: b1}]",
            "images: [{id: 1, state: delete, builder: b1}]",
            "images: [{id: 1, state: building setup, az: az1, builder: b1}]",
        ],
    ),
    (
        "enroll 1",
        &[
            "nodes: [{id: 1, state: building enroll, server: s1, enroll_asked: 1}]",
            "nodes: [{id: 1, state: delete, server: s1, enroll_asked: 1}]",
        ],
    ),
    (
        "withdraw jenkins node-1 of node 1",
        &["nodes: [{id: 1, state: delete, server: s1, enrolled: 100, manager: launcher-1}]"],
    ),
    (
        "start-test 1 check-node",
        &[
            "nodes: [{id: 1, state: building enroll, server: s1, enrolled: 100}]",
            "nodes: [{id: 1, state: delete, server: s1, enrolled: 100}]",
        ],
    ),
    (
        "relabel 1",
        &[
            "nodes: [{id: 1, state: test, server: s1, enrolled: 100, test_passed: true}]",
            "nodes: [{id: 1, state: delete, server: s1, enrolled: 100, test_passed: true}]",
        ],
    ),
    ("describe 1 held by ann", &["nodes: [{id: 1, state: hold, server: s1, enrolled: 100, held_by: ann}]"]),
    (
        "close 1",
        &[
            "nodes: [{id: 1, state: used, server: s1, enrolled: 100}]",
            "nodes: [{id: 1, state: hold, server: s1, enrolled: 100, held_by: ann, remark: held by ann}]",
            "nodes: [{id: 1, state: delete, server: s1, enrolled: 100}]",
        ],
    ),
    (
        "read-launch-log 1",
        &[
            "nodes: [{id: 1, state: building enroll, server: s1, enrolled: 100}]",
            "nodes: [{id: 1, state: ready, server: s1, enrolled: 100}]",
        ],
    ),
    ("verify-snapshot 1", &["images: [{id: 1, state: building verify, snapshot: snap-1, verifier: v1}]"]),
];

/// The table.
pub fn table() -> String {
    let mut text = String::new();
    for (errand, situations) in HOMECOMINGS {
        for situation in situations {
            let scenario: Scenario =
                serde_yaml::from_str(&format!("about: a homecoming\n{situation}")).unwrap();
            let nodes: Vec<Node> = scenario.nodes.iter().map(|row| read_node(row).unwrap()).collect();
            let image = scenario.images.first().map(|row| read_image(row).unwrap());
            writeln!(text, "{errand}, with {situation}").unwrap();
            let errand = errands::read(errand).unwrap();
            for (name, answer) in answers() {
                writeln!(text, "  {name}").unwrap();
                for line in lines(&errand, &answer, &nodes, image.as_ref()) {
                    writeln!(text, "    {line}").unwrap();
                }
            }
        }
    }
    text
}

fn answers() -> Vec<(&'static str, Answer)> {
    let failed = |fault| Answer::Failed(Failure { fault, text: "the text of the failure".to_owned() });
    vec![
        ("an id", Answer::Id("new".to_owned())),
        ("done", Answer::Done),
        ("a text", Answer::Text("the log".to_owned())),
        ("not found", failed(Fault::NotFound)),
        ("no quota", failed(Fault::Quota)),
        ("slow down", failed(Fault::Throttled(Some(Duration::from_secs(30))))),
        ("slow down, for a day", failed(Fault::Throttled(Some(Duration::from_secs(86_400))))),
        ("nobody knows", failed(Fault::Uncertain)),
        ("refused", failed(Fault::Refused)),
        ("no login", failed(Fault::Login)),
        ("not reached", failed(Fault::Unreachable)),
        ("a job is there", failed(Fault::Busy)),
    ]
}

fn lines(errand: &Errand, answer: &Answer, nodes: &[Node], image: Option<&Image>) -> Vec<String> {
    let follow = consequences(errand, answer, nodes.to_vec(), image.cloned());
    follow.iter().flat_map(|consequence| lines_of(consequence, nodes, image)).collect()
}

fn lines_of(consequence: &Consequence, nodes: &[Node], image: Option<&Image>) -> Vec<String> {
    let Consequence::Nodes { rows, event, reason } = consequence else {
        return vec![line(consequence, nodes.first(), image)];
    };
    let text = |row: &Node| {
        let following = fsm::node::next(row.state, *event).expect("a legal event");
        let subject = if rows.len() == 1 { "node".to_owned() } else { row.title() };
        format!("{subject}: {following} by {}: {reason}", event.word())
    };
    rows.iter().map(text).collect()
}

fn line(consequence: &Consequence, node: Option<&Node>, image: Option<&Image>) -> String {
    match consequence {
        Consequence::Nodes { .. } => unreachable!("a line for each"),
        Consequence::Node { row, event, reason } => {
            let following = fsm::node::next(row.state, *event).expect("a legal event");
            format!(
                "node: {following} by {}{}: {reason}",
                event.word(),
                rendered::node_facts(node.unwrap(), row)
            )
        }
        Consequence::NodeFacts { row, reason } => {
            format!("node: facts{}: {reason}", rendered::node_facts(node.unwrap(), row))
        }
        Consequence::Image { row, event, reason } => {
            let following = fsm::image::next(row.state, *event).expect("a legal event");
            format!(
                "image: {following} by {}{}: {reason}",
                event.word(),
                rendered::facts_of_image(image.unwrap(), row)
            )
        }
        Consequence::ImageFacts { row, reason } => {
            format!("image: facts{}: {reason}", rendered::facts_of_image(image.unwrap(), row))
        }
        Consequence::SetBack { kind, provider, name, .. } => {
            format!("count a setback: {}", rendered::setback(*kind, provider, name))
        }
        Consequence::Recovered { kind, provider, name } => {
            format!("forget the setbacks: {}", rendered::setback(*kind, provider, name))
        }
        Consequence::SawGone { provider, id } => format!("server {id} of {provider} is not there any more"),
        Consequence::HoldOff { provider, pause } => {
            format!("leave {provider} alone for {} s", pause.as_secs())
        }
    }
}
