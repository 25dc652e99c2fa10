//! The metrics, for Prometheus.
//!
//! What is counted as it happens is kept here. What can be read off the rows and the configuration is not: it is set
//! anew each time that somebody asks, so that it is always as true as the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::flow::Flow;
use super::launches::{Launches, Move};
use super::statsd::Statsd;
use super::stock::{Gauges, Pool};
use super::{
    BREAKERS, BUILD_INFO, Breaker, CALLS_PUT_OFF, CLOUD_CALL_SECONDS, CLOUD_CALLS, CONFIG_RELOAD_OK,
    CONFIG_RELOADS, GEARMAN_ASKS, GEARMAN_SERVER_UP, JOB_EVENTS, LEAKS_FOUND, LEAKS_REMOVED, LEFTOVERS,
    Metric, PACE_WAIT_SECONDS, PUBLISHER_CONNECTED, QUOTA_LIMIT, QUOTA_USED, QuotaUsage, STORE_SECONDS,
    TARGET_CALL_SECONDS, TARGET_CALLS, TICK_SECONDS, TICKS,
};
use crate::config::Config;
use crate::model::{Fate, Image, JobRun, Leftover, Node, Timestamp};
use crate::plan::Stock;

/// The upper ends of the buckets for calls to clouds, in seconds: a token takes milliseconds, a stuck call a minute.
const CALL_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// The upper ends of the buckets for calls to the store, in seconds: a row is there in a fraction of a millisecond, and a
/// disk that is busy takes its time.
const STORE_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 2.0, 10.0];
/// The upper ends of the buckets for ticks, in seconds.
const TICK_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 5.0];

/// What became of a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was found, and its deletion was asked for.
    Leak,
    /// Its deletion was accepted.
    Removed,
}

/// What became of something that was told about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// It is a row.
    Written,
    /// It is about no node, or about something else than the start or the end of a job.
    Ignored,
    /// It makes no sense.
    Unreadable,
    /// It could not be written.
    Lost,
}

/// How the pace of calls to a provider stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// How long the call that was due last had to wait, in seconds.
    pub wait_seconds: f64,
    /// How many calls had to wait since the process began.
    pub put_off: u64,
}

impl EventOutcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Ignored => "ignored",
            Self::Unreadable => "unreadable",
            Self::Lost => "lost",
        }
    }
}

/// The metrics of one daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    quota_limit: IntGaugeVec,
    quota_used: IntGaugeVec,
    statsd: Option<Statsd>,
    there: Gauges,
    flow: Flow,
    launches: Launches,
    leaks_found: IntCounterVec,
    leaks_removed: IntCounterVec,
    config_reloads: IntCounterVec,
    store_seconds: HistogramVec,
    calls_put_off: IntCounterVec,
    pace_wait: GaugeVec,
    leftovers: IntGaugeVec,
    breakers: IntGaugeVec,
    cloud_calls: IntCounterVec,
    cloud_call_seconds: HistogramVec,
    target_calls: IntCounterVec,
    target_call_seconds: HistogramVec,
    ticks: IntCounter,
    tick_seconds: Histogram,
    config_reload_ok: IntGauge,
    gearman_asks: IntCounterVec,
    gearman_server_up: IntGaugeVec,
    /// Which Gearman servers answer, also those that left the configuration.
    gearman_servers: Mutex<BTreeMap<String, bool>>,
    job_events: IntCounterVec,
    publisher_connected: IntGaugeVec,
    /// Two that ask at once must not see each other's half-set gauges.
    asking: Mutex<()>,
}

