//! `nodepool stats`: how launches went, how long jobs waited and how much nodes idled, by label and provider.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::session::now;
use super::{Failure, Session, Table};
use crate::model::{Node, NodeId, NodeState, Timestamp};
use crate::store::{QueueWait, Store, StoreError, Transition};

/// How many changes of state are read at a time.
const AT_ONCE: u32 = 20_000;
/// The most waits that are summed up: months of a busy pool.
const MOST_WAITS: u32 = 1_000_000;
/// What a row says that is about all labels, or all providers.
const ALL: &str = "all";

/// How far to look back.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// How far to look back; history is kept for 30 days
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = super::duration)]
    pub since: Duration,
}

/// The sums of a label at a provider. Times are seconds; `None` where there was nothing to measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct StatsView {
    label: String,
    provider: String,
    /// Launches that began in the span and ended.
    launches: usize,
    /// Those of them that failed or were given up.
    failures: usize,
    /// From the decision to make a node until it was ready; half of them took no longer.
    ready_p50: Option<f64>,
    /// 99 of 100 took no longer.
    ready_p99: Option<f64>,
    /// Jobs that got a node.
    jobs: usize,
    /// How long they waited for it, as far as queues told.
    wait_p50: Option<f64>,
    wait_p99: Option<f64>,
    /// The time that nodes waited for jobs, of all the time that they were ready or used, from 0 to 1.
    idle_share: Option<f64>,
}

/// Prints the sums: of each label at each provider, and of all.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let until = now();
    let since = until.minus(arguments.since);
    let views = gather(&session.store, since, until).await?;
    session.console.rows(|| table(&views), || views.clone())
}

async fn gather(store: &Store, since: Timestamp, until: Timestamp) -> Result<Vec<StatsView>, StoreError> {
    let mut sums = Sums { since, ..Sums::default() };
    let mut last = None;
    loop {
        let page = store.transitions_since(since, last, AT_ONCE).await?;
        last = page.last().map(|transition| transition.line);
        for transition in &page {
            sums.take(transition);
        }
        if page.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
            break;
        }
    }
    for node in store.nodes().await?.iter().filter(|node| node.primary.is_none()) {
        sums.take_present(node, until);
    }
    for wait in store.queue_waits_since(since, MOST_WAITS).await? {
        sums.take_wait(&wait);
    }
    Ok(sums.views())
}

/// What is summed up while changes of state are read.
#[derive(Debug, Default)]
struct Sums {
    since: Timestamp,
    /// The label and the provider, with what is known of them.
    of: BTreeMap<(String, String), Counts>,
    /// When the nodes began that were made in the span and are not ready yet.
    began: BTreeMap<NodeId, Timestamp>,
    /// When nodes came into the state that they are in.
    entered: BTreeMap<NodeId, Timestamp>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    ready: Vec<Duration>,
    failures: usize,
    waits: Vec<Duration>,
    idle: Duration,
    busy: Duration,
}

impl Sums {
    fn counts(&mut self, label: &str, provider: &str) -> &mut Counts {
        self.of.entry((label.to_owned(), provider.to_owned())).or_default()
    }

    fn take(&mut self, transition: &Transition) {
        let Transition { at, node, provider, label, from, to, .. } = transition;
        let entered = self.entered.insert(*node, *at).unwrap_or(self.since);
        if from.is_empty() {
            self.began.insert(*node, *at);
        }
        let (ready, used) = (NodeState::Ready.word(), NodeState::Used.word());
        let spent = at.since(entered);
        if from == ready || from == used {
            let counts = self.counts(label, provider);
            let sum = if from == ready { &mut counts.idle } else { &mut counts.busy };
            *sum = sum.saturating_add(spent);
        }
        // A job can be there before the agent is seen online: such a node was never `ready`.
        let launched = (to == ready && from != used && from != NodeState::Hold.word())
            || (to == used && from != ready && from != NodeState::Hold.word());
        let ended = launched || to == NodeState::Delete.word() || to == NodeState::Gone.word();
        let began = if ended { self.began.remove(node) } else { None };
        if let Some(began) = began {
            let counts = self.counts(label, provider);
            if launched {
                counts.ready.push(at.since(began));
            } else {
                counts.failures = counts.failures.saturating_add(1);
            }
        }
        if to == NodeState::Gone.word() {
            self.entered.remove(node);
        }
    }

    /// A node that is there now: the time in its state goes on.
    fn take_present(&mut self, node: &Node, until: Timestamp) {
        let spent = until.since(node.state_time.max(self.since));
        let counts = self.counts(&node.label, &node.provider);
        match node.state {
            NodeState::Ready => counts.idle = counts.idle.saturating_add(spent),
            NodeState::Used => counts.busy = counts.busy.saturating_add(spent),
            _ => {}
        }
    }

    fn take_wait(&mut self, wait: &QueueWait) {
        self.counts(&wait.label, &wait.provider).waits.push(wait.waited);
    }

