//! From the queue to executors.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Jenkins;
use super::build::{self, Begun, Occupied};
use super::controller::{Controller, Fate};

/// The queue is looked at so often also when nothing changes.
const TURN: Duration = Duration::from_secs(5);

/// Starts what can be started, each time that something changes.
pub(super) async fn run(jenkins: Arc<Jenkins>, life: CancellationToken) {
    let mut changes = jenkins.changes.subscribe();
    let working = async {
        loop {
            changes.mark_unchanged();
            let (begun, next) = {
                let mut controller = jenkins.controller();
                (start(&mut controller), next_moment(&controller))
            };
            for begun in begun {
                spawn(&jenkins, begun);
            }
            tokio::select! {
                result = changes.changed() => if result.is_err() { return },
                () = tokio::time::sleep_until(next) => {}
            }
        }
    };
    life.run_until_cancelled(working).await;
}

fn spawn(jenkins: &Arc<Jenkins>, begun: Begun) {
    let stage = jenkins.stage();
    let inside = Arc::clone(jenkins);
    stage.tasks.spawn(async move {
        let _occupied = Occupied::by(&inside, &begun);
        stage.life.run_until_cancelled(build::run(&inside, &begun)).await;
    });
    // The executor is taken: others see it.
    jenkins.change(|_| ());
}

fn next_moment(controller: &Controller) -> Instant {
    let now = Instant::now();
    let turn = now.checked_add(TURN).unwrap_or(now);
    let waiting = controller.queue.values().filter(|item| item.fate == Fate::Waits);
    waiting.map(|item| item.ready_at).filter(|at| *at > now).min().map_or(turn, |at| at.min(turn))
}

/// Begins every build that an executor is free for, the longest waiting first.
fn start(controller: &mut Controller) -> Vec<Begun> {
    if controller.quieting_down {
        return Vec::new();
    }
    let now = Instant::now();
    let ready = |item: &&super::controller::Item| item.fate == Fate::Waits && item.ready_at <= now;
    let ids: Vec<u64> = controller.queue.iter().filter(|(_, item)| ready(item)).map(|(id, _)| *id).collect();
    ids.into_iter().filter_map(|id| begin(controller, id)).collect()
}

fn begin(controller: &mut Controller, id: u64) -> Option<Begun> {
    let item = controller.queue.get(&id)?;
    let (job, parameters) = (item.job.clone(), item.parameters.clone());
    if controller.jobs.get(&job).is_none_or(|job| job.config.disabled) {
        controller.queue.get_mut(&id)?.fate = Fate::Cancelled;
        return None;
    }
    let mut fitting = controller.nodes.values().filter(|seat| seat.takes(item.place.as_ref()));
    let (node, serial, slot) =
        fitting.find_map(|seat| Some((seat.node.name.clone(), seat.serial, seat.free_slot(None)?)))?;
    let number = controller.begin(&job, parameters, (&node, slot), Some(id))?;
    Some(Begun { job, number, node, serial, slot })
}
