//! Operators, jobs and bad luck.

use std::time::Duration;

use nodepool::model::{JobEventKind, NewJobEvent, NodeId, NodeState, Timestamp, WishKind};

use super::world::fault::Fault;
use super::world::{floating, pool, reload};
use super::{MOST_JOBS, Simulation};

impl Simulation {
    /// Now and then the configuration is another one, the controller goes away for a while, or the database does.
    async fn shake(&mut self) {
        if self.outage.is_none() && self.chance(40) {
            self.begin_outage().await;
        }
        if self.reloads && self.chance(200) {
            self.reload(reload::change);
        }
        if self.has_agents && self.chance(60) {
            let mut state = self.world.lock();
            let until = state.dice.millis(1_000, 180_000);
            state.target_down_until = Some(state.now.plus(until));
            state.faults.count(Fault::JenkinsAway);
        }
    }

    /// The nodes whose job is under way, whoever knows of it.
    fn busy(&self) -> Vec<NodeId> {
        let state = self.world.lock();
        let busy = self.nodes.iter().filter(|node| node.state == NodeState::Used || state.is_busy(node));
        busy.map(|node| node.id).collect()
    }

    /// Operators, jobs and bad luck.
    pub(super) async fn prank(&mut self) {
        if self.now() < self.next_prank {
            return;
        }
        let (kind, pause) = {
            let mut state = self.world.lock();
            (state.dice.between(0, 14), state.dice.millis(500, 20_000))
        };
        self.next_prank = self.now().plus(pause);
        self.shake().await;
        let in_state = |state: NodeState| -> Vec<NodeId> {
            self.nodes.iter().filter(|node| node.state == state).map(|node| node.id).collect()
        };
        let [ready, used, held] = [NodeState::Ready, NodeState::Used, NodeState::Hold].map(in_state);
        let pick = |of: &[NodeId]| self.world.lock().dice.pick(of).copied();
        match kind {
            // Whoever wants something while nothing can be written is told so.
            5..=8 | 10..=12 if !self.takes_writes() => {}
            0..=2 => {
                if let Some(id) = pick(&ready) {
                    self.job(id, JobEventKind::Started);
                }
            }
            3..=4 => {
                if let Some(id) = pick(&self.busy()) {
                    self.excuse(id);
                    self.job(id, JobEventKind::Finished);
                }
            }
            5 => {
                let going = in_state(NodeState::Delete);
                let either: Vec<_> = ready.iter().chain(&used).chain(&going).copied().collect();
                if let Some(node) = pick(&either) {
                    let until = self.chance(500).then(|| self.now().plus(Duration::from_secs(120)));
                    self.rules.released.remove(&node);
                    self.wish(WishKind::Hold { node, comment: Some("mine".to_owned()), until, owner: None })
                        .await;
                }
            }
            6 => {
                if let Some(id) = pick(&held) {
                    self.release(id);
                    self.wish(WishKind::Unhold(id)).await;
                }
            }
            7 => {
                let either: Vec<_> = ready.iter().chain(&held).copied().collect();
                if let Some(node) = pick(&either) {
                    self.excuse(node);
                    self.release(node);
                    self.wish(WishKind::Delete { node, now: false }).await;
                }
            }
            8 => {
                let (provider, image) = ("alpha".to_owned(), "trusty".to_owned());
                self.wish(WishKind::ImageUpdate { provider, image }).await;
            }
            9 => {
                let label = if self.chance(500) { "small" } else { "large" };
                self.world.change_demand(label, u64::from(MOST_JOBS));
            }
            10 | 11 => self.wish(WishKind::Check).await,
            12 => self.wish(WishKind::Cleanup).await,
            13 => {
                if let Some(id) = pick(&ready) {
                    self.deafen(id);
                }
            }
            _ => self.bad_luck(),
        }
    }

    /// A ready node does not answer over ssh any more; or nobody at a provider does, for a while.
    fn deafen(&mut self, id: NodeId) {
        let Some(node) = self.nodes.iter().find(|node| node.id == id).cloned() else { return };
        let mut state = self.world.lock();
        if state.dice.happens(30) {
            let until = state.now.plus(Duration::from_secs(240));
            state.cut_off.insert(node.provider, until);
            state.faults.count(Fault::ProviderCutOff);
        } else if let Some(server) = node.server_id {
            state.deaf.insert(server);
            state.faults.count(Fault::ServerDeaf);
        }
    }

    /// From now on this node may go, and its subnodes with it. What is asked of a subnode alone changes nothing.
    pub(super) fn excuse(&mut self, id: NodeId) {
        if self.is_primary(id) {
            self.rules.excused.insert(id);
        }
    }

