//! What a project may still have of a cloud: its quota, counted like the places of `max-servers`.
//!
//! A reading is a moment long gone when it is used. What had surely been made before it is part of its numbers; what is
//! on its way or was asked for since then is counted on top, by the flavor that it takes. What went since then is counted
//! only by the next reading: a cloud gives room back when it likes. Thus no call is made that must fail, unless somebody
//! else took the room meanwhile; then the refusal teaches it, as it does where a cloud tells no limits.

use std::collections::{BTreeMap, BTreeSet};

use super::observation::Observation;
use super::view::CloudView;
use super::{Draft, Errand, limits};
use crate::config::{Config, Label, Provider};
use crate::model::{
    Flavor, FloatingFacts, Image, ImageState, Node, NodeState, Owner, Quota, Resource, SetbackKind,
    Timestamp, Usage,
};

/// What the limits of one provider's project are, as far as they could be read.
#[derive(Clone, Debug, Default)]
pub struct QuotaView {
    /// The last reading that came.
    pub reading: Option<Reading>,
    /// Why the last try to read failed; `None` when it did not.
    pub trouble: Option<String>,
}

/// One reading.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When it began.
    pub began: Timestamp,
    /// What was told.
    pub quota: Quota,
    /// What had surely been made by then, and is part of what is told to be used.
    pub counted: Answered,
}

/// What rows know of the answers to calls that make something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Whose servers have an id.
    pub servers: BTreeSet<Owner>,
    /// Whose floating IPs have an id.
    pub floating_ips: BTreeSet<Owner>,
}

impl QuotaView {
    /// Takes in a reading.
    pub fn take(&mut self, began: Timestamp, quota: Quota, counted: Answered) {
        self.reading = Some(Reading { began, quota, counted });
        self.trouble = None;
    }

    /// The reading that binds us now, if one does.
    fn believed(&self, now: Timestamp) -> Option<&Reading> {
        let believed =
            |reading: &&Reading| self.trouble.is_none() || now.since(reading.began) < limits::QUOTA_BELIEVED;
        self.reading.as_ref().filter(believed)
    }
}

/// What has surely been made at a provider.
pub fn answered<'r>(
    provider: &str,
    nodes: impl Iterator<Item = &'r Node>,
    images: impl Iterator<Item = &'r Image>,
) -> Answered {
    let mut answered = Answered::default();
    for thing in things(nodes, images).filter(|thing| thing.provider == provider) {
        if thing.known {
            answered.servers.insert(thing.owner);
        }
        if thing.floating_ip.id.is_some() {
            answered.floating_ips.insert(thing.owner);
        }
    }
    answered
}

/// A server that a row has, may have or wants.
struct Thing<'r> {
    owner: Owner,
    provider: &'r str,
    image: &'r str,
    /// Whether it may exist.
    attempted: bool,
    /// Whether its id is known.
    known: bool,
    /// Whether it is still to be asked for.
    wanted: bool,
    floating_ip: &'r FloatingFacts,
}

fn things<'r>(
    nodes: impl Iterator<Item = &'r Node>,
    images: impl Iterator<Item = &'r Image>,
) -> impl Iterator<Item = Thing<'r>> {
    let of_node = |node: &'r Node| Thing {
        owner: Owner::Node(node.id),
        provider: &node.provider,
        image: &node.image,
        attempted: node.attempted.is_some(),
        known: node.attempted.is_some() && node.server_id.is_some(),
        wanted: matches!(node.state, NodeState::Building(_)),
        floating_ip: &node.floating_ip,
    };
    let of_image = |image: &'r Image| {
        let is_verifying = image.verify_attempted.is_some();
        let builder = Thing {
            owner: Owner::Builder(image.id),
            provider: &image.provider,
            image: &image.image,
            attempted: image.attempted.is_some(),
            known: image.attempted.is_some() && image.server_id.is_some(),
            // As with places: a build has one, whichever of its two servers is to come.
            wanted: matches!(image.state, ImageState::Building(_)) && !is_verifying,
            floating_ip: &image.floating_ip,
        };
        let verifier = Thing {
            owner: Owner::Verifier(image.id),
            attempted: is_verifying,
            known: is_verifying && image.verify_server_id.is_some(),
            wanted: false,
            floating_ip: &image.verify_floating_ip,
            ..builder
        };
        [builder, verifier]
    };
    nodes.map(of_node).chain(images.flat_map(of_image))
}

