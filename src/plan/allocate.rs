//! Which nodes to add where, and which of the added ones to create now.

use std::collections::BTreeMap;

use super::Draft;
use super::action::{Action, Errand, NewNode, Subject};
use crate::config::Label;
use crate::model::{ImageId, ImageState, ImageStep, NodeState, Owner, SetbackKind};

/// What a label lacks, and who can serve it.
struct Deficit<'a> {
    label: &'a Label,
    missing: u32,
    providers: Vec<(&'a str, ImageId)>,
}

impl<'a> Draft<'a> {
    /// Adds the nodes that are missing: one for each label in turn, so that none takes all the room.
    pub(super) fn allocate(&mut self) {
        let mut deficits: Vec<Deficit<'a>> = Vec::new();
        for label in &self.config.labels {
            let missing = self.missing(label);
            if missing > 0 {
                let providers = self.able_providers(label);
                deficits.push(Deficit { label, missing, providers });
            }
        }
        let mut granted = true;
        while granted {
            granted = false;
            for deficit in deficits.iter_mut().filter(|deficit| deficit.missing > 0) {
                if self.grant_one(deficit.label, &deficit.providers) {
                    deficit.missing = deficit.missing.saturating_sub(1);
                    granted = true;
                }
            }
        }
        for deficit in deficits.iter().filter(|deficit| deficit.missing > 0 && !deficit.providers.is_empty())
        {
            let reason = format!("{} more wanted, but its providers have no room", deficit.missing);
            self.refuse(Subject::Label(deficit.label.name.clone()), reason);
        }
    }

    /// How many more nodes a label wants: enough for its jobs, and its spare ones.
    fn missing(&self, label: &Label) -> u32 {
        let Some(spare) = label.min_ready else { return 0 };
        let (mut coming, mut busy) = (0_u32, 0_u32);
        for node in self.nodes.values().map(|drafted| &drafted.row).filter(|node| node.label == label.name) {
            match node.state {
                NodeState::Building(_) | NodeState::Ready => coming = coming.saturating_add(1),
                NodeState::Test | NodeState::Used => busy = busy.saturating_add(1),
                NodeState::Hold | NodeState::Delete | NodeState::Gone => {}
            }
        }
        let demand = self.seen.demand.and_then(|demand| demand.get(&label.name)).copied().unwrap_or(0);
        // Jobs that run are part of the demand; where nothing tells the demand, the busy nodes do.
        let wanted = demand.max(busy).saturating_add(spare);
        wanted.saturating_sub(coming).saturating_sub(busy)
    }

    /// The providers that can boot a node of this label now, each with its current image.
    fn able_providers(&mut self, label: &'a Label) -> Vec<(&'a str, ImageId)> {
        let mut able = Vec::new();
        for provider in &label.providers {
            match self.ability(label, provider) {
                Ok(image) => able.push((provider.as_str(), image)),
                Err(reason) => self.refuse(Subject::Label(label.name.clone()), reason),
            }
        }
        able
    }

    fn ability(&mut self, label: &Label, provider: &str) -> Result<ImageId, String> {
        if let Some(obstacle) = self.obstacle(provider) {
            return Err(obstacle);
        }
        self.check_setback(SetbackKind::Capacity, provider, "")?;
        self.check_setback(SetbackKind::Launch, provider, &label.name)?;
        self.current_image(provider, &label.image)
            .ok_or_else(|| format!("provider {provider} has no image {} ready", label.image))
    }

    /// The newest ready image: the one that nodes boot from.
    fn current_image(&self, provider: &str, image: &str) -> Option<ImageId> {
        self.images
            .values()
            .map(|drafted| &drafted.row)
            .filter(|row| row.provider == provider && row.image == image && row.state == ImageState::Ready)
            .max_by_key(|row| (row.version, row.id))
            .map(|row| row.id)
    }

