//! Demand from Gearman: the jobs that wait and run in the queues of one or more servers.
//!
//! Launchers that take nodes are found behind the same servers; see [`GearmanLauncher`].
//!
//! Several servers add up. One that is down, slow or silent, or that answers nonsense, delays nobody: its question goes
//! on by itself, up to a deadline, and until it answers again what it told last counts for a bounded time.

mod address;
mod connection;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod job;
mod launcher;
mod server;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::Mutex;

use super::{Demand, DemandError, DemandSource};
pub use address::{Address, TlsFiles};
pub use launcher::{GearmanLauncher, LauncherLimits};
use server::Server;

/// What is told of each question to a server. Closures of this shape are meters.
pub trait Meter: Send + Sync {
    /// A question to `server` ended: `ok`, `late` when the answer is still awaited, or the word of what was wrong.
    fn record(&self, server: &str, outcome: &'static str);
}

impl<F: Fn(&str, &'static str) + Send + Sync> Meter for F {
    fn record(&self, server: &str, outcome: &'static str) {
        self(server, outcome);
    }
}

/// The bounds of asking.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long an ask waits for servers that used to be prompt. Those that are late are not waited for; what they
    /// answer is taken in later.
    pub patience: Duration,
    /// How long a server may take to be reached and to answer, until it is asked again over a new connection.
    pub deadline: Duration,
    /// How long what a server told counts when it does not answer any more.
    pub kept: Duration,
    /// The longest answer, in bytes. 8 MiB are about 100 000 functions; the largest known installations had some
    /// thousands.
    pub answer_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            patience: Duration::from_millis(300),
            deadline: Duration::from_secs(10),
            kept: Duration::from_secs(60),
            answer_bytes: 8 * 1024 * 1024,
        }
    }
}

/// The queues of Gearman servers.
pub struct GearmanDemand {
    servers: Mutex<Vec<Server>>,
    limits: Limits,
}

impl GearmanDemand {
    /// The queues of these servers, each question to which is told to the meter. None is called yet.
    pub fn new(
        servers: impl IntoIterator<Item = Address>,
        limits: Limits,
        meter: impl Meter + 'static,
    ) -> Self {
        let meter: Arc<dyn Meter> = Arc::new(meter);
        let server = |address| Server::new(address, limits, Arc::clone(&meter));
        Self { servers: Mutex::new(servers.into_iter().map(server).collect()), limits }
    }
}

#[async_trait]
impl DemandSource for GearmanDemand {
    async fn ask(&self) -> Result<Demand, DemandError> {
        let mut servers = self.servers.lock().await;
        servers.iter_mut().for_each(Server::begin);
        // Where all are late, there is nobody whom waiting would delay.
        let all_late = !servers.iter().any(Server::is_prompt);
        let awaited = servers.iter_mut().filter(|server| all_late || server.is_prompt());
        let all = join_all(awaited.map(Server::answered));
        // Whether all were in time is seen at each of them.
        let _ = tokio::time::timeout(self.limits.patience, all).await;
        servers.iter_mut().for_each(Server::look);
        if servers.iter().all(|server| server.status().is_none()) {
            let troubles: Vec<String> = servers.iter().map(Server::trouble).collect();
            return Err(DemandError::Unknown(troubles.join("; ")));
        }
        Ok(status::demand(servers.iter().filter_map(Server::status)))
    }
}
