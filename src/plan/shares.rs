//! How free room is shared between labels, providers and targets. The arithmetic of nodepool v0, with its defects mended.
//!
//! Providers are asked one after the other, in the order given. Each label asks each of its providers for a share of
//! what it wants, in proportion to the providers' free room. At a provider the labels that have waited go first, the
//! longest waiting one before the others; then those that fewest other providers can serve; and labels that are alike
//! share what is left in proportion to what they ask for. A label's new nodes are then spread over its targets so that
//! these come to have about equally many.
//!
//! What v0 did wrong: it did not count the further servers of a node that consists of several, so that it granted more
//! than there is room for; and when shares were rounded, room was left over although somebody had asked for it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What a label asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The label.
    pub label: String,
    /// How many nodes.
    pub amount: u32,
    /// How many servers each of them takes, at least 1.
    pub servers: u32,
    /// The providers that can serve it, by name.
    pub providers: Vec<String>,
    /// How long the label has asked and got nothing, in any unit that is the same for all; 0: it does not wait.
    pub waited: u64,
}

/// How many more servers fit at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    /// The provider.
    pub provider: String,
    /// How many servers.
    pub servers: u32,
    /// The label for which what is free is kept, until there is enough for one of its nodes.
    pub kept_for: Option<String>,
}

/// What a label gets at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The label.
    pub label: String,
    /// The provider.
    pub provider: String,
    /// How many nodes, at least 1.
    pub amount: u32,
}

impl Free {
    /// Room at a provider that is kept for nobody.
    pub fn new(provider: &str, servers: u32) -> Self {
        Self { provider: provider.to_owned(), servers, kept_for: None }
    }

    /// How many nodes fit that take `servers` each.
    pub fn fits(&self, servers: u32) -> u32 {
        if self.kept_for.is_some() { 0 } else { self.servers.checked_div(servers).unwrap_or(0) }
    }

    fn take(&mut self, nodes: u32, servers: u32) {
        self.servers = self.servers.saturating_sub(nodes.saturating_mul(servers));
    }
}

/// Shares the free room out, and takes what is granted from it. The grants come in the order in which they were made.
///
/// As in v0 some room may be left over although somebody asked for it, because shares are rounded: see [`fill`].
pub fn share(requests: &[Request], room: &mut [Free]) -> Vec<Grant> {
    let mut open: Vec<Open<'_>> = requests.iter().map(|request| Open::new(request, room)).collect();
    let mut grants = Vec::new();
    let providers: Vec<String> = room.iter().map(|free| free.provider.clone()).collect();
    for provider in &providers {
        let asking = (0..).zip(&open).filter(|(_, open)| open.shares.contains_key(provider.as_str()));
        let mut asking: Vec<(usize, u64)> = asking.map(|(at, open)| (at, open.request.waited)).collect();
        asking.sort_by_key(|(_, waited)| Reverse(*waited));
        let (waiting, mut others): (Vec<_>, Vec<_>) = asking.into_iter().partition(|(_, waited)| *waited > 0);
        for (at, waited) in waiting {
            let Some(open) = open.get_mut(at) else { continue };
            open.keep_room(room);
            if available(room, provider, open.request.servers) > 0 {
                let amount = whole(open.share(provider).floor());
                open.grant(provider, amount, room, &mut grants);
            } else {
                others.push((at, waited));
            }
        }
        // Of those that as many providers can serve, the ones that wait in vain come last.
        others.sort_by_key(|(at, _)| open.get(*at).map(|open| open.shares.len()));
        for (at, _) in &others {
            let Some(amount) = rationed(&open, &others, *at, provider, room) else { continue };
            if let Some(open) = open.get_mut(*at) {
                open.grant(provider, amount, room, &mut grants);
            }
        }
    }
    grants
}

/// Gives what rounding left over to those who still lack something: one node to each in turn, the longest waiting label
/// first, at the provider of the label with most room.
pub fn fill(requests: &[Request], room: &mut [Free], grants: &mut Vec<Grant>) {
    let mut lacking: Vec<(&Request, u32)> =
        requests.iter().map(|request| (request, missing(request, grants))).collect();
    lacking.sort_by_key(|(request, _)| Reverse(request.waited));
    loop {
        let mut granted = false;
        for (request, left) in lacking.iter_mut().filter(|(_, left)| *left > 0) {
            let able = room.iter_mut().filter(|free| request.providers.contains(&free.provider));
            // Of equals the last one wins, so the first one has to come last.
            let able = able.filter(|free| free.fits(request.servers) > 0).rev();
            let Some(free) = able.max_by_key(|free| free.servers) else { continue };
            free.take(1, request.servers);
            let provider = free.provider.clone();
            let same = |grant: &&mut Grant| grant.label == request.label && grant.provider == provider;
            match grants.iter_mut().find(same) {
                Some(grant) => grant.amount = grant.amount.saturating_add(1),
                None => grants.push(Grant { label: request.label.clone(), provider, amount: 1 }),
            }
            *left = left.saturating_sub(1);
            granted = true;
        }
        if !granted {
            return;
        }
    }
}

