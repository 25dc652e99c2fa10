//! Which nodes to add where, and which of the added ones to create now.

use std::collections::{BTreeMap, VecDeque};

use super::action::{Action, Errand, NewNode, Subject};
use super::observation::{NO_IMAGES, NO_LAUNCHES};
use super::shares::{self, Free, Grant, Request, missing};
use super::waiting::Waiting;
use super::{Draft, Watermark};
use crate::config::Label;
use crate::fsm::node::NodeEvent;
use crate::model::{ImageId, ImageState, ImageStep, Node, NodeState, Owner, SetbackKind, counted};

/// What a label lacks, and who can serve it.
struct Deficit<'a> {
    label: &'a Label,
    /// Nodes for jobs that ask for them now.
    jobs: u32,
    /// Nodes to keep ready beyond those.
    spares: u32,
    reason: String,
    /// The providers that can boot its nodes now, each with the image to boot.
    providers: BTreeMap<&'a str, ImageId>,
}

/// Nodes that were granted and are to be added.
struct Share<'a> {
    deficit: &'a Deficit<'a>,
    provider: String,
    image_id: ImageId,
    /// Where each of them is to be offered.
    targets: VecDeque<String>,
}

impl<'a> Draft<'a> {
    /// Adds the nodes that are missing. Those that jobs wait for are granted first; spare ones get the room that is left,
    /// as many as fit.
    pub(super) fn allocate(&mut self) {
        let labels = &self.config.labels;
        let deficits: Vec<Deficit<'a>> = labels.iter().filter_map(|label| self.deficit(label)).collect();
        let mut room: Vec<Free> = Vec::new();
        for provider in &self.config.providers {
            let free = self.rooms.unreserved(&provider.name).min(self.quotas.servers_left(&provider.name));
            room.push(Free::new(&provider.name, free));
        }
        let seen = self.seen;
        let (jobs, added) = self.share_out(&deficits, &seen.waiting.jobs, |deficit| deficit.jobs, &mut room);
        self.plan.waiting.jobs = seen.waiting.jobs.after(seen.now, &jobs, &added);
        let (spares, more) =
            self.share_out(&deficits, &seen.waiting.spares, |deficit| deficit.spares, &mut room);
        self.plan.waiting.spares = seen.waiting.spares.after(seen.now, &spares, &more);
        let jobs_wait = jobs.iter().any(|request| missing(request, &added) > 0);
        for (deficit, (jobs, spares)) in deficits.iter().zip(jobs.iter().zip(&spares)) {
            let lacks = missing(jobs, &added).saturating_add(missing(spares, &more));
            self.explain_lack(deficit, lacks, &room);
            let first = if jobs_wait { missing(jobs, &added) } else { lacks };
            if first > 0 {
                self.give_way(deficit.label, first, &room);
            }
            if lacks > 0 && !jobs_wait {
                self.renew_in_place(deficit.label, &room);
            }
        }
    }

