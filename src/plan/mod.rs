//! The core: what to do next, and why. Pure and synchronous.
//!
//! [`plan`] looks at everything that is known and decides again, from nothing, what to do. It reads no clock, makes no
//! call and draws no lots, so the same observation always gives the same plan, and start-up, recovery after a crash
//! and an ordinary day are one path.
//!
//! One plan changes each row at most once. What follows from a change is decided by the next plan, a moment later.

mod action;
mod address;
mod agents;
mod allocate;
mod attached;
mod balance;
mod blame;
mod breaker;
mod check;
mod departed;
mod enroll;
mod floating;
mod give_way;
mod host_keys;
mod images;
mod jobs;
mod leaks;
mod leftovers;
mod lifecycle;
mod limits;
mod listings;
mod observation;
mod offered;
mod outcome;
mod quota;
mod reaching;
mod renew;
mod room;
mod sets;
pub mod shares;
mod target_view;
mod view;
mod waiting;
mod watermark;
mod whereabouts;
mod wishes;
mod withdraw;
mod zones;

use std::collections::{BTreeMap, BTreeSet};

pub use action::{Action, Errand, NewImage, NewNode, Plan, Planned, Pressing, Reason, Refusal, Subject};
pub use address::{Lack, Reach, Wanted, reach};
pub use balance::{Balance, Space, Stock};
pub use breaker::BreakerState;
pub use check::{CheckResult, Checked};
pub use limits::{BUILDER_PATIENCE, DEMAND_KEPT, LISTING_OVERLAP, backoff};
pub use observation::{Observation, Permissions, Tries, TryEnd};
pub use outcome::{Answer, Consequence, Failure, Fault, consequences, counts};
pub use quota::{Answered, QuotaView, Reading, answered};
pub use target_view::TargetView;
pub use view::{CloudView, Listing};
pub use waiting::{Waiting, Waits};
pub use watermark::{Watermark, WatermarkCause};

use crate::config::Config;
use crate::fsm;
use crate::fsm::image::ImageEvent;
use crate::fsm::node::NodeEvent;
use crate::model::{Image, ImageId, ImageState, Node, NodeId, NodeState, SetbackKind, Timestamp};
use allocate::Granted;
use observation::NO_DELETES;
use quota::Quotas;
use room::Rooms;

/// Decides what to do next.
pub fn plan(config: &Config, seen: &Observation<'_>) -> Plan {
    let mut draft = Draft::new(config, seen);
    draft.settle_wishes();
    draft.settle_job_events();
    draft.settle_flavors();
    draft.settle_nodes();
    draft.renew_nodes();
    draft.settle_images();
    draft.forget_providers();
    draft.forget_targets();
    draft.delete_leaks();
    draft.withdraw_leaked_agents();
    draft.start_builds();
    draft.note_other_recipes();
    draft.allocate();
    draft.create_servers();
    draft.take_stock();
    draft.list();
    draft.plan
}

/// A plan in the making: the observation, and the rows as they will be once the actions so far are recorded.
struct Draft<'a> {
    config: &'a Config,
    seen: &'a Observation<'a>,
    nodes: BTreeMap<NodeId, Drafted<Node>>,
    images: BTreeMap<ImageId, Drafted<Image>>,
    rooms: Rooms,
    quotas: Quotas,
    granted: Granted,
    started: BTreeSet<(String, String)>,
    forgotten: BTreeSet<String>,
    set_back: BTreeSet<(SetbackKind, String, String)>,
    recovered: BTreeSet<(SetbackKind, String, String)>,
    plan: Plan,
    /// What this plan has to say to everybody who asked for a check.
    checked: Option<wishes::Verdict>,
    /// Listings that began before this moment are too old for somebody.
    list_from: Option<Timestamp>,
}

/// A row, and whether this plan has changed it already.
struct Drafted<T> {
    row: T,
    changed: bool,
}

impl<T: Clone> Drafted<T> {
    fn unchanged(row: &T) -> Self {
        Self { row: row.clone(), changed: false }
    }
}

impl<'a> Draft<'a> {
    fn new(config: &'a Config, seen: &'a Observation<'a>) -> Self {
        let nodes = seen.nodes.iter().map(|node| (node.id, Drafted::unchanged(node))).collect();
        let images = seen.images.iter().map(|image| (image.id, Drafted::unchanged(image))).collect();
        Self {
            config,
            seen,
            nodes,
            images,
            rooms: Rooms::count(config, seen),
            quotas: Quotas::count(config, seen),
            granted: Granted::default(),
            started: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            set_back: BTreeSet::new(),
            recovered: BTreeSet::new(),
            plan: Plan::default(),
            checked: None,
            list_from: None,
        }
    }

