//! Agents: what the targets show of the nodes that are offered there.
//!
//! Events tell first what jobs do; the listing of each target tells again, so that a lost event costs a while and not a
//! node. An agent that is merely offline is never spent: the connection may come back, with its job.

use super::action::{Action, Errand, Pressing, Subject};
use super::target_view::TargetView;
use super::{Draft, limits};
use crate::fsm::node::NodeEvent;
use crate::model::{Agent, AgentFacts, AgentTag, CLOSED, JobFacts, Node, NodeState, NodeStep, SetbackKind};

/// What Jenkins' Gearman plugin says of an agent whose one job is over, when the job asked for it.
const SPENT: &str = "Offline due to Gearman request";

/// What a target shows of a node.
pub(super) enum Seat<'a> {
    /// Its agent.
    Shown(&'a Agent),
    /// An agent of its name that is not ours.
    Taken,
    /// Nothing, in two listings that began after it must have been there.
    Absent,
    /// Nothing, which may mean nothing.
    Unsure,
}

/// Whether an agent was set offline because its one job is over.
pub(super) fn is_spent(agent: &Agent) -> bool {
    let says = |words| agent.offline_reason.contains(words);
    agent.idle && agent.set_offline && (says(SPENT) || says(CLOSED))
}

impl Draft<'_> {
    pub(super) fn target(&self, name: &str) -> Option<&TargetView> {
        self.seen.targets.get(name)
    }

    /// What the target shows of a node.
    pub(super) fn seat<'v>(&self, view: &'v TargetView, node: &Node) -> Seat<'v> {
        let ours = AgentTag { installation: self.seen.installation.to_owned(), node: node.id };
        match view.agents.items.get(&node.nodename) {
            Some(agent) if agent.tag.as_ref() == Some(&ours) => Seat::Shown(agent),
            Some(_) => Seat::Taken,
            None => {
                let settled = node.agent.attempted.map(|at| at.plus(limits::ENROLL_LAG));
                let absent = view.agents.is_sure()
                    && settled.is_some_and(|moment| view.agents.twice_since(moment))
                    && view.agents.neither_shows(|agent| agent.name == node.nodename);
                if absent { Seat::Absent } else { Seat::Unsure }
            }
        }
    }

    /// Learns from the target's listing what no event told.
    pub(super) fn watch_agent(&mut self, node: Node) {
        if node.primary.is_some() || node.agent.attempted.is_none() {
            return;
        }
        let Some(view) = self.seen.targets.get(&node.target).filter(|view| view.lists) else { return };
        if let Some(obstacle) = view.obstacle(&node.target) {
            // It is tried all the same: when the target comes back there is no time to lose.
            self.close_agent(&node);
            return self.refuse(Subject::Node(node.id), format!("nothing is known of its agent: {obstacle}"));
        }
        match (self.seat(view, &node), node.state) {
            (Seat::Unsure, _) => self.close_agent(&node),
            // Whoever holds a node decides what becomes of it.
            (Seat::Absent | Seat::Taken, NodeState::Hold) => {}
            (Seat::Absent, _) => {
                let row = without_agent(node);
                self.node_event(row, NodeEvent::Doomed, "its agent is not there any more");
            }
            (Seat::Taken, _) => {
                let row = without_agent(node);
                self.node_event(row, NodeEvent::Doomed, "another agent has taken its name");
            }
            (Seat::Shown(agent), NodeState::Ready) => self.watch_ready(node, view, agent),
            (Seat::Shown(agent), NodeState::Used) => self.watch_used(node, view, agent),
            (Seat::Shown(_), NodeState::Hold) => self.tell_hold(&node),
            (Seat::Shown(_), _) => {}
        }
    }

    fn watch_ready(&mut self, node: Node, view: &TargetView, agent: &Agent) {
        if !agent.idle {
            if self.is_test_still_shown(&node, view, agent) {
                return;
            }
            let told = agent.build.as_deref().map_or_else(String::new, |build| format!(": {build}"));
            let job = JobFacts { started: Some(self.now()), ..node.job.clone() };
            let reason = format!("its agent was seen with a job on it{told}");
            return self.node_event(Node { job, ..node }, NodeEvent::JobStarted, reason);
        }
        if is_spent(agent) {
            let reason = "its job is over: its agent was set offline after it";
            return self.node_event(node, NodeEvent::JobFinished, reason);
        }
        if agent.set_offline {
            let reason = format!("takes no jobs: somebody set its agent offline: {}", agent.offline_reason);
            return self.refuse(Subject::Node(node.id), reason);
        }
        if let Some(since) = view.lost_since.get(&agent.name) {
            if self.has_come(since.plus(limits::AGENT_LOST)) {
                let reason = format!("its agent was offline for minutes: {}", words(agent));
                return self.node_event(node, NodeEvent::Doomed, reason);
            }
            self.refuse(
                Subject::Node(node.id),
                format!("takes no jobs: its agent is offline: {}", words(agent)),
            );
        }
    }

    /// Whether what keeps the agent of a ready node busy may only be the job that tried the node out: its listing is older
    /// than the node's readiness, or that job has not left its executor.
    fn is_test_still_shown(&self, node: &Node, view: &TargetView, agent: &Agent) -> bool {
        let Some(job) = self.jenkins(&node.target).and_then(|jenkins| jenkins.test_job.as_ref()) else {
            return false;
        };
        let is_old = view.agents.complete.is_none_or(|began| began < node.state_time);
        is_old || agent.build.as_deref().is_some_and(|build| is_build_of(build, job))
    }

    /// A job is over when its agent has none any more. The first look after its start may have been too early.
    fn watch_used(&mut self, node: Node, view: &TargetView, agent: &Agent) {
        let stays = |draft: &mut Self| {
            if !agent.set_offline {
                draft.close_agent(&node);
            }
        };
        if !agent.idle || node.job.ended.is_some() {
            return stays(self);
        }
        let began = node.job.started.unwrap_or(node.state_time).plus(limits::JOB_SEEN);
        let free_since = view.idle_since.get(&agent.name).or_else(|| view.lost_since.get(&agent.name));
        let before = view.agents.previous.as_ref().map(|(before, _)| before);
        let twice = view.agents.twice_since(began) && free_since <= before;
        let set_offline = agent.set_offline && view.agents.complete.is_some_and(|complete| complete >= began);
        if !twice && !set_offline {
            return stays(self);
        }
        let seen =
            if agent.online { "its agent has no job any more" } else { "its agent is offline without a job" };
        self.end_job(node, None, format!("{seen}, so its job is over"));
    }

    /// Has the target start nothing more on a node that has its one job. Otherwise a second one could begin there before
    /// the node is taken away: when the news of the end is late, while the node rests, or when the target restarts.
    fn close_agent(&mut self, node: &Node) {
        let wanted = self.jenkins(&node.target).is_some_and(|jenkins| jenkins.close_used_agents);
        if !wanted || node.state != NodeState::Used || node.agent.remark.is_some() {
            return;
        }
        let errand = Errand::Close(node.id);
        // Those whose job is over leave before others are closed.
        if self.calls_to(&node.target, |call| matches!(call, Errand::Close(_))) < limits::CLOSING_CALLS {
            return self.send_to_target(&node.target, errand, "it has its one job");
        }
        if !self.seen.in_flight.contains_key(&errand) {
            let reason = "is closed to other jobs when other nodes are, which goes by turns";
            self.refuse(Subject::Node(node.id), reason);
        }
    }

    /// Says at the target who holds a node, and why, for the people who see it there.
    fn tell_hold(&mut self, node: &Node) {
        let remark = hold_remark(node);
        // Of two calls that say why it is offline, the later one is to be this one.
        let closing = self.seen.in_flight.contains_key(&Errand::Close(node.id));
        if !closing && node.agent.remark.as_deref() != Some(remark.as_str()) {
            let errand = Errand::Describe { node: node.id, remark };
            self.send_to_target(&node.target, errand, "people are to see who holds it");
        }
    }

    /// Removes agents that carry our mark and have no row. Seen in two listings, or they may be news.
    pub(super) fn withdraw_leaked_agents(&mut self) {
        for (target, view) in self.seen.targets {
            if view.obstacle(target).is_some() {
                continue;
            }
            for agent in view.agents.items.values().filter(|agent| view.agents.both_show(&agent.name)) {
                if !self.is_leaked_agent(agent) {
                    continue;
                }
                let name = agent.name.clone();
                let errand = Errand::Withdraw {
                    target: target.clone(),
                    name: name.clone(),
                    node: None,
                    pressing: Pressing::WhenIdle,
                };
                self.send_to_target(
                    target,
                    errand,
                    format!("the agent {name} is ours and has no node any more"),
                );
            }
        }
    }

    /// Whether an agent carries our mark and is that of no node.
    pub(super) fn is_leaked_agent(&self, agent: &Agent) -> bool {
        let Some(tag) = agent.tag.as_ref().filter(|tag| tag.installation == self.seen.installation) else {
            return false;
        };
        let row = self.seen.nodes.iter().find(|node| node.id == tag.node);
        // Two targets may be one controller: an agent of either is known, wherever it shows.
        !row.is_some_and(|row| row.nodename == agent.name && !row.agent.withdrawn)
    }

    /// Lists the agents of each target: often while one is awaited, seldom else.
    pub(super) fn list_agents(&mut self) {
        for (target, view) in self.seen.targets {
            if !view.lists {
                continue;
            }
            if let Some(trouble) = &view.agents.trouble {
                let reason = format!("its agents could not be listed: {trouble}");
                self.refuse(Subject::Target(target.clone()), reason);
            } else if view.quieting_down {
                self.refuse(Subject::Target(target.clone()), "it is about to shut down and takes no nodes");
            }
            let due = match (view.agents.complete, &view.agents.trouble) {
                (Some(last), None) => {
                    // A controller that takes long to answer gets as much time for itself.
                    let took = view.agents.ended.unwrap_or(last).since(last).saturating_mul(2);
                    let pause = self.agents_pause(target).max(took.min(limits::LIST_AGENTS));
                    self.is_to_be_listed_again(last) || self.has_come(last.plus(pause))
                }
                (None, _) | (_, Some(_)) => true,
            };
            if due {
                let errand = Errand::ListAgents { target: target.clone() };
                self.send(errand, "a listing of agents is due");
            }
        }
    }

    fn agents_pause(&self, target: &str) -> std::time::Duration {
        let now = self.now();
        let rows = self.nodes.values().map(|drafted| &drafted.row);
        let offered = rows.filter(|node| node.target == target && node.agent.attempted.is_some());
        let pauses = offered.map(|node| match node.state {
            NodeState::Building(NodeStep::Ssh | NodeStep::Enroll) => {
                limits::agent_pause(now.since(node.agent.attempted.unwrap_or(now)))
            }
            _ => limits::LIST_AGENTS,
        });
        pauses.min().unwrap_or(limits::LIST_AGENTS_WHEN_IDLE)
    }

    /// Sends somebody to a target, unless so many are there already that the controller would suffer.
    pub(super) fn send_to_target(&mut self, target: &str, errand: Errand, reason: impl Into<super::Reason>) {
        let busy = self.calls_to(target, Errand::is_call_to_target);
        if busy < limits::CALLS_TO_TARGET {
            return self.send(errand, reason);
        }
        if let Some(id) = errand.node() {
            self.refuse(
                Subject::Node(id),
                format!("{} waits: {busy} calls to {target} are under way", errand.purpose()),
            );
        }
    }

    /// How many such calls to a target are under way, or are about to be made.
    fn calls_to(&self, target: &str, such: impl Fn(&Errand) -> bool) -> usize {
        let sent = self.plan.actions.iter().filter_map(|planned| match &planned.action {
            Action::Send(errand) => Some(errand),
            _ => None,
        });
        let there = self.seen.in_flight.keys().chain(sent);
        there.filter(|known| such(known) && self.target_of(known) == Some(target)).count()
    }

    /// The target that an errand goes to.
    pub(super) fn target_of<'e>(&'e self, errand: &'e Errand) -> Option<&'e str> {
        match errand {
            Errand::Withdraw { target, .. } | Errand::ListAgents { target } => Some(target),
            errand => self.nodes.get(&errand.node()?).map(|drafted| drafted.row.target.as_str()),
        }
    }

    /// Why new nodes of no target are wanted, if so: the target cannot be read, or refused nodes lately.
    pub(super) fn target_closed(&mut self, target: &str) -> Option<String> {
        let closed = self.seen.targets.get(target).and_then(|view| view.closed(target));
        closed.or_else(|| self.check_setback(SetbackKind::Target, target, "").err())
    }

    /// Whether a target cannot be read for so long that its nodes do not count for anybody who waits.
    pub(super) fn is_target_given_up(&mut self, target: &str) -> bool {
        let since = self.seen.targets.get(target).and_then(|view| view.unreadable_since);
        since.is_some_and(|since| self.has_come(since.plus(limits::TARGET_GIVEN_UP)))
    }
}

