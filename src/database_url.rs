//! The database URL: which database, without ever repeating the URL in an error. The configuration checks it, the store
//! opens what it names.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};

/// Why a database URL cannot be used. Nothing of the URL is repeated but words that cannot be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No database of this kind is supported.
    #[error(
        "databases of the kind `{0}` are not supported, only `sqlite`, `postgresql`, `mysql` and `mariadb`"
    )]
    Unsupported(String),
    /// It is not the URL of a database.
    #[error("the database URL is not usable: {0}")]
    Unusable(String),
}

/// How a URL of each kind is written, for whoever has to correct one.
pub const HELP: &str = "write sqlite:////var/lib/nodepool/nodepool.db, mysql://USER:PASSWORD@HOST/DATABASE or \
    postgresql://USER:PASSWORD@HOST/DATABASE";

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A SQLite file.
    File(File),
    /// A SQLite database in memory.
    Memory,
    /// A PostgreSQL server.
    Postgres(Server),
    /// A MariaDB or MySQL server.
    MySql(Server),
}

/// A file of SQLite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// How long a write waits while another process writes: `timeout` of Python's sqlite3, which SQLAlchemy hands on.
    pub busy_timeout: Duration,
}

/// A server, and who we are there.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The socket of MariaDB, or the folder of PostgreSQL's; used in place of host and port.
    pub socket: Option<PathBuf>,
    /// Who we are there.
    pub user: String,
    password: Option<SecretString>,
    /// The name of the database.
    pub database: String,
    /// How much TLS is wanted.
    pub tls: Tls,
    /// The certificates that are believed; those of the system, if none are named.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How much TLS is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// None.
    Off,
    /// If the server has it, whoever it says it is.
    IfOffered,
    /// Always, whoever the server says it is.
    Required,
    /// With a certificate that is believed.
    Chain,
    /// With a certificate that is believed and made out to this host.
    ChainAndName,
}

/// How long a write waits for another process, unless it is said: as in Python's sqlite3.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest such wait: after that no statement of ours waits any more.
const LONGEST_BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The ports of servers, unless others are named.
const POSTGRES_PORT: u16 = 5432;
const MYSQL_PORT: u16 = 3306;

/// The parameters that have a meaning here. The first are those of Python's sqlite3, then those of libpq, which psycopg2
/// takes, then those of PyMySQL and mysqlclient.
const SQLITE_PARAMETERS: &str = "timeout, check_same_thread";
const POSTGRES_PARAMETERS: &str = "sslmode, sslrootcert, sslcert, sslkey, host, port";
const MYSQL_PARAMETERS: &str = "unix_socket, ssl_mode, ssl_ca, ssl_cert, ssl_key";
/// Parameters that v0's files have and that change nothing here: texts are always UTF-8, and every wait has a deadline.
const WITHOUT_EFFECT: [&str; 6] =
    ["charset", "use_unicode", "client_encoding", "connect_timeout", "application_name", "autocommit"];

/// Reads a database URL as sqlx or SQLAlchemy spell it. A path of three slashes is absolute, as sqlx has it.
pub fn parse(url: &str) -> Result<Location, UrlError> {
    let (scheme, rest) = url.split_once(':').ok_or_else(|| unusable("it has no scheme"))?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return Err(unusable("it has no scheme"));
    }
    // SQLAlchemy names the driver after a plus sign.
    match scheme.split_once('+').map_or(scheme, |(database, _driver)| database) {
        "sqlite" => file(rest),
        "postgres" | "postgresql" => server(rest, POSTGRES_PORT, postgres_parameter).map(Location::Postgres),
        "mysql" | "mariadb" => server(rest, MYSQL_PORT, mysql_parameter).map(Location::MySql),
        _ => Err(UrlError::Unsupported(scheme.to_owned())),
    }
}

fn file(rest: &str) -> Result<Location, UrlError> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let mut busy_timeout = BUSY_TIMEOUT;
    for (key, value) in form_urlencoded::parse(parameters.as_bytes()) {
        match &*key {
            "timeout" => busy_timeout = seconds(&value)?,
            "check_same_thread" => {}
            _ => return Err(unknown(&key, SQLITE_PARAMETERS)),
        }
    }
    if matches!(path, ":memory:" | "/:memory:") {
        return Ok(Location::Memory);
    }
    if path.trim_matches('/').is_empty() {
        return Err(unusable("it names no file"));
    }
    let path = match path.strip_prefix('/') {
        Some(absolute) => format!("/{}", absolute.trim_start_matches('/')),
        None => path.to_owned(),
    };
    Ok(Location::File(File { path: PathBuf::from(path), busy_timeout }))
}

