//! The page of one node or one image: what is known of it, and everything that happened to it.

use super::super::html::Html;
use super::{Part, begin, clock, colour, end, heading, write_part};
use crate::cli::rfc3339;
use crate::model::{Image, Node, Timestamp};
use crate::store::{FailedTry, HistoryLine};

/// Whose story it is.
pub(in super::super) enum Whose {
    /// A node that is there.
    Node(Box<Node>),
    /// An image that is there.
    Image(Box<Image>),
    /// One that is gone.
    Gone(&'static str, i64),
}

/// What is told of one node or image.
pub(in super::super) struct Story {
    pub(in super::super) whose: Whose,
    pub(in super::super) lines: Vec<HistoryLine>,
    pub(in super::super) failed: Vec<FailedTry>,
}

impl Story {
    /// The parts of the page.
    pub(in super::super) fn parts(&self) -> Vec<Part> {
        let mut facts = Html::default();
        self.facts(&mut facts);
        let mut timeline = Html::default();
        self.timeline(&mut timeline);
        vec![Part { id: "facts", html: facts }, Part { id: "timeline", html: timeline }]
    }

    /// The page.
    pub(in super::super) fn page(&self, now: Timestamp) -> String {
        let (folder, id) = self.name();
        let mut html = Html::default();
        begin(&mut html, &format!("{folder} {id} - Nodepool"), now, &format!("{folder}/{id}"));
        html.markup("<main id=\"main\"><p><a href=\"/\">The pool</a></p>");
        for part in self.parts() {
            write_part(&mut html, "section", &part);
        }
        end(&mut html);
        html.into_string()
    }

    fn name(&self) -> (&'static str, i64) {
        match &self.whose {
            Whose::Node(node) => ("node", node.id.0),
            Whose::Image(image) => ("image", image.id.0),
            Whose::Gone(folder, id) => (folder, *id),
        }
    }

    fn facts(&self, html: &mut Html) {
        let (folder, id) = self.name();
        html.markup("<h2>")
            .markup(if folder == "node" { "Node " } else { "Image " })
            .text(id)
            .markup("</h2>");
        match &self.whose {
            Whose::Node(node) => node_facts(html, node),
            Whose::Image(image) => image_facts(html, image),
            Whose::Gone(..) => {
                html.markup("<p>It is gone.</p>");
                if let Some(last) = self.lines.last() {
                    gone_facts(html, last);
                }
            }
        }
    }

    fn timeline(&self, html: &mut Html) {
        heading(html, "Timeline");
        html.markup("<ol class=\"timeline\">");
        // What the reader wants to know first is what happened last.
        for line in self.lines.iter().rev() {
            let note = &line.note;
            let word = note.to.split(' ').next().unwrap_or_default();
            html.markup("<li class=\"").markup(colour(word)).markup("\"><p>");
            exact(html, note.at);
            html.markup(" <strong>").text(&note.event).markup("</strong> ");
            if note.from != note.to {
                html.text(&note.from).markup(" → ").text(&note.to);
            }
            html.markup("</p><p class=\"reason\">").text(&note.reason).markup("</p>");
            let failed = self.failed.iter();
            for failed in failed.filter(|failed| failed.at == note.at && failed.message == note.reason) {
                evidence(html, failed);
            }
            html.markup("</li>");
        }
        html.markup("</ol>");
        if self.lines.is_empty() {
            html.markup("<p>Nothing is known of it any more.</p>");
        }
    }
}

/// A moment to the millisecond: what matters here is how long each step took.
fn exact(html: &mut Html, at: Timestamp) {
    let moment = rfc3339(at);
    let shown = moment.trim_end_matches('Z').replace('T', " ");
    html.markup("<time datetime=\"").text(&moment).markup("\">").text(shown).markup("</time>");
}

fn evidence(html: &mut Html, failed: &FailedTry) {
    html.markup("<p>Failed at step ").text(&failed.step).markup(" after ");
    html.text(failed.waited.as_secs()).markup(" s");
    if let Some(deadline) = failed.deadline {
        html.markup(" of at most ").text(deadline.as_secs()).markup(" s");
    }
    html.markup("</p>");
    for (title, text) in
        [("The end of its console", &failed.console), ("The end of what ran on it", &failed.output)]
    {
        let Some(text) = text else { continue };
        html.markup("<details><summary>").markup(title).markup("</summary><pre tabindex=\"0\">");
        for line in text.lines() {
            html.text(line).markup("\n");
        }
        html.markup("</pre></details>");
    }
}

fn fact(html: &mut Html, name: &'static str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        html.markup("<div><dt>").markup(name).markup("</dt><dd>").text(value).markup("</dd></div>");
    }
}

