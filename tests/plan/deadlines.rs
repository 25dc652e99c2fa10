//! Each state has a deadline: whatever the world does not do, a row does not wait for it for ever.
//!
//! A row is put into a state that it came to a month ago, with clouds and targets that can be read and show nothing new.
//! The plan then has to do something about that row itself; to look once more and to say that it waits is not enough.

use nodepool::model::{ImageState, ImageStep, NodeState, NodeStep};
use nodepool::plan::{Action, Errand, Observation, Plan, plan};

use super::folder;
use super::scenario::Scenario;
use super::situation::Situation;

const LONG: u64 = 30 * 24 * 3600;

/// Which rows there are, and what is shown of them.
fn decided(rows: &str) -> (Situation, Plan) {
    let text = format!("about: a row that has waited for a month\n{rows}");
    let scenario: Scenario = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let situation = Situation::new(&scenario, &folder()).unwrap();
    let made = plan(&situation.config, &situation.observation());
    (situation, made)
}

/// Whether the plan does something about node 1.
fn acts_on_node(plan: &Plan) -> bool {
    plan.actions.iter().any(|planned| match &planned.action {
        Action::Node { row, .. } | Action::NodeFacts { row } | Action::WarnOfHoldEnd { row } => row.id.0 == 1,
        Action::Send(errand) => !errand.is_listing() && errand.node().is_some_and(|id| id.0 == 1),
        _ => false,
    })
}

/// Whether the plan does something about image 1.
fn acts_on_image(seen: &Observation<'_>, plan: &Plan) -> bool {
    plan.actions.iter().any(|planned| match &planned.action {
        Action::Image { row, .. } | Action::ImageFacts { row } => row.id.0 == 1,
        Action::Send(Errand::DeleteSnapshot { id, .. }) => {
            seen.images.iter().any(|row| row.external_id.as_ref() == Some(id))
        }
        Action::Send(errand) => errand.image().is_some_and(|id| id.0 == 1),
        _ => false,
    })
}

#[test]
fn a_node_waits_in_no_state_for_ever() {
    let image = "images: [{id: 1, state: ready, snapshot: i1}]";
    let cases = [
        (NodeState::Building(NodeStep::Create), "server: null", ""),
        (NodeState::Building(NodeStep::Create), "asked: 2592000", ""),
        (NodeState::Building(NodeStep::Boot), "server: s1, shown: BUILD, asked: 2592000", ""),
        (NodeState::Building(NodeStep::Boot), "server: s1, shown: SHUTOFF, asked: 2592000", ""),
        (NodeState::Building(NodeStep::Boot), "server: s1, asked: 2592000", ""),
        (
            NodeState::Building(NodeStep::Address),
            "server: s1, shown: ACTIVE, address: none, asked: 2592000",
            "",
        ),
        (NodeState::Building(NodeStep::Ssh), "server: s1, shown: ACTIVE, asked: 2592000", ""),
        (
            NodeState::Building(NodeStep::Enroll),
            "server: s1, shown: ACTIVE, asked: 2592000, enrolled: 2592000",
            "targets: {jenkins: {listed: [100, 10]}}",
        ),
        (
            NodeState::Building(NodeStep::Enroll),
            "server: s1, shown: ACTIVE, asked: 2592000, enrolled: 2592000, agent: offline",
            "targets: {jenkins: {listed: [2591999, 10]}}",
        ),
        (
            NodeState::Building(NodeStep::Enroll),
            "server: s1, shown: ACTIVE, asked: 2592000, enroll_asked: 2592000",
            "targets: {jenkins: {kind: gearman, listed: [2591999, 10]}}",
        ),
        (
            NodeState::Test,
            "server: s1, shown: ACTIVE, asked: 2592000, enrolled: 2592000, agent: busy",
            "targets: {jenkins: {test_job: check, listed: [2591999, 10]}}",
        ),
        (
            NodeState::Ready,
            "server: s1, shown: ACTIVE, asked: 2592000, enrolled: 2592000, agent: lost",
            "targets: {jenkins: {listed: [2591999, 10]}}",
        ),
        (
            NodeState::Used,
            "server: s1, shown: ACTIVE, asked: 2592000, enrolled: 2592000, job: build, job_ended: 60",
            "targets: {jenkins: {listed: [2591999, 10]}}",
        ),
        (NodeState::Hold, "server: s1, shown: ACTIVE, asked: 2592000, until: 0", ""),
        (NodeState::Delete, "server: s1, shown: ACTIVE, asked: 2592000, delete_called: 2592000", ""),
        (NodeState::Delete, "asked: 2592000", ""),
    ];
    for (state, facts, rest) in cases {
        let step = state.step().map_or_else(String::new, |step| format!(" {}", step.word()));
        let row = format!("nodes: [{{id: 1, state: {}{step}, since: {LONG}, {facts}}}]", state.word());
        let (_situation, made) = decided(&format!("{image}\n{row}\n{rest}\n"));
        assert!(acts_on_node(&made), "{row} waits for ever:\n{made:#?}");
    }
    for state in NodeState::STORED {
        assert!(cases.iter().any(|(covered, _, _)| *covered == state), "{state} has no case here");
    }
}

#[test]
fn an_image_waits_in_no_state_for_ever() {
    let cases = [
        (ImageState::Building(ImageStep::Create), "builder_asked: 2592000"),
        (ImageState::Building(ImageStep::Boot), "builder: s1, builder_shown: BUILD, builder_asked: 2592000"),
        (
            ImageState::Building(ImageStep::Setup),
            "builder: s1, builder_shown: ACTIVE, builder_asked: 2592000",
        ),
        (
            ImageState::Building(ImageStep::Setup),
            "builder: s1, builder_shown: SHUTOFF, builder_asked: 2592000",
        ),
        (
            ImageState::Building(ImageStep::Snapshot),
            "builder: s1, builder_shown: ACTIVE, builder_asked: 2592000",
        ),
        (
            ImageState::Building(ImageStep::Snapshot),
            "builder: s1, builder_shown: ACTIVE, builder_asked: 2592000, snapshot_asked: 2592000",
        ),
        (
            ImageState::Building(ImageStep::Save),
            "builder: s1, builder_shown: ACTIVE, snapshot: i1, snapshot_shown: pending, snapshot_asked: 2592000",
        ),
        (
            ImageState::Building(ImageStep::Verify),
            "snapshot: i1, snapshot_asked: 2592000, verifier: s2, verifier_shown: BUILD, verifier_asked: 2592000",
        ),
        (
            ImageState::Building(ImageStep::Verify),
            "snapshot: i1, snapshot_asked: 2592000, verifier_asked: 2592000",
        ),
        (ImageState::Delete, "snapshot: i1, snapshot_asked: 2592000"),
        (ImageState::Delete, "snapshot_asked: 2592000"),
    ];
    for (state, facts) in cases {
        let step = state.step().map_or_else(String::new, |step| format!(" {}", step.word()));
        let row = format!("images: [{{id: 1, state: {}{step}, since: {LONG}, {facts}}}]", state.word());
        let (situation, made) = decided(&format!("{row}\n"));
        assert!(acts_on_image(&situation.observation(), &made), "{row} waits for ever:\n{made:#?}");
    }
    let waits = |state: &&ImageState| !matches!(state, ImageState::Ready);
    for state in ImageState::STORED.iter().filter(waits) {
        assert!(cases.iter().any(|(covered, _)| covered == state), "{state} has no case here");
    }
}