    fn now(&self) -> Timestamp {
        self.seen.now
    }

    /// The rows that this plan has not changed yet.
    fn untouched_nodes(&self) -> Vec<Node> {
        self.nodes.values().filter(|drafted| !drafted.changed).map(|drafted| drafted.row.clone()).collect()
    }

    /// The rows that this plan has not changed yet.
    fn untouched_images(&self) -> Vec<Image> {
        self.images.values().filter(|drafted| !drafted.changed).map(|drafted| drafted.row.clone()).collect()
    }

    /// Lets `event` happen to a node whose facts are those of `row`.
    fn node_event(&mut self, mut row: Node, event: NodeEvent, reason: impl Into<Reason>) {
        let reason = reason.into();
        match fsm::node::next(row.state, event) {
            Ok(following) => {
                let recorded = row.clone();
                if row.state != following {
                    row.state_time = self.seen.now;
                }
                row.state = following;
                row.reason.clone_from(&reason.0);
                if following == NodeState::Gone {
                    self.nodes.remove(&row.id);
                } else {
                    self.nodes.insert(row.id, Drafted { row, changed: true });
                }
                self.act(Action::Node { row: Box::new(recorded), event }, reason);
            }
            Err(illegal) => self.refuse(Subject::Node(row.id), format!("{reason}, but {illegal}")),
        }
    }

    /// Lets `event` happen to an image whose facts are those of `row`.
    fn image_event(&mut self, mut row: Image, event: ImageEvent, reason: impl Into<Reason>) {
        let reason = reason.into();
        match fsm::image::next(row.state, event) {
            Ok(following) => {
                let recorded = row.clone();
                if row.state != following {
                    row.state_time = self.seen.now;
                }
                row.state = following;
                if following == ImageState::Gone {
                    let (provider, id) = (row.provider.clone(), row.id.to_string());
                    self.recover(SetbackKind::Snapshot, &provider, &id, "its image is gone");
                    self.images.remove(&row.id);
                } else {
                    self.images.insert(row.id, Drafted { row, changed: true });
                }
                self.act(Action::Image { row: Box::new(recorded), event }, reason);
            }
            Err(illegal) => self.refuse(Subject::Image(row.id), format!("{reason}, but {illegal}")),
        }
    }

    /// Records facts of an image without changing its state.
    fn image_facts(&mut self, row: Image, reason: impl Into<Reason>) {
        self.images.insert(row.id, Drafted { row: row.clone(), changed: true });
        self.act(Action::ImageFacts { row: Box::new(row) }, reason);
    }

    /// Remembers that something went wrong, so that it is not tried again and again without a pause. What goes wrong
    /// several times in one plan is one wave and counts once.
    fn set_back(&mut self, kind: SetbackKind, provider: &str, name: &str, reason: &str) {
        let first = self.set_back.insert((kind, provider.to_owned(), name.to_owned()));
        if first && counts(self.seen.setback(kind, provider, name), self.seen.now) {
            let action = Action::SetBack { kind, provider: provider.to_owned(), name: name.to_owned() };
            self.act(action, reason);
        }
    }

    /// Forgets what went wrong, because something speaks for trying again now.
    fn recover(&mut self, kind: SetbackKind, provider: &str, name: &str, reason: &str) {
        let first = self.recovered.insert((kind, provider.to_owned(), name.to_owned()));
        if first && self.seen.setback(kind, provider, name).is_some() {
            let action = Action::Recover { kind, provider: provider.to_owned(), name: name.to_owned() };
            self.act(action, reason);
        }
    }

    /// Whether what went wrong last is long enough ago to try again.
    fn check_setback(&mut self, kind: SetbackKind, provider: &str, name: &str) -> Result<(), String> {
        let key = (kind, provider.to_owned(), name.to_owned());
        let flavor = format!("a launch with flavor {name}");
        let what = match kind {
            SetbackKind::Image => "a build",
            SetbackKind::Launch => "a launch",
            SetbackKind::Capacity => "a call for a server",
            SetbackKind::Zone => "an availability zone",
            SetbackKind::Target => "an enrollment",
            SetbackKind::Provider => "every launch",
            SetbackKind::Snapshot => "a launch of the image",
            SetbackKind::Flavor => flavor.as_str(),
        };
        if self.set_back.contains(&key) {
            return Err(format!("{what} failed at {provider} just now"));
        }
        let Some(setback) = self.seen.setback(kind, provider, name) else { return Ok(()) };
        let again = setback.last.plus(limits::backoff(kind, setback.failures));
        if self.recovered.contains(&key) || self.has_come(again) {
            return Ok(());
        }
        let wait = again.since(self.now()).as_secs();
        let (failures, reason) = (setback.failures, &setback.reason);
        Err(format!("{what} failed at {provider}, {failures} in a row, tried again in {wait} s: {reason}"))
    }