fn moment(html: &mut Html, name: &'static str, at: Option<Timestamp>, direction: &'static str) {
    if let Some(at) = at {
        html.markup("<div><dt>").markup(name).markup("</dt><dd>");
        clock(html, at, direction);
        html.markup("</dd></div>");
    }
}

/// What its history still knows.
fn gone_facts(html: &mut Html, last: &HistoryLine) {
    html.markup("<dl class=\"facts\">");
    fact(html, "Provider", Some(&last.provider));
    fact(html, "Hostname", Some(&last.hostname));
    moment(html, "Gone", Some(last.note.at), "since");
    html.markup("</dl>");
}

fn node_facts(html: &mut Html, node: &Node) {
    html.markup("<dl class=\"facts\">");
    fact(html, "State", Some(&node.state.to_string()));
    moment(html, "Since", Some(node.state_time), "since");
    fact(html, "Reason", Some(&node.reason));
    moment(html, "Made", Some(node.created), "since");
    for (name, value) in [
        ("Label", Some(node.label.as_str())),
        ("Provider", Some(&node.provider)),
        ("Zone", node.az.as_deref()),
        ("Target", Some(&node.target)),
        ("Hostname", Some(&node.hostname)),
        ("Image", Some(&node.image)),
        ("Server", node.server_id.as_deref()),
        ("Address", node.ip.as_deref()),
        ("Private address", node.ip_private.as_deref()),
        ("Job", node.job.name.as_deref()),
        ("Taken by", node.agent.manager.as_deref()),
        ("Held by", node.held_by.as_deref()),
        ("Held for job", node.held_for.as_deref()),
        ("Comment", node.comment.as_deref()),
    ] {
        fact(html, name, value);
    }
    moment(html, "Job since", node.job.started, "since");
    moment(html, "Hold ends", node.held_until, "until");
    for (name, folder, id) in [
        ("Snapshot", "image", node.image_id.map(|id| id.0)),
        ("Subnode of", "node", node.primary.map(|id| id.0)),
    ] {
        let Some(id) = id else { continue };
        html.markup("<div><dt>").markup(name).markup("</dt><dd><a href=\"/").markup(folder).markup("/");
        html.text(id).markup("\">").text(id).markup("</a></dd></div>");
    }
    html.markup("</dl>");
}

fn image_facts(html: &mut Html, image: &Image) {
    html.markup("<dl class=\"facts\">");
    fact(html, "State", Some(&image.state.to_string()));
    moment(html, "Since", Some(image.state_time), "since");
    fact(html, "Reason", Some(&image.reason));
    moment(html, "Begun", Some(image.created), "since");
    fact(html, "Provider", Some(&image.provider));
    fact(html, "Image", Some(&image.image));
    fact(html, "Hostname", Some(&image.hostname));
    fact(html, "Zone", image.az.as_deref());
    fact(html, "Snapshot", image.external_id.as_deref());
    fact(html, "Builder", image.server_id.as_deref());
    fact(html, "Verifying server", image.verify_server_id.as_deref());
    fact(html, "Nodes that became ready from it", Some(&image.nodes_ready.to_string()));
    html.markup("</dl>");
}
