//! What the store does, whichever database it is on: this list runs on each of them, where `crate::Place` makes one.

use std::path::Path;
use std::time::{Duration, Instant};

use nodepool::model::{
    AgentFacts, FloatingFacts, HostKey, Image, ImageId, ImageState, ImageStep, JobEventKind, JobFacts,
    JobResult, JobRun, KnownProvider, NewJobEvent, Node, NodeId, NodeState, NodeStep, Place as At,
    SetbackKind, Timestamp, WishId, WishKind,
};
use nodepool::store::{FailedTry, NewImage, NewLine, NewNode, NodeLine, Note, Store, StoreError, Subject};

use crate::Place;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

pub(crate) fn new_node(attempt: &str) -> NewNode {
    NewNode {
        provider: "cloud-a".to_owned(),
        label: "debian".to_owned(),
        target: "jenkins".to_owned(),
        image: "debian-12".to_owned(),
        image_id: Some(ImageId(7)),
        az: Some("nova".to_owned()),
        attempt: attempt.to_owned(),
        subnodes: Vec::new(),
        created: at(100),
        reason: "min-ready is 1".to_owned(),
    }
}

pub(crate) fn new_image(attempt: &str) -> NewImage {
    NewImage {
        recipe: "base-image: debian-12".to_owned(),
        provider: "cloud-a".to_owned(),
        image: "debian-12".to_owned(),
        hostname: "debian-12-1700000000.template.example.org".to_owned(),
        az: None,
        version: 1_700_000_000,
        attempt: attempt.to_owned(),
        created: at(100),
        reason: "there is none".to_owned(),
    }
}

pub(crate) fn name(id: NodeId, primary: Option<NodeId>) -> String {
    match primary {
        Some(primary) => format!("ci-debian-{primary}-{id}.example.org"),
        None => format!("ci-debian-{id}.example.org"),
    }
}

pub(crate) fn note(event: &str, at: Timestamp) -> Note {
    Note {
        at,
        event: event.to_owned(),
        from: "building".to_owned(),
        to: "ready".to_owned(),
        reason: "it was time".to_owned(),
    }
}

pub(crate) async fn add_node(store: &Store, attempt: &str) -> Node {
    store.insert_node(&new_node(attempt), &name).await.unwrap()
}

fn floating_ip(id: &str, attempted: i64) -> FloatingFacts {
    FloatingFacts { id: Some(id.to_owned()), attempted: Some(at(attempted)) }
}

