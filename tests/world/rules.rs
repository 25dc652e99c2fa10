//! The promises, watched at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nodepool::config::Config;
use nodepool::model::{Image, Node, NodeId, NodeState, Owner, Timestamp};

use super::{State, World, attached, floating};

/// How long something of ours may be without a row. Long enough for two complete listings while listings fail.
const LEAK_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Watches the promises.
#[derive(Default)]
pub struct Rules {
    before: BTreeMap<NodeId, Node>,
    used: BTreeSet<NodeId>,
    unclaimed: BTreeMap<String, Timestamp>,
    /// The highest limit of each provider so far.
    limits: BTreeMap<String, usize>,
    /// Nodes that somebody asked to be deleted or whose job ended, so that they and their subnodes may leave `ready` or `used`.
    pub excused: BTreeSet<NodeId>,
    /// Nodes whose hold, and that of their subnodes, somebody ended.
    pub released: BTreeSet<NodeId>,
}

impl Rules {
    /// Looks at the rows and at the world, and says what promise is broken.
    pub fn check(
        &mut self,
        world: &World,
        config: &Config,
        nodes: &[Node],
        images: &[Image],
    ) -> Result<(), String> {
        let mut state = world.lock();
        if let Some(crime) = state.crimes.first() {
            return Err(crime.clone());
        }
        self.check_lives(&state, config, nodes)?;
        check_sets(nodes)?;
        check_holds(&state, nodes)?;
        self.check_limits(&state, config)?;
        check_twins(&state)?;
        self.check_leaks(&state, nodes, images)?;
        state.held = nodes
            .iter()
            .filter(|node| node.state == NodeState::Hold && !self.released.contains(&node.head()))
            .filter_map(|node| Some((node.server_id.clone()?, node.held_until)))
            .collect();
        Ok(())
    }

