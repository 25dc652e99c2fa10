//! What is decided, and why: each file of `tests/plan/` is a situation and the plan that follows from it.
//!
//! A file has two YAML documents. The first describes the situation, see [`scenario`]; times in it are seconds before the
//! moment of the plan. The second is the plan as text: what is done, what is not done and why, and when to look again.
//! `UPDATE_GOLDEN=1 cargo test --test plan` writes the second document; whoever does that reads the difference.

#[path = "plan/answers.rs"]
mod answers;
#[path = "plan/deadlines.rs"]
mod deadlines;
#[path = "plan/errands.rs"]
mod errands;
#[path = "plan/laws.rs"]
mod laws;
#[path = "plan/quota.rs"]
mod quota;
#[path = "plan/rendered.rs"]
mod rendered;
#[path = "plan/scenario.rs"]
mod scenario;
#[path = "plan/situation.rs"]
mod situation;
#[path = "plan/targets.rs"]
mod targets;
#[path = "plan/why.rs"]
mod why;

use std::fs;
use std::path::{Path, PathBuf};

use nodepool::plan::plan;

use scenario::Scenario;
use situation::Situation;

/// What stands between the situation and the plan.
const SEPARATOR: &str = "--- |\n";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plan")
}

#[test]
fn every_situation_gives_its_plan() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 35, "only {} scenarios were found", files.len());
    let failures: Vec<String> = files.iter().filter_map(|file| check(file).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} plans are not as expected. If they are right: UPDATE_GOLDEN=1 cargo test --test plan\n\n{}",
        failures.len(),
        files.len(),
        failures.join("\n\n")
    );
}

#[test]
fn every_answer_has_its_consequences() {
    let file = folder().join("answers.txt");
    let found = answers::table();
    let expected = fs::read_to_string(&file).unwrap_or_default();
    if expected == found {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return fs::write(&file, found).unwrap();
    }
    panic!(
        "what follows from answers is not as expected. If it is right: UPDATE_GOLDEN=1 cargo test --test plan\n{}",
        difference(&expected, &found)
    );
}

/// Makes the plan of one file, looks whether it keeps the laws of every plan, and compares it with what is expected.
fn check(file: &Path) -> Result<(), String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let (described, expected) = text.split_once(SEPARATOR).unwrap_or((&text, ""));
    let scenario: Scenario =
        serde_yaml::from_str(described).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let situation = Situation::new(&scenario, &folder()).map_err(|error| format!("{name}: {error}"))?;
    let seen = situation.observation();
    let made = plan(&situation.config, &seen);
    let again = plan(&situation.config, &situation.observation());
    if made != again {
        return Err(format!("{name}: the same situation gave two plans"));
    }
    let broken = laws::broken(&seen, &made);
    if !broken.is_empty() {
        return Err(format!("{name} breaks the laws of every plan:\n{}", broken.join("\n")));
    }
    let expected: Vec<&str> = expected.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    let expected = expected.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    let found = rendered::plan(&seen, &made);
    if expected == found {
        return Ok(());
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let indented = found.lines().flat_map(|line| ["  ", line, "\n"]).collect::<String>();
        return fs::write(file, format!("{described}{SEPARATOR}{indented}"))
            .map_err(|error| format!("{name}: {error}"));
    }
    Err(format!("{name}\n{}", difference(&expected, &found)))
}

/// The lines of both, with a mark before those that only one has.
fn difference(expected: &str, found: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("  - {line}"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("  + {line}"));
    let lines: Vec<String> = gone.chain(come).collect();
    if lines.is_empty() { format!("  the order differs:\n{found}") } else { lines.join("\n") }
}
