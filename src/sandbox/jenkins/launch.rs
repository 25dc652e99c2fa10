//! The life of an agent: launched, online, broken, launched again, until its node is deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::controller::{Cause, CauseKind, Credential};
use super::node::{Launcher, Ssh};
use super::ssh::{self, Channel, Failure};
use super::{Jenkins, gearman};

/// What the text of a failed launch says; the log tells more.
const LAUNCH_FAILED: &str = "This agent is offline because Jenkins failed to launch the agent process on it.";
/// The folder of an agent that names none.
const USUAL_ROOT: &str = "/tmp/jenkins";

/// Starts the life of an agent that belongs to the controller's present life.
pub(super) fn spawn(jenkins: &Arc<Jenkins>, name: &str, serial: u64) {
    let stage = jenkins.stage();
    let Some(gone) = jenkins.controller().seat(name, serial).map(|seat| seat.gone.clone()) else { return };
    let (inside, name) = (Arc::clone(jenkins), name.to_owned());
    stage.tasks.spawn(async move {
        let agent = Agent { jenkins: inside, name, serial, gone: gone.clone() };
        let living = async { gone.run_until_cancelled(Box::pin(agent.live())).await };
        stage.life.run_until_cancelled(living).await;
        if let Some(channel) = agent.take_channel() {
            channel.close().await;
        }
    });
}

/// One agent.
struct Agent {
    jenkins: Arc<Jenkins>,
    name: String,
    serial: u64,
    gone: CancellationToken,
}

impl Agent {
    async fn live(&self) {
        if self.jenkins.dice().strikes(|faults| &mut faults.jenkins.agent_never) {
            tracing::info!(agent = self.name, "this agent never comes online");
            return std::future::pending().await;
        }
        let mut failures = 0_u32;
        loop {
            sleep(self.jenkins.duration(|faults| faults.launch_seconds)).await;
            match self.launch().await {
                Some(channel) => {
                    failures = 0;
                    self.online(Arc::new(channel)).await;
                }
                None => failures = failures.saturating_add(1),
            }
            self.wait_for_relaunch(failures).await;
            self.tell(|seat| seat.cut_off = None);
        }
    }

