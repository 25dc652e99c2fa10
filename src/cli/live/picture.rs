//! What there is to see, taken together at one moment.

use serde::Deserialize;

use super::super::list::Filter;
use super::super::plan_view::{PlanView, QuotaView};
use super::super::session::now;
use super::super::{Failure, Session};
use crate::config::Config;
use crate::model::{Node, NodeState, Setback, Timestamp};
use crate::plan::{BreakerState, Watermark};
use crate::store::{HistoryLine, NodeLine};

/// How many changes are read: more than fit any terminal.
const CHANGES: u32 = 200;

/// The pool at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) now: Timestamp,
    /// Why the daemon tells nothing, if it does not.
    pub(super) silent: Option<String>,
    /// What the daemon has to complain about.
    pub(super) trouble: Option<String>,
    pub(super) labels: Vec<Label>,
    pub(super) providers: Vec<Provider>,
    /// The newest first; of a set its first node.
    pub(super) nodes: Vec<Node>,
    /// The latest first.
    pub(super) changes: Vec<HistoryLine>,
}

/// What a label wants and has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) ready: u32,
    pub(super) building: u32,
    pub(super) used: u32,
    /// Nodes that jobs ask for, those that run included; `None`: only the daemon knows.
    pub(super) demand: Option<u32>,
    /// Spare nodes beyond those; `None`: the label is switched off.
    pub(super) spares: Option<u32>,
}

/// How full a provider is, and what slows it down.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) servers: u32,
    /// `None`: it is drained.
    pub(super) max_servers: Option<u32>,
    pub(super) quota: Vec<QuotaView>,
    pub(super) seconds_between_calls: f64,
    pub(super) last_call_waited_seconds: f64,
    /// What is left alone there after failures, and why.
    pub(super) breakers: Vec<String>,
}

/// A provider as the daemon tells it.
#[derive(Clone, Debug, Deserialize)]
struct Told {
    name: String,
    quota: Vec<QuotaView>,
    last_call_waited_seconds: f64,
}

impl Picture {
    /// Looks.
    pub(super) async fn take(session: &Session, config: &Config, filter: &Filter) -> Result<Self, Failure> {
        let store = &session.store;
        let (mut nodes, setbacks) = (store.nodes().await?, store.setbacks().await?);
        let changes = store.recent_history(CHANGES).await?;
        let plan = session.ask_daemon::<PlanView>("/api/v1/plan").await;
        let told = session.ask_daemon::<Vec<Told>>("/api/v1/providers").await.unwrap_or_default();
        nodes.retain(|node| node.primary.is_none());
        let now = now();
        let (plan, silent) = match plan {
            Ok(plan) => (Some(plan), None),
            Err(failure) => (None, Some(failure.what)),
        };
        let plan = plan.as_ref();
        let takes = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
        let labels = config.labels.iter().filter(|label| takes(&filter.label, &label.name));
        let providers = config.providers.iter().filter(|one| takes(&filter.provider, &one.name));
        let labels = labels.map(|label| Label::of(label, &nodes, plan, now)).collect();
        let providers = providers.map(|one| Provider::of(one, &nodes, plan, &told, &setbacks, now)).collect();
        nodes.retain(|node| filter.takes(&NodeLine::from(node)));
        nodes.reverse();
        let trouble = plan.and_then(|plan| plan.trouble.clone());
        let changes = changes.into_iter().rev().collect();
        Ok(Self { now, silent, trouble, labels, providers, nodes, changes })
    }
}

impl Label {
    fn of(label: &crate::config::Label, nodes: &[Node], plan: Option<&PlanView>, now: Timestamp) -> Self {
        let count = |fits: fn(NodeState) -> bool| {
            let count = nodes.iter().filter(|node| node.label == label.name && fits(node.state)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let used = count(|state| state == NodeState::Used);
        Self {
            name: label.name.clone(),
            ready: count(|state| state == NodeState::Ready),
            building: count(|state| matches!(state, NodeState::Building(_) | NodeState::Test)),
            used,
            demand: plan.and_then(|plan| plan.labels.get(&label.name)).map(|view| view.jobs),
            spares: Watermark::of(label, used, now).map(|watermark| watermark.spares),
        }
    }
}

impl Provider {
    fn of(
        provider: &crate::config::Provider,
        nodes: &[Node],
        plan: Option<&PlanView>,
        told: &[Told],
        setbacks: &[Setback],
        now: Timestamp,
    ) -> Self {
        let name = &provider.name;
        let rows = nodes.iter().filter(|node| node.provider == *name).count();
        let known = told.iter().find(|told| told.name == *name);
        let here = setbacks.iter().filter(|setback| setback.provider == *name);
        let not_closed = here.filter_map(|setback| {
            let state = BreakerState::of(setback, now);
            let Setback { kind, name, failures, reason, .. } = setback;
            let what = [kind.word(), name].join(" ");
            let text = || format!("{} {}, {failures} in a row: {reason}", what.trim_end(), state.word());
            (state != BreakerState::Closed).then(text)
        });
        Self {
            name: name.clone(),
            servers: plan
                .and_then(|plan| plan.providers.get(name))
                .map_or(u32::try_from(rows).unwrap_or(u32::MAX), |view| view.servers),
            max_servers: provider.max_servers,
            quota: known.map(|told| told.quota.clone()).unwrap_or_default(),
            seconds_between_calls: provider.rate.as_secs_f64(),
            last_call_waited_seconds: known.map_or(0.0, |told| told.last_call_waited_seconds),
            breakers: not_closed.collect(),
        }
    }
}
