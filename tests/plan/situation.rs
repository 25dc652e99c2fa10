//! From a description to what the plan is made from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use nodepool::config::{Config, Retirement, SecureConf, Sources, load, render};
use nodepool::model::{
    Address, AgentFacts, CloudImage, CloudImageStatus, FloatingFacts, FloatingIp, Image, ImageId, ImageState,
    JobEvent, JobEventKind, JobFacts, JobResult, JobRule, Keypair, NewJobEvent, Node, NodeId, NodeState,
    Owner, Port, Server, ServerStatus, Setback, SetbackKind, Tag, Timestamp, Volume, Wish, WishId, WishKind,
};
use nodepool::plan::{
    CheckResult, Checked, CloudView, Errand, Listing, Observation, Permissions, TargetView, Tries, TryEnd,
    Waiting, Waits,
};

use super::scenario::{
    CheckRow, CloudPart, EventRow, ImageRow, NodeRow, Scenario, SetbackRow, StrayPort, StrayVolume, WishRow,
};
use super::{errands, quota, targets};

/// Our installation's id in every scenario.
pub const OURS: &str = "ours";

/// The moment of every plan.
const NOW: Timestamp = Timestamp::from_seconds(100_000);

/// A configuration, and all that an observation borrows.
pub struct Situation {
    pub config: Config,
    nodes: Vec<Node>,
    images: Vec<Image>,
    wishes: Vec<Wish>,
    events: Vec<JobEvent>,
    setbacks: Vec<Setback>,
    clouds: BTreeMap<String, CloudView>,
    targets: BTreeMap<String, TargetView>,
    jobs: Vec<JobRule>,
    queued: Option<BTreeMap<String, u32>>,
    demand: Option<BTreeMap<String, u32>>,
    waiting: Waits,
    in_flight: BTreeMap<Errand, Timestamp>,
    tries: BTreeMap<Errand, Tries>,
    permissions: Permissions,
    checks: BTreeMap<NodeId, Checked>,
}

impl Situation {
    pub fn new(scenario: &Scenario, folder: &Path) -> Result<Self, String> {
        let mut config = config(&folder.join("pools").join(&scenario.pool).with_extension("yaml"))?;
        for name in &scenario.retired {
            let provider = config.providers.iter_mut().find(|provider| provider.name == *name);
            let provider = provider.ok_or_else(|| format!("the pool has no provider {name}"))?;
            let replaced = scenario.replaced.contains(name);
            let retirement = if replaced { Retirement::Replaced } else { Retirement::Left };
            (provider.retired, provider.max_servers) = (Some(retirement), None);
        }
        let mut clouds = BTreeMap::new();
        for provider in &config.providers {
            let usual = CloudPart::default();
            let part = scenario.clouds.get(&provider.name).unwrap_or(&usual);
            clouds.insert(provider.name.clone(), cloud(&provider.name, part, scenario)?);
        }
        if let Some(unknown) = scenario.clouds.keys().find(|name| !clouds.contains_key(*name)) {
            return Err(format!("the pool has no provider {unknown}"));
        }
        config.leak_limit = scenario.leak_limit.unwrap_or(config.leak_limit);
        config.delete_delay = Duration::from_secs(scenario.delete_delay);
        let mut targets = BTreeMap::new();
        for (name, part) in &scenario.targets {
            targets::offer(&mut config, name, part)?;
            targets.insert(name.clone(), targets::view(name, part, scenario)?);
        }
        let in_flight = scenario.in_flight.iter().map(|text| Ok((errands::read(text)?, ago(1))));
        let tries = scenario.tries.iter().map(|row| {
            let last_end = match (row.accepted, row.busy) {
                (true, _) => TryEnd::Accepted,
                (false, true) => TryEnd::Busy,
                (false, false) => TryEnd::Failed,
            };
            let tries = Tries { count: row.count, last: ago(row.ago), last_end };
            Ok((errands::read(&row.errand)?, tries))
        });
        Ok(Self {
            nodes: scenario.nodes.iter().map(read_node).collect::<Result<_, String>>()?,
            images: scenario.images.iter().map(read_image).collect::<Result<_, String>>()?,
            wishes: (1..).zip(&scenario.wishes).map(|(id, row)| wish(id, row)).collect::<Result<_, _>>()?,
            events: (1..).zip(&scenario.events).map(|(id, row)| event(id, row)).collect::<Result<_, _>>()?,
            setbacks: scenario.setbacks.iter().map(setback).collect::<Result<_, _>>()?,
            in_flight: in_flight.collect::<Result<_, String>>()?,
            tries: tries.collect::<Result<_, String>>()?,
            waiting: Waits {
                jobs: waiting(&scenario.waiting.jobs),
                spares: waiting(&scenario.waiting.spares),
            },
            jobs: (1..).zip(&scenario.job_rules).map(|(id, rule)| job_rule(id, rule)).collect(),
            queued: scenario.queued.clone(),
            demand: scenario.demand.clone(),
            permissions: permissions(&scenario.forbidden)?,
            checks: scenario.checks.iter().map(|row| (NodeId(row.node), checked(row))).collect(),
            config,
            clouds,
            targets,
        })
    }

