//! Floating IPs: each server that nobody could reach otherwise gets one, and gives it back.
//!
//! Only where a provider has a `pool`. Made like everything else: the mark in the row first, our tag on what is made; an
//! answer that was lost is settled by the listing. A deleted server leaves its floating IP behind, so a row that has
//! one is gone only when both are.

use std::time::Duration;

use super::Draft;
use super::action::{Action, Errand, Subject};
use super::address::{Lack, Reach, Wanted, reach};
use super::lifecycle::word;
use super::limits;
use super::view::CloudView;
use super::whereabouts::{Asked, Standing, locate_floating_ip};
use crate::config::{CleanFloatingIps, Provider};
use crate::model::{
    FloatingFacts, FloatingIp, Image, ImageState, Node, NodeState, NodeStep, Owner, Server, ServerStatus,
    SetbackKind, Tag, Timestamp,
};

/// A server of a row, as far as the way to it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine<'r> {
    pub owner: Owner,
    pub provider: &'r str,
    pub image: &'r str,
    attempt: &'r str,
    floating_ip: &'r FloatingFacts,
}

/// How a server that needs a floating IP comes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// It was asked for, or something else is awaited.
    Waits(String),
    /// It cannot even be told what there is.
    Blind(String),
    /// The row learns something.
    Facts(FloatingFacts, &'static str),
    /// It had one, which is gone.
    Lost,
}

/// How a server that is not needed any more comes rid of its floating IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tidied {
    /// It has none.
    Gone,
    /// It is seen to.
    Busy,
    /// The row learns something.
    Facts(FloatingFacts, &'static str),
}

impl<'r> Machine<'r> {
    pub(super) fn of_node(node: &'r Node) -> Self {
        Self {
            owner: Owner::Node(node.id),
            provider: &node.provider,
            image: &node.image,
            attempt: &node.attempt,
            floating_ip: &node.floating_ip,
        }
    }

    pub(super) fn builder(image: &'r Image) -> Self {
        Self {
            owner: Owner::Builder(image.id),
            provider: &image.provider,
            image: &image.image,
            attempt: &image.attempt,
            floating_ip: &image.floating_ip,
        }
    }

    pub(super) fn verifier(image: &'r Image) -> Self {
        Self {
            owner: Owner::Verifier(image.id),
            floating_ip: &image.verify_floating_ip,
            ..Self::builder(image)
        }
    }

    pub(super) const fn subject(&self) -> Subject {
        match self.owner {
            Owner::Node(id) => Subject::Node(id),
            Owner::Builder(id) | Owner::Verifier(id) => Subject::Image(id),
        }
    }

    fn creation(&self) -> Errand {
        Errand::CreateFloatingIp { provider: self.provider.to_owned(), owner: self.owner }
    }
}