    /// A row for each label at each provider; one for each label and each provider that has several; one for all.
    fn views(self) -> Vec<StatsView> {
        let mut rows: BTreeMap<(bool, String, bool, String), Counts> = BTreeMap::new();
        for ((label, provider), counts) in &self.of {
            for (all_labels, all_providers) in [(false, false), (false, true), (true, false), (true, true)] {
                let label = if all_labels { ALL } else { label };
                let provider = if all_providers { ALL } else { provider };
                let key = (all_labels, label.to_owned(), all_providers, provider.to_owned());
                rows.entry(key).or_default().add(counts);
            }
        }
        rows.into_iter().map(|((_, label, _, provider), counts)| counts.view(label, provider)).collect()
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.ready.extend(&other.ready);
        self.waits.extend(&other.waits);
        self.failures = self.failures.saturating_add(other.failures);
        self.idle = self.idle.saturating_add(other.idle);
        self.busy = self.busy.saturating_add(other.busy);
    }

    fn view(mut self, label: String, provider: String) -> StatsView {
        self.ready.sort_unstable();
        self.waits.sort_unstable();
        let whole = self.idle.saturating_add(self.busy).as_secs_f64();
        StatsView {
            label,
            provider,
            launches: self.ready.len().saturating_add(self.failures),
            failures: self.failures,
            ready_p50: rank(&self.ready, 50),
            ready_p99: rank(&self.ready, 99),
            jobs: self.waits.len(),
            wait_p50: rank(&self.waits, 50),
            wait_p99: rank(&self.waits, 99),
            idle_share: (whole > 0.0).then(|| self.idle.as_secs_f64() / whole),
        }
    }
}

/// The smallest of these times that so many of a hundred do not exceed, in seconds. They are sorted.
fn rank(times: &[Duration], percent: usize) -> Option<f64> {
    let place = times.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    times.get(place).map(Duration::as_secs_f64)
}

fn table(views: &[StatsView]) -> Table {
    let mut table = Table::new([
        "Label",
        "Provider",
        "Launches",
        "Failures",
        "Ready p50 (s)",
        "Ready p99 (s)",
        "Jobs",
        "Wait p50 (s)",
        "Wait p99 (s)",
        "Idle (%)",
    ]);
    let seconds = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"));
    for view in views {
        table.row(
            [
                view.label.clone(),
                view.provider.clone(),
                view.launches.to_string(),
                view.failures.to_string(),
                seconds(view.ready_p50),
                seconds(view.ready_p99),
                view.jobs.to_string(),
                seconds(view.wait_p50),
                seconds(view.wait_p99),
                seconds(view.idle_share.map(|share| share * 100.0)),
            ]
            .map(Some),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn transition(seconds: i64, node: i64, from: &str, to: &str) -> Transition {
        Transition {
            line: seconds,
            at: at(seconds),
            node: NodeId(node),
            provider: "alpha".to_owned(),
            label: "small".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn lives_of_nodes_are_summed_up() {
        let mut sums = Sums { since: at(1000), ..Sums::default() };
        for transition in [
            // Ready since before the span began.
            transition(1010, 1, "ready", "used"),
            // Made before: how long its launch took is not known here, and it is none of the span.
            transition(1011, 2, "building (boot)", "ready"),
            transition(1020, 3, "", "building (create)"),
            transition(1030, 3, "building (create)", "building (boot)"),
            transition(1040, 1, "used", "delete"),
            transition(1041, 2, "ready", "delete"),
            transition(1050, 3, "building (boot)", "ready"),
            transition(1060, 4, "", "building (create)"),
            transition(1090, 4, "building (create)", "delete"),
            transition(1091, 4, "delete", "gone"),
            // A job was there before the agent was seen online.
            transition(1100, 5, "", "building (create)"),
            transition(1130, 5, "building (enroll)", "used"),
            transition(1130, 5, "used", "delete"),
        ] {
            sums.take(&transition);
        }
        sums.take_wait(&QueueWait {
            provider: "alpha".to_owned(),
            label: "small".to_owned(),
            waited: Duration::from_secs(7),
        });
        let views = sums.views();
        assert_eq!(views.len(), 4, "the pair, the label, the provider, and all");
        let view = &views[0];
        assert_eq!((view.label.as_str(), view.provider.as_str()), ("small", "alpha"));
        assert_eq!((view.launches, view.failures, view.ready_p50), (3, 1, Some(30.0)));
        assert_eq!((view.jobs, view.wait_p99), (1, Some(7.0)));
        // Idle for 10 s and 30 s, busy for 30 s.
        assert!((view.idle_share.unwrap() - 40.0 / 70.0).abs() < 1e-9, "{view:?}");
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_secs).collect();
        assert_eq!((rank(&times, 50), rank(&times, 99)), (Some(100.0), Some(198.0)));
        assert_eq!(rank(&times[..1], 99), Some(1.0));
        assert_eq!(rank(&[], 50), None);
    }
}
