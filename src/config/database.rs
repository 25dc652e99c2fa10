//! Which database: the one that is named, or a file in our folder for state.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::diagnostic::Report;
use super::source_text::Located;
use super::sources::Sources;
use super::types::DatabaseUrl;
use crate::database_url::{self, UrlError};

/// Chooses the database. One of a kind that nobody knows is an error; of two, that of secure.conf
/// counts, as in nodepool v0.
pub(super) fn choose(
    inline: Option<Located<SecretString>>,
    secure: Option<Located<SecretString>>,
    sources: &Sources,
    report: &mut Report,
) -> Option<DatabaseUrl> {
    if let (Some(inline), Some(secure)) = (&inline, &secure)
        && inline.value.expose_secret() != secure.value.expose_secret()
    {
        report
            .warning(
                &inline.at,
                format!(
                    "`dburi` is not the same as in {}, whose value is used",
                    secure.at.source.path.display()
                ),
            )
            .help("take this one out");
    }
    let Some(named) = secure.or(inline) else { return default(sources, report) };
    if let Err(error) = database_url::parse(named.value.expose_secret()) {
        let what = match error {
            // The kind is not repeated: text without one may be a password.
            UrlError::Unsupported(_) => "`dburi` does not begin with the kind of a database".to_owned(),
            UrlError::Unusable(_) => format!("`dburi`: {error}"),
        };
        report.error(&named.at, what).help(database_url::HELP);
        return None;
    }
    Some(DatabaseUrl(named.value))
}

fn default(sources: &Sources, report: &mut Report) -> Option<DatabaseUrl> {
    let Some(folder) = sources.state_folder() else {
        report
            .error_without_text(Some(sources.nodepool_yaml.clone()), "there is no folder for the database")
            .help("set HOME or XDG_STATE_HOME, or name a database in `dburi`");
        return None;
    };
    Some(DatabaseUrl(file_url(&folder.join("nodepool.db")).into()))
}

/// The URL of an SQLite file, as the store reads it: a path is taken as it is, without any escapes.
fn file_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}
