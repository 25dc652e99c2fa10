//! The metrics, for Prometheus.
//!
//! What is counted as it happens is kept here. What can be read off the rows and the configuration is not: it is set
//! anew each time that somebody asks, so that it is always as true as the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::{
    BUILD_INFO, CLOUD_CALL_SECONDS, CLOUD_CALLS, CONFIG_RELOAD_OK, GEARMAN_ASKS, GEARMAN_SERVER_UP, IMAGES,
    JOB_EVENTS, LAUNCHES, MAX_SERVERS, MIN_READY, Metric, NODES, PUBLISHER_CONNECTED, QUOTA_LIMIT,
    QUOTA_USED, QuotaUsage, SUBNODES, TICK_SECONDS, TICKS,
};
use crate::config::Config;
use crate::model::{Image, ImageState, Node, NodeState};

/// The upper ends of the buckets for calls to clouds, in seconds: a token takes milliseconds, a stuck call a minute.
const CALL_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// The upper ends of the buckets for ticks, in seconds.
const TICK_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 5.0];

/// How the launch of a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// It became ready.
    Ready,
    /// It failed on the way.
    Failed,
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
    nodes: IntGaugeVec,
    subnodes: IntGaugeVec,
    images: IntGaugeVec,
    min_ready: IntGaugeVec,
    max_servers: IntGaugeVec,
    quota_limit: IntGaugeVec,
    quota_used: IntGaugeVec,
    cloud_calls: IntCounterVec,
    cloud_call_seconds: HistogramVec,
    ticks: IntCounter,
    tick_seconds: Histogram,
    launches: IntCounterVec,
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
        let buckets = HistogramOpts::new(CLOUD_CALL_SECONDS.name, CLOUD_CALL_SECONDS.help)
            .buckets(CALL_BUCKETS.to_vec());
        let cloud_call_seconds = HistogramVec::new(buckets, CLOUD_CALL_SECONDS.labels)?;
        registry.register(Box::new(cloud_call_seconds.clone()))?;
        let buckets = HistogramOpts::new(TICK_SECONDS.name, TICK_SECONDS.help).buckets(TICK_BUCKETS.to_vec());
        let tick_seconds = Histogram::with_opts(buckets)?;
        registry.register(Box::new(tick_seconds.clone()))?;
        let ticks = IntCounter::new(TICKS.name, TICKS.help)?;
        registry.register(Box::new(ticks.clone()))?;
        let config_reload_ok = IntGauge::new(CONFIG_RELOAD_OK.name, CONFIG_RELOAD_OK.help)?;
        registry.register(Box::new(config_reload_ok.clone()))?;
        Ok(Self {
            nodes: gauges(&registry, NODES)?,
            subnodes: gauges(&registry, SUBNODES)?,
            images: gauges(&registry, IMAGES)?,
            min_ready: gauges(&registry, MIN_READY)?,
            max_servers: gauges(&registry, MAX_SERVERS)?,
            quota_limit: gauges(&registry, QUOTA_LIMIT)?,
            quota_used: gauges(&registry, QUOTA_USED)?,
            cloud_calls: counters(&registry, CLOUD_CALLS)?,
            launches: counters(&registry, LAUNCHES)?,
            gearman_asks: counters(&registry, GEARMAN_ASKS)?,
            gearman_server_up: gauges(&registry, GEARMAN_SERVER_UP)?,
            gearman_servers: Mutex::default(),
            job_events: counters(&registry, JOB_EVENTS)?,
            publisher_connected: gauges(&registry, PUBLISHER_CONNECTED)?,
            cloud_call_seconds,
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

    /// A tick ended.
    pub fn tick(&self, took: Duration) {
        self.ticks.inc();
        self.tick_seconds.observe(took.as_secs_f64());
    }

    /// The launch of a node ended.
    pub fn launch(&self, provider: &str, label: &str, outcome: Launch) {
        let outcome = match outcome {
            Launch::Ready => "ready",
            Launch::Failed => "failed",
        };
        self.launches.with_label_values(&[provider, label, outcome]).inc();
    }

    /// The configuration files were read: whether they are in use now.
    pub fn config_reload(&self, ok: bool) {
        self.config_reload_ok.set(ok.into());
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
    pub fn render(
        &self,
        config: &Config,
        nodes: &[Node],
        images: &[Image],
    ) -> Result<String, prometheus::Error> {
        let _alone = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.set_configured(config);
        let (subnodes, nodes): (Vec<&Node>, Vec<&Node>) =
            nodes.iter().partition(|node| node.primary.is_some());
        set(&self.nodes, count_nodes(config, &nodes));
        set(&self.subnodes, count_nodes(config, &subnodes));
        set(&self.images, count_images(config, images));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn set_configured(&self, config: &Config) {
        self.min_ready.reset();
        for label in &config.labels {
            self.min_ready.with_label_values(&[&label.name]).set(label.min_ready.map_or(-1, i64::from));
        }
        self.gearman_server_up.reset();
        let servers = self.gearman_servers.lock().unwrap_or_else(PoisonError::into_inner);
        for server in &config.gearman_servers {
            let name = format!("{}:{}", server.host, server.port);
            let answers = servers.get(&name).copied().unwrap_or_default();
            self.gearman_server_up.with_label_values(&[&name]).set(answers.into());
        }
        drop(servers);
        self.max_servers.reset();
        for provider in &config.providers {
            self.max_servers
                .with_label_values(&[&provider.name])
                .set(provider.max_servers.map_or(-1, i64::from));
        }
    }
}

type Counts<'a> = BTreeMap<(&'a str, &'a str, &'static str), i64>;

/// What is configured counts zero rather than nothing, so that an alarm on "no ready node" sees a value.
fn count_nodes<'a>(config: &'a Config, nodes: &[&'a Node]) -> Counts<'a> {
    let mut counts = Counts::new();
    for label in &config.labels {
        for provider in &label.providers {
            for state in NodeState::STORED {
                counts.insert((provider, &label.name, state.word()), 0);
            }
        }
    }
    for node in nodes {
        let count = counts.entry((&node.provider, &node.label, node.state.word())).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

fn count_images<'a>(config: &'a Config, images: &'a [Image]) -> Counts<'a> {
    let mut counts = Counts::new();
    for provider in &config.providers {
        for image in &provider.images {
            for state in ImageState::STORED {
                counts.insert((&provider.name, &image.name, state.word()), 0);
            }
        }
    }
    for image in images {
        let count = counts.entry((&image.provider, &image.image, image.state.word())).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// Sets the gauges to these counts; a series that has none any more ends.
fn set(gauges: &IntGaugeVec, counts: Counts<'_>) {
    gauges.reset();
    for ((one, two, state), count) in counts {
        gauges.with_label_values(&[one, two, state]).set(count);
    }
}

fn gauges(registry: &Registry, metric: Metric) -> Result<IntGaugeVec, prometheus::Error> {
    let made = IntGaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

fn counters(registry: &Registry, metric: Metric) -> Result<IntCounterVec, prometheus::Error> {
    let made = IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}