impl Metrics {
    /// Metrics at zero.
    ///
    /// # Errors
    /// A name or label that Prometheus does not allow: none is taken from outside, so the tests would find it.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build_info = gauges(&registry, BUILD_INFO)?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let cloud_call_seconds = call_seconds(&registry, CLOUD_CALL_SECONDS)?;
        let target_call_seconds = call_seconds(&registry, TARGET_CALL_SECONDS)?;
        let buckets =
            HistogramOpts::new(STORE_SECONDS.name, STORE_SECONDS.help).buckets(STORE_BUCKETS.to_vec());
        let store_seconds = HistogramVec::new(buckets, STORE_SECONDS.labels)?;
        registry.register(Box::new(store_seconds.clone()))?;
        let pace_wait = Opts::new(PACE_WAIT_SECONDS.name, PACE_WAIT_SECONDS.help);
        let pace_wait = GaugeVec::new(pace_wait, PACE_WAIT_SECONDS.labels)?;
        registry.register(Box::new(pace_wait.clone()))?;
        let buckets = HistogramOpts::new(TICK_SECONDS.name, TICK_SECONDS.help).buckets(TICK_BUCKETS.to_vec());
        let tick_seconds = Histogram::with_opts(buckets)?;
        registry.register(Box::new(tick_seconds.clone()))?;
        let ticks = IntCounter::new(TICKS.name, TICKS.help)?;
        registry.register(Box::new(ticks.clone()))?;
        let config_reload_ok = IntGauge::new(CONFIG_RELOAD_OK.name, CONFIG_RELOAD_OK.help)?;
        registry.register(Box::new(config_reload_ok.clone()))?;
        Ok(Self {
            quota_limit: gauges(&registry, QUOTA_LIMIT)?,
            quota_used: gauges(&registry, QUOTA_USED)?,
            statsd: None,
            there: Gauges::new(&registry)?,
            flow: Flow::new(&registry)?,
            launches: Launches::new(&registry)?,
            leaks_found: counters(&registry, LEAKS_FOUND)?,
            leaks_removed: counters(&registry, LEAKS_REMOVED)?,
            config_reloads: counters(&registry, CONFIG_RELOADS)?,
            calls_put_off: counters(&registry, CALLS_PUT_OFF)?,
            pace_wait,
            store_seconds,
            leftovers: gauges(&registry, LEFTOVERS)?,
            breakers: gauges(&registry, BREAKERS)?,
            cloud_calls: counters(&registry, CLOUD_CALLS)?,
            gearman_asks: counters(&registry, GEARMAN_ASKS)?,
            gearman_server_up: gauges(&registry, GEARMAN_SERVER_UP)?,
            gearman_servers: Mutex::default(),
            job_events: counters(&registry, JOB_EVENTS)?,
            publisher_connected: gauges(&registry, PUBLISHER_CONNECTED)?,
            cloud_call_seconds,
            target_calls: counters(&registry, TARGET_CALLS)?,
            target_call_seconds,
            ticks,
            tick_seconds,
            config_reload_ok,
            registry,
            asking: Mutex::new(()),
        })
    }

    /// A call to a cloud ended. The operation and the outcome are fixed words.
    pub fn cloud_call(&self, provider: &str, operation: &'static str, outcome: &'static str, took: Duration) {
        self.cloud_calls.with_label_values(&[provider, operation, outcome]).inc();
        self.cloud_call_seconds.with_label_values(&[provider, operation]).observe(took.as_secs_f64());
        if let Some(statsd) = &self.statsd {
            statsd.cloud_call(provider, operation, took);
        }
    }

    /// What the clouds told of their limits. A provider that is left out is not known to have any.
    pub fn quota(&self, told: &QuotaUsage) {
        let _alone = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        self.quota_limit.reset();
        self.quota_used.reset();
        for (provider, resources) in told {
            for (resource, usage) in resources {
                let values = [provider.as_str(), resource.word()];
                self.quota_limit.with_label_values(&values).set(usage.limit.map_or(-1, number));
                self.quota_used.with_label_values(&values).set(number(usage.used));
            }
        }
    }

    /// A call to a target ended. The operation and the outcome are fixed words.
    pub fn target_call(&self, target: &str, operation: &'static str, outcome: &'static str, took: Duration) {
        self.target_calls.with_label_values(&[target, operation, outcome]).inc();
        self.target_call_seconds.with_label_values(&[target, operation]).observe(took.as_secs_f64());
    }

    /// What failed several times in a row, as the last tick saw it.
    pub fn breakers(&self, told: &[Breaker]) {
        let _alone = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.breakers.reset();
        for Breaker { setback, state } in told {
            self.breakers.with_label_values(&[&setback.provider, setback.kind.word(), state.word()]).inc();
        }
    }

    /// What the last tick knew to be left behind.
    pub fn leftovers(&self, found: &[Leftover]) {
        let _alone = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.leftovers.reset();
        for one in found {
            for fate in Fate::ALL {
                let count = self.leftovers.with_label_values(&[one.provider.as_str(), fate.word()]);
                count.add(i64::from(one.fate == fate));
            }
        }
    }

    /// A tick ended.
    pub fn tick(&self, took: Duration) {
        self.ticks.inc();
        self.tick_seconds.observe(took.as_secs_f64());
    }

    /// Tells a statsd, too, from now on.
    #[must_use]
    pub fn with_statsd(mut self, statsd: Option<Statsd>) -> Self {
        self.statsd = statsd;
        self
    }

    /// A tick looked at these nodes and made a plan of these sums.
    pub fn looked<'n>(
        &self,
        now: Timestamp,
        config: &Config,
        nodes: impl Iterator<Item = &'n Node> + Clone,
        stock: &Stock,
    ) {
        self.flow.observe(now, nodes.clone(), stock);
        if let Some(statsd) = &self.statsd {
            statsd.nodes(now, config, nodes);
        }
    }

    /// The row of a node changed from one state to another. When a job has taken the node, gives how long that job waited.
    pub fn moved(&self, moved: &Move<'_>) -> Option<Duration> {
        self.launches.moved(moved);
        let waited = self.flow.moved(moved.node, moved.to, moved.at);
        if let Some(statsd) = &self.statsd {
            statsd.moved(moved);
        }
        waited
    }

    /// An image became ready.
    pub fn image_ready(&self, image: &Image, now: Timestamp) {
        if let Some(statsd) = &self.statsd {
            statsd.image_ready(image, now);
        }
    }

    /// A job ended.
    pub fn job_ended(&self, run: &JobRun) {
        if let Some(statsd) = &self.statsd {
            statsd.job_ended(run);
        }
    }

    /// Something that carries our mark and belongs to no row was found at a provider or target, or is going. The kind is a
    /// fixed word.
    pub fn leak(&self, place: &str, kind: &'static str, found: Found) {
        let counter = match found {
            Found::Leak => &self.leaks_found,
            Found::Removed => &self.leaks_removed,
        };
        counter.with_label_values(&[place, kind]).inc();
    }

    /// A call to a provider was due: how long it has to wait for its turn.
    pub fn turn(&self, provider: &str, wait: Duration) {
        self.pace_wait.with_label_values(&[provider]).set(wait.as_secs_f64());
        if wait > Duration::ZERO {
            self.calls_put_off.with_label_values(&[provider]).inc();
        }
    }

    /// How the pace of calls to a provider stands.
    pub fn pace(&self, provider: &str) -> Pace {
        Pace {
            wait_seconds: self.pace_wait.with_label_values(&[provider]).get(),
            put_off: self.calls_put_off.with_label_values(&[provider]).get(),
        }
    }

    /// How many launches have ended since the process began: those that became ready, and those that failed.
    pub fn launches_ended(&self) -> [u64; 2] {
        self.launches.ended()
    }

    /// A call to the store ended. The operation is a fixed word.
    pub fn store_call(&self, operation: &'static str, took: Duration) {
        self.store_seconds.with_label_values(&[operation]).observe(took.as_secs_f64());
    }

    /// The configuration files were read: whether they are in use now.
    pub fn config_reload(&self, ok: bool) {
        self.config_reload_ok.set(ok.into());
        self.config_reloads.with_label_values(&[if ok { "ok" } else { "refused" }]).inc();
    }

    /// A question to a Gearman server of the configuration, `HOST:PORT`, ended or is late. The outcome is a fixed word.
    pub fn gearman_ask(&self, server: &str, outcome: &'static str) {
        self.gearman_asks.with_label_values(&[server, outcome]).inc();
        let mut servers = self.gearman_servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.insert(server.to_owned(), outcome == "ok");
    }

    /// Something was told about a job. The source is a publisher of the configuration, or a fixed word.
    pub fn job_event(&self, source: &str, outcome: EventOutcome) {
        self.job_events.with_label_values(&[source, outcome.word()]).inc();
    }

    /// Whether a publisher of job events is heard.
    pub fn publisher(&self, endpoint: &str, connected: bool) {
        self.publisher_connected.with_label_values(&[endpoint]).set(connected.into());
    }

    /// A publisher left the configuration.
    pub fn forget_publisher(&self, endpoint: &str) {
        // One that was never told of is forgotten already.
        let _ = self.publisher_connected.remove_label_values(&[endpoint]);
    }

    /// Everything in Prometheus' text form.
    ///
    /// # Errors
    /// A series that cannot be written.
    pub fn render(&self, pool: &Pool<'_>) -> Result<String, prometheus::Error> {
        let _alone = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.there.set(pool);
        self.set_gearman(pool.config);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn set_gearman(&self, config: &Config) {
        self.gearman_server_up.reset();
        let servers = self.gearman_servers.lock().unwrap_or_else(PoisonError::into_inner);
        for server in &config.gearman_servers {
            let name = format!("{}:{}", server.host, server.port);
            let answers = servers.get(&name).copied().unwrap_or_default();
            self.gearman_server_up.with_label_values(&[&name]).set(answers.into());
        }
    }
}

pub(super) fn gauges(registry: &Registry, metric: Metric) -> Result<IntGaugeVec, prometheus::Error> {
    let made = IntGaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

fn call_seconds(registry: &Registry, metric: Metric) -> Result<HistogramVec, prometheus::Error> {
    let buckets = HistogramOpts::new(metric.name, metric.help).buckets(CALL_BUCKETS.to_vec());
    let made = HistogramVec::new(buckets, metric.labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

pub(super) fn counters(registry: &Registry, metric: Metric) -> Result<IntCounterVec, prometheus::Error> {
    let made = IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}
