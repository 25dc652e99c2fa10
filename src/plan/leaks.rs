//! What is ours by its tag and belongs to no row.
//!
//! What does not carry our tag is nobody's business here: it is listed as alien by whoever asks. What is done about leaks
//! is decided in `leftovers`.

use super::Draft;
use super::view::CloudView;
use crate::model::{Owner, Tag};
use crate::planted::{Bug, is_planted};

impl Draft<'_> {
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
            Some((_, None)) => !self.awaits(tag.owner),
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

    /// Whether a snapshot is ours and no row's.
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

    /// Whether a keypair is named as ours and no row has it.
    pub(super) fn is_leaked_keypair(&self, name: &str) -> bool {
        Tag::keypair_owner(self.seen.installation, name).is_some_and(|owner| {
            self.images.get(&owner).is_none_or(|drafted| drafted.row.keypair.as_deref() != Some(name))
        })
    }
}
