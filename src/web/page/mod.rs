//! The status page: what there is, what should be, what happens next, and why something is not done.
//!
//! It is made of parts, each a piece of HTML with an id. The first answer has all of them; after that a stream tells those
//! that changed (`live`), and a small script puts them in place. Without the script the page is as good, only not live.
//! Times are written as moments, not as ages, so that a part changes only when there is news; the script counts the ages.

mod chart;
mod filter;
mod held;
mod labels;
mod node_list;
mod plan;
mod providers;
mod summary;
mod table;
mod timeline;
mod trouble;

use std::fmt;

pub(super) use filter::Filter;
pub(super) use timeline::{Story, Whose};

use super::html::Html;
use super::pictures::Picture;
use super::trend::Trend;
use crate::cli::rfc3339;
use crate::config::Config;
use crate::model::Timestamp;
use crate::telemetry::{LastTick, Metrics};

/// nodepool v0's words for the states of a node, each with its colour.
const STATES: [(&str, &str); 6] = [
    ("building", "busy"),
    ("test", "busy"),
    ("ready", "good"),
    ("used", "used"),
    ("hold", "kept"),
    ("delete", "away"),
];

/// Everything that the page shows.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) config: &'a Config,
    pub(super) doubts: &'a [String],
    pub(super) picture: &'a Picture,
    pub(super) last: &'a LastTick,
    pub(super) metrics: &'a Metrics,
    pub(super) trend: &'a Trend,
    pub(super) filter: &'a Filter,
    pub(super) now: Timestamp,
}

/// A part of the page, which can take the place of an older one.
#[derive(Debug)]
pub(super) struct Part {
    /// The id of the element that it is in.
    pub(super) id: &'static str,
    /// What is in it.
    pub(super) html: Html,
}

/// The places on the page that the list at its top leads to.
const PLACES: [(&str, &str); 8] = [
    ("labels", "Labels"),
    ("providers", "Providers"),
    ("nodes", "Nodes"),
    ("held", "Held"),
    ("images", "Images"),
    ("refused", "Held up"),
    ("plan", "Plan"),
    ("failures", "Failures"),
];

impl Shown<'_> {
    /// The parts, in the order in which they stand on the page.
    pub(super) fn parts(&self) -> Vec<Part> {
        let part = |id: &'static str, write: fn(&Self, &mut Html)| {
            let mut html = Html::default();
            write(self, &mut html);
            Part { id, html }
        };
        vec![
            part("summary", Self::summary),
            part("trend", Self::charts),
            part("labels", Self::labels),
            part("refused", Self::refused),
            part("broken", Self::broken),
            part("providers", Self::providers),
            part("targets", Self::targets),
            part("choices", Self::choices),
            part("node-list", Self::node_list),
            part("held", Self::held),
            part("images", Self::images),
            part("plan", Self::plan),
            part("failures", Self::failures),
        ]
    }

    /// The page.
    pub(super) fn page(&self) -> String {
        let mut html = Html::default();
        begin(&mut html, &"Nodepool", self.now, "home");
        html.markup("<nav aria-label=\"Parts of the page\">");
        for (id, title) in PLACES {
            html.markup("<a href=\"#").markup(id).markup("\">").markup(title).markup("</a>");
        }
        html.markup("</nav><main id=\"main\">");
        for part in self.parts() {
            if part.id == "node-list" {
                html.markup("<section id=\"nodes\"><h2>Nodes</h2>");
                self.filter_form(&mut html);
                write_part(&mut html, "div", &part);
                html.markup("</section>");
            } else if part.id == "choices" {
                html.markup("<div hidden id=\"choices\" data-part></div>");
            } else {
                write_part(&mut html, "section", &part);
            }
        }
        end(&mut html);
        html.into_string()
    }
}

fn write_part(html: &mut Html, element: &'static str, part: &Part) {
    html.markup("<").markup(element).markup(" id=\"").markup(part.id).markup("\" data-part>");
    html.append(&part.html).markup("</").markup(element).markup(">");
}

/// Writes what stands before the parts. The view is told to the stream, which tells its parts.
fn begin(html: &mut Html, title: &dyn fmt::Display, now: Timestamp, view: &str) {
    html.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        .markup("<meta name=\"color-scheme\" content=\"light dark\"><title>")
        .text(title)
        .markup("</title><link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/style.css\">")
        .markup("<script src=\"/page.js\" defer></script></head><body data-now=\"")
        .text(now.millis())
        .markup("\" data-view=\"")
        .text(view)
        .markup("\"><a class=\"skip\" href=\"#main\">To the content</a><header><h1><a href=\"/\">Nodepool</a></h1>")
        .markup("<p id=\"live\" role=\"status\" aria-live=\"polite\">not live: reload to see news</p></header>");
}

fn end(html: &mut Html) {
    html.markup("</main><footer><p>nodepoold ")
        .text(env!("CARGO_PKG_VERSION"))
        .markup(" · times in UTC · the same as JSON: <a href=\"/api/v1/openapi.json\">/api/v1</a> · ")
        .markup("<a href=\"/metrics\">metrics</a></p></footer></body></html>\n");
}

/// Writes a moment. The script turns it into how long ago it was (`since`), or how long it is until then (`until`).
fn clock(html: &mut Html, at: Timestamp, direction: &'static str) {
    let moment = rfc3339(at);
    let seconds = moment.get(..19).unwrap_or(&moment).replace('T', " ");
    html.markup("<time data-clock=\"")
        .markup(direction)
        .markup("\" datetime=\"")
        .text(&moment)
        .markup("\">")
        .text(seconds)
        .markup("</time>");
}

/// The colour of a state's word.
fn colour(word: &str) -> &'static str {
    STATES.iter().find(|(state, _)| *state == word).map_or("", |(_, colour)| colour)
}

/// The heading of a part.
fn heading(html: &mut Html, title: &'static str) {
    html.markup("<h2>").markup(title).markup("</h2>");
}

/// Says how many more there are.
fn more(html: &mut Html, count: usize) {
    if count > 0 {
        html.markup("<p>").text(count).markup(" more are not shown here.</p>");
    }
}