/// A node whose agent is surely not there any more.
fn without_agent(node: Node) -> Node {
    Node { agent: AgentFacts { withdrawn: true, ..node.agent.clone() }, ..node }
}

/// Whether a build at this address is one of a job, which is named with its folders: `folder/job`.
fn is_build_of(build: &str, job: &str) -> bool {
    let mut path = String::new();
    for part in job.split('/').filter(|part| !part.is_empty()) {
        path.push_str("/job/");
        push_as_in_urls(&mut path, part);
    }
    let of_job = build.trim_end_matches('/').rsplit_once('/').map(|(of_job, _number)| of_job);
    of_job.is_some_and(|of_job| of_job.ends_with(&path))
}

/// Adds a name as Jenkins writes it into its addresses.
fn push_as_in_urls(path: &mut String, name: &str) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase();
            path.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Why an agent is offline, in words for a person.
pub(super) fn words(agent: &Agent) -> &str {
    if agent.offline_reason.is_empty() { "the target gives no reason" } else { &agent.offline_reason }
}

/// What a target is to be told of a hold. It is compared with what it was told last; a person reads another spelling.
fn hold_remark(node: &Node) -> String {
    let by = node.held_by.as_deref().unwrap_or_default();
    let until = node.held_until.map_or_else(String::new, |until| until.to_string());
    let why = node.comment.as_deref().unwrap_or_default();
    format!("held by {by} until {until}: {why}")
}

#[cfg(test)]
mod tests {
    use super::is_build_of;

    #[test]
    fn a_build_is_known_by_its_address() {
        let of = |path: &str, job: &str| is_build_of(&format!("http://ci.example.org/jenkins{path}"), job);
        assert!(of("/job/check/7/", "check") && of("/job/a%20b/job/check/7/", "a b/check"));
        assert!(of("/job/%C3%9C/1/", "Ü"));
        assert!(!of("/job/check-2/7/", "check") && !of("/job/check/job/7/1/", "check"));
        assert!(!of("/job/recheck/7/", "check") && !of("", "check"));
    }
}
