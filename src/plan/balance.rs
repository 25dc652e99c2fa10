//! What each label wants and has, and how full each provider is: the sums that a plan was made from, for whoever asks why.

use std::collections::BTreeMap;

use super::{Draft, Watermark};
use crate::config::Label;
use crate::model::{Flavor, NodeState, Resource, Usage};

/// The most labels that are told of although nobody configured them: their names come from outside.
const MOST_UNKNOWN: usize = 100;

/// What a label wants and has. A node of several servers counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Nodes for jobs that wait or run.
    pub jobs: u32,
    /// Spare nodes beyond those; `None` for a label that is switched off.
    pub spares: Option<u32>,
    /// Why so many: which setting asks for the most. `None` where there is `min-ready` alone.
    pub spares_by: Option<String>,
    /// Nodes that wait for a job.
    pub ready: u32,
    /// Nodes on their way to be ready.
    pub building: u32,
    /// Nodes that a job has.
    pub busy: u32,
    /// Ready nodes that are too old and are to be replaced now, beyond what is missing.
    pub renewing: u32,
}

impl Balance {
    /// Nodes that serve the label, now or soon.
    pub const fn there(&self) -> u32 {
        self.ready.saturating_add(self.building).saturating_add(self.busy)
    }

    /// Nodes that are missing, for jobs and as spare ones; none for a label that is switched off.
    pub const fn missing(&self) -> u32 {
        match self.spares {
            Some(spares) => self.jobs.saturating_add(spares).saturating_sub(self.there()),
            None => 0,
        }
    }

    /// Nodes to add: those that are missing, and those that are to take the places of nodes that are too old.
    pub const fn wanted(&self) -> u32 {
        match self.spares {
            Some(spares) => {
                self.jobs.saturating_add(spares).saturating_add(self.renewing).saturating_sub(self.there())
            }
            None => 0,
        }
    }
}

/// How full a provider is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// The most servers that may exist; `None` for a provider that is drained.
    pub limit: Option<u32>,
    /// Those that exist or may come to exist: of nodes, builders, leaked ones and those that this plan adds.
    pub taken: u32,
}

impl Space {
    /// How many more fit.
    pub const fn free(&self) -> u32 {
        match self.limit {
            Some(limit) => limit.saturating_sub(self.taken),
            None => 0,
        }
    }
}

/// The sums that a plan was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Of each label of the configuration.
    pub labels: BTreeMap<String, Balance>,
    /// Of each provider of the configuration.
    pub providers: BTreeMap<String, Space>,
    /// Of each provider whose limits are known: what they are, and what is used of them.
    pub usage: BTreeMap<String, BTreeMap<Resource, Usage>>,
    /// Of each of those, the flavors that it offers.
    pub flavors: BTreeMap<String, Vec<Flavor>>,
    /// Of each provider whose servers could not be listed when that was tried last: why.
    pub unreadable: BTreeMap<String, String>,
    /// Of each target of the configuration: why it takes no nodes, if so.
    pub closed: BTreeMap<String, Option<String>>,
    /// How many jobs ask for labels that are not in the configuration.
    pub unknown: BTreeMap<String, u32>,
}

impl Draft<'_> {
    /// What a label wants and has. Nodes at targets that were given up serve nobody who waits, so where another target is
    /// open they do not count.
    pub(super) fn balance(&self, label: &Label, given_up: &[String]) -> Balance {
        let mut balance = Balance::default();
        let nodes = self.nodes.values().map(|drafted| &drafted.row);
        for node in nodes.filter(|node| node.label == label.name && node.primary.is_none()) {
            if given_up.contains(&node.target) {
                continue;
            }
            let count = match node.state {
                // What its test job keeps busy serves nobody yet.
                NodeState::Building(_) | NodeState::Test => &mut balance.building,
                NodeState::Ready => &mut balance.ready,
                NodeState::Used => &mut balance.busy,
                NodeState::Hold | NodeState::Delete | NodeState::Gone => continue,
            };
            *count = count.saturating_add(1);
        }
        let asked = |jobs: Option<&BTreeMap<String, u32>>| {
            jobs.and_then(|jobs| jobs.get(&label.name)).copied().unwrap_or(0)
        };
        // Jobs that run are part of the demand; where nothing tells the demand, the busy nodes do.
        let demand = asked(self.seen.demand).max(balance.busy);
        balance.jobs = demand.saturating_add(asked(self.seen.waiting_jobs));
        if let Some(watermark) = Watermark::of(label, balance.busy, self.seen.now) {
            let settings = label.headroom > 0 || !label.schedule.is_empty();
            balance.spares_by = settings.then(|| watermark.cause.to_string());
            balance.spares = Some(watermark.spares);
        }
        balance.renewing = self.renewing(label, &balance, given_up);
        balance
    }

    /// Notes how full the providers are, and what is asked for that nobody can give.
    pub(super) fn take_stock(&mut self) {
        for provider in &self.config.providers {
            let space = Space { limit: provider.max_servers, taken: self.rooms.reserved(&provider.name) };
            self.plan.stock.providers.insert(provider.name.clone(), space);
        }
        for (provider, cloud) in self.seen.clouds {
            if let Some(reading) = &cloud.quota.reading {
                let usage = self.quotas.usage(provider, &reading.quota.usage);
                self.plan.stock.usage.insert(provider.clone(), usage);
                self.plan.stock.flavors.insert(provider.clone(), reading.quota.flavors.clone());
            }
            if let Some(trouble) = &cloud.servers.trouble {
                self.plan.stock.unreadable.insert(provider.clone(), trouble.clone());
            }
        }
        for target in &self.config.targets {
            let closed = self.target_closed(&target.name);
            self.plan.stock.closed.insert(target.name.clone(), closed);
        }
        let asked = self.seen.demand.into_iter().chain(self.seen.waiting_jobs).flatten();
        for (label, jobs) in asked.filter(|(label, jobs)| **jobs > 0 && self.config.label(label).is_none()) {
            let known = self.plan.stock.unknown.contains_key(label);
            if known || self.plan.stock.unknown.len() < MOST_UNKNOWN {
                let sum = self.plan.stock.unknown.entry(label.clone()).or_default();
                *sum = sum.saturating_add(*jobs);
            }
        }
    }
}
