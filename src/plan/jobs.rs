//! What jobs did: events that wait in rows, oldest first. Jobs run on nodes and on primaries; subnodes follow.

use super::Draft;
use super::action::Action;
use crate::fsm::node::NodeEvent;
use crate::model::JobEventKind;

impl Draft<'_> {
    /// Lets each event happen to its node. Of several events for one node, the first is dealt with in this plan and
    /// the others in the next ones, so that their order is kept.
    pub(super) fn settle_job_events(&mut self) {
        for event in self.seen.events.clone() {
            let node = self
                .nodes
                .values()
                .find(|drafted| drafted.row.nodename == event.told.nodename && drafted.row.primary.is_none());
            let Some(drafted) = node else {
                self.act(
                    Action::SettleJobEvent(event.id),
                    format!("no node is called {}", event.told.nodename),
                );
                continue;
            };
            if drafted.changed {
                continue;
            }
            let row = drafted.row.clone();
            let (happened, verb) = match event.told.kind {
                JobEventKind::Started => (NodeEvent::JobStarted, "started"),
                JobEventKind::Completed => {
                    let reason = format!(
                        "the result of job {} is known, but it has not left the node",
                        event.told.job
                    );
                    self.act(Action::SettleJobEvent(event.id), reason);
                    continue;
                }
                JobEventKind::Finished => (NodeEvent::JobFinished, "ended"),
            };
            let reason = format!("job {} {verb}", event.told.job);
            self.node_event(row, happened, reason.clone());
            self.act(Action::SettleJobEvent(event.id), reason);
        }
    }
}
