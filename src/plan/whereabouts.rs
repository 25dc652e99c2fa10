//! Where a server is that a row asked for, as far as can be known.
//!
//! The one place that decides when absence is believed. Clouds answer late, list late, and lose answers; a server that
//! is merely not shown may be about to appear.

use std::time::Duration;

use super::limits;
use super::view::CloudView;
use crate::model::{FloatingIp, Server, Tag, Timestamp};
use crate::planted::{Bug, is_planted};

/// What a row knows of the server that it asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The tag that the server carries.
    pub tag: &'a Tag,
    /// The cloud's id, if the answer came.
    pub id: Option<&'a str>,
    /// When the call was about to be made; `None`: no call was ever made.
    pub attempted: Option<Timestamp>,
    /// How long that call can have been on its way at most.
    pub call_deadline: Duration,
}

/// Where that server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts<'a> {
    /// It was never asked for, or surely never made, or is confirmed gone.
    Nowhere,
    /// The cloud shows it.
    Shown(&'a Server),
    /// The answer was lost, but here it is, known by its tag.
    Found(&'a Server),
    /// The cloud does not show it, and we cannot tell yet whether it will.
    Unsure(Unsure),
}

/// What would settle the doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsure {
    /// Complete listings that begin at this moment or later.
    ListingsFrom(Timestamp),
    /// One complete listing that begins at this moment or later: the cloud itself called the server gone.
    ListingFrom(Timestamp),
}

/// Finds the server that a row asked for.
pub(super) fn locate<'a>(cloud: &'a CloudView, asked: Asked<'_>) -> Whereabouts<'a> {
    let Some(attempted) = asked.attempted else {
        return Whereabouts::Nowhere;
    };
    let Some(id) = asked.id else {
        return match cloud.tagged(asked.tag) {
            Some(server) => Whereabouts::Found(server),
            None => unanswered(cloud, asked.tag, attempted, asked.call_deadline),
        };
    };
    if let Some(server) = cloud.servers.items.get(id) {
        return Whereabouts::Shown(server);
    }
    if let Some(since) = cloud.gone.get(id) {
        return if cloud.servers.complete.is_some_and(|began| began >= *since) {
            Whereabouts::Nowhere
        } else {
            Whereabouts::Unsure(Unsure::ListingFrom(*since))
        };
    }
    let settled = attempted.plus(asked.call_deadline).plus(limits::LISTING_LAG);
    if cloud.servers.twice_since(settled) && cloud.servers.neither_shows(|server| server.id == id) {
        Whereabouts::Nowhere
    } else {
        Whereabouts::Unsure(Unsure::ListingsFrom(settled))
    }
}

/// Where a floating IP is that a row asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// It was never asked for, or surely never made, or is gone.
    Nowhere,
    /// The cloud shows it.
    Shown(&'a FloatingIp),
    /// The answer was lost, but here it is, known by its tag.
    Found(&'a FloatingIp),
    /// The cloud does not show it. Two complete listings that begin at this moment or later will tell.
    Unsure(Timestamp),
}

/// Finds the floating IP that a row asked for. Of twins the one that leads to a server is the one to keep.
pub(super) fn locate_floating_ip<'a>(cloud: &'a CloudView, asked: Asked<'_>) -> Standing<'a> {
    let Some(attempted) = asked.attempted else { return Standing::Nowhere };
    let fits = |shown: &FloatingIp| match asked.id {
        Some(id) => shown.id == id,
        None => shown.tag.as_ref() == Some(asked.tag),
    };
    let fitting = cloud.floating_ips.items.values().filter(|shown| fits(shown));
    match (fitting.min_by_key(|shown| !shown.server_attached), asked.id) {
        (Some(shown), Some(_)) => Standing::Shown(shown),
        (Some(shown), None) => Standing::Found(shown),
        (None, _) => {
            let settled = attempted.plus(asked.call_deadline).plus(limits::LISTING_LAG);
            let gone = cloud.floating_ips.twice_since(settled) && cloud.floating_ips.neither_shows(fits);
            if gone { Standing::Nowhere } else { Standing::Unsure(settled) }
        }
    }
}

/// A create call whose answer we do not have, and no server with its tag.
fn unanswered<'a>(
    cloud: &'a CloudView,
    tag: &Tag,
    attempted: Timestamp,
    call_deadline: Duration,
) -> Whereabouts<'a> {
    let settled = attempted.plus(call_deadline).plus(limits::LISTING_LAG);
    let never_shown = cloud.servers.neither_shows(|server| server.tag.as_ref() == Some(tag));
    if never_shown && (cloud.servers.twice_since(settled) || is_planted(Bug::AbsenceAtFirstSight)) {
        Whereabouts::Nowhere
    } else {
        Whereabouts::Unsure(Unsure::ListingsFrom(settled))
    }
}
