//! A Jenkins controller, as a pool of CI machines meets it: its REST API, agents that it launches over ssh, builds that
//! run on them for real, events over ZMQ, and executors that register with a Gearman server.
//!
//! It behaves as Jenkins 2.426 with the plugins ssh-slaves, gearman-plugin and zmq-event-publisher. There is no Java in it:
//! an agent is an ssh connection that stays, or a WebSocket to a stand-in for the agent's program (see `inbound`).

mod answers;
mod build;
mod controller;
mod door;
mod events;
pub mod faults;
mod gearman;
mod inbound;
mod job;
mod label;
mod launch;
mod log;
mod login;
mod node;
mod notification;
mod page;
mod schedule;
pub mod settings;
mod ssh;
mod traffic;
mod tree;
mod view;
mod xml;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::keys::decode_secret_key;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::faults::{Dice, Span};
use super::http::{Counts, Door};
use controller::{Controller, Credential};
use events::Publisher;
use faults::JenkinsFaults;
use login::Logins;
use settings::JenkinsSettings;

/// What the Jenkins shares with the cloud beside it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) dice: Arc<Mutex<Dice>>,
    pub(super) counts: Arc<Mutex<Counts>>,
    pub(super) stop: CancellationToken,
}

/// A running Jenkins.
#[derive(Debug)]
pub(super) struct Jenkins {
    settings: JenkinsSettings,
    address: SocketAddr,
    shared: Shared,
    logins: Logins,
    controller: Mutex<Controller>,
    /// Goes up with every change that somebody may wait for.
    changes: watch::Sender<u64>,
    stage: Mutex<Stage>,
    /// Told when it is to be restarted.
    restart: Notify,
    publisher: Publisher,
    gearman: Option<gearman::Server>,
    /// What tells others of builds.
    http: reqwest::Client,
}

/// How far it has come up, and what belongs to this life of it.
#[derive(Clone, Debug)]
struct Stage {
    begins: Instant,
    /// Before this moment connections are cut.
    answers_at: Instant,
    /// Before this moment the answer is 503.
    up_at: Instant,
    /// Cancelled, in the sense of told, when it is up.
    running: CancellationToken,
    life: CancellationToken,
    tasks: TaskTracker,
}

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Down,
    Starting,
    Up,
}

impl Stage {
    fn new(now: Instant, takes: Duration, parent: &CancellationToken) -> Stage {
        let up_at = now.checked_add(takes).unwrap_or(now);
        let answers_at = now.checked_add(takes.mul_f64(1.0 / 3.0)).unwrap_or(now);
        let (running, life) = (CancellationToken::new(), parent.child_token());
        Stage { begins: now, answers_at, up_at, running, life, tasks: TaskTracker::new() }
    }
}

impl Jenkins {
    /// Takes the ports and reads the keys.
    pub(super) async fn start(
        settings: JenkinsSettings,
        shared: Shared,
    ) -> io::Result<(Arc<Self>, TcpListener)> {
        let named = |what: &str, error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        let listener = TcpListener::bind(settings.address)
            .await
            .map_err(|error| named(&format!("--jenkins {}", settings.address), error))?;
        let mut controller = Controller::default();
        for file in &settings.keys {
            let text = tokio::fs::read_to_string(&file.path)
                .await
                .map_err(|error| named(&file.path.display().to_string(), error))?;
            let key = decode_secret_key(&text, None)
                .map_err(|error| io::Error::other(format!("{}: {error}", file.path.display())))?;
            let credential =
                Credential { user: file.user.clone(), description: String::new(), key: Some(Arc::new(key)) };
            controller.credentials.insert(file.id.clone(), credential);
        }
        let publisher = match settings.zmq {
            Some(address) => Publisher::bound(address).await.map_err(|error| named("--zmq", error))?,
            None => Publisher::default(),
        };
        let gearman = match settings.gearman {
            Some(server) => Some(gearman::Server::start(server).await?),
            None => None,
        };
        let jenkins = Jenkins {
            address: listener.local_addr()?,
            logins: Logins::new(&settings),
            stage: Mutex::new(Stage::new(Instant::now(), Duration::ZERO, &shared.stop)),
            controller: Mutex::new(controller),
            changes: watch::Sender::new(0),
            restart: Notify::new(),
            publisher,
            gearman,
            http: reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?,
            settings,
            shared,
        };
        Ok((Arc::new(jenkins), listener))
    }

