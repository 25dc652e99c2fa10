//! All rows at once, read again as far as anybody wrote.

use nodepool::model::WishKind;
use nodepool::store::{Picture, Store};

use crate::Place;
use crate::behaviours::{add_node, at, changed, new_image, note};
use crate::dice::Dice;

/// What is given back unread is told by a mark that no row has.
fn marked(picture: &Picture) -> Picture {
    let mut marked = picture.clone();
    marked.nodes.clear();
    marked
}

/// Rows are read again when anybody wrote, this process or another one, and only then.
#[tokio::test]
async fn a_picture_is_as_new_as_the_last_write() {
    let place = Place::new().await;
    let (store, other) = (place.open().await, place.open().await);
    add_node(&store, "a-1").await;
    let first = store.picture(None).await.unwrap();
    assert_eq!(first.nodes, store.nodes().await.unwrap());
    assert_eq!(store.picture(Some(marked(&first))).await.unwrap().nodes, []);
    let added = add_node(&store, "a-2").await;
    let second = store.picture(Some(marked(&first))).await.unwrap();
    assert_eq!(second.nodes, [added], "of the nodes only what changed is read");
    other.add_wish(&WishKind::Check, at(5)).await.unwrap();
    let third = store.picture(Some(second)).await.unwrap();
    assert_eq!((third.nodes.len(), third.wishes.len()), (1, 1));
    assert_eq!(store.picture(Some(marked(&third))).await.unwrap().nodes, []);
}

/// Whatever is written between two pictures, by whomever, the next one is as if everything had been read.
#[tokio::test]
async fn a_picture_that_follows_another_is_as_one_of_its_own() {
    let place = Place::new().await;
    let (store, other) = (place.open().await, place.open().await);
    let mut dice = Dice::new(1);
    let mut last = store.picture(None).await.unwrap();
    for round in 0..Place::ROUNDS {
        for step in 0..dice.between(0, 4) {
            let writer = if dice.happens(50) { &store } else { &other };
            write(writer, &format!("{round}-{step}"), &mut dice).await;
        }
        // Without the line that it went up to, the history does not tell what followed.
        if dice.happens(10) {
            other.prune(at(1000), 10_000).await.unwrap();
        }
        last = store.picture(Some(last)).await.unwrap();
        let whole = store.picture(None).await.unwrap();
        assert_eq!(last.nodes, whole.nodes, "round {round}");
        assert_eq!(last.images, whole.images, "round {round}");
    }
}

/// What is not told of any more because it was pruned is read all the same.
#[tokio::test]
async fn a_history_that_was_cut_off_hides_nothing() {
    let place = Place::new().await;
    let store = place.open().await;
    let node = add_node(&store, "a-1").await;
    let first = store.picture(None).await.unwrap();
    let node = store.update_node(&changed(&node), &note("changed", at(200))).await.unwrap();
    store.prune(at(1000), 10_000).await.unwrap();
    let second = store.picture(Some(first)).await.unwrap();
    assert_eq!(second.nodes, std::slice::from_ref(&node), "no line is left");
    let node = store.update_node(&changed(&node), &note("changed", at(200))).await.unwrap();
    assert_eq!(store.picture(Some(second)).await.unwrap().nodes, [node], "there was no line to go on from");
}

/// Adds, changes or removes something.
async fn write(store: &Store, attempt: &str, dice: &mut Dice) {
    let nodes = store.nodes().await.unwrap();
    let Some(node) = dice.pick(&nodes) else {
        add_node(store, attempt).await;
        return;
    };
    match dice.between(1, 6) {
        1 => store.remove_node(node, &note("gone", at(300))).await.unwrap(),
        2 => drop(store.update_node(&changed(node), &note("changed", at(200))).await.unwrap()),
        3 => {
            let some: Vec<_> =
                nodes.iter().take(3).map(|node| (changed(node), note("set", at(200)))).collect();
            store.update_nodes(&some).await.unwrap();
        }
        // Its number may be that of a node, too.
        4 => drop(store.insert_image(&new_image(attempt)).await.unwrap()),
        _ => drop(add_node(store, attempt).await),
    }
}
