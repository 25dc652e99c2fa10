//! Jenkins' own queue as a source of demand: the jobs that wait for a node of one of our labels.
//!
//! What counts is an item that could start on a node of the label at once if there were one. To which label it belongs is
//! told in two places. Why it waits, in words, names a label, or the label's only agent; the job's label expression is
//! told of jobs that have one. Items that count nowhere: those without a label, which never run on our exclusive agents; those that
//! wait for one named agent, or for something else than an agent; and those that are about to start.
//!
//! **No job counts twice.** A job of Gearman is counted at the Gearman server while it waits there and while it runs. The
//! Gearman plugin takes it only when a node is free for it, and puts it into this queue bound to that very agent, with the
//! parameters of Zuul and an action of its own: any of the three tells it apart from a job that was queued here.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::connection::{Call, Connection};
use super::expression::matches;
use super::lenient::{entries, lenient, lenient_list};
use super::transport::Reading;
use crate::target::{Demand, DemandError, DemandSource};

/// The most that is read of a queue: some hundred thousand items.
const QUEUE_LIMIT: usize = 32 << 20;

/// What is asked of each item. Parameters may be secret: only their names are asked for.
const ITEMS: &str = "items[why,buildable,pending,actions[parameters[name]],task[labelExpression]]";

/// A controller's queue.
pub struct JenkinsQueue {
    connection: Arc<Connection>,
    labels: Vec<String>,
}

#[derive(Deserialize)]
struct Queue {
    #[serde(deserialize_with = "entries")]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default, deserialize_with = "lenient")]
    why: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    buildable: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pending: Option<bool>,
    #[serde(default, deserialize_with = "lenient_list")]
    actions: Vec<Action>,
    #[serde(default, deserialize_with = "lenient")]
    task: Option<Task>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "_class", default, deserialize_with = "lenient")]
    class: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
}

#[derive(Deserialize)]
struct Task {
    #[serde(rename = "labelExpression", default, deserialize_with = "lenient")]
    label: Option<String>,
}

/// What an item waits for, as far as the reason tells.
#[derive(Debug, PartialEq, Eq)]
enum Waits<'a> {
    /// A label with no agent that is free.
    Label(&'a str),
    /// A label, or an agent: the only one of its label, or the only one that will do.
    LabelOrAgent(&'a str),
    /// An agent, of which it is not told which.
    Unnamed,
    /// Something else.
    Other,
}

impl JenkinsQueue {
    pub(super) const fn new(connection: Arc<Connection>, labels: Vec<String>) -> Self {
        Self { connection, labels }
    }
}

#[async_trait]
impl DemandSource for JenkinsQueue {
    async fn ask(&self) -> Result<Demand, DemandError> {
        let call = Call::get(&["queue", "api", "json"]).query("tree", ITEMS);
        let call = call.reading(Reading::Whole(QUEUE_LIMIT));
        let queue: Queue =
            self.connection.read(&call).await.map_err(|error| DemandError::Unknown(error.to_string()))?;
        Ok(Demand { jobs: BTreeMap::new(), waiting: waiting(&queue.items, &self.labels) })
    }
}

/// How many items wait for each label.
fn waiting(items: &[Item], labels: &[String]) -> BTreeMap<String, u32> {
    let mut waiting: BTreeMap<String, u32> = BTreeMap::new();
    for label in items.iter().filter_map(|item| item.label(labels)) {
        let count = waiting.entry(label.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
    waiting
}

impl Item {
    /// The label that a node must have for this item to start; the first of ours where several will do.
    fn label<'a>(&self, labels: &'a [String]) -> Option<&'a str> {
        if self.buildable == Some(false) || self.pending == Some(true) || self.is_of_gearman() {
            return None;
        }
        let expression = match waits(self.why.as_deref().unwrap_or_default()) {
            Waits::Label(label) => label,
            Waits::LabelOrAgent(name) if labels.iter().any(|label| matches(name, label)) => name,
            // A job that is bound to an agent by name has that name for its expression, which is no label of ours.
            Waits::LabelOrAgent(_) | Waits::Unnamed => self.task.as_ref()?.label.as_deref()?,
            Waits::Other => return None,
        };
        labels.iter().map(String::as_str).find(|label| matches(expression, label))
    }

    fn is_of_gearman(&self) -> bool {
        self.actions.iter().any(|action| {
            action.class.as_ref().is_some_and(|class| class.starts_with("hudson.plugins.gearman."))
                || action.parameters.iter().any(|parameter| parameter.name == "ZUUL_UUID")
        })
    }
}

/// Reads why an item waits. Jenkins says several reasons with semicolons between them; one that names a label is the best.
fn waits(why: &str) -> Waits<'_> {
    let mut reasons = why.split("; ").filter_map(reason);
    let first = reasons.next().unwrap_or(Waits::Other);
    let is_label = |reason: &Waits<'_>| matches!(reason, Waits::Label(_));
    if is_label(&first) { first } else { reasons.find(is_label).unwrap_or(first) }
}

