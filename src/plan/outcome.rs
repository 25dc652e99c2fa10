//! What follows from the answer that an errand brings home.
//!
//! An answer changes a row only as far as it is certain. Where the answer was lost nothing is concluded: the row keeps
//! its mark of the attempt, and the next listings settle what happened.

use std::time::Duration;

use super::action::{Errand, Reason};
use super::blame::Blame;
use super::{limits, offered, reaching};
use crate::fsm::image::ImageEvent;
use crate::fsm::node::NodeEvent;
use crate::model::{
    Image, ImageState, ImageStep, Node, NodeState, NodeStep, Owner, Setback, SetbackKind, Timestamp,
};
use crate::planted::{Bug, is_planted};

/// The answer to an errand other than a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for exists under this id.
    Id(String),
    /// It was done, or accepted.
    Done,
    /// What was asked for says this.
    Text(String),
    /// It was not done, or nobody knows.
    Failed(Failure),
}

/// Why an errand failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub fault: Fault,
    /// In words for a person.
    pub text: String,
}

/// What kind of failure, named by what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What it was about is not there.
    NotFound,
    /// There is no room for more.
    Quota,
    /// We are to slow down.
    Throttled(Option<Duration>),
    /// Nobody knows whether it was done.
    Uncertain,
    /// It was refused, or it was tried and went wrong.
    Refused,
    /// We could not log in.
    Login,
    /// The machine did not answer, or did not let us in.
    Unreachable,
    /// A job is there, which is to end first.
    Busy,
}

/// One thing that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// This happened to the node.
    Node {
        /// The row with its new facts and its old state.
        row: Box<Node>,
        /// What happened.
        event: NodeEvent,
        /// Why.
        reason: Reason,
    },
    /// This happened to all of these nodes, which are one set: to all or to none.
    Nodes {
        /// The rows with their new facts and their old states.
        rows: Vec<Node>,
        /// What happened.
        event: NodeEvent,
        /// Why.
        reason: Reason,
    },
    /// The node's facts changed.
    NodeFacts {
        /// The row with its new facts.
        row: Box<Node>,
        /// Why.
        reason: Reason,
    },
    /// This happened to the image.
    Image {
        /// The row with its new facts and its old state.
        row: Box<Image>,
        /// What happened.
        event: ImageEvent,
        /// Why.
        reason: Reason,
    },
    /// The image's facts changed.
    ImageFacts {
        /// The row with its new facts.
        row: Box<Image>,
        /// Why.
        reason: Reason,
    },
    /// Count a setback.
    SetBack {
        /// For what.
        kind: SetbackKind,
        /// At which provider.
        provider: String,
        /// For which label or image.
        name: String,
        /// What happened.
        reason: Reason,
    },
    /// It went well: forget the setbacks.
    Recovered {
        /// For what.
        kind: SetbackKind,
        /// At which provider.
        provider: String,
        /// For which label or image.
        name: String,
    },
    /// The cloud itself said that this server is not there.
    SawGone {
        /// At which provider.
        provider: String,
        /// The cloud's id.
        id: String,
    },
    /// The cloud wants to be left alone.
    HoldOff {
        /// Which provider.
        provider: String,
        /// For how long.
        pause: Duration,
    },
}

/// How long a cloud is left alone that asked for it without saying how long.
const HOLD_OFF: Duration = Duration::from_secs(10);

/// The longest time that a cloud may ask to be left alone.
const LONGEST_HOLD_OFF: Duration = Duration::from_secs(600);

