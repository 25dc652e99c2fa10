//! A small world for the simulation: its clock, its dice, its clouds and its machines.
//!
//! Everything in it is virtual and follows from a seed. Time moves only when the simulation moves it; whatever waits in
//! here says until when, so that the simulation can jump there.

pub mod attached;
pub mod cloud;
pub mod daemon;
pub mod demand;
pub mod dice;
pub mod fault;
pub mod floating;
pub mod pool;
pub mod quota;
pub mod reload;
pub mod remote;
pub mod rules;
pub mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nodepool::cloud::CloudError;
use nodepool::model::{HostKey, Tag, Timestamp};

use dice::Dice;
use fault::{Fault, Faults};

/// After this time a listing has shown a server, whatever the faults.
const SHOWN_WITHIN: Duration = Duration::from_secs(600);

/// The world, shared by everybody who lives in it.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

/// What the world is like at this moment.
pub struct State {
    /// The virtual clock.
    pub now: Timestamp,
    /// Where chance comes from.
    pub dice: Dice,
    /// Whether things go wrong by themselves.
    pub faulty: bool,
    /// What went wrong, and how often.
    pub faults: Faults,
    /// The moments that somebody waits for.
    pub alarms: BTreeSet<Timestamp>,
    /// All servers that ever were, by provider and then by id.
    pub servers: BTreeMap<String, BTreeMap<String, Server>>,
    /// All images that ever were.
    pub images: BTreeMap<String, BTreeMap<String, Image>>,
    /// The keypairs that are there.
    pub keypairs: BTreeMap<String, BTreeSet<String>>,
    /// All floating IPs that ever were, by provider and then by id.
    pub floating_ips: BTreeMap<String, BTreeMap<String, FloatingIp>>,
    /// The providers that have a pool of floating IPs. Their servers cannot be reached in any other way.
    pub pools: BTreeSet<String>,
    /// Ports and volumes that outlived their servers.
    pub attached: attached::Attached,
    /// Whether images boot from volumes.
    pub boots_from_volumes: bool,
    /// How many floating IPs each project may have.
    pub floating_quotas: BTreeMap<String, usize>,
    /// How many servers each cloud allows.
    pub quotas: BTreeMap<String, usize>,
    /// What the clouds tell of that.
    pub tells: quota::Tells,
    /// The moment of the limits that the daemon was last told, by provider, and when it heard of them.
    pub told: BTreeMap<String, (Timestamp, Timestamp)>,
    /// When somebody else last took room, by provider.
    pub lost: BTreeMap<String, Timestamp>,
    /// The availability zone where no server comes up, if one is out of order, and how many failed there.
    pub bad_zone: Option<String>,
    pub failed_in_zone: u32,
    /// The flavor of which no server comes up, if one is out of order, by the memory that was asked for.
    pub bad_flavor: Option<u32>,
    /// Snapshots on whose nodes the ready script fails, and what each server booted.
    pub spoilt: BTreeSet<String>,
    pub booted: BTreeMap<String, String>,
    /// How many servers of ours may be at each cloud.
    pub limits: BTreeMap<String, usize>,
    /// Limits that were lowered, and until when they count: what was decided before may still wait for its turn.
    pub lowered: BTreeMap<String, (usize, Timestamp)>,
    /// Our installation's id, once we know it.
    pub installation: Option<String>,
    /// Servers that must not be deleted now: those of held nodes, and until when they are held.
    pub held: BTreeMap<String, Option<Timestamp>>,
    /// Servers that do not answer over ssh any more, although the cloud calls them ACTIVE.
    pub deaf: BTreeSet<String>,
    /// Until when no server of a provider can be reached over ssh, although its cloud can be.
    pub cut_off: BTreeMap<String, Timestamp>,
    /// The agents of each target, by target and then by name.
    pub agents: BTreeMap<String, BTreeMap<String, target::SimulatedAgent>>,
    /// Until when no target answers.
    pub target_down_until: Option<Timestamp>,
    /// How many jobs ask for each label.
    pub demand: BTreeMap<String, u32>,
    /// What was done that must never be done.
    pub crimes: Vec<String>,
    /// How many calls were made, by operation.
    pub calls: BTreeMap<&'static str, u64>,
    /// Servers that somebody is logged in to.
    pub visited: BTreeSet<String>,
    /// How often somebody asked to delete what is not there, by what that is.
    in_vain: BTreeMap<String, u32>,
    next_id: u64,
}

/// How often it may be asked to delete a thing that the cloud calls unknown: after restarts, and where listings are late.
const MOST_IN_VAIN: u32 = 20;

/// A server, as moments in its life.
#[derive(Clone, Debug)]
pub struct Server {
    pub name: String,
    pub tag: Option<Tag>,
    pub address: std::net::IpAddr,
    pub host_key: HostKey,
    pub appears: Timestamp,
    pub active: Option<Timestamp>,
    pub addressed: Option<Timestamp>,
    pub answers: Option<Timestamp>,
    pub broken: Option<Timestamp>,
    pub gone: Option<Timestamp>,
    /// Whether we asked the cloud to delete it.
    pub deleted: bool,
    /// Whether it carries our tag although no row ever asked for it, as after the loss of a database.
    pub leaked: bool,
}

