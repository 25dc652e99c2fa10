//! Ready nodes that are too old: each is replaced first, and goes when the one in its place is ready.
//!
//! Until then it serves as before, and a job may take it. Only where nothing else fits beside them do the old ones go first,
//! one after the other, so that a label never lacks more than one node because of its `max-ready-age`.

use std::time::Duration;

use super::Draft;
use super::allocate::size;
use super::balance::Balance;
use super::limits;
use super::shares::Free;
use crate::config::Label;
use crate::fsm::node::NodeEvent;
use crate::model::{Node, NodeState};

impl Draft<'_> {
    /// Takes away the nodes that are too old and have been replaced.
    pub(super) fn renew_nodes(&mut self) {
        let aging = self.config.labels.iter().filter_map(|label| Some((label, label.max_ready_age?)));
        for (label, age) in aging.collect::<Vec<_>>() {
            for node in self.ready_nodes(label, &[]) {
                self.has_come(node.state_time.plus(age));
            }
            if !self.seen.permissions.deletes {
                continue;
            }
            let replaced = self.replaced_targets();
            let balance = self.balance(label, &replaced);
            let wanted = balance.jobs.saturating_add(balance.spares.unwrap_or(0));
            let more = balance.ready.saturating_add(balance.busy).saturating_sub(wanted);
            let more = usize::try_from(more).unwrap_or(usize::MAX);
            for node in self.aged_nodes(label, &replaced).into_iter().take(more) {
                let seconds = age.as_secs();
                let reason =
                    format!("it was ready for longer than the max-ready-age of {seconds} s, and others are");
                self.node_event(node, NodeEvent::Doomed, reason);
            }
        }
    }

    /// How many nodes that are too old are to be replaced at once, so that a pool that grew old together does not come
    /// to have twice its size.
    pub(super) fn renewing(&self, label: &Label, balance: &Balance, given_up: &[String]) -> u32 {
        if balance.spares.is_none() || !self.seen.permissions.deletes {
            return 0;
        }
        let aged = u32::try_from(self.aged_nodes(label, given_up).len()).unwrap_or(u32::MAX);
        aged.min(balance.ready.div_euclid(limits::RENEWED_PART).max(1))
    }

    /// Takes away the oldest node that is too old, because no other one fits beside it. It counts as missing then, and is
    /// replaced before the next one goes.
    pub(super) fn renew_in_place(&mut self, label: &Label, room: &[Free]) {
        let (Some(age), replaced) = (label.max_ready_age, self.replaced_targets()) else { return };
        let balance = self.balance(label, &replaced);
        if balance.renewing == 0 || balance.missing() > 0 || self.is_changing(label) {
            return;
        }
        for node in self.aged_nodes(label, &replaced) {
            let is_full = room.iter().any(|free| {
                free.provider == node.provider && free.kept_for.is_none() && free.fits(size(label)) == 0
            });
            if is_full && self.ability_but_quota(label, &node.provider).is_ok() {
                let (seconds, provider) = (age.as_secs(), &node.provider);
                let reason = format!(
                    "it was ready for longer than the max-ready-age of {seconds} s, and no other one fits beside it at \
                     {provider}"
                );
                return self.node_event(node, NodeEvent::Doomed, reason);
            }
        }
    }

    /// Whether a node of the label is on its way: in, or out.
    fn is_changing(&self, label: &Label) -> bool {
        let mut rows = self.nodes.values().map(|drafted| &drafted.row);
        rows.any(|node| {
            node.label == label.name && matches!(node.state, NodeState::Building(_) | NodeState::Delete)
        })
    }

    /// The nodes of a label that have been ready for too long, the oldest first, and of those at other targets than these.
    fn aged_nodes(&self, label: &Label, but: &[String]) -> Vec<Node> {
        let Some(age) = label.max_ready_age else { return Vec::new() };
        let mut aged = self.ready_nodes(label, but);
        aged.retain(|node| self.now() >= node.state_time.plus(age));
        aged.sort_by_key(|node| (node.state_time, node.id));
        aged
    }

    /// The idle nodes of a label but for those at these targets.
    pub(super) fn ready_nodes(&self, label: &Label, but: &[String]) -> Vec<Node> {
        let rows = self.nodes.values().filter(|drafted| !drafted.changed).map(|drafted| &drafted.row);
        let ready = rows.filter(|node| {
            node.state == NodeState::Ready
                && node.primary.is_none()
                && node.label == label.name
                && !but.contains(&node.target)
        });
        ready.cloned().collect()
    }
}

/// What a label wants beyond its jobs and spare nodes.
pub(super) fn said(age: Duration, renewing: u32) -> String {
    format!("; {renewing} more for those that are older than the max-ready-age of {} s", age.as_secs())
}
