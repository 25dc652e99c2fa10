//! Listens to the publishers that the configuration names, and to others when it names others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::told::{Heard, read_published};
use super::writer::{News, Writer, now};
use crate::config::Config;
use crate::target::zmq::{self, Limits, Publisher, Report};
use crate::telemetry::{EventOutcome, Metrics};

/// How many events may wait to be written. When a store takes none for so long that they are more, nothing more is read,
/// and the publishers, which keep a thousand themselves, drop what comes after.
const QUEUE: usize = 1000;
/// How many reports of one publisher may wait to be read.
const REPORTS: usize = 64;

/// Listens to all publishers.
#[derive(Debug)]
pub struct Listening {
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// Writes what is heard.
    pub writer: Writer,
    /// Where it is told who is heard.
    pub metrics: Arc<Metrics>,
    /// The bounds of listening.
    pub limits: Limits,
    /// How long the end waits until what was heard is written.
    pub patience: Duration,
}

impl Listening {
    /// Listens until `stop` is cancelled, and then writes what was heard.
    pub async fn run(mut self, stop: CancellationToken) {
        let (tell, told) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(self.writer.clone().write_all(told));
        let tasks = TaskTracker::new();
        let mut heard: BTreeMap<String, CancellationToken> = BTreeMap::new();
        loop {
            self.follow(&mut heard, &tell, &tasks, &stop);
            let changed = tokio::select! {
                () = stop.cancelled() => break,
                changed = self.config.changed() => changed,
            };
            if changed.is_err() {
                // There will be no other configuration; this one stays.
                stop.cancelled().await;
                break;
            }
        }
        drop(tell);
        tasks.close();
        // A store that takes nothing until now takes nothing from us any more.
        let _ = tokio::time::timeout(self.patience, async {
            tasks.wait().await;
            writing.await
        })
        .await;
    }

    /// Begins to listen to those that are new, and ends it with those that left.
    fn follow(
        &mut self,
        heard: &mut BTreeMap<String, CancellationToken>,
        tell: &mpsc::Sender<News>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let config = Arc::clone(&self.config.borrow_and_update());
        heard.retain(|endpoint, end| {
            let stays = config.zmq_publishers.contains(endpoint);
            if !stays {
                end.cancel();
                tracing::info!(target: "nodepool.events", publisher = %endpoint, "a publisher left the configuration");
            }
            stays
        });
        for endpoint in &config.zmq_publishers {
            let Some(publisher) = Publisher::at(endpoint).filter(|_| !heard.contains_key(endpoint)) else {
                continue;
            };
            let end = stop.child_token();
            heard.insert(endpoint.clone(), end.clone());
            let (report, reports) = mpsc::channel(REPORTS);
            tasks.spawn(zmq::listen(publisher, self.limits, report, end));
            let source = Source {
                name: endpoint.as_str().into(),
                tell: tell.clone(),
                writer: self.writer.clone(),
                metrics: Arc::clone(&self.metrics),
            };
            tasks.spawn(source.take(reports));
        }
    }
}

/// One publisher, as what it says is taken in.
struct Source {
    name: Arc<str>,
    tell: mpsc::Sender<News>,
    writer: Writer,
    metrics: Arc<Metrics>,
}

impl Source {
    /// Takes in all reports until there are no more.
    async fn take(self, mut reports: mpsc::Receiver<Report>) {
        self.metrics.publisher(&self.name, false);
        // Whether somebody was told that it is not heard: once is enough until it is heard again.
        let mut complained = false;
        while let Some(report) = reports.recv().await {
            match report {
                Report::Connected => {
                    self.metrics.publisher(&self.name, true);
                    tracing::info!(target: "nodepool.events", publisher = %self.name, "job events are heard");
                    complained = false;
                }
                Report::Lost(why) => {
                    self.metrics.publisher(&self.name, false);
                    if !complained {
                        tracing::warn!(target: "nodepool.events", publisher = %self.name, "no job events are heard: {why}");
                        complained = true;
                    }
                }
                Report::TooLong => self.unreadable("it is too long"),
                Report::Said(message) => self.said(&message).await,
            }
        }
        self.metrics.forget_publisher(&self.name);
    }

    async fn said(&self, message: &[u8]) {
        match read_published(message) {
            Ok(Heard::Event(event)) => {
                let news = News { event, source: Arc::clone(&self.name), at: now() };
                if self.tell.send(news).await.is_err() {
                    self.writer.count(&self.name, EventOutcome::Lost);
                }
            }
            Ok(Heard::NoNode | Heard::UnknownNode | Heard::SomethingElse) => {
                self.writer.count(&self.name, EventOutcome::Ignored);
            }
            Err(error) => self.unreadable(&error.to_string()),
        }
    }

    fn unreadable(&self, why: &str) {
        tracing::debug!(target: "nodepool.events", publisher = %self.name, "a message is left out: {why}");
        self.writer.count(&self.name, EventOutcome::Unreadable);
    }
}
