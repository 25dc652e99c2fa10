//! Idle nodes that their label does not want any more give way to those that another label waits for.
//!
//! Nodes that were made for jobs which came to nothing, or for a watermark that was lowered, stay ready, as in nodepool v0: a
//! job may come. But they take places, and at a full provider another label would wait behind them for ever.

use super::allocate::size;
use super::shares::Free;
use super::{Draft, limits};
use crate::config::Label;
use crate::fsm::node::NodeEvent;
use crate::model::{Node, NodeState, Timestamp};

impl Draft<'_> {
    /// Takes away idle nodes that nobody wants, so that nodes of a label fit which has waited for a while: as many as
    /// `lacks`, beyond those for which there is room or soon will be.
    pub(super) fn give_way(&mut self, label: &Label, lacks: u32, room: &[Free]) {
        let knows_demand = self.seen.demand.is_some() || !self.config.tells_demand();
        let Some(since) = self.waits_since(label) else { return };
        if !knows_demand || !self.seen.permissions.deletes {
            return;
        }
        if !self.has_come(since.plus(limits::GIVE_WAY)) {
            return;
        }
        let mut lacks = lacks;
        for free in room.iter().filter(|free| label.providers.contains(&free.provider)) {
            let gained = self.give_way_at(label, lacks, free);
            lacks = lacks.saturating_sub(gained);
        }
    }

    /// Since when a label has asked for nodes and got none.
    fn waits_since(&self, label: &Label) -> Option<Timestamp> {
        let waiting = &self.plan.waiting;
        [&waiting.jobs, &waiting.spares].into_iter().filter_map(|waiting| waiting.since(&label.name)).min()
    }

    /// The same at one provider; gives for how many nodes there will be room.
    fn give_way_at(&mut self, label: &Label, lacks: u32, free: &Free) -> u32 {
        let (provider, size) = (free.provider.as_str(), size(label));
        let is_kept = free.kept_for.as_ref().is_some_and(|other| *other != label.name);
        if is_kept || self.ability_but_quota(label, provider).is_err() {
            return 0;
        }
        let mut places = match self.check_quota(provider, &label.image, size) {
            Ok(()) => free.servers,
            // Nobody knows what there is, or nothing that is given up would help.
            Err(_) if self.quota_is_dated(provider) => return lacks,
            Err(_) if !self.could_make_room(provider, &label.image, size) => return 0,
            Err(_) => 0,
        };
        places = places.saturating_add(self.leaving(provider));
        let wanted = lacks.saturating_mul(size);
        let mut going = Vec::new();
        for (node, servers) in self.unwanted_nodes(provider) {
            if places >= wanted {
                break;
            }
            places = places.saturating_add(servers);
            going.push(node);
        }
        let fits = places.checked_div(size).unwrap_or(0);
        if fits > 0 {
            for node in going {
                let reason = format!(
                    "label {} has more nodes than it wants, and label {} waits for a place",
                    node.label, label.name
                );
                self.node_event(node, NodeEvent::Doomed, reason);
            }
        }
        fits.min(lacks)
    }

    /// How many servers of a provider are about to be gone. What has been for long is not waited for.
    fn leaving(&self, provider: &str) -> u32 {
        let rows = self.nodes.values().map(|drafted| &drafted.row);
        let leaving = rows.filter(|node| {
            node.provider == provider
                && node.state == NodeState::Delete
                && self.now().since(node.state_time) < limits::GIVE_WAY
        });
        u32::try_from(leaving.count()).unwrap_or(u32::MAX)
    }

    /// The idle nodes at a provider that their labels have beyond what they want, those that have been idle for longest first,
    /// each with its number of servers.
    fn unwanted_nodes(&mut self, provider: &str) -> Vec<(Node, u32)> {
        let replaced = self.replaced_targets();
        let mut unwanted = Vec::new();
        for label in &self.config.labels {
            let balance = self.balance(label, &replaced);
            let wanted =
                balance.jobs.saturating_add(balance.spares.unwrap_or(0)).saturating_add(balance.renewing);
            let more = balance.there().saturating_sub(wanted);
            let mut idle = self.ready_nodes(label, &replaced);
            idle.retain(|node| {
                node.provider == provider && self.now().since(node.state_time) >= limits::GIVE_WAY
            });
            idle.sort_by_key(|node| (node.state_time, node.id));
            let more = usize::try_from(more).unwrap_or(usize::MAX);
            unwanted.extend(idle.into_iter().take(more));
        }
        unwanted.sort_by_key(|node| (node.state_time, node.id));
        let size_of = |node: &Node| u32::try_from(self.set_of(node.id).len()).unwrap_or(u32::MAX);
        unwanted.into_iter().map(|node| (size_of(&node), node)).map(|(size, node)| (node, size)).collect()
    }
}