/// An image, as moments in its life.
#[derive(Clone, Debug)]
pub struct Image {
    pub name: String,
    pub tag: Option<Tag>,
    pub appears: Timestamp,
    pub active: Option<Timestamp>,
    pub gone: Option<Timestamp>,
}

/// A floating IP, as moments in its life.
#[derive(Clone, Debug)]
pub struct FloatingIp {
    pub ip: std::net::IpAddr,
    pub tag: Option<Tag>,
    /// The server that it was made for.
    pub server: Option<String>,
    pub appears: Timestamp,
    pub gone: Option<Timestamp>,
}

impl FloatingIp {
    pub fn exists(&self, at: Timestamp) -> bool {
        self.appears <= at && self.gone.is_none_or(|gone| at < gone)
    }
}

impl Server {
    pub fn exists(&self, at: Timestamp) -> bool {
        self.appears <= at && self.gone.is_none_or(|gone| at < gone)
    }

    pub fn is_broken(&self, at: Timestamp) -> bool {
        self.broken.is_some_and(|broken| broken <= at)
    }

    /// When it last changed in a way that the cloud counts as a change. A late address is not one.
    pub fn changed(&self, at: Timestamp) -> Timestamp {
        let moments = [Some(self.appears), self.active, self.broken, self.gone];
        moments.into_iter().flatten().filter(|moment| *moment <= at).max().unwrap_or(self.appears)
    }
}

impl World {
    pub fn new(seed: u64, start: Timestamp, providers: &[(&str, usize)]) -> Self {
        let mut state = State {
            now: start,
            dice: Dice::new(seed),
            faulty: true,
            faults: Faults::default(),
            alarms: BTreeSet::new(),
            servers: BTreeMap::new(),
            images: BTreeMap::new(),
            keypairs: BTreeMap::new(),
            floating_ips: BTreeMap::new(),
            pools: BTreeSet::new(),
            attached: attached::Attached::default(),
            boots_from_volumes: false,
            floating_quotas: BTreeMap::new(),
            quotas: BTreeMap::new(),
            tells: quota::Tells::of(seed),
            told: BTreeMap::new(),
            lost: BTreeMap::new(),
            bad_zone: None,
            failed_in_zone: 0,
            bad_flavor: None,
            spoilt: BTreeSet::new(),
            booted: BTreeMap::new(),
            limits: BTreeMap::new(),
            lowered: BTreeMap::new(),
            installation: None,
            held: BTreeMap::new(),
            deaf: BTreeSet::new(),
            cut_off: BTreeMap::new(),
            agents: BTreeMap::new(),
            target_down_until: None,
            demand: BTreeMap::new(),
            crimes: Vec::new(),
            calls: BTreeMap::new(),
            in_vain: BTreeMap::new(),
            visited: BTreeSet::new(),
            next_id: 0,
        };
        for (provider, quota) in providers {
            state.quotas.insert((*provider).to_owned(), *quota);
            state.floating_quotas.insert((*provider).to_owned(), *quota);
            state.servers.insert((*provider).to_owned(), BTreeMap::new());
            state.images.insert((*provider).to_owned(), BTreeMap::new());
            state.floating_ips.insert((*provider).to_owned(), BTreeMap::new());
            state.keypairs.insert((*provider).to_owned(), BTreeSet::from(["operator".to_owned()]));
            state.add_foreigners(provider);
        }
        Self(Arc::new(Mutex::new(state)))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding the world")
    }

    /// Waits until the virtual clock shows `moment`.
    pub async fn until(&self, moment: Timestamp) {
        poll_fn(|_| {
            let mut state = self.lock();
            if state.now >= moment {
                Poll::Ready(())
            } else {
                state.alarms.insert(moment);
                Poll::Pending
            }
        })
        .await;
    }

    /// Waits for a time.
    pub async fn pass(&self, time: Duration) {
        let moment = self.lock().now.plus(time);
        self.until(moment).await;
    }

    /// Waits for ever.
    pub async fn never(&self) {
        std::future::pending::<()>().await;
    }
}

impl State {
    /// The answer about a thing that is not there. Who does not believe it goes on asking for ever.
    pub fn unknown(&mut self, thing: &str) -> CloudError {
        let count = self.in_vain.entry(thing.to_owned()).or_default();
        *count += 1;
        if *count == MOST_IN_VAIN {
            self.crimes.push(format!("{MOST_IN_VAIN} calls were made to delete {thing}, which is not there"));
        }
        CloudError::NotFound(format!("no such thing: {thing}"))
    }

    pub fn id(&mut self, kind: &str) -> String {
        self.next_id += 1;
        format!("{kind}-{}", self.next_id)
    }

