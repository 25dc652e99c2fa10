//! A launcher behind Gearman, as Zuul 2.5's zuul-launcher is one: nodes are handed to it by jobs.
//!
//! `node_assign:TARGET` hands out a node: a launcher answers with its name, as WORK_DATA, and with WORK_COMPLETE when it has
//! the node. `node_revoke:LAUNCHER` takes the node back, and nobody waits for that to be done. A launcher then registers the
//! node's jobs at the server and publishes over ZeroMQ when they start and end, as a Jenkins does. It can list no nodes.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::address::Address;
use super::connection::{AdminConnection, Trouble};
use super::job::{JobConnection, Kind, NotTaken, Said, in_time, shown};
use super::status::workers;
use crate::model::AgentTag;
use crate::target::{Enrolled, Enrollment, Inbound, Roster, Target, TargetError, Withdrawal};

/// The longest name of a launcher: they are host names.
const LONGEST_NAME: usize = 255;

/// The bounds of handing out nodes.
#[derive(Clone, Copy, Debug)]
pub struct LauncherLimits {
    /// How long a server may take to be reached, and to answer what it is told.
    pub answer: Duration,
    /// How long it may take until a launcher has the node. One that runs answers at once, in the order of the queue; a
    /// minute is as long as one takes to be restarted.
    pub taken: Duration,
    /// How long a launcher that began to take the node when that time was over may go on.
    pub grace: Duration,
    /// After so long without a word the server is asked whether it still knows the job.
    pub look: Duration,
    /// The longest list of functions, in bytes.
    pub answer_bytes: u64,
}

impl Default for LauncherLimits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(5),
            taken: Duration::from_secs(60),
            grace: Duration::from_secs(15),
            look: Duration::from_secs(5),
            answer_bytes: 8 * 1024 * 1024,
        }
    }
}

/// The launchers that take the nodes of a target.
pub struct GearmanLauncher {
    function: String,
    servers: Vec<Address>,
    limits: LauncherLimits,
}

impl GearmanLauncher {
    /// The launchers behind these servers that registered `node_assign:TARGET`. None is called yet.
    pub fn new(target: &str, servers: Vec<Address>, limits: LauncherLimits) -> Self {
        Self { function: format!("node_assign:{target}"), servers, limits }
    }

    /// A connection to the first server that can be reached, those before which a launcher waits for jobs first.
    async fn connection(&self) -> Result<(&Address, JobConnection), TargetError> {
        let mut troubles = Vec::new();
        for address in self.by_preference().await {
            match JobConnection::open(address, self.limits.answer).await {
                Ok(connection) => return Ok((address, connection)),
                Err(trouble) => troubles.push(format!("{address}: {trouble}")),
            }
        }
        if troubles.is_empty() {
            return Err(TargetError::Rejected("no Gearman server is configured".to_owned()));
        }
        Err(TargetError::Unavailable(troubles.join("; ")))
    }

    /// The servers, in the order of the configuration, those first that know a launcher.
    async fn by_preference(&self) -> Vec<&Address> {
        let mut servers: Vec<&Address> = self.servers.iter().collect();
        if servers.len() > 1 {
            let asked = self.servers.iter().map(|address| self.has_launcher(address));
            let has_one = futures::future::join_all(asked).await;
            let mut ranked: Vec<_> = has_one.into_iter().zip(servers).collect();
            ranked.sort_by_key(|(has_one, _)| !has_one);
            servers = ranked.into_iter().map(|(_, address)| address).collect();
        }
        servers
    }

    async fn has_launcher(&self, address: &Address) -> bool {
        let status = in_time(self.limits.answer, async {
            AdminConnection::open(address).await?.status(self.limits.answer_bytes).await
        });
        // One that cannot be asked is tried last, and tells why then.
        status.await.is_ok_and(|answer| workers(&answer, &self.function) > 0)
    }