fn seconds(value: &str) -> Result<Duration, UrlError> {
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|time| *time <= LONGEST_BUSY_TIMEOUT)
        .ok_or_else(|| unusable("the parameter `timeout` is a number of seconds from 0 to 30"))
}

/// `//user:password@host:port/database?parameters`. As in SQLAlchemy 1, the password reaches to the last `@`.
fn server(
    rest: &str,
    usual_port: u16,
    parameter: fn(&mut Server, &str, &str) -> Result<(), UrlError>,
) -> Result<Server, UrlError> {
    let rest = rest.strip_prefix("//").ok_or_else(|| unusable("`//` is missing after the colon"))?;
    let (who, place) = rest.rsplit_once('@').map_or((None, rest), |(who, place)| (Some(who), place));
    let (place, parameters) = place.split_once('?').unwrap_or((place, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = host_and_port(authority)?;
    let (user, password) = who.map_or((None, None), |who| match who.split_once(':') {
        Some((user, password)) => (Some(user), Some(password)),
        None => (Some(who), None),
    });
    let user = user.filter(|user| !user.is_empty()).ok_or_else(|| unusable("it names no user"))?;
    let mut server = Server {
        host: if host.is_empty() { "localhost".to_owned() } else { decoded(host, "host")? },
        port: port.unwrap_or(usual_port),
        socket: None,
        user: decoded(user, "user")?,
        password: password.map(|password| decoded(password, "password").map(Into::into)).transpose()?,
        database: decoded(database, "database")?,
        tls: Tls::IfOffered,
        ca_file: None,
        client: None,
    };
    if server.database.is_empty() {
        return Err(unusable("it names no database after the host"));
    }
    for (key, value) in form_urlencoded::parse(parameters.as_bytes()) {
        if !WITHOUT_EFFECT.contains(&&*key) {
            parameter(&mut server, &key, &value)?;
        }
    }
    if server
        .client
        .as_ref()
        .is_some_and(|(certificate, key)| certificate.as_os_str().is_empty() || key.as_os_str().is_empty())
    {
        return Err(unusable("a certificate of ours and its key are named together, or not at all"));
    }
    Ok(server)
}

fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port),
        None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, None)),
        Some("") => Ok((host, None)),
        Some(number) => number.parse().map(|port| (host, Some(port))).map_err(|_error| {
            // What stands there may be the end of a password.
            unusable("the port is no number; characters like @, / and : in a user or a password are written as %40, %2F, %3A")
        }),
        None => Err(unusable("something stands between the host and the port")),
    }
}

fn postgres_parameter(server: &mut Server, key: &str, value: &str) -> Result<(), UrlError> {
    match key {
        "sslmode" => {
            server.tls = match value {
                "disable" => Tls::Off,
                "allow" | "prefer" => Tls::IfOffered,
                "require" => Tls::Required,
                "verify-ca" => Tls::Chain,
                "verify-full" => Tls::ChainAndName,
                _ => {
                    let modes = "disable, allow, prefer, require, verify-ca or verify-full";
                    return Err(unusable(&format!("the parameter `sslmode` is {modes}")));
                }
            }
        }
        "sslrootcert" => server.ca_file = Some(value.into()),
        "sslcert" => server.client.get_or_insert_default().0 = value.into(),
        "sslkey" => server.client.get_or_insert_default().1 = value.into(),
        "host" if value.starts_with('/') => server.socket = Some(value.into()),
        "host" => value.clone_into(&mut server.host),
        "port" => {
            server.port = value.parse().map_err(|_error| unusable("the parameter `port` is a number"))?;
        }
        _ => return Err(unknown(key, POSTGRES_PARAMETERS)),
    }
    Ok(())
}

fn mysql_parameter(server: &mut Server, key: &str, value: &str) -> Result<(), UrlError> {
    match key.replace('-', "_").as_str() {
        "unix_socket" | "socket" => server.socket = Some(value.into()),
        "ssl_mode" => {
            server.tls = match value.to_ascii_uppercase().replace('-', "_").as_str() {
                "DISABLED" => Tls::Off,
                "PREFERRED" => Tls::IfOffered,
                "REQUIRED" => Tls::Required,
                "VERIFY_CA" => Tls::Chain,
                "VERIFY_IDENTITY" => Tls::ChainAndName,
                _ => {
                    let modes = "DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
                    return Err(unusable(&format!("the parameter `ssl_mode` is {modes}")));
                }
            }
        }
        // Whoever names the certificates to believe wants them checked, as PyMySQL does.
        "ssl_ca" => {
            server.ca_file = Some(value.into());
            if matches!(server.tls, Tls::IfOffered | Tls::Required) {
                server.tls = Tls::Chain;
            }
        }
        "ssl_cert" => server.client.get_or_insert_default().0 = value.into(),
        "ssl_key" => server.client.get_or_insert_default().1 = value.into(),
        _ => return Err(unknown(key, MYSQL_PARAMETERS)),
    }
    Ok(())
}