/// What follows from an answer, given the rows as they are now: the node that the errand is about and then its subnodes,
/// or the image.
pub fn consequences(
    errand: &Errand,
    answer: &Answer,
    nodes: Vec<Node>,
    image: Option<Image>,
) -> Vec<Consequence> {
    let mistaken = mistaken(errand, answer);
    let answer = mistaken.as_ref().unwrap_or(answer);
    let zone = verdict_on_zone(errand, answer, nodes.first(), image.as_ref());
    let mut follow = match (errand, nodes.first().cloned(), image) {
        (Errand::CreateServer { owner: Owner::Node(_), .. }, Some(node), _) => node_created(node, answer),
        (Errand::CreateServer { owner: Owner::Builder(_), .. }, _, Some(image)) => {
            builder_created(image, answer)
        }
        (Errand::CreateServer { owner: Owner::Verifier(_), .. }, _, Some(image)) => {
            verifier_created(image, answer)
        }
        (
            Errand::CreateFloatingIp { .. } | Errand::DeleteFloatingIp { .. } | Errand::ReadConsole { .. },
            node,
            image,
        ) => match (node, image) {
            (Some(node), _) => reaching::of_node(errand, answer, node),
            (None, Some(image)) => reaching::of_image(errand, answer, image),
            (None, None) => Vec::new(),
        },
        (Errand::TakeSnapshot { .. }, _, Some(image)) => snapshot_taken(image, answer),
        (Errand::DeleteSnapshot { id, .. }, _, Some(image)) => snapshot_deleted(image, id, answer),
        (Errand::DeleteKeypair { name, .. }, _, Some(image)) => keypair_deleted(image, name, answer),
        (Errand::DeleteServer { provider, id, .. }, _, _) => server_deleted(provider, id, answer),
        (Errand::PrepareNode(_), Some(node), _) => set_prepared(&node, nodes, answer),
        (errand, Some(node), _) if errand.is_call_to_target() => {
            offered::consequences(errand, answer, node, nodes)
        }
        (Errand::SetUpBuilder(_), _, Some(image)) => {
            image_visited(image, ImageStep::Setup, ImageEvent::SetUp, answer)
        }
        (Errand::VerifySnapshot(_), _, Some(image)) => {
            image_visited(image, ImageStep::Verify, ImageEvent::Verified, answer)
        }
        _ => Vec::new(),
    };
    follow.extend(zone);
    if let (Some(provider), Answer::Failed(Failure { fault: Fault::Throttled(pause), .. })) =
        (errand.paced_by(), answer)
    {
        let pause = pause.unwrap_or(HOLD_OFF).min(LONGEST_HOLD_OFF);
        follow.push(Consequence::HoldOff { provider: provider.to_owned(), pause });
    }
    follow
}

/// What a lost answer to a create call is taken for where that bug is planted.
fn mistaken(errand: &Errand, answer: &Answer) -> Option<Answer> {
    let Answer::Failed(Failure { fault: Fault::Uncertain, text }) = answer else { return None };
    let creates = matches!(errand, Errand::CreateServer { .. });
    let refused = || Answer::Failed(Failure { fault: Fault::Refused, text: text.clone() });
    (is_planted(Bug::UncertainIsRefused) && creates).then(refused)
}

/// What an answer tells of the availability zone that a server was made in. A zone has failed when the cloud refuses to
/// make a server there or the server cannot be reached; it works when the server was reached and did its part.
///
/// Such a failure counts against the image or label as well: nobody can tell a zone that is broken from an image that
/// does not boot. That costs one short pause while another zone serves; if the zone alone were blamed, an image that boots
/// nowhere would be tried in one zone after the other without a pause.
fn verdict_on_zone(
    errand: &Errand,
    answer: &Answer,
    node: Option<&Node>,
    image: Option<&Image>,
) -> Option<Consequence> {
    let node = node.filter(|node| matches!(node.state, NodeState::Building(_)));
    let image = image.filter(|image| matches!(image.state, ImageState::Building(_)));
    let (provider, az) = node
        .map(|node| (&node.provider, &node.az))
        .or_else(|| image.map(|image| (&image.provider, &image.az)))?;
    let (kind, provider, name) = (SetbackKind::Zone, provider.clone(), az.clone()?);
    let failed = match errand {
        Errand::CreateServer { .. } => Fault::Refused,
        Errand::PrepareNode(_) | Errand::SetUpBuilder(_) | Errand::VerifySnapshot(_) => Fault::Unreachable,
        _ => return None,
    };
    match answer {
        // What was refused for another reason says nothing about the zone.
        Answer::Failed(failure)
            if failed == Fault::Refused && !Blame::of_refusal(&failure.text).is_on(kind) =>
        {
            None
        }
        Answer::Failed(failure) if failure.fault == failed => {
            Some(set_back(kind, provider, name, Reason(failure.text.clone())))
        }
        Answer::Done if failed == Fault::Unreachable => Some(Consequence::Recovered { kind, provider, name }),
        Answer::Id(_) | Answer::Done | Answer::Text(_) | Answer::Failed(_) => None,
    }
}

