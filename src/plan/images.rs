//! Each snapshot image, one step further on its way; builds that are missing; and what a build leaves behind.

use std::collections::BTreeSet;

use super::Draft;
use super::action::{Action, Errand, NewImage, Subject};
use super::floating::Machine;
use super::host_keys::Pinning;
use super::limits;
use super::observation::{NO_DELETES, NO_IMAGES};
use super::room::needs_builder;
use super::whereabouts::{Unsure, Whereabouts};
use crate::config::{Provider, ProviderImage};
use crate::fsm::image::ImageEvent;
use crate::fsm::node::NodeEvent;
use crate::model::{
    CloudImage, CloudImageStatus, Image, ImageState, ImageStep, NodeState, NodeStep, Owner, SetbackKind,
    Timestamp,
};
use crate::planted::{Bug, is_planted};

impl Draft<'_> {
    pub(super) fn settle_images(&mut self) {
        for image in self.untouched_images() {
            let id = image.id;
            match image.state {
                ImageState::Building(step) => self.build_image(image, step),
                ImageState::Ready => self.retain_image(image),
                ImageState::Delete | ImageState::Gone => {}
            }
            let unchanged = self.images.get(&id).filter(|drafted| !drafted.changed);
            if let Some(image) = unchanged.map(|drafted| drafted.row.clone()) {
                self.tidy_up(image);
            }
        }
        self.recall_builders();
    }

    fn build_image(&mut self, image: Image, step: ImageStep) {
        let configured = self.serving(&image.provider);
        let Some(provider) = configured.filter(|provider| provider.image(&image.image).is_some()) else {
            let reason =
                format!("image {} of provider {} left the configuration", image.image, image.provider);
            return self.image_event(image, ImageEvent::Doomed, reason);
        };
        match step {
            ImageStep::Create | ImageStep::Boot | ImageStep::Setup => {
                self.follow_builder(image, step, provider);
            }
            ImageStep::Snapshot => self.take_snapshot(image, provider),
            ImageStep::Save => self.follow_snapshot(image),
            ImageStep::Verify => self.follow_verifier(image, provider),
        }
    }

    fn follow_builder(&mut self, image: Image, step: ImageStep, provider: &Provider) {
        if image.attempted.is_none()
            || self.seen.in_flight.contains_key(&create(&image, Owner::Builder(image.id)))
        {
            return;
        }
        match self.builder(&image) {
            Whereabouts::Found(server) => {
                let row = Image { server_id: Some(server.id.clone()), ..image };
                self.image_event(row, ImageEvent::Created, "its builder was found by its tag");
            }
            Whereabouts::Nowhere => self.fail_boot(image, "its builder is not in the cloud".to_owned()),
            Whereabouts::Unsure(doubt) => {
                self.wait_for(doubt);
                self.check_build_timeout(
                    &image,
                    image.attempted,
                    provider,
                    "the cloud does not show its builder",
                );
            }
            Whereabouts::Shown(server) => {
                let server = server.clone();
                let reason = "its builder is ACTIVE and has an address";
                if !self.is_build_reachable(&image, Owner::Builder(image.id), &server, provider) {
                    return;
                }
                if step != ImageStep::Setup {
                    return self.image_event(image, ImageEvent::Booted, reason);
                }
                let patience = provider.boot_timeout.max(limits::BUILDER_PATIENCE);
                let until = image.state_time.plus(patience);
                match self.seek_host_key(&Machine::builder(&image), image.host_key.is_some(), until) {
                    Pinning::Settled => self.send(Errand::SetUpBuilder(image.id), reason),
                    Pinning::Sought => {}
                    Pinning::Failed(reason) => self.fail_image(image, reason),
                }
            }
        }
    }

    pub(super) fn check_build_timeout(
        &mut self,
        image: &Image,
        since: Option<Timestamp>,
        provider: &Provider,
        found: &str,
    ) {
        let Some(since) = since else { return };
        let visits = [Errand::SetUpBuilder(image.id), Errand::VerifySnapshot(image.id)];
        if visits.iter().any(|visit| self.seen.in_flight.contains_key(visit)) {
            // Somebody is on the machine, and will tell more about it than a listing.
            return;
        }
        if !self.was_listed(&image.provider) {
            return self
                .refuse(Subject::Image(image.id), format!("waits: {found}, for nobody has looked yet"));
        }
        if self.has_come(since.plus(provider.launch_timeout)) {
            let limit = provider.launch_timeout.as_secs();
            let reason =
                format!("no ACTIVE server with an address within the launch-timeout of {limit} s: {found}");
            self.fail_boot(image.clone(), reason);
        } else {
            self.refuse(Subject::Image(image.id), format!("waits: {found}"));
        }
    }

    fn take_snapshot(&mut self, image: Image, provider: &Provider) {
        let errand = Errand::TakeSnapshot { provider: image.provider.clone(), image: image.id };
        let Some(attempted) = image.snapshot_attempted else {
            if let Some(obstacle) = self.obstacle(&image.provider) {
                return self.refuse(Subject::Image(image.id), format!("no snapshot is taken: {obstacle}"));
            }
            if self.has_come(image.state_time.plus(limits::SAVE_TIMEOUT)) {
                let hours = limits::SAVE_TIMEOUT.as_secs().div_euclid(3600);
                let reason = format!("the cloud did not take a snapshot of its builder within {hours} hours");
                return self.fail_image(image, reason);
            }
            return self.send(errand, "the setup script succeeded");
        };
        if self.seen.in_flight.contains_key(&errand) {
            return;
        }
        let settled = attempted.plus(provider.api_timeout).plus(limits::LISTING_LAG);
        match self.snapshot_by_tag(&image) {
            Some(id) => {
                let row = Image { external_id: Some(id), ..image };
                self.image_event(row, ImageEvent::SnapshotTaken, "its snapshot was found by its tag");
            }
            None if self.snapshot_absent(&image, settled) => {
                self.fail_image(
                    image,
                    "the call for the snapshot was not answered and none appeared".to_owned(),
                );
            }
            None => {
                self.has_come(settled);
                let reason = "waits: the call for its snapshot was not answered, one may still appear";
                self.refuse(Subject::Image(image.id), reason);
            }
        }
    }

    fn follow_snapshot(&mut self, image: Image) {
        let Some(id) = image.external_id.clone() else {
            return self.fail_image(image, "its snapshot has no id".to_owned());
        };
        let shown = self.cloud(&image.provider).and_then(|cloud| cloud.images.items.get(&id));
        match shown.map(|shown| shown.status) {
            Some(CloudImageStatus::Active) => {
                // From here on the zone is that of the server which verifies the snapshot.
                let row = Image { az: self.zone_for_build(&image.provider), ..image };
                return self.image_event(row, ImageEvent::Saved, "the cloud has saved its snapshot");
            }
            Some(CloudImageStatus::Unusable) => {
                return self.fail_image(image, "the cloud could not save its snapshot".to_owned());
            }
            Some(CloudImageStatus::Pending) => {}
            None => {
                if self.snapshot_vanished(&image) {
                    return self
                        .fail_image(image, "its snapshot vanished while the cloud saved it".to_owned());
                }
            }
        }
        if self.has_come(image.state_time.plus(limits::SAVE_TIMEOUT)) {
            let hours = limits::SAVE_TIMEOUT.as_secs().div_euclid(3600);
            self.fail_image(image, format!("the cloud did not save its snapshot within {hours} hours"));
        } else {
            let reason = if shown.is_some() {
                "waits: the cloud saves its snapshot"
            } else {
                "waits: the cloud does not show its snapshot"
            };
            self.refuse(Subject::Image(image.id), reason);
        }
    }

    fn follow_verifier(&mut self, image: Image, provider: &Provider) {
        let owner = Owner::Verifier(image.id);
        if image.verify_attempted.is_none() || self.seen.in_flight.contains_key(&create(&image, owner)) {
            return;
        }
        match self.verifier(&image) {
            Whereabouts::Found(server) => {
                let row = Image { verify_server_id: Some(server.id.clone()), ..image };
                self.image_facts(row, "its verifying server was found by its tag");
            }
            Whereabouts::Nowhere => {
                self.fail_boot(image, "the server booted from its snapshot is not in the cloud".to_owned());
            }
            Whereabouts::Shown(server) => {
                let server = server.clone();
                if !self.is_build_reachable(&image, owner, &server, provider) {
                    return;
                }
                let patience = provider.launch_timeout.saturating_add(provider.boot_timeout);
                let until = image.verify_attempted.unwrap_or(image.state_time).plus(patience);
                let known = image.verify_host_key.is_some();
                match self.seek_host_key(&Machine::verifier(&image), known, until) {
                    Pinning::Settled => {
                        let reason = "a server booted from its snapshot is ACTIVE and has an address";
                        self.send(Errand::VerifySnapshot(image.id), reason);
                    }
                    Pinning::Sought => {}
                    Pinning::Failed(reason) => self.fail_image(image, reason),
                }
            }
            Whereabouts::Unsure(doubt) => {
                self.wait_for(doubt);
                let found = "the cloud does not show the server booted from its snapshot";
                self.check_build_timeout(&image, image.verify_attempted, provider, found);
            }
        }
    }

    /// Keeps the two newest ready images of each kind, as long as the configuration knows it.
    fn retain_image(&mut self, image: Image) {
        let provider = self.config.provider(&image.provider);
        let configured = provider
            .is_none_or(|provider| provider.retired.is_none() && provider.image(&image.image).is_some());
        if !configured {
            let reason =
                format!("image {} of provider {} left the configuration", image.image, image.provider);
            return self.image_event(image, ImageEvent::Doomed, reason);
        }
        let newer = self
            .images
            .values()
            .map(|drafted| &drafted.row)
            .filter(|other| other.state == ImageState::Ready)
            .filter(|other| other.provider == image.provider && other.image == image.image)
            .filter(|other| (other.version, other.id) > (image.version, image.id))
            .filter(|other| self.is_set_aside(other).is_none())
            .count();
        if newer >= 2 {
            return self.image_event(image, ImageEvent::Doomed, "two newer ones are ready");
        }
        if self.snapshot_vanished(&image) {
            return self.image_event(image, ImageEvent::Doomed, "its snapshot vanished from the cloud");
        }
        self.note_set_aside(&image);
    }

    /// Whether the last two listings agree that the snapshot of an image is not there.
    fn snapshot_vanished(&self, image: &Image) -> bool {
        let settled = image.snapshot_attempted.unwrap_or(image.state_time).plus(limits::LISTING_LAG);
        self.cloud(&image.provider).is_some_and(|cloud| {
            cloud.images.twice_since(settled)
                && cloud.images.neither_shows(|shown| Some(&shown.id) == image.external_id.as_ref())
        })
    }

    /// Takes away what the build made and nobody needs any more, one thing after the other.
    fn tidy_up(&mut self, image: Image) {
        if !needs_builder(&image) && !self.tidy_builder(&image) {
            return;
        }
        let verifying = image.state == ImageState::Building(ImageStep::Verify);
        if !verifying && !self.tidy_verifier(&image) {
            return;
        }
        let needs_keypair = needs_builder(&image) || image.attempted.is_some();
        let forgets = is_planted(Bug::KeypairsStay);
        if let (Some(name), false, false) = (image.keypair.clone(), needs_keypair, forgets) {
            let errand = Errand::DeleteKeypair { provider: image.provider.clone(), name };
            return self.send(errand, "its builder is gone");
        }
        if image.state == ImageState::Delete {
            self.delete_snapshot(image);
        }
    }

    /// Whether the builder is gone; if it is not, does something about it.
    fn tidy_builder(&mut self, image: &Image) -> bool {
        let owner = Owner::Builder(image.id);
        if image.attempted.is_none() {
            return self.is_rid_of_floating_ip_of(image, owner);
        }
        let subject = Subject::Image(image.id);
        if self.seen.in_flight.contains_key(&create(image, owner)) {
            self.refuse(subject, "waits: the create call for its builder is still on its way");
            return false;
        }
        match self.builder(image) {
            Whereabouts::Nowhere => {
                let row = Image { server_id: None, attempted: None, ..image.clone() };
                self.image_facts(row, "the cloud does not show its builder any more");
            }
            Whereabouts::Found(server) => {
                let row = Image { server_id: Some(server.id.clone()), ..image.clone() };
                self.image_facts(row, "its builder was found by its tag");
            }
            Whereabouts::Shown(server) => {
                let id = server.id.clone();
                let reason = "its build does not need the builder any more".to_owned();
                self.send_deletion(&image.provider, id, owner, subject, reason);
            }
            Whereabouts::Unsure(doubt) => {
                self.doubt_deletion(&image.provider, image.server_id.as_deref(), owner, subject, doubt);
            }
        }
        false
    }

    /// Whether the verifying server is gone; if it is not, does something about it.
    fn tidy_verifier(&mut self, image: &Image) -> bool {
        let owner = Owner::Verifier(image.id);
        if image.verify_attempted.is_none() {
            return self.is_rid_of_floating_ip_of(image, owner);
        }
        let subject = Subject::Image(image.id);
        if self.seen.in_flight.contains_key(&create(image, owner)) {
            self.refuse(subject, "waits: the create call for its verifying server is still on its way");
            return false;
        }
        match self.verifier(image) {
            Whereabouts::Nowhere => {
                let row = Image { verify_server_id: None, verify_attempted: None, ..image.clone() };
                self.image_facts(row, "the cloud does not show its verifying server any more");
            }
            Whereabouts::Found(server) => {
                let row = Image { verify_server_id: Some(server.id.clone()), ..image.clone() };
                self.image_facts(row, "its verifying server was found by its tag");
            }
            Whereabouts::Shown(server) => {
                let id = server.id.clone();
                let reason = "the snapshot does not need to be verified any more".to_owned();
                self.send_deletion(&image.provider, id, owner, subject, reason);
            }
            Whereabouts::Unsure(doubt) => {
                self.doubt_deletion(
                    &image.provider,
                    image.verify_server_id.as_deref(),
                    owner,
                    subject,
                    doubt,
                );
            }
        }
        false
    }

    fn delete_snapshot(&mut self, image: Image) {
        let taking = Errand::TakeSnapshot { provider: image.provider.clone(), image: image.id };
        if self.seen.in_flight.contains_key(&taking) {
            return self
                .refuse(Subject::Image(image.id), "waits: the call for its snapshot is still on its way");
        }
        match (image.external_id.clone(), image.snapshot_attempted) {
            (Some(id), _) => {
                if self.is_booting(&image) {
                    return self
                        .refuse(Subject::Image(image.id), "its snapshot stays while a node boots from it");
                }
                if let Some(obstacle) = self.obstacle(&image.provider) {
                    return self.refuse(
                        Subject::Image(image.id),
                        format!("its snapshot is not deleted: {obstacle}"),
                    );
                }
                let reason = image.reason.clone();
                self.send(Errand::DeleteSnapshot { provider: image.provider.clone(), id }, reason);
            }
            (None, Some(attempted)) => {
                let deadline = self
                    .config
                    .provider(&image.provider)
                    .map(|provider| provider.api_timeout)
                    .unwrap_or_default();
                let settled = attempted.plus(deadline).plus(limits::LISTING_LAG);
                if let Some(id) = self.snapshot_by_tag(&image) {
                    let row = Image { external_id: Some(id), ..image };
                    self.image_facts(row, "its snapshot was found by its tag");
                } else if self.snapshot_absent(&image, settled) {
                    self.image_event(image, ImageEvent::Gone, "nothing that it made is left");
                } else {
                    self.has_come(settled);
                    let reason = "waits: the call for its snapshot was not answered, one may still appear";
                    self.refuse(Subject::Image(image.id), reason);
                }
            }
            (None, None) => self.image_event(image, ImageEvent::Gone, "nothing that it made is left"),
        }
    }

    /// Whether the cloud still boots a node from this image.
    fn is_booting(&self, image: &Image) -> bool {
        self.nodes.values().map(|drafted| &drafted.row).any(|node| {
            node.image_id == Some(image.id)
                && node.attempted.is_some()
                && matches!(node.state, NodeState::Building(NodeStep::Create | NodeStep::Boot))
        })
    }

    /// Starts the builds of images that labels need and that are neither ready nor being built.
    pub(super) fn start_builds(&mut self) {
        let mut needed = BTreeSet::new();
        for label in self.config.labels.iter().filter(|label| label.min_ready.is_some()) {
            for provider in &label.providers {
                needed.insert((provider.clone(), label.image.clone()));
            }
        }
        for (provider, image) in needed {
            let known = self.serving(&provider).and_then(|known| known.image(&image)).is_some();
            let there =
                self.images.values().map(|drafted| &drafted.row).any(|row| {
                    row.provider == provider && row.image == image && row.state != ImageState::Delete
                });
            if !known || there || self.started.contains(&(provider.clone(), image.clone())) {
                continue;
            }
            self.start_missing(provider, image);
        }
    }

    fn start_missing(&mut self, provider: String, image: String) {
        let subject = Subject::ProviderImage(provider.clone(), image.clone());
        if let Err(reason) = self.check_setback(SetbackKind::Image, &provider, &image) {
            return self.refuse(subject, reason);
        }
        match self.make_room_for_build(&provider, &image) {
            Ok(()) => self.start_build(provider, image, "no image is ready and none is being built"),
            Err(reason) => self.refuse(subject, reason),
        }
    }

    /// Says which images were built from other settings than the configuration has now. None is built anew for that: an
    /// operator who changes a file may not want each image rebuilt at once, and the cron for new images does it in its time.
    pub(super) fn note_other_recipes(&mut self) {
        let config = self.config;
        for provider in config.providers.iter().filter(|provider| provider.retired.is_none()) {
            for image in &provider.images {
                let rows = self.images.values().map(|drafted| &drafted.row);
                let built = rows.filter(|row| {
                    row.provider == provider.name
                        && row.image == image.name
                        && matches!(row.state, ImageState::Building(_) | ImageState::Ready)
                });
                let Some(newest) = built.max_by_key(|row| (row.version, row.id)) else { continue };
                let changed = image.changed_since(&newest.recipe);
                if !changed.is_empty() {
                    let (id, command) =
                        (newest.id, format!("nodepool image-update {} {}", provider.name, image.name));
                    let reason =
                        format!("{} since it was built: `{command}` builds it anew", changed.join(", "));
                    self.refuse(Subject::Image(id), reason);
                }
            }
        }
    }

    pub(super) fn start_build(&mut self, provider: String, image: String, reason: &str) {
        self.started.insert((provider.clone(), image.clone()));
        let az = self.zone_for_build(&provider);
        if let Some(az) = &az {
            self.note_in_zone(&provider, az, 1);
        }
        let configured = self.config.provider(&provider).and_then(|known| known.image(&image));
        let recipe = configured.map(ProviderImage::recipe).unwrap_or_default();
        self.act(Action::AddImage(NewImage { provider, image, az, recipe }), reason);
    }

    /// Takes a place for a builder. A pool that is full of idle nodes gives one up, or an image could never be renewed.
    pub(super) fn make_room_for_build(&mut self, provider: &str, image: &str) -> Result<(), String> {
        if !self.seen.permissions.images {
            return Err(format!("no build begins: {NO_IMAGES}"));
        }
        if let Some(obstacle) = self.obstacle(provider) {
            return Err(obstacle);
        }
        let limit = self.rooms.limit(provider);
        if limit == 0 {
            return Err(format!("max-servers of {provider} is 0"));
        }
        let full = match self.check_quota(provider, image, 1) {
            Ok(()) if self.rooms.reserve(provider, 1) => {
                self.reserve_quota(provider, image, 1);
                return Ok(());
            }
            Ok(()) => format!("all {limit} servers of {provider} are taken"),
            // Nobody knows what there is, or no node that is given up would help.
            Err(reason) if self.quota_is_dated(provider) || !self.could_make_room(provider, image, 1) => {
                return Err(reason);
            }
            Err(reason) => reason,
        };
        let here = || self.nodes.values().filter(|drafted| drafted.row.provider == provider);
        if !self.seen.permissions.deletes {
            return Err(format!("{full}, and {NO_DELETES}"));
        }
        if here().any(|drafted| drafted.row.state == NodeState::Delete) {
            return Err(format!("waits for one of the {limit} servers of {provider} to be gone"));
        }
        let idle = here()
            .filter(|drafted| !drafted.changed && drafted.row.state == NodeState::Ready)
            .filter(|drafted| drafted.row.primary.is_none())
            .min_by_key(|drafted| (drafted.row.state_time, drafted.row.id))
            .map(|drafted| drafted.row.clone());
        if let Some(node) = idle {
            let reason = format!("it makes room for the build of an image: {full}");
            self.node_event(node, NodeEvent::Doomed, reason);
        }
        Err(format!("waits for a place: {full}"))
    }

    /// Lets a build fail because the server that it needs now did not come up.
    pub(super) fn fail_boot(&mut self, image: Image, reason: String) {
        self.set_back_zone(&image.provider, image.az.as_deref(), &reason);
        self.fail_image(image, reason);
    }

    /// Lets a build fail, and remembers that it did.
    pub(super) fn fail_image(&mut self, image: Image, reason: String) {
        self.set_back(SetbackKind::Image, &image.provider, &image.image, &reason);
        self.image_event(image, ImageEvent::Doomed, reason);
    }

    fn wait_for(&mut self, doubt: Unsure) {
        if let Unsure::ListingsFrom(moment) = doubt {
            self.has_come(moment);
        }
    }

    /// Calls back whoever visits a builder or a verifier that is not to be visited any more.
    fn recall_builders(&mut self) {
        for errand in self.seen.in_flight.keys() {
            let (id, step) = match errand {
                Errand::SetUpBuilder(id) => (id, ImageStep::Setup),
                Errand::VerifySnapshot(id) => (id, ImageStep::Verify),
                _ => continue,
            };
            let wanted =
                self.images.get(id).is_some_and(|drafted| drafted.row.state == ImageState::Building(step));
            if !wanted {
                self.act(Action::Recall(errand.clone()), "the image is not being built any more");
            }
        }
    }

    pub(super) fn builder(&self, image: &Image) -> Whereabouts<'_> {
        let tag = self.tag(Owner::Builder(image.id), &image.attempt);
        self.locate(&image.provider, &tag, image.server_id.as_deref(), image.attempted)
    }

    pub(super) fn verifier(&self, image: &Image) -> Whereabouts<'_> {
        let tag = self.tag(Owner::Verifier(image.id), &image.attempt);
        self.locate(&image.provider, &tag, image.verify_server_id.as_deref(), image.verify_attempted)
    }

    fn snapshot_by_tag(&self, image: &Image) -> Option<String> {
        let tag = self.tag(Owner::Builder(image.id), &image.attempt);
        let mut shown = self.cloud(&image.provider)?.images.items.values();
        shown.find(|shown| shown.tag.as_ref() == Some(&tag)).map(|shown| shown.id.clone())
    }

    fn snapshot_absent(&self, image: &Image, settled: Timestamp) -> bool {
        let tag = self.tag(Owner::Builder(image.id), &image.attempt);
        let fits = |shown: &CloudImage| shown.tag.as_ref() == Some(&tag);
        self.cloud(&image.provider)
            .is_some_and(|cloud| cloud.images.twice_since(settled) && cloud.images.neither_shows(fits))
    }
}

fn create(image: &Image, owner: Owner) -> Errand {
    Errand::CreateServer { provider: image.provider.clone(), owner }
}
