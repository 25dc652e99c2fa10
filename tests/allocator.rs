//! How room is shared: the results of nodepool v0, where it was right.
//!
//! `tests/data/allocator-scenarios.json` has the scenarios of nodepool 0.3.1's own tests and some more that were put to
//! its allocator, each with what it answered. All of the former have to come out the same. Of the latter the list
//! [`VERDICTS`] says one by one where v0 was right, and where it was wrong and what is granted instead.
//!
//! `ALLOCATOR_SCENARIOS=FILE cargo test --test allocator` also runs the scenarios of another file in that format.

#[path = "allocator/laws.rs"]
mod laws;
#[path = "allocator/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nodepool::model::Timestamp;
use nodepool::plan::Waiting;
use nodepool::plan::shares::{Free, Grant, Request, share, spread};
use table::{Allocation, Derived, Kind, Round, Suite, Table};

/// What is to be said of a scenario that is not from v0's own tests.
enum Verdict {
    /// v0 was right.
    Right,
    /// v0 was wrong: why, and what is granted instead, in each round, as `label amount@provider`.
    Wrong(&'static str, &'static [&'static str]),
}

use Verdict::{Right, Wrong};

/// Case by case.
const VERDICTS: [(&str, Verdict); 13] = [
    ("half_is_rounded_away_from_zero", Right),
    ("nothing_free", Right),
    ("proportional_capacity", Right),
    (
        "subnodes_overallocate",
        Wrong("three sets of 3 servers were granted where 3 servers fit", &["multi 1@provider1"]),
    ),
    (
        "subnodes_between_labels",
        Wrong(
            "4 sets of 3 servers were granted where 7 servers fit, and none was left for the other label; now each \
             label gets its part of the servers",
            &["multi 2@provider1, single 1@provider1"],
        ),
    ),
    ("subnodes_within_capacity", Right),
    ("targets_over_two_providers", Right),
    ("three_providers", Right),
    ("three_targets", Right),
    ("two_targets_even", Right),
    ("two_targets_rebalance", Right),
    ("waiting_share_is_cut_off", Right),
    // The grants of its rounds were right. What v0 remembered afterwards was not, see
    // `a_label_that_asks_for_nothing_does_not_come_to_wait`.
    ("zero_request_counts_as_waiting", Right),
];

#[test]
fn the_results_are_those_of_nodepool_v0() {
    let table = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/allocator-scenarios.json"));
    let suites: usize = table.suites.iter().map(|suite| suite.scenarios.len()).sum();
    assert_eq!((suites, table.derived.len()), (23, VERDICTS.len()), "the table lost scenarios");
    assert_eq!(complaints(&table), Vec::<String>::new());
}

#[test]
fn another_table_can_be_run() {
    let Some(file) = std::env::var_os("ALLOCATOR_SCENARIOS").map(PathBuf::from) else { return };
    let table = read(&file);
    let count = table.suites.iter().map(|suite| suite.scenarios.len()).sum::<usize>() + table.derived.len();
    assert!(count > 0, "{} has no scenarios", file.display());
    let found = complaints(&table);
    assert!(found.is_empty(), "{} of {count} differ:\n{}", found.len(), found.join("\n"));
    println!("{count} scenarios of {} give their results", file.display());
}

#[test]
fn a_label_that_asks_for_nothing_does_not_come_to_wait() {
    let mut history = History::default();
    for _ in 0..2 {
        let idle = [request("idle", 0, 1, &["p"]), request("busy", 5, 1, &["p"])];
        assert_eq!(written(&history.round(&idle, &[("p", 1)]).grants), "busy 1@p");
    }
    // v0 gave the only place to `idle` now, as if it had been refused two times.
    let both = [request("idle", 1, 1, &["p"]), request("busy", 5, 1, &["p"])];
    assert_eq!(written(&history.round(&both, &[("p", 1)]).grants), "busy 1@p");
    // From here on it waits, and so it comes next.
    assert_eq!(written(&history.round(&both, &[("p", 1)]).grants), "idle 1@p");
}

#[test]
fn a_set_that_waits_keeps_room_until_it_fits() {
    let mut history = History::default();
    let both = [request("single", 9, 1, &["p"]), request("set", 1, 3, &["p"])];
    let free = |servers| [("p", servers)];
    assert_eq!(written(&history.round(&both, &free(1)).grants), "single 1@p", "nobody has waited yet");
    assert_eq!(written(&history.round(&both, &free(1)).grants), "", "the first place is kept");
    assert_eq!(written(&history.round(&both, &free(2)).grants), "", "the second one, too");
    assert_eq!(written(&history.round(&both, &free(3)).grants), "set 1@p");
}

#[test]
fn a_table_that_differs_is_complained_about() {
    let text = r#"{"suites": [{"name": "S", "kind": "counts", "topology": {"l": ["p"]}, "grant_order": [["l", "p"]],
        "scenarios": [{"name": "c", "labels": {"l": 2}, "providers": {"p": 9}, "expected": [1]}]}],
        "derived": [{"name": "d", "providers": [["p", 1]], "labels": [{"name": "l", "providers": ["p"],
        "request": 1, "subnodes": 0, "targets": [["t", 0]]}], "rounds": [{"grants": [], "allocations": [],
        "left_available": {"p": 1}}]}]}"#;
    assert_eq!(complaints(&serde_json::from_str(text).unwrap()).len(), 2);
}

