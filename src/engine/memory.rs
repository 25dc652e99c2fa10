//! What the engine remembers between ticks. A restart may forget it all: the world and the rows tell it again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::Context;
use super::evidence::Evidence;
use super::{Outcome, Rows, trouble};
use crate::cloud::pace::Pace;
use crate::config::Config;
use crate::model::{Leftover, NodeId, Tag, Timestamp};
use crate::plan::{
    Answer, Answered, CheckResult, Checked, CloudView, DEMAND_KEPT, Errand, Failure, Fault, TargetView,
    Tries, TryEnd, Waits,
};
use crate::planted::{Bug, is_planted};
use crate::target::{Demand, Roster};

/// How long it is remembered what a visit to a ready node showed: longer than a check takes, and much longer than the
/// pause between two checks that operators choose.
const CHECKS_KEPT: Duration = Duration::from_hours(24);

/// What the engine remembers.
pub(super) struct Memory {
    /// What each provider's cloud showed.
    pub(super) clouds: BTreeMap<String, CloudView>,
    /// What each target showed that has agents.
    pub(super) targets: BTreeMap<String, TargetView>,
    /// What is under way, and since when.
    pub(super) in_flight: BTreeMap<Errand, Timestamp>,
    /// What the lines of the log about it carry.
    pub(super) contexts: BTreeMap<Errand, Context>,
    /// What was tried in vain.
    pub(super) tries: BTreeMap<Errand, Tries>,
    /// Who asked for nodes and got none.
    pub(super) waiting: Waits,
    /// What was left behind, as it was written down last.
    pub(super) leftovers: Option<Vec<Leftover>>,
    /// What had been made for sure when the limits of a provider were asked for last.
    pub(super) counted: BTreeMap<String, Answered>,
    /// What visits do at the moment, and since when.
    pub(super) steps: BTreeMap<Errand, (String, Timestamp)>,
    /// When the machines of nodes that are being prepared let us in.
    pub(super) reached: BTreeMap<NodeId, Timestamp>,
    /// What visits that failed left behind, until their nodes' rows say so.
    pub(super) evidence: BTreeMap<NodeId, (Errand, Evidence)>,
    /// What the last visits to ready nodes showed.
    pub(super) checks: BTreeMap<NodeId, Checked>,
    /// When the demand was last asked for, whatever came of it.
    pub(super) demand_asked: Option<Timestamp>,
    /// How many jobs asked for each label, and when.
    demand: Option<(Timestamp, Demand)>,
    /// The pace of calls to each provider, and the average pause that it was made for.
    paces: BTreeMap<String, (Duration, Pace)>,
    /// When the next call is possible at a provider where one was put off.
    put_off: BTreeMap<String, Timestamp>,
    attempts: u64,
}

impl Memory {
    pub(super) fn new(config: &Config) -> Self {
        let mut memory = Self {
            clouds: BTreeMap::new(),
            targets: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            contexts: BTreeMap::new(),
            tries: BTreeMap::new(),
            waiting: Waits::default(),
            checks: BTreeMap::new(),
            counted: BTreeMap::new(),
            leftovers: None,
            steps: BTreeMap::new(),
            reached: BTreeMap::new(),
            evidence: BTreeMap::new(),
            demand_asked: None,
            demand: None,
            paces: BTreeMap::new(),
            put_off: BTreeMap::new(),
            attempts: 0,
        };
        memory.reconfigure(config);
        memory
    }

    /// Keeps what is known of providers that stay, and begins to know new ones.
    pub(super) fn reconfigure(&mut self, config: &Config) {
        self.clouds.retain(|name, _| config.provider(name).is_some());
        let mut before = std::mem::take(&mut self.paces);
        for provider in &config.providers {
            // A reload gives nobody new tokens.
            let kept = before.remove(&provider.name).filter(|(rate, _)| *rate == provider.rate);
            let pace = kept.unwrap_or_else(|| (provider.rate, Pace::new(provider.rate)));
            self.paces.insert(provider.name.clone(), pace);
        }
        self.put_off.clear();
        self.demand_asked = None;
        if !config.tells_demand() {
            self.demand = None;
        }
        for provider in &config.providers {
            self.clouds.entry(provider.name.clone()).or_default();
        }
    }

    /// Forgets what was known of a provider and tried there: another one may come under its name.
    pub(super) fn forget_provider(&mut self, name: &str) {
        self.clouds.remove(name);
        self.put_off.remove(name);
        self.counted.remove(name);
        self.tries.retain(|errand, _| errand.paced_by() != Some(name));
    }

