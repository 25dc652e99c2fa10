//! What a cloud showed us, and how sure that is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::quota::QuotaView;
use crate::model::{CloudImage, FloatingIp, Keypair, Port, Server, ServerStatus, Tag, Timestamp, Volume};

/// How long we remember that a cloud called a server deleted. Much longer than it takes to confirm it by a listing;
/// a row that is still there afterwards is settled by listings alone.
const EVIDENCE_KEPT: Duration = Duration::from_secs(3600);

/// What one provider's cloud showed us.
#[derive(Clone, Debug, Default)]
pub struct CloudView {
    /// Servers, by the cloud's id.
    pub servers: Listing<Server>,
    /// Images, by the cloud's id.
    pub images: Listing<CloudImage>,
    /// Keypairs, by name.
    pub keypairs: Listing<Keypair>,
    /// Floating IPs, by the cloud's id. Nobody looks where no pool is configured and no row has one.
    pub floating_ips: Listing<FloatingIp>,
    /// Those of them that lead to no server.
    pub loose: Listing<FloatingIp>,
    /// Ports whose servers are gone, with our tag where those were ours. Others are of no interest.
    pub ports: Listing<Port>,
    /// Volumes with a mark, or attached to a server of ours that is gone. Nobody looks where no server has one.
    pub volumes: Listing<Volume>,
    /// Those of them that belong to no server that is shown.
    pub orphans: Listing<Volume>,
    /// What the project may have and has.
    pub quota: QuotaView,
    /// Servers that the cloud itself called deleted or unknown, and when it did.
    pub gone: BTreeMap<String, Timestamp>,
    /// Since when no row has been there; `None` while one is.
    pub rowless_since: Option<Timestamp>,
}

/// What the last listings showed.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The last complete listing, with the changes that later ones brought.
    pub items: BTreeMap<String, T>,
    /// When the last complete listing began.
    pub complete: Option<Timestamp>,
    /// What was known when the last complete listing came, and when the complete one before it began.
    pub previous: Option<(Timestamp, BTreeMap<String, T>)>,
    /// When the last listing of any kind began.
    pub began: Option<Timestamp>,
    /// When the answer to that listing came, of servers and agents.
    pub ended: Option<Timestamp>,
    /// Why the last try to list failed; `None` when it did not.
    pub trouble: Option<String>,
    /// Of each item, when the first complete listing began that showed it, and how many in a row did.
    seen: BTreeMap<String, (Timestamp, u32)>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            complete: None,
            previous: None,
            began: None,
            ended: None,
            trouble: None,
            seen: BTreeMap::new(),
        }
    }
}

impl<T> Listing<T> {
    /// Takes in a complete listing.
    pub fn replace(&mut self, began: Timestamp, items: BTreeMap<String, T>) {
        let again = |id: &String| match self.seen.get(id) {
            Some((first, listings)) => (*first, listings.saturating_add(1)),
            None => (began, 1),
        };
        self.seen = items.keys().map(|id| (id.clone(), again(id))).collect();
        let before = std::mem::replace(&mut self.items, items);
        self.previous = self.complete.map(|when| (when, before));
        self.complete = Some(began);
        self.began = Some(began);
        self.trouble = None;
    }

    /// Takes in that a listing failed. What was known stays known; it is just not fresh.
    pub fn failed(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    /// When the first of the complete listings in a row began that showed this item, and how many they are. What only a
    /// listing of changes showed was seen in none.
    pub(super) fn sighting(&self, id: &str) -> (Timestamp, u32) {
        let last = self.began.unwrap_or_default();
        self.seen.get(id).copied().unwrap_or((last, 0))
    }

    /// Whether the last listing is complete and came.
    pub(super) fn is_sure(&self) -> bool {
        self.complete.is_some() && self.trouble.is_none()
    }

    /// Whether both of the last complete listings began at `moment` or later.
    pub(super) fn twice_since(&self, moment: Timestamp) -> bool {
        self.previous.as_ref().is_some_and(|(began, _)| *began >= moment)
            && self.complete.is_some_and(|began| began >= moment)
    }

    /// Whether neither of the last two complete listings showed anything that fits.
    pub(super) fn neither_shows(&self, fits: impl Fn(&T) -> bool) -> bool {
        !self.items.values().any(&fits)
            && !self.previous.as_ref().is_some_and(|(_, before)| before.values().any(&fits))
    }

    /// Whether both of the last two complete listings showed this item.
    pub(super) fn both_show(&self, id: &str) -> bool {
        self.items.contains_key(id)
            && self.previous.as_ref().is_some_and(|(_, before)| before.contains_key(id))
    }
}

impl CloudView {
    /// Takes in a listing of servers: a complete one, or the changes since an earlier one.
    pub fn take_servers(&mut self, began: Timestamp, now: Timestamp, complete: bool, servers: Vec<Server>) {
        let (deleted, living): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|server| server.status == ServerStatus::Deleted);
        self.servers.ended = Some(now);
        if complete {
            let items: BTreeMap<_, _> =
                living.into_iter().map(|server| (server.id.clone(), server)).collect();
            self.gone.retain(|_, since| now.since(*since) < EVIDENCE_KEPT);
            self.servers.replace(began, items);
        } else {
            self.servers.items.extend(living.into_iter().map(|server| (server.id.clone(), server)));
            self.servers.began = Some(began);
            self.servers.trouble = None;
        }
        for server in deleted {
            self.saw_gone(&server.id, now);
        }
    }