impl Draft<'_> {
    /// The addresses of a server that belongs to a row.
    pub(super) fn reach(&self, machine: &Machine<'_>, server: &Server) -> Result<Reach, Lack> {
        let Some(provider) = self.config.provider(machine.provider) else { return Err(Lack::Address) };
        let floating = match self.floating_ip(machine) {
            Standing::Shown(shown) if shown.server_attached => Some(shown.ip),
            Standing::Shown(_) | Standing::Found(_) | Standing::Nowhere | Standing::Unsure(_) => None,
        };
        reach(server, floating, &Wanted::of(provider, machine.image))
    }

    /// Where the floating IP of a server is.
    pub(super) fn floating_ip(&self, machine: &Machine<'_>) -> Standing<'_> {
        let Some(attempted) = machine.floating_ip.attempted else { return Standing::Nowhere };
        let (Some(configured), Some(cloud)) =
            (self.config.provider(machine.provider), self.seen.clouds.get(machine.provider))
        else {
            return Standing::Unsure(attempted);
        };
        let tag = self.tag(machine.owner, machine.attempt);
        let asked = Asked {
            tag: &tag,
            id: machine.floating_ip.id.as_deref(),
            attempted: Some(attempted),
            call_deadline: configured.api_timeout,
        };
        locate_floating_ip(cloud, asked)
    }

    /// Brings a server one step nearer to its floating IP. After `until` none is asked for any more.
    pub(super) fn advance_floating_ip(&mut self, machine: &Machine<'_>, until: Timestamp) -> Advance {
        let provider = machine.provider;
        if self.cloud(provider).is_none_or(|cloud| cloud.floating_ips.complete.is_none()) {
            return Advance::Blind(format!("the floating IPs of {provider} were not listed yet"));
        }
        if self.seen.in_flight.contains_key(&machine.creation()) {
            return Advance::Waits("the call for its floating IP is on its way".to_owned());
        }
        match self.floating_ip(machine) {
            Standing::Found(found) => {
                let facts = FloatingFacts { id: Some(found.id.clone()), ..machine.floating_ip.clone() };
                Advance::Facts(
                    facts,
                    "its floating IP was found by its tag, although the call was not answered",
                )
            }
            Standing::Shown(shown) => {
                Advance::Waits(format!("its floating IP {} does not lead to it yet", shown.ip))
            }
            Standing::Unsure(moment) => {
                self.has_come(moment);
                Advance::Waits("the cloud does not show its floating IP yet".to_owned())
            }
            Standing::Nowhere if machine.floating_ip.id.is_some() => Advance::Lost,
            Standing::Nowhere if machine.floating_ip.attempted.is_some() => Advance::Facts(
                FloatingFacts::default(),
                "the call for its floating IP was not answered and none appeared",
            ),
            Standing::Nowhere if self.seen.now >= until => Advance::Waits("it has no floating IP".to_owned()),
            Standing::Nowhere => Advance::Waits(self.ask_for_floating_ip(machine)),
        }
    }

    /// Asks for a floating IP, and says what the machine waits for.
    fn ask_for_floating_ip(&mut self, machine: &Machine<'_>) -> String {
        let provider = machine.provider;
        let trouble = self.cloud(provider).and_then(|cloud| cloud.floating_ips.trouble.clone());
        let checked = match (self.obstacle(provider), trouble) {
            (Some(obstacle), _) => Err(obstacle),
            (None, Some(trouble)) => Err(format!("those of {provider} could not be listed: {trouble}")),
            (None, None) => self.check_setback(SetbackKind::Capacity, provider, ""),
        };

        if let Err(reason) = checked {
            return format!("no floating IP is asked for: {reason}");
        }
        if self.may_send(&machine.creation()) {
            if let Err(reason) = self.occupy_floating_ip(provider) {
                return format!("no floating IP is asked for: {reason}");
            }
            self.act(Action::Send(machine.creation()), "its server has inner addresses only");
        }
        "it gets a floating IP".to_owned()
    }

    /// Takes the floating IP of a server away that is not needed any more.
    pub(super) fn tidy_floating_ip(&mut self, machine: &Machine<'_>) -> Tidied {
        if machine.floating_ip.is_none() {
            return Tidied::Gone;
        }
        let subject = machine.subject();
        if self.seen.in_flight.contains_key(&machine.creation()) {
            self.refuse(subject, "waits: the call for its floating IP is still on its way");
            return Tidied::Busy;
        }
        let Some(id) = machine.floating_ip.id.clone() else { return self.find_out(machine) };
        let provider = machine.provider.to_owned();
        if let Some(obstacle) = self.obstacle(&provider) {
            self.refuse(subject, format!("its floating IP is not deleted: {obstacle}"));
        } else {
            let errand = Errand::DeleteFloatingIp { provider, id, owner: Some(machine.owner) };
            self.send(errand, "its server is not needed any more");
        }
        Tidied::Busy
    }

    /// What became of a call whose answer was lost, for a server that is not needed any more.
    fn find_out(&mut self, machine: &Machine<'_>) -> Tidied {
        match self.floating_ip(machine) {
            Standing::Found(found) | Standing::Shown(found) => {
                let facts = FloatingFacts { id: Some(found.id.clone()), ..machine.floating_ip.clone() };
                Tidied::Facts(facts, "its floating IP was found by its tag")
            }
            Standing::Nowhere => Tidied::Facts(FloatingFacts::default(), "no floating IP of it appeared"),
            Standing::Unsure(moment) => {
                self.has_come(moment);
                let reason = "waits: the call for its floating IP was not answered, one may still appear";
                self.refuse(machine.subject(), reason);
                Tidied::Busy
            }
        }
    }

    /// Whether a server of a build is ACTIVE with an address; if it is not, does something about it.
    pub(super) fn is_build_reachable(
        &mut self,
        image: &Image,
        owner: Owner,
        server: &Server,
        provider: &Provider,
    ) -> bool {
        let (what, machine, asked) = match owner {
            Owner::Verifier(_) => {
                ("the server booted from its snapshot", Machine::verifier(image), image.verify_attempted)
            }
            Owner::Node(_) | Owner::Builder(_) => ("its builder", Machine::builder(image), image.attempted),
        };
        let found = match (&server.status, self.reach(&machine, server)) {
            (ServerStatus::Active, Ok(_)) => return true,
            (ServerStatus::Active, Err(Lack::FloatingIp)) => {
                let until = asked.unwrap_or(image.state_time).plus(provider.launch_timeout);
                match self.advance_floating_ip(&machine, until) {
                    Advance::Waits(found) => found,
                    Advance::Blind(found) => {
                        self.refuse(Subject::Image(image.id), format!("waits: {found}"));
                        return false;
                    }
                    Advance::Facts(facts, reason) => {
                        self.image_facts(image.clone().with_floating_ip(owner, facts), reason);
                        return false;
                    }
                    Advance::Lost => {
                        self.fail_image(image.clone(), format!("the floating IP of {what} vanished"));
                        return false;
                    }
                }
            }
            (ServerStatus::Active, Err(lack)) => format!("{what} is ACTIVE, but {lack}"),
            (ServerStatus::Error, _) => {
                let fault = server.fault.as_deref().unwrap_or("the cloud gives no reason");
                self.fail_boot(image.clone(), format!("{what} is in ERROR: {fault}"));
                return false;
            }
            (status, _) => format!("{what} is {}", word(status)),
        };
        self.check_build_timeout(image, asked, provider, &found);
        false
    }

    /// Whether a server that a build does not need any more has no floating IP; if it has, does something about it.
    pub(super) fn is_rid_of_floating_ip_of(&mut self, image: &Image, owner: Owner) -> bool {
        let machine = match owner {
            Owner::Verifier(_) => Machine::verifier(image),
            Owner::Node(_) | Owner::Builder(_) => Machine::builder(image),
        };
        match self.tidy_floating_ip(&machine) {
            Tidied::Gone => return true,
            Tidied::Busy => {}
            Tidied::Facts(facts, reason) => {
                self.image_facts(image.clone().with_floating_ip(owner, facts), reason);
            }
        }
        false
    }

    /// Whether a server waits here for a floating IP that the cloud refused for want of room. More servers would only
    /// wait beside it.
    pub(super) fn lacks_floating_ips(&self, provider: &str) -> bool {
        let has_pool = self.config.provider(provider).is_some_and(|provider| provider.pool.is_some());
        let short = self.seen.setback(SetbackKind::Capacity, provider, "").is_some()
            || !self.quotas.has_floating_ips(provider);
        has_pool
            && short
            && self.nodes.values().map(|drafted| &drafted.row).any(|node| {
                node.provider == provider
                    && node.state == NodeState::Building(NodeStep::Address)
                    && node.floating_ip.is_none()
            })
    }

    /// Records facts of a node without changing its state.
    pub(super) fn node_facts(&mut self, row: Node, reason: impl Into<super::Reason>) {
        self.nodes.insert(row.id, super::Drafted { row: row.clone(), changed: true });
        self.act(Action::NodeFacts { row: Box::new(row) }, reason);
    }

    /// Whether a floating IP is ours and no row's. A row that still waits for the answer to its call has it.
    pub(super) fn is_leaked_floating_ip(&self, id: &str, tag: &Tag) -> bool {
        if tag.installation != self.seen.installation {
            return false;
        }
        let row = match tag.owner {
            Owner::Node(node) => {
                self.nodes.get(&node).map(|drafted| (&drafted.row.attempt, &drafted.row.floating_ip))
            }
            Owner::Builder(image) => {
                self.images.get(&image).map(|drafted| (&drafted.row.attempt, &drafted.row.floating_ip))
            }
            Owner::Verifier(image) => {
                self.images.get(&image).map(|drafted| (&drafted.row.attempt, &drafted.row.verify_floating_ip))
            }
        };
        match row {
            None => true,
            Some((attempt, _)) if *attempt != tag.attempt => true,
            Some((_, FloatingFacts { id: Some(known), .. })) => known != id,
            Some((_, FloatingFacts { id: None, attempted })) => attempted.is_none(),
        }
    }

    pub(super) fn list_floating_ips(&mut self, provider: &str, cloud: &CloudView) {
        if !self.uses_floating_ips(provider) {
            return;
        }
        let pause = if self.awaits_floating_ip(provider) == Some(true) {
            limits::LIST_FLOATING_IPS_WHILE_WAITING
        } else if self.suspects_leaked_floating_ip(cloud) || self.doubts_loose(provider, cloud) {
            limits::CONFIRM_ABSENCE
        } else {
            limits::LIST_STORE_WHEN_IDLE
        };
        if self.floating_ips_due(cloud, pause) {
            let errand = Errand::ListFloatingIps { provider: provider.to_owned() };
            self.send(errand, "a listing of floating IPs is due");
        }
    }

    fn floating_ips_due(&mut self, cloud: &CloudView, pause: Duration) -> bool {
        match (cloud.floating_ips.complete, &cloud.floating_ips.trouble) {
            (Some(last), None) => self.is_to_be_listed_again(last) || self.has_come(last.plus(pause)),
            (None, _) | (_, Some(_)) => true,
        }
    }

    /// Whether floating IPs are of any interest at this provider. Elsewhere no call is made about them.
    pub(super) fn uses_floating_ips(&self, provider: &str) -> bool {
        let configured = self.config.provider(provider);
        let looked_for = configured.is_some_and(|provider| {
            provider.pool.is_some() || provider.clean_floating_ips != CleanFloatingIps::OfPool
        });
        looked_for || self.awaits_floating_ip(provider).is_some()
    }

    /// Whether some row at this provider has a floating IP (or may have), and then whether a listing would tell it more.
    fn awaits_floating_ip(&self, provider: &str) -> Option<bool> {
        let mut there = None;
        let nodes = self.nodes.values().map(|drafted| &drafted.row);
        let images = self.images.values().map(|drafted| &drafted.row);
        let machines = nodes.map(|node| (Machine::of_node(node), node.state == NodeState::Delete)).chain(
            images.flat_map(|image| {
                let builds = matches!(image.state, ImageState::Building(_));
                [(Machine::builder(image), !builds), (Machine::verifier(image), !builds)]
            }),
        );
        for (machine, leaves) in machines {
            if machine.provider != provider || machine.floating_ip.is_none() {
                continue;
            }
            // One that is to go and whose id is known is simply deleted: the answer tells more than a listing.
            let settled = leaves && machine.floating_ip.id.is_some();
            let awaited = match self.floating_ip(&machine) {
                Standing::Unsure(_) => !settled && !self.seen.in_flight.contains_key(&machine.creation()),
                Standing::Shown(shown) => !settled && !shown.server_attached,
                Standing::Found(_) | Standing::Nowhere => false,
            };
            there = Some(there.unwrap_or(false) || awaited);
        }
        there
    }

    /// Whether a provider that left the configuration surely shows no floating IP of ours without a row. Where no pool is
    /// known there is none, and nobody looks.
    pub(super) fn is_rid_of_floating_ips(&self, provider: &str, cloud: &CloudView) -> bool {
        let leaked = |shown: &FloatingIp| {
            shown.tag.as_ref().is_some_and(|tag| self.is_leaked_floating_ip(&shown.id, tag))
        };
        let looked = !self.uses_floating_ips(provider) || cloud.floating_ips.is_sure();
        looked && !cloud.floating_ips.items.values().any(leaked)
    }

    fn suspects_leaked_floating_ip(&self, cloud: &CloudView) -> bool {
        let leaked = |shown: &FloatingIp| {
            shown.tag.as_ref().is_some_and(|tag| self.is_leaked_floating_ip(&shown.id, tag))
        };
        let mut shown = cloud.floating_ips.items.values();
        shown.any(|shown| leaked(shown) && !cloud.floating_ips.both_show(&shown.id))
    }
}