    /// An id for an attempt that nobody has had before or will have again: the moment, and a count within this run. Only
    /// time makes it unique over restarts, so it does not depend on a store that may be an old copy.
    pub(super) fn next_attempt(&mut self, now: Timestamp) -> String {
        self.attempts = self.attempts.saturating_add(1);
        format!("{:x}-{:x}", now.millis(), self.attempts)
    }

    /// Takes a token for the errand, if it needs one. Gives how long it has to wait for one; zero when it has it.
    pub(super) fn wait_for_turn(&mut self, errand: &Errand, now: Timestamp) -> Duration {
        let Some(provider) = errand.paced_by() else { return Duration::ZERO };
        let Some((_, pace)) = self.paces.get_mut(provider) else { return Duration::ZERO };
        match pace.take(now) {
            Ok(()) => Duration::ZERO,
            Err(wait) => {
                self.put_off.insert(provider.to_owned(), now.plus(wait));
                wait.max(Duration::from_nanos(1))
            }
        }
    }

    /// Takes in what a visit does now. With its first step the machine has let us in.
    pub(super) fn note_step(&mut self, errand: Errand, step: String, now: Timestamp) {
        if !self.in_flight.contains_key(&errand) {
            return;
        }
        if let Errand::PrepareNode(id) = errand {
            self.reached.entry(id).or_insert(now);
        }
        self.steps.insert(errand, (step, now));
    }

    /// Forgets what a visit did that has ended.
    pub(super) fn forget_visit(&mut self, errand: &Errand) {
        self.steps.remove(errand);
        if let Errand::PrepareNode(id) = errand {
            self.reached.remove(id);
            // What follows from the end of the visit has been recorded.
            self.evidence.retain(|_, (visit, _)| visit != errand);
        }
    }

    /// When the next call that was put off can be made.
    pub(super) fn next_token(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.put_off.retain(|_, when| *when > now);
        self.put_off.values().min().copied()
    }

    /// When the next call to a provider is possible, in words for a person.
    pub(super) fn next_call(&self, provider: &str, now: Timestamp) -> String {
        match self.paces.get(provider).cloned().map(|(_, mut pace)| pace.take(now)) {
            None => "not limited".to_owned(),
            Some(Ok(())) => "now".to_owned(),
            Some(Err(wait)) => format!("in {:.1} s", wait.as_secs_f32()),
        }
    }

    pub(super) fn hold_off(&mut self, provider: &str, until: Timestamp) {
        if let Some((_, pace)) = self.paces.get_mut(provider) {
            pace.hold_off(until);
        }
    }

    pub(super) fn saw_gone(&mut self, provider: &str, id: &str, now: Timestamp) {
        if let Some(cloud) = self.clouds.get_mut(provider) {
            cloud.saw_gone(id, now);
        }
    }

    /// Notes at which providers there are no rows.
    pub(super) fn note_rows(&mut self, now: Timestamp, rows: &Rows) {
        for (name, cloud) in &mut self.clouds {
            let nodes = rows.nodes.values().map(|node| &node.provider);
            let mut at = nodes.chain(rows.images.values().map(|image| &image.provider));
            cloud.rowless_since =
                (!at.any(|provider| provider == name)).then(|| cloud.rowless_since.unwrap_or(now));
        }
    }