    pub fn observation(&self) -> Observation<'_> {
        Observation {
            now: NOW,
            installation: OURS,
            nodes: self.nodes.clone(),
            images: self.images.clone(),
            wishes: self.wishes.clone(),
            events: self.events.clone(),
            setbacks: self.setbacks.clone(),
            clouds: &self.clouds,
            jobs: self.jobs.clone(),
            targets: &self.targets,
            waiting_jobs: self.queued.as_ref(),
            demand: self.demand.as_ref(),
            demand_asked: None,
            waiting: &self.waiting,
            in_flight: &self.in_flight,
            tries: &self.tries,
            permissions: self.permissions,
            checks: &self.checks,
        }
    }
}

fn checked(row: &CheckRow) -> Checked {
    let result = match (row.failures, &row.not_tried) {
        (_, Some(reason)) => CheckResult::NotTried(reason.clone()),
        (0, None) => CheckResult::Reached,
        (times, None) => CheckResult::NotReached { times, reason: "connect: no answer".to_owned() },
    };
    Checked { began: ago(row.ago + 1), ended: ago(row.ago), result }
}

fn permissions(forbidden: &[String]) -> Result<Permissions, String> {
    let mut permissions = Permissions::default();
    for word in forbidden {
        match word.as_str() {
            "deletes" => permissions.deletes = false,
            "launches" => permissions.launches = false,
            "images" => permissions.images = false,
            other => return Err(format!("{other} cannot be forbidden")),
        }
    }
    Ok(permissions)
}

/// A real configuration, read as the daemon reads it, with the files that it names.
fn config(pool: &Path) -> Result<Config, String> {
    let scene = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = scene.path();
    let text = fs::read_to_string(pool).map_err(|error| format!("{}: {error}", pool.display()))?;
    fs::create_dir(path.join("scripts")).map_err(|error| error.to_string())?;
    for (name, text, mode) in [
        ("scripts/setup.sh", "#!/bin/sh\n", 0o755),
        ("key", "a key", 0o600),
        ("secure.conf", "", 0o600),
        ("nodepool.yaml", &text, 0o600),
    ] {
        fs::write(path.join(name), text).map_err(|error| error.to_string())?;
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode))
            .map_err(|error| error.to_string())?;
    }
    let sources = Sources {
        nodepool_yaml: path.join("nodepool.yaml"),
        secure_conf: SecureConf::Named(path.join("secure.conf")),
        environment: BTreeMap::new(),
        is_root: false,
        home: Some(path.to_owned()),
        working_dir: path.to_owned(),
    };
    load(&sources).map(|loaded| loaded.config).map_err(|found| render(&found))
}