    /// Follows the job until a launcher has the node, or it is certain enough that none will.
    async fn follow(&self, call: &mut Call<'_>) -> Result<Enrolled, TargetError> {
        let began = Instant::now();
        let mut asked = false;
        while let Some(left) = self.limits.taken.checked_sub(began.elapsed()) {
            let wait = left.min(if asked { self.limits.answer } else { self.limits.look });
            match tokio::time::timeout(wait, call.connection.next()).await {
                Ok(Ok(Said::Status { known: true, .. })) => asked = false,
                Ok(Ok(said)) => {
                    if let Some(end) = call.take(said) {
                        return end;
                    }
                }
                Ok(Err(trouble)) => return Err(call.unavailable(&trouble.to_string())),
                Err(_) if asked && wait == self.limits.answer => {
                    return Err(call.unavailable("the server says nothing any more"));
                }
                Err(_) if !asked => {
                    call.ask().await?;
                    asked = true;
                }
                Err(_) => {}
            }
        }
        self.give_up(call).await
    }

    /// Nobody has the node yet: takes the job back. If somebody is just about to take it, that is waited for.
    async fn give_up(&self, call: &mut Call<'_>) -> Result<Enrolled, TargetError> {
        if let Some(end) = call.outcome_unless_queued(self.limits.answer).await? {
            return end;
        }
        if !call.running {
            let cancelled = in_time(self.limits.answer, async {
                AdminConnection::open(call.address).await?.cancel(&call.handle).await
            });
            // A server that does not take it back forgets the job all the same when our connection ends, which is next.
            if let Err(trouble) = cancelled.await {
                tracing::debug!(target: "nodepool.target", "{} cannot be cancelled: {trouble}", call.handle);
            }
            if let Some(end) = call.outcome_unless_queued(self.limits.answer).await? {
                return end;
            }
        }
        if call.running
            && let Ok(end) = tokio::time::timeout(self.limits.grace, call.end()).await
        {
            return end;
        }
        let taken = self.limits.taken.as_secs_f64();
        if let Some(manager) = call.manager.clone().filter(|_| call.running) {
            let name = call.name.to_owned();
            // It may have the node, and was never heard to say so.
            if let Err(error) = self.revoke(&manager, &name).await {
                tracing::warn!(target: "nodepool.target", "{name} cannot be revoked from {manager}: {error}");
            }
        }
        Err(call.unavailable(&match (&call.manager, call.running) {
            (Some(manager), true) => format!("{manager} took the node and did not finish within {taken} s"),
            (None, true) => format!("a launcher took the job and did not finish within {taken} s"),
            (_, false) => format!(
                "no launcher took the node within {taken} s; is one registered for {}?",
                self.function
            ),
        }))
    }

    async fn revoke(&self, manager: &str, name: &str) -> Result<(), TargetError> {
        let (address, mut connection) = self.connection().await?;
        let data = json!({"name": name}).to_string().into_bytes();
        let function = format!("node_revoke:{manager}");
        let unique = format!("nodepool-revoke-{name}");
        let submitted = connection.submit(Kind::Background, &function, &unique, data).await;
        submitted.map(|_handle| ()).map_err(|error| not_taken(address, error))
    }
}

/// A job that hands out a node, while it is followed.
struct Call<'a> {
    address: &'a Address,
    connection: JobConnection,
    handle: String,
    name: &'a str,
    /// Who takes the node, once that is told.
    manager: Option<String>,
    /// Whether somebody had begun with it when the server was asked last.
    running: bool,
}