    /// Takes what the cloud deleted, or did not know, out of the last listing, unless it is a server. Otherwise it would look
    /// leaked, and be deleted over and over, until the next listing minutes later.
    pub(super) fn note_deletion(&mut self, errand: &Errand, answer: &Answer) {
        let went_away = match answer {
            Answer::Done | Answer::Failed(Failure { fault: Fault::NotFound, .. }) => true,
            Answer::Id(_) | Answer::Text(_) | Answer::Failed(_) => false,
        };
        if !went_away {
            return;
        }
        match errand {
            Errand::DeleteSnapshot { provider, id } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.images.items.remove(id);
                }
            }
            Errand::DeleteKeypair { provider, name } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.keypairs.items.remove(name);
                }
            }
            Errand::DeleteFloatingIp { provider, id, .. } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.floating_ips.items.remove(id);
                    cloud.loose.items.remove(id);
                }
            }
            Errand::DeletePort { provider, id, .. } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.ports.items.remove(id);
                }
            }
            Errand::DeleteVolume { provider, id } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.volumes.items.remove(id);
                    cloud.orphans.items.remove(id);
                }
            }
            Errand::Withdraw { target, name, .. } => self.forget_agent(target, name),
            _ => {}
        }
    }

    /// Takes in that our mark was put on a volume.
    pub(super) fn note_mark(&mut self, installation: &str, errand: &Errand, answer: &Answer) {
        let Errand::MarkVolume { provider, id, owner, attempt } = errand else { return };
        if let (Answer::Done, Some(cloud)) = (answer, self.clouds.get_mut(provider)) {
            let installation = installation.to_owned();
            cloud.saw_marked(id, Tag { installation, owner: *owner, attempt: attempt.clone() });
        }
    }

    /// Counts what was tried in vain, so that it is tried again later and later. `target` is where a call about a node
    /// went, for the log.
    pub(super) fn note_try(&mut self, errand: &Errand, answer: &Answer, now: Timestamp) {
        match answer {
            // The volume went, and the listing of servers that showed it is not as fresh: nobody asks again at once.
            Answer::Failed(failure) if matches!(errand, Errand::MarkVolume { .. }) => {
                let first = !self.tries.keys().any(|tried| matches!(tried, Errand::MarkVolume { .. }));
                self.failed(errand, TryEnd::Failed, now);
                trouble::mark_failed(errand, first, failure);
            }
            Answer::Failed(Failure { fault: Fault::NotFound, .. }) => self.succeeded(errand),
            Answer::Failed(failure) => {
                let end = if failure.fault == Fault::Busy { TryEnd::Busy } else { TryEnd::Failed };
                let count = self.failed(errand, end, now);
                trouble::call_failed(errand, count, failure);
            }
            // A server that was told to go is still there for a while: that is a try, too.
            Answer::Id(_) | Answer::Text(_) | Answer::Done
                if matches!(errand, Errand::DeleteServer { .. }) =>
            {
                self.failed(errand, TryEnd::Accepted, now);
            }
            Answer::Id(_) | Answer::Text(_) | Answer::Done => self.succeeded(errand),
        }
    }

    /// Counts an errand whose outcome the store did not take as one in vain: it may well be done again because of that, later
    /// and later.
    pub(super) fn not_written_down(&mut self, errand: &Errand, now: Timestamp) {
        self.failed(errand, TryEnd::Failed, now);
    }

    fn succeeded(&mut self, errand: &Errand) {
        if let Some(tries) = self.tries.remove(errand)
            && errand.is_listing()
        {
            trouble::works_again(errand, tries.count);
        }
    }

    /// Counts a try in vain and gives the number of them in a row.
    fn failed(&mut self, errand: &Errand, last_end: TryEnd, now: Timestamp) -> u32 {
        let count = self.tries.get(errand).map_or(0, |tries| tries.count).saturating_add(1);
        self.tries.insert(errand.clone(), Tries { count, last: now, last_end });
        count
    }

    /// Takes in what a visit to a ready node showed.
    pub(super) fn note_check(&mut self, id: NodeId, began: Timestamp, ended: Timestamp, answer: &Answer) {
        let earlier = match self.checks.get(&id).map(|checked| &checked.result) {
            Some(CheckResult::NotReached { times, .. }) => *times,
            _ => 0,
        };
        let result = match answer {
            Answer::Id(_) | Answer::Text(_) | Answer::Done => CheckResult::Reached,
            Answer::Failed(Failure { fault: Fault::Login, text }) => CheckResult::NotTried(text.clone()),
            Answer::Failed(failure) => {
                CheckResult::NotReached { times: earlier.saturating_add(1), reason: failure.text.clone() }
            }
        };
        tracing::debug!(target: "nodepool.node", node = id.0, "checked: {result:?}");
        self.checks.insert(id, Checked { began, ended, result });
    }

    /// Forgets tries that nobody will repeat, and visits to nodes that are surely settled.
    pub(super) fn forget_old_tries(&mut self, before: Timestamp) {
        self.checks.retain(|_, checked| checked.ended >= before.minus(CHECKS_KEPT));
        self.tries.retain(|_, tries| tries.last >= before);
    }

    pub(super) fn listing_failed(&mut self, errand: &Errand, now: Timestamp, trouble: String) {
        let count = self.failed(errand, TryEnd::Failed, now);
        trouble::failed(errand, count, &trouble);
        match errand {
            Errand::ListServers { provider, .. } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    if is_planted(Bug::EmptyListingOnError) {
                        return cloud.take_servers(now, now, true, Vec::new());
                    }
                    cloud.servers.failed(trouble);
                }
            }
            Errand::ListImages { provider } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.images.failed(trouble);
                }
            }
            Errand::ListKeypairs { provider } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.keypairs.failed(trouble);
                }
            }
            Errand::ListFloatingIps { provider } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.floating_ips.failed(trouble);
                }
            }
            Errand::ListPorts { provider } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.ports.failed(trouble);
                }
            }
            Errand::ListVolumes { provider } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.volumes.failed(trouble);
                }
            }
            Errand::ReadQuota { provider } => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.quota.trouble = Some(trouble);
                }
            }
            Errand::ListAgents { target } => {
                if let Some(view) = self.targets.get_mut(target) {
                    view.failed(now, trouble);
                }
            }
            _ => {}
        }
    }

    /// How many jobs ask for each label, where something told recently.
    pub(super) fn demand(&self, now: Timestamp) -> Option<&Demand> {
        let (asked, demand) = self.demand.as_ref()?;
        (now.since(*asked) <= DEMAND_KEPT).then_some(demand)
    }

    /// Takes in what a target listed.
    pub(super) fn take_roster(
        &mut self,
        began: Timestamp,
        now: Timestamp,
        errand: &Errand,
        roster: Result<Option<Roster>, String>,
    ) {
        let Errand::ListAgents { target } = errand else { return };
        match roster {
            Err(trouble) => self.listing_failed(errand, now, trouble),
            Ok(roster) => {
                self.succeeded(errand);
                let Some(view) = self.targets.get_mut(target) else { return };
                match roster {
                    Some(roster) => {
                        view.take_agents(began, roster.agents, roster.quieting_down);
                        view.agents.ended = Some(now);
                    }
                    None => view.lists = false,
                }
            }
        }
    }

    /// Takes an agent that the target gave back out of the last listing, or it would look leaked until the next one.
    fn forget_agent(&mut self, target: &str, name: &str) {
        if let Some(view) = self.targets.get_mut(target) {
            view.agents.items.remove(name);
        }
    }

    pub(super) fn take_demand(&mut self, began: Timestamp, now: Timestamp, answer: Result<Demand, String>) {
        self.demand_asked = Some(began);
        self.demand = match answer {
            Ok(demand) => Some((now, demand)),
            // The source knows best how long what it was told counts.
            Err(trouble) => {
                tracing::debug!(target: "nodepool.engine", "{trouble}");
                None
            }
        };
    }

    pub(super) fn take_listing(
        &mut self,
        began: Timestamp,
        now: Timestamp,
        errand: &Errand,
        outcome: Outcome,
    ) {
        let trouble = match (errand, outcome) {
            (Errand::ListServers { provider, complete }, Outcome::Servers(Ok(servers))) => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.take_servers(began, now, *complete, servers);
                }
                None
            }
            (Errand::ListImages { provider }, Outcome::Images(Ok(images))) => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    let images = images.into_iter().map(|image| (image.id.clone(), image)).collect();
                    cloud.images.replace(began, images);
                }
                None
            }
            (Errand::ListKeypairs { provider }, Outcome::Keypairs(Ok(keypairs))) => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    let keypairs =
                        keypairs.into_iter().map(|keypair| (keypair.name.clone(), keypair)).collect();
                    cloud.keypairs.replace(began, keypairs);
                }
                None
            }
            (Errand::ListFloatingIps { provider }, Outcome::FloatingIps(Ok(floating_ips))) => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.take_floating_ips(began, floating_ips);
                }
                None
            }
            (Errand::ListPorts { provider }, Outcome::Ports(Ok(ports))) => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.take_ports(began, ports);
                }
                None
            }
            (Errand::ListVolumes { provider }, Outcome::Volumes(Ok(volumes))) => {
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.take_volumes(began, volumes);
                }
                None
            }
            (Errand::ReadQuota { provider }, Outcome::Quota(Ok(quota))) => {
                let counted = self.counted.get(provider).cloned().unwrap_or_default();
                if let Some(cloud) = self.clouds.get_mut(provider) {
                    cloud.quota.take(began, quota, counted);
                }
                None
            }
            (
                _,
                Outcome::Servers(Err(trouble))
                | Outcome::Images(Err(trouble))
                | Outcome::Keypairs(Err(trouble))
                | Outcome::FloatingIps(Err(trouble))
                | Outcome::Ports(Err(trouble))
                | Outcome::Volumes(Err(trouble))
                | Outcome::Quota(Err(trouble)),
            ) => Some(trouble),
            _ => Some("the answer to another question came".to_owned()),
        };
        match trouble {
            None => self.succeeded(errand),
            Some(trouble) => self.listing_failed(errand, now, trouble),
        }
    }
}
