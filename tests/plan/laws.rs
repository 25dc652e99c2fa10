//! What holds for every plan, whatever the situation.

use std::collections::BTreeSet;

use nodepool::fsm;
use nodepool::fsm::node::NodeEvent;
use nodepool::model::{ImageState, NodeState, Owner, WishKind};
use nodepool::plan::{Action, Errand, Observation, Plan, Subject};

use super::errands;

/// The laws that a plan breaks, in words.
pub fn broken(seen: &Observation<'_>, plan: &Plan) -> Vec<String> {
    let mut broken = Vec::new();
    let (mut nodes, mut images, mut sent) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for planned in &plan.actions {
        if planned.reason.0.trim().is_empty() {
            broken.push(format!("an action without a reason: {:?}", planned.action));
        }
        match &planned.action {
            Action::Node { row, event } => {
                if !nodes.insert(row.id) {
                    broken.push(format!("node {} changes twice", row.id));
                }
                if fsm::node::next(row.state, *event).is_err() {
                    broken.push(format!("node {} in {} cannot take {}", row.id, row.state, event.word()));
                }
                let ends = row.state == NodeState::Hold && *event == NodeEvent::HoldEnded;
                let due = seen.nodes.iter().any(|known| {
                    known.id == row.id && known.held_until.is_some_and(|until| until <= seen.now)
                });
                let wished = !seen.wishes.is_empty();
                if ends && !due && !wished {
                    broken.push(format!("the hold of node {} ends too early", row.id));
                }
            }
            Action::Nodes { rows, .. } => {
                if let Some(row) = rows.iter().find(|row| !nodes.insert(row.id)) {
                    broken.push(format!("node {} changes twice", row.id));
                }
            }
            Action::NodeFacts { row } | Action::WarnOfHoldEnd { row } if !nodes.insert(row.id) => {
                broken.push(format!("node {} changes twice", row.id));
            }
            Action::Image { row, event } => {
                if !images.insert(row.id) {
                    broken.push(format!("image {} changes twice", row.id));
                }
                if fsm::image::next(row.state, *event).is_err() {
                    broken.push(format!("image {} in {} cannot take {}", row.id, row.state, event.word()));
                }
            }
            Action::ImageFacts { row } if !images.insert(row.id) => {
                broken.push(format!("image {} changes twice", row.id));
            }
            Action::Send(errand) => {
                if !sent.insert(errand) {
                    broken.push(format!("sent twice: {}", errands::written(errand)));
                }
                broken.extend(wrong_errand(seen, errand));
            }
            _ => {}
        }
    }
    if let Some(wake) = plan.wake
        && wake <= seen.now
    {
        broken.push("it asks to be woken in the past".to_owned());
    }
    broken.extend(waits_without_end(seen, plan));
    broken.extend(silence(seen, plan));
    broken
}

/// Rows on their way that the plan neither helps nor explains, although nothing is under way for them.
fn silence(seen: &Observation<'_>, plan: &Plan) -> Vec<String> {
    let sent = plan.actions.iter().filter_map(|planned| match &planned.action {
        Action::Send(errand) => Some(errand),
        _ => None,
    });
    let errands: Vec<&Errand> = sent.chain(seen.in_flight.keys()).collect();
    let told = |subject: &Subject| plan.refusals.iter().any(|refusal| refusal.subject == *subject);
    let mut silent = Vec::new();
    for node in &seen.nodes {
        let moves = matches!(node.state, NodeState::Building(_) | NodeState::Delete);
        let changes = plan.actions.iter().any(|planned| match &planned.action {
            Action::Node { row, .. } | Action::NodeFacts { row } | Action::WarnOfHoldEnd { row } => {
                row.id == node.id
            }
            Action::Nodes { rows, .. } => rows.iter().any(|row| row.id == node.id),
            _ => false,
        });
        let visited = Errand::PrepareNode(node.head());
        let served = errands.iter().any(|errand| errand.node() == Some(node.id) || **errand == visited);
        if moves && !changes && !served && !told(&Subject::Node(node.id)) {
            silent.push(format!("nothing is said of node {}, which is {}", node.id, node.state));
        }
    }
    for image in &seen.images {
        let moves = matches!(image.state, ImageState::Building(_) | ImageState::Delete);
        let changes = plan.actions.iter().any(|planned| match &planned.action {
            Action::Image { row, .. } | Action::ImageFacts { row } => row.id == image.id,
            _ => false,
        });
        let served = errands.iter().any(|errand| match errand {
            Errand::DeleteSnapshot { id, .. } => image.external_id.as_ref() == Some(id),
            Errand::DeleteKeypair { name, .. } => image.keypair.as_ref() == Some(name),
            other => other.image() == Some(image.id),
        });
        if moves && !changes && !served && !told(&Subject::Image(image.id)) {
            silent.push(format!("nothing is said of image {}, which is {}", image.id, image.state));
        }
    }
    silent
}

fn wrong_errand(seen: &Observation<'_>, errand: &Errand) -> Option<String> {
    let text = errands::written(errand);
    if seen.in_flight.contains_key(errand) {
        return Some(format!("sent although it is under way: {text}"));
    }
    let (Errand::CreateServer { provider, .. } | Errand::DeleteServer { provider, .. }) = errand else {
        return None;
    };
    let listing = &seen.clouds.get(provider)?.servers;
    if listing.trouble.is_some() || listing.complete.is_none() {
        return Some(format!("sent to a cloud that could not be read: {text}"));
    }
    let Errand::DeleteServer { id, owner, .. } = errand else { return None };
    let wished = seen.wishes.iter().any(
        |wish| matches!(&wish.kind, WishKind::AlienDelete { server, .. } if server == id && owner.is_none()),
    );
    let ours = wished
        || listing.items.get(id).is_none_or(|server| {
            server.tag.as_ref().is_some_and(|tag| tag.installation == seen.installation)
        });
    if !ours {
        return Some(format!("a server that is not ours: {text}"));
    }
    let held = seen.nodes.iter().any(|node| {
        node.state == NodeState::Hold
            && (node.server_id.as_ref() == Some(id) || *owner == Some(Owner::Node(node.id)))
    });
    held.then(|| format!("the server of a held node: {text}"))
}

/// Somebody always looks again: at a cloud that was listed by the clock, and otherwise because something is under way.
fn waits_without_end(seen: &Observation<'_>, plan: &Plan) -> Option<String> {
    let busy = plan.actions.iter().any(|planned| matches!(planned.action, Action::Send(_)))
        || !seen.in_flight.is_empty();
    let ends = seen.clouds.is_empty() || busy || plan.wake.is_some();
    (!ends).then(|| "nothing is under way and no wake is asked for: it would never look again".to_owned())
}
