//! Which nodes to add where, and which of the added ones to create now.

use std::collections::BTreeMap;

use super::Draft;
use super::action::{Action, Errand, NewNode, Subject};
use super::observation::{NO_IMAGES, NO_LAUNCHES};
use crate::config::Label;
use crate::fsm::node::NodeEvent;
use crate::model::{ImageId, ImageState, ImageStep, Node, NodeState, Owner, SetbackKind};

/// What a label lacks, and who can serve it.
struct Deficit<'a> {
    label: &'a Label,
    missing: u32,
    reason: String,
    providers: Vec<(&'a str, ImageId)>,
}

impl<'a> Draft<'a> {
    /// Adds the nodes that are missing: one for each label in turn, so that none takes all the room.
    pub(super) fn allocate(&mut self) {
        let mut deficits: Vec<Deficit<'a>> = Vec::new();
        for label in &self.config.labels {
            if let Some((missing, reason)) = self.missing(label) {
                let providers = self.able_providers(label);
                deficits.push(Deficit { label, missing, reason, providers });
            }
        }
        let mut granted = true;
        while granted {
            granted = false;
            for deficit in deficits.iter_mut().filter(|deficit| deficit.missing > 0) {
                if self.grant_one(deficit) {
                    deficit.missing = deficit.missing.saturating_sub(1);
                    granted = true;
                }
            }
        }
        for deficit in deficits.iter().filter(|deficit| deficit.missing > 0 && !deficit.providers.is_empty())
        {
            let size = match size(deficit.label) {
                1 => String::new(),
                servers => format!(" for {servers} servers each"),
            };
            let reason = format!("{} more wanted, but its providers have no room{size}", deficit.missing);
            self.refuse(Subject::Label(deficit.label.name.clone()), reason);
        }
    }

    /// How many more nodes a label wants, and why: enough for its jobs, and its spare ones.
    fn missing(&self, label: &Label) -> Option<(u32, String)> {
        let spare = label.min_ready?;
        let (mut coming, mut busy) = (0_u32, 0_u32);
        let nodes = self.nodes.values().map(|drafted| &drafted.row);
        for node in nodes.filter(|node| node.label == label.name && node.primary.is_none()) {
            match node.state {
                NodeState::Building(_) | NodeState::Ready => coming = coming.saturating_add(1),
                NodeState::Test | NodeState::Used => busy = busy.saturating_add(1),
                NodeState::Hold | NodeState::Delete | NodeState::Gone => {}
            }
        }
        let demand = self.seen.demand.and_then(|demand| demand.get(&label.name)).copied().unwrap_or(0);
        // Jobs that run are part of the demand; where nothing tells the demand, the busy nodes do.
        let (jobs, there) = (demand.max(busy), coming.saturating_add(busy));
        let missing = jobs.saturating_add(spare).saturating_sub(there);
        let reason = format!(
            "label {} wants nodes for {jobs} jobs and {spare} spare ones, and has {there}",
            label.name
        );
        (missing > 0).then_some((missing, reason))
    }