/// A node of which everything that may change has changed.
pub(crate) fn changed(node: &Node) -> Node {
    Node {
        az: Some("other-zone".to_owned()),
        server_id: Some("4f1c".to_owned()),
        ip: Some("192.0.2.7".to_owned()),
        ip_private: Some("10.0.0.7".to_owned()),
        host_key: Some(HostKey("ssh-ed25519 AAAA".to_owned())),
        state: NodeState::Hold,
        state_time: at(200),
        attempted: Some(at(101)),
        delete_called: Some(at(202)),
        floating_ip: floating_ip("f1", 203),
        agent: AgentFacts {
            attempted: Some(at(210)),
            enrolled: true,
            manager: Some("launcher-1".to_owned()),
            test_called: Some(at(220)),
            test_passed: true,
            withdrawn: true,
            insists: true,
            remark: Some("held".to_owned()),
        },
        job: JobFacts { name: Some("unit".to_owned()), started: Some(at(230)), ended: Some(at(240)) },
        held_by: Some("ann".to_owned()),
        held_for: Some("unit".to_owned()),
        hold_warned: true,
        held_until: Some(at(300)),
        comment: Some("mine; it's \"special\"".to_owned()),
        reason: "an operator holds it".to_owned(),
        ..node.clone()
    }
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

/// The lines of all nodes say the same as their rows.
pub(crate) async fn assert_lines(store: &Store) {
    let mut lines = store.node_lines().await.unwrap();
    lines.sort_by_key(|line| line.id);
    let expected: Vec<NodeLine> = store.nodes().await.unwrap().iter().map(NodeLine::from).collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_node_from_its_first_line_to_its_last() {
    let place = Place::new().await;
    let store = place.open().await;
    let node = add_node(&store, "a1").await;
    let expected = Node {
        id: NodeId(1),
        primary: None,
        subnode_index: 0,
        subnodes: 0,
        provider: "cloud-a".to_owned(),
        label: "debian".to_owned(),
        target: "jenkins".to_owned(),
        hostname: "ci-debian-1.example.org".to_owned(),
        nodename: "ci-debian-1".to_owned(),
        image: "debian-12".to_owned(),
        image_id: Some(ImageId(7)),
        az: Some("nova".to_owned()),
        server_id: None,
        ip: None,
        ip_private: None,
        host_key: None,
        state: NodeState::Building(NodeStep::Create),
        state_time: at(100),
        created: at(100),
        attempt: "a1".to_owned(),
        attempted: None,
        delete_called: None,
        floating_ip: FloatingFacts::default(),
        agent: AgentFacts::default(),
        job: JobFacts::default(),
        held_by: None,
        held_for: None,
        hold_warned: false,
        held_until: None,
        comment: None,
        reason: "min-ready is 1".to_owned(),
        revision: 1,
    };
    assert_eq!(node, expected);
    assert_eq!(store.node(node.id).await.unwrap(), Some(node.clone()));

    let written = store.update_node(&changed(&node), &note("held", at(200))).await.unwrap();
    assert_eq!(written, Node { revision: 2, ..changed(&node) });
    assert_eq!(store.node(node.id).await.unwrap(), Some(written.clone()));
    let second = add_node(&store, "a2").await;
    assert_eq!(store.nodes().await.unwrap(), [written.clone(), second]);
    assert_lines(&store).await;

    store.remove_node(&written, &note("gone", at(300))).await.unwrap();
    assert_eq!(store.node(node.id).await.unwrap(), None);

    let lines = store.history(Subject::Node(node.id), 10).await.unwrap();
    let events: Vec<_> = lines.iter().map(|line| line.note.event.as_str()).collect();
    assert_eq!(events, ["created", "held", "gone"]);
    assert_eq!(lines[0].note.to, "building (create)");
    assert_eq!(lines[0].note.reason, "min-ready is 1");
    assert_eq!(lines[1].note, note("held", at(200)));
    assert_eq!(
        (lines[2].provider.as_str(), lines[2].hostname.as_str()),
        ("cloud-a", "ci-debian-1.example.org")
    );
}

#[tokio::test]
async fn every_state_of_a_node_is_stored_and_read() {
    let place = Place::new().await;
    let store = place.open().await;
    let mut node = add_node(&store, "a1").await;
    for state in NodeState::STORED {
        node.state = state;
        node = store.update_node(&node, &note("moved", at(200))).await.unwrap();
        assert_eq!(node.state, state);
        assert_lines(&store).await;
    }
    node.state = NodeState::Gone;
    let refused = store.update_node(&node, &note("moved", at(200))).await;
    assert!(matches!(refused, Err(StoreError::Rejected(_))), "{refused:?}");
}

#[tokio::test]
async fn an_image_from_its_first_line_to_its_last() {
    let place = Place::new().await;
    let store = place.open().await;
    let image = store.insert_image(&new_image("b1")).await.unwrap();
    assert_eq!(image.state, ImageState::Building(ImageStep::Create));
    assert_eq!((image.id, image.version, image.revision), (ImageId(1), 1_700_000_000, 1));
    assert_eq!(image.recipe, "base-image: debian-12");
    assert_eq!(store.images().await.unwrap(), std::slice::from_ref(&image));
    let mut image = Image {
        keypair: Some("nodepool-abc-image-1".to_owned()),
        server_id: Some("s1".to_owned()),
        host_key: Some(HostKey("ssh-ed25519 AAAA".to_owned())),
        external_id: Some("i1".to_owned()),
        floating_ip: floating_ip("f1", 104),
        verify_server_id: Some("s2".to_owned()),
        verify_host_key: Some(HostKey("ssh-ed25519 BBBB".to_owned())),
        verify_floating_ip: floating_ip("f2", 105),
        state_time: at(200),
        attempted: Some(at(101)),
        snapshot_attempted: Some(at(102)),
        verify_attempted: Some(at(103)),
        reason: "next".to_owned(),
        ..image
    };
    for state in ImageState::STORED {
        image.state = state;
        let written = store.update_image(&image, &note("moved", at(200))).await.unwrap();
        assert_eq!(written, Image { revision: image.revision + 1, ..image.clone() });
        store.count_node_ready(image.id).await.unwrap();
        let counted = store.image(image.id).await.unwrap().unwrap();
        assert_eq!(
            counted,
            Image { nodes_ready: written.nodes_ready + 1, ..written.clone() },
            "and nothing else"
        );
        let written = counted;
        assert_eq!(store.image(image.id).await.unwrap(), Some(written.clone()));
        assert!(is_conflict(&store.update_image(&image, &note("late", at(201))).await));
        assert!(is_conflict(&store.remove_image(&image, &note("late", at(201))).await));
        image = written;
    }
    store.remove_image(&image, &note("gone", at(300))).await.unwrap();
    assert_eq!(store.image(image.id).await.unwrap(), None);
    let lines = store.history(Subject::Image(image.id), 100).await.unwrap();
    assert_eq!(lines.len(), ImageState::STORED.len() + 2);
    assert!(lines.iter().all(|line| line.note.event != "late"));
    assert_eq!(store.insert_image(&new_image("b2")).await.unwrap().id, ImageId(2));
}

#[tokio::test]
async fn a_write_of_an_old_revision_changes_nothing() {
    let place = Place::new().await;
    let store = place.open().await;
    let old = add_node(&store, "a1").await;
    let new = store.update_node(&changed(&old), &note("held", at(200))).await.unwrap();
    let error = store.update_node(&old, &note("late", at(201))).await.unwrap_err();
    assert_eq!(error, StoreError::Conflict { table: "node", id: 1, revision: 1 });
    assert!(is_conflict(&store.remove_node(&old, &note("late", at(201))).await));
    assert_eq!(store.nodes().await.unwrap(), std::slice::from_ref(&new));
    store.remove_node(&new, &note("gone", at(202))).await.unwrap();
    assert!(is_conflict(&store.update_node(&new, &note("late", at(203))).await));
    assert_eq!(store.recent_history(10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn of_many_writers_of_one_revision_one_wins() {
    let place = Place::new().await;
    let (daemon, cli) = (place.open().await, place.open().await);
    let node = add_node(&daemon, "a1").await;
    let tries = (0..20).map(|n| {
        let (store, node) = (if n % 2 == 0 { &daemon } else { &cli }.clone(), node.clone());
        tokio::spawn(async move { store.update_node(&node, &note("raced", at(200))).await })
    });
    let results: Vec<_> = futures::future::join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| result.is_ok() || is_conflict(result)), "{results:?}");
}

#[tokio::test]
async fn numbers_are_not_used_again_even_after_the_last_row_is_gone() {
    let place = Place::new().await;
    let store = place.open().await;
    let node = add_node(&store, "a1").await;
    store.remove_node(&node, &note("gone", at(200))).await.unwrap();
    store.close().await;
    let store = place.open().await;
    assert_eq!(add_node(&store, "a2").await.id, NodeId(2));
}

#[tokio::test]
async fn an_attempt_is_used_once() {
    let place = Place::new().await;
    let store = place.open().await;
    add_node(&store, "a1").await;
    let again = store.insert_node(&new_node("a1"), &name).await;
    assert!(matches!(again, Err(StoreError::Rejected(_))), "{again:?}");
}

#[tokio::test]
async fn a_write_whose_history_fails_fails_whole() {
    let place = Place::new().await;
    let store = place.open().await;
    let node = add_node(&store, "a1").await;
    let image = store.insert_image(&new_image("b1")).await.unwrap();
    place.break_history().await;

    let why = note("held", at(200));
    let errors = [
        store.insert_node(&new_node("a2"), &name).await.unwrap_err(),
        store.update_node(&changed(&node), &why).await.unwrap_err(),
        store.remove_node(&node, &why).await.unwrap_err(),
        store.insert_image(&new_image("b2")).await.unwrap_err(),
        store.update_image(&Image { state: ImageState::Ready, ..image.clone() }, &why).await.unwrap_err(),
        store.remove_image(&image, &why).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error, StoreError::Rejected("provoked".to_owned()));
    }
    assert_eq!(store.nodes().await.unwrap(), std::slice::from_ref(&node));
    assert_eq!(store.images().await.unwrap(), [image]);

    place.mend_history().await;
    store.update_node(&changed(&node), &why).await.unwrap();
    assert_eq!(store.recent_history(10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_call_that_is_dropped_midway_leaves_no_lock_and_no_half_row() {
    let place = Place::new().await;
    let (store, other) = (place.open().await, place.open().await);
    let mut finished = 0;
    for round in 0..Place::ROUNDS {
        let new = new_node(&format!("a{round}"));
        let mut call = Box::pin(store.insert_node(&new, &name));
        // Each round lets the call come a little further before it is dropped. tokio's timers are too coarse for this.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(2000 * round / Place::ROUNDS) {
            if futures::poll!(call.as_mut()).is_ready() {
                finished += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        store.add_wish(&WishKind::Unhold(NodeId(1)), at(1)).await.unwrap();
        other.add_wish(&WishKind::Unhold(NodeId(1)), at(1)).await.unwrap();
    }
    assert!(finished < Place::ROUNDS, "no call was dropped");
    let (nodes, lines) = (store.nodes().await.unwrap(), store.recent_history(1000).await.unwrap());
    assert_eq!(nodes.len(), lines.len());
    assert!(nodes.iter().all(|node| node.hostname == name(node.id, None)));
}

#[tokio::test]
async fn wishes_are_read_in_order_and_settled_once() {
    let place = Place::new().await;
    let (daemon, cli) = (place.open().await, place.open().await);
    let kinds = [
        WishKind::Hold {
            node: NodeId(3),
            comment: Some("look".to_owned()),
            until: Some(at(900)),
            owner: Some("ann".to_owned()),
        },
        WishKind::Hold { node: NodeId(3), comment: None, until: None, owner: None },
        WishKind::Unhold(NodeId(4)),
        WishKind::Delete { node: NodeId(5), now: false },
        WishKind::Delete { node: NodeId(5), now: true },
        WishKind::ImageUpdate { provider: "cloud-a".to_owned(), image: "debian-12".to_owned() },
        WishKind::ImageDelete(ImageId(6)),
    ];
    let mut ids = Vec::new();
    for kind in &kinds {
        ids.push(cli.add_wish(kind, at(100)).await.unwrap());
    }
    let open = daemon.open_wishes().await.unwrap();
    assert_eq!(open.iter().map(|wish| wish.kind.clone()).collect::<Vec<_>>(), kinds);
    assert_eq!(open.iter().map(|wish| wish.id).collect::<Vec<_>>(), ids);
    assert!(open.iter().all(|wish| wish.created == at(100)));

    assert_eq!(cli.wish_outcome(ids[0]).await.unwrap(), None);
    assert!(daemon.settle_wish(ids[0], at(101), true, "held").await.unwrap());
    assert!(!daemon.settle_wish(ids[0], at(102), false, "again").await.unwrap());
    assert!(!daemon.settle_wish(WishId(999), at(102), false, "unknown").await.unwrap());
    let settled = cli.wish_outcome(ids[0]).await.unwrap().unwrap();
    assert_eq!((settled.granted, settled.outcome.as_str(), settled.at), (true, "held", at(101)));
    assert!(daemon.settle_wish(ids[1], at(103), false, "no such node").await.unwrap());
    assert!(!cli.wish_outcome(ids[1]).await.unwrap().unwrap().granted);
    assert_eq!(daemon.open_wishes().await.unwrap().len(), kinds.len() - 2);
}

#[tokio::test]
async fn events_are_read_in_order_and_bounded() {
    let place = Place::new().await;
    let store = place.open().await;
    let first = store.add_event(&told(JobEventKind::Started, "unit"), at(5)).await.unwrap();
    let second = store.add_event(&told(JobEventKind::Finished, "unit"), at(4)).await.unwrap();
    let open = store.open_events().await.unwrap();
    assert_eq!(open.iter().map(|event| event.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(open[1].told, told(JobEventKind::Finished, "unit"));
    assert_eq!((open[0].told.kind, open[1].told.kind), (JobEventKind::Started, JobEventKind::Finished));
    assert_eq!(
        (open[0].told.nodename.as_str(), open[0].told.job.as_str(), open[0].at),
        ("ci-1", "unit", at(5))
    );
    store.settle_event(first, at(6)).await.unwrap();
    store.settle_event(first, at(7)).await.unwrap();
    assert_eq!(place.number("SELECT settled FROM job_event WHERE id = 1").await, at(6).millis());
    assert_eq!(store.open_events().await.unwrap().len(), 1);

    let more: Vec<_> = (1..1500).map(|i| format!("('ci-{i}', 'started', '', {i})")).collect();
    let sql = format!("INSERT INTO job_event (nodename, kind, job, created) VALUES {}", more.join(", "));
    place.execute(&sql).await;
    let open = store.open_events().await.unwrap();
    assert_eq!((open.len(), open[0].id), (1000, second));
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_ends() {
    let place = Place::new().await;
    let (one, two) = (place.open().await, place.open().await);
    let minute = Duration::from_mins(1);
    assert_eq!(one.lease("cloud-a").await.unwrap(), None);
    assert!(one.take_lease("cloud-a", "one", at(0), minute).await.unwrap());
    assert!(!two.take_lease("cloud-a", "two", at(59), minute).await.unwrap());
    assert!(two.take_lease("cloud-b", "two", at(59), minute).await.unwrap());
    assert!(one.take_lease("cloud-a", "one", at(59), minute).await.unwrap(), "renewed");
    assert!(!two.take_lease("cloud-a", "two", at(118), minute).await.unwrap());
    assert!(two.take_lease("cloud-a", "two", at(119), minute).await.unwrap(), "expired");
    assert!(!one.take_lease("cloud-a", "one", at(120), minute).await.unwrap());
    one.release_lease("cloud-a", "one").await.unwrap();
    let lease = one.lease("cloud-a").await.unwrap().unwrap();
    assert_eq!((lease.holder.as_str(), lease.expires), ("two", at(179)));
    two.release_lease("cloud-a", "two").await.unwrap();
    assert!(one.take_lease("cloud-a", "one", at(120), minute).await.unwrap(), "released");

    let tries = (0..10).map(|n| {
        let store = if n % 2 == 0 { &one } else { &two }.clone();
        tokio::spawn(async move { store.take_lease("cloud-c", &n.to_string(), at(0), minute).await.unwrap() })
    });
    let taken: Vec<_> = futures::future::join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
}

#[tokio::test]
async fn setbacks_count_up_and_are_cleared() {
    let place = Place::new().await;
    let store = place.open().await;
    store.record_setback(SetbackKind::Launch, "cloud-a", "debian", at(1), "no ssh").await.unwrap();
    store.record_setback(SetbackKind::Launch, "cloud-a", "debian", at(2), "no address").await.unwrap();
    store.record_setback(SetbackKind::Image, "cloud-a", "debian", at(3), "setup failed").await.unwrap();
    store.record_setback(SetbackKind::Capacity, "cloud-a", "", at(4), "quota").await.unwrap();
    let setbacks = store.setbacks().await.unwrap();
    let kinds: Vec<_> = setbacks.iter().map(|setback| (setback.kind, setback.failures)).collect();
    assert_eq!(kinds, [(SetbackKind::Capacity, 1), (SetbackKind::Image, 1), (SetbackKind::Launch, 2)]);
    assert_eq!((setbacks[2].last, setbacks[2].reason.as_str()), (at(2), "no address"));
    assert_eq!((setbacks[2].provider.as_str(), setbacks[2].name.as_str()), ("cloud-a", "debian"));

    store.clear_setback(SetbackKind::Launch, "cloud-a", "debian").await.unwrap();
    assert_eq!(store.setbacks().await.unwrap().len(), 2);
    let lock = place.lock().await;
    store.clear_setback(SetbackKind::Launch, "cloud-a", "debian").await.expect("nothing to write");
    lock.release().await;
}

#[tokio::test]
async fn history_is_limited_and_pruned_in_bounded_steps() {
    let place = Place::new().await;
    let store = place.open().await;
    let mut node = add_node(&store, "a1").await;
    for second in 101..111 {
        node = store.update_node(&node, &note(&second.to_string(), at(second))).await.unwrap();
    }
    let last = store.history(Subject::Node(node.id), 2).await.unwrap();
    assert_eq!(last.iter().map(|line| line.note.event.as_str()).collect::<Vec<_>>(), ["109", "110"]);
    assert_eq!(store.recent_history(3).await.unwrap().len(), 3);
    assert_eq!(store.history(Subject::Image(ImageId(1)), 10).await.unwrap(), []);

    let old_wish = store.add_wish(&WishKind::Unhold(NodeId(1)), at(1)).await.unwrap();
    let open_wish = store.add_wish(&WishKind::Unhold(NodeId(1)), at(1)).await.unwrap();
    store.settle_wish(old_wish, at(2), true, "done").await.unwrap();
    let event = store.add_event(&told(JobEventKind::Started, "unit"), at(1)).await.unwrap();
    store.add_event(&told(JobEventKind::Finished, "unit"), at(1)).await.unwrap();
    store.settle_event(event, at(2)).await.unwrap();

    assert_eq!(store.prune(at(2), 100).await.unwrap(), 0);
    // Older than 105: one wish, one event, and the lines of 100 to 104.
    assert_eq!(store.prune(at(105), 4).await.unwrap(), 4);
    assert_eq!(store.wish_outcome(old_wish).await.unwrap(), None);
    assert_eq!(store.prune(at(105), 4).await.unwrap(), 3);
    assert_eq!(store.prune(at(105), 4).await.unwrap(), 0);
    let left = store.recent_history(100).await.unwrap();
    assert_eq!((left.len(), left[0].note.event.as_str()), (6, "105"));
    assert_eq!(store.open_wishes().await.unwrap()[0].id, open_wish);
    assert_eq!(store.open_events().await.unwrap().len(), 1);
    assert_eq!(store.node(node.id).await.unwrap(), Some(node));
}

#[tokio::test]
async fn texts_from_outside_are_cut() {
    let place = Place::new().await;
    let store = place.open().await;
    let long = "ü".repeat(5000);
    let cut = "ü".repeat(4096);
    let node = store.insert_node(&NewNode { reason: long.clone(), ..new_node("a1") }, &name).await.unwrap();
    assert_eq!(node.reason, cut);
    let edited = Node { reason: long.clone(), comment: Some(long.clone()), ..node };
    let node = store.update_node(&edited, &Note { reason: long.clone(), ..note("x", at(1)) }).await.unwrap();
    assert_eq!((node.reason.as_str(), node.comment.as_deref()), (cut.as_str(), Some(cut.as_str())));
    let image = store.insert_image(&NewImage { reason: long.clone(), ..new_image("b1") }).await.unwrap();
    assert_eq!(image.reason, cut);
    let edited = Image { reason: long.clone(), ..image };
    assert_eq!(store.update_image(&edited, &note("x", at(1))).await.unwrap().reason, cut);
    assert!(store.recent_history(10).await.unwrap().iter().all(|line| line.note.reason.len() <= cut.len()));

    let hold = WishKind::Hold { node: node.id, comment: Some(long.clone()), until: None, owner: None };
    let wish = store.add_wish(&hold, at(1)).await.unwrap();
    let expected = WishKind::Hold { node: node.id, comment: Some(cut.clone()), until: None, owner: None };
    assert_eq!(store.open_wishes().await.unwrap()[0].kind, expected);
    store.settle_wish(wish, at(2), false, &long).await.unwrap();
    assert_eq!(store.wish_outcome(wish).await.unwrap().unwrap().outcome, cut);
    store.add_event(&told(JobEventKind::Started, &long), at(1)).await.unwrap();
    assert_eq!(store.open_events().await.unwrap()[0].told.job, cut);
    store.record_setback(SetbackKind::Image, "cloud-a", "debian", at(1), &long).await.unwrap();
    assert_eq!(store.setbacks().await.unwrap()[0].reason, cut);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemon_and_cli_write_at_the_same_time() {
    let place = Place::new().await;
    let (daemon, cli) = (place.open().await, place.open().await);
    let writers = (0..8).map(|writer| {
        let store = if writer % 2 == 0 { &daemon } else { &cli }.clone();
        tokio::spawn(async move {
            for round in 0..Place::ROUNDS / 4 {
                let node = add_node(&store, &format!("{writer}-{round}")).await;
                let node = store.update_node(&changed(&node), &note("held", at(1))).await.unwrap();
                store.add_wish(&WishKind::Unhold(node.id), at(1)).await.unwrap();
                store.nodes().await.unwrap();
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    let count = usize::try_from(Place::ROUNDS / 4 * 8).unwrap();
    assert_eq!(cli.nodes().await.unwrap().len(), count);
    assert_eq!(daemon.recent_history(1000).await.unwrap().len(), 2 * count);
    assert_eq!(daemon.open_wishes().await.unwrap().len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_database_at_once() {
    for _ in 0..Place::OPENINGS {
        let place = Place::empty().await;
        let opening = (0..8).map(|_| {
            let url = place.url();
            tokio::spawn(async move { Store::open(&url).await?.installation().await })
        });
        let ids: Vec<_> =
            futures::future::join_all(opening).await.into_iter().map(|id| id.unwrap().unwrap()).collect();
        assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
        let applied = place.number("SELECT COUNT(*) FROM _sqlx_migrations").await;
        let files =
            std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite")).unwrap();
        assert_eq!(applied, i64::try_from(files.count()).unwrap(), "each was applied once");
    }
}

#[tokio::test]
async fn an_installation_has_one_id_and_another_has_another() {
    let (place, other) = (Place::new().await, Place::new().await);
    let id = place.open().await.installation().await.unwrap();
    assert!(id.len() >= 12 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{id}");
    assert_eq!(place.open().await.installation().await.unwrap(), id);
    assert_ne!(other.open().await.installation().await.unwrap(), id);
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let place = Place::new().await;
    place.open().await.close().await;
    place
        .execute(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'from the future', TRUE, {}, 0)",
            Place::ZERO_BYTE
        ))
        .await;
    let error = Store::open(&place.url()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Schema(text) if text.contains("9999")), "{error:?}");
}

#[tokio::test]
async fn a_locked_database_is_busy_and_then_works_again() {
    let place = Place::new().await;
    let store = place.open().await;
    let lock = place.lock().await;
    let refused = store.insert_node(&new_node("a1"), &name).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
    assert_eq!(store.nodes().await.unwrap(), [], "reading goes on");
    lock.release().await;
    add_node(&store, "a1").await;
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let place = Place::new().await;
    let store = place.open().await;
    store.close().await;
    assert!(matches!(store.nodes().await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_set_is_made_whole_and_each_of_its_rows_has_its_own_life() {
    let place = Place::new().await;
    let store = place.open().await;
    add_node(&store, "a1").await;
    let set = NewNode { subnodes: vec!["s1".to_owned(), "s2".to_owned()], ..new_node("p1") };
    let primary = store.insert_node(&set, &name).await.unwrap();
    assert_eq!(
        (primary.id, primary.primary, primary.subnode_index, primary.subnodes),
        (NodeId(2), None, 0, 2)
    );
    assert_lines(&store).await;
    let subnodes: Vec<Node> = store.nodes().await.unwrap().into_iter().skip(2).collect();
    let facts = subnodes.iter().map(|node| {
        let place = (node.primary, node.subnode_index, node.subnodes, node.state);
        (node.id, place, node.attempt.as_str(), node.hostname.as_str(), node.nodename.as_str())
    });
    let building = NodeState::Building(NodeStep::Create);
    let expected = [
        (NodeId(3), (Some(NodeId(2)), 1, 0, building), "s1", "ci-debian-2-3.example.org", "ci-debian-2-3"),
        (NodeId(4), (Some(NodeId(2)), 2, 0, building), "s2", "ci-debian-2-4.example.org", "ci-debian-2-4"),
    ];
    assert_eq!(facts.collect::<Vec<_>>(), expected);
    for node in &subnodes {
        assert_eq!(
            (&node.provider, &node.az, node.image_id),
            (&primary.provider, &primary.az, primary.image_id)
        );
        let lines = store.history(Subject::Node(node.id), 10).await.unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].note.reason, format!("subnode {} of node 2", node.subnode_index));
    }
    // The rows go one by one, the primary's first if it so happens.
    store.remove_node(&primary, &note("gone", at(200))).await.unwrap();
    assert_eq!(store.node(NodeId(3)).await.unwrap().as_ref(), subnodes.first());
}

#[tokio::test]
async fn nothing_of_a_set_is_made_when_one_row_is_refused() {
    let place = Place::new().await;
    let store = place.open().await;
    add_node(&store, "a1").await;
    let twice = NewNode { subnodes: vec!["s1".to_owned(), "a1".to_owned()], ..new_node("p1") };
    store.insert_node(&twice, &name).await.unwrap_err();
    assert_eq!(store.nodes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_set_is_written_whole_or_not_at_all() {
    let place = Place::new().await;
    let store = place.open().await;
    let set = NewNode { subnodes: vec!["s1".to_owned()], ..new_node("p1") };
    store.insert_node(&set, &name).await.unwrap();
    let rows = store.nodes().await.unwrap();
    let ready = |rows: &[Node]| -> Vec<(Node, Note)> {
        let ready = |node: &Node| Node { state: NodeState::Ready, ..node.clone() };
        rows.iter().map(|node| (ready(node), note("prepared", at(200)))).collect()
    };
    let subnode = store.update_node(&rows[1], &note("host-key", at(150))).await.unwrap();
    assert!(is_conflict(&store.update_nodes(&ready(&rows)).await));
    let building = NodeState::Building(NodeStep::Create);
    assert!(store.nodes().await.unwrap().iter().all(|node| node.state == building));
    store.update_nodes(&ready(&[rows[0].clone(), subnode])).await.unwrap();
    assert!(store.nodes().await.unwrap().iter().all(|node| node.state == NodeState::Ready));
}

/// What is told about the one job of the node `ci-1`.
fn told(kind: JobEventKind, job: &str) -> NewJobEvent {
    NewJobEvent {
        nodename: "ci-1".to_owned(),
        kind,
        job: job.to_owned(),
        number: Some(17),
        branch: Some("main".to_owned()),
        result: (kind == JobEventKind::Finished).then_some(JobResult::Failure),
    }
}

#[tokio::test]
async fn runs_of_jobs_are_added_up() {
    let place = Place::new().await;
    let store = place.open().await;
    let run = |seconds, branch: Option<&str>| JobRun {
        job: "unit".to_owned(),
        branch: branch.map(str::to_owned),
        label: "small".to_owned(),
        provider: "cloud-a".to_owned(),
        result: Some(JobResult::Success),
        took: Duration::from_secs(seconds),
    };
    store.add_job_run(&run(30, Some("main")), at(1)).await.unwrap();
    store.add_job_run(&run(50, Some("main")), at(2)).await.unwrap();
    store.add_job_run(&run(40, Some("main")), at(3)).await.unwrap();
    store.add_job_run(&run(7, None), at(4)).await.unwrap();
    let sums = store.job_runtimes().await.unwrap();
    let told: Vec<_> =
        sums.iter().map(|sum| (sum.branch.as_str(), sum.runs, sum.total_ms, sum.longest_ms)).collect();
    assert_eq!(told, [("", 1, 7_000, 7_000), ("main", 3, 120_000, 50_000)]);
    assert_eq!((sums[1].last, sums[1].result), (at(3), Some(JobResult::Success)));
    store.forget_old_job_runs().await.unwrap();
    assert_eq!(store.job_runtimes().await.unwrap().len(), 2, "there are few");
}

pub(crate) fn failed(subject: Subject, seconds: i64) -> FailedTry {
    FailedTry {
        at: at(seconds),
        subject,
        provider: "alpha".to_owned(),
        az: Some("az1".to_owned()),
        image: "ubuntu".to_owned(),
        label: Some("small".to_owned()),
        step: "ssh".to_owned(),
        waited: Duration::from_millis(61_250),
        deadline: Some(Duration::from_secs(60)),
        message: "connect: no answer".to_owned(),
        console: Some("login:".to_owned()),
        output: None,
    }
}

#[tokio::test]
async fn a_failure_is_kept_as_it_was_and_belongs_to_its_node() {
    let place = Place::new().await;
    let store = place.open().await;
    let of_node = failed(Subject::Node(NodeId(7)), 10);
    let build =
        FailedTry { label: None, deadline: None, console: None, ..failed(Subject::Image(ImageId(7)), 20) };
    for one in [&of_node, &build] {
        store.add_failure(one).await.unwrap();
    }
    assert_eq!(store.failures_of(Subject::Node(NodeId(7))).await.unwrap(), [of_node]);
    assert_eq!(store.failures_since(at(15)).await.unwrap(), [build]);
    assert_eq!(store.prune(at(15), 100).await.unwrap(), 1);
    assert_eq!(store.failures_since(at(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_column_that_should_not_be_empty_is_named_with_its_row() {
    let place = Place::new().await;
    let store = place.open().await;
    store.add_wish(&WishKind::Unhold(NodeId(1)), at(1)).await.unwrap();
    place.execute("UPDATE wish SET node_id = NULL").await;
    let refused = store.open_wishes().await;
    let expected = StoreError::Corrupt("table wish, row 1: column node_id: is null".to_owned());
    assert_eq!(refused, Err(expected));
}

/// Where providers and targets are, and what was left behind, is kept whole and in the order of the names' bytes.
#[tokio::test]
async fn places_are_remembered_and_forgotten() {
    let place = Place::new().await;
    let store = place.open().await;
    let provider = |name: &str| KnownProvider {
        name: name.to_owned(),
        cloud: Some("c".to_owned()),
        place: At {
            keystone: "http://k".to_owned(),
            region: None,
            project_id: None,
            project_name: Some("p".to_owned()),
        },
        api_timeout: Duration::from_secs(3),
        rate: Duration::from_millis(1),
    };
    store.keep_providers(&[provider("a"), provider("B")]).await.unwrap();
    store.keep_providers(&[KnownProvider { cloud: None, ..provider("a") }]).await.unwrap();
    let known = store.providers().await.unwrap();
    assert_eq!(known, [provider("B"), KnownProvider { cloud: None, ..provider("a") }]);
    store.forget_provider("A").await.unwrap();
    store.forget_provider("B").await.unwrap();
    assert_eq!(store.providers().await.unwrap().len(), 1, "names are told apart by each letter");
    store.set_job_rule("unit", 2, Some(Duration::from_mins(5))).await.unwrap();
    store.set_job_rule("Unit", 1, None).await.unwrap();
    store.set_job_rule("unit", 3, None).await.unwrap();
    let rules = store.job_rules().await.unwrap();
    let told: Vec<_> =
        rules.iter().map(|rule| (rule.name.as_str(), rule.hold_on_failure, rule.hold_for)).collect();
    assert_eq!(told, [("unit", 3, None), ("Unit", 1, None)]);
    assert!(store.remove_job_rule(rules[0].id).await.unwrap());
    assert!(!store.remove_job_rule(rules[0].id).await.unwrap());
}

/// A build's log is read page by page, cut at its bounds, and forgotten with the oldest builds.
#[tokio::test]
async fn logs_of_builds_are_read_in_order() {
    let place = Place::new().await;
    let store = place.open().await;
    let line =
        |text: &str, missed| NewLine { at: at(7), step: ImageStep::Setup, missed, text: text.to_owned() };
    store.add_build_lines(ImageId(1), &[line("one", 0), line("d\u{1f600}j\u{e0}", 0)]).await.unwrap();
    store.add_build_lines(ImageId(1), &[line("four", 1)]).await.unwrap();
    let lines = store.build_lines(ImageId(1), 1, 10).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| (line.number, line.text.as_str())).collect();
    assert_eq!(told, [(2, "d\u{1f600}j\u{e0}"), (4, "four")]);
    assert_eq!(store.forget_old_build_logs().await.unwrap(), 0, "there are few");
    let node = add_node(&store, "a1").await;
    store.add_queue_wait(at(9), &node, Duration::from_millis(1234)).await.unwrap();
    let waits = store.queue_waits_since(at(9), 10).await.unwrap();
    assert_eq!((waits.len(), waits[0].waited), (1, Duration::from_millis(1234)));
    assert_eq!(store.transitions_since(at(0), None, 10).await.unwrap().len(), 1);
}
