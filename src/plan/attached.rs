//! Ports and volumes: what a cloud makes for a server by itself, should delete with it, and sometimes forgets.
//!
//! Nova gives nobody a chance to mark either when it makes them, so each has its own evidence:
//!
//! - A port names its server by an id that no other server ever gets. It is ours when the store says that a server of
//!   this id was ours and is gone. That is as safe as a mark, and costs no call for each node, where Neutron's tags
//!   would cost two. Tags count as well where a port has them: those of another Nodepool protect it.
//! - A volume names its server only as long as it is attached. So our mark is written into its metadata as soon as the
//!   listing of servers shows it. Nobody waits for that. One that is still attached to a server of ours that is gone is
//!   known by that, and marked then.
//!
//! Both go only when two listings showed them without their server, like everything else that was left behind.

use super::Draft;
use super::action::Errand;
use super::leftovers::{finding, said};
use super::limits;
use super::view::{CloudView, Listing};
use crate::model::{Fate, Leftover, LeftoverKind, Owner, Port, Tag, Timestamp, Volume};
use crate::planted::{Bug, is_planted};

impl Draft<'_> {
    /// Ports that servers of ours left behind.
    pub(super) fn left_ports(&mut self, provider: &str, cloud: &CloudView) -> Vec<Leftover> {
        if cloud.ports.trouble.is_some() || is_planted(Bug::PortsStay) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for port in cloud.ports.items.values() {
            let Some(tag) = self.is_left_port(cloud, port) else { continue };
            let mut one = finding(provider, LeftoverKind::Port, &port.id, &said(tag), &cloud.ports);
            let server = &port.server_id;
            // Nothing would keep us from taking the port of a server that runs, so its absence has to be sure.
            let is_gone = cloud.servers.twice_since(one.first_seen);
            one.reason = if self.is_ripe(&one) && is_gone {
                one.fate = Fate::Deleted;
                format!("its server {server}, which was ours, is gone")
            } else {
                format!(
                    "it goes when two complete listings of ports, and then two of servers, showed it without its server \
                     {server} and it has been known for {} s",
                    limits::LEFTOVER_AGE.as_secs()
                )
            };
            found.push(one);
        }
        found
    }

    /// Volumes that servers of ours left behind.
    pub(super) fn left_volumes(&mut self, provider: &str, cloud: &CloudView) -> Vec<Leftover> {
        if cloud.volumes.trouble.is_some() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for volume in cloud.orphans.items.values() {
            let Some(tag) = self.is_left_volume(cloud, volume) else { continue };
            let mut one = finding(provider, LeftoverKind::Volume, &volume.id, &said(tag), &cloud.orphans);
            one.reason = if !self.is_ripe(&one) {
                format!(
                    "it goes when two complete listings showed it without its server and it has been known for {} s",
                    limits::LEFTOVER_AGE.as_secs()
                )
            } else if volume.is_deletable() {
                one.fate = Fate::Deleted;
                format!("it carries our tag as {}, and no server has it", one.made_for)
            } else {
                why_it_stays(volume)
            };
            found.push(one);
        }
        found
    }

    fn is_ripe(&mut self, one: &Leftover) -> bool {
        one.listings >= 2 && self.has_come(one.first_seen.plus(limits::LEFTOVER_AGE))
    }

    /// The tag of a port that is ours and whose server is no row's and is not there.
    fn is_left_port<'p>(&self, cloud: &CloudView, port: &'p Port) -> Option<&'p Tag> {
        let tag = port.tag.as_ref().filter(|tag| self.is_leaked(&port.server_id, tag))?;
        let is_shown = cloud.servers.items.contains_key(&port.server_id)
            || !cloud.servers.neither_shows(|server| server.id == port.server_id);
        (!is_shown).then_some(tag)
    }

    /// The tag of a volume that is ours and that belongs to no row's server and to none that is there.
    fn is_left_volume<'v>(&self, cloud: &CloudView, volume: &'v Volume) -> Option<&'v Tag> {
        let tag = volume.tag.as_ref().filter(|tag| tag.installation == self.seen.installation)?;
        let has_it = |server: &crate::model::Server| {
            server.tag.as_ref() == Some(tag)
                || server.volumes.contains(&volume.id)
                || volume.servers.contains(&server.id)
        };
        let is_needed = self.has_server(tag) || cloud.servers.items.values().any(has_it);
        (!is_needed).then_some(tag)
    }

    /// Whether a row has a server that this attempt made, or may still get one.
    fn has_server(&self, tag: &Tag) -> bool {
        match tag.owner {
            Owner::Node(id) => self
                .nodes
                .get(&id)
                .is_some_and(|drafted| drafted.row.attempt == tag.attempt && drafted.row.attempted.is_some()),
            Owner::Builder(id) => self
                .images
                .get(&id)
                .is_some_and(|drafted| drafted.row.attempt == tag.attempt && drafted.row.attempted.is_some()),
            Owner::Verifier(id) => self.images.get(&id).is_some_and(|drafted| {
                drafted.row.attempt == tag.attempt && drafted.row.verify_attempted.is_some()
            }),
        }
    }

    /// Whether volumes are of any interest at this provider. Elsewhere no call is made about them.
    pub(super) fn uses_volumes(&self, provider: &str, cloud: &CloudView) -> bool {
        let ours = |tag: Option<&Tag>| tag.is_some_and(|tag| tag.installation == self.seen.installation);
        let configured = self.config.provider(provider);
        configured.is_some_and(|known| known.images.iter().any(|image| image.boot_volume_gib.is_some()))
            || cloud.servers.items.values().any(|one| !one.volumes.is_empty() && ours(one.tag.as_ref()))
            || cloud.volumes.items.values().any(|one| ours(one.tag.as_ref()))
    }

    /// Lists ports and volumes where that is due, and marks volumes that are not marked yet.
    pub(super) fn list_attached(&mut self, provider: &str, cloud: &CloudView) {
        let doubted = |listing: &Listing<Port>, port: &Port| !listing.both_show(&port.id);
        let suspected = cloud
            .ports
            .items
            .values()
            .any(|port| doubted(&cloud.ports, port) && self.is_left_port(cloud, port).is_some());
        let pause = self.pause_for(provider, cloud, suspected, cloud.ports.complete);
        if self.listing_due(&cloud.ports, pause) {
            self.send(Errand::ListPorts { provider: provider.to_owned() }, "a listing of ports is due");
        }
        if !self.uses_volumes(provider, cloud) {
            return;
        }
        let suspected = cloud.orphans.items.values().any(|volume| {
            !cloud.orphans.both_show(&volume.id) && self.is_left_volume(cloud, volume).is_some()
        });
        let pause = self.pause_for(provider, cloud, suspected, cloud.volumes.complete);
        if self.listing_due(&cloud.volumes, pause) {
            self.send(Errand::ListVolumes { provider: provider.to_owned() }, "a listing of volumes is due");
        }
        self.mark_volumes(provider, cloud);
    }

    /// How long after the last listing the next one is due.
    fn pause_for(
        &self,
        provider: &str,
        cloud: &CloudView,
        suspected: bool,
        last: Option<Timestamp>,
    ) -> std::time::Duration {
        // Of a provider that is left nothing is forgotten before a listing that began after its last server went.
        let retired = self.config.provider(provider).is_some_and(|known| known.retired.is_some());
        let unsure = retired && cloud.rowless_since.is_some_and(|since| last.is_none_or(|last| last < since));
        if suspected || unsure { limits::CONFIRM_ABSENCE } else { limits::LIST_STORE_WHEN_IDLE }
    }

    /// Puts our mark on the volumes of servers of ours that do not carry it, as far as the listings tell.
    fn mark_volumes(&mut self, provider: &str, cloud: &CloudView) {
        if !cloud.volumes.is_sure() || self.obstacle(provider).is_some() {
            return;
        }
        let ours = |tag: &Option<Tag>| tag.clone().filter(|tag| tag.installation == self.seen.installation);
        let is_marked = |id: &String| cloud.volumes.items.get(id).is_some_and(|volume| volume.marked);
        let mut unmarked: Vec<(String, Tag)> = Vec::new();
        for server in cloud.servers.items.values() {
            let Some(tag) = ours(&server.tag) else { continue };
            let volumes = server.volumes.iter().filter(|id| !is_marked(id));
            unmarked.extend(volumes.map(|id| (id.clone(), tag.clone())));
        }
        let known_by_server = cloud.orphans.items.values().filter(|volume| !volume.marked);
        unmarked.extend(known_by_server.filter_map(|volume| Some((volume.id.clone(), ours(&volume.tag)?))));
        for (id, tag) in unmarked {
            let (owner, attempt) = (tag.owner, tag.attempt);
            let errand = Errand::MarkVolume { provider: provider.to_owned(), id, owner, attempt };
            self.send(errand, "the cloud made it for a server of ours, without our mark");
        }
    }

    /// Whether a provider that left the configuration surely shows no port or volume of ours without a server, as far as
    /// it lets us look.
    pub(super) fn is_rid_of_attached(&self, provider: &str, cloud: &CloudView) -> bool {
        let since = cloud.rowless_since.unwrap_or_default();
        let looked = |complete: Option<Timestamp>, trouble: &Option<String>| {
            trouble.is_some() || complete.is_some_and(|began| began >= since)
        };
        looked(cloud.ports.complete, &cloud.ports.trouble)
            && !cloud.ports.items.values().any(|port| self.is_left_port(cloud, port).is_some())
            && (!self.uses_volumes(provider, cloud) || looked(cloud.volumes.complete, &cloud.volumes.trouble))
            && !cloud.orphans.items.values().any(|volume| self.is_left_volume(cloud, volume).is_some())
    }

    /// Which listings of ports and volumes failed since a clean-up was asked for. No cloud has to offer them, so it does
    /// not fail for that.
    ///
    /// # Errors
    /// When one of them is still to come.
    pub(super) fn attached_since(&self, asked: Timestamp) -> Result<Vec<String>, ()> {
        let mut failed = Vec::new();
        for (name, cloud) in self.seen.clouds {
            let ports = Errand::ListPorts { provider: name.clone() };
            let volumes = Errand::ListVolumes { provider: name.clone() };
            let volumes = self.uses_volumes(name, cloud).then_some((
                volumes,
                cloud.volumes.complete,
                &cloud.volumes.trouble,
            ));
            let ports = (ports, cloud.ports.complete, &cloud.ports.trouble);
            for (errand, complete, trouble) in [ports].into_iter().chain(volumes) {
                if trouble.is_some() {
                    failed.push(format!("{} at {name}", errand.purpose()));
                } else if complete.is_none_or(|began| began < asked) {
                    return Err(());
                }
            }
        }
        Ok(failed)
    }
}

/// Why a volume that nobody needs is not deleted now, and what an operator can do.
fn why_it_stays(volume: &Volume) -> String {
    if volume.state == "deleting" {
        return "the cloud is deleting it".to_owned();
    }
    let attached = match volume.servers.as_slice() {
        [] => String::new(),
        servers => format!(", attached to server {}, which is gone", servers.join(" and ")),
    };
    format!(
        "it is {}{attached}, and the cloud deletes none like that. It goes when that changes; an administrator can see to \
         it: `openstack volume set --state available --detached {}`",
        if volume.state.is_empty() { "in an unknown state" } else { &volume.state },
        volume.id
    )
}