/// So many seconds before the moment of the plan.
pub fn ago(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

/// A row as described.
pub fn read_node(row: &NodeRow) -> Result<Node, String> {
    let (word, step) = words(&row.state);
    Ok(Node {
        id: NodeId(row.id),
        primary: row.primary.map(NodeId),
        subnode_index: row.index,
        subnodes: row.subnodes,
        provider: row.provider.clone(),
        label: row.label.clone(),
        target: row.target.clone(),
        hostname: format!("node-{}.example.org", row.id),
        nodename: format!("node-{}", row.id),
        image: row.image_name.clone(),
        image_id: Some(ImageId(row.image)),
        az: row.az.clone(),
        server_id: row.server.clone(),
        ip: row.server.as_ref().map(|_| "203.0.113.1".to_owned()),
        ip_private: None,
        host_key: None,
        state: NodeState::from_words(word, step).ok_or_else(|| format!("{} is not a state", row.state))?,
        state_time: ago(row.since),
        created: ago(row.since + 300),
        attempt: format!("n{}", row.id),
        attempted: row.asked.or(row.server.as_ref().map(|_| 300)).map(ago),
        delete_called: row.delete_called.map(ago),
        floating_ip: floating_facts(row.floating_ip.as_ref(), row.floating_ip_asked),
        agent: AgentFacts {
            attempted: row.enrolled.or(row.enroll_asked).map(ago),
            enrolled: row.enrolled.is_some(),
            manager: row.manager.clone(),
            test_called: None,
            test_passed: row.test_passed,
            withdrawn: row.withdrawn,
            insists: row.insists,
            remark: row.remark.clone(),
        },
        job: JobFacts {
            name: row.job.clone(),
            started: row.job_started.map(ago),
            ended: row.job_ended.map(ago),
        },
        held_by: row.held_by.clone(),
        held_for: row.held_for.clone(),
        hold_warned: row.hold_warned,
        held_until: row.until.map(|until| NOW.plus(Duration::from_secs(until))),
        comment: row.comment.clone(),
        reason: if row.reason.is_empty() { "the reason in its row".to_owned() } else { row.reason.clone() },
        revision: 1,
    })
}

/// A row as described.
pub fn read_image(row: &ImageRow) -> Result<Image, String> {
    let (word, step) = words(&row.state);
    let asked = |asked: Option<u64>, id: &Option<String>| asked.or(id.as_ref().map(|_| 300)).map(ago);
    Ok(Image {
        id: ImageId(row.id),
        provider: row.provider.clone(),
        image: row.image.clone(),
        hostname: format!("template-{}", row.id),
        version: row.id,
        keypair: row.keypair.clone(),
        server_id: row.builder.clone(),
        host_key: None,
        floating_ip: floating_facts(row.floating_ip.as_ref(), row.floating_ip_asked),
        external_id: row.snapshot.clone(),
        verify_server_id: row.verifier.clone(),
        az: row.az.clone(),
        verify_host_key: None,
        verify_floating_ip: floating_facts(row.verifier_floating_ip.as_ref(), None),
        state: ImageState::from_words(word, step).ok_or_else(|| format!("{} is not a state", row.state))?,
        state_time: ago(row.since),
        created: ago(row.since + 300),
        attempt: format!("i{}", row.id),
        attempted: asked(row.builder_asked, &row.builder),
        snapshot_attempted: asked(row.snapshot_asked, &row.snapshot),
        verify_attempted: asked(row.verifier_asked, &row.verifier),
        recipe: row.recipe.clone(),
        nodes_ready: row.nodes_ready,
        reason: if row.reason.is_empty() { "the reason in its row".to_owned() } else { row.reason.clone() },
        revision: 1,
    })
}

fn floating_facts(id: Option<&String>, asked: Option<u64>) -> FloatingFacts {
    FloatingFacts { id: id.cloned(), attempted: asked.or(id.map(|_| 300)).map(ago) }
}

/// The word of a state and that of its step.
fn words(state: &str) -> (&str, Option<&str>) {
    state.split_once(' ').map_or((state, None), |(word, step)| (word, Some(step)))
}

fn wish(id: i64, row: &WishRow) -> Result<Wish, String> {
    let until = row.until.map(|until| NOW.plus(Duration::from_secs(until)));
    match row.clock.as_deref() {
        Some("check") => return Ok(Wish { id: WishId(id), kind: WishKind::Check, created: ago(row.ago) }),
        Some("cleanup") => {
            return Ok(Wish { id: WishId(id), kind: WishKind::Cleanup, created: ago(row.ago) });
        }
        Some("confirm-cleanup") => {
            return Ok(Wish { id: WishId(id), kind: WishKind::ConfirmCleanup, created: ago(row.ago) });
        }
        Some(other) => return Err(format!("{other} is not what a clock asks for")),
        None => {}
    }
    if let Some(alien) = &row.alien_delete {
        let (provider, server) = alien.split_once('/').ok_or("alien_delete: provider/server")?;
        let kind = WishKind::AlienDelete { provider: provider.to_owned(), server: server.to_owned() };
        return Ok(Wish { id: WishId(id), kind, created: ago(row.ago) });
    }
    let kind = match (row.hold, row.unhold, row.delete, &row.image_update, row.image_delete) {
        (Some(node), None, None, None, None) => WishKind::Hold {
            node: NodeId(node),
            comment: row.comment.clone(),
            until,
            owner: row.owner.clone(),
        },
        (None, Some(node), None, None, None) => WishKind::Unhold(NodeId(node)),
        (None, None, Some(node), None, None) => WishKind::Delete { node: NodeId(node), now: row.insists },
        (None, None, None, Some(image), None) => {
            let (provider, image) = image.split_once('/').ok_or("image_update: provider/image")?;
            WishKind::ImageUpdate { provider: provider.to_owned(), image: image.to_owned() }
        }
        (None, None, None, None, Some(image)) => WishKind::ImageDelete(ImageId(image)),
        _ => return Err(format!("wish {id} must say one thing")),
    };
    Ok(Wish { id: WishId(id), kind, created: ago(row.ago) })
}

fn event(id: i64, row: &EventRow) -> Result<JobEvent, String> {
    let (kind, job) = match (&row.started, &row.finished, &row.completed) {
        (Some(job), None, None) => (JobEventKind::Started, job),
        (None, Some(job), None) => (JobEventKind::Finished, job),
        (None, None, Some(job)) => (JobEventKind::Completed, job),
        _ => return Err(format!("event {id} must say one thing")),
    };
    let told = NewJobEvent {
        nodename: row.node.clone(),
        kind,
        job: job.clone(),
        number: None,
        branch: None,
        result: row.result.as_deref().and_then(JobResult::from_word),
    };
    Ok(JobEvent { id, told, at: ago(1) })
}

fn setback(row: &SetbackRow) -> Result<Setback, String> {
    let kind = match row.of.as_str() {
        "launch" => SetbackKind::Launch,
        "image" => SetbackKind::Image,
        "capacity" => SetbackKind::Capacity,
        "zone" => SetbackKind::Zone,
        "target" => SetbackKind::Target,
        "provider" => SetbackKind::Provider,
        "snapshot" => SetbackKind::Snapshot,
        "flavor" => SetbackKind::Flavor,
        other => return Err(format!("{other} is not a setback")),
    };
    Ok(Setback {
        kind,
        provider: row.provider.clone(),
        name: row.name.clone(),
        failures: row.failures,
        last: ago(row.ago),
        reason: row.reason.clone(),
    })
}

fn job_rule(id: i64, (name, hold_on_failure): (&String, &u32)) -> JobRule {
    JobRule { id, name: name.clone(), hold_on_failure: *hold_on_failure, hold_for: None }
}

fn waiting(labels: &BTreeMap<String, u64>) -> Waiting {
    labels.iter().map(|(label, since)| (label.as_str(), ago(*since))).collect()
}

fn cloud(provider: &str, part: &CloudPart, scenario: &Scenario) -> Result<CloudView, String> {
    let mut servers = Vec::new();
    for row in scenario.nodes.iter().filter(|row| row.provider == provider) {
        let id = row.server.as_ref().or(row.unknown_server.as_ref());
        if let (Some(id), Some(status)) = (id, &row.shown) {
            let tag = tag(Owner::Node(NodeId(row.id)), format!("n{}", row.id));
            let mut shown = server(id, status, row.address.as_deref(), Some(tag))?;
            shown.fault.clone_from(&row.fault);
            shown.volumes.extend(row.volume.clone());
            servers.push((row.shown_once, shown));
        }
    }
    for row in scenario.images.iter().filter(|row| row.provider == provider) {
        let (image, attempt) = (ImageId(row.id), format!("i{}", row.id));
        for (id, status, owner) in [
            (&row.builder, &row.builder_shown, Owner::Builder(image)),
            (&row.verifier, &row.verifier_shown, Owner::Verifier(image)),
        ] {
            if let (Some(id), Some(status)) = (id, status) {
                let tag = tag(owner, attempt.clone());
                servers.push((false, server(id, status, row.address.as_deref(), Some(tag))?));
            }
        }
    }
    for stray in &part.servers {
        let tag = stray.tag.as_deref().map(read_tag).transpose()?;
        let mut shown = server(&stray.id, "ACTIVE", None, tag)?;
        shown.volumes.extend(stray.volume.clone());
        servers.push((stray.once, shown));
    }
    let keypairs: Vec<_> =
        part.keypairs.iter().map(|stray| (stray.once, Keypair { name: stray.name.clone() })).collect();
    let shown = floating_ips(provider, part, scenario)?;
    let loose: Vec<_> = shown.iter().filter(|(_, one)| !one.server_attached).cloned().collect();
    let mut view = CloudView {
        servers: listing(&part.listed, &servers, |server| server.id.clone()),
        images: listing(&part.images_listed, &snapshots(provider, part, scenario)?, |image| image.id.clone()),
        keypairs: listing(&part.keypairs_listed, &keypairs, |keypair| keypair.name.clone()),
        floating_ips: listing(&part.floating_ips_listed, &shown, |shown| shown.id.clone()),
        loose: listing(&part.floating_ips_listed, &loose, |shown| shown.id.clone()),
        ports: Listing::default(),
        volumes: Listing::default(),
        orphans: Listing::default(),
        quota: quota::view(provider, &part.limits, scenario)?,
        gone: part.gone.iter().map(|(id, when)| (id.clone(), ago(*when))).collect(),
        rowless_since: part.rowless.map(ago),
    };
    attached(&mut view, part)?;
    view.servers.trouble.clone_from(&part.trouble);
    view.images.trouble.clone_from(&part.images_trouble);
    view.floating_ips.trouble.clone_from(&part.floating_ips_trouble);
    if let Some(looked) = part.looked {
        view.servers.began = Some(NOW.minus(Duration::from_secs_f64(looked)));
    }
    Ok(view)
}

/// The ports and volumes, taken in as they were listed. What is marked as shown once was not in the first listing.
fn attached(view: &mut CloudView, part: &CloudPart) -> Result<(), String> {
    let read_port = |stray: &StrayPort| {
        let tag = stray.tag.as_deref().map(read_tag).transpose()?;
        Ok((stray.once, Port { id: stray.id.clone(), server_id: stray.server.clone(), tag }))
    };
    let ports = part.ports.iter().map(read_port).collect::<Result<Vec<_>, String>>()?;
    let read_volume = |stray: &StrayVolume| {
        let tag = stray.tag.as_deref().map(read_tag).transpose()?;
        let (state, servers) = (stray.state.clone(), stray.server.iter().cloned().collect());
        let marked = tag.is_some() && !stray.unmarked;
        Ok((stray.once, Volume { id: stray.id.clone(), state, servers, tag, marked }))
    };
    let volumes = part.volumes.iter().map(read_volume).collect::<Result<Vec<_>, String>>()?;
    for (began, last) in listings(&part.ports_listed) {
        view.take_ports(began, shown(&ports, last));
    }
    for (began, last) in listings(&part.volumes_listed) {
        view.take_volumes(began, shown(&volumes, last));
    }
    view.ports.trouble.clone_from(&part.ports_trouble);
    view.volumes.trouble.clone_from(&part.volumes_trouble);
    Ok(())
}

/// When listings began, and whether each was the last one.
fn listings(began: &[u64]) -> impl Iterator<Item = (Timestamp, bool)> {
    began.iter().enumerate().map(|(place, moment)| (ago(*moment), place + 1 == began.len()))
}

fn shown<T: Clone>(items: &[(bool, T)], last: bool) -> Vec<T> {
    items.iter().filter(|(once, _)| last || !once).map(|(_, item)| item.clone()).collect()
}

fn floating_ips(
    provider: &str,
    part: &CloudPart,
    scenario: &Scenario,
) -> Result<Vec<(bool, FloatingIp)>, String> {
    let ip = std::net::IpAddr::from([198, 51, 100, 1]);
    let mut shown = Vec::new();
    for row in scenario.nodes.iter().filter(|row| row.provider == provider) {
        let server_attached = match row.floating_ip_shown.as_deref() {
            None | Some("no") => continue,
            Some("attached") => true,
            Some("loose") => false,
            Some(other) => return Err(format!("{other} is not the state of a floating IP")),
        };
        if let Some(id) = row.floating_ip.as_ref().or(row.unknown_floating_ip.as_ref()) {
            let tag = Some(tag(Owner::Node(NodeId(row.id)), format!("n{}", row.id)));
            shown.push((false, FloatingIp { id: id.clone(), ip, tag, server_attached }));
        }
    }
    for stray in &part.floating_ips {
        let tag = stray.tag.as_deref().map(read_tag).transpose()?;
        let server_attached = stray.attached;
        shown.push((stray.once, FloatingIp { id: stray.id.clone(), ip, tag, server_attached }));
    }
    Ok(shown)
}

fn snapshots(
    provider: &str,
    part: &CloudPart,
    scenario: &Scenario,
) -> Result<Vec<(bool, CloudImage)>, String> {
    let mut snapshots = Vec::new();
    for row in scenario.images.iter().filter(|row| row.provider == provider) {
        let status = match row.snapshot_shown.as_deref() {
            None | Some("active") => CloudImageStatus::Active,
            Some("pending") => CloudImageStatus::Pending,
            Some("unusable") => CloudImageStatus::Unusable,
            Some("no") => continue,
            Some(other) => return Err(format!("{other} is not the state of a snapshot")),
        };
        if let Some(id) = row.snapshot.as_ref().or(row.unknown_snapshot.as_ref()) {
            let tag = tag(Owner::Builder(ImageId(row.id)), format!("i{}", row.id));
            snapshots.push((false, snapshot(id, status, Some(tag))));
        }
    }
    for stray in &part.snapshots {
        let tag = stray.tag.as_deref().map(read_tag).transpose()?;
        snapshots.push((stray.once, snapshot(&stray.id, CloudImageStatus::Active, tag)));
    }
    Ok(snapshots)
}

/// A listing that began at these moments. What is marked was not yet in the one before.
pub fn listing<T: Clone>(began: &[u64], items: &[(bool, T)], key: impl Fn(&T) -> String) -> Listing<T> {
    let mut listing = Listing::default();
    let before = items.iter().filter(|(once, _)| !once).map(|(_, item)| (key(item), item.clone())).collect();
    let now: BTreeMap<String, T> = items.iter().map(|(_, item)| (key(item), item.clone())).collect();
    match began {
        [] => {}
        [only] => listing.replace(ago(*only), now),
        [first, .., last] => {
            listing.replace(ago(*first), before);
            listing.replace(ago(*last), now);
        }
    }
    listing
}

fn server(id: &str, status: &str, address: Option<&str>, tag: Option<Tag>) -> Result<Server, String> {
    let ip = match (status, address) {
        (_, Some("none")) => None,
        (_, Some(ip)) => Some(ip.parse().map_err(|_| format!("{ip} is not an address"))?),
        ("ACTIVE", None) => Some(std::net::IpAddr::from([203, 0, 113, 1])),
        (_, None) => None,
    };
    let status = match status {
        "BUILD" => ServerStatus::Build,
        "ACTIVE" => ServerStatus::Active,
        "ERROR" => ServerStatus::Error,
        other => ServerStatus::Other(other.to_owned()),
    };
    let inner = |ip: &std::net::IpAddr| ip.to_string().starts_with("10.");
    let network = if ip.as_ref().is_some_and(inner) { "private" } else { "public" };
    let address = |ip| Address { ip, network: network.to_owned(), floating: false };
    Ok(Server {
        id: id.to_owned(),
        name: id.to_owned(),
        status,
        addresses: ip.map(address).into_iter().collect(),
        fault: None,
        created: None,
        tag,
        az: None,
        volumes: Vec::new(),
    })
}

fn snapshot(id: &str, status: CloudImageStatus, tag: Option<Tag>) -> CloudImage {
    CloudImage { id: id.to_owned(), name: Some(id.to_owned()), status, created: None, tag, snapshot: true }
}

fn tag(owner: Owner, attempt: String) -> Tag {
    Tag { installation: OURS.to_owned(), owner, attempt }
}

/// `installation kind number attempt`.
fn read_tag(text: &str) -> Result<Tag, String> {
    let words: Vec<&str> = text.split(' ').collect();
    let [installation, kind, number, attempt] = words.as_slice() else {
        return Err(format!("`{text}` is not a tag"));
    };
    let number = number.parse().map_err(|_| format!("{number} is not a number"))?;
    let owner = Owner::from_words(kind, number).ok_or_else(|| format!("{kind} owns nothing"))?;
    Ok(Tag { installation: (*installation).to_owned(), owner, attempt: (*attempt).to_owned() })
}
