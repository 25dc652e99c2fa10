//! Breakers: what failed several times in a row is left alone for a while, and then tried by one node before it is used
//! as before.
//!
//! Each launch that fails counts against its label at its provider, and, unless it is known not to be their fault (`blame`),
//! against the provider and the snapshot that it boots; one that succeeds clears all three. Where the cloud says that it has no host for a server, the flavor is to
//! blame, and neither the provider nor the snapshot; that some server of the flavor was made clears it. A breaker is *closed* while there were few failures; *open* while its
//! pause lasts; and *half-open* afterwards: one node of each label tries it, and other providers serve meanwhile.
//!
//! A new snapshot is tried, too: one node boots it first, then every other one, and when some of them became ready all do.
//! If its nodes fail where those of the snapshot before it do not, it is set aside: it stays in the cloud for people to
//! look at, and nodes boot the one before it.

use super::action::Subject;
use super::blame::Blame;
use super::{Draft, limits};
use crate::config::Label;
use crate::model::{
    Flavor, Image, ImageId, ImageState, Node, NodeState, NodeStep, Setback, SetbackKind, Timestamp,
};

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// It was used lately, with few failures or none.
    Closed,
    /// Its pause is over, and one node tries it.
    HalfOpen,
    /// It is left alone.
    Open,
}

impl BreakerState {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    /// How the breaker of these failures stands.
    pub fn of(setback: &Setback, now: Timestamp) -> Self {
        let again = setback.last.plus(limits::backoff(setback.kind, setback.failures));
        if setback.failures < limits::breaks_after(setback.kind) {
            Self::Closed
        } else if now < again {
            Self::Open
        } else {
            Self::HalfOpen
        }
    }
}

