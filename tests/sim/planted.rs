//! The simulation can fail: each bug that is planted on purpose breaks a promise that it watches.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nodepool::planted::{Bug, plant};

/// In how many histories a bug has to be found.
const MOST_SEEDS: u64 = 500;

#[test]
fn each_planted_bug_is_found() {
    let missed: Vec<Bug> = super::in_parallel(Bug::ALL.into_iter(), |bug| {
        plant(Some(bug));
        let found = (1..=MOST_SEEDS).find_map(|seed| Some((seed, broken_by(seed)?)));
        plant(None);
        match found {
            Some((seed, how)) => println!("{bug:?}: found by seed {seed}: {how}"),
            None => return Some(bug),
        }
        None
    });
    assert!(missed.is_empty(), "in {MOST_SEEDS} histories nobody noticed {missed:?}");
}

/// What went wrong in a history, in one line.
fn broken_by(seed: u64) -> Option<String> {
    let ended = catch_unwind(AssertUnwindSafe(|| super::run(seed)));
    let broken = match ended {
        Ok(Ok(_)) => return None,
        Ok(Err(broken)) => broken,
        Err(_) => "it panicked".to_owned(),
    };
    broken.lines().next().map(str::to_owned)
}
