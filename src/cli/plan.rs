//! `nodepool plan`: what the daemon decided last, and why. It changes nothing.

use std::fmt::Write as _;

use super::plan_view::PlanView;
use super::{Failure, Session, Table};

/// Prints the last plan: what is done and what is not, each with its reason, and the sums behind it.
pub async fn run(session: &Session) -> Result<(), Failure> {
    let plan: PlanView = session.ask_daemon("/api/v1/plan").await?;
    session.console.answer(|| text(&plan, session.console.colours()), &plan)
}

fn text(plan: &PlanView, colours: bool) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = match &plan.at {
        Some(at) => writeln!(text, "Decided at {at}"),
        None => writeln!(text, "nodepoold has not looked at anything yet"),
    };
    if let Some(trouble) = &plan.trouble {
        let _ = writeln!(text, "Trouble: {}", super::table::one_line(trouble));
    }
    let mut table = Table::new(["Action", "Reason"]);
    for view in &plan.actions {
        table.row([view.action.clone(), view.reason.clone()].map(Some));
    }
    section(&mut text, "What is done", &table, plan.actions.len(), plan.more_actions, colours);
    let mut table = Table::new(["About", "Reason"]);
    for view in &plan.refusals {
        table.row([view.about.to_string(), view.reason.clone()].map(Some));
    }
    section(&mut text, "What is not done", &table, plan.refusals.len(), plan.more_refusals, colours);
    let or =
        |number: Option<u32>, word: &str| number.map_or_else(|| word.to_owned(), |number| number.to_string());
    let mut table =
        Table::new(["Label", "Jobs", "Spares", "Ready", "Building", "Busy", "Missing", "Spares by"]);
    for (name, view) in &plan.labels {
        let counts = [view.ready, view.building, view.busy, view.missing].map(|count| count.to_string());
        let wanted = [name.clone(), view.jobs.to_string(), or(view.spares, "off")];
        let by = view.spares_by.clone().or_else(|| view.spares.map(|_| "min-ready".to_owned()));
        table.row(wanted.into_iter().chain(counts).map(Some).chain([by]));
    }
    section(&mut text, "Labels", &table, plan.labels.len(), 0, colours);
    let mut table = Table::new(["Provider", "Servers", "max-servers"]);
    for (name, view) in &plan.providers {
        table.row([name.clone(), view.servers.to_string(), or(view.max_servers, "drained")].map(Some));
    }
    section(&mut text, "Providers", &table, plan.providers.len(), 0, colours);
    for (target, closed) in &plan.targets {
        if let Some(closed) = closed {
            let _ = writeln!(text, "\nTarget {target} takes no nodes: {}", super::table::one_line(closed));
        }
    }
    for (label, jobs) in &plan.unknown_demand {
        let label = super::table::one_line(label);
        let _ = writeln!(text, "\n{jobs} jobs ask for label {label}, which is not in the configuration");
    }
    text
}

fn section(text: &mut String, title: &str, table: &Table, rows: usize, more: usize, colours: bool) {
    let body = if rows == 0 { "nothing\n".to_owned() } else { format!("\n{}", table.render(colours)) };
    let _ = write!(text, "\n{title}: {body}");
    if more > 0 {
        let _ = writeln!(text, "{more} more are not shown");
    }
}
