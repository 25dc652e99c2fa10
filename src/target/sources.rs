//! Several sources of demand as one: they add up, and none waits for another.
//!
//! Each is asked in a task of its own. One that is late is not waited for the next time; what it answers is taken in when it
//! comes. One that fails counts with what it told last, for a bounded time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Demand, DemandError, DemandSource};

/// How patient to be with sources.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long an ask waits for sources that used to be prompt.
    pub patience: Duration,
    /// How long a source may take to answer.
    pub deadline: Duration,
    /// How long what a source told counts when it does not answer any more.
    pub kept: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            patience: Duration::from_millis(400),
            deadline: Duration::from_secs(120),
            kept: Duration::from_secs(60),
        }
    }
}

/// Several sources.
pub struct Sources {
    sources: Mutex<Vec<Source>>,
    bounds: Bounds,
}

/// One of them.
struct Source {
    name: String,
    inner: Arc<dyn DemandSource>,
    pause: Duration,
    /// Goes on between two asks.
    under_way: Option<AbortOnDropHandle<Asked>>,
    /// When it is asked again.
    due: Instant,
    prompt: bool,
    told: Option<(Instant, Demand)>,
    trouble: Option<String>,
    /// Whether it has been told to the log that what it told is too old.
    forgotten: bool,
}

/// How a question ended.
struct Asked {
    at: Instant,
    took: Duration,
    answer: Result<Demand, String>,
}

impl Sources {
    /// No sources yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { sources: Mutex::new(Vec::new()), bounds }
    }

    /// Adds a source, by a name for people. `pause` is the least time between an answer of it and the next question; one
    /// that is slow gets more.
    #[must_use]
    pub fn with(self, name: &str, source: Arc<dyn DemandSource>, pause: Duration) -> Self {
        let mut sources = self.sources.into_inner();
        sources.push(Source {
            name: name.to_owned(),
            inner: source,
            pause,
            under_way: None,
            due: Instant::now(),
            prompt: true,
            told: None,
            trouble: None,
            forgotten: false,
        });
        Self { sources: Mutex::new(sources), ..self }
    }
}

#[async_trait]
impl DemandSource for Sources {
    async fn ask(&self) -> Result<Demand, DemandError> {
        let mut sources = self.sources.lock().await;
        sources.iter_mut().for_each(|source| source.begin(self.bounds.deadline));
        // Where all are late, there is nobody whom waiting would delay.
        let all_late = !sources.iter().any(|source| source.prompt);
        let awaited = sources.iter_mut().filter(|source| all_late || source.prompt);
        let all = join_all(awaited.map(|source| source.answered(self.bounds)));
        // Whether all were in time is seen at each of them.
        let _ = tokio::time::timeout(self.bounds.patience, all).await;
        sources.iter_mut().for_each(|source| source.look(self.bounds));
        let told: Vec<&Demand> = sources.iter().filter_map(|source| Some(&source.told.as_ref()?.1)).collect();
        if told.is_empty() {
            let troubles: Vec<String> = sources.iter().map(Source::trouble).collect();
            return Err(DemandError::Unknown(troubles.join("; ")));
        }
        Ok(sum(told))
    }
}

impl Source {
    /// Asks, unless it still owes an answer or was asked just now.
    fn begin(&mut self, deadline: Duration) {
        if self.under_way.is_some() || Instant::now() < self.due {
            return;
        }
        let source = self.inner.clone();
        self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let at = Instant::now();
            let answer = match tokio::time::timeout(deadline, source.ask()).await {
                Ok(answer) => answer.map_err(|DemandError::Unknown(why)| why),
                Err(_) => Err(format!("no answer within {} s", deadline.as_secs_f32())),
            };
            Asked { at, took: at.elapsed(), answer }
        })));
    }

    /// Waits for the answer and takes it in. Can be dropped and called again.
    async fn answered(&mut self, bounds: Bounds) {
        let Some(under_way) = self.under_way.as_mut() else { return };
        let asked = under_way.await;
        self.under_way = None;
        let (at, took, answer) = match asked {
            Ok(asked) => (asked.at, asked.took, asked.answer),
            Err(error) => (Instant::now(), Duration::ZERO, Err(format!("the question was cut off: {error}"))),
        };
        self.prompt = took <= bounds.patience;
        let now = Instant::now();
        self.due = now.checked_add(self.pause.max(took.saturating_mul(3))).unwrap_or(now);
        match answer {
            Ok(demand) => self.succeeded(at, demand),
            Err(trouble) => self.failed(trouble, bounds.kept),
        }
    }

    fn succeeded(&mut self, asked: Instant, demand: Demand) {
        if self.trouble.take().is_some() {
            tracing::info!(target: "nodepool.target", "{} tells its demand again", self.name);
        }
        self.forgotten = false;
        self.told = Some((asked, demand));
    }

    fn failed(&mut self, trouble: String, kept: Duration) {
        if self.trouble.is_none() && self.told.is_some() {
            let kept = kept.as_secs();
            tracing::warn!(target: "nodepool.target", "{} does not tell its demand, what it told last counts for {kept} s: {trouble}", self.name);
        }
        self.trouble = Some(trouble);
    }

    /// Takes in what has come by now, and forgets what is too old.
    fn look(&mut self, bounds: Bounds) {
        // `None` says that it is not there yet, and `under_way` says so too.
        let _ = self.answered(bounds).now_or_never();
        if self.under_way.is_some() {
            self.prompt = false;
        }
        if self.told.as_ref().is_some_and(|(asked, _)| asked.elapsed() > bounds.kept) {
            self.told = None;
        }
        if let (None, Some(trouble), false) = (&self.told, &self.trouble, self.forgotten) {
            tracing::warn!(target: "nodepool.target", "the demand of {} is not known, none of its jobs are counted: {trouble}", self.name);
            self.forgotten = true;
        }
    }

    fn trouble(&self) -> String {
        format!("{}: {}", self.name, self.trouble.as_deref().unwrap_or("no answer yet"))
    }
}

