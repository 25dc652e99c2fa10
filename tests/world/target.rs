//! A Jenkins of this world: agents come online, take one job each, and are set offline after it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use nodepool::model::{Agent, AgentTag, Node, Timestamp};
use nodepool::target::{Enrolled, Enrollment, Inbound, Roster, Target, TargetError, Withdrawal};

use super::fault::Fault;
use super::{State, World};

/// What Jenkins says of an agent whose one job is over.
const SPENT: &str = "Offline due to Gearman request";

/// An agent, as moments in its life.
#[derive(Clone, Debug)]
pub struct SimulatedAgent {
    pub tag: Option<AgentTag>,
    /// When it comes online; `None`: never.
    pub online: Option<Timestamp>,
    pub busy: bool,
    /// How many jobs it had.
    pub jobs: u32,
    /// Whether its connection broke for good.
    pub lost: bool,
}

impl SimulatedAgent {
    fn takes_jobs(&self, now: Timestamp) -> bool {
        self.jobs == 0 && self.is_online(now)
    }

    fn is_online(&self, now: Timestamp) -> bool {
        !self.lost && self.online.is_some_and(|online| online <= now)
    }
}

/// A target of the world, seen from the engine.
pub struct SimulatedTarget {
    pub world: World,
    pub name: String,
}

impl SimulatedTarget {
    /// A call, with what can go wrong around it: it hangs, it is refused for the moment, its answer is lost.
    async fn call<T>(
        &self,
        what: impl FnOnce(&mut State) -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        let (fate, delay) = {
            let mut state = self.world.lock();
            *state.calls.entry("target").or_default() += 1;
            let (fate, slowest) = if state.faulty { (state.dice.between(1, 100), 3_000) } else { (100, 30) };
            (fate, state.dice.millis(1, slowest))
        };
        if fate <= 2 {
            self.world.lock().faults.count(Fault::JenkinsHangs);
            self.world.never().await;
        }
        self.world.pass(delay).await;
        let answer = {
            let mut state = self.world.lock();
            let down = state.target_down_until.is_some_and(|until| state.now < until);
            if down || fate <= 8 {
                state.faults.count(Fault::JenkinsFails);
                return Err(TargetError::Unavailable("the controller does not answer".to_owned()));
            }
            what(&mut state)
        };
        if fate <= 14 {
            self.world.lock().faults.count(Fault::JenkinsAnswerLost);
            return Err(TargetError::Unavailable("the connection was cut".to_owned()));
        }
        if fate <= 16 {
            self.world.lock().faults.count(Fault::JenkinsHangs);
            self.world.never().await;
        }
        answer
    }
}

#[async_trait]
impl Target for SimulatedTarget {
    async fn enroll(&self, enrollment: &Enrollment) -> Result<Enrolled, TargetError> {
        self.call(|state| {
            let never = state.strikes(Fault::AgentNeverOnline, 4);
            let refused = state.strikes(Fault::AgentRefused, 2);
            let online = state.now.plus(state.dice.millis(500, 9_000));
            let agents = state.agents.entry(self.name.clone()).or_default();
            if let Some(known) = agents.get(&enrollment.name) {
                return if known.tag.as_ref() == Some(&enrollment.tag) {
                    Ok(Enrolled::default())
                } else {
                    Err(TargetError::Rejected("an agent of that name exists".to_owned()))
                };
            }
            if refused {
                return Err(TargetError::Rejected("no such credentials".to_owned()));
            }
            let agent = SimulatedAgent {
                tag: Some(enrollment.tag.clone()),
                online: (!never).then_some(online),
                busy: false,
                jobs: 0,
                lost: false,
            };
            agents.insert(enrollment.name.clone(), agent);
            Ok(Enrolled::default())
        })
        .await
    }

    async fn withdraw(&self, withdrawal: &Withdrawal) -> Result<(), TargetError> {
        self.call(|state| {
            let Some(agents) = state.agents.get_mut(&self.name) else { return Ok(()) };
            match agents.get(&withdrawal.name) {
                None => Ok(()),
                Some(agent) if agent.tag.as_ref() != Some(&withdrawal.tag) => {
                    state.crimes.push(format!("agent {} of others was to be taken away", withdrawal.name));
                    Err(TargetError::Rejected("it is not yours".to_owned()))
                }
                Some(agent) if agent.busy && !withdrawal.insist => {
                    Err(TargetError::Busy("a job runs there".to_owned()))
                }
                Some(_) => {
                    agents.remove(&withdrawal.name);
                    Ok(())
                }
            }
        })
        .await
    }

