//! Why something is as it is: the causal chain, in plain words, from rows, setbacks and the last plan. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::plan_view::{PlanView, RefusalView};
use super::suggest;
use crate::config::{Config, Label};
use crate::model::{Image, ImageState, Node, NodeId, NodeState, Setback, SetbackKind, Timestamp};
use crate::plan::backoff;

/// Everything that reasons are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The rows of nodes.
    pub nodes: &'a [Node],
    /// The rows of images.
    pub images: &'a [Image],
    /// What failed and nothing has succeeded since.
    pub setbacks: &'a [Setback],
    /// The last plan; empty when nobody told.
    pub plan: &'a PlanView,
    /// Now.
    pub now: Timestamp,
}

/// What somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A label, known or only asked for by jobs.
    Label(String),
    /// A provider.
    Provider(String),
    /// An image, by its name in the configuration.
    Image(String),
    /// A node.
    Node(NodeId),
}

/// A statement, and what is behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Each line with how deep in the chain it stands.
    pub lines: Vec<(usize, String)>,
}

impl Chain {
    fn say(&mut self, depth: usize, text: impl Into<String>) {
        let line = (depth, text.into());
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    /// The chain as text, a line each, indented.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (depth, line) in &self.lines {
            text.push_str(&"  ".repeat(*depth));
            text.push_str(&super::table::one_line(line));
            text.push('\n');
        }
        text
    }
}

