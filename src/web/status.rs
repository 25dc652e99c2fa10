//! The status page: what there is, what should be, and why something is not done.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::health;
use super::html::Html;
use crate::cli::{Age, rfc3339};
use crate::config::Config;
use crate::model::{Image, ImageStep, Node, NodeStep, Timestamp};
use crate::plan::{BreakerState, Subject};
use crate::telemetry::{Breaker, LastTick};

/// The most rows of one table; the CLI shows all.
const MOST_ROWS: usize = 500;
/// nodepool v0's words for the states of a node, each with its colour.
const STATES: [(&str, &str); 6] = [
    ("building", "busy"),
    ("test", "busy"),
    ("ready", "good"),
    ("used", "busy"),
    ("hold", "kept"),
    ("delete", "away"),
];

/// Everything that the page shows.
pub(super) struct Shown<'a> {
    pub(super) config: &'a Config,
    pub(super) doubts: &'a [String],
    pub(super) nodes: &'a [Node],
    pub(super) images: &'a [Image],
    pub(super) last: &'a LastTick,
    pub(super) now: Timestamp,
}

/// A cell of a table.
enum Cell<'a> {
    Text(&'a str),
    Owned(String),
    Number(usize),
    /// A word in a colour.
    Marked(Cow<'a, str>, &'static str),
    /// Text that may be long.
    Wide(&'a str),
}

impl Shown<'_> {
    /// The page.
    pub(super) fn page(&self) -> String {
        let mut html = Html::default();
        html.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
            .markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
            .markup("<title>Nodepool</title><style>")
            .markup(include_str!("style.css"))
            .markup("</style></head><body>");
        self.head(&mut html);
        self.labels(&mut html);
        self.refusals(&mut html);
        self.breakers(&mut html);
        self.providers(&mut html);
        self.list_nodes(&mut html);
        self.list_images(&mut html);
        html.markup("</body></html>\n");
        html.into_string()
    }

    fn head(&self, html: &mut Html) {
        html.markup("<h1>Nodepool</h1><p>");
        let reasons = health::reasons(self.last, self.now, Ok(()));
        if reasons.is_empty() {
            html.markup("<span class=\"good\">At work</span>");
        }
        for reason in reasons {
            html.markup("<span class=\"bad\">Not at work: ").text(reason).markup("</span> ");
        }
        for doubt in self.doubts {
            html.markup("<span class=\"bad\">Warning: ").text(doubt).markup("</span> ");
        }
        html.markup(" · last look ");
        if self.last.at == Timestamp::default() {
            html.text("never");
        } else {
            html.text(rfc3339(self.last.at));
        }
        html.markup(" · version ").text(env!("CARGO_PKG_VERSION")).markup("</p>");
    }

    fn labels(&self, html: &mut Html) {
        let configured = self.config.labels.iter().map(|label| label.name.as_str());
        let mut names: Vec<&str> = configured.clone().collect();
        let known: BTreeSet<&str> = configured.collect();
        let others: BTreeSet<&str> = self
            .nodes
            .iter()
            .map(|node| node.label.as_str())
            .filter(|label| !known.contains(label))
            .collect();
        names.extend(others);
        let mut columns = vec!["Label", "Image", "min-ready"];
        columns.extend(STATES.map(|(word, _colour)| word));
        let rows = names.into_iter().map(|name| self.label(name));
        table(html, "Labels", &columns, rows, "There are no labels in the configuration.");
    }

    fn label<'s>(&'s self, name: &'s str) -> Vec<Cell<'s>> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| node.label == name && node.primary.is_none()) {
            let count = counts.entry(node.state.word()).or_default();
            *count = count.saturating_add(1);
        }
        let label = self.config.label(name);
        let wanted = match label.map(|label| label.min_ready) {
            None => Cell::Marked("not configured".into(), "away"),
            Some(None) => Cell::Marked("off".into(), "away"),
            Some(Some(wanted)) => Cell::Owned(wanted.to_string()),
        };
        let wanted_ready = label.and_then(|label| label.min_ready).map_or(0, |wanted| wanted as usize);
        let mut row = vec![Cell::Text(name), Cell::Text(label.map_or("", |label| &label.image)), wanted];
        for (word, _colour) in STATES {
            let count = counts.get(word).copied().unwrap_or_default();
            row.push(if word == "ready" && count < wanted_ready {
                Cell::Marked(format!("{count}, {} short", wanted_ready.saturating_sub(count)).into(), "bad")
            } else {
                Cell::Number(count)
            });
        }
        row
    }

    fn refusals(&self, html: &mut Html) {
        let subjects: Vec<String> =
            self.last.plan.refusals.iter().map(|refusal| About(&refusal.subject).to_string()).collect();
        let rows = self
            .last
            .plan
            .refusals
            .iter()
            .zip(&subjects)
            .map(|(refusal, subject)| vec![Cell::Text(subject), Cell::Wide(&refusal.reason.0)]);
        table(html, "What is not done, and why", &["About", "Reason"], rows, "Nothing is held up.");
    }

    fn breakers(&self, html: &mut Html) {
        let rows = self.last.breakers.iter().map(|Breaker { setback, state }| {
            let colour = if *state == BreakerState::Open { "bad" } else { "busy" };
            let failures = usize::try_from(setback.failures).unwrap_or(usize::MAX);
            vec![
                Cell::Text(setback.kind.word()),
                Cell::Text(&setback.provider),
                Cell::Text(&setback.name),
                Cell::Marked(state.word().into(), colour),
                Cell::Number(failures),
                Cell::Owned(rfc3339(setback.last)),
                Cell::Wide(&setback.reason),
            ]
        });
        let columns = ["Kind", "Provider", "Name", "Breaker", "Failures", "Last", "Reason"];
        table(html, "What keeps failing", &columns, rows, "Nothing keeps failing.");
    }

    fn providers(&self, html: &mut Html) {
        let rows = self.config.providers.iter().map(|provider| {
            let here = || self.nodes.iter().filter(|node| node.provider == provider.name);
            let subnodes = here().filter(|node| node.primary.is_some()).count();
            let nodes = here().count().saturating_sub(subnodes);
            let images = self.images.iter().filter(|image| image.provider == provider.name);
            let builders = images
                .map(|image| {
                    usize::from(image.server_id.is_some())
                        .saturating_add(usize::from(image.verify_server_id.is_some()))
                })
                .fold(0, usize::saturating_add);
            let most = match provider.max_servers {
                Some(most) => Cell::Owned(most.to_string()),
                None => Cell::Marked("drained".into(), "away"),
            };
            vec![
                Cell::Text(&provider.name),
                Cell::Number(nodes),
                Cell::Number(subnodes),
                Cell::Number(builders),
                most,
                Cell::Owned(self.quota(&provider.name)),
            ]
        });
        let columns = ["Provider", "Nodes", "Subnodes", "Builders", "max-servers", "Quota"];
        table(html, "Providers", &columns, rows, "There are no providers in the configuration.");
    }

    /// What the project has of what it may have, where there is a limit.
    fn quota(&self, provider: &str) -> String {
        let told = self.last.usage.get(provider).into_iter().flatten();
        let limited = told.filter_map(|(resource, usage)| {
            Some(format!("{} {} of {}", resource.title(), usage.used, usage.limit?))
        });
        limited.collect::<Vec<_>>().join(", ")
    }

    fn list_nodes(&self, html: &mut Html) {
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| (&node.provider, &node.label, node.head(), node.id));
        let columns = [
            "ID",
            "Provider",
            "Label",
            "Hostname",
            "Server ID",
            "IP",
            "State",
            "Step",
            "Age",
            "Comment",
            "Reason",
        ];
        let rows = nodes.into_iter().map(|node| {
            let word = node.state.word();
            let colour = STATES.iter().find(|(state, _)| *state == word).map_or("", |(_, colour)| colour);
            vec![
                Cell::Owned(node.id.to_string()),
                Cell::Text(&node.provider),
                match node.primary {
                    Some(primary) => Cell::Owned(format!("subnode {} of {primary}", node.subnode_index)),
                    None => Cell::Text(&node.label),
                },
                Cell::Text(&node.hostname),
                Cell::Text(node.server_id.as_deref().unwrap_or_default()),
                Cell::Text(node.ip.as_deref().unwrap_or_default()),
                Cell::Marked(word.into(), colour),
                Cell::Text(node.state.step().map_or("", NodeStep::word)),
                Cell::Owned(Age::Clock.text(self.now.since(node.state_time))),
                Cell::Wide(node.comment.as_deref().unwrap_or_default()),
                Cell::Wide(&node.reason),
            ]
        });
        table(html, "Nodes", &columns, rows, "There are no nodes.");
    }

    fn list_images(&self, html: &mut Html) {
        let mut images: Vec<&Image> = self.images.iter().collect();
        images.sort_by_key(|image| (&image.provider, &image.image, image.id));
        let columns = ["ID", "Provider", "Image", "Hostname", "Image ID", "State", "Step", "Age", "Reason"];
        let rows = images.into_iter().map(|image| {
            let word = image.state.word();
            let colour = STATES.iter().find(|(state, _)| *state == word).map_or("", |(_, colour)| colour);
            vec![
                Cell::Owned(image.id.to_string()),
                Cell::Text(&image.provider),
                Cell::Text(&image.image),
                Cell::Text(&image.hostname),
                Cell::Text(image.external_id.as_deref().unwrap_or_default()),
                Cell::Marked(word.into(), colour),
                Cell::Text(image.state.step().map_or("", ImageStep::word)),
                Cell::Owned(Age::Clock.text(self.now.since(image.state_time))),
                Cell::Wide(&image.reason),
            ]
        });
        table(html, "Images", &columns, rows, "There are no images.");
    }
}