    /// The providers that can boot a node of this label now, each with its current image.
    fn able_providers(&mut self, label: &'a Label) -> Vec<(&'a str, ImageId)> {
        if !self.seen.permissions.launches {
            self.refuse(Subject::Label(label.name.clone()), format!("no node is made: {NO_LAUNCHES}"));
            return Vec::new();
        }
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
    fn grant_one(&mut self, deficit: &Deficit<'_>) -> bool {
        let label = deficit.label;
        let roomiest = deficit
            .providers
            .iter()
            .rev()
            .filter(|(provider, _)| self.rooms.unreserved(provider) >= size(label))
            .max_by_key(|(provider, _)| self.rooms.unreserved(provider));
        let Some(&(provider, image_id)) = roomiest else { return false };
        let Some(target) = self.least_served_target(label) else {
            self.refuse(Subject::Label(label.name.clone()), "no target is configured to offer its nodes at");
            return false;
        };
        if !self.rooms.reserve(provider, size(label)) {
            return false;
        }
        let node = NewNode {
            provider: provider.to_owned(),
            label: label.name.clone(),
            target: target.clone(),
            image: label.image.clone(),
            image_id: Some(image_id),
            az: self.next_zone(provider, label),
            subnodes: label.subnodes,
        };
        self.note_granted(&node);
        self.act(Action::AddNode(node), deficit.reason.clone());
        true
    }

    fn note_granted(&mut self, node: &NewNode) {
        let at_target = self.granted.targets.entry((node.label.clone(), node.target.clone())).or_default();
        *at_target = at_target.saturating_add(1);
        if let Some(az) = &node.az {
            let in_zone = self.granted.zones.entry((node.provider.clone(), az.clone())).or_default();
            let servers = usize::try_from(node.subnodes).unwrap_or(usize::MAX).saturating_add(1);
            *in_zone = in_zone.saturating_add(servers);
        }
    }

    fn least_served_target(&self, label: &Label) -> Option<String> {
        let count = |target: &str| {
            let there = self.nodes.values().map(|drafted| &drafted.row);
            let there = there.filter(|node| node.label == label.name && node.primary.is_none());
            let there = there.filter(|node| node.target == target).count();
            let coming =
                self.granted.targets.get(&(label.name.clone(), target.to_owned())).copied().unwrap_or(0);
            there.saturating_add(coming)
        };
        self.config.targets.iter().min_by_key(|target| count(&target.name)).map(|target| target.name.clone())
    }

    /// The zone with fewest nodes. After failed launches the others get their turn, or a zone that is out of order
    /// would stay the one with fewest nodes for ever.
    fn next_zone(&self, provider: &str, label: &Label) -> Option<String> {
        let count = |zone: &str| {
            let there = self.nodes.values().map(|drafted| &drafted.row);
            let there =
                there.filter(|node| node.provider == provider && node.az.as_deref() == Some(zone)).count();
            let coming =
                self.granted.zones.get(&(provider.to_owned(), zone.to_owned())).copied().unwrap_or(0);
            there.saturating_add(coming)
        };
        let mut zones: Vec<&String> = self.config.provider(provider)?.availability_zones.iter().collect();
        zones.sort_by_cached_key(|zone| count(zone));
        let failures = self.seen.setback(SetbackKind::Launch, provider, &label.name);
        let failures = failures.map_or(0, |setback| usize::try_from(setback.failures).unwrap_or(0));
        let turn = failures.checked_rem(zones.len())?;
        zones.get(turn).map(|zone| (*zone).clone())
    }

    /// Creates the servers that rows wait for, as far as there is room: those that finish a build, then those that
    /// start one, then nodes. The servers of a set are created when there is room for all that it still lacks.
    pub(super) fn create_servers(&mut self) {
        let mut wanted: BTreeMap<(u8, Owner), (String, Vec<Owner>)> = BTreeMap::new();
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
            wanted.insert((order, owner), (image.provider, vec![owner]));
        }
        for node in self.untouched_nodes() {
            if !matches!(node.state, NodeState::Building(_)) || node.attempted.is_some() {
                continue;
            }
            if self.loss(node.head()).is_some() {
                // The next plan takes the whole set away.
                self.refuse(Subject::Node(node.id), "no server is created: its set is not whole any more");
            } else if self.is_bootable(&node) {
                let set = wanted.entry((2, Owner::Node(node.head()))).or_insert((node.provider, Vec::new()));
                set.1.push(Owner::Node(node.id));
            } else {
                // Its image was doomed a moment ago, by this very plan.
                self.check_image(node);
            }
        }
        for ((_, head), (provider, owners)) in wanted {
            match self.forbidden(head) {
                Some(why) => self.refuse_servers(&owners, why),
                None => self.create_together(&provider, &owners),
            }
        }
    }