impl Draft<'_> {
    /// Counts a launch that failed.
    pub(super) fn launch_failed(&mut self, node: &Node, reason: &str, blame: Blame) {
        self.set_back(SetbackKind::Launch, &node.provider, &node.label, reason);
        if blame.is_on(SetbackKind::Provider) {
            self.set_back(SetbackKind::Provider, &node.provider, "", reason);
        }
        if let Some(image) = node.image_id.filter(|_| blame.is_on(SetbackKind::Snapshot)) {
            self.set_back(SetbackKind::Snapshot, &node.provider, &image.to_string(), reason);
        }
    }

    /// A node became ready: what failed before counts no more.
    pub(super) fn launch_succeeded(&mut self, node: &Node) {
        let reason = "a node became ready";
        self.recover(SetbackKind::Launch, &node.provider, &node.label, reason);
        self.recover(SetbackKind::Provider, &node.provider, "", reason);
        if let Some(image) = node.image_id {
            self.recover(SetbackKind::Snapshot, &node.provider, &image.to_string(), reason);
        }
    }

    /// Whether a node of this label may be launched at a provider, as far as earlier launches are concerned.
    pub(super) fn check_breakers(&mut self, provider: &str, label: &Label) -> Result<(), String> {
        self.check_setback(SetbackKind::Launch, provider, &label.name)?;
        if let Some(flavor) = self.flavor(provider, &label.image) {
            self.check_setback(SetbackKind::Flavor, provider, &flavor)?;
        }
        if let Some(newest) = self.broken_snapshot(provider, &label.image) {
            self.check_setback(SetbackKind::Snapshot, provider, &newest.to_string())?;
        }
        self.check_probe(provider, label)
    }

    /// Whether no node tries already what failed several times in a row: servers of the label's flavor, nodes of its image,
    /// launches of the label, or all at the provider. There each label may try for itself, or one that never comes up would
    /// keep the others from showing that they do.
    pub(super) fn check_probe(&self, provider: &str, label: &Label) -> Result<(), String> {
        let flavor = self.flavor(provider, &label.image);
        let broken_flavor = flavor.filter(|flavor| self.is_broken(SetbackKind::Flavor, provider, flavor));
        let name = &label.name;
        let (what, alike): (String, Vec<&str>) = if let Some(flavor) = broken_flavor {
            let alike = self.config.labels.iter();
            let alike = alike.filter(|other| self.flavor(provider, &other.image).as_ref() == Some(&flavor));
            (
                format!("servers of flavor {flavor} at {provider}"),
                alike.map(|other| other.name.as_str()).collect(),
            )
        } else if self.broken_snapshot(provider, &label.image).is_some() {
            let alike = self.config.labels.iter().filter(|other| other.image == label.image);
            (
                format!("nodes from image {} at {provider}", label.image),
                alike.map(|other| other.name.as_str()).collect(),
            )
        } else if self.is_broken(SetbackKind::Launch, provider, name) {
            (format!("launches of {name} at {provider}"), vec![name])
        } else if self.is_broken(SetbackKind::Provider, provider, "")
            && !self.is_to_blame_on_others(provider, &label.image)
        {
            (format!("launches at {provider}"), vec![name])
        } else {
            return Ok(());
        };
        let mut rows = self.nodes.values().map(|drafted| &drafted.row).filter(|node| node.primary.is_none());
        let tries = rows.find(|node| {
            matches!(node.state, NodeState::Building(_))
                && node.provider == provider
                && alike.contains(&node.label.as_str())
        });
        if let Some(node) = tries {
            return Err(format!("{what} failed several times in a row; node {} tries it first", node.id));
        }
        let granted = |name: &&str| {
            let key = (provider.to_owned(), (*name).to_owned());
            self.granted.launches.get(&key).is_some_and(|count| *count > 0)
        };
        if alike.iter().any(granted) {
            return Err(format!("{what} failed several times in a row; one node tries it first"));
        }
        Ok(())
    }

    /// The snapshot that nodes of an image boot, if they failed several times in a row, whichever label they were for.
    fn broken_snapshot(&self, provider: &str, image: &str) -> Option<ImageId> {
        self.snapshots(provider, image).0.filter(|newest| self.keeps_failing(newest)).map(|row| row.id)
    }

    /// Whether another image at the provider keeps failing and this one does not: then it is that image, and not the provider.
    fn is_to_blame_on_others(&self, provider: &str, image: &str) -> bool {
        let rows = self.images.values().map(|drafted| &drafted.row);
        let ready = rows.filter(|row| row.provider == provider && row.state == ImageState::Ready);
        let mut others_fail = false;
        for row in ready {
            let failed = self.seen.setback(SetbackKind::Snapshot, provider, &row.id.to_string()).is_some();
            if row.image == image && failed {
                return false;
            }
            others_fail |= row.image != image && self.keeps_failing(row);
        }
        others_fail
    }

    /// The flavor that servers of an image take at a provider, as far as is known: that of the quota.
    fn flavor(&self, provider: &str, image: &str) -> Option<String> {
        let image = self.config.provider(provider)?.image(image)?;
        let reading = self.cloud(provider)?.quota.reading.as_ref()?;
        let flavor = Flavor::smallest(&reading.quota.flavors, image.min_ram, image.name_filter.as_deref())?;
        Some(flavor.name.clone())
    }

    /// Counts a server for which the cloud has no host: that is its flavor's fault there, and that of its label, but neither
    /// its image's nor everybody's. Gives whether it could be told.
    pub(super) fn placement_failed(&mut self, node: &Node, reason: &str) -> bool {
        let Some(flavor) = self.flavor(&node.provider, &node.image).filter(|_| speaks_of_hosts(reason))
        else {
            return false;
        };
        self.set_back(SetbackKind::Launch, &node.provider, &node.label, reason);
        self.set_back(SetbackKind::Flavor, &node.provider, &flavor, reason);
        true
    }

    /// Forgets what flavors did where a server of them was made since.
    pub(super) fn settle_flavors(&mut self) {
        let kept: Vec<&Setback> =
            self.seen.setbacks.iter().filter(|setback| setback.kind == SetbackKind::Flavor).collect();
        for setback in kept {
            let rows = self.nodes.values().map(|drafted| &drafted.row);
            let made = rows.filter(|node| {
                let has_host = match node.state {
                    NodeState::Building(step) => !matches!(step, NodeStep::Create | NodeStep::Boot),
                    NodeState::Test | NodeState::Ready | NodeState::Used | NodeState::Hold => true,
                    NodeState::Delete | NodeState::Gone => false,
                };
                has_host
                    && node.provider == setback.provider
                    && node.attempted.is_some_and(|at| at > setback.last)
            });
            let proves = made
                .map(|node| self.flavor(&node.provider, &node.image))
                .any(|flavor| flavor.as_ref() == Some(&setback.name));
            if proves {
                self.recover(
                    SetbackKind::Flavor,
                    &setback.provider,
                    &setback.name,
                    "a server of the flavor was made",
                );
            }
        }
    }

    /// Whether so much failed in a row that one node has to try it first.
    fn is_broken(&self, kind: SetbackKind, provider: &str, name: &str) -> bool {
        self.seen
            .setback(kind, provider, name)
            .is_some_and(|setback| BreakerState::of(setback, self.now()) != BreakerState::Closed)
    }

    /// The newest snapshot that nodes may boot, and the one before it; none of them is set aside, unless all are.
    fn snapshots(&self, provider: &str, image: &str) -> (Option<&Image>, Option<&Image>) {
        let rows = self.images.values().map(|drafted| &drafted.row);
        let ready = rows
            .filter(|row| row.provider == provider && row.image == image && row.state == ImageState::Ready);
        let mut ready: Vec<&Image> = ready.collect();
        ready.sort_by_key(|row| std::cmp::Reverse((row.version, row.id)));
        let good: Vec<&Image> = ready.iter().copied().filter(|row| !self.keeps_failing(row)).collect();
        let usable = if good.is_empty() { ready } else { good };
        (usable.first().copied(), usable.get(1).copied())
    }

    /// Whether nodes of a snapshot failed several times in a row.
    fn keeps_failing(&self, image: &Image) -> bool {
        let setback = self.seen.setback(SetbackKind::Snapshot, &image.provider, &image.id.to_string());
        setback.is_some_and(|setback| setback.failures >= limits::breaks_after(SetbackKind::Snapshot))
    }

    /// The image that nodes boot from, if there is one.
    pub(super) fn current_image(&self, provider: &str, image: &str) -> Option<ImageId> {
        self.snapshots(provider, image).0.map(|row| row.id)
    }

    /// The image for one more node: while the newest one is on trial, not every node boots it.
    pub(super) fn image_for_node(&self, provider: &str, image: &str) -> Option<ImageId> {
        let (newest, before) = self.snapshots(provider, image);
        let (newest, Some(before)) = (newest?, before) else { return newest.map(|row| row.id) };
        if newest.nodes_ready >= limits::TRIED_BY {
            return Some(newest.id);
        }
        let (trying, others) = (self.booting(newest.id), self.booting(before.id));
        let takes = if newest.nodes_ready == 0 { trying == 0 } else { trying <= others };
        Some(if takes { newest.id } else { before.id })
    }

    /// How many nodes are on their way from a snapshot, or will be.
    fn booting(&self, image: ImageId) -> u32 {
        let rows = self.nodes.values().map(|drafted| &drafted.row);
        let there = rows.filter(|node| {
            node.image_id == Some(image)
                && node.primary.is_none()
                && matches!(node.state, NodeState::Building(_))
        });
        let granted = self.granted.images.get(&image).copied().unwrap_or(0);
        u32::try_from(there.count()).unwrap_or(u32::MAX).saturating_add(granted)
    }

    /// Why a ready snapshot is set aside, if it is: its nodes fail, and there is one before it whose nodes do not.
    pub(super) fn is_set_aside(&self, image: &Image) -> Option<String> {
        if !self.keeps_failing(image) {
            return None;
        }
        let rows = self.images.values().map(|drafted| &drafted.row);
        let proven = rows.filter(|row| {
            (&row.provider, &row.image, row.state) == (&image.provider, &image.image, ImageState::Ready)
                && row.nodes_ready > 0
                && row.id != image.id
                && !self.keeps_failing(row)
        });
        let usable = proven.max_by_key(|row| (row.version, row.id))?;
        let setback = self.seen.setback(SetbackKind::Snapshot, &image.provider, &image.id.to_string())?;
        let (failures, reason) = (setback.failures, &setback.reason);
        Some(format!(
            "set aside: {failures} launches in a row failed with it, and those with image {} did not: {reason}",
            usable.id
        ))
    }

    /// Writes down that a snapshot is set aside, where people look for it, and says that it is.
    pub(super) fn note_set_aside(&mut self, image: &Image) {
        let Some(reason) = self.is_set_aside(image) else { return };
        self.refuse(Subject::Image(image.id), reason.clone());
        if !image.reason.starts_with("set aside") {
            self.image_facts(Image { reason: reason.clone(), ..image.clone() }, reason);
        }
    }
}

/// Whether a fault says that no host would take the server, by Nova's words.
fn speaks_of_hosts(fault: &str) -> bool {
    fault.to_lowercase().contains("no valid host")
}