/// What a refusal is about, in words.
struct About<'a>(&'a Subject);

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Subject::Node(id) => write!(f, "node {id}"),
            Subject::Image(id) => write!(f, "image {id}"),
            Subject::Label(name) => write!(f, "label {name}"),
            Subject::Provider(name) => write!(f, "provider {name}"),
            Subject::Target(name) => write!(f, "target {name}"),
            Subject::ProviderImage(provider, image) => write!(f, "image {image} of {provider}"),
        }
    }
}

fn table<'a>(
    html: &mut Html,
    title: &'static str,
    columns: &[&'static str],
    rows: impl Iterator<Item = Vec<Cell<'a>>>,
    none: &'static str,
) {
    html.markup("<h2>").markup(title).markup("</h2>");
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        html.markup("<p>").markup(none).markup("</p>");
        return;
    }
    html.markup("<div class=\"scroll\"><table><thead><tr>");
    for column in columns {
        html.markup("<th>").markup(column).markup("</th>");
    }
    html.markup("</tr></thead><tbody>");
    for row in rows.by_ref().take(MOST_ROWS) {
        html.markup("<tr>");
        for cell in row {
            cell.write(html);
        }
        html.markup("</tr>");
    }
    html.markup("</tbody></table></div>");
    let more = rows.count();
    if more > 0 {
        html.markup("<p>").text(more).markup(" more are not shown here.</p>");
    }
}

impl Cell<'_> {
    fn write(&self, html: &mut Html) {
        match self {
            Self::Text(text) => html.markup("<td>").text(text).markup("</td>"),
            Self::Owned(text) => html.markup("<td>").text(text).markup("</td>"),
            Self::Number(0) => html.markup("<td class=\"away\">0</td>"),
            Self::Number(number) => html.markup("<td>").text(number).markup("</td>"),
            Self::Marked(word, colour) => {
                html.markup("<td class=\"").markup(colour).markup("\">").text(word).markup("</td>")
            }
            Self::Wide("") => html.markup("<td></td>"),
            Self::Wide(text) => html.markup("<td class=\"wide\">").text(text).markup("</td>"),
        };
    }
}
