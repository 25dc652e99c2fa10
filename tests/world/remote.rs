//! The machines of the world, as ssh reaches them.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use nodepool::model::HostKey;
use nodepool::remote::{Command, Connection, Endpoint, Output, Remote, RemoteError, RemoteFile, Trust};

use super::fault::Fault;
use super::{World, floating};

/// Reaches the machines of the world.
pub struct SimulatedRemote {
    pub world: World,
}

struct SimulatedConnection {
    world: World,
    provider: String,
    server: String,
    host_key: HostKey,
    user: String,
}

#[async_trait]
impl Remote for SimulatedRemote {
    async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Connection>, RemoteError> {
        let end = self.world.lock().now.plus(endpoint.patience);
        loop {
            if let Some(connection) = self.try_once(endpoint)? {
                self.world.pass(Duration::from_millis(50)).await;
                return Ok(Box::new(connection));
            }
            if self.world.lock().now >= end {
                return Err(RemoteError::Unreachable("no answer".to_owned()));
            }
            self.world.pass(Duration::from_secs(1)).await;
        }
    }

    async fn public_key(&self, _private_key: &Path) -> Result<String, RemoteError> {
        Ok("ssh-ed25519 AAAA".to_owned())
    }
}

impl SimulatedRemote {
    fn try_once(&self, endpoint: &Endpoint) -> Result<Option<SimulatedConnection>, RemoteError> {
        let mut state = self.world.lock();
        let now = state.now;
        let answering = state
            .servers
            .iter()
            .flat_map(|(provider, servers)| servers.iter().map(move |(id, server)| (provider, id, server)));
        let found = answering.into_iter().find(|(provider, id, server)| {
            let reached = if state.pools.contains(*provider) {
                floating::leads_to(&state, provider, endpoint.address).as_ref() == Some(*id)
            } else {
                server.address == endpoint.address
            };
            reached
                && !state.deaf.contains(*id)
                && state.cut_off.get(*provider).is_none_or(|until| *until <= now)
                && server.exists(now)
                && !server.is_broken(now)
                && server.answers.is_some_and(|answers| answers <= now)
        });
        let Some((provider, id, server)) = found else { return Ok(None) };
        if let Trust::Only(recorded) = &endpoint.trust
            && *recorded != server.host_key
        {
            return Err(RemoteError::WrongHostKey {
                recorded: recorded.clone(),
                found: server.host_key.clone(),
            });
        }
        let connection = SimulatedConnection {
            world: self.world.clone(),
            provider: provider.clone(),
            server: id.clone(),
            host_key: server.host_key.clone(),
            user: endpoint.users.first().cloned().unwrap_or_default(),
        };
        if !state.visited.insert(connection.server.clone()) {
            state.crimes.push(format!("server {} is visited by two at once", connection.server));
        }
        Ok(Some(connection))
    }
}

impl Drop for SimulatedConnection {
    fn drop(&mut self) {
        self.world.lock().visited.remove(&self.server);
    }
}

impl SimulatedConnection {
    fn check(&self) -> Result<(), RemoteError> {
        let state = self.world.lock();
        let server = &state.servers[&self.provider][&self.server];
        if server.exists(state.now) && !server.is_broken(state.now) {
            Ok(())
        } else {
            Err(RemoteError::Lost("the machine is gone".to_owned()))
        }
    }

    async fn work(&self, low: u64, high: u64) -> Result<(), RemoteError> {
        self.check()?;
        let time = self.world.lock().dice.millis(low, high);
        self.world.pass(time).await;
        self.check()
    }
}

#[async_trait]
impl Connection for SimulatedConnection {
    fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    fn user(&self) -> &str {
        &self.user
    }

    async fn copy_tree(&mut self, _from: &Path, _to: &str, _deadline: Duration) -> Result<(), RemoteError> {
        self.work(50, 500).await
    }

    async fn write_files(&mut self, _files: &[RemoteFile], _deadline: Duration) -> Result<(), RemoteError> {
        self.work(10, 100).await
    }

    async fn run(&mut self, command: &Command, output: &mut dyn Output) -> Result<u32, RemoteError> {
        output.line("simulated");
        let (fails, hangs) = {
            let mut state = self.world.lock();
            let spoilt = state.booted.get(&self.server).is_some_and(|image| state.spoilt.contains(image));
            (state.strikes(Fault::ScriptFails, 3) || spoilt, state.strikes(Fault::ScriptHangs, 2))
        };
        if hangs {
            self.world.pass(command.deadline).await;
            self.check()?;
            return Err(RemoteError::Deadline(command.deadline));
        }
        self.work(200, 6_000).await?;
        Ok(u32::from(fails))
    }
}
