//! Both transition tables as people read them, in `docs/states.md`, and what they promise.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::path::PathBuf;

use nodepool::fsm::{Illegal, image, node};
use nodepool::model::{ImageState, ImageStep, NodeState, NodeStep};

use image::ImageEvent;
use node::NodeEvent;

/// A transition table as a graph, so that what holds for both is said once.
struct Table<S, E> {
    what: &'static str,
    stored: Vec<S>,
    gone: S,
    events: Vec<E>,
    word: fn(E) -> &'static str,
    next: fn(S, E) -> Result<S, Illegal>,
}

impl<S: Copy + Ord + Display + Debug, E: Copy + PartialEq> Table<S, E> {
    /// Every state, the last one included.
    fn states(&self) -> Vec<S> {
        self.stored.iter().copied().chain([self.gone]).collect()
    }

    /// The states that a path from `from` enters, without events that `barred` names for the state that they meet.
    fn entered_from(&self, from: S, barred: impl Fn(S, E) -> bool) -> BTreeSet<S> {
        let mut entered = BTreeSet::new();
        let mut open = vec![from];
        while let Some(state) = open.pop() {
            for event in self.events.iter().filter(|event| !barred(state, **event)) {
                if let Ok(following) = (self.next)(state, *event)
                    && entered.insert(following)
                {
                    open.push(following);
                }
            }
        }
        entered
    }

    fn entered(&self, from: S) -> BTreeSet<S> {
        self.entered_from(from, |_, _| false)
    }

    /// Every way from a state by an event to a state.
    fn ways(&self) -> Vec<(S, E, S)> {
        let pairs =
            self.states().into_iter().flat_map(|state| self.events.iter().map(move |event| (state, *event)));
        pairs.filter_map(|(state, event)| Some((state, event, (self.next)(state, event).ok()?))).collect()
    }

    fn markdown(&self) -> String {
        let words: Vec<_> = self.events.iter().map(|event| (self.word)(*event)).collect();
        let mut lines = vec![
            format!("| {} | {} |", self.what, words.join(" | ")),
            format!("|---|{}", "---|".repeat(words.len())),
        ];
        for state in self.states() {
            let cells: Vec<_> = self
                .events
                .iter()
                .map(|event| match (self.next)(state, *event) {
                    Ok(following) => following.to_string(),
                    Err(_) => "·".to_owned(),
                })
                .collect();
            lines.push(format!("| **{state}** | {} |", cells.join(" | ")));
        }
        lines.join("\n")
    }
}

fn nodes() -> Table<NodeState, NodeEvent> {
    Table {
        what: "node",
        stored: NodeState::STORED.to_vec(),
        gone: NodeState::Gone,
        events: NodeEvent::ALL.to_vec(),
        word: NodeEvent::word,
        next: node::next,
    }
}

fn images() -> Table<ImageState, ImageEvent> {
    Table {
        what: "image",
        stored: ImageState::STORED.to_vec(),
        gone: ImageState::Gone,
        events: ImageEvent::ALL.to_vec(),
        word: ImageEvent::word,
        next: image::next,
    }
}

const NEW_NODE: NodeState = NodeState::Building(NodeStep::Create);
const NEW_IMAGE: ImageState = ImageState::Building(ImageStep::Create);

#[test]
fn the_tables_in_the_docs_are_those_of_the_program() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/states.md");
    let before = std::fs::read_to_string(&path).expect("docs/states.md is part of the repository");
    let after = with_table(&before, "node", &nodes().markdown());
    let after = with_table(&after, "image", &images().markdown());
    if before == after {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(&path, after).expect("docs/states.md can be written");
    }
    panic!(
        "docs/states.md is not what the program does. If the program is right: \
         UPDATE_GOLDEN=1 cargo test --test fsm\n{}",
        difference(&before, &after)
    );
}

/// The document with another table between the two markers.
fn with_table(document: &str, name: &str, table: &str) -> String {
    let begin = format!("<!-- begin {name} table: written by tests/fsm.rs -->\n");
    let end = format!("<!-- end {name} table -->");
    let marked =
        document.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let (before, (_, after)) = marked.unwrap_or_else(|| panic!("docs/states.md lacks `{begin}` or `{end}`"));
    format!("{before}{begin}{table}\n{end}{after}")
}

