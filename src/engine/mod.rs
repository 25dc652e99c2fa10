//! The shell around the plan: observe, decide, record, send somebody out, take in what comes back.
//!
//! [`Engine`] touches the store and nothing else. What takes time in the outside world is handed out as [`Work`]: a
//! future with a deadline, which whoever drives the engine runs, and whose [`Outcome`] comes back through
//! [`Engine::finish`]. The daemon drives it with tasks and the wall clock (see [`run`]), the simulation with its own
//! clock, step by step.
//!
//! The engine decides nothing. An `if` about policy belongs to the plan.

mod act;
mod attached;
mod contact;
mod context;
mod departed;
mod dump;
mod evidence;
mod host_keys;
mod measure;
mod memory;
mod offer;
mod output;
mod providers;
mod record;
pub mod run;
mod steps;
mod trouble;
mod visit;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument as _, Span};

use crate::cloud::Cloud;
use crate::config::Config;
use crate::model::{Fate, Image, ImageId, Leftover, Node, NodeId, Owner, Timestamp};
use crate::plan::{
    self, Action, Answer, Consequence, Errand, Failure, Fault, Observation, Permissions, Plan, Reason,
};
use crate::remote::{KeyPair, Remote};
use crate::store::{NewLine, Picture, Store, StoreError};
use crate::target::{DemandSource, Target};
use crate::telemetry::{Breaker, Census, Metrics, QuotaUsage};
use context::Context;
pub use departed::Departed;
use memory::Memory;
use output::{LINES_ON_THEIR_WAY, Unwritten};
use providers::Providers;
pub use providers::Retired;
pub use work::{News, Outcome, Work};

/// The doors to the outside world.
#[derive(Clone)]
pub struct Drivers {
    /// The cloud of each provider, by the provider's name.
    pub clouds: BTreeMap<String, Arc<dyn Cloud>>,
    /// Why a provider has no cloud, by the provider's name.
    pub unusable: BTreeMap<String, String>,
    /// What tells how many jobs wait; `None` where only watermarks count.
    pub demand: Option<Arc<dyn DemandSource>>,
    /// The targets at which nodes are enrolled, by their names. Those that take nodes as they are have no driver.
    pub targets: BTreeMap<String, Arc<dyn Target>>,
    /// How machines are reached.
    pub remote: Arc<dyn Remote>,
    /// What setup and ready scripts find in their environment: the daemon's own `NODEPOOL_` variables.
    pub script_environment: Vec<(String, String)>,
}

/// The engine.
pub struct Engine {
    store: Store,
    /// The rows as they were read last.
    picture: Option<Picture>,
    installation: String,
    providers: Providers,
    config: Arc<Config>,
    drivers: Drivers,
    memory: Memory,
    news: mpsc::UnboundedSender<News>,
    /// Room for the lines of builds that are on their way here.
    room_for_lines: Arc<Semaphore>,
    unwritten: Unwritten,
    metrics: Option<Arc<Metrics>>,
    permissions: Permissions,
}

/// What a tick did.
#[derive(Debug, Default)]
pub struct Tick {
    /// What was decided.
    pub plan: Plan,
    /// Whether rows were changed, so that another look is due at once.
    pub changed: bool,
    /// Work that is not wanted any more: stop it, it will not be missed.
    pub recalled: Vec<Errand>,
    /// When to look again although there is no news; `None`: only news matters.
    pub wake: Option<Timestamp>,
    /// The pool as it was seen.
    pub census: Census,
    /// What the clouds told of their limits, and what was asked for since.
    pub usage: QuotaUsage,
    /// What failed several times in a row.
    pub breakers: Vec<Breaker>,
}

impl Engine {
    /// An engine that knows nothing yet but what is in the store.
    ///
    /// News that visits bring before they end comes out of the receiver and has to be handed to [`Engine::news`].
    pub async fn new(
        store: Store,
        config: Arc<Config>,
        drivers: Drivers,
    ) -> Result<(Self, mpsc::UnboundedReceiver<News>), StoreError> {
        let installation = store.installation().await?;
        let memory = Memory::new(&config);
        let (news, receiver) = mpsc::unbounded_channel();
        let room_for_lines = Arc::new(Semaphore::new(LINES_ON_THEIR_WAY));
        let permissions = Permissions::default();
        let providers = Providers::new(Arc::clone(&config), drivers.clone());
        let mut engine = Self {
            store,
            picture: None,
            installation,
            providers,
            config,
            drivers,
            memory,
            news,
            room_for_lines,
            unwritten: Unwritten::default(),
            metrics: None,
            permissions,
        };
        engine.know_targets();
        Ok((engine, receiver))
    }

