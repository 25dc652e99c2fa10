//! Nodes of several servers: what the members of a set are to each other.
//!
//! Each member has its own row and goes its own way through the cloud. What binds them is decided here, from the rows
//! alone and anew at each look: they are prepared together; a set that loses a member before its job is no set; subnodes
//! follow their primary into use, into a hold and away.

use super::Draft;
use super::action::{Errand, Subject};
use super::floating::Machine;
use super::whereabouts::Whereabouts;
use crate::fsm::node::NodeEvent;
use crate::model::{Node, NodeId, NodeState, NodeStep, Server, ServerStatus};

impl Draft<'_> {
    /// Lets a subnode do as its primary did. `false`: what its primary does says nothing about it, or it is no subnode.
    pub(super) fn follow_primary(&mut self, node: &Node) -> bool {
        let Some(id) = node.primary else { return false };
        let Some(primary) = self.nodes.get(&id).map(|drafted| drafted.row.clone()) else {
            return self.leave(node, format!("its primary, node {id}, is gone"));
        };
        match primary.state {
            NodeState::Ready if node.state == NodeState::Building(NodeStep::Enroll) => {
                let reason = format!("its primary, node {id}, is ready");
                self.node_event(node.clone(), NodeEvent::Enrolled, reason);
                true
            }
            NodeState::Building(_) | NodeState::Test | NodeState::Ready => false,
            NodeState::Used => self.follow_into_use(node, id),
            NodeState::Hold => self.follow_into_hold(node, &primary),
            NodeState::Delete | NodeState::Gone => {
                self.leave(node, format!("it goes with its primary, node {id}: {}", primary.reason))
            }
        }
    }

    fn follow_into_use(&mut self, node: &Node, primary: NodeId) -> bool {
        match node.state {
            NodeState::Ready | NodeState::Building(NodeStep::Ssh | NodeStep::Enroll) => {
                let reason = format!("a job started on its primary, node {primary}");
                self.node_event(node.clone(), NodeEvent::JobStarted, reason);
            }
            NodeState::Building(_) => {
                let reason = format!("a job started on its primary, node {primary}, before it was there");
                self.node_event(node.clone(), NodeEvent::Doomed, reason);
            }
            NodeState::Test | NodeState::Used | NodeState::Hold | NodeState::Delete | NodeState::Gone => {
                return false;
            }
        }
        true
    }

    fn follow_into_hold(&mut self, node: &Node, primary: &Node) -> bool {
        let same = node.comment == primary.comment && node.held_until == primary.held_until;
        match node.state {
            NodeState::Building(_) => {
                let reason = format!("its primary, node {}, is held: it is not built any more", primary.id);
                self.node_event(node.clone(), NodeEvent::Doomed, reason);
                return true;
            }
            NodeState::Hold if same => return true,
            NodeState::Delete if self.nothing_to_hold(node).is_some() => return false,
            NodeState::Test | NodeState::Gone => return false,
            NodeState::Ready | NodeState::Used | NodeState::Hold | NodeState::Delete => {}
        }
        let (comment, held_until) = (primary.comment.clone(), primary.held_until);
        let held_by = primary.held_by.clone();
        let row = Node { held_until, held_by, comment, ..node.clone() };
        self.node_event(row, NodeEvent::Held, format!("it is held with its primary, node {}", primary.id));
        true
    }

    fn leave(&mut self, node: &Node, reason: String) -> bool {
        let event = match node.state {
            NodeState::Delete | NodeState::Gone => return false,
            NodeState::Hold => NodeEvent::HoldEnded,
            NodeState::Building(_) | NodeState::Test | NodeState::Ready | NodeState::Used => {
                NodeEvent::Doomed
            }
        };
        let row = Node { held_until: None, ..node.clone() };
        self.node_event(row, event, reason);
        true
    }

    /// Brings each set one step further, after its members were looked at one by one.
    pub(super) fn settle_sets(&mut self) {
        let with_subnodes = self.nodes.values().filter(|drafted| drafted.row.subnodes > 0);
        let primaries: Vec<NodeId> = with_subnodes.map(|drafted| drafted.row.id).collect();
        for id in primaries {
            self.fail_late_members(id);
            self.tell_losses(id);
            self.prepare_set(id);
        }
    }

    /// A server that its set waits for in vain must not keep the others from serving: the time to ask for it is bounded.
    fn fail_late_members(&mut self, id: NodeId) {
        let members = self.set_of(id);
        let Some(first) = members.iter().filter_map(|node| node.attempted).min() else { return };
        for node in members {
            let waits = matches!(node.state, NodeState::Building(_)) && node.attempted.is_none();
            let timeout = self.config.provider(&node.provider).map(|provider| provider.launch_timeout);
            let Some(timeout) = timeout.filter(|_| waits && !self.is_changed(node.id)) else { continue };
            if self.has_come(first.plus(timeout)) {
                let limit = timeout.as_secs();
                let reason = format!(
                    "no server could be asked for within the launch-timeout of {limit} s after the first of its set"
                );
                self.fail_node(node, reason);
            }
        }
    }

    /// A set that lost a member is given up, unless somebody uses or holds what is left.
    fn tell_losses(&mut self, id: NodeId) {
        let Some(loss) = self.loss(id) else { return };
        let Some(primary) = self.nodes.get(&id) else { return };
        match primary.row.state {
            NodeState::Building(_) | NodeState::Ready if !primary.changed => {
                let row = primary.row.clone();
                self.node_event(row, NodeEvent::Doomed, loss);
            }
            NodeState::Building(_) | NodeState::Ready => {
                self.refuse(Subject::Node(id), format!("it goes with the next look: {loss}"));
            }
            NodeState::Test | NodeState::Used | NodeState::Hold => {
                self.refuse(Subject::Node(id), format!("what is left of its set stays: {loss}"));
            }
            NodeState::Delete | NodeState::Gone => {}
        }
        for node in self.set_of(id) {
            if !self.is_changed(node.id) {
                self.follow_primary(&node);
            }
        }
    }

    /// What a node lacks of the subnodes that were made with it, if anything.
    pub(super) fn loss(&self, id: NodeId) -> Option<String> {
        let made = self.nodes.get(&id)?.row.subnodes;
        if made == 0 {
            return None;
        }
        let subnodes = || {
            let rows = self.nodes.values().map(|drafted| &drafted.row);
            rows.filter(|node| node.is_subnode_of(id))
        };
        let left = subnodes().filter(|node| node.state != NodeState::Delete).count();
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        if left >= made {
            return None;
        }
        let going = subnodes().find(|node| node.state == NodeState::Delete);
        Some(match going {
            Some(node) => format!("its {} is lost: {}", node.title(), node.reason),
            None => format!("it lost {} of its {made} subnodes", made.saturating_sub(left)),
        })
    }

    /// Sends one visit to all members of a set once the last of them can be reached.
    fn prepare_set(&mut self, id: NodeId) {
        let members = self.set_of(id);
        let under_way = self.seen.in_flight.contains_key(&Errand::PrepareNode(id));
        if under_way || !members.iter().all(|node| matches!(node.state, NodeState::Building(_))) {
            return;
        }
        let late = members.iter().find(|node| self.is_changed(node.id) || !self.is_reachable(node));
        let Some(late) = late else {
            let primary = members.iter().find(|node| node.id == id);
            if primary.is_some_and(|primary| !self.is_enrolled_for_visit(primary)) {
                let reason = "waits: its target is told of its primary before it is prepared";
                for subnode in members.iter().filter(|node| node.id != id) {
                    if !self.is_changed(subnode.id) {
                        self.refuse(Subject::Node(subnode.id), reason);
                    }
                }
                return;
            }
            let servers = members.len();
            let reason = format!("all {servers} servers of its set are ACTIVE and have addresses");
            return self.send(Errand::PrepareNode(id), reason);
        };
        let reason = format!("waits for {} of its set, which is {}", late.title(), late.state);
        let waiting = members.iter().filter(|node| !self.is_changed(node.id) && self.is_reachable(node));
        let waiting: Vec<NodeId> = waiting.map(|node| node.id).collect();
        for node in waiting {
            self.refuse(Subject::Node(node), reason.clone());
        }
    }

    /// Whether a visit to this member can begin.
    fn is_reachable(&self, node: &Node) -> bool {
        node.state == NodeState::Building(NodeStep::Ssh)
            && !self.awaits_host_key(&Machine::of_node(node), node.host_key.is_some())
            && matches!(
                self.node_server(node),
                Whereabouts::Shown(Server { status: ServerStatus::Active, .. })
            )
    }

    /// Whether all members of a set are there and wait for their preparation.
    pub(super) fn awaits_preparation(&self, id: NodeId) -> bool {
        let members = self.set_of(id);
        !members.is_empty()
            && members.iter().all(|node| node.state == NodeState::Building(NodeStep::Ssh))
            && self.loss(id).is_none()
    }

    /// The rows of a set: its primary, then its subnodes in their order.
    pub(super) fn set_of(&self, id: NodeId) -> Vec<Node> {
        let Some(primary) = self.nodes.get(&id) else { return Vec::new() };
        let mut members = vec![primary.row.clone()];
        if primary.row.subnodes > 0 {
            let rows = self.nodes.values().map(|drafted| &drafted.row);
            members.extend(rows.filter(|node| node.is_subnode_of(id)).cloned());
            members.sort_by_key(|node| node.subnode_index);
        }
        members
    }

    pub(super) fn is_changed(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_none_or(|drafted| drafted.changed)
    }
}
