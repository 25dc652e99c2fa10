//! PostgreSQL, MariaDB and MySQL: servers that others run, that restart, and that many may write to.
//!
//! A write begins by counting itself in the one row of `installation`. That row stays locked until the write ends, so
//! writes come one after the other, as SQLite has it: an UPDATE that finds no row may be followed by an INSERT, no two
//! writes wait for each other, and the count tells whoever watches that somebody wrote.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPoolOptions, MySqlSslMode};
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection, Database, Executor, MySql, Postgres};

use super::{ACQUIRE_TIMEOUT, Pair, READERS};
use crate::database_url::{Server, Tls};
use crate::store::StoreError;

/// The first statement of every write.
pub(super) const COUNT: &str = "UPDATE installation SET commits = commits + 1 WHERE id = 1";
/// How many writes there were. It is the same as long as nobody wrote.
pub(super) const COUNTED: &str = "SELECT commits FROM installation WHERE id = 1";

/// What a session of PostgreSQL needs. A lock is waited for as long as SQLite waits for one; what we do not wait for any
/// more ends there, too; and of a machine that vanished in the middle of a write the server frees the lock by itself.
/// <https://www.postgresql.org/docs/15/runtime-config-client.html>
const POSTGRES_SESSION: &str = "SET lock_timeout = '5s'; SET statement_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '60s'; SET default_transaction_isolation = 'read committed'";
const POSTGRES_READS: &str = "SET default_transaction_read_only = on";
/// The same for MariaDB and MySQL, which frees the locks of whom it has not heard of for `wait_timeout`. Strict, because a
/// text that does not fit is to be refused and not cut. <https://mariadb.com/kb/en/server-system-variables/>
const MYSQL_SESSION: &str = "SET SESSION innodb_lock_wait_timeout = 5, wait_timeout = 60, \
    sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO'; \
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
const MYSQL_READS: &str = "SET SESSION TRANSACTION READ ONLY";

/// How long a connection may have nothing to do: less than the server waits for it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How old a connection may become, so that a server that others should take over from is left one day.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// Connects to PostgreSQL and brings its tables up to date.
pub(super) async fn open_postgres(server: &Server) -> Result<Pair<Postgres>, StoreError> {
    let options = postgres_options(server);
    // The pool would try for a while and then not say what was wrong.
    let first = first(server, sqlx::PgConnection::connect_with(&options)).await?;
    super::migrations::migrate_postgres(first).await?;
    let pool = |connections, session: &'static [&'static str]| {
        let pool: PgPoolOptions = pool(connections);
        pool.after_connect(move |connection, _metadata| {
            Box::pin(async move {
                for sql in session {
                    connection.execute(*sql).await?;
                }
                Ok(())
            })
        })
        .connect_lazy_with(options.clone())
    };
    Ok(Pair { write: pool(1, &[POSTGRES_SESSION]), read: pool(READERS, &[POSTGRES_SESSION, POSTGRES_READS]) })
}

/// Connects to MariaDB or MySQL and brings its tables up to date.
pub(super) async fn open_mysql(server: &Server) -> Result<Pair<MySql>, StoreError> {
    let options = mysql_options(server);
    let first = first(server, sqlx::MySqlConnection::connect_with(&options)).await?;
    super::migrations::migrate_mysql(first).await?;
    let pool = |connections, session: &'static [&'static str]| {
        let pool: MySqlPoolOptions = pool(connections);
        pool.after_connect(move |connection, _metadata| {
            Box::pin(async move {
                for sql in session {
                    connection.execute(*sql).await?;
                }
                Ok(())
            })
        })
        .connect_lazy_with(options.clone())
    };
    Ok(Pair { write: pool(1, &[MYSQL_SESSION]), read: pool(READERS, &[MYSQL_SESSION, MYSQL_READS]) })
}

/// Connections that are looked at before they are used: the server may have been restarted.
fn pool<D: Database>(connections: u32) -> PoolOptions<D> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .test_before_acquire(true)
}

