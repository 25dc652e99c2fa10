//! What the cloud holds: servers, images, keypairs, tokens, and the few things that never change.
//!
//! Plain data behind one lock that is held for moments only. A server keeps its earlier rows for a while, so
//! that a listing can lag behind.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::floating::FloatingIp;
use super::machine::Machine;
use super::random;

/// How long a deleted server is still listed to who asks with `changes-since`.
const DELETED_KEPT: TimeDelta = TimeDelta::minutes(30);
/// How far back a listing can lag.
const PAST_KEPT: TimeDelta = TimeDelta::minutes(11);
/// How many earlier rows a server keeps at most.
const MOST_PAST: usize = 200;

/// A size of server.
#[derive(Clone, Debug)]
pub(crate) struct Flavor {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) ram_mb: i64,
    pub(crate) cores: i64,
    pub(crate) disk_gb: i64,
}

/// The sizes on offer.
pub(crate) const FLAVORS: &[Flavor] = &[
    Flavor { id: "1", name: "m1.tiny", ram_mb: 512, cores: 1, disk_gb: 1 },
    Flavor { id: "2", name: "m1.small", ram_mb: 2048, cores: 1, disk_gb: 10 },
    Flavor { id: "3", name: "ci.medium", ram_mb: 4096, cores: 2, disk_gb: 20 },
    Flavor { id: "4", name: "ci.large", ram_mb: 8192, cores: 4, disk_gb: 40 },
];

/// Where a server is in its life, in Nova's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Build,
    Active,
    Reboot,
    Error,
    Deleted,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Build => "BUILD",
            Status::Active => "ACTIVE",
            Status::Reboot => "REBOOT",
            Status::Error => "ERROR",
            Status::Deleted => "DELETED",
        }
    }

    pub(crate) fn vm_state(self) -> &'static str {
        match self {
            Status::Build => "building",
            Status::Active | Status::Reboot => "active",
            Status::Error => "error",
            Status::Deleted => "deleted",
        }
    }

    pub(crate) fn power_state(self) -> u8 {
        match self {
            Status::Active | Status::Reboot => 1,
            Status::Build | Status::Error | Status::Deleted => 0,
        }
    }
}

/// What a listing shows of a server.
#[derive(Clone, Debug)]
pub(crate) struct ServerRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: Vec<String>,
    pub(crate) status: Status,
    pub(crate) task_state: Option<&'static str>,
    pub(crate) image_id: String,
    pub(crate) flavor: &'static Flavor,
    pub(crate) key_name: Option<String>,
    pub(crate) config_drive: bool,
    /// Their ids.
    pub(crate) security_groups: Vec<String>,
    pub(crate) zone: &'static str,
    /// The volume that it boots from, and its size in GiB.
    pub(crate) volume: Option<(String, i64)>,
    /// What cloud-init is told.
    pub(crate) user_data: Option<String>,
    /// One on each of its networks.
    pub(crate) ports: Vec<Port>,
    /// Whether the address is listed yet. It does not move `updated`: Nova does not promise that either.
    pub(crate) address_shown: bool,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) launched: Option<DateTime<Utc>>,
    pub(crate) terminated: Option<DateTime<Utc>>,
    pub(crate) fault: Option<(DateTime<Utc>, String)>,
}

/// Where a server is plugged into a network.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) id: String,
    pub(crate) mac: String,
    /// The network's id.
    pub(crate) network: String,
    pub(crate) address: Ipv4Addr,
    /// The floating IP that is listed beside the address.
    pub(crate) floating: Option<Ipv4Addr>,
    pub(crate) tags: Vec<String>,
}

/// A network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) id: String,
    pub(crate) subnet: String,
    pub(crate) name: String,
    /// Whether floating IPs come from it; no server may be plugged into it.
    pub(crate) external: bool,
    /// Whether a router leads from it to the external network.
    pub(crate) routed: bool,
}

/// A security group. It filters nothing: loopback has no packet filter.
#[derive(Clone, Debug)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
}

/// A server: its row, the rows it had before, and the machine behind it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) row: ServerRow,
    /// When the row became what it is.
    since: DateTime<Utc>,
    past: VecDeque<(DateTime<Utc>, ServerRow)>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) console: Vec<String>,
}

impl Server {
    pub(crate) fn new(row: ServerRow, machine: Arc<Machine>) -> Self {
        Server { since: row.created, row, past: VecDeque::new(), machine, console: Vec::new() }
    }

    /// Changes the row and keeps the one before. `updated` moves only by `change` itself.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut ServerRow)) {
        let now = Utc::now();
        self.past.push_back((self.since, self.row.clone()));
        // The oldest is not needed once the one after it is older than any lag.
        let spare = |past: &VecDeque<(DateTime<Utc>, ServerRow)>| {
            past.len() > MOST_PAST || past.get(1).is_some_and(|(since, _)| expired(*since, now, PAST_KEPT))
        };
        while spare(&self.past) {
            self.past.pop_front();
        }
        self.since = now;
        change(&mut self.row);
    }

    /// Changes status and task, which moves `updated`.
    pub(crate) fn enter(&mut self, status: Status, task_state: Option<&'static str>) {
        self.change(|row| {
            row.status = status;
            row.task_state = task_state;
            row.updated = Utc::now();
        });
    }

    /// The row as it was at `when`, if the server existed.
    pub(crate) fn row_at(&self, when: DateTime<Utc>) -> Option<&ServerRow> {
        if self.since <= when {
            return Some(&self.row);
        }
        self.past.iter().rev().find(|(since, _)| *since <= when).map(|(_, row)| row)
    }

    /// Whether a DELETE of it answers 404.
    pub(crate) fn is_gone(&self) -> bool {
        self.row.status == Status::Deleted
    }
}

