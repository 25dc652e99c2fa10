//! What can be read off the rows, the last plan and the configuration: set anew each time that somebody asks.

use std::collections::BTreeMap;

use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::gauges;
use super::{
    CAPACITY, DEFICIT, DEMAND, HELD_NODES, IMAGE_AGE_SECONDS, IMAGES, LastTick, MAX_SERVERS, MIN_READY,
    Metric, NODES, OLDEST_NODE_SECONDS, SERVERS, SETBACK_FAILURES, SETBACK_PAUSE_SECONDS, SPARES_WANTED,
    SUBNODES, TARGET_UP, UNKNOWN_DEMAND,
};
use crate::config::Config;
use crate::model::{Image, ImageState, Node, NodeState, Setback, SetbackKind, Timestamp};
use crate::plan::{Watermark, backoff};

/// What the metrics are made from when somebody asks.
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The rows of nodes.
    pub nodes: &'a [Node],
    /// The rows of images.
    pub images: &'a [Image],
    /// What went wrong lately.
    pub setbacks: &'a [Setback],
    /// What the last tick decided.
    pub last: &'a LastTick,
    /// Now.
    pub now: Timestamp,
}

/// The metrics of what there is.
#[derive(Debug)]
pub(super) struct Gauges {
    nodes: IntGaugeVec,
    subnodes: IntGaugeVec,
    images: IntGaugeVec,
    min_ready: IntGaugeVec,
    spares_wanted: IntGaugeVec,
    max_servers: IntGaugeVec,
    demand: IntGaugeVec,
    deficit: IntGaugeVec,
    unknown_demand: IntGauge,
    servers: IntGaugeVec,
    capacity: IntGaugeVec,
    oldest: GaugeVec,
    image_age: GaugeVec,
    held: IntGaugeVec,
    setbacks: IntGaugeVec,
    pauses: GaugeVec,
    target_up: IntGaugeVec,
}