    /// Does from now on only what is permitted.
    pub fn permit(&mut self, permissions: Permissions) {
        self.permissions = permissions;
    }

    /// Counts from now on how launches end.
    pub fn report_to(&mut self, metrics: Arc<Metrics>) {
        self.metrics = Some(metrics);
    }

    /// Looks at everything, decides, records, and puts the work to be started into `work`.
    ///
    /// # Errors
    /// When the store fails. What was put into `work` until then has to be run all the same.
    pub async fn tick(&mut self, now: Timestamp, work: &mut Vec<Work>) -> Result<Tick, StoreError> {
        self.write_build_lines().await?;
        self.record_providers().await?;
        let picture = self.store.picture(self.picture.take()).await?;
        self.picture = Some(picture.clone());
        let seen = self.observe(now, picture);
        let plan = plan::plan(&self.config, &seen);
        let census = Census::of(&seen.nodes, seen.demand);
        if let Some(metrics) = &self.metrics {
            metrics.looked(now, &self.config, seen.nodes.iter(), &plan.stock);
        }
        let breakers = Breaker::not_closed(&seen.setbacks, now);
        let nodes: BTreeMap<NodeId, Node> = seen.nodes.into_iter().map(|node| (node.id, node)).collect();
        let images: BTreeMap<ImageId, Image> =
            seen.images.into_iter().map(|image| (image.id, image)).collect();
        let mut rows = Rows { nodes, images };
        let mut tick = Tick { wake: plan.wake, census, breakers, ..Tick::default() };
        for planned in &plan.actions {
            let span = context::of_action(&planned.action);
            self.carry_out(now, planned, &mut rows, work, &mut tick).instrument(span).await?;
        }
        if let Some(wake) = self.memory.next_token(now) {
            tick.wake = Some(tick.wake.map_or(wake, |earlier| earlier.min(wake)));
        }
        self.keep_leftovers(&plan).await?;
        tick.usage.clone_from(&plan.stock.usage);
        self.memory.waiting.clone_from(&plan.waiting);
        self.memory.note_rows(now, &rows);
        tick.plan = plan;
        Ok(tick)
    }