/// Where an image is in its life, in Glance's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageStatus {
    Queued,
    Saving,
    Active,
}

impl ImageStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ImageStatus::Queued => "queued",
            ImageStatus::Saving => "saving",
            ImageStatus::Active => "active",
        }
    }
}

/// A volume that a server boots from. The disk is the server's file tree all the same.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) gib: i64,
    /// The image that it was made of.
    pub(crate) image_id: String,
    /// The server that it is attached to.
    pub(crate) server: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) created: DateTime<Utc>,
}

/// An image and the file tree that servers booted from it start with.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: ImageStatus,
    pub(crate) visibility: String,
    pub(crate) protected: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) container_format: Option<String>,
    pub(crate) disk_format: Option<String>,
    pub(crate) min_disk_gb: i64,
    pub(crate) min_ram_mb: i64,
    pub(crate) size: Option<u64>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    /// Whatever else was set, as Glance keeps it.
    pub(crate) properties: BTreeMap<String, String>,
    /// Folder of the image: `tree` inside it, and `data` when a file was uploaded.
    pub(crate) folder: PathBuf,
    /// Position in the order of creation; listings are newest first.
    pub(crate) order: u64,
}

/// A public key under a name.
#[derive(Clone, Debug)]
pub(crate) struct Keypair {
    pub(crate) name: String,
    pub(crate) public_key: String,
    pub(crate) kind: String,
    pub(crate) fingerprint: String,
    pub(crate) created: DateTime<Utc>,
}

/// A token that was given out.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) method: &'static str,
    pub(crate) issued: DateTime<Utc>,
    pub(crate) expires: DateTime<Utc>,
}

/// Identifiers of the things that there is one of.
#[derive(Clone, Debug)]
pub(crate) struct Fixtures {
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) domain: &'static str,
    pub(crate) role: String,
    pub(crate) application_credential: String,
    /// The private ones as configured, then the external one.
    pub(crate) networks: Vec<Network>,
    pub(crate) router: String,
}

impl Fixtures {
    /// The network of this id.
    pub(crate) fn network(&self, id: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.id == id)
    }
}

/// All that the cloud holds.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) servers: BTreeMap<String, Server>,
    /// Identifiers of servers in the order of their creation.
    pub(crate) server_order: Vec<String>,
    pub(crate) images: BTreeMap<String, Image>,
    pub(crate) images_made: u64,
    pub(crate) keypairs: BTreeMap<String, Keypair>,
    /// In the order of their creation; the first is `default`.
    pub(crate) security_groups: Vec<SecurityGroup>,
    pub(crate) floating_ips: Vec<FloatingIp>,
    /// In the order of their creation.
    pub(crate) volumes: Vec<Volume>,
    /// Ports that outlived their servers, with the last row of each server.
    pub(crate) ports_left: Vec<(ServerRow, Port)>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) fixtures: Fixtures,
}

impl Cloud {
    pub(crate) fn new(fixtures: Fixtures) -> Self {
        Cloud {
            servers: BTreeMap::new(),
            server_order: Vec::new(),
            images: BTreeMap::new(),
            images_made: 0,
            keypairs: BTreeMap::new(),
            security_groups: vec![SecurityGroup {
                id: random::uuid(),
                name: "default".into(),
                description: "Default security group".into(),
            }],
            floating_ips: Vec::new(),
            volumes: Vec::new(),
            ports_left: Vec::new(),
            tokens: HashMap::new(),
            fixtures,
        }
    }

    /// Puts a server in and forgets those that were deleted long ago.
    pub(crate) fn add_server(&mut self, server: Server) {
        let now = Utc::now();
        self.servers.retain(|_, kept| kept.row.terminated.is_none_or(|at| !expired(at, now, DELETED_KEPT)));
        let servers = &self.servers;
        self.server_order.retain(|id| servers.contains_key(id));
        self.server_order.push(server.row.id.clone());
        self.servers.insert(server.row.id.clone(), server);
    }

    /// A server that is not gone.
    pub(crate) fn server(&mut self, id: &str) -> Option<&mut Server> {
        self.servers.get_mut(id).filter(|server| !server.is_gone())
    }

    /// Servers newest first, as Nova lists them, gone ones too.
    pub(crate) fn newest_servers(&self) -> impl Iterator<Item = &Server> {
        self.server_order.iter().rev().filter_map(|id| self.servers.get(id))
    }

    /// The security groups of a server as Nova lists them.
    pub(crate) fn group_names(&self, row: &ServerRow) -> Vec<Value> {
        let named = |id: &String| self.security_groups.iter().find(|group| group.id == *id);
        row.security_groups.iter().filter_map(named).map(|group| json!({"name": group.name})).collect()
    }

    /// Servers, processors and MiB of memory in use.
    pub(crate) fn used(&self) -> (i64, i64, i64) {
        self.servers.values().filter(|server| !server.is_gone()).fold((0, 0, 0), |used, server| {
            let flavor = server.row.flavor;
            (
                used.0.saturating_add(1),
                used.1.saturating_add(flavor.cores),
                used.2.saturating_add(flavor.ram_mb),
            )
        })
    }

    /// Forgets tokens that have expired.
    pub(crate) fn drop_old_tokens(&mut self) {
        let now = Utc::now();
        self.tokens.retain(|_, token| token.expires > now);
    }
}

fn expired(since: DateTime<Utc>, now: DateTime<Utc>, kept: TimeDelta) -> bool {
    now.signed_duration_since(since) > kept
}

/// Finds a flavor by id.
pub(crate) fn flavor(id: &str) -> Option<&'static Flavor> {
    FLAVORS.iter().find(|flavor| flavor.id == id)
}
