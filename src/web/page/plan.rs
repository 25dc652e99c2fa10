//! What the last plan decided: what is done, and what is not, each with its reason.

use super::super::html::Html;
use super::table::{Cell, Table};
use super::{Shown, heading, more};
use crate::cli::{ActionView, RefusalView};

/// The most rows of one table; `nodepool plan` shows more.
const MOST: usize = 100;

impl Shown<'_> {
    pub(super) fn plan(&self, html: &mut Html) {
        heading(html, "The current plan");
        let actions = &self.last.plan.actions;
        let mut table = Table::new("The current plan", &["What is done", "Reason"]);
        for planned in actions.iter().take(MOST) {
            let ActionView { action, reason } = ActionView::new(planned);
            table.row([Cell::wide(action), Cell::wide(reason)]);
        }
        table.finish(html, "There is nothing to do.");
        more(html, actions.len().saturating_sub(MOST));
    }

    pub(super) fn refused(&self, html: &mut Html) {
        heading(html, "What is not done, and why");
        let refusals = &self.last.plan.refusals;
        let mut table = Table::new("What is not done", &["About", "Reason"]);
        for refusal in refusals.iter().take(MOST) {
            let RefusalView { about, reason } = RefusalView::new(refusal);
            table.row([Cell::text(about.to_string()), Cell::wide(reason)]);
        }
        table.finish(html, "Nothing is held up.");
        more(html, refusals.len().saturating_sub(MOST));
    }
}