    fn observe(&self, now: Timestamp, picture: Picture) -> Observation<'_> {
        let Picture { nodes, images, wishes, events, jobs, setbacks, .. } = picture;
        Observation {
            now,
            installation: &self.installation,
            nodes,
            images,
            wishes,
            events,
            jobs,
            setbacks,
            clouds: &self.memory.clouds,
            targets: &self.memory.targets,
            demand: self.memory.demand(now).map(|demand| &demand.jobs),
            waiting_jobs: self.memory.demand(now).map(|demand| &demand.waiting),
            demand_asked: self.memory.demand_asked,
            waiting: &self.memory.waiting,
            in_flight: &self.memory.in_flight,
            tries: &self.memory.tries,
            checks: &self.memory.checks,
            permissions: self.permissions,
        }
    }

    async fn carry_out(
        &mut self,
        now: Timestamp,
        planned: &plan::Planned,
        rows: &mut Rows,
        work: &mut Vec<Work>,
        tick: &mut Tick,
    ) -> Result<(), StoreError> {
        let reason = &planned.reason;
        match &planned.action {
            Action::Send(errand) => return self.send(now, errand, reason, rows, work).await,
            Action::Recall(errand) => {
                self.memory.in_flight.remove(errand);
                self.memory.contexts.remove(errand);
                self.memory.forget_visit(errand);
                tick.recalled.push(errand.clone());
                return Ok(());
            }
            Action::Node { row, event } => self.record_node(now, row, *event, reason).await?,
            Action::Nodes { rows, event } => self.record_nodes(now, rows, *event, reason).await?,
            Action::Image { row, event } => self.record_image(now, row, *event, reason).await?,
            Action::NodeFacts { row } => self.record_node_facts(now, row, "facts", reason).await?,
            Action::ImageFacts { row } => self.record_image_facts(now, row, "facts", reason).await?,
            Action::AddNode(node) => self.add_node(now, node, reason).await?,
            Action::AddImage(image) => self.add_image(now, image, reason).await?,
            Action::SettleWish { wish, granted } => {
                self.store.settle_wish(*wish, now, *granted, &reason.0).await?;
            }
            Action::ForgetProvider(name) => self.forget_provider(name).await?,
            Action::ForgetTarget(name) => self.forget_target(name, reason).await?,
            Action::SettleJobEvent(id) => self.store.settle_event(*id, now).await?,
            Action::CountJobRun(run) => {
                self.store.add_job_run(run, now).await?;
                if let Some(metrics) = &self.metrics {
                    metrics.job_ended(run);
                }
            }
            Action::WarnOfHoldEnd { row } => {
                tracing::warn!(target: "nodepool.node", label = row.label, "{reason}");
                self.record_node_facts(now, row, "hold-ends-soon", reason).await?;
            }
            Action::SetBack { kind, provider, name } => {
                self.store.record_setback(*kind, provider, name, now, &reason.0).await?;
            }
            Action::Recover { kind, provider, name } => {
                self.store.clear_setback(*kind, provider, name).await?;
            }
        }
        tick.changed = true;
        Ok(())
    }

    /// Starts an errand, if the pace of its provider allows it: first the mark in the row, then the work.
    async fn send(
        &mut self,
        now: Timestamp,
        errand: &Errand,
        reason: &Reason,
        rows: &mut Rows,
        work: &mut Vec<Work>,
    ) -> Result<(), StoreError> {
        if !self.has_turn(errand, now) {
            return Ok(());
        }
        let context = Context::new(errand, rows);
        let span = context.span.clone();
        self.send_in(context, now, errand, reason, rows, work).instrument(span).await
    }

    async fn send_in(
        &mut self,
        context: Context,
        now: Timestamp,
        errand: &Errand,
        reason: &Reason,
        rows: &mut Rows,
        work: &mut Vec<Work>,
    ) -> Result<(), StoreError> {
        let host_key = match self.make_host_key(errand, rows) {
            Ok(made) => made,
            Err(trouble) => {
                tracing::error!(target: "nodepool.engine", ?errand, "not sent: {trouble}");
                return Ok(());
            }
        };
        let public = host_key.as_ref().map(KeyPair::host_key);
        if !self.mark_intent(now, errand, public, rows).await? {
            return Ok(());
        }
        match errand {
            // No row has it, so no history will tell.
            Errand::DeleteFloatingIp { id, owner: None, .. } => {
                tracing::info!(target: "nodepool.engine", floating_ip = id, "deletes a floating IP: {reason}");
            }
            Errand::DeleteServer { id, owner: None, .. } => {
                tracing::info!(target: "nodepool.engine", server = id, "deletes a server: {reason}");
                self.note_departure(now, errand).await?;
            }
            Errand::DeletePort { id, server, .. } => {
                tracing::info!(target: "nodepool.engine", port = id, server, "deletes a port: {reason}");
            }
            Errand::DeleteVolume { id, .. } => {
                tracing::info!(target: "nodepool.engine", volume = id, "deletes a volume: {reason}");
            }
            errand => tracing::debug!(target: "nodepool.engine", ?errand, "sent: {reason}"),
        }
        self.count_leak(errand, rows);
        self.memory.in_flight.insert(errand.clone(), now);
        if let Errand::ReadQuota { provider } = errand {
            let counted = plan::answered(provider, rows.nodes.values(), rows.images.values());
            self.memory.counted.insert(provider.clone(), counted);
        }
        work.push(self.work(errand, rows, host_key.as_ref()).within(&context));
        self.memory.contexts.insert(errand.clone(), context);
        Ok(())
    }

    /// Takes in what an errand brought home.
    ///
    /// # Errors
    /// When the store fails. Nothing is lost then: the rows still say what was tried, and the next ticks find out.
    pub async fn finish(
        &mut self,
        now: Timestamp,
        errand: &Errand,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let Some(began) = self.memory.in_flight.remove(errand) else {
            return Ok(());
        };
        self.memory.steps.remove(errand);
        let context = self.memory.contexts.remove(errand);
        let (span, request) = context.map_or_else(|| (Span::none(), None), |context| context.ended());
        self.take_in(began, now, errand, outcome, request).instrument(span).await
    }

    async fn take_in(
        &mut self,
        began: Timestamp,
        now: Timestamp,
        errand: &Errand,
        outcome: Outcome,
        request: Option<String>,
    ) -> Result<(), StoreError> {
        let answer = match outcome {
            Outcome::Servers(_)
            | Outcome::Images(_)
            | Outcome::Keypairs(_)
            | Outcome::FloatingIps(_)
            | Outcome::Quota(_) => {
                self.memory.take_listing(began, now, errand, outcome);
                return Ok(());
            }
            outcome @ (Outcome::Ports(_) | Outcome::Volumes(_)) => {
                let outcome = self.recognise(began, errand, outcome).await?;
                self.memory.take_listing(began, now, errand, outcome);
                return Ok(());
            }
            Outcome::Agents(roster) => {
                self.memory.take_roster(began, now, errand, roster);
                return Ok(());
            }
            Outcome::Demand(demand) => {
                self.memory.take_demand(began, now, demand);
                return Ok(());
            }
            Outcome::Answer(answer) => answer,
            Outcome::TimedOut if *errand == Errand::AskDemand => {
                self.memory.demand_asked = Some(began);
                return Ok(());
            }
            Outcome::TimedOut if errand.is_listing() => {
                self.memory.listing_failed(errand, now, "no answer within its deadline".to_owned());
                return Ok(());
            }
            Outcome::TimedOut => Answer::Failed(timed_out(errand)),
        };
        if let Errand::CheckNode(id) = errand {
            self.memory.note_check(*id, began, now, &answer);
            return Ok(());
        }
        let written = self.write_down(now, errand, &answer, request.as_deref()).await;
        match &written {
            Ok(()) => self.memory.note_try(errand, &answer, now),
            Err(_) => self.memory.not_written_down(errand, now),
        }
        written
    }

    /// Writes down what an errand came to, with the cloud's id of the request that had it done.
    async fn write_down(
        &mut self,
        now: Timestamp,
        errand: &Errand,
        answer: &Answer,
        request: Option<&str>,
    ) -> Result<(), StoreError> {
        let logged = self.complete_build_log(errand).await;
        let nodes = self.nodes_of(errand).await;
        let image = self.image_of(errand).await;
        self.count_removed_leak(errand, answer, matches!(image, Ok(Some(_))));
        self.memory.note_deletion(errand, answer);
        self.memory.note_mark(&self.installation, errand, answer);
        let (nodes, image) = (nodes?, image?);
        let request = request.filter(|_| !matches!(answer, Answer::Failed(_)));
        self.note_deletion(now, errand, request, nodes.first(), image.as_ref()).await?;
        for consequence in plan::consequences(errand, answer, nodes, image) {
            let consequence = match request {
                Some(id) => context::with_request(consequence, id),
                None => consequence,
            };
            self.follow(now, consequence).await?;
        }
        self.memory.forget_visit(errand);
        logged
    }

    /// The node that an errand is about, first, and its subnodes where they matter.
    async fn nodes_of(&self, errand: &Errand) -> Result<Vec<Node>, StoreError> {
        match (errand, errand.node()) {
            (Errand::PrepareNode(id) | Errand::Relabel(id), _) => self.store.node_set(*id).await,
            (_, Some(id)) => Ok(self.store.node(id).await?.into_iter().collect()),
            (_, None) => Ok(Vec::new()),
        }
    }

    /// Writes down what was left behind, when that changed, and tells when a cleanup stops itself.
    async fn keep_leftovers(&mut self, plan: &Plan) -> Result<(), StoreError> {
        if self.memory.leftovers.as_ref() == Some(&plan.leftovers) {
            return Ok(());
        }
        self.store.keep_leftovers(&plan.leftovers).await?;
        let stopped = |one: &&Leftover| one.fate == Fate::Stopped;
        let before = self.memory.leftovers.iter().flatten().find(stopped).is_some();
        if let Some(one) = plan.leftovers.iter().find(stopped).filter(|_| !before) {
            tracing::error!(target: "nodepool.engine", provider = one.provider, "a cleanup stopped: {}", one.reason);
        }
        self.memory.leftovers = Some(plan.leftovers.clone());
        Ok(())
    }

    async fn image_of(&self, errand: &Errand) -> Result<Option<Image>, StoreError> {
        if let Some(id) = errand.image() {
            return self.store.image(id).await;
        }
        let owns = |image: &Image| match errand {
            Errand::DeleteSnapshot { id, provider } => {
                image.provider == *provider && image.external_id.as_ref() == Some(id)
            }
            Errand::DeleteKeypair { name, provider } => {
                image.provider == *provider && image.keypair.as_ref() == Some(name)
            }
            _ => false,
        };
        match errand {
            Errand::DeleteSnapshot { .. } | Errand::DeleteKeypair { .. } => {
                Ok(self.store.images().await?.into_iter().find(owns))
            }
            _ => Ok(None),
        }
    }

    async fn follow(&mut self, now: Timestamp, consequence: Consequence) -> Result<(), StoreError> {
        match consequence {
            Consequence::Node { row, event, reason } => self.record_node(now, &row, event, &reason).await,
            Consequence::Nodes { rows, event, reason } => self.record_nodes(now, &rows, event, &reason).await,
            Consequence::NodeFacts { row, reason } => {
                self.record_node_facts(now, &row, "facts", &reason).await
            }
            Consequence::Image { row, event, reason } => self.record_image(now, &row, event, &reason).await,
            Consequence::ImageFacts { row, reason } => {
                self.record_image_facts(now, &row, "facts", &reason).await
            }
            Consequence::SetBack { kind, provider, name, reason } => {
                let known = self.store.setbacks().await?;
                let earlier = known
                    .iter()
                    .find(|known| known.kind == kind && known.provider == provider && known.name == name);
                if plan::counts(earlier, now) {
                    self.store.record_setback(kind, &provider, &name, now, &reason.0).await?;
                }
                Ok(())
            }
            Consequence::Recovered { kind, provider, name } => {
                self.store.clear_setback(kind, &provider, &name).await
            }
            Consequence::SawGone { provider, id } => {
                self.memory.saw_gone(&provider, &id, now);
                Ok(())
            }
            Consequence::HoldOff { provider, pause } => {
                self.memory.hold_off(&provider, now.plus(pause));
                Ok(())
            }
        }
    }

    /// Takes in what a visit does, what it learned before it ended (the host key of a machine), and what a script of a
    /// build printed.
    pub async fn news(&mut self, now: Timestamp, news: News) -> Result<(), StoreError> {
        let (errand, node, host_key) = match news {
            News::HostKey { errand, node, host_key } => (errand, node, host_key),
            News::BuildLine { image, step, line, missed, room: _room } => {
                return self.take_build_line(image, NewLine { at: now, step, missed, text: line }).await;
            }
            News::Evidence { errand, node, evidence } => {
                if self.memory.in_flight.contains_key(&errand) {
                    self.memory.evidence.insert(node, (errand, evidence));
                }
                return Ok(());
            }
            News::Step { errand, step } => {
                self.memory.note_step(errand, step, now);
                return Ok(());
            }
        };
        if !self.memory.in_flight.contains_key(&errand) {
            return Ok(());
        }
        let reason = plan::Reason::from(match errand {
            Errand::ReadConsole { .. } => "its host key was found on its console",
            _ => "its host key was recorded at the first contact",
        });
        match errand {
            Errand::PrepareNode(id) | Errand::ReadConsole { owner: Owner::Node(id), .. } => {
                match self.store.node(node.unwrap_or(id)).await? {
                    Some(row) if row.host_key.is_none() => {
                        let row = Node { host_key: Some(host_key), ..row };
                        let span = context::of_node(&row);
                        self.record_node_facts(now, &row, "host-key", &reason).instrument(span).await
                    }
                    _ => Ok(()),
                }
            }
            Errand::SetUpBuilder(id) | Errand::ReadConsole { owner: Owner::Builder(id), .. } => {
                match self.store.image(id).await? {
                    Some(row) if row.host_key.is_none() => {
                        let row = Image { host_key: Some(host_key), ..row };
                        let span = context::of_image(&row);
                        self.record_image_facts(now, &row, "host-key", &reason).instrument(span).await
                    }
                    _ => Ok(()),
                }
            }
            Errand::VerifySnapshot(id) | Errand::ReadConsole { owner: Owner::Verifier(id), .. } => {
                match self.store.image(id).await? {
                    Some(row) if row.verify_host_key.is_none() => {
                        let row = Image { verify_host_key: Some(host_key), ..row };
                        let span = context::of_image(&row);
                        self.record_image_facts(now, &row, "host-key", &reason).instrument(span).await
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// What is under way, and since when.
    pub fn in_flight(&self) -> &BTreeMap<Errand, Timestamp> {
        &self.memory.in_flight
    }
}

/// The rows that a plan was made from, kept up to date while it is carried out.
struct Rows {
    nodes: BTreeMap<NodeId, Node>,
    images: BTreeMap<ImageId, Image>,
}

fn timed_out(errand: &Errand) -> Failure {
    let text = "it did not end within its deadline".to_owned();
    // A call that was cut off may have had its effect. A visit that was cut off has failed.
    let fault = if errand.is_visit() { Fault::Refused } else { Fault::Uncertain };
    Failure { fault, text }
}
