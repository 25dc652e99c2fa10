//! The controller as a worker: it stops builds and describes them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gearman::protocol::PacketType;
use serde_json::Value;
use tokio::time::sleep;

use super::wire::{Assigned, Lost, Wire};
use crate::sandbox::jenkins::{Jenkins, events};

/// After how long a server that cannot be reached is tried again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// Works until it is dropped.
pub(super) async fn work(jenkins: &Jenkins, address: SocketAddr) {
    let host = events::host_name();
    loop {
        if let Ok(mut wire) = Wire::connect(address, &format!("{host}_manager")).await {
            let Err(error) = serve(jenkins, &mut wire, &host).await;
            tracing::debug!(%error, "the connection to the Gearman server ended");
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

async fn serve(jenkins: &Jenkins, wire: &mut Wire, host: &str) -> Result<std::convert::Infallible, Lost> {
    for function in [format!("stop:{host}"), format!("set_description:{host}")] {
        wire.send(PacketType::CanDo, vec![Bytes::from(function)]).await?;
    }
    loop {
        match wire.grab().await? {
            Some(job) if job.function.starts_with("stop:") => {
                let kind = match stop(jenkins, &job) {
                    Some(true) => PacketType::WorkComplete,
                    Some(false) => PacketType::WorkFail,
                    None => PacketType::WorkException,
                };
                answer(wire, kind, &job).await?;
            }
            // A description is for people, and nobody looks at these pages.
            Some(job) => answer(wire, PacketType::WorkComplete, &job).await?,
            None => {
                wire.pre_sleep().await?;
                while wire.receive().await?.ptype != PacketType::Noop {}
            }
        }
    }
}

async fn answer(wire: &mut Wire, kind: PacketType, job: &Assigned) -> Result<(), Lost> {
    match kind {
        PacketType::WorkFail => wire.tell(kind, job, &[]).await,
        PacketType::WorkException => wire.tell(kind, job, &["no such build"]).await,
        _ => wire.tell(kind, job, &[""]).await,
    }
}

/// Stops the build that is named; false when it was over, `None` when there is no such build.
fn stop(jenkins: &Jenkins, job: &Assigned) -> Option<bool> {
    let told: Value = serde_json::from_slice(&job.data).ok()?;
    let number = told.get("number")?;
    let number = number.as_u64().or_else(|| number.as_str()?.parse().ok())?;
    let mut controller = jenkins.controller();
    let build = controller.build(told.get("name")?.as_str()?, number)?;
    let runs = build.ended.is_none() && !build.stop.is_cancelled();
    build.stop.cancel();
    Some(runs)
}