    /// An address. There are few, so that dead servers' addresses come back with other host keys.
    pub fn address(&mut self, provider: &str) -> std::net::IpAddr {
        let taken: BTreeSet<_> = self.servers[provider]
            .values()
            .filter(|server| server.gone.is_none_or(|gone| gone > self.now))
            .map(|server| server.address)
            .collect();
        let net = if provider == "alpha" { 1 } else { 2 };
        (2..=250_u8)
            .map(|host| std::net::IpAddr::from([10, net, 0, host]))
            .find(|address| !taken.contains(address))
            .expect("the world has addresses enough")
    }

    /// Servers and images that are none of ours, some of them made by another installation.
    fn add_foreigners(&mut self, provider: &str) {
        let other = Tag {
            installation: "another".to_owned(),
            owner: nodepool::model::Owner::Node(nodepool::model::NodeId(1)),
            attempt: "theirs".to_owned(),
        };
        for (name, tag) in [("database", None), ("their-node", Some(other.clone()))] {
            let (id, address) = (self.id("foreign"), self.address(provider));
            let server = Server {
                name: name.to_owned(),
                tag,
                address,
                host_key: host_key(&id),
                appears: Timestamp::default(),
                active: Some(Timestamp::default()),
                addressed: Some(Timestamp::default()),
                answers: Some(Timestamp::default()),
                broken: None,
                gone: None,
                deleted: false,
                leaked: false,
            };
            self.servers.get_mut(provider).expect("known").insert(id, server);
        }
        let id = self.id("foreign");
        let image = Image {
            name: "backup".to_owned(),
            tag: Some(Tag { owner: nodepool::model::Owner::Builder(nodepool::model::ImageId(1)), ..other }),
            appears: Timestamp::default(),
            active: Some(Timestamp::default()),
            gone: None,
        };
        self.images.get_mut(provider).expect("known").insert(id, image);
    }

    /// A server that carries our tag and has no row.
    pub fn leak(&mut self, provider: &str) {
        let Some(installation) = self.installation.clone() else { return };
        self.faults.count(Fault::ServerLeaked);
        let (id, address, now) = (self.id("leaked"), self.address(provider), self.now);
        let owner = nodepool::model::Owner::Node(nodepool::model::NodeId(1_000_000));
        let server = Server {
            name: "leaked".to_owned(),
            tag: Some(Tag { installation, owner, attempt: id.clone() }),
            address,
            host_key: host_key(&id),
            appears: now,
            active: Some(now),
            addressed: Some(now),
            answers: Some(now),
            broken: None,
            gone: None,
            deleted: false,
            leaked: true,
        };
        self.room_lost(provider);
        self.servers.get_mut(provider).expect("known").insert(id, server);
    }

    /// Somebody deletes an image of ours behind our back.
    pub fn lose_image(&mut self, provider: &str) {
        let now = self.now;
        let images = self.images.get_mut(provider).expect("known").values_mut();
        let ours = images.filter(|image| {
            image.gone.is_none() && image.tag.as_ref().is_some_and(|tag| tag.installation != "another")
        });
        if let Some(image) = ours.last() {
            image.gone = Some(now);
            self.faults.count(Fault::ImageLost);
        }
    }

    /// How many servers may be there.
    pub fn limit(&self, provider: &str) -> usize {
        let lowered = self.lowered.get(provider).filter(|(_, until)| self.now < *until);
        lowered.map_or(0, |(limit, _)| *limit).max(self.limits[provider])
    }

    /// How many servers of ours are there, but for leaked ones that no listing can have shown yet.
    pub fn known_to_us(&self, provider: &str) -> usize {
        let ours = |server: &Server| server.tag.as_ref().is_some_and(|tag| tag.installation != "another");
        let fresh = |server: &Server| server.leaked && self.now.since(server.appears) < SHOWN_WITHIN;
        self.servers[provider].values().filter(|one| one.exists(self.now) && ours(one) && !fresh(one)).count()
    }

    /// From now on nothing goes wrong by itself, the clouds have room, and nobody asks for nodes.
    pub fn end_troubles(&mut self) {
        self.faulty = false;
        self.demand.clear();
        self.target_down_until = None;
        for agent in self.agents.values_mut().flat_map(BTreeMap::values_mut) {
            agent.busy = false;
        }
        self.cut_off.clear();
        self.bad_zone = None;
        self.bad_flavor = None;
        self.spoilt.clear();
        for quota in self.quotas.values_mut().chain(self.floating_quotas.values_mut()) {
            *quota = 100;
        }
    }

    /// The next moment that somebody waits for.
    pub fn next_alarm(&mut self) -> Option<Timestamp> {
        while let Some(first) = self.alarms.first().copied() {
            if first > self.now {
                return Some(first);
            }
            self.alarms.pop_first();
        }
        None
    }
}

/// The host key of the machine with this id, as a machine would show it.
pub fn host_key(id: &str) -> HostKey {
    let kind = b"ssh-ed25519";
    let mut public = [0; 32];
    public.iter_mut().zip(id.bytes()).for_each(|(byte, given)| *byte = given);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_be_bytes();
    let wire = [&length(kind)[..], kind, &length(&public)[..], &public].concat();
    HostKey(format!("ssh-ed25519 {}", STANDARD.encode(wire)))
}