/// Frees places that were granted and not used.
pub fn give_back(room: &mut [Free], provider: &str, servers: u32) {
    if let Some(free) = room.iter_mut().find(|free| free.provider == provider) {
        free.servers = free.servers.saturating_add(servers);
    }
}

/// How many nodes a label lacks after these grants.
pub fn missing(request: &Request, grants: &[Grant]) -> u32 {
    let of_label = grants.iter().filter(|grant| grant.label == request.label);
    of_label.fold(request.amount, |left, grant| left.saturating_sub(grant.amount))
}

/// Spreads new nodes over targets that have so many nodes of the label each, and adds them there. Gives how many each
/// target gets.
pub fn spread(amount: u32, targets: &mut [u32]) -> Vec<u32> {
    let mut left = amount;
    let mut total = targets.iter().fold(amount, |sum, there| sum.saturating_add(*there));
    let mut remaining = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let mut spread = Vec::new();
    for there in targets {
        let desired = whole((1.0 / f64::from(remaining) * f64::from(total)).round());
        let gets = desired.saturating_sub(*there).min(left);
        left = left.saturating_sub(gets);
        total = total.saturating_sub(*there).saturating_sub(gets);
        remaining = remaining.saturating_sub(1);
        *there = there.saturating_add(gets);
        spread.push(gets);
    }
    spread
}

/// A request while room is shared out.
struct Open<'a> {
    request: &'a Request,
    /// How many nodes are still asked for.
    left: u32,
    /// How many of them each provider is asked for that has not answered yet. Not whole numbers.
    shares: BTreeMap<&'a str, f64>,
}

impl<'a> Open<'a> {
    fn new(request: &'a Request, room: &[Free]) -> Self {
        let known = |provider: &&String| room.iter().any(|free| free.provider == **provider);
        let providers = request.providers.iter().filter(known);
        let shares = providers.map(|provider| (provider.as_str(), 0.0)).collect();
        let mut open = Self { request, left: request.amount, shares };
        open.ask(room);
        open
    }

    /// Asks the providers that have not answered yet, each in proportion to its room.
    fn ask(&mut self, room: &[Free]) {
        let fits = |provider: &str| f64::from(available(room, provider, self.request.servers));
        let total: f64 = self.shares.keys().map(|provider| fits(provider)).sum();
        for (provider, share) in &mut self.shares {
            let ratio = if total > 0.0 { fits(provider) / total } else { 0.0 };
            *share = ratio * f64::from(self.left);
        }
    }

    fn share(&self, provider: &str) -> f64 {
        self.shares.get(provider).copied().unwrap_or(0.0)
    }

    /// What it asks of a provider, in servers.
    fn weight(&self, provider: &str) -> f64 {
        self.share(provider) * f64::from(self.request.servers)
    }

    /// Keeps the room of its providers for a waiting node of several servers that fits nowhere yet. Otherwise nodes of
    /// one server would take each place as it becomes free, and the larger one would wait for ever.
    fn keep_room(&self, room: &mut [Free]) {
        let fits = |provider: &str| available(room, provider, self.request.servers);
        if self.left == 0 || self.shares.keys().any(|provider| fits(provider) > 0) {
            return;
        }
        for free in room.iter_mut().filter(|free| self.shares.contains_key(free.provider.as_str())) {
            if free.servers > 0 && free.kept_for.is_none() {
                free.kept_for = Some(self.request.label.clone());
            }
        }
    }

    /// The answer of a provider: so many nodes, as far as they fit.
    fn grant(&mut self, provider: &str, amount: u32, room: &mut [Free], grants: &mut Vec<Grant>) {
        let servers = self.request.servers;
        let amount = amount.min(available(room, provider, servers)).min(self.left);
        self.shares.remove(provider);
        self.left = self.left.saturating_sub(amount);
        if let Some(free) = room.iter_mut().find(|free| free.provider == provider) {
            free.take(amount, servers);
        }
        self.ask(room);
        if amount > 0 {
            let label = self.request.label.clone();
            grants.push(Grant { label, provider: provider.to_owned(), amount });
        }
    }
}

/// What a label gets that shares the room of a provider with others that as few providers can serve.
fn rationed(
    open: &[Open<'_>],
    others: &[(usize, u64)],
    at: usize,
    provider: &str,
    room: &[Free],
) -> Option<u32> {
    let asking = open.get(at)?;
    let alike = others.iter().filter_map(|(at, _)| open.get(*at));
    let alike = alike.filter(|other| other.shares.len() == asking.shares.len());
    let total: f64 = alike.map(|other| other.weight(provider)).sum();
    let ratio = if total > 0.0 { asking.weight(provider) / total } else { 0.0 };
    let free = f64::from(available(room, provider, 1));
    let ration = (free * ratio / f64::from(asking.request.servers)).round();
    Some(whole(asking.share(provider).round().min(ration)))
}

/// How many nodes of so many servers fit at a provider.
fn available(room: &[Free], provider: &str, servers: u32) -> u32 {
    room.iter().find(|free| free.provider == provider).map_or(0, |free| free.fits(servers))
}

/// A rounded number as an integer. All that is counted here are nodes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and within the bounds")]
fn whole(rounded: f64) -> u32 {
    rounded.clamp(0.0, f64::from(u32::MAX)) as u32
}
