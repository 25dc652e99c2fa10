//! The nodes: a form that chooses among them, and a page of those that were chosen.

use std::collections::BTreeSet;

use super::super::html::Html;
use super::table::{Cell, Table};
use super::{STATES, Shown, colour};
use crate::model::{Node, NodeStep};

/// The most nodes at once.
const PAGE: usize = 100;

const COLUMNS: [&str; 10] =
    ["ID", "State", "Since", "Label", "Provider", "Hostname", "IP", "Job", "Reason", "Server ID"];

impl Shown<'_> {
    /// A form that works without a script, too: it asks for the page again.
    pub(super) fn filter_form(&self, html: &mut Html) {
        let [state, label, provider] = self.filter.choices();
        html.markup("<form id=\"filter\" role=\"search\" method=\"get\" action=\"/#nodes\"><label>Search ")
            .markup("<input type=\"search\" name=\"q\" maxlength=\"200\" autocomplete=\"off\" ")
            .markup("placeholder=\"id, name, address, job, reason\" aria-keyshortcuts=\"/\" value=\"")
            .text(self.filter.words())
            .markup("\"></label>");
        let states = STATES.iter().map(|(word, _)| *word);
        select(html, ("State", "state"), state, &states.collect());
        let [labels, providers] = self.names();
        select(html, ("Label", "label"), label, &labels);
        select(html, ("Provider", "provider"), provider, &providers);
        html.markup("<button type=\"submit\">Show</button> <a href=\"/#nodes\" id=\"all\">all</a></form>");
    }

    /// The labels and the providers that there are to choose from: those of the configuration and those of rows.
    fn names(&self) -> [BTreeSet<&str>; 2] {
        let nodes = self.picture.nodes();
        let mut labels: BTreeSet<&str> = nodes.iter().map(|node| node.label.as_str()).collect();
        labels.extend(self.config.labels.iter().map(|label| label.name.as_str()));
        let mut providers: BTreeSet<&str> = nodes.iter().map(|node| node.provider.as_str()).collect();
        providers.extend(self.config.providers.iter().map(|provider| provider.name.as_str()));
        [labels, providers]
    }

    /// What can be chosen in the form, for the script to put there when it is something else than at the page's start: the form
    /// itself is left to who writes in it.
    pub(super) fn choices(&self, html: &mut Html) {
        let [labels, providers] = self.names();
        for (field, names) in [("label", labels), ("provider", providers)] {
            html.markup("<select data-field=\"").markup(field).markup("\">");
            options(html, "", &names);
            html.markup("</select>");
        }
    }

    pub(super) fn node_list(&self, html: &mut Html) {
        let mut nodes = self.filter.choose(self.picture.nodes());
        nodes.sort_by_key(|node| (&node.provider, &node.label, node.head(), node.id));
        let pages = nodes.len().div_ceil(PAGE).max(1);
        let page = self.filter.page().min(pages);
        let skipped = page.saturating_sub(1).saturating_mul(PAGE);
        html.markup("<p class=\"count\">").text(nodes.len()).markup(" of ");
        html.text(self.picture.nodes().len()).markup(" nodes");
        if pages > 1 {
            html.markup(", page ").text(page).markup(" of ").text(pages);
        }
        html.markup("</p>");
        let mut table = Table::new("Nodes", &COLUMNS);
        for node in nodes.iter().skip(skipped).take(PAGE) {
            table.row(row(node));
        }
        let none =
            if self.picture.nodes().is_empty() { "There are no nodes." } else { "No node is like that." };
        table.finish(html, none);
        if pages > 1 {
            html.markup("<nav class=\"pages\" aria-label=\"Pages of nodes\">");
            self.page_link(html, "Before", page.checked_sub(1).filter(|page| *page > 0));
            self.page_link(html, "Next", page.checked_add(1).filter(|page| *page <= pages));
            html.markup("</nav>");
        }
    }

    fn page_link(&self, html: &mut Html, name: &'static str, page: Option<usize>) {
        let Some(page) = page else {
            html.markup("<span>").markup(name).markup("</span>");
            return;
        };
        html.markup("<a id=\"page-").markup(name).markup("\" data-page href=\"/?");
        for (key, value) in self.filter.pairs() {
            html.markup(key).markup("=").url_part(&value).markup("&amp;");
        }
        html.markup("page=").text(page).markup("#nodes\">").markup(name).markup("</a>");
    }
}

fn row(node: &Node) -> [Cell<'_>; 10] {
    let word = node.state.word();
    let state = match node.state.step().map(NodeStep::word) {
        Some(step) => format!("{word} ({step})"),
        None => word.to_owned(),
    };
    [
        Cell::link("node", node.id.0),
        Cell::marked(state, colour(word)),
        Cell::Since(node.state_time),
        match node.primary {
            Some(primary) => Cell::text(format!("subnode {} of {primary}", node.subnode_index)),
            None => Cell::text(&node.label),
        },
        Cell::text(&node.provider),
        Cell::text(&node.hostname),
        Cell::maybe(node.ip.as_deref()),
        Cell::maybe(node.job.name.as_deref()),
        Cell::wide(match &node.comment {
            Some(comment) if !node.reason.contains(comment) => format!("{} ({comment})", node.reason),
            Some(_) | None => node.reason.clone(),
        }),
        Cell::maybe(node.server_id.as_deref()),
    ]
}

fn select(
    html: &mut Html,
    (title, name): (&'static str, &'static str),
    chosen: &str,
    values: &BTreeSet<&str>,
) {
    html.markup("<label>").markup(title).markup(" <select name=\"").markup(name).markup("\">");
    options(html, chosen, values);
    html.markup("</select></label>");
}

fn options(html: &mut Html, chosen: &str, values: &BTreeSet<&str>) {
    html.markup("<option value=\"\">all</option>");
    for value in values {
        html.markup("<option value=\"").text(value);
        html.markup(if *value == chosen { "\" selected>" } else { "\">" }).text(value).markup("</option>");
    }
}
