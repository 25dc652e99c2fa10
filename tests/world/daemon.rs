//! A daemon of the world: the real engine, driven by the world's clock.

use std::task::{Context, Poll};

use nodepool::engine::{Engine, News, Outcome, Work};
use nodepool::model::Timestamp;
use nodepool::plan::Plan;
use nodepool::store::{Store, StoreError};
use tokio::sync::mpsc;

use super::World;

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
    pub async fn act(&mut self, world: &World) -> Result<Plan, StoreError> {
        let now = world.lock().now;
        self.poll(now).await?;
        loop {
            let mut started = Vec::new();
            let ticked = self.engine.tick(now, &mut started).await;
            self.work.extend(started.into_iter().map(|work| (work, now)));
            let tick = ticked?;
            self.work.retain(|(work, _)| !tick.recalled.contains(&work.errand));
            self.wake = tick.wake;
            if !tick.changed {
                // What was started now takes its first steps now.
                self.poll(now).await?;
                return Ok(tick.plan);
            }
        }
    }

    async fn poll(&mut self, now: Timestamp) -> Result<(), StoreError> {
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
            self.engine.news(now, news).await?;
        }
        for (errand, outcome) in ended {
            self.engine.finish(now, &errand, outcome).await?;
        }
        Ok(())
    }
}