    /// Jenkins looks after its agents about each minute, and less often after one that failed several times.
    async fn wait_for_relaunch(&self, failures: u32) {
        let Some(launch) = self.with(|seat| Arc::clone(&seat.launch)) else { return };
        let turns = if failures < 6 { 1 } else { 12 };
        let pause = self.jenkins.duration(|faults| faults.relaunch_seconds).saturating_mul(turns);
        tokio::select! {
            () = sleep(pause) => {}
            () = launch.notified() => {}
        }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut super::controller::Seat) -> T) -> Option<T> {
        self.jenkins.controller().seat(&self.name, self.serial).map(ask)
    }

    fn tell(&self, change: impl FnOnce(&mut super::controller::Seat)) {
        self.jenkins.change(|controller| controller.seat(&self.name, self.serial).map(change));
    }

    fn log(&self, line: &str) {
        self.with(|seat| seat.log.line(line));
    }

    /// Tries to connect as often as the launcher says.
    async fn launch(&self) -> Option<Channel> {
        let ssh = match self.with(|seat| seat.node.launcher.clone()) {
            Some(Launcher::Ssh(ssh)) => ssh,
            Some(Launcher::Inbound { .. }) => return Some(self.arrival().await),
            // Agents of other kinds are not launched from here.
            Some(Launcher::Other(_)) | None => return std::future::pending().await,
        };
        let began = Instant::now();
        let deadline = Duration::from_secs(ssh.launch_timeout_seconds.clamp(1, 3600).into());
        let launched = tokio::time::timeout(deadline, self.tries(&ssh)).await;
        let channel = launched.unwrap_or_else(|_| Err("Launch timed out".into()));
        match channel {
            Ok(channel) => Some(channel),
            Err(why) => {
                let took = began.elapsed().as_millis();
                self.log(&format!("ERROR: {why}"));
                self.log(&format!(
                    "[SSH] Launch failed - cleaning up connection.\nSSH Launch of {} on {} failed in {took} ms",
                    self.name, ssh.host
                ));
                self.tell(|seat| seat.cut_off = Some(Cause::now(CauseKind::LaunchFailed, LAUNCH_FAILED)));
                None
            }
        }
    }

    /// Waits until the agent has connected by itself.
    async fn arrival(&self) -> Channel {
        loop {
            let Some(launch) = self.with(|seat| Arc::clone(&seat.launch)) else {
                return std::future::pending().await;
            };
            if let Some(channel) = self.with(|seat| seat.arrived.take()).flatten() {
                self.log("Inbound agent connected");
                return channel;
            }
            launch.notified().await;
        }
    }

    async fn tries(&self, ssh: &Ssh) -> Result<Channel, String> {
        let mut left = ssh.retries.min(100);
        loop {
            let Some(credential) = self.credential(&ssh.credentials) else {
                return Err(format!("Failed to find credentials entry with id [{}]", ssh.credentials));
            };
            let Some(key) = credential.key else {
                return Err(format!("The private key of credentials [{}] cannot be read", ssh.credentials));
            };
            self.log(&format!("[SSH] Opening SSH connection to {}:{}.", ssh.host, ssh.port));
            let why = match ssh::connect(ssh, &credential.user, key).await {
                Ok(channel) => match self.start(&channel).await {
                    Ok(()) => return Ok(channel),
                    Err(why) => why,
                },
                Err(Failure::Refused(why)) => return Err(why),
                Err(Failure::Unreached(why)) => why,
            };
            if left == 0 {
                return Err(why);
            }
            self.log(&format!(
                "{why}\nSSH Connection failed with IOException: \"{why}\", retrying in {} seconds. There are {left} more retries left.",
                ssh.retry_seconds
            ));
            left = left.saturating_sub(1);
            sleep(Duration::from_secs(ssh.retry_seconds.into())).await;
        }
    }

    fn credential(&self, id: &str) -> Option<Credential> {
        self.jenkins.controller().credentials.get(id).cloned()
    }

    /// What stands for the start of the agent's process: its folder is made.
    async fn start(&self, channel: &Channel) -> Result<(), String> {
        self.log("[SSH] Authentication successful.");
        let root = self.with(|seat| seat.node.root.clone()).flatten().unwrap_or_else(|| USUAL_ROOT.into());
        let mut said = Vec::new();
        let command = format!("mkdir -p {0} && cd {0}", super::build::quoted(&root));
        let status = channel
            .run(&command, |bytes| {
                if said.len() < 1000 {
                    said.extend_from_slice(bytes);
                }
            })
            .await;
        match status {
            Some(0) => Ok(()),
            _ => Err(format!(
                "The agent's folder {root} cannot be used: {}",
                String::from_utf8_lossy(&said).trim()
            )),
        }
    }

    /// Stays until the connection ends.
    async fn online(&self, channel: Arc<Channel>) {
        self.log("Agent successfully connected and online");
        self.tell(|seat| {
            seat.channel = Some(Arc::clone(&channel));
            seat.cut_off = None;
            seat.was_online = true;
        });
        let executors = gearman::serve_agent(&self.jenkins, &self.name, self.serial);
        tokio::select! {
            () = channel.broken.cancelled() => {}
            () = executors => {}
        }
        self.log("Connection terminated");
        self.tell(|seat| {
            seat.channel = None;
            seat.reserved = None;
            // Somebody who disconnected it said why.
            let broken = || Cause::now(CauseKind::ChannelTermination, "Connection was broken");
            seat.cut_off.get_or_insert_with(broken);
        });
    }

    fn take_channel(&self) -> Option<Arc<Channel>> {
        let of_deleted = self.gone.is_cancelled();
        self.with(|seat| seat.channel.take()).flatten().filter(|_| !of_deleted)
    }
}