fn unknown(key: &str, known: &str) -> UrlError {
    // A key that is no word may be a part of a password.
    let is_word = key.len() <= 32 && key.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-'));
    let key = if is_word { key } else { "..." };
    unusable(&format!("the parameter `{key}` is not supported, only {known}"))
}

fn decoded(text: &str, what: &str) -> Result<String, UrlError> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_error| unusable(&format!("the {what} is not UTF-8")))?;
    if text.contains('\0') {
        return Err(unusable(&format!("the {what} has a NUL in it")));
    }
    Ok(text.into_owned())
}

fn unusable(why: &str) -> UrlError {
    UrlError::Unusable(why.to_owned())
}

impl Server {
    /// The password, if there is one.
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(SecretString::expose_secret)
    }

    /// Which server it is, in words for a person.
    pub fn place(&self) -> String {
        match &self.socket {
            Some(socket) => format!("the server at {}", socket.display()),
            None if self.host.contains(':') => format!("the server at [{}]:{}", self.host, self.port),
            None => format!("the server at {}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.path.display()),
            Self::Memory => f.write_str("memory"),
            Self::Postgres(server) => {
                write!(f, "the PostgreSQL database {} on {}", server.database, server.place())
            }
            Self::MySql(server) => write!(f, "the MySQL database {} on {}", server.database, server.place()),
        }
    }
}

/// The file that a database URL names; `None` for a database that is no file of its own.
pub fn file_of(url: &str) -> Option<PathBuf> {
    match parse(url) {
        Ok(Location::File(file)) => Some(file.path),
        Ok(_) | Err(_) => None,
    }
}