impl Evidence<'_> {
    /// What a word is about: a node's number, or a name of a label, an image or a provider, in this order.
    pub fn question(&self, word: &str) -> Option<Question> {
        if let Ok(number) = word.parse() {
            return Some(Question::Node(NodeId(number)));
        }
        let label = self.config.label(word).is_some() || self.plan.unknown_demand.contains_key(word);
        let image = self.config.providers.iter().any(|provider| provider.image(word).is_some());
        let of_rows = self.nodes.iter().any(|node| node.label == word);
        if label || (of_rows && !image) {
            return Some(Question::Label(word.to_owned()));
        }
        if image || self.images.iter().any(|row| row.image == word) {
            return Some(Question::Image(word.to_owned()));
        }
        let provider =
            self.config.provider(word).is_some() || self.nodes.iter().any(|node| node.provider == word);
        provider.then(|| Question::Provider(word.to_owned()))
    }

    /// The names that can be asked about.
    pub fn names(&self) -> BTreeSet<&str> {
        let labels = self.config.labels.iter().map(|label| label.name.as_str());
        let providers = self.config.providers.iter().map(|provider| provider.name.as_str());
        let images = self.config.providers.iter().flat_map(|provider| &provider.images);
        let unknown = self.plan.unknown_demand.keys().map(String::as_str);
        labels.chain(providers).chain(images.map(|image| image.name.as_str())).chain(unknown).collect()
    }

    /// Why it is as it is.
    pub fn why(&self, question: &Question) -> Chain {
        let mut chain = Chain::default();
        match question {
            Question::Label(name) => match self.config.label(name) {
                Some(label) => self.label(label, &mut chain),
                None => self.unknown_label(name, &mut chain),
            },
            Question::Provider(name) => self.provider(name, &mut chain),
            Question::Image(name) => self.image(name, &mut chain),
            Question::Node(id) => self.node(*id, &mut chain),
        }
        chain
    }

    fn unknown_label(&self, name: &str, chain: &mut Chain) {
        let jobs = self.plan.unknown_demand.get(name).copied().unwrap_or(0);
        if jobs > 0 {
            chain.say(0, format!("{jobs} jobs ask for label {name}, and nobody makes nodes for them"));
        } else {
            chain.say(0, format!("there is no label {name}"));
        }
        let known = self.config.labels.iter().map(|label| label.name.as_str());
        let meant = suggest::nearest(name, known.clone());
        let meant = meant.map_or_else(String::new, |meant| format!("; {meant} is, which may be meant"));
        chain.say(1, format!("label {name} is not in the configuration{meant}"));
        let here = self.nodes.iter().filter(|node| node.label == name).count();
        if here > 0 {
            chain.say(1, format!("{here} nodes of it are left from when it was"));
        }
    }

    fn label(&self, label: &Label, chain: &mut Chain) {
        let name = &label.name;
        let told = self.plan.labels.get(name).cloned().unwrap_or_default();
        let rows = || self.nodes.iter().filter(|node| node.label == *name && node.primary.is_none());
        let in_state = |state: &str| rows().filter(|node| node.state.word() == state).count();
        let (held, going) = (in_state("hold"), in_state("delete"));
        let mut there = format!("ready {}, building {}, busy {}", told.ready, told.building, told.busy);
        for (count, word) in [(held, "held"), (going, "going")] {
            if count > 0 {
                there = format!("{there}, {word} {count}");
            }
        }
        let Some(spares) = told.spares.filter(|_| label.min_ready.is_some()) else {
            chain.say(0, format!("label {name}: demand {}, {there}", told.jobs));
            chain.say(
                1,
                "it is switched off in the configuration (min-ready: -1), so no nodes are made for it",
            );
            return;
        };
        let missing = told.missing;
        let by = told.spares_by.as_ref().map_or_else(String::new, |by| format!(" ({by})"));
        chain.say(
            0,
            format!(
                "label {name}: demand {}, spare nodes wanted {spares}{by}, {there}; missing {missing}",
                told.jobs
            ),
        );
        if missing == 0 {
            chain.say(1, "nothing is missing: what is wanted is there or on its way");
        }
        for refusal in self.refusals(|about| about.label.as_deref() == Some(name)) {
            chain.say(1, refusal.reason.clone());
        }
        for (target, why) in &self.plan.targets {
            if let Some(why) = why {
                chain.say(2, format!("target {target} takes no nodes: {why}"));
            }
        }
        for provider in &label.providers {
            if missing > 0 {
                self.full(provider, 1, chain);
                if self.ready_image(provider, &label.image).is_none() {
                    self.image_at(provider, &label.image, 1, chain);
                }
            }
            self.setbacks_at(provider, 1, chain, |setback| match setback.kind {
                SetbackKind::Launch => setback.name == *name,
                SetbackKind::Capacity | SetbackKind::Zone | SetbackKind::Provider => true,
                // Which flavor a label takes the cloud knows; where it matters a refusal says so.
                SetbackKind::Image | SetbackKind::Target | SetbackKind::Snapshot | SetbackKind::Flavor => {
                    false
                }
            });
        }
        for node in rows().filter(|node| matches!(node.state, NodeState::Building(_))) {
            self.progress(node, 1, chain);
        }
    }

    fn provider(&self, name: &str, chain: &mut Chain) {
        let told = self.plan.providers.get(name);
        match (told, told.and_then(|told| told.max_servers)) {
            (None, _) => {
                chain.say(0, format!("provider {name} is not in the configuration that is in force"));
            }
            (Some(told), None) => {
                chain.say(
                    0,
                    format!("provider {name}: {} servers; it is drained (max-servers: -1)", told.servers),
                );
            }
            (Some(told), Some(most)) => {
                chain.say(0, format!("provider {name}: {} of at most {most} servers", told.servers));
            }
        }
        self.full(name, 1, chain);
        for quota in told.into_iter().flat_map(|told| &told.quota) {
            if let Some(limit) = quota.limit {
                let used = quota.used;
                let full = if used >= limit { ": the project is at its quota" } else { "" };
                chain.say(1, format!("{} {used} of {limit}{full}", quota.resource));
            }
        }
        for refusal in self.refusals(|about| about.provider.as_deref() == Some(name)) {
            chain.say(1, format!("{}: {}", refusal.about, refusal.reason));
        }
        let labels = self.config.labels.iter().filter(|label| label.providers.iter().any(|one| one == name));
        for label in labels {
            let about_it = |refusal: &&RefusalView| mentions(&refusal.reason, name);
            for refusal in self.refusals(|about| about.label.as_deref() == Some(&label.name)).filter(about_it)
            {
                chain.say(1, format!("label {}: {}", label.name, refusal.reason));
            }
        }
        self.setbacks_at(name, 1, chain, |_| true);
        if chain.lines.len() == 1 {
            chain.say(1, "nothing holds it up");
        }
    }

    fn image(&self, name: &str, chain: &mut Chain) {
        chain.say(0, format!("image {name}"));
        for provider in self.config.providers.iter().filter(|provider| provider.image(name).is_some()) {
            self.image_at(&provider.name, name, 1, chain);
        }
        let known = |row: &&Image| self.config.provider(&row.provider).is_none();
        for row in self.images.iter().filter(|row| row.image == name).filter(known) {
            chain.say(
                1,
                format!("image {} is at {}, which is not in the configuration", row.id, row.provider),
            );
        }
    }

    /// What nodes boot from at a provider.
    fn ready_image(&self, provider: &str, name: &str) -> Option<&Image> {
        let rows = self.images.iter().filter(|row| row.provider == provider && row.image == name);
        rows.filter(|row| row.state == ImageState::Ready).max_by_key(|row| (row.version, row.id))
    }

    /// What nodes boot from at a provider, and what is being done about it.
    fn image_at(&self, provider: &str, name: &str, depth: usize, chain: &mut Chain) {
        let rows = || self.images.iter().filter(|row| row.provider == provider && row.image == name);
        let ready =
            rows().filter(|row| row.state == ImageState::Ready).max_by_key(|row| (row.version, row.id));
        match ready {
            Some(row) => {
                let age = span(self.now.since(row.created));
                chain.say(depth, format!("{provider}: image {} is ready, {age} old", row.id));
            }
            None => chain.say(depth, format!("{provider} has no image {name} that nodes could boot from")),
        }
        let deeper = depth.saturating_add(1);
        for row in rows().filter(|row| matches!(row.state, ImageState::Building(_))) {
            let since = span(self.now.since(row.state_time));
            chain.say(
                deeper,
                format!("image {} is being built: {} for {since}: {}", row.id, row.state, row.reason),
            );
        }
        for row in rows() {
            for refusal in self.refusals(|about| about.image_id == Some(row.id.0)) {
                chain.say(deeper, format!("image {}: {}", row.id, refusal.reason));
            }
        }
        let here = |about: &super::plan_view::About| {
            about.provider.as_deref() == Some(provider) && about.image.as_deref() == Some(name)
        };
        for refusal in self.refusals(here) {
            chain.say(deeper, refusal.reason.clone());
        }
        self.setbacks_at(provider, deeper, chain, |setback| {
            setback.kind == SetbackKind::Image && setback.name == name
        });
    }

    fn node(&self, id: NodeId, chain: &mut Chain) {
        let Some(node) = self.nodes.iter().find(|node| node.id == id) else {
            chain.say(0, format!("there is no node {id} any more, if there ever was"));
            chain.say(1, format!("nodepool history {id} tells what happened to it"));
            return;
        };
        let since = span(self.now.since(node.state_time));
        let title = node.title();
        chain.say(
            0,
            format!(
                "{title} of label {} at {} has been in state {} for {since}",
                node.label, node.provider, node.state
            ),
        );
        chain.say(1, node.reason.clone());
        if node.state == NodeState::Hold {
            chain.say(1, hold_in_words(node, self.now));
        }
        if let Some(job) = &node.job.name {
            chain.say(1, format!("job {job} runs on it or ran on it"));
        }
        self.progress(node, 1, chain);
        if node.state == NodeState::Delete || node.state.step().is_some() {
            self.setbacks_at(&node.provider, 1, chain, |setback| {
                setback.kind != SetbackKind::Image && (setback.name.is_empty() || setback.name == node.label)
            });
        }
    }

    /// What the last plan says of a node.
    fn progress(&self, node: &Node, depth: usize, chain: &mut Chain) {
        let since = span(self.now.since(node.state_time));
        for refusal in self.refusals(|about| about.node == Some(node.id.0)) {
            chain.say(depth, format!("{} ({} for {since}): {}", node.title(), node.state, refusal.reason));
        }
    }

    /// Who takes the places of a provider that has none left.
    fn full(&self, provider: &str, depth: usize, chain: &mut Chain) {
        let Some(told) = self.plan.providers.get(provider) else { return };
        let Some(most) = told.max_servers.filter(|most| told.servers >= *most) else { return };
        let here = || self.nodes.iter().filter(|node| node.provider == provider);
        let mut by_state: BTreeMap<&str, usize> = BTreeMap::new();
        for node in here() {
            let count = by_state.entry(node.state.word()).or_default();
            *count = count.saturating_add(1);
        }
        let mut parts: Vec<String> =
            by_state.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let builds = self.images.iter().filter(|image| image.provider == provider);
        let builds =
            builds.filter(|image| image.server_id.is_some() || image.verify_server_id.is_some()).count();
        if builds > 0 {
            parts.push(format!("{builds} of image builds"));
        }
        let parts = parts.join(", ");
        chain.say(
            depth,
            format!(
                "{provider} is full: {} of {most} servers (max-servers) are taken: {parts}",
                told.servers
            ),
        );
        for node in here().filter(|node| node.state == NodeState::Hold) {
            chain.say(
                depth.saturating_add(1),
                format!("{} is {}", node.title(), hold_in_words(node, self.now)),
            );
        }
    }

    fn setbacks_at(&self, provider: &str, depth: usize, chain: &mut Chain, about: impl Fn(&Setback) -> bool) {
        let here = self.setbacks.iter().filter(|setback| setback.provider == provider);
        for setback in here.filter(|setback| about(setback)) {
            let again = setback.last.plus(backoff(setback.kind, setback.failures));
            let when = match again.since(self.now) {
                Duration::ZERO => "it is tried again at the next look".to_owned(),
                wait => format!("left alone for {} more", span(wait)),
            };
            let what = match setback.kind {
                SetbackKind::Image => format!("builds of image {}", setback.name),
                SetbackKind::Launch => format!("launches of {}", setback.name),
                SetbackKind::Capacity => "calls for servers".to_owned(),
                SetbackKind::Zone => format!("zone {}", setback.name),
                SetbackKind::Target => "enrollments".to_owned(),
                SetbackKind::Provider => "launches of whatever label".to_owned(),
                SetbackKind::Snapshot => format!("launches from image {}", setback.name),
                SetbackKind::Flavor => format!("servers of flavor {}", setback.name),
            };
            let (times, reason) = (setback.failures, &setback.reason);
            if chain.lines.iter().any(|(_, line)| line.contains("in a row") && line.contains(reason)) {
                // A refusal said so already.
                continue;
            }
            chain.say(depth, format!("{what} at {provider} failed {times} in a row, {when}: {reason}"));
        }
    }

    fn refusals(
        &self,
        about: impl Fn(&super::plan_view::About) -> bool,
    ) -> impl Iterator<Item = &RefusalView> {
        self.plan.refusals.iter().filter(move |refusal| about(&refusal.about))
    }
}

/// Whether a text has this name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let mut words = text.split(|letter: char| letter.is_whitespace() || ",;:()".contains(letter));
    words.any(|word| word == name)
}

fn hold_in_words(node: &Node, now: Timestamp) -> String {
    let by = node.held_by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
    let until = match node.held_until {
        Some(until) => format!(" for {} more", span(until.since(now))),
        None => " until somebody ends it".to_owned(),
    };
    let why = node.comment.as_deref().map_or_else(String::new, |why| format!(": {why}"));
    format!("held{by}{until}{why}")
}

/// A time span, in its two largest units.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, 0) => format!("{minutes} min"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}