impl Gauges {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let unknown_demand = IntGauge::new(UNKNOWN_DEMAND.name, UNKNOWN_DEMAND.help)?;
        registry.register(Box::new(unknown_demand.clone()))?;
        Ok(Self {
            nodes: gauges(registry, NODES)?,
            subnodes: gauges(registry, SUBNODES)?,
            images: gauges(registry, IMAGES)?,
            min_ready: gauges(registry, MIN_READY)?,
            spares_wanted: gauges(registry, SPARES_WANTED)?,
            max_servers: gauges(registry, MAX_SERVERS)?,
            demand: gauges(registry, DEMAND)?,
            deficit: gauges(registry, DEFICIT)?,
            unknown_demand,
            servers: gauges(registry, SERVERS)?,
            capacity: gauges(registry, CAPACITY)?,
            oldest: times(registry, OLDEST_NODE_SECONDS)?,
            image_age: times(registry, IMAGE_AGE_SECONDS)?,
            held: gauges(registry, HELD_NODES)?,
            setbacks: gauges(registry, SETBACK_FAILURES)?,
            pauses: times(registry, SETBACK_PAUSE_SECONDS)?,
            target_up: gauges(registry, TARGET_UP)?,
        })
    }

    pub(super) fn set(&self, pool: &Pool<'_>) {
        self.set_configured(pool.config);
        let (subnodes, nodes): (Vec<&Node>, Vec<&Node>) =
            pool.nodes.iter().partition(|node| node.primary.is_some());
        set(&self.nodes, count_nodes(pool.config, &nodes));
        set(&self.subnodes, count_nodes(pool.config, &subnodes));
        set(&self.images, count_images(pool.config, pool.images));
        self.set_ages(pool, &nodes);
        self.set_wanted(pool, &nodes);
        self.set_held(pool.config, &nodes);
        self.set_planned(pool.last);
        self.set_setbacks(pool);
    }

    fn set_configured(&self, config: &Config) {
        let or_off = |number: Option<u32>| number.map_or(-1, i64::from);
        self.min_ready.reset();
        for label in &config.labels {
            self.min_ready.with_label_values(&[&label.name]).set(or_off(label.min_ready));
        }
        self.max_servers.reset();
        for provider in &config.providers {
            self.max_servers.with_label_values(&[&provider.name]).set(or_off(provider.max_servers));
        }
    }

    fn set_wanted(&self, pool: &Pool<'_>, nodes: &[&Node]) {
        let mut busy: BTreeMap<&str, u32> = BTreeMap::new();
        for node in nodes.iter().filter(|node| node.state == NodeState::Used) {
            let count = busy.entry(&node.label).or_default();
            *count = count.saturating_add(1);
        }
        self.spares_wanted.reset();
        for label in &pool.config.labels {
            let busy = busy.get(label.name.as_str()).copied().unwrap_or_default();
            let spares = Watermark::of(label, busy, pool.now).map(|watermark| watermark.spares);
            self.spares_wanted.with_label_values(&[&label.name]).set(spares.map_or(-1, i64::from));
        }
    }

    fn set_ages(&self, pool: &Pool<'_>, nodes: &[&Node]) {
        let mut oldest: BTreeMap<(&str, &str), Timestamp> = BTreeMap::new();
        for label in &pool.config.labels {
            for state in NodeState::STORED {
                oldest.insert((&label.name, state.word()), pool.now);
            }
        }
        for node in nodes {
            let since = oldest.entry((&node.label, node.state.word())).or_insert(pool.now);
            // Each step of building begins anew; what an operator means by building began with the row.
            let began =
                if matches!(node.state, NodeState::Building(_)) { node.created } else { node.state_time };
            *since = (*since).min(began);
        }
        self.oldest.reset();
        for ((label, state), since) in oldest {
            self.oldest.with_label_values(&[label, state]).set(pool.now.since(since).as_secs_f64());
        }
        let mut newest: BTreeMap<(&str, &str), Timestamp> = BTreeMap::new();
        for image in pool.images.iter().filter(|image| image.state == ImageState::Ready) {
            let made = newest.entry((&image.provider, &image.image)).or_insert(image.created);
            *made = (*made).max(image.created);
        }
        self.image_age.reset();
        for ((provider, image), made) in newest {
            self.image_age.with_label_values(&[provider, image]).set(pool.now.since(made).as_secs_f64());
        }
    }

    fn set_held(&self, config: &Config, nodes: &[&Node]) {
        let mut held: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for label in &config.labels {
            held.extend(["person", "rule"].map(|by| ((label.name.as_str(), by), 0)));
        }
        for node in nodes.iter().filter(|node| node.state == NodeState::Hold) {
            let by = if node.held_for.is_some() { "rule" } else { "person" };
            let count = held.entry((&node.label, by)).or_default();
            *count = count.saturating_add(1);
        }
        self.held.reset();
        for ((label, by), count) in held {
            self.held.with_label_values(&[label, by]).set(count);
        }
    }

    fn set_planned(&self, last: &LastTick) {
        let stock = &last.plan.stock;
        self.demand.reset();
        self.deficit.reset();
        for (label, balance) in &stock.labels {
            self.demand.with_label_values(&[label]).set(balance.jobs.into());
            self.deficit.with_label_values(&[label]).set(balance.missing().into());
        }
        let unknown = stock.unknown.values().fold(0_u32, |sum, jobs| sum.saturating_add(*jobs));
        self.unknown_demand.set(unknown.into());
        self.servers.reset();
        self.capacity.reset();
        for (provider, space) in &stock.providers {
            self.servers.with_label_values(&[provider]).set(space.taken.into());
            self.capacity.with_label_values(&[provider]).set(space.free().into());
        }
        self.target_up.reset();
        for (target, closed) in &stock.closed {
            self.target_up.with_label_values(&[target]).set(closed.is_none().into());
        }
    }

    fn set_setbacks(&self, pool: &Pool<'_>) {
        self.setbacks.reset();
        self.pauses.reset();
        // The numbers of snapshots go on for ever, and each would be a series of its own.
        for setback in pool.setbacks.iter().filter(|setback| setback.kind != SetbackKind::Snapshot) {
            let labels = [setback.kind.word(), &setback.provider, &setback.name];
            self.setbacks.with_label_values(&labels).set(setback.failures.into());
            let again = setback.last.plus(backoff(setback.kind, setback.failures));
            self.pauses.with_label_values(&labels).set(again.since(pool.now).as_secs_f64());
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

fn times(registry: &Registry, metric: Metric) -> Result<GaugeVec, prometheus::Error> {
    let made = GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}
