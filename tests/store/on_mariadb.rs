//! MariaDB for tests: one server for all of a program, and a database on it for each test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use nodepool::store::Store;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use tokio::sync::OnceCell;

use crate::server::{Server, run, write_certificates};

const PACKAGE: &str = "mariadb-server-core mariadb-client-core";

/// Makes a MariaDB that wants to see a password, and starts it.
pub(crate) async fn started() -> Server {
    let mut server = Server::new();
    write_certificates(&server);
    let data = format!("--datadir={}", server.path("data"));
    let login = "--auth-root-authentication-method=normal";
    run(
        &["mariadb-install-db", "--no-defaults", "--user=root", &data, "--skip-test-db", login, SMALL_LOG],
        PACKAGE,
    );
    start(&mut server).await;
    let root = MySqlConnectOptions::new().socket(server.path("socket")).username("root");
    let mut root = root.connect().await.unwrap();
    let grant = "CREATE USER nodepool@'%' IDENTIFIED BY 's3cr@t'; GRANT ALL ON *.* TO nodepool@'%'";
    sqlx::raw_sql(grant).execute(&mut root).await.unwrap();
    server
}

const SMALL_LOG: &str = "--innodb-log-file-size=4M";

/// Starts it in its folder.
pub(crate) async fn start(server: &mut Server) {
    let [data, socket] = [("datadir", "data"), ("socket", "socket")]
        .map(|(option, name)| format!("--{option}={}", server.path(name)));
    let port = format!("--port={}", server.port);
    let [certificate, key] = [("cert", "server.pem"), ("key", "server.key")]
        .map(|(option, name)| format!("--ssl-{option}={}", server.path(name)));
    let command = [
        "mariadbd",
        "--no-defaults",
        "--user=root",
        &data,
        &socket,
        &port,
        &certificate,
        &key,
        "--bind-address=127.0.0.1",
        "--max-connections=300",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-flush-method=nosync",
        SMALL_LOG,
    ];
    server.start(&command, "KILL");
    let root = MySqlConnectOptions::new().socket(server.path("socket")).username("root");
    server.until_up(async || root.connect().await).await;
}

/// The URL of a database, as v0's files have it.
pub(crate) fn url(server: &Server, database: &str) -> String {
    format!(
        "mysql+pymysql://nodepool:s3cr%40t@127.0.0.1:{}/{database}?charset=utf8&ssl_mode=DISABLED",
        server.port
    )
}

/// Makes a database, empty, and gives its name. What the server takes for granted is not what we need.
pub(crate) async fn create(server: &Server) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("np{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let root = MySqlConnectOptions::new().socket(server.path("socket")).username("root");
    let mut root = root.connect().await.unwrap();
    let sql = format!("CREATE DATABASE {name} CHARACTER SET latin1");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut root).await.unwrap();
    name
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
    options: MySqlConnectOptions,
    folder: PathBuf,
}

impl Place {
    /// How often many open a new database at once.
    pub(crate) const OPENINGS: u32 = 2;
    /// How SQL calls the place in which our tables are.
    pub(crate) const SCHEMA: &str = "database()";
    /// How often what chance is to meet is tried: connecting takes its time.
    pub(crate) const ROUNDS: u64 = 24;
    /// How SQL spells a byte.
    pub(crate) const ZERO_BYTE: &str = "x'00'";

    /// A new database whose tables are up to date.
    pub(crate) async fn new() -> Self {
        let (server, model) = shared().await;
        let place = Self::on(server).await;
        place.like(model).await;
        place
    }

    /// A new database that nobody has opened.
    pub(crate) async fn empty() -> Self {
        Self::on(&shared().await.0).await
    }

    /// A new database that nobody has opened, on a server of the test's own.
    pub(crate) async fn on(server: &Server) -> Self {
        let name = create(server).await;
        let options =
            MySqlConnectOptions::new().socket(server.path("socket")).username("root").database(&name);
        Self { url: url(server, &name), options, name, folder: server.folder.clone() }
    }

    /// Ways to use TLS, and whether they are good.
    pub(crate) fn over_tls(&self) -> [(String, bool); 5] {
        let file = |name: &str| self.folder.join(name).display().to_string();
        [
            ("charset=utf8".to_owned(), true),
            ("ssl_mode=REQUIRED".to_owned(), true),
            (format!("ssl_mode=VERIFY_IDENTITY&ssl_ca={}", file("server.pem")), true),
            (format!("ssl_ca={}", file("stranger.pem")), false),
            ("ssl_mode=VERIFY_CA".to_owned(), false),
        ]
    }

    /// Makes it as the model is.
    async fn like(&self, model: &Self) {
        let mut stranger = self.stranger().await;
        let tables = "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = ?";
        let tables =
            sqlx::query_scalar::<_, String>(tables).bind(&model.name).fetch_all(&mut stranger).await.unwrap();
        let copied = tables.iter().map(|table| format!("CREATE TABLE {table} LIKE {}.{table}; ", model.name));
        let rows = ["_sqlx_migrations", "installation"]
            .map(|table| format!("INSERT INTO {table} SELECT * FROM {}.{table}; ", model.name));
        let renamed = "UPDATE installation SET name = left(md5(uuid()), 16)".to_owned();
        let sql: String = copied.chain(rows).chain([renamed]).collect();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut stranger).await.unwrap();
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// A connection that the store knows nothing of.
    async fn stranger(&self) -> MySqlConnection {
        self.options.connect().await.unwrap()
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
            "CREATE TRIGGER broken BEFORE INSERT ON history FOR EACH ROW SIGNAL SQLSTATE '45000' \
             SET MESSAGE_TEXT = 'provoked'",
        )
        .await;
    }

    pub(crate) async fn mend_history(&self) {
        self.execute("DROP TRIGGER broken").await;
    }

    /// Keeps everybody else from writing.
    pub(crate) async fn lock(&self) -> Lock {
        let mut stranger = self.stranger().await;
        sqlx::raw_sql("BEGIN; SELECT 1 FROM installation FOR UPDATE").execute(&mut stranger).await.unwrap();
        Lock(stranger)
    }
}

/// A write of somebody else that is under way.
pub(crate) struct Lock(MySqlConnection);

impl Lock {
    pub(crate) async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}
