//! `nodepool plan -c FILE`: what would change if another configuration were loaded. It changes nothing.
//!
//! The plan is made twice from the same rows, wishes aside: with the configuration in force and with the other one. The demand
//! and what holds targets up are those of the daemon's last plan, as are the limits of the clouds; every cloud is taken to show the
//! servers of our rows. What both plans have in common is left out, so that what remains is the difference that the file makes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::plan_view::{About, ActionView, LabelView, PlanView, ProviderView, RefusalView};
use crate::config::diff::diff;
use crate::config::{Config, Offer, Provider, Retirement};
use crate::model::{
    Address, CloudImage, CloudImageStatus, Flavor, Image, ImageId, Node, NodeId, Owner, Quota, Resource,
    Server, ServerStatus, Setback, Tag, Timestamp, Usage,
};
use crate::plan::{
    Action, CloudView, Observation, Permissions, Plan, Reading, TargetView, Waits, answered, plan,
};
use crate::telemetry::LastTick;

/// What is known besides the two configurations.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The id of the installation.
    pub installation: &'a str,
    /// The nodes.
    pub nodes: &'a [Node],
    /// The images.
    pub images: &'a [Image],
    /// What failed lately.
    pub setbacks: &'a [Setback],
    /// The daemon's last plan.
    pub told: &'a PlanView,
    /// Now.
    pub now: Timestamp,
}

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// What the files say otherwise, one change a line. Secrets are not compared.
    pub configuration: Vec<String>,
    /// What would be done besides.
    pub done: Vec<Counted>,
    /// What would not be done any more.
    pub not_done: Vec<Counted>,
    /// What would be refused besides.
    pub refused: Vec<RefusalView>,
    /// The sums of labels that would be others.
    pub labels: BTreeMap<String, BeforeAndAfter>,
    /// What was taken for granted.
    pub assumed: &'static str,
}

/// What both plans take for granted.
const ASSUMED: &str = "each cloud shows the servers of our rows, and what nodepoold read last of its limits and flavors holds; a \
    cloud that it could not read last cannot be read";

/// Equal actions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// How many.
    pub count: usize,
    /// What, and why in the words of one of them.
    #[serde(flatten)]
    pub view: ActionView,
}

/// What a label wants and has, with each configuration; `None` for one that does not know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BeforeAndAfter {
    /// With the configuration in force.
    pub before: Option<LabelView>,
    /// With the other one.
    pub after: Option<LabelView>,
}

/// What would change.
pub fn difference(old: &Config, new: &Config, rows: Rows<'_>) -> Difference {
    let before = reckon(old, old, rows);
    let after = reckon(old, &effective(old, new), rows);
    let (was, will) = (counted(&before), counted(&after));
    let last = |plan: Plan| PlanView::new(&LastTick { plan: plan.into(), ..LastTick::default() });
    let (before, after) = (last(before), last(after));
    let mut labels = BTreeMap::new();
    for name in before.labels.keys().chain(after.labels.keys()) {
        let pair = BeforeAndAfter {
            before: before.labels.get(name).cloned(),
            after: after.labels.get(name).cloned(),
        };
        if pair.before != pair.after {
            labels.insert(name.clone(), pair);
        }
    }
    let refused = after
        .refusals
        .into_iter()
        .filter(|refusal| !before.refusals.contains(refusal) && refusal.about != About::default());
    Difference {
        configuration: diff(old, new),
        done: beyond(&will, &was),
        not_done: beyond(&was, &will),
        refused: refused.collect(),
        labels,
        assumed: ASSUMED,
    }
}

/// The new configuration with the providers that are cleaned up first, as the daemon puts it in force.
fn effective(old: &Config, new: &Config) -> Config {
    let mut config = new.clone();
    for before in &old.providers {
        let after = new.provider(&before.name);
        let retirement = match after {
            Some(after) if after.credentials.place().differs_from(&before.credentials.place()) => {
                Retirement::Replaced
            }
            Some(_) => continue,
            None => Retirement::Left,
        };
        config.providers.retain(|provider| provider.name != before.name);
        config.providers.push(Provider { retired: Some(retirement), max_servers: None, ..before.clone() });
    }
    config
}

/// The plan of a configuration. `known` is the one whose clouds have been listed.
fn reckon(known: &Config, config: &Config, rows: Rows<'_>) -> Plan {
    let clouds: BTreeMap<String, CloudView> = config
        .providers
        .iter()
        .chain(&known.providers)
        .map(|provider| (provider.name.clone(), cloud(&provider.name, rows)))
        .collect();
    let all = config.targets.iter().chain(&known.targets);
    let targets = all.filter(|target| !matches!(target.offer, Offer::Nowhere)).map(|target| {
        // One that has no list of agents concludes nothing from it.
        let closed = rows.told.targets.get(&target.name).cloned().flatten();
        let mut view = TargetView::new(closed.is_some());
        if let Some(closed) = closed {
            view.failed(rows.now, closed);
        }
        (target.name.clone(), view)
    });
    let targets: BTreeMap<String, TargetView> = targets.collect();
    let of_labels = rows.told.labels.iter().map(|(name, view)| (name.clone(), view.jobs));
    let demand: BTreeMap<String, u32> = of_labels.chain(rows.told.unknown_demand.clone()).collect();
    let nothing = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), Waits::default());
    plan(
        config,
        &Observation {
            now: rows.now,
            installation: rows.installation,
            nodes: rows.nodes.to_vec(),
            images: rows.images.to_vec(),
            wishes: Vec::new(),
            events: Vec::new(),
            jobs: Vec::new(),
            setbacks: rows.setbacks.to_vec(),
            clouds: &clouds,
            targets: &targets,
            demand: Some(&demand),
            waiting_jobs: None,
            demand_asked: Some(rows.now),
            waiting: &nothing.3,
            in_flight: &nothing.0,
            tries: &nothing.1,
            permissions: Permissions::default(),
            checks: &nothing.2,
        },
    )
}

