//! What only servers do: they restart, refuse, and have tables of others. `crate::database` starts one.

use std::time::Duration;

use nodepool::model::WishKind;
use nodepool::service::Lookout;
use nodepool::store::{ENGINE_LEASE, Page, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::behaviours::{add_node, at, changed, note};
use crate::{Place, database};

#[tokio::test]
async fn a_server_that_crashed_and_came_back_is_used_as_if_nothing_had_happened() {
    let mut server = database::started().await;
    let place = Place::on(&server).await;
    let store = place.open().await;
    let node = add_node(&store, "a1").await;
    let node = store.update_node(&changed(&node), &note("held", at(200))).await.unwrap();
    let picture = store.picture(None).await.unwrap();

    server.crash();
    let refused = Store::open(&place.url()).await.unwrap_err();
    let StoreError::Server { what, next } = &refused else { panic!("{refused:?}") };
    assert!(what.contains("cannot be reached") && next.contains("runs there"), "{refused:?}");

    // Whoever asks while it comes up waits for it, or is told to ask again.
    let (meanwhile, ()) = tokio::join!(store.nodes(), database::start(&mut server));
    assert!(matches!(meanwhile, Ok(_) | Err(StoreError::Unavailable(_))), "{meanwhile:?}");
    assert_eq!(
        store.nodes().await.unwrap(),
        std::slice::from_ref(&node),
        "over connections that it does not know"
    );
    let again = store.picture(Some(picture)).await.unwrap();
    assert_eq!(again.nodes, std::slice::from_ref(&node));
    store.update_node(&node, &note("held", at(202))).await.unwrap();
    // PostgreSQL skips the numbers that it had set aside.
    assert!(add_node(&store, "a2").await.id > node.id);
}

#[tokio::test]
async fn a_lease_is_taken_over_from_a_daemon_that_vanished() {
    let place = Place::new().await;
    let (one, two) = (place.open().await, place.open().await);
    let minute = Duration::from_mins(1);
    assert!(one.take_lease("engine", "one", at(0), minute).await.unwrap());
    assert!(!two.take_lease("engine", "two", at(30), minute).await.unwrap(), "it waits");
    drop(one);
    assert!(two.take_lease("engine", "two", at(61), minute).await.unwrap());
    let lease = two.lease("engine").await.unwrap().unwrap();
    assert_eq!((lease.holder.as_str(), lease.taken), ("two", Some(at(61))));
}

#[tokio::test]
async fn the_tables_of_nodepool_v0_are_left_alone() {
    let place = Place::empty().await;
    place
        .execute("CREATE TABLE node (id INTEGER PRIMARY KEY, state INTEGER); INSERT INTO node VALUES (7, 3)")
        .await;
    let refused = Store::open(&place.url()).await.unwrap_err();
    assert_eq!(refused, StoreError::Foreign("it has tables called node".to_owned()));
    assert_eq!(place.number("SELECT COUNT(*) FROM node WHERE id = 7 AND state = 3").await, 1);
    let tables = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {} AND table_name <> 'node'",
        Place::SCHEMA
    );
    assert_eq!(place.number(&tables).await, 0, "nothing was made there");
}

#[tokio::test]
async fn what_a_server_refuses_is_told_with_what_to_do() {
    let place = Place::new().await;
    let url = place.url();
    let (front, parameters) = url.rsplit_once('?').unwrap();
    let (server, _database) = front.rsplit_once('/').unwrap();
    for (url, said, advice) in [
        (format!("{server}/nowhere?{parameters}"), "nowhere", "make the database"),
        (url.replace("s3cr%40t", "hunter2"), "nodepool", "the password"),
        (url.replace("nodepool:", "nobody:"), "nobody", "the user"),
    ] {
        let refused = Store::open(&url).await.unwrap_err();
        let StoreError::Server { what, next } = &refused else { panic!("{refused:?}") };
        assert!(what.contains(said) && next.contains(advice), "{refused:?}");
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
    let nowhere = Store::open("mysql://ci:hunter2@127.0.0.1:1/np").await.unwrap_err();
    assert!(nowhere.to_string().contains("the server at 127.0.0.1:1 cannot be reached"), "{nowhere}");
}

/// Whoever only looks at a database that is up to date waits for nobody.
#[tokio::test]
async fn opening_an_up_to_date_database_needs_no_lock() {
    let place = Place::new().await;
    add_node(&place.open().await, "a1").await;
    let lock = place.lock().await;
    let store = place.open().await;
    assert_eq!(store.nodes().await.unwrap().len(), 1);
    lock.release().await;
    store.add_wish(&WishKind::Check, at(1)).await.unwrap();
}

/// A damaged record of the migrations is told, and nothing is tried.
#[tokio::test]
async fn a_migration_that_is_not_as_it_was_is_refused() {
    let place = Place::new().await;
    place.open().await.close().await;
    place
        .execute(&format!("UPDATE _sqlx_migrations SET checksum = {} WHERE version = 3", Place::ZERO_BYTE))
        .await;
    let refused = Store::open(&place.url()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Schema(text) if text.contains('3')), "{refused:?}");
}

/// A daemon hears of what is written on other machines, and leaves word of itself as long as it has the lease.
#[tokio::test]
async fn a_daemon_looks_out_for_other_machines() {
    let place = Place::new().await;
    let (daemon, cli) = (place.open().await, place.open().await);
    let (told, mut rings) = tokio::sync::mpsc::unbounded_channel();
    let page = Page { holder: "nodepoold@here".to_owned(), address: "192.0.2.1:8005".to_owned() };
    let ring = Box::new(move || told.send(()).unwrap_or_default());
    let (stop, lookout) =
        (CancellationToken::new(), Lookout { store: daemon.clone(), ring, page: page.clone() });
    let looking = tokio::spawn(lookout.run(stop.clone()));
    assert_eq!(cli.page().await.unwrap(), None, "it does not have the lease");
    daemon.take_lease(ENGINE_LEASE, &page.holder, at(0), Duration::from_mins(1)).await.unwrap();
    let until = async |what: &str, done: &mut dyn FnMut(Option<Page>) -> bool| {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while !done(cli.page().await.unwrap()) {
            assert!(std::time::Instant::now() < end, "{what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("the page is announced", &mut |page_told| page_told.as_ref() == Some(&page)).await;
    cli.add_wish(&WishKind::Check, at(1)).await.unwrap();
    until("the bell is rung", &mut |_| rings.try_recv().is_ok()).await;
    stop.cancel();
    looking.await.unwrap();
}

/// Certificates are checked when they are to be, and against the authority that is named.
#[tokio::test]
async fn over_tls_whom_it_is_told_to_believe_is_believed() {
    let place = Place::new().await;
    for (parameters, good) in place.over_tls() {
        let url = place.url();
        let (front, _parameters) = url.rsplit_once('?').unwrap();
        let opened = Store::open(&format!("{front}?{parameters}")).await;
        match opened {
            Ok(store) => {
                assert!(good, "{parameters}");
                store.close().await;
            }
            Err(StoreError::Server { what, next }) => {
                assert!(!good && next.contains("certificates"), "{parameters}: {what}; {next}");
            }
            Err(other) => panic!("{parameters}: {other:?}"),
        }
    }
}
