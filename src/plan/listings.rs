//! When to look at the clouds and at the demand: one listing serves everybody who waits.

use std::time::Duration;

use super::Draft;
use super::action::{Action, Errand, Planned, Subject};
use super::limits;
use super::view::{CloudView, Listing};
use super::whereabouts::{Unsure, Whereabouts};
use crate::model::{ImageState, ImageStep, NodeState, NodeStep, ServerStatus, SetbackKind, Timestamp};

/// How urgently somebody waits for news of a provider's servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waiting {
    /// Something is expected to change: a boot, a deletion. This one has been awaited for the shortest time.
    for_changes: Option<Duration>,
    /// Only a complete listing can settle something.
    for_complete: bool,
}

impl Waiting {
    fn change_since(&mut self, since: Timestamp, now: Timestamp) {
        let waited = now.since(since);
        self.for_changes = Some(self.for_changes.map_or(waited, |known| known.min(waited)));
    }
}

impl Draft<'_> {
    /// Lists what is due, and puts everything that costs a call into the order in which it goes.
    pub(super) fn list(&mut self) {
        let kept = self.seen.clouds.keys().filter(|name| !self.forgotten.contains(*name));
        let providers: Vec<String> = kept.cloned().collect();
        for provider in &providers {
            let Some(cloud) = self.cloud(provider) else { continue };
            self.tell_troubles(provider, cloud);
            self.list_servers(provider, cloud);
            self.read_quota(provider, cloud);
            self.list_images(provider, cloud);
            self.list_keypairs(provider, cloud);
            self.list_floating_ips(provider, cloud);
            self.list_attached(provider, cloud);
        }
        self.list_agents();
        self.ask_demand();
        let (now, clouds) = (self.seen.now, self.seen.clouds);
        self.plan.actions.sort_by_key(|planned| urgency(planned, now, clouds));
    }

    /// Says what of a cloud could not be read, whether or not somebody waits for it.
    fn tell_troubles(&mut self, provider: &str, cloud: &CloudView) {
        let troubles = [
            ("servers", &cloud.servers.trouble),
            ("images", &cloud.images.trouble),
            ("keypairs", &cloud.keypairs.trouble),
            ("floating IPs", &cloud.floating_ips.trouble),
            ("ports", &cloud.ports.trouble),
            ("volumes", &cloud.volumes.trouble),
            ("limits", &cloud.quota.trouble),
        ];
        for (what, trouble) in troubles {
            if let Some(trouble) = trouble {
                let verb = if what == "limits" { "read" } else { "listed" };
                let reason = format!("its {what} could not be {verb}: {trouble}");
                self.refuse(Subject::Provider(provider.to_owned()), reason);
            }
        }
    }

    /// Asks at a steady pace, whether or not the last answer was one: it costs no cloud anything, and a queue that can
    /// be read again should be seen at once.
    fn ask_demand(&mut self) {
        if !self.config.tells_demand() || self.seen.in_flight.contains_key(&Errand::AskDemand) {
            return;
        }
        let somebody_asks = self.seen.demand.is_some_and(|jobs| jobs.values().any(|count| *count > 0));
        let pause = if somebody_asks { limits::ASK_DEMAND_OFTEN } else { limits::ASK_DEMAND };
        if self.seen.demand_asked.is_none_or(|asked| self.has_come(asked.plus(pause))) {
            self.act(Action::Send(Errand::AskDemand), "the demand may have changed");
        }
    }

    fn list_servers(&mut self, provider: &str, cloud: &CloudView) {
        let under_way = [true, false]
            .map(|complete| Errand::ListServers { provider: provider.to_owned(), complete })
            .iter()
            .any(|errand| self.seen.in_flight.contains_key(errand));
        if under_way {
            return;
        }
        let waiting = self.waiting(provider, cloud);
        let pause = if waiting.for_complete { limits::CONFIRM_ABSENCE } else { limits::LIST_WHEN_IDLE };
        let complete_due = match (cloud.servers.complete, &cloud.servers.trouble) {
            (Some(last), None) => self.is_to_be_listed_again(last) || self.has_come(last.plus(pause)),
            (None, _) | (_, Some(_)) => true,
        };
        if complete_due {
            let errand = Errand::ListServers { provider: provider.to_owned(), complete: true };
            return self.send(errand, "a complete listing of servers is due");
        }
        let Some(began) = cloud.servers.began else { return };
        let Some(waited) = waiting.for_changes else { return };
        // A cloud that takes long to answer is busy: it gets as much time for itself as its last answer took.
        let ended = cloud.servers.ended.unwrap_or(began);
        let pause = limits::server_pause(waited).max(ended.since(began));
        if self.has_come(ended.plus(pause)) {
            let errand = Errand::ListServers { provider: provider.to_owned(), complete: false };
            self.send(errand, "servers are awaited");
        }
    }

    fn waiting(&self, provider: &str, cloud: &CloudView) -> Waiting {
        let mut waiting = Waiting::default();
        for node in self.nodes.values().map(|drafted| &drafted.row).filter(|node| node.provider == provider) {
            let expects = match node.state {
                NodeState::Building(step) => !matches!(step, NodeStep::Ssh | NodeStep::Enroll),
                NodeState::Delete => self.seen.permissions.deletes || node.delete_called.is_some(),
                NodeState::Test | NodeState::Ready | NodeState::Used | NodeState::Hold | NodeState::Gone => {
                    false
                }
            };
            if let Some(attempted) = node.attempted.filter(|_| expects) {
                waiting.change_since(node.delete_called.unwrap_or(attempted), self.seen.now);
            }
            if self.check_wants_listing(node, cloud) {
                waiting.change_since(self.seen.now, self.seen.now);
            }
            // Whether a late address counts as a change is not sure on every cloud.
            waiting.for_complete |= node.state == NodeState::Building(NodeStep::Address);
            let tag = self.tag(crate::model::Owner::Node(node.id), &node.attempt);
            let place = self.locate(provider, &tag, node.server_id.as_deref(), node.attempted);
            waiting.for_complete |= self.wants_complete(place);
        }
        for image in
            self.images.values().map(|drafted| &drafted.row).filter(|image| image.provider == provider)
        {
            for (attempted, place) in
                [(image.attempted, self.builder(image)), (image.verify_attempted, self.verifier(image))]
            {
                if let Some(attempted) =
                    attempted.filter(|_| image.state != ImageState::Building(ImageStep::Setup))
                {
                    waiting.change_since(attempted, self.seen.now);
                }
                waiting.for_complete |= self.wants_complete(place);
            }
        }
        waiting.for_complete |= self.suspects_leak(cloud);
        waiting
    }

    /// Whether a complete listing now would tell more.
    fn wants_complete(&self, place: Whereabouts<'_>) -> bool {
        match place {
            Whereabouts::Unsure(Unsure::ListingFrom(moment) | Unsure::ListingsFrom(moment)) => {
                self.seen.now >= moment
            }
            Whereabouts::Shown(server) => {
                server.status == ServerStatus::Active && server.addresses.is_empty()
            }
            Whereabouts::Nowhere | Whereabouts::Found(_) => false,
        }
    }

    fn list_images(&mut self, provider: &str, cloud: &CloudView) {
        let awaited = self.images.values().map(|drafted| &drafted.row).any(|image| {
            image.provider == provider
                && match image.state {
                    ImageState::Building(ImageStep::Snapshot) => image.snapshot_attempted.is_some(),
                    ImageState::Delete => image.snapshot_attempted.is_some() && self.seen.permissions.deletes,
                    ImageState::Building(ImageStep::Save) => true,
                    ImageState::Building(_) | ImageState::Ready | ImageState::Gone => false,
                }
        });
        let missed = self.images.values().map(|drafted| &drafted.row).any(|image| {
            image.provider == provider
                && image.state == ImageState::Ready
                && image.external_id.as_ref().is_some_and(|id| !cloud.images.items.contains_key(id))
        });
        // A launch that failed may have failed for want of its image.
        let doubted = self
            .seen
            .setbacks
            .iter()
            .any(|setback| setback.kind == SetbackKind::Launch && setback.provider == provider);
        let pause = match (awaited, missed, doubted) {
            (true, _, _) => limits::LIST_IMAGES_WHILE_WAITING,
            (false, true, _) => limits::CONFIRM_ABSENCE,
            (false, false, true) => limits::LIST_IMAGES_IN_DOUBT,
            (false, false, false) => limits::LIST_STORE_WHEN_IDLE,
        };
        if self.listing_due(&cloud.images, pause) {
            self.send(Errand::ListImages { provider: provider.to_owned() }, "a listing of images is due");
        }
    }

    fn list_keypairs(&mut self, provider: &str, cloud: &CloudView) {
        if self.listing_due(&cloud.keypairs, limits::LIST_STORE_WHEN_IDLE) {
            self.send(Errand::ListKeypairs { provider: provider.to_owned() }, "a listing of keypairs is due");
        }
    }

    pub(super) fn listing_due<T>(&mut self, listing: &Listing<T>, pause: Duration) -> bool {
        match (listing.complete, &listing.trouble) {
            (Some(last), None) => self.is_to_be_listed_again(last) || self.has_come(last.plus(pause)),
            (None, _) | (_, Some(_)) => true,
        }
    }
}

/// Records first, then calls: deletions, creations, listings; but a listing that is long overdue goes before
/// creations, or a full queue would blind us.
fn urgency(
    planned: &Planned,
    now: Timestamp,
    clouds: &std::collections::BTreeMap<String, CloudView>,
) -> (u8, u8) {
    let Action::Send(errand) = &planned.action else { return (0, 0) };
    let overdue = match errand {
        Errand::ListServers { provider, .. } => clouds
            .get(provider)
            .and_then(|cloud| cloud.servers.began)
            .is_none_or(|began| now.since(began) >= limits::LISTING_OVERDUE),
        _ => false,
    };
    (1, if overdue { 1 } else { errand.priority() })
}
