//! The check: ready nodes are visited, and those that do not answer any more go.
//!
//! A node goes only when it was not reached twice in a row *and* its cloud could be read between the two visits and after
//! the second one: what cuts us off from the nodes mostly cuts us off from their cloud as well, and then nothing is
//! concluded. When more than half of a provider's nodes are not reached although their cloud can be read, the network
//! between us and them may be to blame, so one of them goes and the others wait for the next check: if it is the nodes'
//! fault, new ones take their places one after the other until those that answer are the majority.

use std::collections::BTreeMap;

use super::Draft;
use super::action::{Errand, Subject};
use super::limits;
use super::observation::NO_DELETES;
use super::view::CloudView;
use super::wishes::Verdict;
use crate::fsm::node::NodeEvent;
use crate::model::{Node, NodeState, Timestamp, WishKind, counted};

/// What the last visit to a ready node showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// When the visit began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it showed.
    pub result: CheckResult,
}

/// What a visit to a ready node showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It answered and ran a command.
    Reached,
    /// It did not.
    NotReached {
        /// How often in a row, at least 1.
        times: u32,
        /// What happened, in words for a person.
        reason: String,
    },
    /// The visit could not be made, for a reason on our side.
    NotTried(String),
}

/// Where the check of one node stands.
enum Standing {
    Reached,
    /// It is to be visited, for the first or the second time.
    Due(&'static str),
    /// Something has to happen before more is known.
    Waits,
    /// It was not reached, and its cloud could be read.
    Failed(String),
    /// It was not reached, which says nothing about it.
    Unsure(String),
}

/// What the check of one provider's nodes came to.
#[derive(Default)]
struct Tally {
    reached: usize,
    failed: Vec<(Node, String)>,
    unsure: Vec<(Node, String)>,
}

impl Draft<'_> {
    /// Goes on with the check. All who asked for one get the same: a second one on the heels of the first would take what
    /// the first one spared without having seen anything new.
    pub(super) fn check_nodes(&mut self) -> Verdict {
        if self.checked.is_none() {
            let wishes = self.seen.wishes.iter().filter(|wish| wish.kind == WishKind::Check);
            let asked = wishes.map(|wish| wish.created).max().unwrap_or(self.seen.now);
            self.checked = Some(self.check_since(asked));
        }
        self.checked.clone().unwrap_or(Verdict::Later)
    }

    fn check_since(&mut self, asked: Timestamp) -> Verdict {
        if !self.seen.permissions.deletes {
            return Verdict::Refused(format!("no node is checked: {NO_DELETES}"));
        }
        let visits = self.seen.in_flight.keys().filter(|errand| matches!(errand, Errand::CheckNode(_)));
        let mut free = limits::MOST_CHECKS.saturating_sub(visits.count());
        let mut open = false;
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        // Who became ready later was reached then.
        let ready = |node: &Node| node.state == NodeState::Ready && node.state_time < asked;
        for node in self.untouched_nodes().into_iter().filter(ready) {
            let standing = self.standing(&node, asked);
            let tally = tallies.entry(node.provider.clone()).or_default();
            match standing {
                Standing::Reached => tally.reached = tally.reached.saturating_add(1),
                Standing::Failed(reason) => tally.failed.push((node, reason)),
                Standing::Unsure(reason) => tally.unsure.push((node, reason)),
                Standing::Waits => open = true,
                Standing::Due(why) => {
                    open = true;
                    if free > 0 {
                        free = free.saturating_sub(1);
                        self.send(Errand::CheckNode(node.id), why);
                    }
                }
            }
        }
        if open {
            return Verdict::Later;
        }
        Verdict::Granted(self.judge(tallies))
    }

    fn standing(&mut self, node: &Node, asked: Timestamp) -> Standing {
        if self.seen.in_flight.contains_key(&Errand::CheckNode(node.id)) {
            return Standing::Waits;
        }
        let Some(checked) = self.seen.checks.get(&node.id).filter(|checked| checked.began >= asked) else {
            return Standing::Due("ready nodes are to be checked");
        };
        let (times, reason) = match &checked.result {
            CheckResult::Reached => return Standing::Reached,
            CheckResult::NotTried(reason) => return Standing::Unsure(reason.clone()),
            CheckResult::NotReached { times, reason } => (*times, reason.clone()),
        };
        if let Some(obstacle) = self.obstacle(&node.provider) {
            return Standing::Unsure(format!("{reason}; but {obstacle}"));
        }
        if self.cloud(&node.provider).is_none_or(|cloud| !was_read_since(cloud, checked.ended)) {
            // A listing is on its way; it succeeds or it does not.
            return Standing::Waits;
        }
        if times >= 2 {
            return Standing::Failed(reason);
        }
        if self.has_come(checked.ended.plus(limits::CHECK_PAUSE)) {
            return Standing::Due("it was not reached, and may have been busy");
        }
        Standing::Waits
    }

