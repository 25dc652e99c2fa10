//! What a target showed us, and how sure that is.

use std::collections::BTreeMap;

use super::view::Listing;
use crate::model::{Agent, Timestamp};

/// What one target showed us.
#[derive(Clone, Debug, Default)]
pub struct TargetView {
    /// Whether it can list its agents at all. One that cannot is believed on its word.
    pub lists: bool,
    /// Its agents, by name.
    pub agents: Listing<Agent>,
    /// Whether it is about to shut down and takes no new agents.
    pub quieting_down: bool,
    /// Since when it can be read without a break; `None` while it cannot.
    pub readable_since: Option<Timestamp>,
    /// Since when it cannot be read; `None` while it can, and before the first try.
    pub unreadable_since: Option<Timestamp>,
    /// Since when each agent was shown without a break as offline and without a job.
    pub lost_since: BTreeMap<String, Timestamp>,
    /// Since when each agent was shown without a break as online and without a job.
    pub idle_since: BTreeMap<String, Timestamp>,
}

impl TargetView {
    /// Of a target that lists its agents, or of one that cannot.
    pub fn new(lists: bool) -> Self {
        Self { lists, ..Self::default() }
    }

    /// Takes in a listing: all agents, and whether the target is about to shut down.
    pub fn take_agents(&mut self, began: Timestamp, agents: Vec<Agent>, quieting_down: bool) {
        let free = |online: bool| {
            let free = agents.iter().filter(move |agent| agent.idle && agent.online == online);
            free.map(|agent| agent.name.clone())
        };
        self.lost_since = since(&self.lost_since, free(false), began);
        self.idle_since = since(&self.idle_since, free(true), began);
        self.quieting_down = quieting_down;
        self.readable_since.get_or_insert(began);
        self.unreadable_since = None;
        self.agents.replace(began, agents.into_iter().map(|agent| (agent.name.clone(), agent)).collect());
    }

    /// Takes in that a listing failed.
    pub fn failed(&mut self, now: Timestamp, trouble: String) {
        self.readable_since = None;
        self.unreadable_since.get_or_insert(now);
        self.agents.failed(trouble);
    }

    /// Why nothing is known of its agents now, if so.
    pub(super) fn obstacle(&self, target: &str) -> Option<String> {
        match (self.lists, &self.agents.trouble, self.agents.complete) {
            (false, _, _) | (true, None, Some(_)) => None,
            (true, Some(trouble), _) => {
                Some(format!("the agents of {target} could not be listed: {trouble}"))
            }
            (true, None, None) => Some(format!("the agents of {target} were not listed yet")),
        }
    }

    /// Why no new node can be offered here now, if so.
    pub(super) fn closed(&self, target: &str) -> Option<String> {
        self.obstacle(target).or_else(|| {
            self.quieting_down.then(|| format!("{target} is about to shut down and takes no nodes"))
        })
    }
}

/// Keeps the moments of those that are still so, and begins to count for those that are so now.
fn since(
    before: &BTreeMap<String, Timestamp>,
    now: impl Iterator<Item = String>,
    began: Timestamp,
) -> BTreeMap<String, Timestamp> {
    now.map(|name| {
        let since = before.get(&name).copied().unwrap_or(began);
        (name, since)
    })
    .collect()
}