    async fn roster(&self) -> Result<Option<Roster>, TargetError> {
        self.call(|state| {
            let now = state.now;
            let agents = state.agents.entry(self.name.clone()).or_default();
            let agents = agents.iter().map(|(name, agent)| Agent {
                name: name.clone(),
                tag: agent.tag.clone(),
                online: agent.is_online(now) && (agent.busy || agent.jobs == 0),
                idle: !agent.busy,
                set_offline: agent.jobs > 0 && !agent.busy,
                offline_reason: if agent.jobs > 0 { SPENT.to_owned() } else { String::new() },
                labels: Vec::new(),
                build: None,
            });
            Ok(Some(Roster { agents: agents.collect(), quieting_down: false }))
        })
        .await
    }

    async fn relabel(&self, _name: &str, _tag: &AgentTag, _labels: &[String]) -> Result<(), TargetError> {
        Ok(())
    }

    async fn hold(
        &self,
        _name: &str,
        _tag: &AgentTag,
        _description: &str,
        _why: &str,
    ) -> Result<(), TargetError> {
        self.call(|_state| Ok(())).await
    }

    async fn close(&self, name: &str, tag: &AgentTag, _why: &str) -> Result<(), TargetError> {
        self.call(|state| match state.agents.get(&self.name).and_then(|agents| agents.get(name)) {
            Some(agent) if agent.tag.as_ref() == Some(tag) => Ok(()),
            _ => Err(TargetError::NotFound("there is no such agent".to_owned())),
        })
        .await
    }

    async fn start_test(&self, _job: &str, _name: &str) -> Result<(), TargetError> {
        Err(TargetError::Rejected("there are no test jobs".to_owned()))
    }

    async fn launch_log(&self, _name: &str) -> Result<String, TargetError> {
        self.call(|_state| Ok("no route to host".to_owned())).await
    }

    async fn inbound(&self, name: &str) -> Result<Inbound, TargetError> {
        let url = "http://simulated/".to_owned();
        Ok(Inbound { url, name: name.to_owned(), secret: "secret".to_owned().into() })
    }
}

impl State {
    fn agent_of(&mut self, node: &Node) -> Option<&mut SimulatedAgent> {
        self.agents.get_mut(&node.target)?.get_mut(&node.nodename)
    }

    /// A job starts on a node, if its agent takes one; `true` where there are no agents.
    pub fn start_job(&mut self, node: &Node, has_agents: bool) -> bool {
        let now = self.now;
        match self.agent_of(node) {
            Some(agent) if agent.takes_jobs(now) => {
                (agent.busy, agent.jobs) = (true, 1);
                true
            }
            Some(_) => false,
            None => !has_agents,
        }
    }

    /// The job on a node ends.
    pub fn end_job(&mut self, node: &Node) {
        if let Some(agent) = self.agent_of(node) {
            agent.busy = false;
        }
    }

    /// Whether an agent tells why its node goes: its job is over, or its connection is broken for good.
    pub fn excuses(&self, node: &Node) -> bool {
        let agent = self.agents.get(&node.target).and_then(|agents| agents.get(&node.nodename));
        match agent {
            Some(agent) => agent.lost || (agent.jobs > 0 && !agent.busy),
            None => false,
        }
    }

    /// Whether a job is on the agent of a node.
    pub fn is_busy(&self, node: &Node) -> bool {
        let agent = self.agents.get(&node.target).and_then(|agents| agents.get(&node.nodename));
        agent.is_some_and(|agent| agent.busy)
    }

    /// Builds on machines that are gone have failed.
    pub fn fail_jobs_of_the_dead(&mut self, nodes: &[Node]) {
        for node in nodes {
            let server = node.server_id.as_ref().and_then(|id| self.servers[&node.provider].get(id));
            let dead = server.is_some_and(|server| !server.exists(self.now) || server.is_broken(self.now));
            if dead && let Some(agent) = self.agent_of(node) {
                (agent.busy, agent.lost) = (false, true);
            }
        }
    }

    /// Agents that carry a mark of ours, by target and name.
    pub fn agents_of_ours(&self) -> BTreeMap<(&str, &str), &SimulatedAgent> {
        let all = self.agents.iter().flat_map(|(target, agents)| {
            agents.iter().map(move |(name, agent)| ((target.as_str(), name.as_str()), agent))
        });
        all.filter(|(_, agent)| agent.tag.as_ref().is_some_and(|tag| tag.installation != "another")).collect()
    }
}
