//! What the controller knows: nodes and their agents, jobs, the queue, credentials. Everything here is told at once, under
//! one lock, and nothing waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use russh::keys::PrivateKey;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::job::{Build, Job};
use super::label::Expression;
use super::log::Log;
use super::node::Node;
use super::ssh::Channel;

/// How many items that left the queue are remembered.
const MOST_LEFT: usize = 300;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Controller {
    pub(super) nodes: BTreeMap<String, Seat>,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) queue: BTreeMap<u64, Item>,
    pub(super) credentials: BTreeMap<String, Credential>,
    pub(super) quieting_down: bool,
    last_item: u64,
    last_seat: u64,
}

/// A user name with a private key.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) user: String,
    pub(super) description: String,
    /// `None` when what was sent cannot be read as one, which Jenkins notices when it is used.
    pub(super) key: Option<Arc<PrivateKey>>,
}

/// A node and its agent.
#[derive(Debug)]
pub(super) struct Seat {
    /// Which one it is: a later node of the same name has another number.
    pub(super) serial: u64,
    pub(super) node: Node,
    /// Why somebody set it offline.
    pub(super) set_offline: Option<Cause>,
    /// Why it is not connected.
    pub(super) cut_off: Option<Cause>,
    pub(super) channel: Option<Arc<Channel>>,
    /// The connection of an agent that came by itself and was not taken in yet.
    pub(super) arrived: Option<Channel>,
    /// Whether it was ever online.
    pub(super) was_online: bool,
    pub(super) log: Log,
    pub(super) slots: Vec<Slot>,
    /// Who alone may start something here: the executor of a Gearman worker that asks for a job, or runs one.
    pub(super) reserved: Option<usize>,
    /// Cancelled when the node is deleted.
    pub(super) gone: CancellationToken,
    /// Told when it is to be launched now.
    pub(super) launch: Arc<Notify>,
}

/// Why an agent is offline.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) kind: CauseKind,
    pub(super) text: String,
    pub(super) at: DateTime<Utc>,
}

/// Who or what put it offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CauseKind {
    /// Somebody.
    User,
    /// A program inside of Jenkins.
    Program,
    /// The connection ended.
    ChannelTermination,
    /// It could not be launched.
    LaunchFailed,
}

/// An executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// It waits for work.
    Idle,
    /// It has been given a build that has not begun.
    Taken,
    /// A build runs, or has just ended.
    Runs {
        /// The job's name.
        job: String,
        /// The build's number.
        number: u64,
    },
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) job: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) place: Option<Expression>,
    pub(super) place_text: String,
    pub(super) since: DateTime<Utc>,
    /// When its quiet period is over.
    pub(super) ready_at: Instant,
    pub(super) fate: Fate,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits.
    Waits,
    /// It was started as the build of this number.
    Started(u64),
    /// Somebody cancelled it.
    Cancelled,
}

impl Cause {
    /// A cause that begins now.
    pub(super) fn now(kind: CauseKind, text: impl Into<String>) -> Cause {
        Cause { kind, text: text.into(), at: Utc::now() }
    }
}

impl Seat {
    /// The cause that is shown.
    pub(super) fn cause(&self) -> Option<&Cause> {
        self.set_offline.as_ref().or(self.cut_off.as_ref())
    }

    /// Whether jobs can run here.
    pub(super) fn is_online(&self) -> bool {
        self.channel.is_some() && self.set_offline.is_none()
    }

    /// Whether no build is here, whatever else.
    pub(super) fn is_idle(&self) -> bool {
        self.slots.iter().all(|slot| *slot == Slot::Idle)
    }

    /// The first executor that could start something that `who` brings: the queue, or a Gearman worker.
    pub(super) fn free_slot(&self, who: Option<usize>) -> Option<usize> {
        let allowed = self.reserved.is_none() || self.reserved == who;
        let free = || self.slots.iter().position(|slot| *slot == Slot::Idle);
        (self.is_online() && allowed).then(free).flatten()
    }

    /// Whether a job with this expression runs here.
    pub(super) fn takes(&self, place: Option<&Expression>) -> bool {
        place.map_or(!self.node.exclusive, |expression| expression.fits(&self.node.all_labels()))
    }

    fn put(&mut self, index: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(index) {
            *place = slot;
        }
    }
}

impl Controller {
    /// Adds a node whose name is free.
    pub(super) fn add(&mut self, node: Node) -> u64 {
        self.last_seat = self.last_seat.saturating_add(1);
        let slots = usize::try_from(node.executors).unwrap_or(0);
        let seat = Seat {
            serial: self.last_seat,
            set_offline: None,
            cut_off: None,
            channel: None,
            arrived: None,
            was_online: false,
            log: Log::default(),
            slots: vec![Slot::Idle; slots],
            reserved: None,
            gone: CancellationToken::new(),
            launch: Arc::default(),
            node,
        };
        self.nodes.insert(seat.node.name.clone(), seat);
        self.last_seat
    }

    /// The node of this name that has a computer: one without executors has none.
    pub(super) fn computer(&mut self, name: &str) -> Option<&mut Seat> {
        self.nodes.get_mut(name).filter(|seat| !seat.slots.is_empty())
    }

