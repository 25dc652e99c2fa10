//! Who asks for nodes and has got none, and since when: whoever has waited longest is served first.
//!
//! A label that asks for nothing does not wait. In nodepool v0 it did, so that after an idle night its first request
//! went before those of labels that had jobs waiting all the time.

use std::collections::BTreeMap;

use super::shares::{Grant, Request};
use crate::model::Timestamp;

/// Who waits. Jobs and watermarks wait apart: whoever lacks a spare node all night has not waited with a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Labels whose jobs have got no node.
    pub jobs: Waiting,
    /// Labels that lack spare nodes and have got none.
    pub spares: Waiting,
}

/// The labels that ask in vain, each with the moment since when. It holds no other labels than those that the last plan
/// knew. Nothing depends on it but the order among those that ask, so it may be forgotten at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    since: BTreeMap<String, Timestamp>,
}

impl Waiting {
    /// For how many milliseconds a label has asked in vain; 0 if it does not wait.
    pub fn waited(&self, label: &str, now: Timestamp) -> u64 {
        let since = self.since.get(label);
        since.map_or(0, |since| u64::try_from(now.since(*since).as_millis()).unwrap_or(u64::MAX))
    }

    /// Since when a label has asked in vain; `None` if it does not wait.
    pub fn since(&self, label: &str) -> Option<Timestamp> {
        self.since.get(label).copied()
    }

    /// The labels that wait, and since when.
    pub fn labels(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.since.iter().map(|(label, since)| (label.as_str(), *since))
    }

    /// Who waits after these grants: whoever asked for something and got nothing at all.
    #[must_use]
    pub fn after(&self, now: Timestamp, requests: &[Request], grants: &[Grant]) -> Self {
        let in_vain = requests
            .iter()
            .filter(|request| request.amount > 0 && !grants.iter().any(|grant| grant.label == request.label));
        let since = |label: &String| self.since.get(label).copied().unwrap_or(now);
        Self { since: in_vain.map(|request| (request.label.clone(), since(&request.label))).collect() }
    }
}

impl<'a> FromIterator<(&'a str, Timestamp)> for Waiting {
    fn from_iter<I: IntoIterator<Item = (&'a str, Timestamp)>>(labels: I) -> Self {
        Self { since: labels.into_iter().map(|(label, since)| (label.to_owned(), since)).collect() }
    }
}