fn node_created(node: Node, answer: &Answer) -> Vec<Consequence> {
    let failure = match answer {
        Answer::Id(id) => {
            let row = Box::new(Node { server_id: Some(id.clone()), ..node });
            return vec![Consequence::Node {
                row,
                event: NodeEvent::Created,
                reason: "the cloud makes its server".into(),
            }];
        }
        Answer::Done | Answer::Text(_) => return Vec::new(),
        Answer::Failed(failure) => failure,
    };
    let provider = node.provider.clone();
    let reason = Reason(format!("its server was not created: {}", failure.text));
    let row = Box::new(Node { attempted: None, ..node });
    let building = matches!(row.state, NodeState::Building(_));
    match failure.fault {
        Fault::Uncertain => Vec::new(),
        Fault::Throttled(_) | Fault::Login => vec![Consequence::NodeFacts { row, reason }],
        _ if !building => vec![Consequence::NodeFacts { row, reason }],
        Fault::Quota => vec![
            set_back(SetbackKind::Capacity, provider, String::new(), reason.clone()),
            Consequence::Node { row, event: NodeEvent::Doomed, reason },
        ],
        Fault::NotFound | Fault::Refused | Fault::Unreachable | Fault::Busy => {
            let mut follow = launch_failed(&row, &reason, Blame::of_refusal(&failure.text));
            follow.push(Consequence::Node { row, event: NodeEvent::Doomed, reason });
            follow
        }
    }
}

fn builder_created(image: Image, answer: &Answer) -> Vec<Consequence> {
    let failure = match answer {
        Answer::Id(id) => {
            let row = Box::new(Image { server_id: Some(id.clone()), ..image });
            let reason = Reason::from("the cloud makes its builder");
            return match row.state {
                ImageState::Building(ImageStep::Create) | ImageState::Delete => {
                    vec![Consequence::Image { row, event: ImageEvent::Created, reason }]
                }
                ImageState::Building(_) | ImageState::Ready | ImageState::Gone => {
                    vec![Consequence::ImageFacts { row, reason }]
                }
            };
        }
        Answer::Done | Answer::Text(_) => return Vec::new(),
        Answer::Failed(failure) => failure,
    };
    let reason = Reason(format!("its builder was not created: {}", failure.text));
    let row = Image { attempted: None, ..image };
    not_made(row, failure.fault, reason)
}

fn verifier_created(image: Image, answer: &Answer) -> Vec<Consequence> {
    let failure = match answer {
        Answer::Id(id) => {
            let row = Box::new(Image { verify_server_id: Some(id.clone()), ..image });
            let reason = Reason::from("the cloud boots a server from its snapshot");
            return vec![Consequence::ImageFacts { row, reason }];
        }
        Answer::Done | Answer::Text(_) => return Vec::new(),
        Answer::Failed(failure) => failure,
    };
    let reason = Reason(format!("no server was created from its snapshot: {}", failure.text));
    let row = Image { verify_attempted: None, ..image };
    not_made(row, failure.fault, reason)
}

