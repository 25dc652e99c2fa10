//! The last plan as it is told to whoever asks the daemon: over its web port, and by `nodepool plan`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::model::{Flavor, Owner, Timestamp};
use crate::plan::{Action, Errand, Plan, Planned, Refusal, Subject};
use crate::telemetry::LastTick;

/// The most flavors of a provider that are told.
const MOST_FLAVORS: usize = 200;
/// The most actions and the most refusals that are told; the rest is counted.
const MOST: usize = 1000;

/// What the last tick decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// When, RFC 3339; `None` before the first tick.
    pub at: Option<String>,
    /// Why the last try to decide failed, if it did.
    pub trouble: Option<String>,
    /// What is done, in this order.
    pub actions: Vec<ActionView>,
    /// How many more actions there are.
    pub more_actions: usize,
    /// What is not done, and why.
    pub refusals: Vec<RefusalView>,
    /// How many more refusals there are.
    pub more_refusals: usize,
    /// What each label wants and has.
    pub labels: BTreeMap<String, LabelView>,
    /// How full each provider is.
    pub providers: BTreeMap<String, ProviderView>,
    /// Why each target takes no nodes; `None` for one that does.
    pub targets: BTreeMap<String, Option<String>>,
    /// Jobs that ask for labels that are not in the configuration.
    pub unknown_demand: BTreeMap<String, u32>,
}

/// One thing that is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionView {
    /// What.
    pub action: String,
    /// Why.
    pub reason: String,
}

/// One thing that is not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalView {
    /// What it is about.
    pub about: About,
    /// Why.
    pub reason: String,
}

/// What a refusal is about: one or two of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// A node's number.
    pub node: Option<i64>,
    /// The number of an image.
    pub image_id: Option<i64>,
    /// A label.
    pub label: Option<String>,
    /// A provider.
    pub provider: Option<String>,
    /// An image of that provider.
    pub image: Option<String>,
    /// A target.
    pub target: Option<String>,
}

/// What a label wants and has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelView {
    /// Nodes for jobs that wait or run.
    pub jobs: u32,
    /// Spare nodes beyond those; `None`: the label is switched off.
    pub spares: Option<u32>,
    /// Which setting asks for so many; `None`: `min-ready`, beside which the label has no other.
    pub spares_by: Option<String>,
    /// Nodes that wait for a job.
    pub ready: u32,
    /// Nodes on their way.
    pub building: u32,
    /// Nodes that a job has.
    pub busy: u32,
    /// Nodes that are missing.
    pub missing: u32,
}

/// How full a provider is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// The most servers that may exist; `None`: it is drained.
    pub max_servers: Option<u32>,
    /// Those that exist or may come to exist.
    pub servers: u32,
    /// What the cloud told of its limits: how much is used of how much, by resource.
    pub quota: Vec<QuotaView>,
    /// What it told of its flavors; at most 200 of them.
    #[serde(default)]
    pub flavors: Vec<FlavorView>,
    /// Why its servers could not be listed when that was tried last, if so.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// A size of servers that a cloud offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlavorView {
    /// Its name.
    pub name: String,
    /// Its memory in MiB.
    pub ram: u64,
    /// Its virtual processors.
    pub cores: u64,
}

/// What a cloud told of one of its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaView {
    /// Of what.
    pub resource: String,
    /// How much there is of it, whoever made it.
    pub used: u64,
    /// The most that there may be; `None`: there is no limit.
    pub limit: Option<u64>,
}

impl PlanView {
    /// The view of a tick.
    pub fn new(last: &LastTick) -> Self {
        let Plan { actions, refusals, stock, .. } = &*last.plan;
        let quota = |name: &String| {
            let told = last.usage.get(name).into_iter().flatten();
            told.map(|(resource, usage)| QuotaView {
                resource: resource.title().to_owned(),
                used: usage.used,
                limit: usage.limit,
            })
            .collect()
        };
        let flavors = |name: &String| {
            let offered = stock.flavors.get(name).into_iter().flatten().take(MOST_FLAVORS);
            offered
                .map(|Flavor { name, ram, cores, .. }| FlavorView {
                    name: name.clone(),
                    ram: *ram,
                    cores: *cores,
                })
                .collect()
        };
        let label = |balance: &crate::plan::Balance| LabelView {
            jobs: balance.jobs,
            spares: balance.spares,
            spares_by: balance.spares_by.clone(),
            ready: balance.ready,
            building: balance.building,
            busy: balance.busy,
            missing: balance.missing(),
        };
        Self {
            at: (last.at != Timestamp::default()).then(|| rfc3339(last.at)),
            trouble: last.trouble.clone(),
            actions: actions.iter().take(MOST).map(ActionView::new).collect(),
            more_actions: actions.len().saturating_sub(MOST),
            refusals: refusals.iter().take(MOST).map(RefusalView::new).collect(),
            more_refusals: refusals.len().saturating_sub(MOST),
            labels: stock.labels.iter().map(|(name, balance)| (name.clone(), label(balance))).collect(),
            providers: stock
                .providers
                .iter()
                .map(|(name, space)| {
                    let view = ProviderView {
                        max_servers: space.limit,
                        servers: space.taken,
                        quota: quota(name),
                        flavors: flavors(name),
                        trouble: stock.unreadable.get(name).cloned(),
                    };
                    (name.clone(), view)
                })
                .collect(),
            targets: stock.closed.clone(),
            unknown_demand: stock.unknown.clone(),
        }
    }
}

