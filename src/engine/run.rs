//! Drives the engine with tasks and the wall clock.
//!
//! Whatever happens - work that ends, a bell, a moment that the plan named - only says "look". The tick that follows
//! reads everything. News after a quiet while is looked at at once; a burst of it a few milliseconds later, together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Drivers, Engine, News, Outcome, Work};
use crate::bell::Bell;
use crate::config::Config;
use crate::model::Timestamp;
use crate::plan::Errand;
use crate::store::{ENGINE_LEASE, StoreError};
use crate::telemetry::{LastTick, Metrics};

/// News that comes sooner than this after a tick began waits for the rest of its burst. A tick that takes longer than
/// half of it is followed by as long a pause: at most half of the time goes into ticks.
const COALESCE: Duration = Duration::from_millis(10);

/// The longest pause between two ticks, should every bell be broken.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause after a tick that the store let fail.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How long a graceful stop waits for calls to clouds that are on their way.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long the lease is good for without being renewed.
const LEASE_TIME: Duration = Duration::from_secs(30);

/// The pause between two renewals of the lease.
const LEASE_RENEWAL: Duration = Duration::from_secs(10);

/// How soon a line that a build printed can be read in the store.
const LINES_PAUSE: Duration = Duration::from_millis(300);

/// How long history is kept.
const HISTORY_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The pause between two rounds of housekeeping, and how many lines one round may remove.
const HOUSEKEEPING: Duration = Duration::from_secs(600);
const PRUNED_AT_ONCE: u32 = 10_000;

/// Another configuration to put in force, with the drivers that belong to it.
pub type Reconfiguration = (Arc<Config>, Drivers);

/// A driver of one engine.
pub struct Driver {
    /// The engine.
    pub engine: Engine,
    /// Where its visits report.
    pub news: mpsc::UnboundedReceiver<News>,
    /// Rung when there is news in the store; without one, news waits for the next tick.
    pub bell: Option<Bell>,
    /// Where another configuration comes from.
    pub reconfigurations: mpsc::Receiver<Reconfiguration>,
    /// Who holds the lease: a name that no other daemon has.
    pub holder: String,
    /// Where each tick is published.
    pub published: watch::Sender<LastTick>,
    /// Where ticks are counted.
    pub metrics: Arc<Metrics>,
    /// Who wants to know what everything waits for.
    pub dumps: mpsc::Receiver<oneshot::Sender<String>>,
    /// How the loop says that it lives; `None` when nobody listens.
    pub pulse: Option<Pulse>,
}

/// How the loop says that it lives.
#[derive(Debug)]
pub struct Pulse {
    /// How often.
    pub every: Duration,
    /// Says it.
    pub beat: fn(),
}

/// The work that is under way.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<(Errand, Outcome)>,
    handles: BTreeMap<Errand, AbortHandle>,
    deadlines: BTreeMap<Errand, Timestamp>,
}