    /// What the visits mean, and what follows.
    fn judge(&mut self, tallies: BTreeMap<String, Tally>) -> String {
        let (mut reached, mut going, mut staying) = (0_usize, Vec::new(), Vec::new());
        for (provider, tally) in tallies {
            reached = reached.saturating_add(tally.reached);
            let failed = tally.failed.len();
            let all = failed.saturating_add(tally.reached).saturating_add(tally.unsure.len());
            let most = failed > 1 && failed.saturating_mul(2) > all;
            for (place, (node, reason)) in tally.failed.into_iter().enumerate() {
                if most && place > 0 {
                    staying.push(node.id.to_string());
                    let why = format!(
                        "the check did not reach it, nor {failed} of {all} nodes of {provider}: the network may be to \
                         blame, so one of them goes at a time: {reason}"
                    );
                    self.refuse(Subject::Node(node.id), why);
                } else {
                    going.push(node.id.to_string());
                    let why = format!("the check did not reach it, twice in a row: {reason}");
                    self.node_event(node, NodeEvent::Doomed, why);
                }
            }
            for (node, reason) in tally.unsure {
                staying.push(node.id.to_string());
                self.refuse(Subject::Node(node.id), format!("the check tells nothing about it: {reason}"));
            }
        }
        let mut said = format!("{reached} ready nodes were reached");
        if !going.is_empty() {
            said = format!("{said}; not reached and deleted: {}", going.join(", "));
        }
        if !staying.is_empty() {
            said = format!("{said}; not reached and kept: {}", staying.join(", "));
        }
        said
    }

    /// Whether a listing of the node's cloud would tell more about a visit that did not reach it.
    pub(super) fn check_wants_listing(&self, node: &Node, cloud: &CloudView) -> bool {
        node.state == NodeState::Ready
            && self.seen.checks.get(&node.id).is_some_and(|checked| {
                matches!(checked.result, CheckResult::NotReached { .. })
                    && !was_read_since(cloud, checked.ended)
            })
    }

    /// Everything is to be listed anew, whatever was listed lately. Answered when it was, or could not be.
    pub(super) fn clean_up(&mut self, asked: Timestamp) -> Verdict {
        self.list_from = Some(self.list_from.map_or(asked, |earlier| earlier.max(asked)));
        let mut unread = Vec::new();
        for (name, cloud) in self.seen.clouds {
            let listings = [
                (Errand::ListServers { provider: name.clone(), complete: true }, cloud.servers.complete),
                (Errand::ListImages { provider: name.clone() }, cloud.images.complete),
                (Errand::ListKeypairs { provider: name.clone() }, cloud.keypairs.complete),
            ];
            let floating_ips = self
                .uses_floating_ips(name)
                .then(|| (Errand::ListFloatingIps { provider: name.clone() }, cloud.floating_ips.complete));
            for (errand, complete) in listings.into_iter().chain(floating_ips) {
                if complete.is_some_and(|began| began >= asked) {
                    continue;
                }
                if self.seen.tries.get(&errand).is_none_or(|tries| tries.last < asked) {
                    return Verdict::Later;
                }
                unread.push(format!("{} at {name}", errand.purpose()));
            }
        }
        let Ok(unread_too) = self.attached_since(asked) else { return Verdict::Later };
        if unread.is_empty() {
            let clouds: Vec<&String> = self.seen.clouds.keys().collect();
            let left = clouds.into_iter().map(|name| self.leftovers(name).len());
            let listed = match unread_too.as_slice() {
                [] => "everything was listed".to_owned(),
                failed => format!("{} failed, all else was listed", failed.join(" and ")),
            };
            return Verdict::Granted(match left.fold(0, usize::saturating_add) {
                0 => format!("{listed}: nothing of ours was left behind"),
                left => format!(
                    "{listed}: {} left behind; `nodepool gc --dry-run` shows what becomes of it",
                    counted(left, "thing was", "things were")
                ),
            });
        }
        Verdict::Refused(format!("not everything could be listed: {} failed", unread.join(", ")))
    }

    /// Whether a listing that last began then is too old for somebody who asked for a new one.
    pub(super) fn is_to_be_listed_again(&self, complete: Timestamp) -> bool {
        self.list_from.is_some_and(|from| complete < from)
    }
}

fn was_read_since(cloud: &CloudView, moment: Timestamp) -> bool {
    cloud.servers.trouble.is_none() && cloud.servers.began.is_some_and(|began| began >= moment)
}
