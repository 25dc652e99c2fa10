//! What follows from the answers of targets.

use super::action::{Errand, Reason};
use super::blame::Blame;
use super::outcome::{
    Answer, Consequence, Failure, Fault, launch_failed, launch_succeeded, set_back, went_away,
};
use crate::fsm::node::NodeEvent;
use crate::model::{AgentFacts, CLOSED, Node, NodeState, NodeStep, SetbackKind};

/// What follows from the answer of a target to an errand about a node.
///
/// Of the labels of an agent depends its whole set, so its subnodes come after it.
pub(super) fn consequences(
    errand: &Errand,
    answer: &Answer,
    node: Node,
    nodes: Vec<Node>,
) -> Vec<Consequence> {
    match errand {
        Errand::Enroll(_) => enrolled(node, answer),
        Errand::Withdraw { .. } if went_away(answer) => {
            let agent = AgentFacts { withdrawn: true, ..node.agent.clone() };
            facts(Node { agent, ..node }, "its target gave it back")
        }
        Errand::StartTest { job, .. } => test_started(node, job, answer),
        Errand::Relabel(_) => relabelled(node, nodes, answer),
        Errand::Describe { remark, .. } => described(node, remark, answer),
        Errand::Close(_) => closed(node, answer),
        Errand::ReadLaunchLog(_) => launch_log(node, answer),
        _ => Vec::new(),
    }
}

/// Whether it is on its way to take jobs.
const fn is_coming(node: &Node) -> bool {
    matches!(node.state, NodeState::Building(NodeStep::Ssh | NodeStep::Enroll) | NodeState::Test)
}

fn enrolled(node: Node, answer: &Answer) -> Vec<Consequence> {
    match answer {
        Answer::Failed(failure) if is_coming(&node) => refused(node, failure, "it was not enrolled"),
        Answer::Failed(_) => Vec::new(),
        // Also a node that is to go meanwhile has to remember who took it.
        Answer::Id(_) | Answer::Done | Answer::Text(_) => {
            let manager = match answer {
                Answer::Id(manager) => Some(manager.clone()),
                _ => None,
            };
            let agent = AgentFacts { enrolled: true, manager, ..node.agent.clone() };
            facts(Node { agent, ..node }, "its target knows it")
        }
    }
}

fn test_started(node: Node, job: &str, answer: &Answer) -> Vec<Consequence> {
    let reason = format!("its test job {job} was started");
    match answer {
        _ if node.state != NodeState::Building(NodeStep::Enroll) => Vec::new(),
        Answer::Failed(failure) => refused(node, failure, &format!("its test job {job} was not started")),
        Answer::Id(_) | Answer::Done | Answer::Text(_) => happened(node, NodeEvent::TestBegun, reason),
    }
}

fn relabelled(node: Node, nodes: Vec<Node>, answer: &Answer) -> Vec<Consequence> {
    match answer {
        _ if !is_coming(&node) => Vec::new(),
        Answer::Failed(failure) => refused(node, failure, "its agent did not get its labels"),
        Answer::Id(_) | Answer::Done | Answer::Text(_) => {
            let (kind, provider) = (SetbackKind::Target, node.target.clone());
            let mut follow = launch_succeeded(&node);
            follow.push(Consequence::Recovered { kind, provider, name: String::new() });
            let reason = "its test job succeeded, and its agent has its labels".into();
            let rows = nodes.into_iter().filter(is_coming).collect();
            follow.push(Consequence::Nodes { rows, event: NodeEvent::Enrolled, reason });
            follow
        }
    }
}

/// What a target does not want to hear is not said again and again.
fn described(node: Node, remark: &str, answer: &Answer) -> Vec<Consequence> {
    if let Answer::Failed(Failure { fault: Fault::Uncertain | Fault::Login | Fault::Throttled(_), .. }) =
        answer
    {
        return Vec::new();
    }
    let agent = AgentFacts { remark: Some(remark.to_owned()), ..node.agent.clone() };
    facts(Node { agent, ..node }, "its target was told who holds it")
}

/// A user who may not take agents offline will not be let next time either.
fn closed(node: Node, answer: &Answer) -> Vec<Consequence> {
    let is_uncertain =
        matches!(answer, Answer::Failed(Failure { fault: Fault::Uncertain | Fault::Throttled(_), .. }));
    if is_uncertain || !matches!(node.state, NodeState::Used | NodeState::Hold) {
        return Vec::new();
    }
    let reason = match answer {
        Answer::Failed(failure) => format!("its target does not close it to other jobs: {}", failure.text),
        Answer::Id(_) | Answer::Done | Answer::Text(_) => "its target starts no other job on it".to_owned(),
    };
    // Where it is held meanwhile, these words may have taken the place of those of the hold, which are said again.
    let agent = AgentFacts { remark: Some(CLOSED.to_owned()), ..node.agent.clone() };
    facts(Node { agent, ..node }, &reason)
}

/// The agent was awaited in vain, whatever the log says or does not say.
fn launch_log(node: Node, answer: &Answer) -> Vec<Consequence> {
    if node.state != NodeState::Building(NodeStep::Enroll) {
        return Vec::new();
    }
    let why = match answer {
        Answer::Text(text) if text.trim().is_empty() => "the target's log of it is empty".to_owned(),
        Answer::Text(text) => format!("the target's log of it ends: {}", text.trim()),
        Answer::Failed(failure) => format!("the target's log of it could not be read: {}", failure.text),
        Answer::Id(_) | Answer::Done => "the target says nothing about it".to_owned(),
    };
    let reason = Reason(format!("its agent did not come online within the enroll-timeout; {why}"));
    let mut follow = launch_failed(&node, &reason, Blame::Unknown);
    follow.push(Consequence::Node { row: Box::new(node), event: NodeEvent::Doomed, reason });
    follow
}

/// A target that understood and refused will refuse the next node, too. What is not certain is tried again.
fn refused(node: Node, failure: &Failure, what: &str) -> Vec<Consequence> {
    match failure.fault {
        Fault::Uncertain | Fault::Login | Fault::Throttled(_) => Vec::new(),
        Fault::NotFound | Fault::Quota | Fault::Refused | Fault::Unreachable | Fault::Busy => {
            let reason = Reason(format!("{what}: {}", failure.text));
            vec![
                set_back(SetbackKind::Target, node.target.clone(), String::new(), reason.clone()),
                Consequence::Node { row: Box::new(node), event: NodeEvent::Doomed, reason },
            ]
        }
    }
}

fn facts(row: Node, reason: &str) -> Vec<Consequence> {
    vec![Consequence::NodeFacts { row: Box::new(row), reason: reason.into() }]
}

fn happened(row: Node, event: NodeEvent, reason: String) -> Vec<Consequence> {
    vec![Consequence::Node { row: Box::new(row), event, reason: Reason(reason) }]
}
