//! What the charts show: the pool every few seconds, for the last hours, in memory of a fixed size.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::now;
use crate::model::Timestamp;
use crate::plan::{Balance, Space};
use crate::telemetry::{LastTick, Metrics};

/// The time between two points.
const EVERY: Duration = Duration::from_secs(15);
/// The most points of the whole pool: six hours.
const MOST: usize = 1440;
/// The most points of one label or provider: one hour.
const MOST_OF_ONE: usize = 240;
/// The most labels, and the most providers, that are remembered.
const MOST_NAMES: usize = 200;
/// The most points of a chart: more would not be seen.
const MOST_SHOWN: usize = 240;

/// The pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at: Timestamp,
    pub(super) ready: u32,
    pub(super) building: u32,
    pub(super) busy: u32,
    pub(super) going: u32,
    pub(super) demand: u32,
    /// Nodes that became ready since the point before.
    pub(super) launched: u32,
    /// Launches that failed since the point before.
    pub(super) failed: u32,
}

/// A label at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelPoint {
    pub(super) ready: u32,
    pub(super) building: u32,
    pub(super) busy: u32,
    /// How many nodes are wanted in all.
    pub(super) wanted: u32,
}

impl LabelPoint {
    fn of(balance: &Balance) -> Self {
        let wanted = balance.jobs.saturating_add(balance.spares.unwrap_or(0));
        Self { ready: balance.ready, building: balance.building, busy: balance.busy, wanted }
    }
}

/// The last hours.
#[derive(Clone, Debug, Default)]
pub(super) struct Trend {
    pool: VecDeque<Point>,
    labels: BTreeMap<String, VecDeque<LabelPoint>>,
    providers: BTreeMap<String, VecDeque<Space>>,
    /// Launches that had ended by the newest point.
    ended: Option<[u64; 2]>,
}

impl Trend {
    /// Adds what there is now. `ended` counts launches since the process began: those that became ready, those that failed.
    fn add(&mut self, last: &LastTick, ended: [u64; 2], at: Timestamp) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let before = self.ended.replace(ended).unwrap_or(ended);
        let mut since = ended
            .iter()
            .zip(before)
            .map(|(now, before)| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX));
        let census = &last.census;
        let point = Point {
            at,
            ready: count(census.ready),
            building: count(census.building),
            busy: count(census.busy),
            going: count(census.going),
            demand: census.demand.unwrap_or(0),
            launched: since.next().unwrap_or(0),
            failed: since.next().unwrap_or(0),
        };
        push(&mut self.pool, point, MOST);
        add_each(&mut self.labels, &last.plan.stock.labels, LabelPoint::of);
        add_each(&mut self.providers, &last.plan.stock.providers, |space| *space);
    }

    /// The whole pool, oldest first, in no more points than a chart can show: of several, the newest, with all launches.
    pub(super) fn pool(&self) -> Vec<Point> {
        let each = self.pool.len().div_ceil(MOST_SHOWN).max(1);
        let points: Vec<Point> = self.pool.iter().copied().collect();
        let merged = points.chunks(each).filter_map(|chunk| {
            let sum = |of: fn(&Point) -> u32| chunk.iter().map(of).fold(0, u32::saturating_add);
            let last = *chunk.last()?;
            let (launched, failed) = (sum(|point| point.launched), sum(|point| point.failed));
            Some(Point { launched, failed, ..last })
        });
        merged.collect()
    }

    /// One label in the last hour, oldest first.
    pub(super) fn label(&self, name: &str) -> Option<&VecDeque<LabelPoint>> {
        self.labels.get(name)
    }

    /// One provider in the last hour, oldest first.
    pub(super) fn provider(&self, name: &str) -> Option<&VecDeque<Space>> {
        self.providers.get(name)
    }
}

fn push<T>(points: &mut VecDeque<T>, point: T, most: usize) {
    while points.len() >= most {
        points.pop_front();
    }
    points.push_back(point);
}

/// Adds a point to each name; names that are there no more are forgotten.
fn add_each<T, P>(kept: &mut BTreeMap<String, VecDeque<P>>, now: &BTreeMap<String, T>, point: fn(&T) -> P) {
    kept.retain(|name, _| now.contains_key(name));
    for (name, one) in now.iter().take(MOST_NAMES) {
        push(kept.entry(name.clone()).or_default(), point(one), MOST_OF_ONE);
    }
}

/// Adds a point every few seconds until `stop` is cancelled.
pub(super) async fn keep(
    trend: Arc<Mutex<Trend>>,
    last: watch::Receiver<LastTick>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        let seen = last.borrow().clone();
        if seen.at != Timestamp::default() {
            let ended = metrics.launches_ended();
            trend.lock().unwrap_or_else(PoisonError::into_inner).add(&seen, ended, now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Census;

    fn tick(ready: usize, label: &str) -> LastTick {
        let mut last = LastTick { census: Census { ready, ..Census::default() }, ..LastTick::default() };
        let mut plan = crate::plan::Plan::default();
        plan.stock.labels.insert(label.to_owned(), Balance::default());
        last.plan = Arc::new(plan);
        last
    }

    #[test]
    fn days_are_kept_in_the_memory_of_hours_and_launches_are_not_lost_on_the_way() {
        let mut trend = Trend::default();
        let moments = MOST * 3;
        for moment in 0..moments {
            let at = Timestamp::from_seconds(i64::try_from(moment).unwrap() * 15);
            trend.add(&tick(moment, "a"), [u64::try_from(moment).unwrap() * 2, 0], at);
        }
        assert_eq!((trend.pool.len(), trend.label("a").unwrap().len()), (MOST, MOST_OF_ONE));
        let shown = trend.pool();
        assert_eq!(shown.len(), MOST_SHOWN);
        assert_eq!(shown.last().unwrap().ready as usize, moments - 1);
        let launched: u32 = shown.iter().map(|point| point.launched).sum();
        assert_eq!(launched as usize, MOST * 2);
    }

    #[test]
    fn labels_that_went_are_forgotten_and_what_ended_before_is_no_news() {
        let mut trend = Trend::default();
        trend.add(&tick(1, "a"), [700, 80], Timestamp::from_seconds(1));
        assert_eq!((trend.pool[0].launched, trend.pool[0].failed), (0, 0));
        trend.add(&tick(1, "b"), [701, 83], Timestamp::from_seconds(2));
        assert_eq!((trend.pool[1].launched, trend.pool[1].failed), (1, 3));
        assert!(trend.label("a").is_none() && trend.label("b").is_some());
    }
}