    /// Promises 1, 2 and 6: a node is used once; a hold ends only by its end; nothing ready, used or held is lost.
    fn check_lives(&mut self, state: &State, config: &Config, nodes: &[Node]) -> Result<(), String> {
        let now: BTreeMap<NodeId, Node> = nodes.iter().map(|node| (node.id, node.clone())).collect();
        for (id, node) in &now {
            if node.state == NodeState::Ready && self.used.contains(id) {
                return Err(format!("node {id} was used and is ready again"));
            }
            if node.state == NodeState::Used {
                self.used.insert(*id);
            }
        }
        let mut unheard: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, before) in &self.before {
            let after = now.get(id);
            if before.state == NodeState::Ready && after.is_some_and(was_unheard) && !is_deaf(state, before) {
                *unheard.entry(before.provider.as_str()).or_default() += 1;
            }
            let leaving = after.is_none_or(|node| node.state == NodeState::Delete);
            match before.state {
                NodeState::Ready if leaving && has_left(config, before) => {}
                NodeState::Ready
                    if leaving
                        && (self.is_unwanted(config, before, after)
                            || is_too_old(state, config, before, after)) => {}
                NodeState::Ready | NodeState::Used if leaving => self.check_excuse(state, before, after)?,
                NodeState::Hold if leaving => {
                    let over = before.held_until.is_some_and(|until| until <= state.now);
                    if !over && !self.released.contains(&before.head()) {
                        return Err(format!("node {id} was held and is being deleted"));
                    }
                }
                _ => {}
            }
        }
        for (provider, count) in unheard {
            let ready = |node: &&Node| node.provider == provider && node.state == NodeState::Ready;
            let before = self.before.values().filter(ready).count();
            if count > (before / 2).max(1) {
                return Err(format!(
                    "a check took {count} of {before} nodes of {provider} which are not deaf"
                ));
            }
        }
        self.before = now;
        Ok(())
    }

    /// Whether an idle node went because another label waits for its place, and its own label has as many as it keeps.
    fn is_unwanted(&self, config: &Config, before: &Node, after: Option<&Node>) -> bool {
        let gave_way = after.is_some_and(|node| node.reason.contains("waits for a place"));
        let least = config.label(&before.label).and_then(|label| label.min_ready).unwrap_or(0);
        let idle = self.before.values().filter(|node| {
            node.label == before.label && node.state == NodeState::Ready && node.primary.is_none()
        });
        gave_way && idle.count() > usize::try_from(least).expect("small")
    }

    fn check_excuse(&self, state: &State, before: &Node, after: Option<&Node>) -> Result<(), String> {
        let id = before.id;
        let reason = after.map_or("its row is gone", |after| after.reason.as_str());
        let made_room = reason.contains("makes room");
        let members = || self.before.values().filter(|node| node.head() == before.head());
        let lost = match (before.state, before.primary) {
            // No job began on what is ready, so a set goes with the first of its members.
            (NodeState::Ready, _) => {
                let made = members().find(|node| node.primary.is_none()).map_or(0, |node| node.subnodes);
                members().count() <= usize::try_from(made).expect("small")
                    || members().any(|node| {
                        node.state == NodeState::Delete || is_lost(state, node) || is_cut_off(state, node)
                    })
            }
            (_, None) => is_lost(state, before),
            (_, Some(primary)) => {
                is_lost(state, before) || self.before.get(&primary).is_none_or(|node| is_lost(state, node))
            }
        };
        let head = self.before.get(&before.head()).unwrap_or(before);
        if state.excuses(head)
            || self.excused.contains(&before.head())
            || made_room
            || lost
            || after.is_some_and(was_unheard)
            || went_unheard(before, reason)
        {
            return Ok(());
        }
        Err(format!("node {id} was {} and is being deleted: {reason}", before.state))
    }

    /// Promise 5: never more servers than `max-servers`. A limit that is lowered makes no server go, so the highest one of
    /// this history counts here; what is created above the one in force is noted as a crime.
    fn check_limits(&mut self, state: &State, config: &Config) -> Result<(), String> {
        for provider in &config.providers {
            let limit = usize::try_from(provider.max_servers.unwrap_or(0)).expect("small");
            let highest = self.limits.entry(provider.name.clone()).or_default();
            *highest = limit.max(*highest);
            let limit = *highest;
            // A leaked server that comes from outside may be one too many; creating another one then is noted as a crime.
            let leaked = state.servers[&provider.name]
                .values()
                .filter(|server| server.leaked && server.exists(state.now));
            let there = ours(state).filter(|(name, _, _)| **name == provider.name).count();
            if there > limit + leaked.count() {
                let which: Vec<_> = ours(state).filter(|(name, _, _)| **name == provider.name).collect();
                return Err(format!(
                    "{there} servers at {} where {limit} are allowed: {which:?}",
                    provider.name
                ));
            }
        }
        Ok(())
    }

    /// Promise 4, first half: what is ours has a row, or is gone soon.
    fn check_leaks(&mut self, state: &State, nodes: &[Node], images: &[Image]) -> Result<(), String> {
        let mut unclaimed = BTreeMap::new();
        for (_, id, _) in ours(state).filter(|(_, _, owner)| !claims(*owner, nodes, images)) {
            let since = self.unclaimed.get(id).copied().unwrap_or(state.now);
            if state.now.since(since) > LEAK_DEADLINE {
                return Err(format!("server {id} has no row for {} s", state.now.since(since).as_secs()));
            }
            unclaimed.insert(id.clone(), since);
        }
        for (_, id, _, _) in floating::ours(state).filter(|(_, _, _, owner)| !claims(*owner, nodes, images)) {
            let since = self.unclaimed.get(id).copied().unwrap_or(state.now);
            if state.now.since(since) > LEAK_DEADLINE {
                return Err(format!(
                    "floating IP {id} has no row for {} s",
                    state.now.since(since).as_secs()
                ));
            }
            unclaimed.insert(id.clone(), since);
        }
        for what in attached::left(state) {
            let since = self.unclaimed.get(&what).copied().unwrap_or(state.now);
            if state.now.since(since) > LEAK_DEADLINE {
                return Err(format!(
                    "{what}, which is gone, is left for {} s",
                    state.now.since(since).as_secs()
                ));
            }
            unclaimed.insert(what, since);
        }
        self.unclaimed = unclaimed;
        Ok(())
    }
}

/// Whether a row has a floating IP that somebody deleted, or asked for one and no answer came and none leads to its server.
fn is_cut_off(state: &State, node: &Node) -> bool {
    if node.floating_ip.is_none() {
        return false;
    }
    let all = &state.floating_ips[&node.provider];
    match &node.floating_ip.id {
        Some(id) => all.get(id).is_none_or(|one| !one.exists(state.now)),
        None => !all.values().any(|one| one.exists(state.now) && one.server == node.server_id),
    }
}

