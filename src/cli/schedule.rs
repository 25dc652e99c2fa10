//! `nodepool schedule`: how many spare nodes labels are to have, now and as the clock goes on.

use std::time::Duration;

use serde::Serialize;

use super::session::now;
use super::{Failure, Session, Table, rfc3339, suggest};
use crate::config::{Config, Label};
use crate::model::{Node, NodeState, Timestamp};
use crate::plan::Watermark;

/// No table tells more than a year.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Which labels, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Names of labels; without any, all of them
    #[arg(value_name = "LABEL")]
    pub labels: Vec<String>,
    /// How far to look ahead
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = super::duration)]
    pub next: Duration,
}

/// A span of time in which the number stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpanView {
    /// The label.
    pub label: String,
    /// When it begins, RFC 3339.
    pub from: String,
    /// When it ends.
    pub until: String,
    /// How many spare nodes there are to be; `None`: the label is switched off.
    pub spares: Option<u32>,
    /// The setting that asks for so many.
    pub because: String,
}

/// Prints the spans. How many nodes jobs have is what it is now: nobody knows what it will be.
pub async fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let known = config.labels.iter().map(|label| label.name.as_str()).collect();
    suggest::check("label", &arguments.labels, &known)?;
    let nodes = session.store.nodes().await?;
    let wanted = config
        .labels
        .iter()
        .filter(|label| arguments.labels.is_empty() || arguments.labels.contains(&label.name));
    let from = now();
    let until = from.plus(arguments.next.min(LONGEST));
    let spans: Vec<SpanView> =
        wanted.flat_map(|label| spans(label, busy(&nodes, &label.name), (from, until))).collect();
    session.console.rows(|| table(&spans), || spans.clone())
}

/// The nodes of a label that jobs have; one of several servers counts once.
fn busy(nodes: &[Node], label: &str) -> u32 {
    let busy = nodes
        .iter()
        .filter(|node| node.label == label && node.primary.is_none() && node.state == NodeState::Used);
    u32::try_from(busy.count()).unwrap_or(u32::MAX)
}

/// What is wanted of a label from one moment to another, while jobs have so many of its nodes.
pub fn spans(label: &Label, busy: u32, (from, until): (Timestamp, Timestamp)) -> Vec<SpanView> {
    let mut spans: Vec<SpanView> = Vec::new();
    let mut moment = from;
    while moment < until {
        let change = Watermark::next_change(label, moment).unwrap_or(until).min(until);
        let (spares, because) = match Watermark::of(label, busy, moment) {
            Some(watermark) => (Some(watermark.spares), watermark.cause.to_string()),
            None => (None, "switched off (min-ready: -1)".to_owned()),
        };
        match spans.last_mut().filter(|last| last.spares == spares && last.because == because) {
            Some(last) => last.until = rfc3339(change),
            None => spans.push(SpanView {
                label: label.name.clone(),
                from: rfc3339(moment),
                until: rfc3339(change),
                spares,
                because,
            }),
        }
        moment = change;
    }
    spans
}

fn table(spans: &[SpanView]) -> Table {
    let mut table = Table::new(["Label", "From", "Until", "Spares", "Because"]);
    for span in spans {
        let spares = span.spares.map_or_else(|| "off".to_owned(), |spares| spares.to_string());
        let cells = [span.label.clone(), span.from.clone(), span.until.clone(), spares, span.because.clone()];
        table.row(cells.map(Some));
    }
    table
}
