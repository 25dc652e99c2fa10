//! A daemon of the world: the real engine, driven by the world's clock.

use std::task::{Context, Poll};
use std::time::Duration;

use nodepool::engine::{Engine, News, Outcome, Work};
use nodepool::model::Timestamp;
use nodepool::plan::Plan;
use nodepool::store::{Store, StoreError};
use tokio::sync::mpsc;

use super::World;

/// How long the daemon waits when the store has failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A daemon that runs.
pub struct Daemon {
    pub engine: Engine,
    pub store: Store,
    pub news: mpsc::UnboundedReceiver<News>,
    pub work: Vec<(Work, Timestamp)>,
    pub wake: Option<Timestamp>,
}

impl Daemon {
    /// What a daemon does at one moment: take in what came, then look and decide until nothing changes any more.
    ///
    /// When the store fails it goes on with what else came, if `store_is_out`, and looks again a second later.
    pub async fn act(&mut self, world: &World, store_is_out: bool) -> Result<Plan, StoreError> {
        let now = world.lock().now;
        let acted = self.act_at(now, store_is_out).await;
        if acted.is_err() {
            self.wake = Some(now.plus(STORE_PAUSE));
        }
        acted
    }

    async fn act_at(&mut self, now: Timestamp, store_is_out: bool) -> Result<Plan, StoreError> {
        self.poll(now, store_is_out).await?;
        loop {
            let mut started = Vec::new();
            let ticked = self.engine.tick(now, &mut started).await;
            self.work.extend(started.into_iter().map(|work| (work, now)));
            let tick = ticked?;
            self.work.retain(|(work, _)| !tick.recalled.contains(&work.errand));
            self.wake = tick.wake;
            if !tick.changed {
                // What was started now takes its first steps now.
                self.poll(now, store_is_out).await?;
                return Ok(tick.plan);
            }
        }
    }

    async fn poll(&mut self, now: Timestamp, store_is_out: bool) -> Result<(), StoreError> {
        let mut ended = Vec::new();
        let mut waiting = Vec::new();
        for (mut work, began) in std::mem::take(&mut self.work) {
            let mut context = Context::from_waker(std::task::Waker::noop());
            match work.future.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => ended.push((work.errand, outcome)),
                Poll::Pending if now >= began.plus(work.deadline) => {
                    ended.push((work.errand, Outcome::TimedOut));
                }
                Poll::Pending => waiting.push((work, began)),
            }
        }
        self.work = waiting;
        while let Ok(news) = self.news.try_recv() {
            let heard = self.engine.news(now, news).await;
            if !store_is_out {
                heard?;
            }
        }
        for (errand, outcome) in ended {
            let taken_in = self.engine.finish(now, &errand, outcome).await;
            if !store_is_out {
                taken_in?;
            }
        }
        Ok(())
    }
}
