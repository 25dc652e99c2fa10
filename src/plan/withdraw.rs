//! A node that is to go leaves its target first: no job may start on a machine that is about to vanish.

use super::action::{Errand, Pressing, Subject};
use super::agents::Seat;
use super::{Draft, limits};
use crate::model::Node;

impl Draft<'_> {
    /// Whether the target has given a node back, so that its server can be deleted; if not, does something about it.
    ///
    /// A target that cannot be reached does not keep servers alive for ever: the agent that stays there carries our mark
    /// and goes later. Only a job that may still run does.
    pub(super) fn is_withdrawn(&mut self, node: &Node) -> bool {
        if node.primary.is_some() || node.agent.withdrawn || node.agent.attempted.is_none() {
            return true;
        }
        let Some(view) = self.seen.targets.get(&node.target) else { return true };
        if self.seen.in_flight.contains_key(&Errand::Enroll(node.id)) {
            self.refuse(Subject::Node(node.id), "waits: its target is just being told of it");
            return false;
        }
        let obstacle = view.obstacle(&node.target);
        if obstacle.is_none() && view.lists && matches!(self.seat(view, node), Seat::Absent | Seat::Taken) {
            return true;
        }
        let errand = Errand::Withdraw {
            target: node.target.clone(),
            name: node.nodename.clone(),
            node: Some(node.id),
            pressing: pressing(node),
        };
        let tried = obstacle.is_some() || self.seen.tries.contains_key(&errand);
        let may_be_busy = node.job.is_running() && !node.agent.insists;
        let patience = if obstacle.is_none() {
            node.state_time.plus(limits::WITHDRAW_PATIENCE)
        } else {
            let blind_since = view.unreadable_since.unwrap_or(self.now());
            node.state_time.max(blind_since).plus(limits::WITHDRAW_BLIND)
        };
        if tried && !may_be_busy && self.has_come(patience) && !self.is_known_busy(node) {
            return true;
        }
        match obstacle {
            Some(obstacle) if may_be_busy => {
                self.refuse(
                    Subject::Node(node.id),
                    format!("stays, for a job may still run on it: {obstacle}"),
                );
            }
            Some(obstacle) => {
                self.refuse(Subject::Node(node.id), format!("waits to leave its target: {obstacle}"));
            }
            None => self.send_to_target(&node.target, errand, node.reason.clone()),
        }
        false
    }

    /// Whether the last listing shows a job on the agent of a node that nobody insists on deleting.
    fn is_known_busy(&mut self, node: &Node) -> bool {
        if node.agent.insists {
            return false;
        }
        let view = self.seen.targets.get(&node.target);
        let busy =
            view.is_some_and(|view| matches!(self.seat(view, node), Seat::Shown(agent) if !agent.idle));
        if busy {
            let reason = "stays while a job runs on it; `nodepool delete --now` does not wait for it";
            self.refuse(Subject::Node(node.id), reason);
        }
        busy
    }
}

const fn pressing(node: &Node) -> Pressing {
    match (node.agent.insists, node.job.ended) {
        (true, _) => Pressing::AtOnce,
        (false, Some(_)) => Pressing::JobOver,
        (false, None) => Pressing::WhenIdle,
    }
}
