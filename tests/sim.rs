//! The whole engine in a simulated world: real engine, real plan, real store; clouds and machines that fail; a daemon
//! that is killed between any two of its steps.
//!
//! Each seed is one history of the world and can be had again: `NODEPOOL_SIM_SEED=17 cargo test --test sim`. The
//! promises of ARCHITECTURE.md are asserted after every tick. Then the faults stop, and the pool has to reach its
//! watermarks and a plan that does nothing but look.
//!
//! Time is virtual: whatever waits says until when, and the simulation jumps there. Nothing in here sleeps.

#[cfg(feature = "planted-bugs")]
#[path = "sim/planted.rs"]
mod planted;
#[path = "sim/pranks.rs"]
mod pranks;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nodepool::config::{Config, HostKeySource};
use nodepool::engine::{Drivers, Engine, Retired};
use nodepool::model::{
    Image, ImageState, JobEventKind, NewJobEvent, Node, NodeId, NodeState, Timestamp, WishKind,
};
use nodepool::plan::{Action, Plan};
use nodepool::store::{Picture, Store, StoreError};
use rustix::thread::{CpuSet, sched_setaffinity};
use sqlx::Connection as _;

use world::World;
use world::cloud::SimulatedCloud;
use world::daemon::Daemon;
use world::demand::SimulatedDemand;
use world::dice::Dice;
use world::fault::{Fault, Faults};
use world::remote::SimulatedRemote;
use world::rules::Rules;
use world::target::SimulatedTarget;
use world::{attached, floating};
use world::{pool, reload};

/// How long everything goes wrong in most histories, and in the long ones: nodes live and die there many times over.
const TROUBLED: Duration = Duration::from_secs(150);
const LONG_TROUBLED: Duration = Duration::from_secs(20 * 60);
/// One of so many histories is a long one. It shares no factor with what else the seed decides.
const LONG_EVERY: u64 = 37;
/// How long the pool may take afterwards. The longest pause after failed builds is an hour.
const RECOVERY: Duration = Duration::from_secs(3 * 3600);
/// When the world begins: some moment.
const START: i64 = 1_700_000_000;
/// How long a call may wait for its turn at a provider.
const LONGEST_TURN: Duration = Duration::from_secs(60);
/// No history takes more steps than this.
const MOST_STEPS: u32 = 60_000;
/// In so many histories everything goes wrong that can.
const ALL_KINDS: u64 = 1000;
/// The tables that a full disk shows at.
const TABLES: [&str; 7] = ["history", "node", "snapshot_image", "wish", "job_event", "setback", "build_log"];
/// The most jobs that ever wait for a label.
const MOST_JOBS: u32 = 3;
/// Each so many looks all nodes are read, too, and compared with what was read of them piece by piece.
const WHOLE_LOOK: u32 = 16;

#[test]
fn the_promises_hold_for_every_seed() {
    let (first, count) = match std::env::var("NODEPOOL_SIM_SEED") {
        Ok(seed) => (seed.parse().expect("NODEPOOL_SIM_SEED is a number"), 1),
        Err(_) => {
            // `tools/test` asks for more of its optimised build.
            (1, std::env::var("NODEPOOL_SIM_SEEDS").map_or(100, |count| count.parse().expect("a number")))
        }
    };
    let ended = in_parallel(first..first + count, |seed| {
        Some(run(seed, troubled(seed)).map_err(|broken| format!("seed {seed}: {broken}")))
    });
    let (mut failed, mut calls, mut faults) = (Vec::new(), 0, Faults::default());
    for one in ended {
        match one {
            Ok((made, went_wrong, _)) => {
                calls += made.values().sum::<u64>();
                faults.add(&went_wrong);
            }
            Err(broken) => failed.push(broken),
        }
    }
    println!(
        "{count} histories, {calls} calls to clouds, Jenkins and Gearman; what went wrong:\n{}",
        faults.table()
    );
    assert!(
        failed.is_empty(),
        "{} of {count} seeds failed; see one again with tools/test sim SEED\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(count < ALL_KINDS || faults.missing().is_empty(), "never happened: {:?}", faults.missing());
}

/// Does something with each, several at a time, and gives what came of those that something came of. A history waits for
/// its database half of the time, so there are twice as many at work as there are processors.
fn in_parallel<T: Send, R: Send>(
    each: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Option<R> + Sync,
) -> Vec<R> {
    let each = std::sync::Mutex::new(each);
    let next = || each.lock().unwrap().next();
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (next, work) = (&next, &work);
        let worker = |number: usize| {
            move || {
                stay_on(number % processors);
                std::iter::from_fn(next).filter_map(work).collect::<Vec<R>>()
            }
        };
        let workers: Vec<_> = (0..2 * processors).map(|number| scope.spawn(worker(number))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("one of them panicked")).collect()
    })
}

