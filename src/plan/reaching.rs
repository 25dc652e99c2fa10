//! What follows from the answers to what opens the way to a machine: its floating IP, its host key.

use super::action::{Errand, Reason};
use super::blame::Blame;
use super::outcome::{Answer, Consequence, Fault, launch_failed, not_made, set_back, went_away};
use crate::fsm::image::ImageEvent;
use crate::fsm::node::NodeEvent;
use crate::model::{
    FloatingFacts, Image, ImageState, ImageStep, Node, NodeState, NodeStep, Owner, SetbackKind,
};

/// What follows from an answer about the machine of a node.
pub(super) fn of_node(errand: &Errand, answer: &Answer, node: Node) -> Vec<Consequence> {
    match errand {
        Errand::CreateFloatingIp { .. } => node_got_floating_ip(node, answer),
        Errand::DeleteFloatingIp { id, .. }
            if went_away(answer) && node.floating_ip.id.as_ref() == Some(id) =>
        {
            let row = Box::new(Node { floating_ip: FloatingFacts::default(), ..node });
            vec![Consequence::NodeFacts { row, reason: "its floating IP was deleted".into() }]
        }
        Errand::ReadConsole { .. } => match refusal(answer) {
            Some(reason) if node.state == NodeState::Building(NodeStep::Ssh) => doom_node(node, reason),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// What follows from an answer about a machine of an image.
pub(super) fn of_image(errand: &Errand, answer: &Answer, image: Image) -> Vec<Consequence> {
    match errand {
        Errand::CreateFloatingIp { owner, .. } => image_got_floating_ip(image, *owner, answer),
        Errand::DeleteFloatingIp { id, owner: Some(owner), .. } => {
            let known = match owner {
                Owner::Verifier(_) => &image.verify_floating_ip.id,
                Owner::Node(_) | Owner::Builder(_) => &image.floating_ip.id,
            };
            if !went_away(answer) || known.as_ref() != Some(id) {
                return Vec::new();
            }
            let row = Box::new(image.with_floating_ip(*owner, FloatingFacts::default()));
            vec![Consequence::ImageFacts { row, reason: "its floating IP was deleted".into() }]
        }
        Errand::ReadConsole { .. } => match (image.state, refusal(answer)) {
            (ImageState::Building(ImageStep::Setup | ImageStep::Verify), Some(reason)) => vec![
                set_back(SetbackKind::Image, image.provider.clone(), image.image.clone(), reason.clone()),
                Consequence::Image { row: Box::new(image), event: ImageEvent::Doomed, reason },
            ],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Why a console will never be shown, if that is what was answered. Anything else may be better at the next try.
fn refusal(answer: &Answer) -> Option<Reason> {
    match answer {
        Answer::Failed(failure) if failure.fault == Fault::Refused => Some(Reason(format!(
            "its host key is to come from its console, which cannot be read: {}",
            failure.text
        ))),
        Answer::Failed(_) | Answer::Id(_) | Answer::Done | Answer::Text(_) => None,
    }
}

fn node_got_floating_ip(node: Node, answer: &Answer) -> Vec<Consequence> {
    let failure = match answer {
        Answer::Id(id) => {
            let floating_ip = FloatingFacts { id: Some(id.clone()), ..node.floating_ip.clone() };
            let row = Box::new(Node { floating_ip, ..node });
            return vec![Consequence::NodeFacts { row, reason: "the cloud made its floating IP".into() }];
        }
        Answer::Done | Answer::Text(_) => return Vec::new(),
        Answer::Failed(failure) => failure,
    };
    let reason = Reason(format!("no floating IP was made: {}", failure.text));
    let provider = node.provider.clone();
    let row = Node { floating_ip: FloatingFacts::default(), ..node };
    let building = matches!(row.state, NodeState::Building(_));
    match failure.fault {
        Fault::Uncertain => Vec::new(),
        Fault::NotFound | Fault::Refused | Fault::Unreachable if building => doom_node(row, reason),
        // The server stays and waits for the next floating IP that is given back.
        Fault::Quota if building => vec![
            set_back(SetbackKind::Capacity, provider, String::new(), reason.clone()),
            Consequence::NodeFacts { row: Box::new(row), reason },
        ],
        Fault::Throttled(_)
        | Fault::Login
        | Fault::NotFound
        | Fault::Refused
        | Fault::Unreachable
        | Fault::Busy
        | Fault::Quota => {
            vec![Consequence::NodeFacts { row: Box::new(row), reason }]
        }
    }
}

fn image_got_floating_ip(image: Image, owner: Owner, answer: &Answer) -> Vec<Consequence> {
    let failure = match answer {
        Answer::Id(id) => {
            let facts = match owner {
                Owner::Verifier(_) => image.verify_floating_ip.clone(),
                Owner::Node(_) | Owner::Builder(_) => image.floating_ip.clone(),
            };
            let facts = FloatingFacts { id: Some(id.clone()), ..facts };
            let row = Box::new(image.with_floating_ip(owner, facts));
            return vec![Consequence::ImageFacts { row, reason: "the cloud made its floating IP".into() }];
        }
        Answer::Done | Answer::Text(_) => return Vec::new(),
        Answer::Failed(failure) => failure,
    };
    let reason = Reason(format!("no floating IP was made: {}", failure.text));
    not_made(image.with_floating_ip(owner, FloatingFacts::default()), failure.fault, reason)
}

fn doom_node(node: Node, reason: Reason) -> Vec<Consequence> {
    let mut follow = launch_failed(&node, &reason, Blame::Provider);
    follow.push(Consequence::Node { row: Box::new(node), event: NodeEvent::Doomed, reason });
    follow
}