/// Whether the server of a row is gone or broken.
fn is_lost(state: &State, node: &Node) -> bool {
    let server = node.server_id.as_ref().and_then(|server| state.servers[&node.provider].get(server));
    server.is_none_or(|server| server.gone.is_some() || server.is_broken(state.now))
}

/// Nodes of several servers: all members are at one provider, and they become ready together.
fn check_sets(nodes: &[Node]) -> Result<(), String> {
    for subnode in nodes.iter().filter(|node| node.primary.is_some()) {
        for other in nodes.iter().filter(|other| other.head() == subnode.head()) {
            if (&other.provider, &other.az) != (&subnode.provider, &subnode.az) {
                return Err(format!("nodes {} and {} of one set are apart", subnode.id, other.id));
            }
            let states = [subnode.state, other.state];
            if states.contains(&NodeState::Ready)
                && states.iter().any(|state| matches!(state, NodeState::Building(_)))
            {
                return Err(format!(
                    "of one set, node {} is {} and node {} is {}",
                    subnode.id, subnode.state, other.id, other.state
                ));
            }
        }
    }
    Ok(())
}

/// Whether the configuration has no use any more for a node that is idle.
fn has_left(config: &Config, node: &Node) -> bool {
    config.provider(&node.provider).is_none()
        || config.target(&node.target).is_none()
        || config.label(&node.label).is_none_or(|label| !label.providers.contains(&node.provider))
}

/// Whether an idle node went because of its age.
fn is_too_old(state: &State, config: &Config, before: &Node, after: Option<&Node>) -> bool {
    let age = config.label(&before.label).and_then(|label| label.max_ready_age);
    after.is_some_and(|node| node.reason.contains("max-ready-age"))
        && age.is_some_and(|age| state.now.since(before.state_time) >= age)
}

/// Whether a check did not reach this node, which is why it goes.
fn was_unheard(node: &Node) -> bool {
    node.state == NodeState::Delete && node.reason.starts_with("the check did not reach it")
}

/// Whether a check did not reach another member of the node's set, which went with it.
fn went_unheard(before: &Node, reason: &str) -> bool {
    (before.primary.is_some() || before.subnodes > 0) && reason.contains("the check did not reach it")
}

fn is_deaf(state: &State, node: &Node) -> bool {
    node.server_id.as_ref().is_some_and(|server| state.deaf.contains(server))
}

/// Promise 2, second half: a hold is not granted on a machine that is being deleted.
fn check_holds(state: &State, nodes: &[Node]) -> Result<(), String> {
    for node in nodes.iter().filter(|node| node.state == NodeState::Hold) {
        let server = node.server_id.as_ref().and_then(|server| state.servers[&node.provider].get(server));
        if server.is_some_and(|server| server.deleted) {
            return Err(format!("node {} is held, but its server was told to go", node.id));
        }
    }
    Ok(())
}

/// All servers of ours that exist.
fn ours(state: &State) -> impl Iterator<Item = (&String, &String, Owner)> {
    state.servers.iter().flat_map(|(provider, servers)| {
        servers.iter().filter(|(_, server)| server.exists(state.now)).filter_map(move |(id, server)| {
            let tag = server.tag.as_ref().filter(|tag| tag.installation != "another")?;
            Some((provider, id, tag.owner))
        })
    })
}

fn claims(owner: Owner, nodes: &[Node], images: &[Image]) -> bool {
    match owner {
        Owner::Node(id) => nodes.iter().any(|node| node.id == id),
        Owner::Builder(id) | Owner::Verifier(id) => images.iter().any(|image| image.id == id),
    }
}

/// Promise 4, second half: no row has two servers.
fn check_twins(state: &State) -> Result<(), String> {
    let mut owners = BTreeSet::new();
    for (provider, id, owner) in ours(state) {
        if !state.servers[provider][id].leaked && !owners.insert(owner) {
            return Err(format!("{owner:?} has two servers, one of them {id}"));
        }
    }
    let mut led_to = BTreeSet::new();
    for (provider, id, one, _) in floating::ours(state) {
        if one.server.is_some() && !led_to.insert((provider, &one.server)) {
            return Err(format!("a server has two floating IPs, one of them {id}"));
        }
    }
    Ok(())
}
