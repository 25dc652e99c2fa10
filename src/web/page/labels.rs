//! Each label: what it wants, what it has, and how that was in the last hour.

use std::collections::{BTreeMap, BTreeSet};

use super::super::html::Html;
use super::chart::{self, Line};
use super::table::{Cell, Table};
use super::{STATES, Shown, heading};
use crate::plan::Balance;

const COLUMNS: [&str; 12] = [
    "Label",
    "Image",
    "min-ready",
    "Demand",
    "Watermark",
    "building",
    "test",
    "ready",
    "used",
    "hold",
    "delete",
    "The last hour",
];

impl Shown<'_> {
    pub(super) fn labels(&self, html: &mut Html) {
        heading(html, "Labels");
        let configured = self.config.labels.iter().map(|label| label.name.as_str());
        let mut names: Vec<&str> = configured.clone().collect();
        let known: BTreeSet<&str> = configured.collect();
        let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for node in self.picture.nodes().iter().filter(|node| node.primary.is_none()) {
            let count = counts.entry(&node.label).or_default().entry(node.state.word()).or_default();
            *count = count.saturating_add(1);
        }
        names.extend(counts.keys().filter(|label| !known.contains(*label)));
        let mut table = Table::new("Labels", &COLUMNS);
        let none = BTreeMap::new();
        for name in names {
            table.row(self.label(name, counts.get(name).unwrap_or(&none)));
        }
        table.finish(html, "There are no labels in the configuration.");
        for (label, jobs) in &self.last.plan.stock.unknown {
            html.markup("<p class=\"bad\">").text(jobs).markup(" jobs ask for ").text(label);
            html.markup(", which is not in the configuration.</p>");
        }
    }

    fn label<'s>(&'s self, name: &'s str, counts: &BTreeMap<&str, usize>) -> Vec<Cell<'s>> {
        let label = self.config.label(name);
        let balance = self.last.plan.stock.labels.get(name);
        let wanted = match label.map(|label| label.min_ready) {
            None => Cell::marked("not configured", "away"),
            Some(None) => Cell::marked("off", "away"),
            Some(Some(wanted)) => {
                match balance.and_then(|balance| balance.spares.zip(balance.spares_by.as_ref())) {
                    Some((spares, why)) => Cell::text(format!("{spares}: {why}")),
                    None => Cell::text(wanted.to_string()),
                }
            }
        };
        let mut row = vec![
            Cell::text(name),
            Cell::maybe(label.map(|label| label.image.as_str())),
            wanted,
            balance.map_or(Cell::Empty, |balance| Cell::Number(balance.jobs as usize)),
            balance.map_or(Cell::Empty, |balance| Cell::Made(watermark(balance))),
        ];
        let spares = balance.and_then(|balance| balance.spares);
        let min_ready =
            spares.or(label.and_then(|label| label.min_ready)).map_or(0, |wanted| wanted as usize);
        for (word, colour) in STATES {
            let count = counts.get(word).copied().unwrap_or_default();
            row.push(match (word, count) {
                ("ready", count) if count < min_ready => {
                    Cell::marked(format!("{count}, {} short", min_ready.saturating_sub(count)), "bad")
                }
                (_, 0) => Cell::Number(0),
                (_, count) => Cell::marked(count.to_string(), colour),
            });
        }
        row.push(self.label_trend(name));
        row
    }

    fn label_trend(&self, name: &str) -> Cell<'static> {
        let Some(points) = self.trend.label(name) else { return Cell::Empty };
        let lines = [
            Line::new("used", "used", points.iter().map(|point| point.busy)),
            Line::new("ready", "good", points.iter().map(|point| point.ready)),
            Line::new("building", "busy", points.iter().map(|point| point.building)),
        ];
        let wanted: Vec<u32> = points.iter().map(|point| point.wanted).collect();
        let mut made = Html::default();
        chart::spark(&mut made, "nodes in the last hour", &lines, &wanted);
        Cell::Made(made)
    }
}

/// How many nodes are wanted in all.
fn wanted(balance: &Balance) -> u32 {
    balance.jobs.saturating_add(balance.spares.unwrap_or(0))
}

/// The bar of a label: used, ready, building, and a mark where it should reach.
fn watermark(balance: &Balance) -> Html {
    let wanted = wanted(balance);
    let whole = wanted.max(balance.there());
    let text = format!(
        "{} used, {} ready, {} building of {wanted} wanted: {} for jobs and {} spare",
        balance.busy,
        balance.ready,
        balance.building,
        balance.jobs,
        balance.spares.unwrap_or(0)
    );
    let parts =
        [(balance.busy.into(), "used"), (balance.ready.into(), "good"), (balance.building.into(), "busy")];
    let mut made = Html::default();
    made.markup("<span class=\"measure\">");
    chart::bar(&mut made, &text, whole.into(), &parts, Some(wanted.into()));
    made.markup("<span aria-hidden=\"true\">").text(balance.there()).markup(" of ").text(wanted);
    made.markup("</span></span>");
    made
}