/// This thread and those that it starts stay on one processor: each step of a history hands something to the thread of its
/// database and waits for it, which is much cheaper there.
fn stay_on(processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor);
    // Where that is not allowed it just takes longer.
    let _ = sched_setaffinity(None, &only);
}

/// The worth of a seed is that it gives the same history again.
#[test]
fn a_seed_gives_the_same_history_twice() {
    assert_eq!(run(4242, TROUBLED), run(4242, TROUBLED));
}

/// A folder for a database that nobody needs when its history is told: in memory, where the machine has a place for that.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A zone where no server comes up costs a few servers, not the pool; when it works again one node finds out.
#[test]
fn a_zone_out_of_order_is_avoided_and_found_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = folder();
    runtime.block_on(async {
        let mut simulation = Simulation::new(1, folder.path()).await;
        simulation.make_peace().await;
        simulation.world.lock().bad_zone = Some("a1".to_owned());
        simulation.live_until(Simulation::is_settled).await.unwrap();
        assert_eq!(simulation.nodes_in_zone("a1"), 0, "{}", simulation.situation());
        let failed = simulation.world.lock().failed_in_zone;
        assert!((1..=10).contains(&failed), "{failed} servers were made in a zone where none comes up");
        simulation.world.lock().bad_zone = None;
        // The pause of the zone ends; the next node that is missing tries it.
        let later = simulation.now().plus(Duration::from_secs(2 * 3600));
        simulation.live_until(|simulation| simulation.now() > later).await.unwrap();
        let gone = simulation.nodes.iter().find(|node| node.az.is_some() && node.primary.is_none());
        let gone = gone.expect("the pool has a node in a zone").id;
        simulation.rules.excused.insert(gone);
        simulation.wish(WishKind::Delete { node: gone, now: false }).await;
        let found = |simulation: &Simulation| simulation.nodes_in_zone("a1") > 0 && simulation.is_settled();
        simulation.live_until(found).await.unwrap();
    });
}

/// What a history came to: how often each call was made, what went wrong, and when the pool was settled.
type Summary = (BTreeMap<&'static str, u64>, Faults, Timestamp);

/// How long everything goes wrong in the history of a seed.
fn troubled(seed: u64) -> Duration {
    if seed.is_multiple_of(LONG_EVERY) { LONG_TROUBLED } else { TROUBLED }
}

fn run(seed: u64, troubled: Duration) -> Result<Summary, String> {
    run_unless(seed, troubled, &AtomicBool::new(false))
}

/// The same, given up as soon as nobody wants to know.
fn run_unless(seed: u64, troubled: Duration, is_over: &AtomicBool) -> Result<Summary, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = folder();
    runtime.block_on(async {
        let mut simulation = Simulation::new(seed, folder.path()).await;
        simulation
            .live_through(troubled, is_over)
            .await
            .map_err(|broken| format!("{broken}\n{}", simulation.situation()))?;
        let state = simulation.world.lock();
        Ok((state.calls.clone(), state.faults.clone(), state.now))
    })
}