/// A cloud that was listed just now, and shows what our rows have there.
fn cloud(provider: &str, rows: Rows<'_>) -> CloudView {
    let tag = |owner: Owner, attempt: &str| {
        Some(Tag { installation: rows.installation.to_owned(), owner, attempt: attempt.to_owned() })
    };
    let mut servers = Vec::new();
    for node in rows.nodes.iter().filter(|node| node.provider == provider) {
        let owner = Owner::Node(NodeId(node.id.0));
        servers.extend(
            node.server_id.as_deref().map(|id| server(id, node.ip.as_deref(), tag(owner, &node.attempt))),
        );
    }
    let mut snapshots = BTreeMap::new();
    for image in rows.images.iter().filter(|image| image.provider == provider) {
        let owner = ImageId(image.id.0);
        let builder = image.server_id.as_deref().map(|id| (id, Owner::Builder(owner)));
        let verifier = image.verify_server_id.as_deref().map(|id| (id, Owner::Verifier(owner)));
        for (id, owner) in builder.into_iter().chain(verifier) {
            servers.push(server(id, None, tag(owner, &image.attempt)));
        }
        if let Some(id) = &image.external_id {
            let snapshot = CloudImage {
                id: id.clone(),
                name: None,
                status: CloudImageStatus::Active,
                created: Some(image.created),
                snapshot: true,
                tag: tag(Owner::Builder(owner), &image.attempt),
            };
            snapshots.insert(id.clone(), snapshot);
        }
    }
    let told = rows.told.providers.get(provider);
    let mut view = CloudView::default();
    let of_provider = |node: &&Node| node.provider == provider;
    view.quota.reading = Some(Reading {
        began: rows.now,
        quota: told.map(quota).unwrap_or_default(),
        counted: answered(provider, rows.nodes.iter().filter(of_provider), rows.images.iter()),
    });
    for seconds in [60, 1] {
        let began = rows.now.minus(Duration::from_secs(seconds));
        view.take_servers(began, began, true, servers.clone());
        view.images.replace(began, snapshots.clone());
        view.keypairs.replace(began, BTreeMap::new());
        view.take_floating_ips(began, Vec::new());
        view.take_ports(began, Vec::new());
        view.take_volumes(began, Vec::new());
    }
    if let Some(trouble) = told.and_then(|told| told.trouble.clone()) {
        view.servers.failed(trouble);
    }
    view
}

/// The limits and the flavors as the daemon read them last.
fn quota(told: &ProviderView) -> Quota {
    let usage = told.quota.iter().filter_map(|view| {
        let resource = Resource::ALL.into_iter().find(|resource| resource.title() == view.resource)?;
        Some((resource, Usage { limit: view.limit, used: view.used }))
    });
    let flavors = told.flavors.iter().map(|view| Flavor {
        id: view.name.clone(),
        name: view.name.clone(),
        ram: view.ram,
        cores: view.cores,
    });
    Quota { usage: usage.collect(), flavors: flavors.collect() }
}

fn server(id: &str, ip: Option<&str>, tag: Option<Tag>) -> Server {
    let address = ip.and_then(|ip| ip.parse().ok());
    Server {
        id: id.to_owned(),
        name: String::new(),
        status: ServerStatus::Active,
        addresses: address
            .map(|ip| Address { ip, network: String::new(), floating: false })
            .into_iter()
            .collect(),
        fault: None,
        created: None,
        tag,
        az: None,
        volumes: Vec::new(),
    }
}

/// The actions that change something in the pool, equal ones together, by their words.
fn counted(plan: &Plan) -> BTreeMap<String, Counted> {
    let mut counted: BTreeMap<String, Counted> = BTreeMap::new();
    for planned in &plan.actions {
        if !matches!(
            planned.action,
            Action::AddNode(_)
                | Action::AddImage(_)
                | Action::Node { .. }
                | Action::Image { .. }
                | Action::ForgetProvider(_)
                | Action::ForgetTarget(_)
        ) {
            continue;
        }
        let view = ActionView::new(planned);
        let one = counted.entry(view.action.clone()).or_insert(Counted { count: 0, view });
        one.count = one.count.saturating_add(1);
    }
    counted
}

/// What the first plan does more often than the second.
fn beyond(one: &BTreeMap<String, Counted>, other: &BTreeMap<String, Counted>) -> Vec<Counted> {
    let more = one.iter().filter_map(|(action, counted)| {
        let common = other.get(action).map_or(0, |other| other.count);
        let count = counted.count.checked_sub(common).filter(|count| *count > 0)?;
        Some(Counted { count, view: counted.view.clone() })
    });
    more.collect()
}