/// How much of each resource something takes.
type Cost = BTreeMap<Resource, u64>;

/// What servers of an image take, so many of them.
fn cost(provider: &Provider, image: &str, quota: &Quota, servers: u32) -> Cost {
    let configured = provider.image(image);
    let flavor = configured
        .and_then(|image| Flavor::smallest(&quota.flavors, image.min_ram, image.name_filter.as_deref()));
    // Which flavor it is may not be known; then its size binds nobody.
    let (cores, ram) = flavor.map_or((0, 0), |flavor| (flavor.cores, flavor.ram));
    let ports = u64::try_from(provider.networks.len().max(1)).unwrap_or(1);
    let each =
        [(Resource::Instances, 1), (Resource::Cores, cores), (Resource::Ram, ram), (Resource::Ports, ports)];
    each.into_iter().map(|(resource, amount)| (resource, amount.saturating_mul(servers.into()))).collect()
}

/// The quota of each provider.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    by_provider: BTreeMap<String, Pool>,
    /// Where something was refused for want of it.
    short: BTreeSet<String>,
}

/// The quota of one provider.
#[derive(Debug, Default)]
struct Pool {
    /// Nobody has tried to read it yet.
    unread: bool,
    /// Something of ours went since the last reading.
    freed: bool,
    /// Only resources with a limit.
    resources: BTreeMap<Resource, Level>,
}

/// How full it is.
#[derive(Debug, Default)]
struct Level {
    limit: u64,
    /// What may exist now.
    occupied: u64,
    /// What is or will be there, with the rows that wait for their servers.
    reserved: u64,
    /// What of `occupied` is that of rows.
    ours: u64,
}

/// Which of the two counts is asked for, as with places.
#[derive(Clone, Copy)]
enum Count {
    Occupied,
    Reserved,
}

impl Level {
    const fn taken(&self, count: Count) -> u64 {
        match count {
            Count::Occupied => self.occupied,
            Count::Reserved => self.reserved,
        }
    }

    /// How full it is, and what makes the difference where something seems to be left.
    fn told(&self, count: Count, needed: u64) -> String {
        let (occupied, limit) = (self.occupied, self.limit);
        let kept = self.taken(count).saturating_sub(occupied);
        let kept = if kept > 0 { format!(", {kept} kept for servers to come") } else { String::new() };
        let needed =
            if self.taken(count) < limit { format!(", {needed} more needed") } else { String::new() };
        format!("{occupied} of {limit}{kept}{needed}")
    }
}

impl Pool {
    fn add(&mut self, resource: Resource, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.resources.get_mut(&resource) {
            change(level);
        }
    }
}

impl Quotas {
    /// Counts what is there.
    pub(super) fn count(config: &Config, seen: &Observation<'_>) -> Self {
        let mut quotas = Self::default();
        for provider in config.providers.iter().filter(|provider| provider.retired.is_none()) {
            let view = seen.clouds.get(&provider.name).map(|cloud| &cloud.quota);
            let mut pool = Pool {
                unread: view.is_some_and(|view| view.reading.is_none() && view.trouble.is_none()),
                ..Pool::default()
            };
            if let Some(reading) = view.and_then(|view| view.believed(seen.now)) {
                fill(&mut pool, provider, reading, seen);
            }
            quotas.by_provider.insert(provider.name.clone(), pool);
        }
        quotas
    }

    /// How many more rows fit, by the number of servers alone.
    pub(super) fn servers_left(&self, provider: &str) -> u32 {
        let level = self.by_provider.get(provider).and_then(|pool| pool.resources.get(&Resource::Instances));
        level.map_or(u32::MAX, |level| {
            u32::try_from(level.limit.saturating_sub(level.reserved)).unwrap_or(u32::MAX)
        })
    }

    /// Whether a floating IP is left, as far as is known.
    pub(super) fn has_floating_ips(&self, provider: &str) -> bool {
        let level =
            self.by_provider.get(provider).and_then(|pool| pool.resources.get(&Resource::FloatingIps));
        level.is_none_or(|level| level.occupied < level.limit)
    }

