//! One executor as a worker: it registers functions, asks for a job while its node is free, and runs it there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gearman::protocol::PacketType;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::functions;
use super::wire::{Assigned, Lost, Wire};
use crate::sandbox::jenkins::build::{self, Begun, Occupied};
use crate::sandbox::jenkins::controller::Fate;
use crate::sandbox::jenkins::{Jenkins, events};

/// After how long a server that cannot be reached is tried again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// A node that was not free is looked at so often, as the plugin does.
const TURN: Duration = Duration::from_secs(5);

/// Works until it is dropped.
pub(super) async fn work(jenkins: &Arc<Jenkins>, address: SocketAddr, name: &str, serial: u64, index: usize) {
    let id = format!("{name}_exec-{index}");
    loop {
        let mut executor = match Wire::connect(address, &id).await {
            Ok(wire) => Executor {
                jenkins,
                name,
                serial,
                index,
                id: &id,
                changes: jenkins.changes.subscribe(),
                wire,
                registered: BTreeSet::new(),
            },
            Err(error) => {
                tracing::debug!(%error, id, "no connection to the Gearman server");
                sleep(RECONNECT_PAUSE).await;
                continue;
            }
        };
        let Err(error) = executor.serve().await;
        tracing::debug!(%error, id, "the connection to the Gearman server ended");
        sleep(RECONNECT_PAUSE).await;
    }
}

/// A worker with a connection.
struct Executor<'a> {
    jenkins: &'a Arc<Jenkins>,
    name: &'a str,
    serial: u64,
    index: usize,
    id: &'a str,
    changes: watch::Receiver<u64>,
    wire: Wire,
    registered: BTreeSet<String>,
}

/// The sole right to start something on a node; given back when it is dropped.
struct Reserved<'a> {
    jenkins: &'a Jenkins,
    name: &'a str,
    serial: u64,
    index: usize,
    slot: usize,
}

impl<'a> Reserved<'a> {
    /// Takes it, if the node is free.
    fn take(executor: &Executor<'a>) -> Option<Reserved<'a>> {
        let mut controller = executor.jenkins.controller();
        if controller.quieting_down {
            return None;
        }
        let seat = controller.seat(executor.name, executor.serial)?;
        let slot = seat.free_slot(None)?;
        seat.reserved = Some(executor.index);
        let (jenkins, name) = (executor.jenkins.as_ref(), executor.name);
        Some(Reserved { jenkins, name, serial: executor.serial, index: executor.index, slot })
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let waited_for = {
            let mut controller = self.jenkins.controller();
            if let Some(seat) = controller.seat(self.name, self.serial)
                && seat.reserved == Some(self.index)
            {
                seat.reserved = None;
            }
            controller.queue.values().any(|item| item.fate == Fate::Waits)
        };
        // Each time that a job is asked for in vain comes through here: only who waits is woken.
        if waited_for {
            self.jenkins.change(|_| ());
        }
    }
}

impl<'a> Executor<'a> {
    async fn serve(&mut self) -> Result<std::convert::Infallible, Lost> {
        loop {
            self.changes.mark_unchanged();
            self.register().await?;
            let reserved = if self.registered.is_empty() { None } else { Reserved::take(self) };
            let Some(reserved) = reserved else {
                self.wait(Some(TURN)).await?;
                continue;
            };
            if let Some(job) = self.wire.grab().await? {
                self.carry_out(&job, reserved).await?;
            } else {
                drop(reserved);
                self.wire.pre_sleep().await?;
                self.wait(None).await?;
            }
        }
    }

    /// Tells the server what changed in what we can do.
    async fn register(&mut self) -> Result<(), Lost> {
        let wanted = functions::of_node(&self.jenkins.controller(), self.name);
        if wanted == self.registered {
            return Ok(());
        }
        if wanted.is_empty() || self.registered.is_empty() {
            self.wire.send(PacketType::ResetAbilities, Vec::new()).await?;
            self.registered.clear();
        }
        for function in wanted.difference(&self.registered) {
            self.wire.send(PacketType::CanDo, vec![Bytes::copy_from_slice(function.as_bytes())]).await?;
        }
        for function in self.registered.difference(&wanted) {
            self.wire.send(PacketType::CantDo, vec![Bytes::copy_from_slice(function.as_bytes())]).await?;
        }
        self.registered = wanted;
        Ok(())
    }

