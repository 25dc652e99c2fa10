//! From a prepared machine to a node that takes jobs: its target is told of it, its agent comes online, and where the
//! target has a test job, that has to succeed.

use super::action::{Action, Errand, Subject};
use super::agents::{Seat, is_spent, words};
use super::target_view::TargetView;
use super::{Draft, Drafted, limits};
use crate::config::{Jenkins, Launcher, Offer};
use crate::fsm::node::NodeEvent;
use crate::model::{Agent, Node, NodeState, NodeStep, SetbackKind, Timestamp};

impl Draft<'_> {
    /// Whether the target has to know of a node before its ready script runs: an inbound agent is started by that
    /// script, which needs the agent's secret. `false` has sent for it, or said why it waits.
    pub(super) fn is_enrolled_for_visit(&mut self, node: &Node) -> bool {
        let inbound = self.jenkins(&node.target).is_some_and(|jenkins| jenkins.launcher == Launcher::Inbound);
        if !inbound || node.primary.is_some() {
            return true;
        }
        if !node.agent.enrolled {
            self.enroll(node);
            return false;
        }
        let in_vain = self.seen.tries.contains_key(&Errand::PrepareNode(node.id));
        if in_vain && self.is_too_late(node, node.state_time) {
            let limit = self.enroll_timeout(&node.target).as_secs();
            let reason = format!(
                "its target did not tell what its agent needs within the enroll-timeout of {limit} s"
            );
            self.fail_enrollment(node.clone(), reason);
            return false;
        }
        true
    }

    /// One step further for a node that is prepared.
    pub(super) fn enroll_node(&mut self, node: Node) {
        if node.primary.is_some() {
            return self.refuse(Subject::Node(node.id), "waits for its primary to be offered");
        }
        let Some(view) = self.seen.targets.get(&node.target) else {
            return self.make_ready(node, "its target takes nodes as they are".to_owned());
        };
        if node.agent.test_passed {
            return self.take_after_test(&node);
        }
        if !node.agent.enrolled {
            return self.enroll(&node);
        }
        if !view.lists {
            let by =
                node.agent.manager.as_deref().map_or_else(String::new, |manager| format!(" by {manager}"));
            return self.make_ready(node, format!("it was taken{by}"));
        }
        if let Some(obstacle) = view.obstacle(&node.target) {
            return self.refuse(Subject::Node(node.id), format!("waits for its agent: {obstacle}"));
        }
        match self.seat(view, &node) {
            Seat::Shown(agent) if agent.online => self.admit(node),
            Seat::Shown(agent) if is_spent(agent) => {
                let reason =
                    "its job is over: its agent was set offline after it, before anybody saw it online";
                self.node_event(node, NodeEvent::JobFinished, reason);
            }
            Seat::Shown(agent) => self.await_agent(&node, view, agent),
            Seat::Taken => {
                self.fail_enrollment(node, "another agent has its name".to_owned());
            }
            Seat::Absent => self.enroll(&node),
            Seat::Unsure => self.refuse(Subject::Node(node.id), "waits: its agent is not listed yet"),
        }
    }

    /// Launches of its kind succeed: what failed before counts no more.
    fn make_ready(&mut self, node: Node, reason: String) {
        self.launch_succeeded(&node);
        self.recover(SetbackKind::Target, &node.target, "", "a node became ready");
        if node.subnodes == 0 {
            return self.node_event(node, NodeEvent::Enrolled, reason);
        }
        // The members of a set become ready together.
        let enrolls = |row: &Node| row.id == node.id || row.state == NodeState::Building(NodeStep::Enroll);
        let rows: Vec<Node> = self.set_of(node.id).into_iter().filter(enrolls).collect();
        for row in &rows {
            let ready = Node { state: NodeState::Ready, state_time: self.now(), ..row.clone() };
            self.nodes.insert(row.id, Drafted { row: ready, changed: true });
        }
        self.act(Action::Nodes { rows, event: NodeEvent::Enrolled }, reason);
    }

    fn enroll(&mut self, node: &Node) {
        let closed = self.seen.targets.get(&node.target).and_then(|view| view.closed(&node.target));
        if let Some(closed) = closed {
            return self.refuse(Subject::Node(node.id), format!("is not offered: {closed}"));
        }
        if self.seen.in_flight.contains_key(&Errand::Enroll(node.id)) {
            return;
        }
        let since = node.state_time;
        if node.state == NodeState::Building(NodeStep::Enroll) && self.is_too_late(node, since) {
            let limit = self.enroll_timeout(&node.target).as_secs();
            let reason = format!("its target did not take it within the enroll-timeout of {limit} s");
            return self.fail_enrollment(node.clone(), reason);
        }
        self.send_to_target(&node.target, Errand::Enroll(node.id), "it is to be offered at its target");
    }

    /// Its agent is online: it is ready, or first tried out.
    fn admit(&mut self, node: Node) {
        let test_job = self.jenkins(&node.target).and_then(|jenkins| jenkins.test_job.clone());
        match test_job {
            None => self.make_ready(node, "its agent is online".to_owned()),
            Some(job) => {
                let reason = format!("its agent is online, so its test job {job} can run");
                self.send_to_target(&node.target, Errand::StartTest { node: node.id, job }, reason);
            }
        }
    }

    /// A test job that nobody heard of for too long has failed.
    pub(super) fn keep_test(&mut self, node: Node) {
        if node.primary.is_some() {
            return;
        }
        if node.agent.test_passed {
            return self.take_after_test(&node);
        }
        if self.has_come(node.state_time.plus(limits::TEST_TIMEOUT)) {
            let limit = limits::TEST_TIMEOUT.as_secs();
            return self.node_event(
                node,
                NodeEvent::Doomed,
                format!("its test job did not end within {limit} s"),
            );
        }
        self.watch_agent(node);
    }

    fn take_after_test(&mut self, node: &Node) {
        self.send_to_target(&node.target, Errand::Relabel(node.id), "its test job succeeded");
    }

    fn await_agent(&mut self, node: &Node, view: &TargetView, agent: &Agent) {
        // While the target could not be read, no agent could be seen online.
        let since = view.readable_since.map_or(node.state_time, |since| since.max(node.state_time));
        if self.is_too_late(node, since) {
            let reason = "its agent is not online within the enroll-timeout: the target may say why";
            return self.send_to_target(&node.target, Errand::ReadLaunchLog(node.id), reason);
        }
        self.refuse(
            Subject::Node(node.id),
            format!("waits for its agent, which is offline: {}", words(agent)),
        );
    }

    fn is_too_late(&mut self, node: &Node, since: Timestamp) -> bool {
        let timeout = self.enroll_timeout(&node.target);
        self.has_come(since.plus(timeout))
    }

    fn enroll_timeout(&self, target: &str) -> std::time::Duration {
        self.jenkins(target).map_or(limits::ENROLL_TIMEOUT, |jenkins| jenkins.enroll_timeout)
    }

    fn fail_enrollment(&mut self, node: Node, reason: String) {
        self.set_back(SetbackKind::Target, &node.target, "", &reason);
        self.node_event(node, NodeEvent::Doomed, reason);
    }

    pub(super) fn jenkins(&self, target: &str) -> Option<&Jenkins> {
        match &self.config.target(target)?.offer {
            Offer::Jenkins(jenkins) => Some(jenkins),
            Offer::Gearman | Offer::Nowhere => None,
        }
    }
}