    /// What is used of each resource: what was told, and what was asked for since.
    pub(super) fn usage(
        &self,
        provider: &str,
        told: &BTreeMap<Resource, Usage>,
    ) -> BTreeMap<Resource, Usage> {
        let levels = self.by_provider.get(provider).map(|pool| &pool.resources);
        let counted = |resource: &Resource| levels.and_then(|levels| levels.get(resource));
        let used = |resource, usage: &Usage| counted(resource).map_or(usage.used, |level| level.occupied);
        told.iter().map(|(name, usage)| (*name, Usage { used: used(name, usage), ..*usage })).collect()
    }

    fn check(&mut self, provider: &str, cost: &Cost, count: Count) -> Result<(), String> {
        let Some(pool) = self.by_provider.get(provider) else { return Ok(()) };
        if pool.unread {
            return Err(format!("the limits of {provider} were not read yet"));
        }
        for (resource, amount) in cost.iter().filter(|(_, amount)| **amount > 0) {
            let Some(level) = pool.resources.get(resource) else { continue };
            let taken = level.taken(count);
            if taken.saturating_add(*amount) > level.limit {
                self.short.insert(provider.to_owned());
                return Err(format!(
                    "{provider} is at quota: {} {}",
                    resource.title(),
                    level.told(count, *amount)
                ));
            }
        }
        Ok(())
    }

    fn take(&mut self, provider: &str, cost: &Cost, count: Count) {
        let Some(pool) = self.by_provider.get_mut(provider) else { return };
        for (resource, amount) in cost {
            pool.add(*resource, |level| match count {
                Count::Occupied => level.occupied = level.occupied.saturating_add(*amount),
                Count::Reserved => level.reserved = level.reserved.saturating_add(*amount),
            });
        }
    }

    /// Whether this would fit if nothing of ours were there.
    fn could_fit(&self, provider: &str, cost: &Cost) -> bool {
        self.by_provider.get(provider).is_none_or(|pool| {
            cost.iter().all(|(resource, amount)| {
                pool.resources.get(resource).is_none_or(|level| {
                    level.occupied.saturating_sub(level.ours).saturating_add(*amount) <= level.limit
                })
            })
        })
    }
}

/// Counts what a reading tells, and what came on top.
fn fill(pool: &mut Pool, provider: &Provider, reading: &Reading, seen: &Observation<'_>) {
    for (resource, usage) in &reading.quota.usage {
        if let Some(limit) = usage.limit {
            let level = Level { limit, occupied: usage.used, reserved: usage.used, ours: 0 };
            pool.resources.insert(*resource, level);
        }
    }
    let mut left = reading.counted.clone();
    for thing in things(seen.nodes.iter(), seen.images.iter()).filter(|thing| thing.provider == provider.name)
    {
        let counted = reading.counted.servers.contains(&thing.owner);
        for (resource, amount) in cost(provider, thing.image, &reading.quota, 1) {
            pool.add(resource, |level| {
                if thing.attempted {
                    level.ours = level.ours.saturating_add(amount);
                }
                if thing.attempted && !counted {
                    level.occupied = level.occupied.saturating_add(amount);
                }
                if (thing.attempted && !counted) || (thing.wanted && !thing.attempted) {
                    level.reserved = level.reserved.saturating_add(amount);
                }
            });
        }
        let has_one = thing.floating_ip.attempted.is_some();
        if has_one && !reading.counted.floating_ips.contains(&thing.owner) {
            pool.add(Resource::FloatingIps, |level| level.occupied = level.occupied.saturating_add(1));
        }
        if thing.attempted {
            left.servers.remove(&thing.owner);
        }
        if has_one {
            left.floating_ips.remove(&thing.owner);
        }
    }
    pool.freed = !left.servers.is_empty() || !left.floating_ips.is_empty();
}

fn waited_for(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX)
}

