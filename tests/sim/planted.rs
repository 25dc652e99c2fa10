//! The simulation can fail: each bug that is planted on purpose breaks a promise that it watches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use nodepool::planted::{Bug, plant};

/// In how many histories a bug has to be found.
const MOST_SEEDS: u64 = 500;

#[test]
fn each_planted_bug_is_found() {
    let missed: Vec<Bug> = Bug::ALL
        .into_iter()
        .filter(|bug| match found(*bug) {
            Some((seed, how)) => {
                println!("{bug:?}: found by seed {seed}: {how}");
                false
            }
            None => true,
        })
        .collect();
    assert!(missed.is_empty(), "in {MOST_SEEDS} histories nobody noticed {missed:?}");
}

/// The history that a bug breaks, and how; the first one of those that several workers came upon at once.
fn found(bug: Bug) -> Option<(u64, String)> {
    let is_found = AtomicBool::new(false);
    let broken = super::in_parallel(1..=MOST_SEEDS, |seed| {
        if is_found.load(Ordering::Relaxed) {
            return None;
        }
        plant(Some(bug));
        let broken = broken_by(seed, &is_found);
        plant(None);
        is_found.fetch_or(broken.is_some(), Ordering::Relaxed);
        Some((seed, broken?))
    });
    broken.into_iter().min()
}

/// What went wrong in a history, in one line.
fn broken_by(seed: u64, is_found: &AtomicBool) -> Option<String> {
    let ended = catch_unwind(AssertUnwindSafe(|| super::run_unless(seed, super::LONG_TROUBLED, is_found)));
    let broken = match ended {
        Ok(Ok(_)) => return None,
        Ok(Err(broken)) => broken,
        Err(_) => "it panicked".to_owned(),
    };
    broken.lines().next().map(str::to_owned)
}
