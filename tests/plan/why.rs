//! What `nodepool why` answers: each file of `tests/plan/why/` is a situation, what somebody asks about it, and the answer.
//!
//! The files are made as those of the plan; the second document is the causal chain. The test also names the true cause of
//! each situation, so that a rewritten golden file cannot lose it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nodepool::cli::PlanView;
use nodepool::cli::cause::Evidence;
use nodepool::plan::plan;
use nodepool::telemetry::LastTick;

use super::scenario::Scenario;
use super::situation::Situation;
use super::{SEPARATOR, difference, folder};

/// Each situation, and what the answer has to name.
const CAUSES: [(&str, &str); 15] = [
    ("quota", "alpha is at quota: cores 38 of 38"),
    (
        "breaker",
        "a launch failed at alpha, 5 in a row, tried again in 12 s: its server was not created: No valid host",
    ),
    (
        "flavor",
        "a launch with flavor large failed at alpha, 4 in a row, tried again in 6 s: its server is in ERROR: No valid",
    ),
    ("no-image", "alpha has no image ubuntu that nodes could boot from"),
    ("image-build-fails", "a build failed at alpha, 3 in a row, tried again in 35 s: setup: exit status 1"),
    ("target-down", "target first takes no nodes: first is about to shut down"),
    ("label-off", "it is switched off in the configuration (min-ready: -1)"),
    ("max-servers", "alpha is full: 5 of 5 servers (max-servers) are taken: 5 used"),
    ("held", "node 2 is held by jane until somebody ends it: look at the disk"),
    ("subnodes-too-large", "a node takes 6 servers, and max-servers of alpha is 4"),
    ("unknown-label", "label smal is not in the configuration; small is, which may be meant"),
    ("schedule", "spare nodes wanted 5 (schedule fri 04:00-04:47 Europe/Paris), ready 0"),
    ("node", "its server is in ERROR: No valid host was found"),
    ("provider", "its servers could not be listed: no answer within its deadline"),
    ("image", "image 1 is ready, 1 h 5 min old"),
];

#[test]
fn every_situation_has_its_true_cause() {
    let failures: Vec<String> = CAUSES.iter().filter_map(|(name, cause)| check(name, cause).err()).collect();
    let files = fs::read_dir(folder().join("why")).unwrap().count();
    assert!(
        failures.is_empty(),
        "If they are right: UPDATE_GOLDEN=1 cargo test --test plan\n\n{}",
        failures.join("\n\n")
    );
    assert_eq!(files, CAUSES.len(), "each file is a situation of the list");
}

fn check(name: &str, cause: &str) -> Result<(), String> {
    let file: PathBuf = folder().join("why").join(name).with_extension("yaml");
    let text = fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
    let (described, expected) = text.split_once(SEPARATOR).unwrap_or((&text, ""));
    let scenario: Scenario =
        serde_yaml::from_str(described).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let situation = Situation::new(&scenario, &folder()).map_err(|error| format!("{name}: {error}"))?;
    let seen = situation.observation();
    let made = plan(&situation.config, &seen);
    let last = LastTick { at: seen.now, plan: Arc::new(made), ..LastTick::default() };
    let view = PlanView::new(&last);
    let evidence = Evidence {
        config: &situation.config,
        nodes: &seen.nodes,
        images: &seen.images,
        setbacks: &seen.setbacks,
        plan: &view,
        now: seen.now,
    };
    let word = scenario.why.as_deref().ok_or_else(|| format!("{name} does not say why what"))?;
    let question = evidence.question(word).ok_or_else(|| format!("{name}: {word} is nothing"))?;
    let found = evidence.why(&question).text();
    let expected: String =
        expected.lines().flat_map(|line| [line.strip_prefix("  ").unwrap_or(line), "\n"]).collect();
    if expected != found && std::env::var_os("UPDATE_GOLDEN").is_some() {
        let indented = found.lines().flat_map(|line| ["  ", line, "\n"]).collect::<String>();
        fs::write(&file, format!("{described}{SEPARATOR}{indented}")).map_err(|error| error.to_string())?;
    } else if expected != found {
        return Err(format!("{name}\n{}", difference(&expected, &found)));
    }
    if found.contains(cause) {
        Ok(())
    } else {
        Err(format!("{name} does not name its cause, {cause}:\n{found}"))
    }
}
