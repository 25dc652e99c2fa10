//! How many servers a provider may still have.
//!
//! Two counts, because two questions are asked. *Reserved* counts every row and every server of ours: what must fit
//! before more rows are made. *Occupied* counts only what may exist in the cloud now: what must fit before a server is
//! created. Nodes, builders, verifiers, servers being deleted and leaked ones all count in both.

use std::collections::{BTreeMap, BTreeSet};

use super::observation::Observation;
use crate::config::Config;
use crate::model::{Image, ImageState, ImageStep, NodeState, Owner, Tag};
use crate::planted::{Bug, is_planted};

/// The room at each provider.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    by_provider: BTreeMap<String, Room>,
}

/// The room at one provider.
#[derive(Debug, Default)]
struct Room {
    limit: u32,
    reserved: u32,
    occupied: u32,
}

impl Rooms {
    /// Counts what is there.
    pub(super) fn count(config: &Config, seen: &Observation<'_>) -> Self {
        let mut rooms = Self::default();
        for provider in &config.providers {
            let room = Room { limit: provider.max_servers.unwrap_or(0), ..Room::default() };
            rooms.by_provider.insert(provider.name.clone(), room);
        }
        let mut tags_of_rows = BTreeSet::new();
        for node in &seen.nodes {
            tags_of_rows.insert((Owner::Node(node.id), node.attempt.as_str()));
            if is_planted(Bug::DoomedServersDoNotCount) && node.state == NodeState::Delete {
                continue;
            }
            rooms.add(&node.provider, 1, u32::from(node.attempted.is_some()));
        }
        for image in &seen.images {
            let servers = servers_of(image);
            let at_least = u32::from(matches!(image.state, ImageState::Building(_)));
            if !is_planted(Bug::BuildersDoNotCount) {
                rooms.add(&image.provider, servers.max(at_least), servers);
            }
            for owner in [Owner::Builder(image.id), Owner::Verifier(image.id)] {
                if may_exist(image, owner) {
                    tags_of_rows.insert((owner, image.attempt.as_str()));
                }
            }
        }
        for (provider, cloud) in seen.clouds {
            let mut counted = BTreeSet::new();
            let without_row = cloud
                .servers
                .items
                .values()
                .filter_map(|server| server.tag.as_ref())
                .filter(|tag| tag.installation == seen.installation)
                .filter(|tag| !accounted(&tags_of_rows, &mut counted, tag))
                .count();
            let without_row = u32::try_from(without_row).unwrap_or(u32::MAX);
            rooms.add(provider, without_row, without_row);
        }
        rooms
    }

    fn add(&mut self, provider: &str, reserved: u32, occupied: u32) {
        let room = self.by_provider.entry(provider.to_owned()).or_default();
        room.reserved = room.reserved.saturating_add(reserved);
        room.occupied = room.occupied.saturating_add(occupied);
    }

    /// How many more rows fit.
    pub(super) fn unreserved(&self, provider: &str) -> u32 {
        self.by_provider.get(provider).map_or(0, |room| room.limit.saturating_sub(room.reserved))
    }

    /// How many more servers can be created.
    pub(super) fn unoccupied(&self, provider: &str) -> u32 {
        self.by_provider.get(provider).map_or(0, |room| room.limit.saturating_sub(room.occupied))
    }

    /// How many places are taken by rows and by servers without one.
    pub(super) fn reserved(&self, provider: &str) -> u32 {
        self.by_provider.get(provider).map_or(0, |room| room.reserved)
    }

    /// The limit of the provider.
    pub(super) fn limit(&self, provider: &str) -> u32 {
        self.by_provider.get(provider).map_or(0, |room| room.limit)
    }

    /// Takes places for new rows, if so many are free: all of them or none.
    pub(super) fn reserve(&mut self, provider: &str, places: u32) -> bool {
        self.by_provider.get_mut(provider).is_some_and(|room| take(&mut room.reserved, places, room.limit))
    }

    /// Takes places for servers about to be created, if so many are free: all of them or none.
    pub(super) fn occupy(&mut self, provider: &str, places: u32) -> bool {
        self.by_provider.get_mut(provider).is_some_and(|room| take(&mut room.occupied, places, room.limit))
    }
}

fn take(taken: &mut u32, places: u32, limit: u32) -> bool {
    let after = taken.saturating_add(places);
    let fits = after <= limit;
    if fits {
        *taken = after;
    }
    fits
}

/// Whether a row counts this server already. Each row counts one: a twin counts on its own.
fn accounted<'a>(
    tags_of_rows: &BTreeSet<(Owner, &'a str)>,
    counted: &mut BTreeSet<(Owner, &'a str)>,
    tag: &'a Tag,
) -> bool {
    let key = (tag.owner, tag.attempt.as_str());
    tags_of_rows.contains(&key) && counted.insert(key)
}

/// Whether a server of this kind may exist for the image, as far as its row knows.
fn may_exist(image: &Image, owner: Owner) -> bool {
    match owner {
        Owner::Node(_) => false,
        Owner::Builder(_) => image.attempted.is_some(),
        Owner::Verifier(_) => image.verify_attempted.is_some(),
    }
}

/// How many servers of an image may exist, as far as its row knows.
fn servers_of(image: &Image) -> u32 {
    u32::from(may_exist(image, Owner::Builder(image.id)))
        .saturating_add(u32::from(may_exist(image, Owner::Verifier(image.id))))
}

/// Whether the build of this image still needs its builder.
pub(super) const fn needs_builder(image: &Image) -> bool {
    match image.state {
        ImageState::Building(
            ImageStep::Create | ImageStep::Boot | ImageStep::Setup | ImageStep::Snapshot | ImageStep::Save,
        ) => true,
        ImageState::Building(ImageStep::Verify)
        | ImageState::Ready
        | ImageState::Delete
        | ImageState::Gone => false,
    }
}
