//! The simulation can fail: each bug that is planted on purpose breaks a promise that it watches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use nodepool::planted::{Bug, plant};

/// In how many histories a bug has to be found.
const MOST_SEEDS: u64 = 500;

#[test]
fn each_planted_bug_is_found() {
    let bugs = Arc::new(Mutex::new(Bug::ALL.into_iter()));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let bugs = Arc::clone(&bugs);
            std::thread::spawn(move || {
                let mut missed = Vec::new();
                loop {
                    let Some(bug) = bugs.lock().unwrap().next() else { return missed };
                    plant(Some(bug));
                    match (1..=MOST_SEEDS).find_map(|seed| Some((seed, broken_by(seed)?))) {
                        Some((seed, how)) => println!("{bug:?}: found by seed {seed}: {how}"),
                        None => missed.push(bug),
                    }
                    plant(None);
                }
            })
        })
        .collect();
    let missed: Vec<Bug> =
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect();
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