    /// Shares the room out between the labels, and adds what each is granted. Gives what was asked for and what was added.
    fn share_out(
        &mut self,
        deficits: &[Deficit<'a>],
        waiting: &Waiting,
        amount: impl Fn(&Deficit<'a>) -> u32,
        room: &mut [Free],
    ) -> (Vec<Request>, Vec<Grant>) {
        let requests = deficits.iter().map(|deficit| Request {
            label: deficit.label.name.clone(),
            amount: amount(deficit),
            servers: size(deficit.label),
            providers: deficit.providers.keys().map(|&name| name.to_owned()).collect(),
            waited: waiting.waited(&deficit.label.name, self.seen.now),
        });
        let requests: Vec<Request> = requests.collect();
        let mut grants = shares::share(&requests, room);
        shares::fill(&requests, room, &mut grants);
        let added = self.add_nodes(deficits, &grants, room);
        (requests, added)
    }

    /// Adds what was granted: a node of each grant in turn, so that no label has to wait for all nodes of another one. What
    /// cannot be added after all is free again.
    fn add_nodes(&mut self, deficits: &[Deficit<'a>], grants: &[Grant], room: &mut [Free]) -> Vec<Grant> {
        let mut granted: Vec<Share<'_>> = Vec::new();
        for grant in grants {
            let deficit = deficits.iter().find(|deficit| deficit.label.name == grant.label);
            let Some(deficit) = deficit else { continue };
            let Some(&image_id) = deficit.providers.get(grant.provider.as_str()) else { continue };
            let targets = self.spread_over_targets(&grant.label, grant.amount);
            granted.push(Share { deficit, provider: grant.provider.clone(), image_id, targets });
        }
        let mut added: Vec<Grant> = Vec::new();
        while granted.iter().any(|share| !share.targets.is_empty()) {
            for share in &mut granted {
                let Some(target) = share.targets.pop_front() else { continue };
                let (label, provider) = (share.deficit.label.name.clone(), share.provider.clone());
                match self.add_node(share, target) {
                    Ok(()) => added.push(Grant { label, provider, amount: 1 }),
                    Err(reason) => {
                        let left = u32::try_from(share.targets.len()).unwrap_or(u32::MAX).saturating_add(1);
                        shares::give_back(room, &provider, left.saturating_mul(size(share.deficit.label)));
                        share.targets.clear();
                        self.refuse_once(Subject::Label(label), reason);
                    }
                }
            }
        }
        added
    }

    fn add_node(&mut self, share: &Share<'_>, target: String) -> Result<(), String> {
        let (label, provider) = (share.deficit.label, &share.provider);
        let az = self.zone_for_node(provider)?;
        self.check_quota(provider, &label.image, size(label))?;
        self.check_probe(provider, label)?;
        if !self.rooms.reserve(provider, size(label)) {
            return Err(format!("provider {provider} has no room"));
        }
        self.reserve_quota(provider, &label.image, size(label));
        let image_id = self.image_for_node(provider, &label.image).unwrap_or(share.image_id);
        self.granted.note_launch(provider, &label.name, image_id);
        let node = NewNode {
            provider: provider.clone(),
            label: label.name.clone(),
            target,
            image: label.image.clone(),
            image_id: Some(image_id),
            az,
            subnodes: label.subnodes,
        };
        if let Some(az) = &node.az {
            self.note_in_zone(provider, az, size(label));
        }
        self.act(Action::AddNode(node), share.deficit.reason.clone());
        Ok(())
    }

    /// What a label lacks: nodes for its jobs, and its spare ones. A label with `min-ready: -1` lacks nothing.
    fn deficit(&mut self, label: &'a Label) -> Option<Deficit<'a>> {
        let open = self.open_targets();
        let given_up = self.replaced_targets();
        let balance = self.balance(label, &given_up);
        let (jobs, there, wanted, spare, renewing) =
            (balance.jobs, balance.there(), balance.wanted(), balance.spares, balance.renewing);
        let by = balance.spares_by.as_ref().map_or_else(String::new, |by| format!(" ({by})"));
        self.plan.stock.labels.insert(label.name.clone(), balance);
        let spare = spare?;
        if let Some(change) = Watermark::next_change(label, self.seen.now) {
            self.wake_at(change);
        }
        if wanted == 0 {
            return None;
        }
        if self.config.targets.is_empty() {
            let reason = "no target is configured to offer its nodes at";
            self.refuse(Subject::Label(label.name.clone()), reason);
            return None;
        }
        if let Err(closed) = open {
            let reason = format!("no target takes its nodes: {closed}");
            self.refuse(Subject::Label(label.name.clone()), reason);
            return None;
        }
        let mut reason = format!(
            "label {} wants nodes for {} and {}{by}, and has {there}",
            label.name,
            counted(jobs, "job", "jobs"),
            counted(spare, "spare one", "spare ones"),
        );
        if let (Some(age), 1..) = (label.max_ready_age, renewing) {
            reason.push_str(&super::renew::said(age, renewing));
        }
        let for_jobs = jobs.saturating_sub(there);
        let spares = wanted.saturating_sub(for_jobs);
        Some(Deficit { label, jobs: for_jobs, spares, reason, providers: self.able_providers(label) })
    }

    /// Says that a label lacks nodes because its providers have no room, and whom the room is kept for.
    fn explain_lack(&mut self, deficit: &Deficit<'_>, lacks: u32, room: &[Free]) {
        let mut able = room.iter().filter(|free| deficit.providers.contains_key(free.provider.as_str()));
        if lacks == 0 || deficit.providers.is_empty() || able.any(|free| free.fits(size(deficit.label)) > 0) {
            return;
        }
        let size = match size(deficit.label) {
            1 => String::new(),
            servers => format!(" for {servers} servers each"),
        };
        let kept = room.iter().filter(|free| deficit.providers.contains_key(free.provider.as_str()));
        let kept = kept.filter_map(|free| {
            let label = free.kept_for.as_ref()?;
            Some(format!("; {} free at {} are kept for {label}", free.servers, free.provider))
        });
        let kept: String = kept.collect();
        let reason = format!("{lacks} more wanted, but its providers have no room{size}{kept}");
        self.refuse(Subject::Label(deficit.label.name.clone()), reason);
    }

    /// The providers that can boot a node of this label now, each with its current image.
    fn able_providers(&mut self, label: &'a Label) -> BTreeMap<&'a str, ImageId> {
        let mut able = BTreeMap::new();
        if !self.seen.permissions.launches {
            self.refuse(Subject::Label(label.name.clone()), format!("no node is made: {NO_LAUNCHES}"));
            return able;
        }
        for provider in &label.providers {
            match self.ability(label, provider) {
                Ok(image) => {
                    able.insert(provider.as_str(), image);
                }
                Err(reason) => self.refuse(Subject::Label(label.name.clone()), reason),
            }
        }
        able
    }

    fn ability(&mut self, label: &Label, provider: &str) -> Result<ImageId, String> {
        let image = self.ability_but_quota(label, provider)?;
        self.check_quota(provider, &label.image, size(label))?;
        self.check_quota_kept(label, provider)?;
        Ok(image)
    }

    /// Whether a provider could boot a node of this label now, as far as its quota is not concerned.
    pub(super) fn ability_but_quota(&mut self, label: &Label, provider: &str) -> Result<ImageId, String> {
        if let Some(obstacle) = self.obstacle(provider) {
            return Err(obstacle);
        }
        self.check_limit(label, provider)?;
        self.check_zones(provider)?;
        self.check_setback(SetbackKind::Capacity, provider, "")?;
        self.check_breakers(provider, label)?;
        self.current_image(provider, &label.image)
            .ok_or_else(|| format!("provider {provider} has no image {} ready", label.image))
    }

    /// Whether a node of this label could ever fit at a provider.
    fn check_limit(&self, label: &Label, provider: &str) -> Result<(), String> {
        let limit = self.config.provider(provider).and_then(|provider| provider.max_servers);
        match limit {
            None => Err(format!("provider {provider} is drained (max-servers: -1)")),
            Some(limit) if limit < size(label) => {
                let servers = size(label);
                Err(format!("a node takes {servers} servers, and max-servers of {provider} is {limit}"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Where to offer new nodes of a label, so that its targets have about equally many; one target after the other.
    fn spread_over_targets(&mut self, label: &str, amount: u32) -> VecDeque<String> {
        let targets = self.open_targets().unwrap_or_default();
        let mut there: Vec<u32> = targets.iter().map(|target| self.at_target(label, target)).collect();
        let mut left = shares::spread(amount, &mut there);
        let mut order = VecDeque::new();
        while left.iter().any(|left| *left > 0) {
            for (target, left) in targets.iter().zip(&mut left).filter(|(_, left)| **left > 0) {
                *left = left.saturating_sub(1);
                order.push_back(target.clone());
                let offered = self.granted.targets.entry((label.to_owned(), target.clone())).or_default();
                *offered = offered.saturating_add(1);
            }
        }
        order
    }

    /// The targets that take nodes now; or, when there is none, why.
    fn open_targets(&mut self) -> Result<Vec<String>, String> {
        let mut troubles = Vec::new();
        let mut open = Vec::new();
        for target in &self.config.targets {
            match self.target_closed(&target.name) {
                None => open.push(target.name.clone()),
                Some(closed) => troubles.push(closed),
            }
        }
        if open.is_empty() { Err(troubles.join("; ")) } else { Ok(open) }
    }

    /// The targets that others serve in place of, while one of these is open: they may serve again one day, and whoever
    /// waits does not wait for that.
    pub(super) fn replaced_targets(&mut self) -> Vec<String> {
        let given_up = self.given_up_targets();
        if self.open_targets().is_ok() { given_up } else { Vec::new() }
    }

    /// The targets that cannot be read for so long that others serve in their place.
    fn given_up_targets(&mut self) -> Vec<String> {
        let seen = self.seen;
        let targets = seen.targets.keys();
        targets.filter(|target| self.is_target_given_up(target)).cloned().collect()
    }

    /// How many nodes of a label are offered at a target, or will be.
    fn at_target(&self, label: &str, target: &str) -> u32 {
        let there = self.nodes.values().map(|drafted| &drafted.row);
        let there = there.filter(|node| node.label == label && node.primary.is_none());
        let there = there.filter(|node| node.target == target).count();
        let coming = self.granted.targets.get(&(label.to_owned(), target.to_owned())).copied().unwrap_or(0);
        u32::try_from(there).unwrap_or(u32::MAX).saturating_add(coming)
    }

    /// Creates the servers that rows wait for, as far as there is room: those that finish a build, then those that
    /// start one, then nodes. The servers of a set are created when there is room for all that it still lacks.
    pub(super) fn create_servers(&mut self) {
        let mut wanted: BTreeMap<(u8, Owner), (String, String, Vec<Owner>)> = BTreeMap::new();
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
            wanted.insert((order, owner), (image.provider, image.image, vec![owner]));
        }
        for node in self.untouched_nodes() {
            if !matches!(node.state, NodeState::Building(_)) || node.attempted.is_some() {
                continue;
            }
            if self.loss(node.head()).is_some() {
                // The next plan takes the whole set away.
                self.refuse(Subject::Node(node.id), "no server is created: its set is not whole any more");
            } else if self.is_bootable(&node) {
                let set = (node.provider.clone(), node.image.clone(), Vec::new());
                let set = wanted.entry((2, Owner::Node(node.head()))).or_insert(set);
                set.2.push(Owner::Node(node.id));
            } else {
                // Its image was doomed a moment ago, by this very plan.
                self.check_image(node);
            }
        }
        for ((_, head), (provider, image, owners)) in wanted {
            match self.forbidden(head) {
                Some(why) => self.refuse_servers(&owners, why),
                None => self.create_together(&provider, &image, &owners),
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

    fn create_together(&mut self, provider: &str, image: &str, owners: &[Owner]) {
        let places = u32::try_from(owners.len()).unwrap_or(u32::MAX);
        let checked = match self.obstacle(provider) {
            Some(obstacle) => Err(obstacle),
            None if self.lacks_floating_ips(provider) => {
                Err(format!("servers of {provider} wait for floating IPs, and the cloud has none left"))
            }
            None => self
                .check_setback(SetbackKind::Capacity, provider, "")
                .and_then(|()| self.check_quota_now(provider, image, places)),
        };
        if let Err(reason) = checked {
            return self.put_off(provider, owners, &reason);
        }
        let errand = |owner: &Owner| Errand::CreateServer { provider: provider.to_owned(), owner: *owner };
        let due: Vec<&Owner> = owners.iter().filter(|owner| self.may_send(&errand(owner))).collect();
        if due.is_empty() {
            return;
        }
        if self.rooms.occupy(provider, places) {
            self.occupy_quota(provider, image, places);
            for owner in due {
                let (kind, number) = owner.words();
                self.act(Action::Send(errand(owner)), format!("{kind} {number} needs its server"));
            }
            return;
        }
        let reason = match (self.rooms.limit(provider), self.rooms.unoccupied(provider)) {
            (0, _) => format!("max-servers of {provider} is 0"),
            (1, 0) => format!("the only server of {provider} is taken"),
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
        if let Some(other) = able {
            self.reserve_quota(other, &label.image, size(label));
        }
        able.map(String::as_str)
    }
}

/// How many servers a node of this label is.
pub(super) fn size(label: &Label) -> u32 {
    label.subnodes.saturating_add(1)
}

/// What this plan has granted so far, for the fair choice of targets and zones.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// Nodes, by label and target.
    targets: BTreeMap<(String, String), u32>,
    /// Servers, by provider and zone.
    pub(super) zones: BTreeMap<(String, String), u32>,
    /// Nodes, by provider and label.
    pub(super) launches: BTreeMap<(String, String), u32>,
    /// Nodes, by the snapshot that they boot.
    pub(super) images: BTreeMap<ImageId, u32>,
}

impl Granted {
    fn note_launch(&mut self, provider: &str, label: &str, image: ImageId) {
        let launches = self.launches.entry((provider.to_owned(), label.to_owned())).or_default();
        *launches = launches.saturating_add(1);
        let images = self.images.entry(image).or_default();
        *images = images.saturating_add(1);
    }
}