    /// Answers and works until the sandbox stops.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let stop = self.shared.stop.clone();
        let router = axum::Router::new().fallback(door::serve).with_state(Arc::clone(&self));
        let service = router.into_make_service_with_connect_info::<super::http::Connection>();
        let serving = async {
            if let Err(error) = axum::serve(Door(listener), service).await {
                tracing::error!(%error, "the Jenkins answers no more");
            }
        };
        let publishing = events::publish(&self);
        let traffic = traffic::run(&self);
        let working = async { tokio::join!(self.live(), serving, Box::pin(publishing), traffic) };
        stop.run_until_cancelled(working).await;
        let stage = self.stage();
        stage.life.cancel();
        stage.tasks.close();
        stage.tasks.wait().await;
        if let Some(server) = &self.gearman {
            server.stop().await;
        }
    }

    /// One life after the other: each ends with a restart.
    async fn live(self: &Arc<Self>) {
        loop {
            let stage = self.stage();
            tokio::time::sleep_until(stage.up_at).await;
            stage.tasks.spawn(schedule::run(Arc::clone(self), stage.life.clone()));
            gearman::register_controller(self);
            // An agent that is made from now on is launched by whoever makes it.
            let seats = self.seats();
            stage.running.cancel();
            for (name, serial) in seats {
                launch::spawn(self, &name, serial);
            }
            self.restart.notified().await;
            tracing::info!("the Jenkins restarts");
            let takes = self.duration(|faults| faults.restart_seconds);
            let next = Stage::new(Instant::now(), takes, &self.shared.stop);
            *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = next;
            stage.life.cancel();
            stage.tasks.close();
            stage.tasks.wait().await;
            self.change(Controller::forget_life);
        }
    }

    fn seats(&self) -> Vec<(String, u64)> {
        self.controller().nodes.iter().map(|(name, seat)| (name.clone(), seat.serial)).collect()
    }

    /// Ends all connections and builds, and comes up again after a while.
    pub(super) fn restart(&self) {
        self.restart.notify_one();
    }

    /// Where it answers, with a slash at the end.
    pub(super) fn url(&self) -> String {
        format!("http://{}{}/", self.address, self.settings.prefix)
    }

    /// Where events are published.
    pub(super) fn zmq(&self) -> Option<SocketAddr> {
        self.publisher.address()
    }

    /// The Gearman server.
    pub(super) fn gearman(&self) -> Option<SocketAddr> {
        self.gearman.as_ref().map(gearman::Server::address)
    }

    /// How it was started.
    pub(super) fn settings(&self) -> &JenkinsSettings {
        &self.settings
    }

    fn readiness(&self) -> Readiness {
        let (stage, now) = (self.stage(), Instant::now());
        if now < stage.answers_at && stage.begins < stage.answers_at {
            Readiness::Down
        } else if now < stage.up_at || !stage.running.is_cancelled() {
            Readiness::Starting
        } else {
            Readiness::Up
        }
    }

    fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn controller(&self) -> MutexGuard<'_, Controller> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something and tells those who wait for changes.
    fn change<T>(&self, change: impl FnOnce(&mut Controller) -> T) -> T {
        let result = change(&mut self.controller());
        self.changes.send_modify(|number| *number = number.wrapping_add(1));
        result
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.shared.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn duration(&self, pick: impl Fn(&JenkinsFaults) -> Span) -> Duration {
        self.dice().duration(|faults| pick(&faults.jenkins))
    }

    fn count(&self, operation: &'static str, status: u16) {
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(operation).or_default().entry(status).or_insert(0);
        *count = count.saturating_add(1);
    }
}