    /// Takes in a listing of floating IPs.
    pub fn take_floating_ips(&mut self, began: Timestamp, floating_ips: Vec<FloatingIp>) {
        let all: BTreeMap<_, _> = floating_ips.into_iter().map(|one| (one.id.clone(), one)).collect();
        let loose = all.iter().filter(|(_, one)| !one.server_attached);
        self.loose.replace(began, loose.map(|(id, one)| (id.clone(), one.clone())).collect());
        self.floating_ips.replace(began, all);
    }

    /// Takes in a listing of ports.
    pub fn take_ports(&mut self, began: Timestamp, ports: Vec<Port>) {
        let servers = &self.servers.items;
        let left = ports.into_iter().filter(|port| !servers.contains_key(&port.server_id));
        self.ports.replace(began, left.map(|port| (port.id.clone(), port)).collect());
    }

    /// Takes in a listing of volumes.
    pub fn take_volumes(&mut self, began: Timestamp, volumes: Vec<Volume>) {
        let marked = volumes.into_iter().filter(|volume| volume.tag.is_some());
        let all: BTreeMap<_, _> = marked.map(|volume| (volume.id.clone(), volume)).collect();
        let servers = self.servers.items.values();
        let attached: BTreeSet<&String> = servers.clone().flat_map(|server| &server.volumes).collect();
        let tags: BTreeSet<&Tag> = servers.filter_map(|server| server.tag.as_ref()).collect();
        let is_orphan = |volume: &Volume| {
            !attached.contains(&volume.id)
                && !volume.tag.as_ref().is_some_and(|tag| tags.contains(tag))
                && !volume.servers.iter().any(|server| self.servers.items.contains_key(server))
        };
        let orphans = all.iter().filter(|(_, volume)| is_orphan(volume));
        let orphans = orphans.map(|(id, volume)| (id.clone(), volume.clone())).collect();
        self.orphans.replace(began, orphans);
        self.volumes.replace(began, all);
    }

    /// Takes in that our mark was put on a volume: until the next listing shows it, nobody puts it there again.
    pub fn saw_marked(&mut self, id: &str, tag: Tag) {
        if let Some(orphan) = self.orphans.items.get_mut(id) {
            orphan.marked = true;
        }
        let unknown =
            Volume { id: id.to_owned(), state: String::new(), servers: Vec::new(), tag: None, marked: true };
        let volume = self.volumes.items.entry(id.to_owned()).or_insert(unknown);
        (volume.tag, volume.marked) = (Some(tag), true);
    }

    /// Takes in that the cloud called a server deleted or unknown.
    pub fn saw_gone(&mut self, id: &str, now: Timestamp) {
        self.servers.items.remove(id);
        self.gone.entry(id.to_owned()).or_insert(now);
    }

    /// Why nothing can be created or deleted here now, if so.
    pub(super) fn obstacle(&self, provider: &str) -> Option<String> {
        match (&self.servers.trouble, self.servers.complete) {
            (Some(trouble), _) => Some(format!("the servers of {provider} could not be listed: {trouble}")),
            (None, None) => Some(format!("the servers of {provider} were not listed yet")),
            (None, Some(_)) => None,
        }
    }

    /// Our server with this tag, if one is shown; of several, the one with the first id.
    pub(super) fn tagged(&self, tag: &Tag) -> Option<&Server> {
        self.servers.items.values().find(|server| server.tag.as_ref() == Some(tag))
    }
}