fn snapshot_taken(image: Image, answer: &Answer) -> Vec<Consequence> {
    let failure = match answer {
        Answer::Id(id) => {
            let row = Box::new(Image { external_id: Some(id.clone()), ..image });
            let reason = Reason::from("the cloud takes its snapshot");
            return match row.state {
                ImageState::Building(ImageStep::Snapshot) | ImageState::Delete => {
                    vec![Consequence::Image { row, event: ImageEvent::SnapshotTaken, reason }]
                }
                ImageState::Building(_) | ImageState::Ready | ImageState::Gone => {
                    vec![Consequence::ImageFacts { row, reason }]
                }
            };
        }
        Answer::Done | Answer::Text(_) => return Vec::new(),
        Answer::Failed(failure) => failure,
    };
    let reason = Reason(format!("no snapshot was taken: {}", failure.text));
    let row = Image { snapshot_attempted: None, ..image };
    if failure.fault == Fault::Quota {
        // Room for images says nothing about room for servers: nodes go on, and the call is repeated later and later.
        return vec![Consequence::ImageFacts { row: Box::new(row), reason }];
    }
    not_made(row, failure.fault, reason)
}

/// Something that a build asked for was not made. The row says again that it was not asked for.
pub(super) fn not_made(row: Image, fault: Fault, reason: Reason) -> Vec<Consequence> {
    let (provider, name) = (row.provider.clone(), row.image.clone());
    let building = matches!(row.state, ImageState::Building(_));
    let row = Box::new(row);
    match fault {
        Fault::Uncertain => Vec::new(),
        Fault::Throttled(_) | Fault::Login => vec![Consequence::ImageFacts { row, reason }],
        _ if !building => vec![Consequence::ImageFacts { row, reason }],
        Fault::Quota => vec![
            set_back(SetbackKind::Capacity, provider, String::new(), reason.clone()),
            Consequence::ImageFacts { row, reason },
        ],
        Fault::NotFound | Fault::Refused | Fault::Unreachable | Fault::Busy => vec![
            set_back(SetbackKind::Image, provider, name, reason.clone()),
            Consequence::Image { row, event: ImageEvent::Doomed, reason },
        ],
    }
}

fn snapshot_deleted(image: Image, id: &str, answer: &Answer) -> Vec<Consequence> {
    if !went_away(answer) || image.external_id.as_deref() != Some(id) {
        return Vec::new();
    }
    let row = Box::new(Image { external_id: None, snapshot_attempted: None, ..image });
    vec![Consequence::ImageFacts { row, reason: "its snapshot was deleted".into() }]
}

fn keypair_deleted(image: Image, name: &str, answer: &Answer) -> Vec<Consequence> {
    if !went_away(answer) || image.keypair.as_deref() != Some(name) {
        return Vec::new();
    }
    let row = Box::new(Image { keypair: None, ..image });
    vec![Consequence::ImageFacts { row, reason: "its keypair was deleted".into() }]
}

fn server_deleted(provider: &str, id: &str, answer: &Answer) -> Vec<Consequence> {
    match answer {
        Answer::Failed(Failure { fault: Fault::NotFound, .. }) => {
            vec![Consequence::SawGone { provider: provider.to_owned(), id: id.to_owned() }]
        }
        Answer::Id(_) | Answer::Done | Answer::Text(_) | Answer::Failed(_) => Vec::new(),
    }
}