fn difference(before: &str, after: &str) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), after.lines().collect());
    let gone = before.lines().filter(|line| !new.contains(line)).map(|line| format!("- {line}"));
    let come = after.lines().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    gone.chain(come).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_used_node_never_becomes_ready_again() {
    assert!(nodes().entered(NEW_NODE).contains(&NodeState::Ready), "a new node does become ready");
    for state in [NodeState::Used, NodeState::Hold, NodeState::Delete] {
        assert!(!nodes().entered(state).contains(&NodeState::Ready), "{state} leads to ready");
    }
}

#[test]
fn a_held_node_goes_only_after_its_hold_ended() {
    let ended = |state, event| state == NodeState::Hold && event == NodeEvent::HoldEnded;
    assert!(
        nodes().entered(NodeState::Hold).contains(&NodeState::Delete),
        "the end of a hold leads to delete"
    );
    assert_eq!(nodes().entered_from(NodeState::Hold, ended), BTreeSet::from([NodeState::Hold]));
}

#[test]
fn only_what_was_to_be_deleted_is_gone_and_it_stays_gone() {
    for (state, event, following) in nodes().ways() {
        assert!(state != NodeState::Gone, "{} leads out of gone to {following}", event.word());
        assert!(following != NodeState::Gone || (state, event) == (NodeState::Delete, NodeEvent::Gone));
    }
    for (state, event, following) in images().ways() {
        assert!(state != ImageState::Gone, "{} leads out of gone to {following}", event.word());
        assert!(following != ImageState::Gone || (state, event) == (ImageState::Delete, ImageEvent::Gone));
    }
}

#[test]
fn only_a_verified_image_is_ready() {
    for (state, event, following) in images().ways() {
        let verified = (ImageState::Building(ImageStep::Verify), ImageEvent::Verified);
        assert!(following != ImageState::Ready || (state, event) == verified, "{state} by {}", event.word());
    }
}

#[test]
fn whatever_a_new_row_can_become_can_also_go() {
    for state in nodes().entered(NEW_NODE).into_iter().filter(|state| *state != NodeState::Gone) {
        assert!(nodes().entered(state).contains(&NodeState::Gone), "a node stays {state} for ever");
    }
    for state in images().entered(NEW_IMAGE).into_iter().filter(|state| *state != ImageState::Gone) {
        assert!(images().entered(state).contains(&ImageState::Gone), "an image stays {state} for ever");
    }
}

#[test]
fn every_stored_state_is_entered() {
    let mut entered = nodes().entered(NEW_NODE);
    entered.insert(NEW_NODE);
    assert!(NodeState::STORED.into_iter().all(|state| entered.contains(&state)));
    let mut entered = images().entered(NEW_IMAGE);
    entered.insert(NEW_IMAGE);
    assert!(ImageState::STORED.into_iter().all(|state| entered.contains(&state)));
}

#[test]
fn building_never_goes_back() {
    let order =
        |state: NodeState| state.step().and_then(|step| NodeStep::ALL.iter().position(|s| *s == step));
    for (state, event, following) in nodes().ways() {
        if let (Some(from), Some(to)) = (order(state), order(following)) {
            assert!(from < to, "{state} leads back to {following} by {}", event.word());
        }
        assert!(order(state).is_some() || order(following).is_none(), "{state} is built again");
    }
    let order =
        |state: ImageState| state.step().and_then(|step| ImageStep::ALL.iter().position(|s| *s == step));
    for (state, event, following) in images().ways() {
        if let (Some(from), Some(to)) = (order(state), order(following)) {
            assert_eq!(from + 1, to, "{state} leads to {following} by {}", event.word());
        }
        assert!(order(state).is_some() || order(following).is_none(), "{state} is built again");
    }
}

#[test]
fn an_illegal_event_names_all_that_a_report_needs() {
    let illegal = node::next(NodeState::Used, NodeEvent::Prepared).unwrap_err();
    assert_eq!(illegal.to_string(), "node in state used cannot take the event prepared");
    let illegal = image::next(ImageState::Ready, ImageEvent::Saved).unwrap_err();
    assert_eq!(illegal.to_string(), "image in state ready cannot take the event saved");
}
