//! What the engine tells the metrics: leaks that it found and removed, and calls that had to wait for their turn.

use std::time::Duration;

use super::{Engine, Rows};
use crate::model::Timestamp;
use crate::plan::{Answer, Errand, Failure, Fault, TryEnd};
use crate::telemetry::Found;

impl Engine {
    /// Takes a token for the errand, if it needs one, and tells how long it has to wait for one. `false`: it has to wait.
    pub(super) fn has_turn(&mut self, errand: &Errand, now: Timestamp) -> bool {
        let wait = self.memory.wait_for_turn(errand, now);
        if let (Some(metrics), Some(provider)) = (&self.metrics, errand.paced_by()) {
            metrics.turn(provider, wait);
        }
        wait == Duration::ZERO
    }

    /// Counts what is about to be deleted for the first time and belongs to no row.
    pub(super) fn count_leak(&self, errand: &Errand, rows: &Rows) {
        let Some((place, kind)) = leak(errand) else { return };
        let owned = rows.images.values().any(|image| match errand {
            Errand::DeleteSnapshot { id, .. } => image.external_id.as_ref() == Some(id),
            Errand::DeleteKeypair { name, .. } => image.keypair.as_ref() == Some(name),
            _ => false,
        });
        if let Some(metrics) =
            self.metrics.as_ref().filter(|_| !owned && !self.memory.tries.contains_key(errand))
        {
            metrics.leak(place, kind, Found::Leak);
        }
    }

    /// Counts what was deleted and belongs to no row. A deletion that was accepted before counted then.
    pub(super) fn count_removed_leak(&self, errand: &Errand, answer: &Answer, has_row: bool) {
        let Some((place, kind)) = leak(errand).filter(|_| !has_row) else { return };
        let went = match answer {
            Answer::Id(_) | Answer::Text(_) | Answer::Done => true,
            Answer::Failed(Failure { fault, .. }) => *fault == Fault::NotFound,
        };
        let before = self.memory.tries.get(errand).is_some_and(|tries| tries.last_end == TryEnd::Accepted);
        if let Some(metrics) = self.metrics.as_ref().filter(|_| went && !before) {
            metrics.leak(place, kind, Found::Removed);
        }
    }
}

/// Where something is that may be a leak, and what it is. Snapshots and keypairs may still be a row's.
fn leak(errand: &Errand) -> Option<(&str, &'static str)> {
    match errand {
        Errand::DeleteServer { provider, owner: None, .. } => Some((provider, "server")),
        Errand::DeleteFloatingIp { provider, owner: None, .. } => Some((provider, "floating_ip")),
        Errand::DeletePort { provider, .. } => Some((provider, "port")),
        Errand::DeleteVolume { provider, .. } => Some((provider, "volume")),
        Errand::DeleteSnapshot { provider, .. } => Some((provider, "snapshot")),
        Errand::DeleteKeypair { provider, .. } => Some((provider, "keypair")),
        Errand::Withdraw { target, node: None, .. } => Some((target, "agent")),
        _ => None,
    }
}
