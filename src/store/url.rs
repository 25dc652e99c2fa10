//! The database URL: which database, without ever repeating the URL in an error.

use std::path::PathBuf;

use super::StoreError;

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// A SQLite database in memory.
    Memory,
}

/// Reads a database URL as sqlx or SQLAlchemy spell it. A path of three slashes is absolute, as sqlx has it.
pub(super) fn parse(url: &str) -> Result<Location, StoreError> {
    let (scheme, rest) = url.split_once(':').ok_or(StoreError::Url("it has no scheme"))?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return Err(StoreError::Url("it has no scheme"));
    }
    // SQLAlchemy names the driver after a plus sign.
    let database = scheme.split_once('+').map_or(scheme, |(database, _driver)| database);
    if database != "sqlite" {
        return Err(StoreError::Unsupported(scheme.to_owned()));
    }
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if matches!(path, ":memory:" | "/:memory:") {
        return Ok(Location::Memory);
    }
    if path.contains('?') {
        return Err(StoreError::Url("parameters after `?` are not supported"));
    }
    if path.trim_matches('/').is_empty() {
        return Err(StoreError::Url("it names no file"));
    }
    let path = match path.strip_prefix('/') {
        Some(absolute) => format!("/{}", absolute.trim_start_matches('/')),
        None => path.to_owned(),
    };
    Ok(Location::File(PathBuf::from(path)))
}

/// The file that a database URL names; `None` for a database that is no file of its own.
pub fn database_file(url: &str) -> Option<PathBuf> {
    match parse(url) {
        Ok(Location::File(path)) => Some(path),
        Ok(Location::Memory) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(parse(url), Ok(Location::File(PathBuf::from(path))), "{url}");
        }
    }

    #[test]
    fn only_a_file_is_a_file() {
        assert_eq!(database_file("sqlite:///var/nodepool.db"), Some(PathBuf::from("/var/nodepool.db")));
        for url in ["sqlite::memory:", "postgresql://db/nodepool", "hunter2"] {
            assert_eq!(database_file(url), None, "{url}");
        }
    }

    #[test]
    fn every_spelling_of_memory() {
        for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:///:memory:"] {
            assert_eq!(parse(url), Ok(Location::Memory), "{url}");
        }
    }

    #[test]
    fn other_databases_are_named_and_their_passwords_are_not() {
        for url in
            ["mysql+pymysql://nodepool:hunter2@db/nodepool", "postgresql://nodepool:hunter2@db/nodepool"]
        {
            let error = parse(url).unwrap_err();
            assert_eq!(error, StoreError::Unsupported(url.split(':').next().unwrap().to_owned()));
            assert!(!error.to_string().contains("hunter2"));
        }
        for url in
            ["hunter2", "hunter2@db:3306", "://hunter2", "", "sqlite://", "sqlite:///", "sqlite:/x?hunter2"]
        {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, StoreError::Url(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
