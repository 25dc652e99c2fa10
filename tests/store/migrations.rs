//! Databases that earlier programs left, with rows in them, are brought up to date and lose nothing.

use std::borrow::Cow;
use std::path::Path;

use nodepool::model::{
    FloatingFacts, HostKey, ImageId, ImageState, ImageStep, JobEventKind, NodeId, NodeState, NodeStep,
    SetbackKind, WishId, WishKind,
};
use nodepool::store::{Store, StoreError, Subject};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use crate::Place;
use crate::behaviours::{add_node, at};

/// What is written to a database of that many migrations: the table must be there since the first number.
const ROWS: [(usize, &str); 13] = [
    (
        1,
        "INSERT INTO node (provider_name, label_name, target_name, hostname, nodename, image_name, snapshot_image_id, \
         az, external_id, ip, ip_private, host_key, state, step, state_time, created, attempt, attempted, \
         held_until, comment, reason, revision) VALUES \
         ('cloud-a', 'debian', 'jenkins', 'ci-1.example.org', 'ci-1', 'debian-12', 7, 'nova', 's-1', '192.0.2.1', \
         '10.0.0.1', 'ssh-ed25519 AAAA', 'hold', NULL, 200000, 100000, 'a-1', 101000, 300000, 'mine', 'held', 9), \
         ('cloud-b', 'debian', 'jenkins', 'ci-2.example.org', 'ci-2', 'debian-12', NULL, NULL, NULL, NULL, NULL, \
         NULL, 'building', 'create', 100000, 100000, 'a-2', NULL, NULL, NULL, '', 1)",
    ),
    (
        1,
        "INSERT INTO node (id, provider_name, label_name, target_name, hostname, nodename, image_name, state, \
         state_time, created, attempt) VALUES (40, 'c', 'l', 't', 'h', 'n', 'i', 'delete', 1, 1, 'a-40')",
    ),
    (1, "DELETE FROM node WHERE id = 40"),
    (
        2,
        "INSERT INTO snapshot_image (provider_name, image_name, hostname, version, keypair, server_external_id, \
         external_id, state, step, state_time, created, attempt, attempted, reason, revision) VALUES \
         ('cloud-a', 'debian-12', 'debian-12-17', 17, NULL, NULL, 'i-1', 'ready', NULL, 1000, 1000, 'b-1', NULL, 'done', 5), \
         ('cloud-a', 'debian-12', 'debian-12-18', 18, 'k-1', 's-9', NULL, 'building', 'setup', 2000, 1500, 'b-2', 1600, '', 3)",
    ),
    (
        3,
        "INSERT INTO wish (kind, node_id, comment, held_until, created) VALUES ('hold', 1, 'mine', 300000, 5000)",
    ),
    (
        3,
        "INSERT INTO wish (kind, node_id, created, settled, granted, outcome) VALUES ('delete', 3, 6000, 7000, 1, 'gone')",
    ),
    (
        3,
        "INSERT INTO wish (id, kind, node_id, created) VALUES (50, 'unhold', 1, 6000); DELETE FROM wish WHERE id = 50",
    ),
    (3, "INSERT INTO job_event (nodename, kind, job, created) VALUES ('ci-1', 'started', 'unit', 8000)"),
    (
        3,
        "INSERT INTO job_event (id, nodename, kind, created) VALUES (60, 'x', 'finished', 1); \
         DELETE FROM job_event WHERE id = 60",
    ),
    (4, "INSERT INTO lease (name, holder, expires) VALUES ('other', 'nodepoold@old', 9000)"),
    (
        5,
        "INSERT INTO history (created, subject, subject_id, provider_name, hostname, event, from_state, to_state, reason) \
         VALUES (200000, 'node', 1, 'cloud-a', 'ci-1.example.org', 'held', 'ready', 'hold', 'mine')",
    ),
    (
        6,
        "INSERT INTO setback (kind, provider_name, name, failures, last, reason) \
         VALUES ('image', 'cloud-a', 'debian-12', 4, 3000, 'the setup script failed')",
    ),
    (6, "INSERT INTO setback (kind, provider_name, failures, last) VALUES ('capacity', 'cloud-b', 1, 3000)"),
];

