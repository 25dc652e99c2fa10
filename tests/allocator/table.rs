//! How the table of scenarios is written. Whatever else is in such a file is not looked at.

use std::collections::BTreeMap;

use nodepool::plan::shares::Request;
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Table {
    #[serde(default)]
    pub suites: Vec<Suite>,
    #[serde(default)]
    pub derived: Vec<Derived>,
}

/// Scenarios of one shape: the same labels at the same providers.
#[derive(Deserialize)]
pub struct Suite {
    pub name: String,
    pub kind: Kind,
    /// The providers of each label.
    pub topology: BTreeMap<String, Vec<String>>,
    /// The order in which the labels are given to the allocator.
    pub attach_order: Option<Vec<String>>,
    /// What the expected amounts are of: a label at a provider each.
    pub grant_order: Option<Vec<(String, String)>>,
    pub rounds: Option<usize>,
    pub scenarios: Vec<Scenario>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One round; amounts are expected.
    Counts,
    /// Several rounds; a sequence of labels is expected.
    Sequence,
}

#[derive(Deserialize)]
pub struct Scenario {
    pub name: String,
    labels: BTreeMap<String, u32>,
    providers: BTreeMap<String, i64>,
    expected: Vec<serde_json::Value>,
    /// What v0 granted in each round.
    pub executed_rounds: Option<Vec<Vec<Grant>>>,
    pub left_available: Option<BTreeMap<String, i64>>,
}

/// A scenario that is not from v0's own tests.
#[derive(Deserialize)]
pub struct Derived {
    pub name: String,
    labels: Vec<Label>,
    providers: Vec<(String, i64)>,
    /// What v0 did.
    pub rounds: Vec<Round>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
    providers: Vec<String>,
    request: Amounts,
    subnodes: u32,
    targets: Vec<(String, u32)>,
}

/// What a label asks for: the same in each round, or not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amounts {
    Always(u32),
    InEachRound(Vec<u32>),
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Round {
    pub grants: Vec<Grant>,
    #[serde(default)]
    pub allocations: Vec<Allocation>,
    pub left_available: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Grant {
    pub label: String,
    pub provider: String,
    pub amount: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allocation {
    pub label: String,
    pub provider: String,
    pub target: String,
    pub amount: u32,
}

impl Scenario {
    pub fn amounts(&self) -> Result<Vec<u32>, String> {
        let amounts = self.expected.iter().map(|value| value.as_u64().and_then(|n| u32::try_from(n).ok()));
        amounts.collect::<Option<_>>().ok_or_else(|| "amounts were expected".to_owned())
    }

    pub fn names(&self) -> Result<Vec<String>, String> {
        let names = self.expected.iter().map(|value| value.as_str().map(str::to_owned));
        names.collect::<Option<_>>().ok_or_else(|| "labels were expected".to_owned())
    }
}

/// What labels ask for, and the room at each provider.
pub type Question<'a> = (Vec<Request>, Vec<(&'a str, u32)>);

/// The question of a scenario, with the labels in the order in which v0's tests gave them.
pub fn in_suite<'a>(suite: &'a Suite, scenario: &'a Scenario) -> Result<Question<'a>, String> {
    let mut labels: Vec<&String> = suite.topology.keys().collect();
    match &suite.attach_order {
        Some(order) => labels.sort_by_key(|label| order.iter().position(|known| known == *label)),
        // Those of v0's tests that have labels of both kinds give those first that only one provider serves.
        None => labels.sort_by_key(|label| suite.topology[*label].len()),
    }
    let requests = labels.into_iter().map(|label| {
        let amount = *scenario.labels.get(label).ok_or_else(|| format!("it has no amount for {label}"))?;
        let providers = suite.topology[label].clone();
        Ok(Request { label: label.clone(), amount, servers: 1, providers, waited: 0 })
    });
    let room = scenario.providers.iter().map(|(name, free)| (name.as_str(), clamped(*free)));
    Ok((requests.collect::<Result<_, String>>()?, room.collect()))
}

impl Derived {
    /// What the labels ask for in a round.
    pub fn requests(&self, round: usize) -> Vec<Request> {
        let requests = self.labels.iter().map(|label| Request {
            label: label.name.clone(),
            amount: label.request.in_round(round),
            servers: 1 + label.subnodes,
            providers: label.providers.clone(),
            waited: 0,
        });
        requests.collect()
    }

    pub fn room(&self) -> Vec<(&str, u32)> {
        self.providers.iter().map(|(name, free)| (name.as_str(), clamped(*free))).collect()
    }

    /// The targets of each label, and how many nodes it has there.
    pub fn targets(&self) -> BTreeMap<String, Vec<(String, u32)>> {
        self.labels.iter().map(|label| (label.name.clone(), label.targets.clone())).collect()
    }

    /// Whether it is of a kind that v0 did wrong: nodes of several servers, or labels that ask for nothing and are
    /// remembered as waiting.
    pub fn shows_a_defect(&self) -> bool {
        let idle = |label: &Label| (0..self.rounds.len()).any(|round| label.request.in_round(round) == 0);
        self.labels.iter().any(|label| label.subnodes > 0 || idle(label))
    }
}

impl Amounts {
    fn in_round(&self, round: usize) -> u32 {
        match self {
            Self::Always(amount) => *amount,
            Self::InEachRound(amounts) => amounts.get(round).copied().unwrap_or(0),
        }
    }
}

impl Round {
    /// In one order, and without allocations of nothing.
    pub fn without_nothing(&self) -> Self {
        let mut allocations: Vec<Allocation> =
            self.allocations.iter().filter(|allocation| allocation.amount > 0).cloned().collect();
        allocations.sort();
        Self { allocations, ..self.clone() }
    }
}

/// A provider that has more servers than it may has no room, not less than none.
fn clamped(free: i64) -> u32 {
    u32::try_from(free.max(0)).expect("a table has small numbers")
}
