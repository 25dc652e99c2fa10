//! What flows through the pool: how long jobs wait for a node, and how much time nodes spend in which state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{CounterVec, HistogramOpts, HistogramVec, Opts, Registry};

use super::{NODE_SECONDS, QUEUE_WAIT_SECONDS};
use crate::model::{Node, NodeState, Timestamp};
use crate::plan::Stock;

/// The upper ends of the buckets for waits, in seconds: a spare node takes a job at once, an empty pool boots one first.
const BUCKETS: [f64; 11] = [0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14_400.0];

/// The most jobs of one label that are remembered while they wait.
const MOST_WAITING: usize = 1000;

/// How long a job that left the queue may take to show on a node: the two are told by different sources.
const GAP: Duration = Duration::from_secs(60);

/// The least time between two sums of what nodes spent.
const SUM_PAUSE: Duration = Duration::from_secs(1);

/// The longest time that one sum covers: a daemon that was suspended does not know what nodes did meanwhile.
const LONGEST_SUM: Duration = Duration::from_secs(60);

/// The metrics of what flows.
#[derive(Debug)]
pub(super) struct Flow {
    waits: HistogramVec,
    seconds: CounterVec,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<String, Queue>,
    summed: Option<Timestamp>,
}

impl Flow {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options =
            HistogramOpts::new(QUEUE_WAIT_SECONDS.name, QUEUE_WAIT_SECONDS.help).buckets(BUCKETS.to_vec());
        let waits = HistogramVec::new(options, QUEUE_WAIT_SECONDS.labels)?;
        registry.register(Box::new(waits.clone()))?;
        let seconds = CounterVec::new(Opts::new(NODE_SECONDS.name, NODE_SECONDS.help), NODE_SECONDS.labels)?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { waits, seconds, state: Mutex::default() })
    }

    /// Takes in what a tick saw.
    pub(super) fn observe<'n>(&self, now: Timestamp, nodes: impl Iterator<Item = &'n Node>, stock: &Stock) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.queues.retain(|label, _| stock.labels.contains_key(label));
        for (label, balance) in &stock.labels {
            let waiting = usize::try_from(balance.jobs.saturating_sub(balance.busy)).unwrap_or(usize::MAX);
            if waiting > 0 || state.queues.contains_key(label) {
                state.queues.entry(label.clone()).or_default().observe(now, waiting);
            }
        }
        let since = state.summed.map(|summed| now.since(summed));
        if since.is_some_and(|since| since < SUM_PAUSE) {
            return;
        }
        state.summed = Some(now);
        let Some(since) = since else { return };
        let mut counts: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
        for node in nodes {
            // A share of states needs those that nobody is in, too.
            for state in NodeState::STORED {
                counts.entry((&node.provider, &node.label, state.word())).or_default();
            }
            let count = counts.entry((&node.provider, &node.label, node.state.word())).or_default();
            *count = count.saturating_add(1);
        }
        let seconds = since.min(LONGEST_SUM).as_secs_f64();
        for ((provider, label, word), count) in counts {
            self.seconds.with_label_values(&[provider, label, word]).inc_by(seconds * f64::from(count));
        }
    }

    /// Takes in that a node's row changed. When a job has taken it, gives how long that job waited.
    pub(super) fn moved(&self, node: &Node, to: NodeState, now: Timestamp) -> Option<Duration> {
        if to != NodeState::Used || node.state == NodeState::Used || node.primary.is_some() {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = state.queues.get_mut(&node.label).and_then(|queue| queue.serve(now));
        // Where nothing tells of jobs that wait, the job was there when its node was: it did not wait that we know of.
        let waited = waited.unwrap_or_default();
        self.waits.with_label_values(&[&node.label]).observe(waited.as_secs_f64());
        Some(waited)
    }
}

/// The jobs that wait for nodes of one label, oldest first. They have no names: only how many there are is told.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Timestamp>,
    /// Those that left and were not seen on a node yet: when they came, and when they left.
    left: VecDeque<(Timestamp, Timestamp)>,
}

impl Queue {
    /// Takes in how many wait now.
    fn observe(&mut self, now: Timestamp, count: usize) {
        self.left.retain(|(_, left)| now.since(*left) < GAP);
        let count = count.min(MOST_WAITING);
        while self.waiting.len() < count {
            self.waiting.push_back(now);
        }
        while self.waiting.len() > count {
            if let Some(came) = self.waiting.pop_front() {
                self.left.push_back((came, now));
            }
        }
    }

    /// A node was used: for how long its job waited, as far as that is known.
    fn serve(&mut self, now: Timestamp) -> Option<Duration> {
        if let Some((came, left)) = self.left.pop_front() {
            return Some(left.since(came));
        }
        // The plan counts the node as busy from its next look, so the queue will be shorter by it without this job.
        self.waiting.pop_front().map(|came| now.since(came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn the_oldest_job_goes_first_whoever_tells_sooner() {
        let mut queue = Queue::default();
        queue.observe(at(0), 2);
        queue.observe(at(10), 3);
        // The node is seen to be used before the queue is seen to be shorter.
        assert_eq!(queue.serve(at(30)), Some(Duration::from_secs(30)));
        queue.observe(at(31), 2);
        // The queue is seen to be shorter before the node is seen to be used.
        queue.observe(at(40), 1);
        assert_eq!(queue.serve(at(45)), Some(Duration::from_secs(40)));
        assert_eq!(queue.serve(at(50)), Some(Duration::from_secs(40)), "it came at 10");
        assert_eq!(queue.serve(at(51)), None);
    }

    #[test]
    fn jobs_that_went_elsewhere_are_forgotten_and_the_queue_is_bounded() {
        let mut queue = Queue::default();
        queue.observe(at(0), 1_000_000);
        assert_eq!(queue.waiting.len(), MOST_WAITING);
        queue.observe(at(1), 0);
        queue.observe(at(100), 0);
        assert_eq!((queue.waiting.len(), queue.left.len()), (0, 0));
        assert_eq!(queue.serve(at(101)), None);
    }
}
