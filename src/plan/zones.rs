//! In which availability zone a server is made.
//!
//! Each new server goes to the zone of its provider where we have fewest. A zone where launches fail is avoided for a
//! while, longer after each failure, as long as another one serves; then one node tries it, and when that one becomes
//! ready the zone is like the others again. If all zones fail the one that failed least is tried, by one node at a time.

use super::Draft;
use super::limits;
use crate::config::Provider;
use crate::model::{ImageState, NodeState, Setback, SetbackKind};

impl<'a> Draft<'a> {
    /// The zone for a new node; `None` leaves it to the cloud.
    ///
    /// # Errors
    /// When all zones fail and one of them is being tried: why no more nodes are made now.
    pub(super) fn zone_for_node(&self, provider: &str) -> Result<Option<String>, String> {
        let Some(configured) = self.config.provider(provider) else { return Ok(None) };
        if let [] | [_] = configured.availability_zones.as_slice() {
            // Where there is no choice, a failing zone is a failing provider.
            return Ok(configured.availability_zones.first().cloned());
        }
        if let Some(zone) = self.serving_zone(configured) {
            return Ok(Some(zone.to_owned()));
        }
        let zones = &configured.availability_zones;
        if let Some(tried) = zones.iter().find(|zone| self.is_being_tried(provider, zone)) {
            return Err(format!("all availability zones of {provider} fail; a node tries {tried} first"));
        }
        Ok(self.least_bad_zone(configured).map(str::to_owned))
    }

    /// Whether a node can be made at a provider, as far as its zones are concerned.
    pub(super) fn check_zones(&self, provider: &str) -> Result<(), String> {
        self.zone_for_node(provider).map(|_| ())
    }

    /// The zone for a server of an image that is being built; `None` leaves it to the cloud.
    pub(super) fn zone_for_build(&self, provider: &str) -> Option<String> {
        let configured = self.config.provider(provider)?;
        let zone = self.serving_zone(configured).or_else(|| self.least_bad_zone(configured));
        zone.map(str::to_owned)
    }

    /// Remembers that a server failed in a zone, if it is one that was chosen.
    pub(super) fn set_back_zone(&mut self, provider: &str, zone: Option<&str>, reason: &str) {
        let Some(zone) = zone else { return };
        let configured = self.config.provider(provider);
        if configured.is_some_and(|provider| provider.availability_zones.iter().any(|known| known == zone)) {
            self.set_back(SetbackKind::Zone, provider, zone, reason);
        }
    }

    /// Counts servers that this plan puts into a zone.
    pub(super) fn note_in_zone(&mut self, provider: &str, zone: &str, servers: u32) {
        let in_zone = self.granted.zones.entry((provider.to_owned(), zone.to_owned())).or_default();
        *in_zone = in_zone.saturating_add(servers);
    }

    /// Of the zones that are not avoided the one with fewest servers; of equal ones the first in the configuration.
    fn serving_zone(&self, provider: &'a Provider) -> Option<&'a str> {
        let zones = provider.availability_zones.iter();
        let serving = zones.filter(|zone| !self.is_avoided(&provider.name, zone));
        serving.min_by_key(|zone| self.servers_in_zone(&provider.name, zone)).map(String::as_str)
    }

    /// The zone that failed least often in a row, and of equal ones the one that is left alone longest.
    fn least_bad_zone(&self, provider: &'a Provider) -> Option<&'a str> {
        let zones = provider.availability_zones.iter();
        let badness =
            |zone: &&String| self.zone_setback(&provider.name, zone).map(|bad| (bad.failures, bad.last));
        zones.min_by_key(badness).map(String::as_str)
    }

    /// Whether a zone failed and is not to be tried now: its pause is not over, or somebody tries it already.
    fn is_avoided(&self, provider: &str, zone: &str) -> bool {
        if self.set_back.contains(&(SetbackKind::Zone, provider.to_owned(), zone.to_owned())) {
            return true;
        }
        self.zone_setback(provider, zone).is_some_and(|setback| {
            let again = setback.last.plus(limits::backoff(SetbackKind::Zone, setback.failures));
            self.now() < again || self.is_being_tried(provider, zone)
        })
    }

    fn zone_setback(&self, provider: &str, zone: &str) -> Option<&'a Setback> {
        self.seen.setback(SetbackKind::Zone, provider, zone)
    }

    /// Whether a node is being built in a zone, or will be.
    fn is_being_tried(&self, provider: &str, zone: &str) -> bool {
        self.granted_in_zone(provider, zone) > 0
            || self.nodes.values().map(|drafted| &drafted.row).any(|node| {
                matches!(node.state, NodeState::Building(_))
                    && node.provider == provider
                    && node.az.as_deref() == Some(zone)
            })
    }

    fn servers_in_zone(&self, provider: &str, zone: &str) -> usize {
        let nodes = self.nodes.values().map(|drafted| &drafted.row);
        let nodes = nodes.filter(|node| node.provider == provider && node.az.as_deref() == Some(zone));
        let images = self.images.values().map(|drafted| &drafted.row);
        let images = images.filter(|image| {
            matches!(image.state, ImageState::Building(_))
                && image.provider == provider
                && image.az.as_deref() == Some(zone)
        });
        let coming = usize::try_from(self.granted_in_zone(provider, zone)).unwrap_or(usize::MAX);
        nodes.count().saturating_add(images.count()).saturating_add(coming)
    }

    fn granted_in_zone(&self, provider: &str, zone: &str) -> u32 {
        self.granted.zones.get(&(provider.to_owned(), zone.to_owned())).copied().unwrap_or(0)
    }
}