    /// Why no server may be created for this owner, if so. A build that has its snapshot may end.
    fn forbidden(&self, owner: Owner) -> Option<&'static str> {
        match owner {
            Owner::Node(_) => (!self.seen.permissions.launches).then_some(NO_LAUNCHES),
            Owner::Builder(_) => (!self.seen.permissions.images).then_some(NO_IMAGES),
            Owner::Verifier(_) => None,
        }
    }

    fn create_together(&mut self, provider: &str, owners: &[Owner]) {
        let checked = match self.obstacle(provider) {
            Some(obstacle) => Err(obstacle),
            None => self.check_setback(SetbackKind::Capacity, provider, ""),
        };
        if let Err(reason) = checked {
            return self.put_off(provider, owners, &reason);
        }
        let errand = |owner: &Owner| Errand::CreateServer { provider: provider.to_owned(), owner: *owner };
        let due: Vec<&Owner> = owners.iter().filter(|owner| self.may_send(&errand(owner))).collect();
        if due.is_empty() {
            return;
        }
        let places = u32::try_from(owners.len()).unwrap_or(u32::MAX);
        if self.rooms.occupy(provider, places) {
            for owner in due {
                let (kind, number) = owner.words();
                self.act(Action::Send(errand(owner)), format!("{kind} {number} needs its server"));
            }
            return;
        }
        let reason = match (self.rooms.limit(provider), self.rooms.unoccupied(provider)) {
            (0, _) => format!("max-servers of {provider} is 0"),
            (limit, 0) => format!("all {limit} servers of {provider} are taken"),
            (limit, free) => {
                format!("its set needs {places} places at once, and {free} of {limit} are free at {provider}")
            }
        };
        self.put_off(provider, owners, &reason);
    }

    /// Servers cannot be created now. Their rows wait, unless they are a node's that would wait in vain: it counts for
    /// its label, and would keep another provider from serving in its place.
    fn put_off(&mut self, provider: &str, owners: &[Owner], reason: &str) {
        let waiting = owners.iter().find_map(|owner| match owner {
            Owner::Node(id) => self.nodes.get(id).map(|drafted| drafted.row.head()),
            Owner::Builder(_) | Owner::Verifier(_) => None,
        });
        let drafted = waiting.and_then(|id| self.nodes.get(&id)).filter(|drafted| !drafted.changed);
        if let Some(node) = drafted.map(|drafted| drafted.row.clone()) {
            let untried = self.set_of(node.id).iter().all(|member| member.attempted.is_none());
            let elsewhere = if untried { self.take_place_elsewhere(&node) } else { None };
            let reason = match elsewhere {
                Some(other) => Some(format!("{reason}, but {other} can serve in its place")),
                None => (self.rooms.limit(provider) == 0).then(|| reason.to_owned()),
            };
            if let Some(reason) = reason {
                return self.give_up_set(&node, &reason);
            }
        }
        self.refuse_servers(owners, reason);
    }

    fn refuse_servers(&mut self, owners: &[Owner], reason: &str) {
        for owner in owners {
            let subject = match owner {
                Owner::Node(id) => Subject::Node(*id),
                Owner::Builder(id) | Owner::Verifier(id) => Subject::Image(*id),
            };
            self.refuse(subject, format!("no server is created: {reason}"));
        }
    }

    /// Gives up a node with all its subnodes.
    fn give_up_set(&mut self, node: &Node, reason: &str) {
        self.node_event(node.clone(), NodeEvent::Doomed, reason);
        for member in self.set_of(node.id) {
            if !self.is_changed(member.id) {
                self.follow_primary(&member);
            }
        }
    }

    /// Another provider that could boot this node now; its place is taken, so that no other node counts on it.
    fn take_place_elsewhere(&mut self, node: &Node) -> Option<&'a str> {
        let label = self.config.label(&node.label)?;
        let mut others = label.providers.iter().filter(|other| **other != node.provider);
        let able =
            others.find(|other| self.ability(label, other).is_ok() && self.rooms.reserve(other, size(label)));
        able.map(String::as_str)
    }
}

/// How many servers a node of this label is.
fn size(label: &Label) -> u32 {
    label.subnodes.saturating_add(1)
}

/// What this plan has granted so far, for the fair choice of targets and zones.
#[derive(Debug, Default)]
pub(super) struct Granted {
    targets: BTreeMap<(String, String), usize>,
    zones: BTreeMap<(String, String), usize>,
}