impl Draft<'_> {
    fn cost(&self, provider: &str, image: &str, servers: u32) -> Cost {
        let reading = self.cloud(provider).and_then(|cloud| cloud.quota.reading.as_ref());
        let configured = self.config.provider(provider);
        configured
            .zip(reading)
            .map(|(provider, reading)| cost(provider, image, &reading.quota, servers))
            .unwrap_or_default()
    }

    /// Whether the quota has room for rows of so many servers.
    pub(super) fn check_quota(&mut self, provider: &str, image: &str, servers: u32) -> Result<(), String> {
        let cost = self.cost(provider, image, servers);
        self.quotas.check(provider, &cost, Count::Reserved)
    }

    /// Keeps room in the quota for rows of so many servers.
    pub(super) fn reserve_quota(&mut self, provider: &str, image: &str, servers: u32) {
        let cost = self.cost(provider, image, servers);
        self.quotas.take(provider, &cost, Count::Reserved);
    }

    /// Whether so many servers can be created now.
    pub(super) fn check_quota_now(
        &mut self,
        provider: &str,
        image: &str,
        servers: u32,
    ) -> Result<(), String> {
        let cost = self.cost(provider, image, servers);
        self.quotas.check(provider, &cost, Count::Occupied)
    }

    /// So many servers are about to be created.
    pub(super) fn occupy_quota(&mut self, provider: &str, image: &str, servers: u32) {
        let cost = self.cost(provider, image, servers);
        self.quotas.take(provider, &cost, Count::Occupied);
    }

    /// Takes a floating IP out of the quota, if it has one left.
    pub(super) fn occupy_floating_ip(&mut self, provider: &str) -> Result<(), String> {
        let cost = Cost::from([(Resource::FloatingIps, 1)]);
        self.quotas.check(provider, &cost, Count::Occupied)?;
        self.quotas.take(provider, &cost, Count::Occupied);
        Ok(())
    }

    /// Whether giving up nodes of ours could make room for so many servers of this image.
    pub(super) fn could_make_room(&self, provider: &str, image: &str, servers: u32) -> bool {
        self.quotas.could_fit(provider, &self.cost(provider, image, servers))
    }

    /// Whether what is left of a quota is kept for another label: one that waits longer than this one and lacks nothing
    /// but that. Otherwise small servers would take each core as it becomes free, and a larger one would wait for ever.
    ///
    /// # Errors
    /// For whom it is kept.
    pub(super) fn check_quota_kept(&mut self, label: &Label, provider: &str) -> Result<(), String> {
        let waiting = &self.seen.waiting.jobs;
        let waited = waiting.waited(&label.name, self.seen.now);
        let longer: Vec<String> = waiting
            .labels()
            .filter(|(name, since)| *name != label.name && waited < waited_for(*since, self.seen.now))
            .map(|(name, _)| name.to_owned())
            .collect();
        for other in longer.iter().filter_map(|name| self.config.label(name)) {
            let servers = other.subnodes.saturating_add(1);
            if other.min_ready.is_some()
                && other.providers.iter().any(|name| name == provider)
                && self.check_quota(provider, &other.image, servers).is_err()
                && self.could_make_room(provider, &other.image, servers)
                && self.ability_but_quota(other, provider).is_ok()
            {
                let name = &other.name;
                return Err(format!(
                    "what is left of the quota of {provider} is kept for label {name}, which waits longer"
                ));
            }
        }
        Ok(())
    }

    /// Whether nobody knows how much room there is: the limits were not read yet, or something of ours went since.
    pub(super) fn quota_is_dated(&self, provider: &str) -> bool {
        self.quotas.by_provider.get(provider).is_some_and(|pool| pool.freed || pool.unread)
    }

    /// Reads the limits of a project: seldom, and soon where somebody waits for room.
    pub(super) fn read_quota(&mut self, provider: &str, cloud: &CloudView) {
        let Some(pool) = self.quotas.by_provider.get(provider) else { return };
        let pause = match (self.quotas.short.contains(provider), pool.freed) {
            (true, true) => limits::READ_QUOTA_WHEN_FREED,
            (true, false) => limits::READ_QUOTA_WHEN_SHORT,
            (false, _) => limits::READ_QUOTA,
        };
        let refused = self.seen.setback(SetbackKind::Capacity, provider, "").map(|setback| setback.last);
        let due = match (&cloud.quota.reading, &cloud.quota.trouble) {
            (Some(reading), None) => {
                refused.is_some_and(|refused| refused >= reading.began)
                    || self.has_come(reading.began.plus(pause))
            }
            (None, _) | (_, Some(_)) => true,
        };
        if due {
            let errand = Errand::ReadQuota { provider: provider.to_owned() };
            self.send(errand, "its limits are to be read");
        }
    }
}
