//! What is ours by its tag and belongs to no row.
//!
//! A leak is believed when two complete listings in a row showed it. What does not carry our tag is nobody's business
//! here: it is listed as alien by whoever asks, and never touched.

use super::Draft;
use super::action::{Errand, Subject};
use super::view::CloudView;
use crate::model::{Owner, Tag};
use crate::planted::{Bug, is_planted};

impl Draft<'_> {
    pub(super) fn delete_leaks(&mut self) {
        if is_planted(Bug::LeaksStay) {
            return;
        }
        let providers: Vec<String> = self.seen.clouds.keys().cloned().collect();
        for provider in providers {
            self.delete_leaked_servers(&provider);
            self.delete_leaked_snapshots(&provider);
            self.delete_leaked_keypairs(&provider);
            self.delete_leaked_floating_ips(&provider);
        }
    }

    fn delete_leaked_servers(&mut self, provider: &str) {
        let Some(cloud) = self.cloud(provider) else { return };
        let leaked: Vec<(String, Tag)> = cloud
            .servers
            .items
            .values()
            .filter(|server| cloud.servers.both_show(&server.id))
            .filter_map(|server| Some((server.id.clone(), server.tag.clone()?)))
            .filter(|(id, tag)| self.is_leaked(id, tag))
            .collect();
        for (id, tag) in leaked {
            if let Some(obstacle) = self.obstacle(provider) {
                self.refuse(
                    Subject::Provider(provider.to_owned()),
                    format!("leaked server {id} stays: {obstacle}"),
                );
                continue;
            }
            let (kind, number) = tag.owner.words();
            let reason =
                format!("it carries our tag as {kind} {number}, attempt {}, and no row has it", tag.attempt);
            self.send(Errand::DeleteServer { provider: provider.to_owned(), id, owner: None }, reason);
        }
    }

    /// Whether something looks like a leak that only one listing showed so far.
    pub(super) fn suspects_leak(&self, cloud: &CloudView) -> bool {
        cloud.servers.items.values().any(|server| {
            server.tag.as_ref().is_some_and(|tag| self.is_leaked(&server.id, tag))
                && !cloud.servers.both_show(&server.id)
        })
    }

    /// Whether a server is ours and no row's. A row that still waits for the answer to its create call has it.
    pub(super) fn is_leaked(&self, id: &str, tag: &Tag) -> bool {
        if tag.installation != self.seen.installation && !is_planted(Bug::ForeignTagIsOurs) {
            return false;
        }
        let row = match tag.owner {
            Owner::Node(node) => {
                self.nodes.get(&node).map(|drafted| (&drafted.row.attempt, drafted.row.server_id.as_deref()))
            }
            Owner::Builder(image) => self
                .images
                .get(&image)
                .map(|drafted| (&drafted.row.attempt, drafted.row.server_id.as_deref())),
            Owner::Verifier(image) => self
                .images
                .get(&image)
                .map(|drafted| (&drafted.row.attempt, drafted.row.verify_server_id.as_deref())),
        };
        match row {
            None => true,
            Some((attempt, _)) if *attempt != tag.attempt => true,
            Some((_, Some(known))) => known != id,
            Some((_, None)) => !self.awaits(tag.owner) || is_planted(Bug::LeakBeforeAnswer),
        }
    }

    /// Whether the owner's row waits for a server of unknown id.
    fn awaits(&self, owner: Owner) -> bool {
        match owner {
            Owner::Node(id) => self.nodes.get(&id).is_some_and(|drafted| drafted.row.attempted.is_some()),
            Owner::Builder(id) => self.images.get(&id).is_some_and(|drafted| drafted.row.attempted.is_some()),
            Owner::Verifier(id) => {
                self.images.get(&id).is_some_and(|drafted| drafted.row.verify_attempted.is_some())
            }
        }
    }

    fn delete_leaked_snapshots(&mut self, provider: &str) {
        let Some(cloud) = self.cloud(provider) else { return };
        if cloud.images.trouble.is_some() {
            return;
        }
        let leaked: Vec<String> = cloud
            .images
            .items
            .values()
            .filter(|image| cloud.images.both_show(&image.id))
            .filter(|image| image.tag.as_ref().is_some_and(|tag| self.is_leaked_snapshot(&image.id, tag)))
            .map(|image| image.id.clone())
            .collect();
        for id in leaked {
            let errand = Errand::DeleteSnapshot { provider: provider.to_owned(), id };
            self.send(errand, "it carries our tag and no row has it");
        }
    }

    pub(super) fn is_leaked_snapshot(&self, id: &str, tag: &Tag) -> bool {
        let Owner::Builder(image) = tag.owner else { return false };
        if tag.installation != self.seen.installation {
            return false;
        }
        match self.images.get(&image).map(|drafted| &drafted.row) {
            None => true,
            Some(row) if row.attempt != tag.attempt => true,
            Some(row) => match row.external_id.as_deref() {
                Some(known) => known != id,
                None => row.snapshot_attempted.is_none(),
            },
        }
    }

    fn delete_leaked_keypairs(&mut self, provider: &str) {
        let Some(cloud) = self.cloud(provider) else { return };
        if cloud.keypairs.trouble.is_some() || is_planted(Bug::KeypairsStay) {
            return;
        }
        let leaked: Vec<String> = cloud
            .keypairs
            .items
            .keys()
            .filter(|name| cloud.keypairs.both_show(name))
            .filter(|name| self.is_leaked_keypair(name))
            .cloned()
            .collect();
        for name in leaked {
            let errand = Errand::DeleteKeypair { provider: provider.to_owned(), name };
            self.send(errand, "it is named as ours and no row has it");
        }
    }

    /// Whether a keypair is named as ours and no row has it.
    pub(super) fn is_leaked_keypair(&self, name: &str) -> bool {
        Tag::keypair_owner(self.seen.installation, name).is_some_and(|owner| {
            self.images.get(&owner).is_none_or(|drafted| drafted.row.keypair.as_deref() != Some(name))
        })
    }
}
