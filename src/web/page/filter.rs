//! Which nodes are shown, as the query of the page's address says it: so a choice can be kept as a bookmark.

use serde::Deserialize;

use crate::model::Node;

/// The most letters and the most words that are searched for.
const MOST_LETTERS: usize = 200;
const MOST_WORDS: usize = 10;

/// Which nodes are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in super::super) struct Filter {
    /// Words that all have to occur somewhere in what is known of the node.
    q: String,
    /// A state's word; empty for all.
    state: String,
    /// A label; empty for all.
    label: String,
    /// A provider; empty for all.
    provider: String,
    /// Which page of them, from 1.
    page: Option<u32>,
}

impl Filter {
    /// What was searched for.
    pub(super) fn words(&self) -> String {
        self.q.chars().take(MOST_LETTERS).collect()
    }

    /// The state, the label and the provider that were chosen; each is empty where nothing was.
    pub(super) fn choices(&self) -> [&str; 3] {
        [&self.state, &self.label, &self.provider]
    }

    /// Which page, from 1.
    pub(super) fn page(&self) -> usize {
        self.page.map_or(1, |page| page.max(1) as usize)
    }

    /// What the query says beside the page.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let [state, label, provider] = self.choices().map(str::to_owned);
        let pairs = [("q", self.words()), ("state", state), ("label", label), ("provider", provider)];
        pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The nodes that it chooses.
    pub(super) fn choose<'n>(&self, nodes: &'n [Node]) -> Vec<&'n Node> {
        let words = self.words().to_lowercase();
        let words: Vec<&str> = words.split_whitespace().take(MOST_WORDS).collect();
        let [state, label, provider] = self.choices();
        let fits = |choice: &str, value: &str| choice.is_empty() || choice == value;
        let chosen = nodes.iter().filter(|node| {
            fits(state, node.state.word())
                && fits(label, &node.label)
                && fits(provider, &node.provider)
                && (words.is_empty() || finds(node, &words))
        });
        chosen.collect()
    }
}

/// Whether each word occurs in what is known of the node. What is searched for is in lower case.
fn finds(node: &Node, words: &[&str]) -> bool {
    let id = node.id.to_string();
    let known = [
        Some(id.as_str()),
        Some(&node.hostname),
        Some(&node.label),
        Some(&node.provider),
        Some(&node.target),
        Some(node.state.word()),
        Some(&node.reason),
        node.server_id.as_deref(),
        node.ip.as_deref(),
        node.az.as_deref(),
        node.comment.as_deref(),
        node.held_by.as_deref(),
        node.job.name.as_deref(),
    ];
    let known: Vec<String> = known.into_iter().flatten().map(str::to_lowercase).collect();
    words.iter().all(|word| known.iter().any(|text| text.contains(word)))
}