    /// Sends somebody out, unless the same errand is under way or failed too recently.
    fn send(&mut self, errand: Errand, reason: impl Into<Reason>) {
        if self.may_send(&errand) {
            self.act(Action::Send(errand), reason);
        }
    }

    /// Whether the errand is neither under way nor waiting for its next try.
    fn may_send(&mut self, errand: &Errand) -> bool {
        if self.seen.in_flight.contains_key(errand) {
            return false;
        }
        if errand.is_deletion() && !self.seen.permissions.deletes {
            if let Some(subject) = self.subject(errand) {
                self.refuse(subject, format!("{} is not asked for: {NO_DELETES}", errand.purpose()));
            }
            return false;
        }
        if let Some(tries) = self.seen.tries.get(errand) {
            let next = tries.last.plus(limits::retry_pause(errand, tries));
            if self.seen.now < next {
                self.wake_at(next);
                self.explain_pause(errand, *tries, next);
                return false;
            }
        }
        true
    }

    /// Says why an errand waits for its next try. Of listings the trouble itself is told.
    fn explain_pause(&mut self, errand: &Errand, tries: Tries, next: Timestamp) {
        let Some(subject) = self.subject(errand).filter(|_| !errand.is_listing()) else { return };
        let (purpose, count) = (errand.purpose(), tries.count);
        let wait = next.since(self.now()).as_secs();
        let reason = match tries.last_end {
            TryEnd::Accepted => {
                format!("{purpose} was accepted by the cloud, which takes its time; asked again in {wait} s")
            }
            TryEnd::Busy => format!("{purpose} waits for the job on it to end; looks again in {wait} s"),
            TryEnd::Failed => format!("{purpose} failed, {count} in a row, tried again in {wait} s"),
        };
        self.refuse(subject, reason);
    }

    /// Whom an errand concerns: the row that it is about, or else its provider.
    fn subject(&self, errand: &Errand) -> Option<Subject> {
        let owner = self.images.values().map(|drafted| &drafted.row).find(|image| match errand {
            Errand::DeleteSnapshot { provider, id } => {
                image.provider == *provider && image.external_id.as_ref() == Some(id)
            }
            Errand::DeleteKeypair { provider, name } => {
                image.provider == *provider && image.keypair.as_ref() == Some(name)
            }
            _ => errand.image() == Some(image.id),
        });
        errand
            .node()
            .map(Subject::Node)
            .or_else(|| owner.map(|image| Subject::Image(image.id)))
            .or_else(|| errand.paced_by().map(|provider| Subject::Provider(provider.to_owned())))
    }

    fn act(&mut self, action: Action, reason: impl Into<Reason>) {
        self.plan.actions.push(Planned { action, reason: reason.into() });
    }

    /// Refuses what may have been refused for the same reason already.
    fn refuse_once(&mut self, subject: Subject, reason: String) {
        let refusal = Refusal { subject, reason: Reason(reason) };
        if !self.plan.refusals.contains(&refusal) {
            self.plan.refusals.push(refusal);
        }
    }

    fn refuse(&mut self, subject: Subject, reason: impl Into<Reason>) {
        self.plan.refusals.push(Refusal { subject, reason: reason.into() });
    }

    /// Asks for another look at `moment`, when the clock alone will have changed the answer.
    fn wake_at(&mut self, moment: Timestamp) {
        let sooner = self.plan.wake.is_none_or(|wake| moment < wake);
        if sooner {
            self.plan.wake = Some(moment);
        }
    }

    /// Whether `moment` has come; if not, asks for another look then.
    fn has_come(&mut self, moment: Timestamp) -> bool {
        let come = self.seen.now >= moment;
        if !come {
            self.wake_at(moment);
        }
        come
    }

    fn cloud(&self, provider: &str) -> Option<&'a CloudView> {
        self.seen.clouds.get(provider)
    }

    /// Why nothing can be created or deleted at this provider now, if so.
    fn obstacle(&self, provider: &str) -> Option<String> {
        let Some(cloud) = self.cloud(provider) else {
            return Some(format!(
                "provider {provider} is not in the configuration, and how to log in to its cloud is not known: put it \
                 back with max-servers: -1 until nothing of it is listed"
            ));
        };
        cloud.obstacle(provider)
    }
}