    /// From now on the hold of this node may end, and that of its subnodes with it.
    pub(super) fn release(&mut self, id: NodeId) {
        if !self.is_primary(id) {
            return;
        }
        self.rules.released.insert(id);
        for node in self.nodes.iter().filter(|node| node.head() == id) {
            if let Some(server) = &node.server_id {
                self.world.lock().held.remove(server);
            }
        }
    }

    fn is_primary(&self, id: NodeId) -> bool {
        self.nodes.iter().any(|node| node.id == id && node.primary.is_none())
    }

    /// A server breaks or vanishes, or the cloud has less room than the configuration says.
    fn bad_luck(&mut self) {
        let mut state = self.world.lock();
        let (now, vanishes) = (state.now, state.dice.happens(50));
        if state.dice.happens(25) {
            // One at a provider that is forgotten is out of reach.
            if !self.reloads {
                state.leak("alpha");
            }
            return;
        }
        if !state.pools.is_empty() && state.dice.happens(25) {
            return floating::bad_luck(&mut state);
        }
        if state.dice.happens(15) {
            return state.lose_image("alpha");
        }
        if state.dice.happens(15) {
            let healed = state.bad_zone.is_some();
            let zones = ["a1".to_owned(), "a2".to_owned()];
            state.bad_zone = if healed { None } else { state.dice.pick(&zones).cloned() };
            return state.faults.count(Fault::ZoneBroken);
        }
        if state.dice.happens(10) {
            let healed = state.bad_flavor.is_some();
            state.bad_flavor = if healed { None } else { state.dice.pick(&pool::MIN_RAMS).copied() };
            return state.faults.count(Fault::FlavorBroken);
        }
        if state.dice.happens(30) {
            let quota = state.dice.between(1, 7);
            state.room_lost("alpha");
            state.quotas.insert("alpha".to_owned(), usize::try_from(quota).expect("small"));
            return state.faults.count(Fault::QuotaShrinks);
        }
        let candidates: Vec<(String, String)> = state
            .servers
            .iter()
            .flat_map(|(provider, servers)| {
                let ours = servers.iter().filter(|(_, server)| {
                    server.exists(now) && server.tag.as_ref().is_some_and(|tag| tag.installation != "another")
                });
                ours.map(|(id, _)| (provider.clone(), id.clone()))
            })
            .collect();
        let Some((provider, id)) = state.dice.pick(&candidates).cloned() else { return };
        let server = state.servers.get_mut(&provider).expect("known").get_mut(&id).expect("known");
        if vanishes {
            server.gone = Some(now);
        } else {
            server.broken = Some(now);
        }
        state.faults.count(if vanishes { Fault::ServerVanishes } else { Fault::ServerBreaks });
    }

    /// A job begins or ends on a node, and what tells of it comes now, late, twice or never.
    fn job(&mut self, id: NodeId, kind: JobEventKind) {
        let now = self.now();
        let Some(node) = self.nodes.iter().find(|node| node.id == id) else { return };
        let mut state = self.world.lock();
        match kind {
            JobEventKind::Started if !state.start_job(node, self.has_agents) => return,
            JobEventKind::Finished => state.end_job(node),
            _ => {}
        }
        // Where agents tell it too, events get lost.
        if self.has_agents && state.strikes(Fault::EventDropped, 25) {
            return;
        }
        let late = state.strikes(Fault::EventLate, 15).then(|| state.dice.millis(100, 60_000));
        let again = state.strikes(Fault::EventRepeated, 10).then(|| state.dice.millis(0, 60_000));
        drop(state);
        let event = told(&node.nodename, kind);
        let due = now.plus(late.unwrap_or_default());
        self.events.extend(again.map(|after| (due.plus(after), event.clone())));
        self.events.push((due, event));
    }

    /// The daemon hears of what is due. What nobody listens to is lost, as with those who publish it; what
    /// cannot be written down waits in the daemon, as it does in the writer of events.
    pub(super) async fn tell_events(&mut self) {
        if !self.takes_writes() {
            return;
        }
        let now = self.now();
        let (due, later) = std::mem::take(&mut self.events).into_iter().partition(|(due, _)| *due <= now);
        self.events = later;
        let due: Vec<(Timestamp, NewJobEvent)> = due;
        for (_, event) in due {
            if let Some(daemon) = &self.daemon {
                daemon.store.add_event(&event, now).await.expect("an event is written");
            }
        }
    }

    pub(super) async fn wish(&mut self, wish: WishKind) {
        let (now, Some(daemon)) = (self.now(), self.daemon.as_ref()) else { return };
        daemon.store.add_wish(&wish, now).await.expect("a wish is written");
    }
}

/// What is told about the one job of a node.
pub(super) fn told(nodename: &str, kind: JobEventKind) -> NewJobEvent {
    NewJobEvent {
        nodename: nodename.to_owned(),
        kind,
        job: "build".to_owned(),
        number: None,
        branch: None,
        result: None,
    }
}