/// The members of a set become ready together, or go together. A set that is not whole any more is given up anyway.
fn set_prepared(primary: &Node, rows: Vec<Node>, answer: &Answer) -> Vec<Consequence> {
    let whole = u32::try_from(rows.len()).is_ok_and(|rows| rows == primary.subnodes.saturating_add(1));
    if !whole || rows.iter().any(|row| row.state != NodeState::Building(NodeStep::Ssh)) {
        return Vec::new();
    }
    let provider = primary.provider.clone();
    match answer {
        Answer::Id(_) | Answer::Done | Answer::Text(_) => vec![
            Consequence::Recovered { kind: SetbackKind::Capacity, provider, name: String::new() },
            Consequence::Nodes { rows, event: NodeEvent::Prepared, reason: "reached and prepared".into() },
        ],
        // Its target, which an inbound agent needs, said nothing that is certain: nobody was on the machine yet.
        Answer::Failed(Failure { fault: Fault::Uncertain | Fault::Throttled(_), .. }) => Vec::new(),
        Answer::Failed(failure) => {
            let reason = Reason(failure.text.clone());
            let blame = match failure.fault {
                // Something of ours, such as the file of the private key.
                Fault::Login => Blame::Label,
                // It was reached, and its script or what the script found there failed.
                Fault::Refused => Blame::Image,
                _ => Blame::Unknown,
            };
            let mut follow = launch_failed(primary, &reason, blame);
            follow.push(Consequence::Nodes { rows, event: NodeEvent::Doomed, reason });
            follow
        }
    }
}

fn image_visited(image: Image, step: ImageStep, event: ImageEvent, answer: &Answer) -> Vec<Consequence> {
    if image.state != ImageState::Building(step) {
        return Vec::new();
    }
    let (provider, name) = (image.provider.clone(), image.image.clone());
    let row = Box::new(image);
    match answer {
        Answer::Id(_) | Answer::Done | Answer::Text(_) => {
            let mut follow = Vec::new();
            if event == ImageEvent::Verified {
                follow.push(Consequence::Recovered { kind: SetbackKind::Image, provider, name });
            }
            let reason = if event == ImageEvent::Verified {
                "a server booted from its snapshot was reached"
            } else {
                "the setup script succeeded"
            };
            follow.push(Consequence::Image { row, event, reason: reason.into() });
            follow
        }
        Answer::Failed(failure) => {
            let reason = Reason(failure.text.clone());
            vec![
                set_back(SetbackKind::Image, provider, name, reason.clone()),
                Consequence::Image { row, event: ImageEvent::Doomed, reason },
            ]
        }
    }
}

/// Whether what was to be deleted is not there any more.
pub(super) fn went_away(answer: &Answer) -> bool {
    match answer {
        Answer::Id(_) | Answer::Done | Answer::Text(_) => true,
        Answer::Failed(failure) => failure.fault == Fault::NotFound,
    }
}

/// A launch failed: that counts for its label, and as far as they are to blame for its provider and the snapshot that it
/// booted.
pub(super) fn launch_failed(node: &Node, reason: &Reason, blame: Blame) -> Vec<Consequence> {
    let count = |(kind, name)| set_back(kind, node.provider.clone(), name, reason.clone());
    counted_for(node).filter(|(kind, _)| blame.is_on(*kind)).map(count).collect()
}

/// A node became ready: what failed before counts no more.
pub(super) fn launch_succeeded(node: &Node) -> Vec<Consequence> {
    let forget = |(kind, name)| Consequence::Recovered { kind, provider: node.provider.clone(), name };
    counted_for(node).map(forget).collect()
}

/// For what the launches of a node count.
fn counted_for(node: &Node) -> impl Iterator<Item = (SetbackKind, String)> {
    let snapshot = node.image_id.map(|id| (SetbackKind::Snapshot, id.to_string()));
    [(SetbackKind::Launch, node.label.clone()), (SetbackKind::Provider, String::new())]
        .into_iter()
        .chain(snapshot)
}

pub(super) fn set_back(kind: SetbackKind, provider: String, name: String, reason: Reason) -> Consequence {
    Consequence::SetBack { kind, provider, name, reason }
}

/// Whether another failure counts. Failures of one wave count once, or ten nodes that boot together and fail together
/// would look like ten tries in a row.
pub fn counts(earlier: Option<&Setback>, now: Timestamp) -> bool {
    earlier.is_none_or(|setback| now >= setback.last.plus(limits::backoff(setback.kind, setback.failures)))
}