    /// Adds one node where there is most room; of equal providers, at the first one in the configuration.
    fn grant_one(&mut self, label: &Label, providers: &[(&str, ImageId)]) -> bool {
        let roomiest = providers
            .iter()
            .rev()
            .filter(|(provider, _)| self.rooms.unreserved(provider) > 0)
            .max_by_key(|(provider, _)| self.rooms.unreserved(provider));
        let Some(&(provider, image_id)) = roomiest else { return false };
        let Some(target) = self.least_served_target(label) else {
            self.refuse(Subject::Label(label.name.clone()), "no target is configured to offer its nodes at");
            return false;
        };
        if !self.rooms.reserve(provider) {
            return false;
        }
        let node = NewNode {
            provider: provider.to_owned(),
            label: label.name.clone(),
            target: target.clone(),
            image: label.image.clone(),
            image_id: Some(image_id),
            az: self.least_used_zone(provider),
        };
        self.note_granted(&node);
        self.act(Action::AddNode(node), format!("label {} lacks ready nodes", label.name));
        true
    }

    fn note_granted(&mut self, node: &NewNode) {
        let at_target = self.granted.targets.entry((node.label.clone(), node.target.clone())).or_default();
        *at_target = at_target.saturating_add(1);
        if let Some(az) = &node.az {
            let in_zone = self.granted.zones.entry((node.provider.clone(), az.clone())).or_default();
            *in_zone = in_zone.saturating_add(1);
        }
    }

    fn least_served_target(&self, label: &Label) -> Option<String> {
        let count = |target: &str| {
            let there = self.nodes.values().map(|drafted| &drafted.row);
            let there = there.filter(|node| node.label == label.name && node.target == target).count();
            let coming =
                self.granted.targets.get(&(label.name.clone(), target.to_owned())).copied().unwrap_or(0);
            there.saturating_add(coming)
        };
        self.config.targets.iter().min_by_key(|target| count(&target.name)).map(|target| target.name.clone())
    }

    fn least_used_zone(&self, provider: &str) -> Option<String> {
        let count = |zone: &str| {
            let there = self.nodes.values().map(|drafted| &drafted.row);
            let there =
                there.filter(|node| node.provider == provider && node.az.as_deref() == Some(zone)).count();
            let coming =
                self.granted.zones.get(&(provider.to_owned(), zone.to_owned())).copied().unwrap_or(0);
            there.saturating_add(coming)
        };
        let zones = &self.config.provider(provider)?.availability_zones;
        zones.iter().min_by_key(|zone| count(zone)).cloned()
    }

    /// Creates the servers that rows wait for, as far as there is room: those that finish a build, then those that
    /// start one, then nodes.
    pub(super) fn create_servers(&mut self) {
        let mut wanted = Vec::new();
        for image in self.untouched_images() {
            let owner = match image.state {
                ImageState::Building(ImageStep::Verify) if image.verify_attempted.is_none() => {
                    Owner::Verifier(image.id)
                }
                ImageState::Building(ImageStep::Create) if image.attempted.is_none() => {
                    Owner::Builder(image.id)
                }
                _ => continue,
            };
            let order = u8::from(!matches!(owner, Owner::Verifier(_)));
            wanted.push((order, owner, image.provider, Subject::Image(image.id)));
        }
        for node in self.untouched_nodes() {
            if matches!(node.state, NodeState::Building(_)) && node.attempted.is_none() {
                wanted.push((2, Owner::Node(node.id), node.provider, Subject::Node(node.id)));
            }
        }
        wanted.sort();
        for (_, owner, provider, subject) in wanted {
            self.create_server(owner, &provider, subject);
        }
    }

    fn create_server(&mut self, owner: Owner, provider: &str, subject: Subject) {
        let errand = Errand::CreateServer { provider: provider.to_owned(), owner };
        let checked = match self.obstacle(provider) {
            Some(obstacle) => Err(obstacle),
            None => self.check_setback(SetbackKind::Capacity, provider, ""),
        };
        if let Err(reason) = checked {
            return self.refuse(subject, format!("no server is created: {reason}"));
        }
        if !self.may_send(&errand) {
            return;
        }
        if self.rooms.occupy(provider) {
            let (kind, number) = owner.words();
            self.act(Action::Send(errand), format!("{kind} {number} needs its server"));
        } else {
            let limit = self.rooms.limit(provider);
            self.refuse(
                subject,
                format!("no server is created: all {limit} servers of {provider} are taken"),
            );
        }
    }
}

/// What this plan has granted so far, for the fair choice of targets and zones.
#[derive(Debug, Default)]
pub(super) struct Granted {
    targets: BTreeMap<(String, String), usize>,
    zones: BTreeMap<(String, String), usize>,
}
