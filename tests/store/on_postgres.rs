//! PostgreSQL for tests: one server for all of a program, and a database on it for each test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nodepool::store::Store;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tokio::sync::OnceCell;

use crate::server::{Server, run, write_certificates};

const PACKAGE: &str = "postgresql";

/// Makes a PostgreSQL that wants to see a password, and starts it.
pub(crate) async fn started() -> Server {
    let mut server = Server::new();
    std::fs::write(server.path("password"), "s3cr@t").unwrap();
    write_certificates(&server);
    if is_root() {
        run(&["chown", "-R", "postgres", server.folder.to_str().unwrap()], PACKAGE);
    }
    let (data, password) = (server.path("data"), server.path("password"));
    let made = [
        "-D",
        &data,
        "-U",
        "nodepool",
        "-A",
        "scram-sha-256",
        "--pwfile",
        &password,
        "--no-sync",
        "-E",
        "UTF8",
    ];
    run(&[as_owner(), vec![&program("initdb")], made.to_vec()].concat(), PACKAGE);
    std::fs::write(server.path("data/pg_hba.conf"), LOGINS).unwrap();
    start(&mut server).await;
    server
}

/// Its usual way to see a password takes long in a program that was not optimised: it is taken where it matters.
const LOGINS: &str = "\
local all all trust
host postgres,nowhere all 127.0.0.1/32 scram-sha-256
host all nodepool 127.0.0.1/32 password
host all all 127.0.0.1/32 scram-sha-256
";

/// Starts it in its folder.
pub(crate) async fn start(server: &mut Server) {
    let (data, sockets, port) = (server.path("data"), server.path(""), server.port.to_string());
    let program = program("postgres");
    let certificate = format!("ssl_cert_file={}", server.path("server.pem"));
    let key = format!("ssl_key_file={}", server.path("server.key"));
    let options = [
        "fsync=off",
        "full_page_writes=off",
        "max_connections=300",
        "shared_buffers=32MB",
        "ssl=on",
        &certificate,
        &key,
    ];
    let options = options.iter().flat_map(|option| ["-c", *option]);
    let command =
        [as_owner(), vec![&program, "-D", &data, "-k", &sockets, "-h", "127.0.0.1", "-p", &port]].concat();
    let command: Vec<&str> = command.into_iter().chain(options).collect();
    // It calls that an immediate shutdown, and recovers at its next start.
    server.start(&command, "QUIT");
    server.until_up(async || PgConnection::connect(&plain(server, "postgres")).await).await;
}

/// The URL of a database, as v0's files have it.
pub(crate) fn url(server: &Server, database: &str) -> String {
    format!("postgresql+psycopg2://nodepool:s3cr%40t@127.0.0.1:{}/{database}?sslmode=disable", server.port)
}

/// Root may not run it.
fn as_owner() -> Vec<&'static str> {
    let other = vec!["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"];
    if is_root() { other } else { Vec::new() }
}

fn program(name: &str) -> String {
    newest(Path::new("/usr/lib/postgresql"), PACKAGE).join("bin").join(name).to_str().unwrap().to_owned()
}

/// Makes a database, empty or as the model is, and gives its name.
async fn create(server: &Server, model: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("np{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut admin = PgConnection::connect(&plain(server, "postgres")).await.unwrap();
    let sql = format!("CREATE DATABASE {name} TEMPLATE {model}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    name
}

/// The URL as sqlx reads it, of somebody who needs no password.
fn plain(server: &Server, database: &str) -> String {
    format!("postgresql://nodepool@localhost:{}/{database}?host={}", server.port, server.folder.display())
}

/// The server of all tests, and a database on it that is up to date: bringing one there takes much longer than a copy.
async fn shared() -> &'static (Server, Place) {
    static SERVER: OnceCell<(Server, Place)> = OnceCell::const_new();
    let started = async || {
        let server = started().await;
        let model = Place::on(&server).await;
        model.open().await.close().await;
        (server, model)
    };
    SERVER.get_or_init(started).await
}

/// A test's database.
pub(crate) struct Place {
    name: String,
    url: String,
    plain: String,
    folder: PathBuf,
}

impl Place {
    /// How often many open a new database at once.
    pub(crate) const OPENINGS: u32 = 2;
    /// How SQL calls the place in which our tables are.
    pub(crate) const SCHEMA: &str = "current_schema()";
    /// How often what chance is to meet is tried: connecting takes its time.
    pub(crate) const ROUNDS: u64 = 24;
    /// How SQL spells a byte.
    pub(crate) const ZERO_BYTE: &str = "'\\x00'";

    /// A new database whose tables are up to date.
    pub(crate) async fn new() -> Self {
        let (server, model) = shared().await;
        let place = Self::of(server, &model.name).await;
        // Each installation has a name of its own.
        place.execute("UPDATE installation SET name = left(md5(random()::text), 16)").await;
        place
    }

    /// A new database that nobody has opened.
    pub(crate) async fn empty() -> Self {
        Self::on(&shared().await.0).await
    }

    /// A new database that nobody has opened, on a server of the test's own.
    pub(crate) async fn on(server: &Server) -> Self {
        Self::of(server, "template0").await
    }

    async fn of(server: &Server, model: &str) -> Self {
        let name = create(server, model).await;
        let folder = server.folder.clone();
        Self { url: url(server, &name), plain: plain(server, &name), name, folder }
    }

    /// Ways to use TLS, and whether they are good.
    pub(crate) fn over_tls(&self) -> [(String, bool); 5] {
        let file = |name: &str| self.folder.join(name).display().to_string();
        [
            ("client_encoding=utf8".to_owned(), true),
            ("sslmode=require".to_owned(), true),
            (format!("sslmode=verify-full&sslrootcert={}", file("server.pem")), true),
            (format!("sslmode=verify-full&sslrootcert={}", file("stranger.pem")), false),
            ("sslmode=verify-ca".to_owned(), false),
        ]
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// A connection that the store knows nothing of.
    async fn stranger(&self) -> PgConnection {
        PgConnection::connect(&self.plain).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.stranger().await).await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut stranger = self.stranger().await;
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut stranger).await.unwrap().get(0)
    }

    /// Has all writes of history refused.
    pub(crate) async fn break_history(&self) {
        self.execute(
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'provoked'; END $$; \
             CREATE TRIGGER broken BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION broken()",
        )
        .await;
    }

    pub(crate) async fn mend_history(&self) {
        self.execute("DROP TRIGGER broken ON history").await;
    }

    /// Keeps everybody else from writing.
    pub(crate) async fn lock(&self) -> Lock {
        let mut stranger = self.stranger().await;
        sqlx::raw_sql("BEGIN; SELECT 1 FROM installation FOR UPDATE").execute(&mut stranger).await.unwrap();
        Lock(stranger)
    }
}

/// A write of somebody else that is under way.
pub(crate) struct Lock(PgConnection);

impl Lock {
    pub(crate) async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

/// Whether the tests are run by root, as whom it does not run.
fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// The newest folder of a package that has one for each of its versions.
fn newest(folder: &Path, package: &str) -> PathBuf {
    let versions = std::fs::read_dir(folder);
    let versions =
        versions.unwrap_or_else(|error| panic!("{}: {error}: apt-get install {package}", folder.display()));
    let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let versions = versions.map(|entry| entry.unwrap().path());
    versions.max_by_key(number).unwrap_or_else(|| panic!("{} is empty", folder.display()))
}