impl ActionView {
    /// The view of what is done.
    pub fn new(planned: &Planned) -> Self {
        Self { action: words(&planned.action), reason: planned.reason.0.clone() }
    }
}

impl RefusalView {
    /// The view of what is not done.
    pub fn new(refusal: &Refusal) -> Self {
        let about = match refusal.subject.clone() {
            Subject::Node(id) => About { node: Some(id.0), ..About::default() },
            Subject::Image(id) => About { image_id: Some(id.0), ..About::default() },
            Subject::Label(label) => About { label: Some(label), ..About::default() },
            Subject::Provider(provider) => About { provider: Some(provider), ..About::default() },
            Subject::Target(target) => About { target: Some(target), ..About::default() },
            Subject::ProviderImage(provider, image) => {
                About { provider: Some(provider), image: Some(image), ..About::default() }
            }
        };
        Self { about, reason: refusal.reason.0.clone() }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |kind: &str, name: &Option<String>| name.as_ref().map(|name| format!("{kind} {name}"));
        let numbered = |kind: &str, id: Option<i64>| id.map(|id| format!("{kind} {id}"));
        let parts = [
            numbered("node", self.node),
            numbered("image", self.image_id),
            named("label", &self.label),
            named("image", &self.image),
            named("provider", &self.provider),
            named("target", &self.target),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" of "))
    }
}

/// An action in words for a person.
fn words(action: &Action) -> String {
    match action {
        Action::Node { row, event } => format!("{} of {}", event.word(), row.title()),
        Action::Nodes { rows, event } => {
            let names: Vec<String> = rows.iter().map(crate::model::Node::title).collect();
            format!("{} of {}", event.word(), names.join(", "))
        }
        Action::NodeFacts { row } => format!("note facts of {}", row.title()),
        Action::Image { row, event } => format!("{} of image {}", event.word(), row.id),
        Action::ImageFacts { row } => format!("note facts of image {}", row.id),
        Action::AddNode(node) => format!("add a node of {} at {}", node.label, node.provider),
        Action::AddImage(image) => format!("build image {} at {}", image.image, image.provider),
        Action::SetBack { provider, name, .. } => format!("count a failure at {provider} {name}"),
        Action::Recover { provider, name, .. } => format!("forget failures at {provider} {name}"),
        Action::Send(errand) => errand_in_words(errand),
        Action::Recall(errand) => format!("stop {}", errand_in_words(errand)),
        Action::SettleWish { wish, .. } => format!("answer wish {}", wish.0),
        Action::ForgetProvider(name) => format!("forget provider {name}"),
        Action::ForgetTarget(name) => format!("forget target {name}"),
        Action::SettleJobEvent(id) => format!("deal with event {id} of a job"),
        Action::CountJobRun(run) => format!("count a run of job {}", run.job),
        Action::WarnOfHoldEnd { row } => format!("warn that the hold of {} ends soon", row.title()),
    }
}

fn errand_in_words(errand: &Errand) -> String {
    let whose = match errand {
        Errand::CreateServer { owner, .. }
        | Errand::CreateFloatingIp { owner, .. }
        | Errand::ReadConsole { owner, .. }
        | Errand::DeleteServer { owner: Some(owner), .. }
        | Errand::DeleteFloatingIp { owner: Some(owner), .. } => Some(owner_in_words(*owner)),
        Errand::ListAgents { target } => Some(format!("target {target}")),
        errand => errand
            .node()
            .map(|id| format!("node {id}"))
            .or_else(|| errand.image().map(|id| format!("image {id}"))),
    };
    let place = errand.paced_by().map(|provider| format!("at {provider}"));
    let parts = [Some(errand.purpose()), whose.map(|whose| format!("({whose})")), place];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn owner_in_words(owner: Owner) -> String {
    let (kind, number) = owner.words();
    format!("{kind} {number}")
}