/// Reads one reason; `None` when it is about something else.
fn reason(text: &str) -> Option<Waits<'_>> {
    const ANY: &str = "Waiting for next available executor";
    let text = text.trim();
    let offline = text.strip_suffix(" is offline").or_else(|| text.strip_suffix(" are offline"));
    if let Some(label) = offline.and_then(|text| text.strip_prefix("All nodes of label ")) {
        return Some(Waits::Label(bare(label)));
    }
    if let Some(label) = text.strip_prefix("There are no nodes with the label ") {
        return Some(Waits::Label(bare(label)));
    }
    if let Some((_, label)) = text.split_once(" have label ") {
        return Some(Waits::Label(bare(label)));
    }
    if let Some(name) = text.strip_prefix(ANY) {
        let name = name.strip_prefix(" on ").map(bare);
        return Some(name.map_or(Waits::Unnamed, Waits::LabelOrAgent));
    }
    if let Some(agent) = offline {
        return Some(Waits::LabelOrAgent(bare(agent)));
    }
    text.contains(" is reserved for jobs with matching label").then_some(Waits::Unnamed)
}

/// A name without the quotes that newer versions put around it.
fn bare(name: &str) -> &str {
    name.trim().trim_start_matches(['\u{2018}', '\'']).trim_end_matches(['\u{2019}', '\''])
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let labels = ["ci".to_owned(), "ci-arm".to_owned()];
    std::hint::black_box(
        serde_json::from_slice::<Queue>(body).map(|queue| waiting(&queue.items, &labels)).ok(),
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counted(items: &serde_json::Value) -> BTreeMap<String, u32> {
        let queue: Queue = serde_json::from_value(json!({ "items": items })).unwrap();
        waiting(&queue.items, &["ci".to_owned(), "ci-arm".to_owned()])
    }

    #[test]
    fn an_item_counts_for_the_label_that_it_waits_for() {
        for why in [
            "Waiting for next available executor on ‘ci’",
            "Waiting for next available executor on ci",
            "All nodes of label ‘ci’ are offline",
            "There are no nodes with the label ‘ci’",
            "‘built-in’ is reserved for jobs with matching label expression; ‘n1’ doesn’t have label ‘ci’",
            "There are no nodes with the label ‘ci||docker’",
            "Waiting for next available executor on ‘docker || ci’",
        ] {
            assert_eq!(
                counted(&json!([{ "why": why, "buildable": true }])),
                BTreeMap::from([("ci".to_owned(), 1)]),
                "{why}"
            );
        }
    }

    #[test]
    fn the_only_agent_of_a_label_stands_for_it_where_the_job_tells_its_label() {
        for why in [
            "Waiting for next available executor on ‘n1’",
            "‘n1’ is offline",
            "Waiting for next available executor",
        ] {
            let of = |label: &serde_json::Value| {
                counted(&json!([{ "why": why, "task": { "labelExpression": label } }]))
            };
            assert_eq!(of(&json!("ci-arm && !ci")), BTreeMap::from([("ci-arm".to_owned(), 1)]), "{why}");
            for none in [json!(null), json!("n1"), json!("docker"), json!(7)] {
                assert_eq!(of(&none), BTreeMap::new(), "{why}: {none}");
            }
        }
    }

    #[test]
    fn what_gearman_put_there_is_not_counted_again() {
        let item = |actions: &serde_json::Value| {
            counted(&json!([{ "why": "Waiting for next available executor on ‘n1’", "actions": actions,
                "task": { "labelExpression": "ci" } }]))
        };
        assert_eq!(item(&json!([{}, { "_class": "hudson.model.CauseAction" }])).len(), 1);
        assert_eq!(item(&json!([{}, { "_class": "hudson.plugins.gearman.NodeParametersAction" }])).len(), 0);
        assert_eq!(item(&json!([{ "parameters": [{ "name": 1 }, { "name": "ZUUL_UUID" }] }])).len(), 0);
    }

    #[test]
    fn what_waits_for_no_node_is_not_counted_and_oddness_costs_its_item_alone() {
        let ci = "There are no nodes with the label ‘ci’";
        let items = json!([
            { "why": "In the quiet period. Expires in 4.2 sec", "buildable": false, "task": { "labelExpression": "ci" } },
            { "why": "Jenkins is about to shut down", "task": { "labelExpression": "ci" } },
            { "why": "Build #7 is already in progress (ETA: 4 sec)", "task": { "labelExpression": "ci" } },
            { "why": ci, "buildable": false },
            { "why": ci, "pending": true },
            { "why": "There are no nodes with the label ‘other’" },
            { "why": null }, { "why": 7, "task": [] }, null, "item", {},
            { "why": ci, "actions": "none", "task": 1, "pending": null },
            { "why": ci },
        ]);
        assert_eq!(counted(&items), BTreeMap::from([("ci".to_owned(), 2)]));
    }
}
