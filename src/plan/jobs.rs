//! What jobs did: events that wait in rows, oldest first. Jobs run on nodes and on primaries; subnodes follow.

use super::Draft;
use super::action::{Action, Subject};
use super::blame::Blame;
use crate::fsm::node::NodeEvent;
use crate::model::{
    AgentFacts, JobEvent, JobEventKind, JobFacts, JobResult, JobRun, Node, NodeState, NodeStep,
};
use crate::planted::{Bug, is_planted};

impl Draft<'_> {
    /// Lets each event happen to its node. Of several events for one node, the first is dealt with in this plan and
    /// the others in the next ones, so that their order is kept.
    pub(super) fn settle_job_events(&mut self) {
        for event in self.seen.events.clone() {
            let node = self
                .nodes
                .values()
                .find(|drafted| drafted.row.nodename == event.told.nodename && drafted.row.primary.is_none());
            let Some(drafted) = node else {
                let reason = format!("no node is called {}", event.told.nodename);
                self.act(Action::SettleJobEvent(event.id), reason);
                continue;
            };
            if drafted.changed {
                continue;
            }
            let row = drafted.row.clone();
            let reason = self.settle_job_event(row, &event);
            self.act(Action::SettleJobEvent(event.id), reason);
        }
    }

    /// Lets an event happen, and says what became of it.
    fn settle_job_event(&mut self, node: Node, event: &JobEvent) -> String {
        let job = &event.told.job;
        let test_job = self.jenkins(&node.target).and_then(|jenkins| jenkins.test_job.as_ref());
        if test_job == Some(job) {
            return self.settle_test(node, event);
        }
        match event.told.kind {
            JobEventKind::Started => {
                let reason = format!("job {job} started");
                let known = node.job.started.is_some();
                let started = node.job.started.or(Some(event.at));
                let row =
                    Node { job: JobFacts { name: Some(job.clone()), started, ..node.job.clone() }, ..node };
                match row.state {
                    // News that comes late, twice, or of a node that somebody keeps.
                    NodeState::Used if known && row.job.ended.is_some() => {}
                    NodeState::Used | NodeState::Hold if known => self.node_facts(row, reason.clone()),
                    _ => self.node_event(row, NodeEvent::JobStarted, reason.clone()),
                }
                reason
            }
            JobEventKind::Completed => {
                format!("the result of job {job} is known, but the job has not left its node")
            }
            JobEventKind::Finished if is_planted(Bug::EndsAreForgotten) => format!("job {job} ended"),
            JobEventKind::Finished => {
                let reason = format!("job {job} ended");
                self.end_job(node, Some(event), reason.clone());
                reason
            }
        }
    }

    /// The end of a node's job: the node is held for a person to look at, rests for a while, or goes.
    pub(super) fn end_job(&mut self, node: Node, event: Option<&JobEvent>, reason: String) {
        let at = event.map_or(self.now(), |event| event.at);
        if node.job.ended.is_none() {
            self.count_run(&node, event);
        }
        let name = event.map(|event| event.told.job.clone()).or_else(|| node.job.name.clone());
        let job = JobFacts { name, ended: node.job.ended.or(Some(at)), ..node.job.clone() };
        let node = Node { job, ..node };
        if matches!(node.state, NodeState::Ready | NodeState::Used)
            && let Some(event) = event.filter(|event| event.told.result == Some(JobResult::Failure))
            && self.hold_after_failure(&node, &event.told.job)
        {
            return;
        }
        let rests = !self.config.delete_delay.is_zero();
        match node.state {
            NodeState::Used if rests => self.node_facts(node, reason),
            NodeState::Ready if rests => self.node_event(node, NodeEvent::JobStarted, reason),
            _ => self.node_event(node, NodeEvent::JobFinished, reason),
        }
    }

    /// A node whose job is over goes when it has rested as long as the configuration says.
    pub(super) fn end_rest(&mut self, node: &Node) -> bool {
        let Some(ended) = node.job.ended.filter(|_| node.state == NodeState::Used) else { return false };
        if !self.has_come(ended.plus(self.config.delete_delay)) {
            let rest = self.config.delete_delay.as_secs();
            self.refuse(
                Subject::Node(node.id),
                format!("its job is over; it rests for the delete-delay of {rest} s"),
            );
            return false;
        }
        self.node_event(node.clone(), NodeEvent::JobFinished, "its job is over");
        true
    }

    /// Holds a node on which a job failed, where a rule wants that and does not hold enough already.
    fn hold_after_failure(&mut self, node: &Node, job: &str) -> bool {
        let Some(rule) = self.seen.jobs.iter().find(|rule| rule.name == job) else { return false };
        let held = self.nodes.values().map(|drafted| &drafted.row);
        let held = held.filter(|row| row.state == NodeState::Hold && row.held_for.as_deref() == Some(job));
        let held = u32::try_from(held.count()).unwrap_or(u32::MAX);
        if held >= rule.hold_on_failure {
            return false;
        }
        let most = rule.hold_on_failure;
        let row = Node {
            held_by: Some("nodepool".to_owned()),
            held_for: Some(job.to_owned()),
            held_until: rule.hold_for.map(|time| self.now().plus(time)),
            hold_warned: false,
            // The words of nodepool v0.
            comment: Some(format!("Automatically held after failing {job}")),
            ..node.clone()
        };
        let reason = format!("job {job} failed, and up to {most} nodes are held for it");
        self.node_event(row, NodeEvent::Held, reason);
        true
    }

    /// How long the job ran, for whoever wants to know what jobs cost.
    fn count_run(&mut self, node: &Node, event: Option<&JobEvent>) {
        let (Some(started), Some(event)) = (node.job.started, event) else { return };
        let run = JobRun {
            job: event.told.job.clone(),
            branch: event.told.branch.clone(),
            label: node.label.clone(),
            provider: node.provider.clone(),
            result: event.told.result,
            took: event.at.since(started),
        };
        self.act(Action::CountJobRun(run), format!("job {} ended on node {}", event.told.job, node.id));
    }

    /// What a test job tells is about the node: whether it may take others.
    fn settle_test(&mut self, node: Node, event: &JobEvent) -> String {
        let job = &event.told.job;
        let awaited = matches!(node.state, NodeState::Building(NodeStep::Enroll) | NodeState::Test);
        match (event.told.kind, event.told.result) {
            _ if !awaited => format!("test job {job} is news of the past"),
            (JobEventKind::Started | JobEventKind::Completed, _) => {
                format!("test job {job} runs on node {}", node.id)
            }
            (JobEventKind::Finished, Some(JobResult::Success)) => {
                let reason = format!("its test job {job} succeeded");
                let agent = AgentFacts { test_passed: true, ..node.agent.clone() };
                self.node_facts(Node { agent, ..node }, reason.clone());
                reason
            }
            (JobEventKind::Finished, _) => {
                let reason = format!("its test job {job} failed");
                self.launch_failed(&node, &reason, Blame::Image);
                self.node_event(node, NodeEvent::Doomed, reason.clone());
                reason
            }
        }
    }
}
