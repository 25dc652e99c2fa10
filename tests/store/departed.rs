//! Servers that are gone are remembered with the write that takes them out of their row, for a bounded time.

use std::time::Duration;

use nodepool::model::{DepartedServer, Fate, Image, Leftover, LeftoverKind, Node, NodeId, Owner, Timestamp};

use crate::Place;
use crate::behaviours::{add_node, at, new_image, note};

fn leaked(departed: Timestamp) -> DepartedServer {
    DepartedServer {
        provider: "cloud1".to_owned(),
        id: "s-leaked".to_owned(),
        owner: Owner::Node(NodeId(99)),
        attempt: "of-a-lost-row".to_owned(),
        departed,
    }
}

#[tokio::test]
async fn a_server_is_remembered_when_its_row_lets_go_of_it() {
    let place = Place::new().await;
    let store = place.open().await;
    let node = add_node(&store, "attempt-1").await;
    let bare = add_node(&store, "attempt-2").await;
    let with_server = Node { server_id: Some("s-1".to_owned()), ..node };
    let node = store.update_node(&with_server, &note("boot", at(10))).await.unwrap();
    assert_eq!(store.departed_server(&node.provider, "s-1").await.unwrap(), None, "its row has it");
    assert!(store.remove_node(&with_server, &note("gone", at(20))).await.is_err(), "of an old revision");
    assert_eq!(store.departed_server(&node.provider, "s-1").await.unwrap(), None);
    store.remove_node(&node, &note("gone", at(20))).await.unwrap();
    store.remove_node(&bare, &note("gone", at(20))).await.unwrap();
    let known = store.departed_server(&node.provider, "s-1").await.unwrap().unwrap();
    assert_eq!((known.owner, known.attempt.as_str()), (Owner::Node(node.id), "attempt-1"));
    assert_eq!((known.id.as_str(), known.departed), ("s-1", at(20)));
    assert_eq!(store.departed_server("elsewhere", "s-1").await.unwrap(), None);

    let image = store.insert_image(&new_image("attempt-3")).await.unwrap();
    let building = Image { server_id: Some("b".to_owned()), verify_server_id: Some("v".to_owned()), ..image };
    let image = store.update_image(&building, &note("boot", at(30))).await.unwrap();
    let image =
        store.update_image(&Image { server_id: None, ..image }, &note("facts", at(40))).await.unwrap();
    let owner = async |id: &str| {
        let known = store.departed_server(&image.provider, id).await.unwrap();
        known.map(|known| (known.owner, known.departed))
    };
    assert_eq!(owner("b").await, Some((Owner::Builder(image.id), at(40))));
    assert_eq!(owner("v").await, None);
    let image =
        store.update_image(&Image { nodes_ready: 1, ..image.clone() }, &note("facts", at(50))).await.unwrap();
    assert_eq!(owner("b").await, Some((Owner::Builder(image.id), at(40))), "it went once");
    store.remove_image(&image, &note("gone", at(60))).await.unwrap();
    assert_eq!(owner("v").await, Some((Owner::Verifier(image.id), at(60))));
}

#[tokio::test]
async fn what_went_is_forgotten_after_a_month_and_with_its_provider() {
    let place = Place::new().await;
    let store = place.open().await;
    store.add_departed_server(&leaked(at(0))).await.unwrap();
    store.add_departed_server(&leaked(at(5))).await.unwrap();
    let known = async |id: &str| store.departed_server("cloud1", id).await.unwrap();
    assert_eq!(known("s-leaked").await, Some(leaked(at(5))), "told to go twice, known once");
    let month = Duration::from_hours(31 * 24);
    let later = DepartedServer { id: "s-later".to_owned(), ..leaked(at(0).plus(month)) };
    store.add_departed_server(&later).await.unwrap();
    assert_eq!(known("s-leaked").await, None);
    assert_eq!(known("s-later").await, Some(later));
    store.forget_provider("cloud1").await.unwrap();
    assert_eq!(known("s-later").await, None);
}

#[tokio::test]
async fn every_kind_of_leftover_is_stored_and_read() {
    let place = Place::new().await;
    let store = place.open().await;
    let leftover = |kind: LeftoverKind| Leftover {
        provider: "cloud1".to_owned(),
        kind,
        id: format!("a-{}", kind.word()),
        made_for: "node 1".to_owned(),
        first_seen: at(1),
        listings: 2,
        fate: Fate::Watched,
        reason: "for a test".to_owned(),
    };
    let mut all: Vec<Leftover> = LeftoverKind::ALL.into_iter().map(leftover).collect();
    store.keep_leftovers(&all).await.unwrap();
    all.sort_by_key(|one| one.kind.word());
    assert_eq!(store.leftovers().await.unwrap(), all);
}
