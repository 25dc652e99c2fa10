//! What keeps failing now, and what failed in the last day, equal failures together.

use super::super::html::Html;
use super::table::{Cell, Table};
use super::{Shown, heading, more};
use crate::cli::failures::groups;
use crate::plan::BreakerState;
use crate::store::Subject;
use crate::telemetry::Breaker;

/// The most rows of one table; the commands show all.
const MOST: usize = 50;

impl Shown<'_> {
    pub(super) fn broken(&self, html: &mut Html) {
        heading(html, "What keeps failing");
        let columns = ["Kind", "Provider", "Name", "Breaker", "Failures", "Last", "Reason"];
        let mut table = Table::new("What keeps failing", &columns);
        for Breaker { setback, state } in self.last.breakers.iter().take(MOST) {
            let colour = if *state == BreakerState::Open { "bad" } else { "busy" };
            table.row([
                Cell::text(setback.kind.word()),
                Cell::text(&setback.provider),
                Cell::text(&setback.name),
                Cell::marked(state.word(), colour),
                Cell::Number(usize::try_from(setback.failures).unwrap_or(usize::MAX)),
                Cell::Since(setback.last),
                Cell::wide(&setback.reason),
            ]);
        }
        table.finish(html, "Nothing keeps failing.");
        more(html, self.last.breakers.len().saturating_sub(MOST));
    }

    pub(super) fn failures(&self, html: &mut Html) {
        heading(html, "Failures of the last day");
        let groups = groups(&self.picture.failures);
        let columns = ["Times", "Last", "Provider", "Zone", "Image", "Step", "Message", "Example"];
        let mut table = Table::new("Failures of the last day", &columns);
        for (count, last) in groups.iter().take(MOST) {
            table.row([
                Cell::Number(*count),
                Cell::Since(last.at),
                Cell::text(&last.provider),
                Cell::maybe(last.az.as_deref()),
                Cell::text(&last.image),
                Cell::text(&last.step),
                Cell::wide(&last.message),
                match last.subject {
                    Subject::Node(id) => Cell::link("node", id.0),
                    Subject::Image(id) => Cell::link("image", id.0),
                },
            ]);
        }
        table.finish(html, "Nothing failed.");
        more(html, groups.len().saturating_sub(MOST));
    }
}