/// All demands together.
fn sum<'a>(demands: impl IntoIterator<Item = &'a Demand>) -> Demand {
    let mut total = Demand::default();
    for demand in demands {
        add(&mut total.jobs, &demand.jobs);
        add(&mut total.waiting, &demand.waiting);
    }
    total
}

fn add(total: &mut BTreeMap<String, u32>, more: &BTreeMap<String, u32>) {
    for (label, count) in more {
        let sum = total.entry(label.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that answers as it is told to, after a while.
    struct Scripted(std::sync::Mutex<Vec<(Duration, Option<Demand>)>>);

    impl Scripted {
        fn new(mut answers: Vec<(Duration, Option<Demand>)>) -> Arc<Self> {
            answers.reverse();
            Arc::new(Self(std::sync::Mutex::new(answers)))
        }
    }

    #[async_trait]
    impl DemandSource for Scripted {
        async fn ask(&self) -> Result<Demand, DemandError> {
            let (after, answer) = self.0.lock().unwrap().pop().unwrap_or((Duration::ZERO, None));
            tokio::time::sleep(after).await;
            answer.ok_or_else(|| DemandError::Unknown("down".to_owned()))
        }
    }

    fn demand(jobs: u32, waiting: u32) -> Demand {
        let of = |count| BTreeMap::from([("ci".to_owned(), count)]);
        Demand { jobs: of(jobs), waiting: of(waiting) }
    }

    const NOW: Duration = Duration::ZERO;

    #[tokio::test(start_paused = true)]
    async fn sources_add_up_and_one_that_fails_counts_for_a_while() {
        let one = Scripted::new(vec![
            (NOW, Some(demand(3, 0))),
            (NOW, Some(demand(4, 0))),
            (NOW, Some(demand(4, 0))),
        ]);
        let two = Scripted::new(vec![(NOW, Some(demand(1, 2)))]);
        let sources = Sources::new(Bounds::default()).with("one", one, NOW).with("two", two, NOW);
        assert_eq!(sources.ask().await.unwrap(), demand(4, 2));
        assert_eq!(sources.ask().await.unwrap(), demand(5, 2), "the second fails, and what it told counts");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(sources.ask().await.unwrap().jobs["ci"], 4, "and is too old at last");
        tokio::time::advance(Duration::from_secs(61)).await;
        let error = sources.ask().await.unwrap_err().to_string();
        assert!(error.contains("one: down") && error.contains("two: down"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_slow_delays_the_others_once_and_is_heard_later() {
        let slow = Duration::from_secs(5);
        let one = Scripted::new(vec![(NOW, Some(demand(1, 0))); 20]);
        let two = Scripted::new(vec![(slow, Some(demand(0, 9)))]);
        let sources = Sources::new(Bounds::default()).with("one", one, NOW).with("two", two, NOW);
        let begun = Instant::now();
        assert_eq!(sources.ask().await.unwrap().waiting.get("ci"), Some(&0));
        assert_eq!(begun.elapsed(), Duration::from_millis(400));
        let begun = Instant::now();
        sources.ask().await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(10), "it is not waited for again");
        tokio::time::sleep(slow).await;
        assert_eq!(sources.ask().await.unwrap(), demand(1, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_left_alone_for_its_pause() {
        let one = Scripted::new(vec![(NOW, Some(demand(1, 0))), (NOW, Some(demand(2, 0)))]);
        let sources = Sources::new(Bounds::default()).with("one", one, Duration::from_secs(2));
        assert_eq!(sources.ask().await.unwrap(), demand(1, 0));
        assert_eq!(sources.ask().await.unwrap(), demand(1, 0));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(sources.ask().await.unwrap(), demand(2, 0));
    }
}
