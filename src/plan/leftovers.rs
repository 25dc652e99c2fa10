//! How much is deleted of what was left behind: each finding with its evidence, and a cap on the damage.
//!
//! A leftover is deleted when two complete listings in a row showed it and it has been known for a while. When there are
//! many of them, compared with what carries our mark at all, it is rather our store that is wrong (an old copy, an empty
//! one, that of somebody else): then none of them is deleted before an operator confirmed it.

use super::action::{Errand, Subject};
use super::view::{CloudView, Listing};
use super::wishes::Verdict;
use super::{Draft, limits};
use crate::config::CleanFloatingIps;
use crate::model::{Fate, Leftover, LeftoverKind, Owner, Tag, Timestamp, WishKind, counted};
use crate::planted::{Bug, is_planted};

impl Draft<'_> {
    /// Deletes what was left behind, everywhere.
    pub(super) fn delete_leaks(&mut self) {
        if is_planted(Bug::LeaksStay) {
            return;
        }
        let providers: Vec<String> = self.seen.clouds.keys().cloned().collect();
        for provider in providers {
            let mut found = self.leftovers(&provider);
            let stopped = self.stopped(&provider, &found);
            for one in &mut found {
                self.deal_with(one, stopped.as_deref());
            }
            let mut loose = self.loose(&provider);
            for one in &mut loose {
                self.deal_with(one, None);
            }
            if let Some(one) = found.iter().find(|one| one.fate == Fate::Stopped) {
                self.refuse(Subject::Provider(provider.clone()), one.reason.clone());
            }
            self.plan.leftovers.append(&mut found);
            self.plan.leftovers.append(&mut loose);
        }
    }

    fn deal_with(&mut self, one: &mut Leftover, stopped: Option<&str>) {
        if one.fate == Fate::Watched {
            return;
        }
        let confirmed = self.confirmed().is_some_and(|confirmed| one.first_seen <= confirmed);
        if let Some(stopped) = stopped.filter(|_| !confirmed) {
            one.fate = Fate::Stopped;
            stopped.clone_into(&mut one.reason);
            return;
        }
        let provider = one.provider.clone();
        if let Some(obstacle) = self.obstacle(&provider) {
            let (kind, id) = (one.kind.word(), &one.id);
            self.refuse(Subject::Provider(provider), format!("leaked {kind} {id} stays: {obstacle}"));
            one.reason = obstacle;
            return;
        }
        let id = one.id.clone();
        let errand = match one.kind {
            LeftoverKind::Server => Errand::DeleteServer { provider, id, owner: None },
            LeftoverKind::Image => Errand::DeleteSnapshot { provider, id },
            LeftoverKind::Keypair => Errand::DeleteKeypair { provider, name: id },
            LeftoverKind::FloatingIp => Errand::DeleteFloatingIp { provider, id, owner: None },
            LeftoverKind::Volume => Errand::DeleteVolume { provider, id },
            LeftoverKind::Port => match self.cloud(&provider).and_then(|cloud| cloud.ports.items.get(&id)) {
                Some(port) => Errand::DeletePort { server: port.server_id.clone(), provider, id },
                None => return,
            },
        };
        self.send(errand, one.reason.clone());
    }

    /// All that was left behind at a provider. What was not seen for long enough is watched; the rest is to go.
    pub(super) fn leftovers(&mut self, provider: &str) -> Vec<Leftover> {
        let Some(cloud) = self.cloud(provider) else { return Vec::new() };
        let mut found = Vec::new();
        for server in cloud.servers.items.values() {
            if let Some(tag) = server.tag.as_ref().filter(|tag| self.is_leaked(&server.id, tag)) {
                found.push(finding(provider, LeftoverKind::Server, &server.id, &said(tag), &cloud.servers));
            }
        }
        if cloud.images.trouble.is_none() {
            for image in cloud.images.items.values() {
                if let Some(tag) = image.tag.as_ref().filter(|tag| self.is_leaked_snapshot(&image.id, tag)) {
                    found.push(finding(provider, LeftoverKind::Image, &image.id, &said(tag), &cloud.images));
                }
            }
        }
        if cloud.keypairs.trouble.is_none() && !is_planted(Bug::KeypairsStay) {
            for name in cloud.keypairs.items.keys().filter(|name| self.is_leaked_keypair(name)) {
                found.push(finding(
                    provider,
                    LeftoverKind::Keypair,
                    name,
                    "a builder, by its name",
                    &cloud.keypairs,
                ));
            }
        }
        if cloud.floating_ips.trouble.is_none() {
            for one in cloud.floating_ips.items.values() {
                if let Some(tag) = one.tag.as_ref().filter(|tag| self.is_leaked_floating_ip(&one.id, tag)) {
                    let listing = &cloud.floating_ips;
                    found.push(finding(provider, LeftoverKind::FloatingIp, &one.id, &said(tag), listing));
                }
            }
        }
        for one in &mut found {
            self.judge_age(one);
        }
        found.append(&mut self.left_ports(provider, cloud));
        found.append(&mut self.left_volumes(provider, cloud));
        found
    }

    /// Floating IPs of others that lead to no server, where the configuration wants them deleted. Those of another Nodepool
    /// are its own business. No store is so wrong that it made them, so their number is not limited.
    fn loose(&mut self, provider: &str) -> Vec<Leftover> {
        let Some(cloud) = self.cloud(provider) else { return Vec::new() };
        if !self.takes_loose(provider) || cloud.floating_ips.trouble.is_some() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for one in cloud.loose.items.values().filter(|one| one.tag.is_none()) {
            let mut one = finding(provider, LeftoverKind::FloatingIp, &one.id, "somebody else", &cloud.loose);
            let ripe = one.first_seen.plus(limits::LOOSE_AGE);
            // What was loose a while ago may lead to a server by now: only a listing since then tells.
            let is_fresh = cloud.loose.complete.is_some_and(|began| began >= ripe);
            if self.has_come(ripe) && is_fresh && one.listings >= 2 {
                one.fate = Fate::Deleted;
                "it leads to no server, and clean-floating-ips is `all`".clone_into(&mut one.reason);
            } else {
                let age = limits::LOOSE_AGE.as_secs();
                one.reason =
                    format!("it goes when it has led to no server for {age} s, as clean-floating-ips wants");
            }
            found.push(one);
        }
        found
    }

    /// Whether a listing now would tell of a floating IP whether it still leads nowhere.
    pub(super) fn doubts_loose(&self, provider: &str, cloud: &CloudView) -> bool {
        let (true, Some(complete)) = (self.takes_loose(provider), cloud.loose.complete) else { return false };
        let mut loose = cloud.loose.items.values().filter(|one| one.tag.is_none());
        loose.any(|one| {
            let ripe = cloud.loose.sighting(&one.id).0.plus(limits::LOOSE_AGE);
            complete < ripe && self.now() >= ripe
        })
    }

    fn takes_loose(&self, provider: &str) -> bool {
        let configured = self.config.provider(provider).filter(|provider| provider.retired.is_none());
        configured.is_some_and(|provider| provider.clean_floating_ips == CleanFloatingIps::All)
    }

    /// What is not old enough waits, and is looked at again when it is.
    fn judge_age(&mut self, one: &mut Leftover) {
        if one.listings >= 2 {
            let old_enough = self.has_come(one.first_seen.plus(limits::LEFTOVER_AGE));
            one.fate = if old_enough { Fate::Deleted } else { Fate::Watched };
        }
        one.reason = match one.fate {
            Fate::Watched => {
                let age = limits::LEFTOVER_AGE.as_secs();
                format!("it goes when two complete listings showed it and it has been known for {age} s")
            }
            Fate::Deleted | Fate::Stopped => match one.kind {
                LeftoverKind::Keypair => "it is named as ours and no row has it".to_owned(),
                _ => format!("it carries our tag as {}, and no row has it", one.made_for),
            },
        };
    }

    /// Why none of these is deleted, if there are suspiciously many.
    fn stopped(&self, provider: &str, found: &[Leftover]) -> Option<String> {
        let ripe = found.iter().filter(|one| one.fate == Fate::Deleted).count();
        let owned = self.cloud(provider).map_or(0, |cloud| self.owned(cloud));
        let share = usize::try_from(self.config.leak_limit).unwrap_or(100);
        let most = owned.saturating_mul(share).div_euclid(100).max(limits::LEFTOVERS_ALWAYS_DELETED);
        (ripe > most && share < 100).then(|| {
            format!(
                "{ripe} of {owned} things that carry our mark have no row, more than the leak-limit of {share} % allows: \
                 none is deleted; see `nodepool gc --dry-run`, then say `nodepool gc --confirm`"
            )
        })
    }

    /// How many things carry our mark at a cloud.
    fn owned(&self, cloud: &CloudView) -> usize {
        let ours = |tag: Option<&Tag>| tag.is_some_and(|tag| tag.installation == self.seen.installation);
        let servers = cloud.servers.items.values().filter(|one| ours(one.tag.as_ref())).count();
        let images = cloud.images.items.values().filter(|one| ours(one.tag.as_ref())).count();
        let floating_ips = cloud.floating_ips.items.values().filter(|one| ours(one.tag.as_ref())).count();
        let named = |name: &&String| Tag::keypair_owner(self.seen.installation, name).is_some();
        let keypairs = cloud.keypairs.items.keys().filter(named).count();
        let ports = cloud.ports.items.values().filter(|one| ours(one.tag.as_ref())).count();
        let volumes = cloud.volumes.items.values().filter(|one| ours(one.tag.as_ref())).count();
        [servers, images, floating_ips, keypairs, ports, volumes].into_iter().fold(0, usize::saturating_add)
    }

    /// Until when what was seen is confirmed to go, if an operator said so lately.
    fn confirmed(&self) -> Option<Timestamp> {
        let wishes = self.seen.wishes.iter().filter(|wish| wish.kind == WishKind::ConfirmCleanup);
        wishes.map(|wish| wish.created).max()
    }

    /// An operator confirmed that what stopped a cleanup is to go. The wish stays open while that is done.
    pub(super) fn confirm_cleanup(&mut self, asked: Timestamp) -> Verdict {
        let providers: Vec<String> = self.seen.clouds.keys().cloned().collect();
        let mut left = 0_usize;
        for provider in providers {
            let found = self.leftovers(&provider);
            if self.stopped(&provider, &found).is_some() {
                left = left.saturating_add(found.iter().filter(|one| one.first_seen <= asked).count());
            }
        }
        if left == 0 {
            return Verdict::Granted(
                "no cleanup is stopped any more: what was left behind is deleted".to_owned(),
            );
        }
        if self.has_come(asked.plus(limits::CONFIRMATION_LASTS)) {
            let hours = limits::CONFIRMATION_LASTS.as_secs().div_euclid(3600);
            return Verdict::Refused(format!(
                "{} left behind and still there after {hours} h",
                counted(left, "thing was", "things were")
            ));
        }
        Verdict::Later
    }

    /// Deletes a server that is not ours, because an operator wants it. The wish stays open until it is gone.
    pub(super) fn delete_alien(&mut self, provider: &str, id: &str, asked: Timestamp) -> Verdict {
        let Some(cloud) = self.cloud(provider).filter(|_| self.config.provider(provider).is_some()) else {
            return Verdict::Refused(format!("there is no provider {provider} in the configuration"));
        };
        if !self.seen.permissions.deletes {
            return Verdict::Refused(format!(
                "server {id} is not deleted: {}",
                super::observation::NO_DELETES
            ));
        }
        let late = self.has_come(asked.plus(limits::ALIEN_PATIENCE));
        let Some(server) = cloud.servers.items.get(id) else {
            if cloud.servers.complete.is_some_and(|began| began >= asked) {
                return Verdict::Granted(format!("server {id} is not at {provider} any more"));
            }
            self.list_from = Some(self.list_from.map_or(asked, |earlier| earlier.max(asked)));
            return match self.obstacle(provider) {
                Some(obstacle) if late => Verdict::Refused(format!("server {id} is not deleted: {obstacle}")),
                _ => Verdict::Later,
            };
        };
        if let Some(ours) = self.is_ours(id, server.tag.as_ref()) {
            return Verdict::Refused(format!("server {id} is ours: {ours}"));
        }
        if late {
            let minutes = limits::ALIEN_PATIENCE.as_secs().div_euclid(60);
            return Verdict::Refused(format!("{provider} still shows server {id} after {minutes} min"));
        }
        let errand = Errand::DeleteServer { provider: provider.to_owned(), id: id.to_owned(), owner: None };
        self.send(errand, "an operator wants this server deleted, which is not ours");
        Verdict::Later
    }

    /// Whose a server is, if it is ours, and what to do about it.
    fn is_ours(&self, id: &str, tag: Option<&Tag>) -> Option<String> {
        let node =
            self.nodes.values().map(|drafted| &drafted.row).find(|row| row.server_id.as_deref() == Some(id));
        if let Some(node) = node {
            return Some(format!("it is that of node {}; see `nodepool delete`", node.id));
        }
        let has = |known: Option<&String>| known.is_some_and(|known| known == id);
        let mut images = self.images.values().map(|drafted| &drafted.row);
        let builds =
            |row: &&crate::model::Image| has(row.server_id.as_ref()) || has(row.verify_server_id.as_ref());
        if let Some(image) = images.find(builds) {
            return Some(format!("image {} is built on it; see `nodepool image-delete`", image.id));
        }
        let tag = tag.filter(|tag| tag.installation == self.seen.installation)?;
        Some(if self.is_leaked(id, tag) {
            "no row has it, so it is deleted without being asked for; see `nodepool gc --dry-run`".to_owned()
        } else {
            format!("it was made for {}", said(tag))
        })
    }
}

pub(super) fn finding<T>(
    provider: &str,
    kind: LeftoverKind,
    id: &str,
    made_for: &str,
    listing: &Listing<T>,
) -> Leftover {
    let (first_seen, listings) = listing.sighting(id);
    Leftover {
        provider: provider.to_owned(),
        kind,
        id: id.to_owned(),
        made_for: made_for.to_owned(),
        first_seen,
        listings,
        fate: Fate::Watched,
        reason: String::new(),
    }
}

/// What a tag says, in words.
pub(super) fn said(tag: &Tag) -> String {
    let (kind, number) = tag.owner.words();
    let what = match tag.owner {
        Owner::Node(_) => kind.to_owned(),
        Owner::Builder(_) | Owner::Verifier(_) => format!("{kind} of image"),
    };
    format!("{what} {number}, attempt {}", tag.attempt)
}