/// The database cannot be used for a while, or not for everything.
struct Outage {
    kind: OutageKind,
    until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum OutageKind {
    /// Nothing can be written about nodes and images, or nothing be read of nodes either, or no log of a build be kept:
    /// where a table is not found, the store fails as it does when the file or the server is gone.
    Gone(&'static str),
    /// Everything can be read, and nothing be written: the disk is full.
    Full,
    /// Everything can be read, and somebody else writes all the time.
    Busy,
}

/// One history of the world.
struct Simulation {
    world: World,
    config: Arc<Config>,
    /// The configuration that the history began with.
    first: Arc<Config>,
    /// Whether the configuration changes now and then.
    reloads: bool,
    /// Whether nodes are agents of a Jenkins, or are ready when they are prepared.
    has_agents: bool,
    url: String,
    plug: sqlx::SqliteConnection,
    daemon: Option<Daemon>,
    rules: Rules,
    /// The database is out of order.
    outage: Option<Outage>,
    /// What the rules were held against last.
    picture: Option<Picture>,
    looks: u32,
    nodes: Vec<Node>,
    images: Vec<Image>,
    plan: Plan,
    next_prank: Timestamp,
    /// What is still to be told of jobs, and when.
    events: Vec<(Timestamp, NewJobEvent)>,
    journal: Vec<String>,
}

impl Simulation {
    async fn new(seed: u64, folder: &std::path::Path) -> Self {
        let start = Timestamp::from_seconds(START);
        let world = World::new(seed, start, &[("alpha", 6), ("beta", 2)]);
        // Some worlds have job queues, which are asked more than once a second; the others have only watermarks.
        // In some, servers have inner addresses and need floating IPs; in some, host keys are known before the first login.
        let pools = [(3, "alpha"), (7, "beta")].into_iter().filter(|(every, _)| seed.is_multiple_of(*every));
        let pools: Vec<&str> = pools.map(|(_, name)| name).collect();
        world.lock().pools = pools.iter().map(|name| (*name).to_owned()).collect();
        let source = match seed % 5 {
            0 => HostKeySource::Console,
            1 => HostKeySource::UserData,
            _ => HostKeySource::Learn,
        };
        let config = pool::config(seed.is_multiple_of(6), &pools, source);
        // In some, spare nodes are replaced when they are old.
        let config = if seed % 9 == 4 { pool::with_aging(config) } else { config };
        // In some, nodes boot from volumes.
        let from_volumes = seed % 5 == 2;
        world.lock().boots_from_volumes = from_volumes;
        let config = if from_volumes { pool::with_volumes(config) } else { config };
        // In every other world nodes are agents of a Jenkins.
        let has_agents = seed.is_multiple_of(2);
        let config = Arc::new(if has_agents { pool::with_agents(config) } else { config });
        for provider in &config.providers {
            let limit = usize::try_from(provider.max_servers.unwrap_or(0)).expect("small");
            world.lock().limits.insert(provider.name.clone(), limit);
        }
        let file = folder.join("nodepool.db");
        // Whoever finds the database locked is told at once: the lock is not given back while anybody waits.
        let url = format!("sqlite://{}?timeout=0", file.display());
        Store::open(&url).await.expect("a store").close().await;
        let plug = sqlx::SqliteConnection::connect(&format!("sqlite://{}", file.display()))
            .await
            .expect("a plug to pull");
        let mut simulation = Self {
            world,
            first: Arc::clone(&config),
            reloads: seed % 4 == 1 || seed % 12 == 2,
            has_agents,
            config,
            url,
            plug,
            daemon: None,
            rules: Rules::default(),
            outage: None,
            picture: None,
            looks: 0,
            nodes: Vec::new(),
            images: Vec::new(),
            plan: Plan::default(),
            next_prank: start,
            events: Vec::new(),
            journal: Vec::new(),
        };
        simulation.install_plug().await;
        simulation
    }

    /// A trigger that refuses every write once the fuse has burnt down: the end of the daemon between two writes.
    async fn install_plug(&mut self) {
        for statement in [
            "CREATE TABLE fuse (writes INTEGER NOT NULL)",
            "INSERT INTO fuse VALUES (1000000000)",
            "CREATE TRIGGER fuse_blown BEFORE INSERT ON history WHEN (SELECT writes FROM fuse) <= 0 \
             BEGIN SELECT RAISE(ABORT, 'the plug was pulled'); END",
            "CREATE TRIGGER fuse_burns AFTER INSERT ON history BEGIN UPDATE fuse SET writes = writes - 1; END",
        ] {
            sqlx::query(statement).execute(&mut self.plug).await.expect(statement);
        }
    }

    async fn set_fuse(&mut self, writes: i64) {
        let set = sqlx::query("UPDATE fuse SET writes = $1").bind(writes);
        set.execute(&mut self.plug).await.expect("the fuse can be set");
    }

    async fn live_through(&mut self, troubled: Duration, is_over: &AtomicBool) -> Result<(), String> {
        let end_of_troubles = self.now().plus(troubled);
        let mut steps = 0;
        while self.now() < end_of_troubles {
            self.step(true).await?;
            if is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            steps += 1;
            if steps > MOST_STEPS {
                return Err("too many steps: something ticks without end".to_owned());
            }
        }
        self.make_peace().await;
        let bound = self.now().plus(RECOVERY);
        while !self.is_settled() {
            if self.now() > bound {
                return Err(format!("not settled within {} s after the faults stopped", RECOVERY.as_secs()));
            }
            self.step(false).await?;
            if is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            steps += 1;
            if steps > MOST_STEPS {
                return Err("too many steps after the faults stopped".to_owned());
            }
        }
        Ok(())
    }

    /// Lives in peace until something is so.
    async fn live_until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..MOST_STEPS {
            if is_so(self) {
                return Ok(());
            }
            self.step(false).await?;
        }
        Err(format!("too many steps\n{}", self.situation()))
    }

    /// How many ready servers are in an availability zone.
    fn nodes_in_zone(&self, zone: &str) -> usize {
        let there = self.nodes.iter().filter(|node| node.state == NodeState::Ready);
        there.filter(|node| node.az.as_deref() == Some(zone)).count()
    }

    /// Seconds since the world began.
    fn elapsed(&self) -> f64 {
        self.now().since(Timestamp::from_seconds(START)).as_secs_f64()
    }

    fn now(&self) -> Timestamp {
        self.world.lock().now
    }

    /// One step of the world: time moves to the next moment that matters, and everybody acts.
    async fn step(&mut self, troubled: bool) -> Result<(), String> {
        if self.outage.as_ref().is_some_and(|outage| outage.until <= self.now()) {
            self.end_outage().await;
        }
        if self.daemon.is_none() {
            self.start().await;
        }
        self.move_time(troubled);
        if troubled {
            self.prank().await;
        }
        self.tell_events().await;
        let ticked = match self.daemon.as_mut() {
            Some(daemon) => daemon.act(&self.world, self.outage.is_some()).await,
            None => return Ok(()),
        };
        match ticked {
            Ok(plan) => self.plan = plan,
            Err(StoreError::Unavailable(_) | StoreError::Busy(_)) if self.outage.is_some() => {}
            Err(error) if troubled && error.to_string().contains("the plug was pulled") => {
                self.journal("the daemon died between two writes");
                self.world.lock().faults.count(Fault::DiedBetweenWrites);
                self.crash().await;
            }
            Err(error) => return Err(format!("the store failed: {error}")),
        }
        if self.outage.is_none() {
            self.look().await?;
        }
        if troubled && self.chance(4) {
            let kind = self.world.lock().dice.between(0, 2);
            if kind == 0 {
                let writes = self.world.lock().dice.between(0, 6);
                self.set_fuse(i64::try_from(writes).expect("small")).await;
            } else {
                self.journal("the daemon was killed");
                self.world.lock().faults.count(Fault::Killed);
                self.crash().await;
            }
        }
        Ok(())
    }

    fn move_time(&mut self, troubled: bool) {
        let daemon = self.daemon.as_ref();
        let deadlines = daemon.iter().flat_map(|daemon| daemon.work.iter());
        let deadline = deadlines.map(|(work, began)| began.plus(work.deadline)).min();
        let wake = daemon.and_then(|daemon| daemon.wake);
        let prank = troubled.then_some(self.next_prank);
        let told = self.events.iter().map(|(due, _)| *due).min();
        let mut state = self.world.lock();
        let alarm = state.next_alarm();
        let soonest = [deadline, wake, prank, told, alarm].into_iter().flatten().min();
        let least = state.now.plus(Duration::from_millis(1));
        let most = state.now.plus(Duration::from_secs(5));
        state.now = soonest.unwrap_or(most).clamp(least, most);
    }

    async fn look(&mut self) -> Result<(), String> {
        let store = match &self.daemon {
            Some(daemon) => daemon.store.clone(),
            None => Store::open(&self.url).await.map_err(|error| error.to_string())?,
        };
        // Another daemon's store counts by itself.
        let last = self.picture.take().filter(|_| self.daemon.is_some());
        let picture = store.picture(last).await.map_err(|error| error.to_string())?;
        self.looks += 1;
        if self.looks.is_multiple_of(WHOLE_LOOK) {
            let nodes = store.nodes().await.map_err(|error| error.to_string())?;
            if nodes != picture.nodes {
                return Err(format!("a picture is not as the rows are: {:?} and {nodes:?}", picture.nodes));
            }
        }
        self.nodes.clone_from(&picture.nodes);
        self.images.clone_from(&picture.images);
        self.world.lock().fail_jobs_of_the_dead(&self.nodes);
        if self.daemon.is_none() {
            store.close().await;
        } else {
            self.picture = Some(picture);
        }
        self.rules.check(&self.world, &self.config, &self.nodes, &self.images)
    }

    async fn start(&mut self) {
        self.end_outage().await;
        self.set_fuse(1_000_000_000).await;
        let store = Store::open(&self.url).await.expect("the store opens again");
        let known = store.providers().await.expect("providers");
        let gone = known.iter().filter(|known| self.config.provider(&known.name).is_none());
        let retired = gone.map(|known| self.retired(&known.name)).collect();
        let (mut engine, news) = Engine::new(store.clone(), Arc::clone(&self.config), self.drivers())
            .await
            .expect("the engine starts");
        engine.retire(retired);
        self.daemon = Some(Daemon { engine, store, news, work: Vec::new(), wake: None });
    }

    /// A provider that left the configuration before the daemon died.
    fn retired(&self, name: &str) -> Retired {
        let provider = self.first.provider(name).expect("it was there at first").clone();
        let cloud = SimulatedCloud { world: self.world.clone(), provider: name.to_owned() };
        Retired { provider, cloud: Arc::new(cloud) }
    }

    fn drivers(&self) -> Drivers {
        let clouds = self.config.providers.iter().map(|provider| {
            let cloud = SimulatedCloud { world: self.world.clone(), provider: provider.name.clone() };
            (provider.name.clone(), Arc::new(cloud) as Arc<dyn nodepool::cloud::Cloud>)
        });
        Drivers {
            clouds: clouds.collect::<BTreeMap<_, _>>(),
            unusable: BTreeMap::new(),
            targets: self.targets(),
            demand: Some(Arc::new(SimulatedDemand { world: self.world.clone() })),
            remote: Arc::new(SimulatedRemote { world: self.world.clone() }),
            script_environment: Vec::new(),
        }
    }

    fn targets(&self) -> BTreeMap<String, Arc<dyn nodepool::target::Target>> {
        let offering = self.config.targets.iter().filter(|_| self.has_agents);
        let targets = offering.map(|target| {
            let simulated = SimulatedTarget { world: self.world.clone(), name: target.name.clone() };
            (target.name.clone(), Arc::new(simulated) as Arc<dyn nodepool::target::Target>)
        });
        targets.collect()
    }

    /// Puts another configuration in force, as a reload does.
    fn reload(&mut self, change: impl FnOnce(&mut Config, &Config, &mut Dice) -> String) {
        let mut config = Config::clone(&self.config);
        let what = change(&mut config, &self.first, &mut self.world.lock().dice);
        self.journal(&format!("configuration: {what}"));
        self.world.lock().faults.count(Fault::ConfigurationChanges);
        self.config = Arc::new(config);
        let mut state = self.world.lock();
        // What was known of a provider that left and came back is forgotten.
        state.told.clear();
        for name in self.first.providers.iter().map(|provider| &provider.name) {
            let most = self.config.provider(name).and_then(|provider| provider.max_servers);
            let limit = usize::try_from(most.unwrap_or(0)).expect("small");
            let (before, until) = (state.limit(name), state.now.plus(LONGEST_TURN));
            state.lowered.insert(name.clone(), (before, until));
            state.limits.insert(name.clone(), limit);
        }
        drop(state);
        let (config, drivers) = (Arc::clone(&self.config), self.drivers());
        if let Some(daemon) = self.daemon.as_mut() {
            daemon.engine.reconfigure(config, drivers);
        }
    }

    async fn crash(&mut self) {
        self.world.lock().told.clear();
        self.picture = None;
        if let Some(daemon) = self.daemon.take() {
            daemon.store.close().await;
        }
        self.world.lock().alarms.clear();
    }

    fn chance(&self, per_thousand: u64) -> bool {
        self.world.lock().dice.between(1, 1000) <= per_thousand
    }

    fn journal(&mut self, what: &str) {
        let line =
            format!("{} {what}", self.now().since(Timestamp::from_seconds(1_700_000_000)).as_secs_f64());
        self.journal.push(line);
    }

    async fn begin_outage(&mut self) {
        let (kind, lasts) = {
            let mut state = self.world.lock();
            let gone = ["history", "node", "build_log"].map(OutageKind::Gone);
            let kinds = gone.into_iter().chain([OutageKind::Full, OutageKind::Busy]).collect::<Vec<_>>();
            let kind = *state.dice.pick(&kinds).expect("several kinds");
            (kind, state.dice.millis(500, 60_000))
        };
        self.journal(&format!("the database is out of order for {} ms: {kind:?}", lasts.as_millis()));
        let fault = match kind {
            OutageKind::Gone(table) => {
                self.plug(&format!("ALTER TABLE {table} RENAME TO {table}_away")).await;
                Fault::StoreGone
            }
            OutageKind::Full => {
                // This is no JSON, which is an error when the trigger fires, and not the breach of a rule that RAISE would be.
                self.plug_each_change(|table, change| {
                    format!(
                        "CREATE TRIGGER full_{table}_{change} BEFORE {change} ON {table} \
                         BEGIN SELECT json('the disk is full'); END"
                    )
                })
                .await;
                Fault::StoreFull
            }
            OutageKind::Busy => {
                self.plug("BEGIN IMMEDIATE").await;
                Fault::StoreBusy
            }
        };
        self.world.lock().faults.count(fault);
        self.outage = Some(Outage { kind, until: self.now().plus(lasts) });
        self.picture = None;
    }

    async fn end_outage(&mut self) {
        match self.outage.take().map(|outage| outage.kind) {
            Some(OutageKind::Gone(table)) => {
                self.plug(&format!("ALTER TABLE {table}_away RENAME TO {table}")).await;
            }
            Some(OutageKind::Full) => {
                self.plug_each_change(|table, change| format!("DROP TRIGGER full_{table}_{change}")).await;
            }
            Some(OutageKind::Busy) => self.plug("ROLLBACK").await,
            None => {}
        }
    }

    /// Whether people and publishers of events can write down what they want now.
    fn takes_writes(&self) -> bool {
        !matches!(self.outage, Some(Outage { kind: OutageKind::Full | OutageKind::Busy, .. }))
    }

    async fn plug_each_change(&mut self, statement: impl Fn(&str, &str) -> String) {
        let changes = ["INSERT", "UPDATE", "DELETE"];
        let all = TABLES.iter().flat_map(|table| changes.map(|change| statement(table, change)));
        let all: Vec<String> = all.collect();
        self.plug(&format!("BEGIN; {}; COMMIT", all.join("; "))).await;
    }

    async fn plug(&mut self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::query(statement).execute(&mut self.plug).await.expect("the plug is ours");
    }

    /// The faults stop, the jobs end, the holds end.
    async fn make_peace(&mut self) {
        self.journal("peace");
        self.end_outage().await;
        self.set_fuse(1_000_000_000).await;
        self.world.lock().end_troubles();
        if self.reloads {
            self.reload(|config, _, _| {
                reload::make_room(config);
                "room for all".to_owned()
            });
        }
        let store = Store::open(&self.url).await.expect("the store opens");
        let now = self.now();
        for (_, event) in std::mem::take(&mut self.events) {
            store.add_event(&event, now).await.expect("an event");
        }
        // What was told or asked for and is not read yet counts, too: a node whose job has begun is about to be `used`, and
        // one that somebody wants is about to be held.
        let events = store.open_events().await.expect("events").into_iter();
        let begun: Vec<String> = events
            .filter(|event| event.told.kind == JobEventKind::Started)
            .map(|event| event.told.nodename)
            .collect();
        let wishes = store.open_wishes().await.expect("wishes").into_iter();
        let wanted: Vec<NodeId> = wishes
            .filter_map(|wish| match wish.kind {
                WishKind::Hold { node, .. } => Some(node),
                _ => None,
            })
            .collect();
        for node in store.nodes().await.expect("nodes").into_iter().filter(|node| node.primary.is_none()) {
            if node.state == NodeState::Used || begun.contains(&node.nodename) {
                self.rules.excused.insert(node.id);
                let end = pranks::told(&node.nodename, JobEventKind::Finished);
                store.add_event(&end, now).await.expect("an event");
            }
            if node.state == NodeState::Hold || wanted.contains(&node.id) {
                // Its hold may begin and end before anybody looks.
                self.rules.excused.insert(node.id);
                self.release(node.id);
                store.add_wish(&WishKind::Unhold(node.id), now).await.expect("a wish");
            }
        }
        store.close().await;
    }

    /// Promise 7: the watermarks are reached, the plan does nothing but look, and nothing is left over.
    fn is_settled(&self) -> bool {
        let Some(daemon) = &self.daemon else { return false };
        let has_queues = !self.config.gearman_servers.is_empty();
        let idle = daemon.work.iter().all(|(work, _)| work.errand.is_listing());
        let only_looks = self.plan.actions.iter().all(|planned| match &planned.action {
            Action::Send(errand) => errand.is_listing(),
            _ => false,
        });
        let full = self.config.labels.iter().all(|label| {
            let of_label = || self.nodes.iter().filter(|node| node.label == label.name);
            let ready = of_label().filter(|node| node.state == NodeState::Ready && node.primary.is_none());
            let ready = u32::try_from(ready.count()).expect("small");
            let servers = u32::try_from(of_label().count()).expect("small");
            if servers != ready * (1 + label.subnodes) {
                return false;
            }
            // Nodes that were made for jobs which came to nothing stay for others.
            let most = if has_queues { MOST_JOBS } else { 0 };
            let least = label.min_ready.expect("all labels are on");
            // A watermark that was lowered, or whose window ended, does not take away what is ready.
            let highest = label.schedule.iter().map(|window| window.spares).fold(least, u32::max);
            ready >= least && (self.reloads || ready <= highest + most)
        });
        let quiet = self.nodes.iter().all(|node| node.state == NodeState::Ready)
            && self.images.iter().all(|image| image.state == ImageState::Ready);
        let asked = has_queues == (self.world.demand_calls() > 0);
        idle && only_looks && full && quiet && asked && self.is_as_configured() && self.nothing_left_over()
    }

    /// Whether nothing is there but what the last configuration knows.
    fn is_as_configured(&self) -> bool {
        let knows = |node: &Node| {
            let label = self.config.label(&node.label);
            label.is_some_and(|label| label.providers.contains(&node.provider))
                && self.config.target(&node.target).is_some()
        };
        let has = |image: &Image| {
            self.config.provider(&image.provider).is_some_and(|known| known.image(&image.image).is_some())
        };
        self.nodes.iter().all(knows) && self.images.iter().all(has)
    }

    fn nothing_left_over(&self) -> bool {
        let state = self.world.lock();
        let ours = state.servers.values().flat_map(BTreeMap::values).filter(|server| {
            server.exists(state.now) && server.tag.as_ref().is_some_and(|tag| tag.installation != "another")
        });
        let snapshots = state.images.values().flat_map(BTreeMap::values).filter(|image| {
            image.gone.is_none_or(|gone| gone > state.now)
                && image.tag.as_ref().is_some_and(|tag| tag.installation != "another")
        });
        let keypairs = state.keypairs.values().flatten().filter(|name| *name != "operator");
        let in_pools = self.nodes.iter().filter(|node| state.pools.contains(&node.provider)).count();
        // What was left behind at a target that a daemon before this one knew cannot be reached any more.
        let agents = state.agents_of_ours().into_iter().all(|((target, name), agent)| {
            let online = agent.online.is_some_and(|online| online <= state.now) && !agent.lost;
            let row = self.nodes.iter().find(|node| node.nodename == name && node.target == target);
            self.config.target(target).is_none() || (row.is_some() && online)
        });
        floating::ours(&state).count() == in_pools
            && attached::left(&state).count() == 0
            && agents
            && ours.count() == self.nodes.len()
            && snapshots.count() == self.images.len()
            && keypairs.count() == 0
    }

    /// What is there although no row has it, in words.
    fn left_over(&self) -> Vec<String> {
        let state = self.world.lock();
        let is_ours = |tag: &Option<nodepool::model::Tag>| {
            tag.as_ref().is_some_and(|tag| tag.installation != "another")
        };
        let mut lines: Vec<String> =
            attached::left(&state).map(|what| format!("left over: {what}")).collect();
        for (id, server) in state.servers.values().flatten() {
            let has_row = self.nodes.iter().any(|node| node.server_id.as_ref() == Some(id));
            if server.exists(state.now) && is_ours(&server.tag) && !has_row {
                lines.push(format!("left over: server {id}, {server:?}"));
            }
        }
        for (_, id, one, owner) in floating::ours(&state) {
            lines.push(format!("there: floating IP {id} of {owner:?} to {:?}", one.server));
        }
        for ((target, name), agent) in state.agents_of_ours() {
            lines.push(format!("there: agent {name} at {target}: {agent:?}"));
        }
        let keypairs = state.keypairs.values().flatten().filter(|name| *name != "operator");
        lines.extend(keypairs.map(|name| format!("left over: keypair {name}")));
        lines
    }

    /// What a person needs to understand a failure.
    fn situation(&self) -> String {
        let mut lines = vec![format!("at {} s", self.elapsed())];
        lines.extend(self.nodes.iter().map(|node| {
            let Node { id, primary, provider, label, state, server_id, reason, .. } = node;
            let of = primary.map_or_else(String::new, |primary| format!(" of {primary}"));
            format!("node {id}{of} {provider} {label} {state} server {server_id:?}: {reason}")
        }));
        lines.extend(self.images.iter().map(|image| {
            let Image {
                id, provider, state, server_id, verify_server_id, keypair, external_id, reason, ..
            } = image;
            format!(
                "image {id} {provider} {state} builder {server_id:?} verifier {verify_server_id:?} \
                 keypair {keypair:?} snapshot {external_id:?}: {reason}"
            )
        }));
        let planned = self.plan.actions.iter();
        lines.extend(planned.map(|planned| format!("plan: {:?}: {}", planned.action, planned.reason)));
        let refused = self.plan.refusals.iter();
        lines.extend(refused.map(|refusal| format!("refused: {:?}: {}", refusal.subject, refusal.reason)));
        lines.extend(self.left_over());
        let work = self.daemon.iter().flat_map(|daemon| &daemon.work);
        lines.extend(work.map(|(work, began)| format!("under way: {:?} since {began}", work.errand)));
        lines.extend(self.journal.iter().rev().take(12).rev().cloned());
        lines.join("\n  ")
    }
}