/// Makes a database as a program with only the first `count` migrations left it, with rows in every table.
async fn left_by(place: &Place, all: &Migrator, count: usize) {
    std::fs::create_dir_all(place.file.parent().unwrap()).unwrap();
    let known = all.migrations.iter().take(count).cloned().collect();
    let earlier = Migrator { migrations: Cow::Owned(known), ..Migrator::DEFAULT };
    let options = SqliteConnectOptions::new().filename(&place.file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    earlier.run_direct(None, &mut connection, false).await.unwrap();
    for (_, sql) in ROWS.iter().filter(|(since, _)| *since <= count) {
        let ran = sqlx::raw_sql(AssertSqlSafe((*sql).to_owned())).execute(&mut connection).await;
        ran.unwrap_or_else(|error| panic!("with {count} migrations: {error}: {sql}"));
    }
}

async fn all() -> Migrator {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite"));
    Migrator::new(folder).await.unwrap()
}

#[tokio::test]
async fn a_database_of_each_earlier_program_is_kept_with_its_rows() {
    let all = all().await;
    for count in 1..all.migrations.len() {
        let place = Place::new().await;
        left_by(&place, &all, count).await;
        let installation = if count >= 7 { place.text("SELECT name FROM installation").await } else { None };
        let store = place.open().await;
        check_nodes(&store, &format!("after {count} migrations")).await;
        if count >= 2 {
            check_images(&store).await;
        }
        if count >= 3 {
            check_wishes_and_events(&store).await;
        }
        if count >= 6 {
            check_the_rest(&store).await;
        }
        let name = store.installation().await.unwrap();
        assert!(
            installation.is_none_or(|before| before == name),
            "what it made on clouds is known by that name"
        );
        store.close().await;
        assert_eq!(place.number("SELECT count(*) FROM pragma_foreign_key_check").await, 0);
        assert_eq!(place.text("PRAGMA integrity_check").await.as_deref(), Some("ok"));
    }
}

async fn check_nodes(store: &Store, when: &str) {
    let nodes = store.nodes().await.unwrap();
    let [held, building] = nodes.as_slice() else { panic!("{when}: {nodes:?}") };
    assert_eq!(
        (held.id, held.hostname.as_str(), held.nodename.as_str()),
        (NodeId(1), "ci-1.example.org", "ci-1")
    );
    assert_eq!((held.state, held.state_time, held.created), (NodeState::Hold, at(200), at(100)), "{when}");
    assert_eq!(
        (held.server_id.as_deref(), held.ip.as_deref(), held.ip_private.as_deref()),
        (Some("s-1"), Some("192.0.2.1"), Some("10.0.0.1"))
    );
    assert_eq!((held.held_until, held.comment.as_deref(), held.revision), (Some(at(300)), Some("mine"), 9));
    assert_eq!((held.image_id, held.az.as_deref()), (Some(ImageId(7)), Some("nova")));
    assert_eq!(held.host_key, Some(HostKey("ssh-ed25519 AAAA".to_owned())));
    assert_eq!((held.attempt.as_str(), held.attempted), ("a-1", Some(at(101))));
    assert_eq!((held.primary, held.subnode_index, held.subnodes), (None, 0, 0), "each was alone");
    assert_eq!(held.floating_ip, FloatingFacts::default());
    assert_eq!((building.id, building.state), (NodeId(2), NodeState::Building(NodeStep::Create)));
    assert_eq!(add_node(store, "a-3").await.id, NodeId(41), "{when}: no number is given out twice");
}

async fn check_images(store: &Store) {
    let images = store.images().await.unwrap();
    let [ready, building] = images.as_slice() else { panic!("{images:?}") };
    assert_eq!(
        (ready.state, ready.external_id.as_deref(), ready.version),
        (ImageState::Ready, Some("i-1"), 17)
    );
    assert_eq!((building.state, building.revision), (ImageState::Building(ImageStep::Setup), 3));
    assert_eq!((building.keypair.as_deref(), building.server_id.as_deref()), (Some("k-1"), Some("s-9")));
    assert_eq!(
        (&building.floating_ip, &building.verify_floating_ip),
        (&FloatingFacts::default(), &FloatingFacts::default())
    );
}

async fn check_wishes_and_events(store: &Store) {
    let wishes = store.open_wishes().await.unwrap();
    let [hold] = wishes.as_slice() else { panic!("{wishes:?}") };
    assert!(matches!(&hold.kind, WishKind::Hold { node: NodeId(1), .. }), "{hold:?}");
    assert_eq!((hold.id, hold.created), (WishId(1), at(5)));
    let settled =
        store.wish_outcome(WishId(2)).await.unwrap().expect("the answer to an old wish is still told");
    assert!(settled.granted && settled.outcome == "gone", "{settled:?}");
    assert_eq!(store.add_wish(&WishKind::Cleanup, at(9)).await.unwrap(), WishId(51));
    let events = store.open_events().await.unwrap();
    let [started] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((started.id, started.told.kind, started.at), (1, JobEventKind::Started, at(8)));
    assert_eq!((started.told.nodename.as_str(), started.told.job.as_str()), ("ci-1", "unit"));
    assert_eq!(store.add_event(&started.told, at(9)).await.unwrap(), 61);
}

async fn check_the_rest(store: &Store) {
    let lease = store.lease("other").await.unwrap().expect("it is kept");
    assert_eq!((lease.holder.as_str(), lease.expires), ("nodepoold@old", at(9)));
    let history = store.history(Subject::Node(NodeId(1)), 10).await.unwrap();
    assert_eq!((history.len(), history[0].note.event.as_str(), history[0].note.at), (1, "held", at(200)));
    let setbacks = store.setbacks().await.unwrap();
    let image = setbacks.iter().find(|setback| setback.kind == SetbackKind::Image).unwrap();
    assert_eq!((setbacks.len(), image.failures, image.reason.as_str()), (2, 4, "the setup script failed"));
    store.record_setback(SetbackKind::Zone, "cloud-a", "nova", at(10), "full").await.unwrap();
}

#[tokio::test]
async fn whoever_only_looks_at_an_up_to_date_database_needs_no_lock() {
    let place = Place::new().await;
    add_node(&place.open().await, "a1").await;
    let mut busy = place.stranger().await;
    sqlx::raw_sql("BEGIN IMMEDIATE; INSERT INTO lease (name, holder, expires) VALUES ('x', 'y', 1)")
        .execute(&mut busy)
        .await
        .unwrap();
    assert_eq!(place.open().await.nodes().await.unwrap().len(), 1, "a command that lists is not held up");

    // One that has to change the tables waits for the lock, and says so.
    let older = Place::new().await;
    left_by(&older, &all().await, 9).await;
    let mut busy = older.stranger().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut busy).await.unwrap();
    let refused = Store::open(&older.url()).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut busy).await.unwrap();
    assert_eq!(older.open().await.nodes().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_migration_that_is_not_as_it_was_or_did_not_end_is_refused() {
    for (damage, told) in [
        ("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 3", "3"),
        ("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 5", "5"),
    ] {
        let place = Place::new().await;
        place.open().await.close().await;
        place.execute(damage).await;
        let error = Store::open(&place.url()).await.unwrap_err();
        assert!(matches!(&error, StoreError::Schema(text) if text.contains(told)), "{error:?}");
    }
}

impl Place {
    async fn text(&self, sql: &str) -> Option<String> {
        let mut stranger = self.stranger().await;
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut stranger).await.unwrap().get(0)
    }
}