impl Call<'_> {
    /// Takes in what is said; gives the end, if it is one.
    fn take(&mut self, said: Said) -> Option<Result<Enrolled, TargetError>> {
        match said {
            Said::Data(data) => {
                self.manager = manager_in(&data).or(self.manager.take());
                None
            }
            Said::Complete => Some(Ok(Enrolled { manager: self.manager.clone() })),
            Said::Fail => Some(Err(self.refused("the launcher refused the node, or broke off"))),
            Said::Exception(why) => Some(Err(self.refused(&format!("the launcher failed: {}", shown(&why))))),
            Said::Status { known: false, .. } => {
                Some(Err(self.unavailable("the server does not know the job any more")))
            }
            Said::Status { known: true, running } => {
                self.running = running;
                None
            }
            Said::SomethingElse => None,
        }
    }

    async fn ask(&mut self) -> Result<(), TargetError> {
        let asked = self.connection.ask_status(&self.handle).await;
        asked.map_err(|trouble| self.unavailable(&trouble.to_string()))
    }

    /// Asks how the job is; gives its end, if it has ended. Otherwise `running` tells.
    async fn outcome_unless_queued(
        &mut self,
        patience: Duration,
    ) -> Result<Option<Result<Enrolled, TargetError>>, TargetError> {
        self.ask().await?;
        let answer = async {
            loop {
                match self.connection.next().await? {
                    // It was cancelled.
                    Said::Status { known: false, .. } => {
                        self.running = false;
                        return Ok(None);
                    }
                    Said::Status { known: true, running } => {
                        self.running = running;
                        return Ok(None);
                    }
                    said => {
                        if let Some(end) = self.take(said) {
                            return Ok(Some(end));
                        }
                    }
                }
            }
        };
        let answer = tokio::time::timeout(patience, answer).await.unwrap_or(Err(Trouble::Silent(patience)));
        answer.map_err(|trouble: Trouble| self.unavailable(&trouble.to_string()))
    }

    /// Waits for the end.
    async fn end(&mut self) -> Result<Enrolled, TargetError> {
        loop {
            match self.connection.next().await {
                Ok(said) => {
                    if let Some(end) = self.take(said) {
                        return end;
                    }
                }
                Err(trouble) => return Err(self.unavailable(&trouble.to_string())),
            }
        }
    }

    fn unavailable(&self, why: &str) -> TargetError {
        TargetError::Unavailable(format!("Gearman server {}: {why}", self.address))
    }

    fn refused(&self, why: &str) -> TargetError {
        TargetError::Rejected(format!("Gearman server {}: {why}", self.address))
    }
}

/// The launcher's name in what it said. One that could not be part of a function's name is none.
fn manager_in(data: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(data).ok()?;
    let name = said.get("manager")?.as_str()?;
    let odd = |c: char| c.is_control() || c.is_whitespace();
    (!name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(odd)).then(|| name.to_owned())
}

fn not_taken(address: &Address, error: NotTaken) -> TargetError {
    match error {
        NotTaken::Trouble(trouble) => {
            TargetError::Unavailable(format!("Gearman server {address}: {trouble}"))
        }
        NotTaken::Refused(why) => TargetError::Rejected(format!("Gearman server {address}: {why}")),
    }
}

fn cannot<T>(what: &str) -> Result<T, TargetError> {
    Err(TargetError::Rejected(format!("a launcher behind Gearman cannot {what}")))
}

#[async_trait]
impl Target for GearmanLauncher {
    async fn enroll(&self, enrollment: &Enrollment) -> Result<Enrolled, TargetError> {
        let (address, mut connection) = self.connection().await?;
        let data = json!({
            "name": enrollment.name,
            "host": enrollment.address,
            "description": enrollment.description,
            "labels": enrollment.labels.join(" "),
            "root": enrollment.root,
        });
        // A try that was cut off has left no job behind, so each gets one of its own.
        let submitted =
            connection.submit(Kind::Foreground, &self.function, "", data.to_string().into_bytes()).await;
        let handle = submitted.map_err(|error| not_taken(address, error))?;
        let name = &enrollment.name;
        let mut call = Call { address, connection, handle, name, manager: None, running: false };
        self.follow(&mut call).await
    }

    async fn withdraw(&self, withdrawal: &Withdrawal) -> Result<(), TargetError> {
        // Where no launcher said who it is, nobody can be told.
        match &withdrawal.manager {
            Some(manager) => self.revoke(manager, &withdrawal.name).await,
            None => Ok(()),
        }
    }

    async fn roster(&self) -> Result<Option<Roster>, TargetError> {
        Ok(None)
    }

    async fn relabel(&self, _name: &str, _tag: &AgentTag, _labels: &[String]) -> Result<(), TargetError> {
        cannot("give a node other labels")
    }

    async fn hold(
        &self,
        _name: &str,
        _tag: &AgentTag,
        _description: &str,
        _why: &str,
    ) -> Result<(), TargetError> {
        cannot("say something else about a node")
    }

    async fn close(&self, _name: &str, _tag: &AgentTag, _why: &str) -> Result<(), TargetError> {
        cannot("take a node that it was given from other jobs")
    }

    async fn start_test(&self, _job: &str, _name: &str) -> Result<(), TargetError> {
        cannot("start a job")
    }

    async fn launch_log(&self, _name: &str) -> Result<String, TargetError> {
        cannot("tell how it launched a node")
    }

    async fn inbound(&self, _name: &str) -> Result<Inbound, TargetError> {
        cannot("let a node connect by itself")
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(data: &[u8]) {
    std::hint::black_box(manager_in(data));
}