impl Driver {
    /// Runs until `stop` is cancelled, and then lets calls that are on their way come home.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way = UnderWay::default();
        let mut next_renewal = Timestamp::default();
        let mut leads = false;
        let mut next_housekeeping = now().plus(HOUSEKEEPING);
        let mut last_beat = None;
        while !stop.is_cancelled() {
            let at = now();
            if at >= next_renewal {
                next_renewal = at.plus(LEASE_RENEWAL);
                leads = self.renew_lease(at, leads).await;
            }
            if at >= next_housekeeping {
                next_housekeeping = at.plus(HOUSEKEEPING);
                self.keep_house(at).await;
            }
            let began = tokio::time::Instant::now();
            let pause = if leads { self.tick(&mut under_way).await } else { LONGEST_PAUSE };
            let crowded_until = began.checked_add(COALESCE.max(began.elapsed().saturating_mul(2)));
            let pause = pause.min(self.beat(&mut last_beat));
            let pause = pause.min(next_renewal.since(at)).min(LONGEST_PAUSE);
            self.wait(&mut under_way, pause, crowded_until, &stop).await;
        }
        self.stop(under_way).await;
    }

    /// Says that the loop lives, when it is time, and gives how long it may wait until it has to say so again.
    fn beat(&self, last: &mut Option<Instant>) -> Duration {
        let Some(pulse) = &self.pulse else { return LONGEST_PAUSE };
        let since = last.map_or(pulse.every, |last| last.elapsed());
        if since >= pulse.every {
            (pulse.beat)();
            *last = Some(Instant::now());
            return pulse.every;
        }
        pulse.every.saturating_sub(since)
    }

    /// Ticks once, and says how long nothing needs to be looked at unless there is news.
    async fn tick(&mut self, under_way: &mut UnderWay) -> Duration {
        let at = now();
        let mut work = Vec::new();
        let began = Instant::now();
        let ticked = self.engine.tick(at, &mut work).await;
        self.metrics.tick(began.elapsed());
        for work in work {
            under_way.start(work);
        }
        match ticked {
            Ok(tick) => {
                for errand in &tick.recalled {
                    under_way.recall(errand);
                }
                self.metrics.quota(&tick.usage);
                self.metrics.leftovers(&tick.plan.leftovers);
                self.metrics.breakers(&tick.breakers);
                self.published.send_replace(LastTick {
                    at,
                    plan: Arc::new(tick.plan),
                    trouble: None,
                    census: tick.census,
                    usage: Arc::new(tick.usage),
                    breakers: Arc::new(tick.breakers),
                });
                if tick.changed {
                    return Duration::ZERO;
                }
                tick.wake.map_or(LONGEST_PAUSE, |wake| wake.since(now()))
            }
            Err(error) => {
                self.report(&error);
                STORE_PAUSE
            }
        }
    }

    /// Waits for news, but not longer than `pause`; until `crowded_until` it takes in whatever else comes.
    async fn wait(
        &mut self,
        under_way: &mut UnderWay,
        pause: Duration,
        crowded_until: Option<tokio::time::Instant>,
        stop: &CancellationToken,
    ) {
        let mut deadline = tokio::time::Instant::now().checked_add(pause);
        let mut lines_due = None;
        loop {
            let until = deadline.unwrap_or_else(tokio::time::Instant::now);
            tokio::select! {
                Some(ended) = under_way.next() => self.take_in(ended).await,
                Some(news) = self.news.recv() => {
                    let is_step = matches!(news, News::Step { .. });
                    let is_line = matches!(news, News::BuildLine { .. });
                    self.hear(news).await;
                    if is_step {
                        continue;
                    }
                    if is_line {
                        lines_due = lines_due.or_else(|| tokio::time::Instant::now().checked_add(LINES_PAUSE));
                        continue;
                    }
                }
                () = tokio::time::sleep_until(lines_due.unwrap_or(until)), if lines_due.is_some() => {
                    lines_due = None;
                    self.write_build_lines().await;
                    continue;
                }
                Some(reply) = self.dumps.recv() => {
                    let last = self.published.borrow().clone();
                    // Whoever asked may have lost patience.
                    let _ = reply.send(self.engine.dump(now(), &under_way.deadlines, &last).await);
                },
                rung = rung(self.bell.as_ref()) => if let Err(error) = rung {
                    tracing::warn!(target: "nodepool.engine", "the bell is broken, wishes wait a few seconds: {error}");
                    self.bell = None;
                },
                Some((config, drivers)) = self.reconfigurations.recv() => {
                    self.engine.reconfigure(config, drivers);
                }
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
            }
            let at = tokio::time::Instant::now();
            let soon = crowded_until.map_or(at, |until| until.max(at));
            deadline = Some(deadline.map_or(soon, |deadline| deadline.min(soon)));
        }
    }

    async fn hear(&mut self, news: News) {
        if let Err(error) = self.engine.news(now(), news).await {
            self.report(&error);
        }
    }

    async fn write_build_lines(&mut self) {
        if let Err(error) = self.engine.write_build_lines().await {
            self.report(&error);
        }
    }

    async fn take_in(&mut self, (errand, outcome): (Errand, Outcome)) {
        // What a visit learned came before its end, and nobody listens to a visit that has ended.
        while let Ok(news) = self.news.try_recv() {
            self.hear(news).await;
        }
        if let Err(error) = self.engine.finish(now(), &errand, outcome).await {
            self.report(&error);
        }
    }

    /// Lets calls to clouds come home, so that fewer of them have to be found out about; visits are cut off and made
    /// again after the restart.
    async fn stop(mut self, mut under_way: UnderWay) {
        under_way.cut_visits();
        let patience = tokio::time::sleep(STOP_PATIENCE);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                ended = under_way.next() => match ended {
                    Some(ended) => self.take_in(ended).await,
                    None => break,
                },
                () = &mut patience => break,
            }
        }
        while let Ok(news) = self.news.try_recv() {
            self.hear(news).await;
        }
        self.write_build_lines().await;
        if let Err(error) = self.engine.store.release_lease(ENGINE_LEASE, &self.holder).await {
            self.report(&error);
        }
    }

    /// Takes or renews the lease, and says whether this daemon may act.
    async fn renew_lease(&mut self, at: Timestamp, leads: bool) -> bool {
        match self.engine.store.take_lease(ENGINE_LEASE, &self.holder, at, LEASE_TIME).await {
            Ok(true) => true,
            Ok(false) => {
                let text = "another daemon holds the lease of this store; this one waits for it".to_owned();
                tracing::warn!(target: "nodepool.engine", "{text}");
                self.published.send_modify(|last| last.trouble = Some(text));
                false
            }
            Err(error) => {
                self.report(&error);
                // It is good for longer than the pause between two renewals, so one that fails does not end it.
                leads
            }
        }
    }

    async fn keep_house(&mut self, at: Timestamp) {
        self.engine.memory.forget_old_tries(at.minus(HOUSEKEEPING));
        if let Err(error) = self.engine.store.prune(at.minus(HISTORY_KEPT), PRUNED_AT_ONCE).await {
            self.report(&error);
        }
        if let Err(error) = self.engine.store.forget_old_build_logs().await {
            self.report(&error);
        }
        if let Err(error) = self.engine.store.forget_old_job_runs().await {
            self.report(&error);
        }
    }

    fn report(&self, error: &StoreError) {
        tracing::error!(target: "nodepool.engine", "the store failed, trying again: {error}");
        self.published.send_modify(|last| last.trouble = Some(error.to_string()));
    }
}