    /// This very node, if it is still there.
    pub(super) fn seat(&mut self, name: &str, serial: u64) -> Option<&mut Seat> {
        self.nodes.get_mut(name).filter(|seat| seat.serial == serial)
    }

    /// Puts a build into the queue. One that waits there with the same parameters is not doubled.
    pub(super) fn enqueue(
        &mut self,
        job: &str,
        given: &[(String, String)],
        ready_at: Instant,
    ) -> Option<u64> {
        let config = &self.jobs.get(job)?.config;
        let parameters = config.fill(given);
        let same = self
            .queue
            .iter()
            .find(|(_, item)| item.fate == Fate::Waits && item.job == job && item.parameters == parameters);
        if let Some((id, _)) = same {
            return Some(*id);
        }
        let (place, place_text) = config.place(&parameters);
        let item = Item {
            job: job.to_owned(),
            parameters,
            place,
            place_text,
            since: Utc::now(),
            ready_at,
            fate: Fate::Waits,
        };
        Some(self.insert(item))
    }

    fn insert(&mut self, item: Item) -> u64 {
        self.last_item = self.last_item.saturating_add(1);
        self.queue.insert(self.last_item, item);
        while self.queue.len() > MOST_LEFT {
            let left = self.queue.iter().find(|(_, item)| item.fate != Fate::Waits).map(|(id, _)| *id);
            let Some(left) = left else { break };
            self.queue.remove(&left);
        }
        self.last_item
    }

    /// Starts a build on an executor and gives its number; `item` is the place in the queue that it leaves.
    pub(super) fn begin(
        &mut self,
        job: &str,
        parameters: Vec<(String, String)>,
        (node, slot): (&str, usize),
        item: Option<u64>,
    ) -> Option<u64> {
        let id = item.unwrap_or_else(|| {
            self.insert(Item {
                job: job.to_owned(),
                parameters: parameters.clone(),
                place: Expression::parse(node),
                place_text: node.to_owned(),
                since: Utc::now(),
                ready_at: Instant::now(),
                fate: Fate::Waits,
            })
        });
        let seat = self.nodes.get_mut(node)?;
        let number = self.jobs.get_mut(job)?.begin(Build {
            item: id,
            parameters,
            node: node.to_owned(),
            started: Utc::now(),
            ended: None,
            result: None,
            log: Log::default(),
            stop: CancellationToken::new(),
        });
        seat.put(slot, Slot::Runs { job: job.to_owned(), number });
        if let Some(item) = self.queue.get_mut(&id) {
            item.fate = Fate::Started(number);
        }
        Some(number)
    }

    /// Marks an executor as taken by a build that is about to begin.
    pub(super) fn take(&mut self, node: &str, slot: usize) {
        if let Some(seat) = self.nodes.get_mut(node) {
            seat.put(slot, Slot::Taken);
        }
    }

    /// Frees an executor, unless the node is another one by now.
    pub(super) fn free(&mut self, node: &str, serial: u64, slot: usize) {
        if let Some(seat) = self.seat(node, serial) {
            seat.put(slot, Slot::Idle);
        }
    }

    /// The build, if it is still known.
    pub(super) fn build(&mut self, job: &str, number: u64) -> Option<&mut Build> {
        self.jobs.get_mut(job)?.builds.get_mut(&number)
    }

    /// Why an item waits, in Jenkins' words.
    pub(super) fn why(&self, item: &Item) -> String {
        if self.quieting_down {
            return "Jenkins is about to shut down".into();
        }
        if item.ready_at > Instant::now() {
            let left = item.ready_at.saturating_duration_since(Instant::now());
            return format!("In the quiet period. Expires in {:.1} sec", left.as_secs_f32());
        }
        let Some(place) = &item.place else { return "Waiting for next available executor".into() };
        let fitting: Vec<&Seat> = self.nodes.values().filter(|seat| seat.takes(Some(place))).collect();
        let text = &item.place_text;
        if fitting.is_empty() {
            format!("There are no nodes with the label ‘{text}’")
        } else if !fitting.iter().any(|seat| seat.is_online()) {
            match self.nodes.get(text) {
                Some(_) => format!("‘{text}’ is offline"),
                None => format!("All nodes of label ‘{text}’ are offline"),
            }
        } else {
            format!("Waiting for next available executor on ‘{text}’")
        }
    }

    /// The labels of all nodes, without their names.
    pub(super) fn labels(&self) -> BTreeSet<String> {
        self.nodes.values().flat_map(|seat| seat.node.labels.iter().cloned()).collect()
    }

    /// What a restart leaves: everything but connections and builds, which fail.
    pub(super) fn forget_life(&mut self) {
        for seat in self.nodes.values_mut() {
            seat.channel = None;
            seat.arrived = None;
            seat.cut_off = None;
            seat.reserved = None;
            seat.slots.fill(Slot::Idle);
        }
        for build in self.jobs.values_mut().flat_map(|job| job.builds.values_mut()) {
            if build.ended.is_none() {
                build.ended = Some(Utc::now());
                build.result = Some("FAILURE");
            }
        }
        self.quieting_down = false;
    }
}