fn read(file: &Path) -> Table {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// What does not come out as the table says.
fn complaints(table: &Table) -> Vec<String> {
    let of_suites = table.suites.iter().flat_map(|suite| {
        suite.scenarios.iter().filter_map(|scenario| {
            let found = table::in_suite(suite, scenario);
            let found = found.and_then(|(requests, room)| check_suite(suite, scenario, &requests, &room));
            found.err().map(|complaint| format!("{} {}: {complaint}", suite.name, scenario.name))
        })
    });
    let of_derived = table.derived.iter().filter_map(|scenario| {
        check_derived(scenario).err().map(|complaint| format!("{}: {complaint}", scenario.name))
    });
    of_suites.chain(of_derived).collect()
}

fn check_suite(
    suite: &Suite,
    scenario: &table::Scenario,
    requests: &[Request],
    room: &[(&str, u32)],
) -> Result<(), String> {
    let mut history = History::default();
    let rounds: Vec<Round> = (0..suite.rounds.unwrap_or(1)).map(|_| history.round(requests, room)).collect();
    match suite.kind {
        Kind::Counts => {
            let round = rounds.first().ok_or("it has no rounds")?;
            let order = suite.grant_order.iter().flatten();
            let found: Vec<u32> =
                order.map(|(label, provider)| amount(&round.grants, label, provider)).collect();
            same(&scenario.amounts()?, &found)?;
            scenario.left_available.as_ref().map_or(Ok(()), |left| same(left, &round.left_available))
        }
        Kind::Sequence => {
            let expected = scenario.names()?;
            let grants = rounds.iter().flat_map(|round| &round.grants).map(|grant| grant.label.clone());
            same(&expected, &grants.take(expected.len()).collect())?;
            let Some(executed) = &scenario.executed_rounds else { return Ok(()) };
            same(executed, &rounds.into_iter().map(|round| round.grants).collect())
        }
    }
}

fn check_derived(scenario: &Derived) -> Result<(), String> {
    let room: Vec<(&str, u32)> = scenario.room();
    let mut history = History::default();
    let found: Vec<Round> = (0..scenario.rounds.len())
        .map(|at| {
            let mut round = history.round(&scenario.requests(at), &room);
            round.allocations = spread_grants(&round.grants, scenario.targets());
            round
        })
        .collect();
    let expected: Vec<Round> = scenario.rounds.iter().map(Round::without_nothing).collect();
    match VERDICTS.iter().find(|(name, _)| *name == scenario.name).map(|(_, verdict)| verdict) {
        Some(Wrong(why, instead)) => {
            let written: Vec<String> = found.iter().map(|round| written(&round.grants)).collect();
            if expected == found {
                return Err(format!("it agrees with v0 although {why}"));
            }
            same(&instead.iter().map(|&text| text.to_owned()).collect(), &written)
        }
        None if expected != found && scenario.shows_a_defect() => laws::check_rounds(scenario, &found),
        Some(Right) | None => same(&expected, &found),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(expected: &T, found: &T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("expected {expected:?}\n  found {found:?}")) }
}

/// Rounds that follow each other: each one knows who got nothing in those before.
#[derive(Default)]
struct History {
    waiting: Waiting,
    rounds: i64,
}

impl History {
    fn round(&mut self, requests: &[Request], room: &[(&str, u32)]) -> Round {
        self.rounds += 1;
        let now = Timestamp::from_seconds(self.rounds);
        let requests: Vec<Request> = requests
            .iter()
            .map(|request| Request { waited: self.waiting.waited(&request.label, now), ..request.clone() })
            .collect();
        let mut free: Vec<Free> = room.iter().map(|(name, servers)| Free::new(name, *servers)).collect();
        let grants = share(&requests, &mut free);
        self.waiting = self.waiting.after(now, &requests, &grants);
        let left = free.iter().map(|free| (free.provider.clone(), i64::from(free.servers)));
        let grants = grants.into_iter().map(|grant| table::Grant {
            amount: grant.amount,
            label: grant.label,
            provider: grant.provider,
        });
        Round { grants: grants.collect(), allocations: Vec::new(), left_available: left.collect() }
    }
}

/// Each grant over the targets of its label, as the plan does it.
fn spread_grants(
    grants: &[table::Grant],
    mut targets: BTreeMap<String, Vec<(String, u32)>>,
) -> Vec<Allocation> {
    let mut allocations = Vec::new();
    for grant in grants {
        let targets = targets.get_mut(&grant.label).expect("each label has targets");
        let mut there: Vec<u32> = targets.iter().map(|(_, there)| *there).collect();
        for (at, amount) in spread(grant.amount, &mut there).into_iter().enumerate() {
            targets[at].1 = there[at];
            if amount > 0 {
                let (label, provider) = (grant.label.clone(), grant.provider.clone());
                allocations.push(Allocation { label, provider, target: targets[at].0.clone(), amount });
            }
        }
    }
    allocations.sort();
    allocations
}

fn amount(grants: &[table::Grant], label: &str, provider: &str) -> u32 {
    let same = grants.iter().filter(|grant| grant.label == label && grant.provider == provider);
    same.map(|grant| grant.amount).sum()
}

fn written(grants: &[table::Grant]) -> String {
    let texts = grants.iter().map(|grant| format!("{} {}@{}", grant.label, grant.amount, grant.provider));
    texts.collect::<Vec<_>>().join(", ")
}

fn request(label: &str, amount: u32, servers: u32, providers: &[&str]) -> Request {
    let providers = providers.iter().map(|&name| name.to_owned()).collect();
    Request { label: label.to_owned(), amount, servers, providers, waited: 0 }
}

/// All grants of a label.
fn granted(grants: &[Grant], label: &str) -> u32 {
    grants.iter().filter(|grant| grant.label == label).map(|grant| grant.amount).sum()
}
