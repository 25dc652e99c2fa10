//! Executors as workers of a Gearman server, as the Gearman plugin makes them: one connection for each executor of an agent
//! that is online, and one for the controller.

mod executor;
mod functions;
mod overseer;
mod server;
mod wire;

use std::sync::Arc;

use futures::future::join_all;

use super::Jenkins;
pub(super) use server::Server;

/// Works for an agent as long as it is online; whoever drops this closes the connections.
pub(super) async fn serve_agent(jenkins: &Arc<Jenkins>, name: &str, serial: u64) {
    let Some(address) = jenkins.gearman() else { return std::future::pending().await };
    let executors = jenkins.controller().seat(name, serial).map_or(0, |seat| seat.slots.len());
    let each = (0..executors).map(|index| executor::work(jenkins, address, name, serial, index));
    join_all(each).await;
    std::future::pending::<()>().await;
}

/// Registers what the controller itself does, for its present life.
pub(super) fn register_controller(jenkins: &Arc<Jenkins>) {
    let Some(address) = jenkins.gearman() else { return };
    let (inside, stage) = (Arc::clone(jenkins), jenkins.stage());
    stage.tasks.spawn(async move { stage.life.run_until_cancelled(overseer::work(&inside, address)).await });
}