impl UnderWay {
    fn start(&mut self, work: Work) {
        let Work { errand, deadline, future } = work;
        let name = errand.clone();
        let handle = self.tasks.spawn(async move {
            let outcome = tokio::time::timeout(deadline, future).await.unwrap_or(Outcome::TimedOut);
            (errand, outcome)
        });
        self.deadlines.insert(name.clone(), now().plus(deadline));
        self.handles.insert(name, handle);
    }

    fn recall(&mut self, errand: &Errand) {
        self.deadlines.remove(errand);
        if let Some(handle) = self.handles.remove(errand) {
            handle.abort();
        }
    }

    /// The next work that ends; `None` when none is under way.
    async fn next(&mut self) -> Option<(Errand, Outcome)> {
        loop {
            match self.tasks.join_next_with_id().await? {
                Ok((_, (errand, outcome))) => {
                    self.handles.remove(&errand);
                    self.deadlines.remove(&errand);
                    return Some((errand, outcome));
                }
                Err(error) => {
                    let id = error.id();
                    let known = self.handles.iter().find(|(_, handle)| handle.id() == id);
                    let Some(errand) = known.map(|(errand, _)| errand.clone()) else { continue };
                    self.handles.remove(&errand);
                    self.deadlines.remove(&errand);
                    tracing::error!(target: "nodepool.engine", ?errand, "work broke off: {error}");
                    return Some((errand, Outcome::TimedOut));
                }
            }
        }
    }

    fn cut_visits(&mut self) {
        let visits: Vec<Errand> = self.handles.keys().filter(|errand| errand.is_visit()).cloned().collect();
        for errand in visits {
            self.recall(&errand);
        }
    }
}

/// Waits for the bell; for ever, where there is none.
async fn rung(bell: Option<&Bell>) -> std::io::Result<()> {
    match bell {
        Some(bell) => bell.rung().await,
        None => std::future::pending().await,
    }
}

/// The wall clock.
pub fn now() -> Timestamp {
    SystemTime::now().into()
}