    /// Waits until the server calls, other functions are to be registered, or time is up.
    async fn wait(&mut self, longest: Option<Duration>) -> Result<(), Lost> {
        let turn = async {
            match longest {
                Some(longest) => sleep(longest).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(turn);
        loop {
            tokio::select! {
                () = &mut turn => return Ok(()),
                packet = self.wire.receive() => {
                    if packet?.ptype == PacketType::Noop {
                        return Ok(());
                    }
                }
                // Whoever tells of changes lives as long as we do.
                _ = self.changes.changed() => {
                    let controller = self.jenkins.controller();
                    let others = functions::of_node(&controller, self.name) != self.registered;
                    // Who waits for the node looks again; who sleeps until a call sleeps on.
                    if others || longest.is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn carry_out(&mut self, job: &Assigned, reserved: Reserved<'a>) -> Result<(), Lost> {
        let parameters = match parameters(&job.data) {
            Ok(parameters) => parameters,
            Err(why) => return self.wire.tell(PacketType::WorkException, job, &[why]).await,
        };
        let Some(begun) = self.begin(&job.function, &parameters, reserved.slot) else {
            return self.wire.tell(PacketType::WorkFail, job, &[]).await;
        };
        // While the node is kept for this build alone, nothing else starts there.
        let mut reserved = Some(reserved);
        if !build::wants_once(&parameters) {
            reserved = None;
        }
        let stage = self.jenkins.stage();
        // Until the server was told, too: who takes the node before has the job run once more.
        let occupied = Arc::new(Occupied::by(self.jenkins, &begun));
        let running = {
            let (life, inside, begun) = (stage.life.clone(), Arc::clone(self.jenkins), begun.clone());
            let occupied = Arc::clone(&occupied);
            // In a task of its own: it goes on when this connection is closed.
            stage.tasks.spawn(async move {
                life.run_until_cancelled(build::run(&inside, &begun)).await;
                drop(occupied);
            })
        };
        self.tell(PacketType::WorkData, job, &begun).await?;
        let estimate = {
            let controller = self.jenkins.controller();
            controller.jobs.get(&begun.job).map_or(-1, super::super::job::Job::estimate)
        };
        self.wire.tell(PacketType::WorkStatus, job, &["0", &estimate.to_string()]).await?;
        // It cannot panic.
        let _ = running.await;
        if stage.life.is_cancelled() {
            // A Jenkins that goes down says nothing of its builds: the server gives the job to somebody else.
            return Err(Lost::going_down());
        }
        let told = self.tell(PacketType::WorkComplete, job, &begun).await;
        drop(occupied);
        drop(reserved);
        told
    }

    /// Begins a build on this very node.
    fn begin(&self, function: &str, parameters: &[(String, String)], slot: usize) -> Option<Begun> {
        let job = functions::job_of(function)?;
        let (name, serial) = (self.name, self.serial);
        let number = self.jenkins.change(|controller| {
            controller.seat(name, serial)?;
            controller.jobs.get(job).filter(|job| !job.config.disabled)?;
            controller.take(name, slot);
            controller.begin(job, parameters.to_vec(), (name, slot), None)
        })?;
        Some(Begun { job: job.to_owned(), number, node: name.to_owned(), serial, slot })
    }

    async fn tell(&mut self, kind: PacketType, job: &Assigned, begun: &Begun) -> Result<(), Lost> {
        let text = self.told(begun);
        self.wire.tell(kind, job, &[&text]).await
    }

    /// What is told of a build.
    fn told(&self, begun: &Begun) -> String {
        let mut controller = self.jenkins.controller();
        let node_labels = controller.seat(&begun.node, begun.serial).map(|seat| seat.node.all_labels());
        let told = Told {
            name: &begun.job,
            number: begun.number,
            manager: events::host_name(),
            worker: self.id,
            url: format!("{}job/{}/{}/", self.jenkins.url(), begun.job, begun.number),
            result: controller.build(&begun.job, begun.number).and_then(|build| build.result),
            node_name: &begun.node,
            node_labels: node_labels.unwrap_or_default(),
        };
        events::gson(&told).unwrap_or_default()
    }
}

/// The data of WORK_DATA and WORK_COMPLETE.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    number: u64,
    manager: String,
    worker: &'a str,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    node_name: &'a str,
    node_labels: BTreeSet<String>,
}

/// The parameters of a build: an object whose values are texts, or can be written as one.
fn parameters(data: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(data) else {
        return Err("com.google.gson.JsonSyntaxException: expected an object");
    };
    let each = object.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(value) => Ok((name, value.to_string())),
        Value::Null => Ok((name, String::new())),
        Value::Array(_) | Value::Object(_) => Err("com.google.gson.JsonSyntaxException: expected a string"),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_texts() {
        let read = parameters(br#"{"A":"x","B":1,"C":true}"#).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read, [pair("A", "x"), pair("B", "1"), pair("C", "true")]);
        assert_eq!(parameters(b"").unwrap(), []);
        assert!(parameters(b"[]").is_err());
        assert!(parameters(br#"{"A":{"B":"x"}}"#).is_err());
        assert!(parameters(b"\xff").is_err());
    }
}
