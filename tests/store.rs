//! The store against real SQLite files: every query, what survives a crash, and what happens when others write too.

#[path = "store/behaviours.rs"]
mod behaviours;
#[path = "store/departed.rs"]
mod departed;
#[expect(dead_code, reason = "this test uses a part of what chance can do")]
#[path = "world/dice.rs"]
mod dice;
#[path = "store/failures.rs"]
mod failures;
#[path = "store/migrations.rs"]
mod migrations;
#[path = "store/pictures.rs"]
mod pictures;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodepool::model::{NodeId, WishKind};
use nodepool::store::{Store, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;

use behaviours::{add_node, at, changed, note};

/// Where a test's database is; gone with this value.
struct Place {
    _folder: TempDir,
    file: PathBuf,
}

impl Place {
    /// How often many open a new database at once.
    const OPENINGS: u32 = 5;
    /// How often what chance is to meet is tried.
    const ROUNDS: u64 = 100;
    /// How SQL spells a byte.
    const ZERO_BYTE: &str = "x'00'";

    /// A new database each time. The other kinds have to ask a server for one.
    #[expect(clippy::unused_async, reason = "the behaviours wait for a database of each kind")]
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/by/the/store/nodepool.db");
        Self { _folder: folder, file }
    }

    /// A new database that nobody has opened.
    async fn empty() -> Self {
        Self::new().await
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.file.display())
    }

    async fn open(&self) -> Store {
        Store::open(&self.url()).await.unwrap()
    }

    /// A connection that the store knows nothing of.
    async fn stranger(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(&self.file)
            .busy_timeout(Duration::from_secs(10))
            .connect()
            .await
            .unwrap()
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.stranger().await).await.unwrap();
    }

    /// Has all writes of history refused.
    async fn break_history(&self) {
        let sql = "CREATE TRIGGER broken BEFORE INSERT ON history BEGIN SELECT RAISE(ABORT, 'provoked'); END";
        self.execute(sql).await;
    }

    async fn mend_history(&self) {
        self.execute("DROP TRIGGER broken").await;
    }

    /// Keeps everybody else from writing.
    async fn lock(&self) -> Lock {
        let mut stranger = self.stranger().await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut stranger).await.unwrap();
        Lock(stranger)
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut stranger = self.stranger().await;
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut stranger).await.unwrap().get(0)
    }
}

/// A write of somebody else that is under way.
struct Lock(SqliteConnection);

impl Lock {
    async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_read_at_every_tick_does_not_grow_with_the_past() {
    let place = Place::new().await;
    place.open().await;
    let mut stranger = place.stranger().await;
    for (table, index) in [("wish", "wish_open"), ("job_event", "job_event_open")] {
        let sql =
            format!("EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE settled IS NULL ORDER BY id LIMIT 1000");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut stranger).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert_eq!(plan, [format!("SCAN {table} USING INDEX {index}")]);
    }
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_written() {
    let place = Place::new().await;
    let store = place.open().await;
    let node = add_node(&store, "a1").await;
    let node = store.update_node(&changed(&node), &note("held", at(200))).await.unwrap();
    let id = store.installation().await.unwrap();
    // What a killed process leaves: the file and its log as they are, with nobody connected.
    let copy = Place::new().await;
    std::fs::create_dir_all(copy.file.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        let of = |file: &Path| PathBuf::from(format!("{}{suffix}", file.display()));
        std::fs::copy(of(&place.file), of(&copy.file)).unwrap();
    }
    drop(store);
    for place in [place, copy] {
        let store = place.open().await;
        assert_eq!(store.installation().await.unwrap(), id);
        assert_eq!(store.nodes().await.unwrap(), std::slice::from_ref(&node));
        assert_eq!(store.recent_history(10).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn migrations_run_once() {
    let place = Place::new().await;
    place.open().await.close().await;
    let applied = "SELECT COUNT(*) FROM _sqlx_migrations";
    let schema = "PRAGMA schema_version";
    let before = (place.number(applied).await, place.number(schema).await);
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite")).unwrap().count();
    assert_eq!(before.0, i64::try_from(files).unwrap());
    place.open().await.close().await;
    assert_eq!((place.number(applied).await, place.number(schema).await), before);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let place = Place::new().await;
    let store = place.open().await;
    let node = add_node(&store, "a1").await;
    store.add_wish(&WishKind::Unhold(NodeId(1)), at(1)).await.unwrap();
    let damage = |sql: &str| format!("PRAGMA ignore_check_constraints = ON; {sql}");
    let text = |error| match error {
        StoreError::Corrupt(text) => text,
        other => panic!("{other:?}"),
    };

    place.execute(&damage("UPDATE node SET state = 'dreaming', step = NULL")).await;
    let expected = "table node, row 1: unknown state \"dreaming\" with step None";
    assert_eq!(text(store.nodes().await.unwrap_err()), expected);
    assert_eq!(text(store.node(node.id).await.unwrap_err()), expected);
    assert_eq!(text(store.node_lines().await.unwrap_err()), expected);

    place.execute(&damage("UPDATE wish SET kind = 'sing'")).await;
    assert_eq!(text(store.open_wishes().await.unwrap_err()), "table wish, row 1: unknown kind \"sing\"");
    place.execute("UPDATE wish SET kind = 'unhold', node_id = NULL").await;
    assert_eq!(text(store.open_wishes().await.unwrap_err()), "table wish, row 1: column node_id: is null");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    let notes = "these are my notes ".repeat(100);
    std::fs::write(&file, &notes).unwrap();
    let error = Store::open(&format!("sqlite://{}", file.display())).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), notes);
    let error = Store::open(&format!("sqlite://{}", folder.path().display())).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let error = Store::open("oracle+cx://nodepool:hunter2@db/nodepool").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "databases of the kind `oracle+cx` are not supported, only `sqlite`, `postgresql`, `mysql` and `mariadb`"
    );
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let place = Place::new().await;
    let store = place.open().await;
    add_node(&store, "a1").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(Path::new(&format!("{}{suffix}", place.file.display()))), 0o600, "{suffix}");
    }
    assert_eq!(mode(place.file.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_database_in_memory_is_one_for_its_clones_and_its_own_for_each_open() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let clone = store.clone();
    let writers = (0..10).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { add_node(&store, &format!("a{n}")).await })
    });
    futures::future::join_all(writers).await;
    assert_eq!(clone.nodes().await.unwrap().len(), 10);
    let before = store.picture(None).await.unwrap();
    add_node(&store, "a10").await;
    assert_eq!(
        store.picture(Some(before)).await.unwrap().nodes.len(),
        11,
        "nothing tells that somebody wrote"
    );
    assert_eq!(Store::open("sqlite::memory:").await.unwrap().nodes().await.unwrap(), []);
}