/// The first connection: what is wrong with it is told in words that say where to look.
async fn first<C>(
    server: &Server,
    connecting: impl Future<Output = sqlx::Result<C>>,
) -> Result<C, StoreError> {
    let connected = async { connecting.await.map_err(|error| explained(server, error)) };
    tokio::time::timeout(ACQUIRE_TIMEOUT, connected).await.unwrap_or_else(|_elapsed| {
        Err(StoreError::Server {
            what: format!("{} did not answer within {} s", server.place(), ACQUIRE_TIMEOUT.as_secs()),
            next: "see that the server of the database runs, and that nothing between drops what is sent",
        })
    })
}

/// What a refused connection means. Codes: <https://www.postgresql.org/docs/15/errcodes-appendix.html> and
/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
fn explained(server: &Server, error: sqlx::Error) -> StoreError {
    let place = server.place();
    let sqlx::Error::Database(database) = &error else {
        let next = if is_about_tls(&error) {
            "name in `dburi` the certificates that sign that of the server (ssl_ca, sslrootcert), or ask for less (ssl_mode, \
             sslmode)"
        } else {
            "see that the server of the database runs there, and that `dburi` names its host and port"
        };
        return StoreError::Server { what: format!("{place} cannot be reached: {error}"), next };
    };
    let state = database.code().unwrap_or_default().into_owned();
    let mysql = database.try_downcast_ref::<MySqlDatabaseError>();
    let number = mysql.map_or(0, MySqlDatabaseError::number);
    let said = database.message().to_owned();
    let next = match (state.as_str(), number) {
        ("28P01" | "28000", _) | (_, 1045 | 1698) => {
            "correct the user and the password in `dburi`; characters like @ and / in them are written as %40 and %2F"
        }
        ("3D000", _) | (_, 1049) => "make the database that `dburi` names, empty, and give it to that user",
        (_, 1044) => "grant the user of `dburi` all rights on that database",
        ("53300", _) | (_, 1040 | 1203) => "allow more connections there; each process of ours needs up to 5",
        _ => "see what the log of the database's server says",
    };
    match StoreError::from_server(error) {
        StoreError::Unavailable(_) | StoreError::Denied(_) => {
            StoreError::Server { what: format!("{place} said: {said}"), next }
        }
        other => other,
    }
}

/// What rustls refuses comes as data that is not valid.
fn is_about_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn postgres_options(server: &Server) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&server.host)
        .port(server.port)
        .username(&server.user)
        .database(&server.database)
        .application_name("nodepool")
        .ssl_mode(match server.tls {
            Tls::Off => PgSslMode::Disable,
            Tls::IfOffered => PgSslMode::Prefer,
            Tls::Required => PgSslMode::Require,
            Tls::Chain => PgSslMode::VerifyCa,
            Tls::ChainAndName => PgSslMode::VerifyFull,
        });
    if let Some(password) = server.password() {
        options = options.password(password);
    }
    if let Some(folder) = &server.socket {
        options = options.socket(folder);
    }
    if let Some(file) = &server.ca_file {
        options = options.ssl_root_cert(file);
    }
    if let Some((certificate, key)) = &server.client {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    options
}

fn mysql_options(server: &Server) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .host(&server.host)
        .port(server.port)
        .username(&server.user)
        .database(&server.database)
        .charset("utf8mb4")
        .ssl_mode(match server.tls {
            Tls::Off => MySqlSslMode::Disabled,
            Tls::IfOffered => MySqlSslMode::Preferred,
            Tls::Required => MySqlSslMode::Required,
            Tls::Chain => MySqlSslMode::VerifyCa,
            Tls::ChainAndName => MySqlSslMode::VerifyIdentity,
        });
    if let Some(password) = server.password() {
        options = options.password(password);
    }
    if let Some(file) = &server.socket {
        options = options.socket(file);
    }
    if let Some(file) = &server.ca_file {
        options = options.ssl_ca(file);
    }
    if let Some((certificate, key)) = &server.client {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    options
}