/// Which database a URL names, in words for a person: without its user and its password.
pub fn place_of(url: &str) -> Option<String> {
    match parse(url) {
        Ok(Location::Memory) | Err(_) => None,
        Ok(location) => Some(location.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn path_of(url: &str) -> PathBuf {
        match parse(url) {
            Ok(Location::File(file)) => file.path,
            other => panic!("{url}: {other:?}"),
        }
    }

    fn server_in(url: &str) -> Server {
        match parse(url) {
            Ok(Location::Postgres(server) | Location::MySql(server)) => server,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn every_spelling_of_a_file() {
        for (url, path) in [
            ("sqlite:///var/lib/nodepool.db", "/var/lib/nodepool.db"),
            ("sqlite:////var/lib/nodepool.db", "/var/lib/nodepool.db"),
            ("sqlite:/var/lib/nodepool.db", "/var/lib/nodepool.db"),
            ("sqlite+pysqlite:////var/nodepool.db", "/var/nodepool.db"),
            ("sqlite:relative.db", "relative.db"),
            ("sqlite://folder/relative.db", "folder/relative.db"),
        ] {
            assert_eq!(path_of(url), PathBuf::from(path), "{url}");
        }
    }

    #[test]
    fn parameters_of_a_file() {
        for (url, busy_timeout) in [
            ("sqlite:////x.db", BUSY_TIMEOUT),
            ("sqlite:////x.db?timeout=15", Duration::from_secs(15)),
            ("sqlite:////x.db?check_same_thread=False&timeout=0.5", Duration::from_millis(500)),
        ] {
            let Ok(Location::File(file)) = parse(url) else { panic!("{url}") };
            assert_eq!(file, File { path: "/x.db".into(), busy_timeout }, "{url}");
        }
        for url in
            ["sqlite:////x.db?timeout=soon", "sqlite:////x.db?timeout=-1", "sqlite:////x.db?timeout=31"]
        {
            assert!(parse(url).unwrap_err().to_string().contains("`timeout`"), "{url}");
        }
    }

    #[test]
    fn only_a_file_is_a_file() {
        assert_eq!(file_of("sqlite:///var/nodepool.db"), Some(PathBuf::from("/var/nodepool.db")));
        for url in ["sqlite::memory:", "postgresql://u@db/nodepool", "hunter2"] {
            assert_eq!(file_of(url), None, "{url}");
        }
    }

    #[test]
    fn every_spelling_of_memory() {
        for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:///:memory:"] {
            assert!(matches!(parse(url), Ok(Location::Memory)), "{url}");
        }
    }

    #[test]
    fn servers_as_sqlalchemy_spells_them() {
        let facts = |url| {
            let server = server_in(url);
            let password = server.password().unwrap_or("-").to_owned();
            (server.user, password, server.host, server.port, server.database)
        };
        for (url, (user, password, host, port, database)) in [
            ("mysql://ci:hunter2@db/nodepool", ("ci", "hunter2", "db", 3306, "nodepool")),
            (
                "mysql+pymysql://ci:hunter2@db:3307/nodepool?charset=utf8",
                ("ci", "hunter2", "db", 3307, "nodepool"),
            ),
            (
                "mysql+mysqldb://ci:p%40ss%2Fw%3Ard%25@10.0.0.1/np",
                ("ci", "p@ss/w:rd%", "10.0.0.1", 3306, "np"),
            ),
            ("mariadb+mariadbconnector://ci:a@b/c?@db/np", ("ci", "a@b/c?", "db", 3306, "np")),
            ("postgresql://ci@db.example.org/np", ("ci", "-", "db.example.org", 5432, "np")),
            (
                "postgresql+psycopg2://ci:pw+x@[2001:db8::1]:5433/np",
                ("ci", "pw+x", "2001:db8::1", 5433, "np"),
            ),
            ("postgres://ci:@/np", ("ci", "", "localhost", 5432, "np")),
        ] {
            let expected = (user.to_owned(), password.to_owned(), host.to_owned(), port, database.to_owned());
            assert_eq!(facts(url), expected, "{url}");
        }
        assert!(matches!(parse("mariadb://u:p@h/d"), Ok(Location::MySql(_))));
        assert!(matches!(parse("postgres://u:p@h/d"), Ok(Location::Postgres(_))));
    }

    #[test]
    fn parameters_are_understood_or_refused_by_name() {
        let server =
            server_in("postgresql://u@/d?host=/run/postgresql&sslmode=verify-full&sslrootcert=/ca.pem");
        assert_eq!(
            (server.socket.as_deref(), server.tls),
            (Some(Path::new("/run/postgresql")), Tls::ChainAndName)
        );
        assert_eq!(server.ca_file.as_deref(), Some(Path::new("/ca.pem")));
        let server = server_in("postgresql://u@/d?host=db&port=7&connect_timeout=3");
        assert_eq!((server.host.as_str(), server.port, server.tls), ("db", 7, Tls::IfOffered));
        let server = server_in("mysql://u@/d?unix_socket=%2Frun%2Fdb.sock&charset=utf8&use_unicode=1");
        assert_eq!((server.socket.as_deref(), server.tls), (Some(Path::new("/run/db.sock")), Tls::IfOffered));
        let server = server_in("mysql://u@h/d?ssl_ca=/ca.pem&ssl_cert=/c.pem&ssl_key=/k.pem");
        assert_eq!((server.tls, server.client), (Tls::Chain, Some(("/c.pem".into(), "/k.pem".into()))));
        assert_eq!(server_in("mysql://u@h/d?ssl-mode=required").tls, Tls::Required);
        let told = parse("mysql://u@h/d?pool_size=3").unwrap_err().to_string();
        assert!(told.contains("`pool_size`") && told.contains("unix_socket"), "{told}");
    }

    #[test]
    fn passwords_are_never_repeated() {
        assert_eq!(
            parse("oracle://ci:hunter2@db/np").unwrap_err(),
            UrlError::Unsupported("oracle".to_owned())
        );
        for url in [
            "hunter2",
            "hunter2@db:3306",
            "://hunter2",
            "",
            "sqlite://",
            "sqlite:///",
            "sqlite:/x?hunter2",
            "mysql:hunter2",
            "mysql://db/nodepool",
            "mysql://:hunter2@db/nodepool",
            "mysql://ci:hunter2@db",
            "mysql://ci:hunter2@db/",
            "mysql://ci:x@db:hunter2/np",
            "mysql://ci:hunter2@[::1]x/np",
            "mysql://ci:hunter2@db/np?hunter2=Hunter2",
            "mysql://ci:hunter2@db/np?ssl_mode=hunter2",
            "mysql://ci:hunter2@db/np?ssl_cert=/a",
            "postgresql://ci:hunter2@db/np?sslmode=hunter2",
            "postgresql://ci:hunter2@db/np?unix_socket=/x",
            "postgresql://ci:%00hunter2@db/np",
            "postgresql://ci:%ffhunter2@db/np",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, UrlError::Unusable(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{url}: {error}");
        }
        let shown = format!("{:?}", parse("mysql://ci:hunter2@db/np"));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(
            place_of("mysql://ci:hunter2@db/np").unwrap(),
            "the MySQL database np on the server at db:3306"
        );
    }
}
