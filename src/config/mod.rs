//! What the operator asked for: an immutable value, made whole from the files or not at all, and swapped whole on reload.
//!
//! The way from the files to a [`Config`]: `tree` reads YAML so that everything knows its place, `raw` knows the shape of
//! nodepool.yaml and `secure` that of secure.conf, `clouds` finds credentials, and `check` looks whether it all fits
//! together. Each of them collects what is wrong and goes on, so that [`load`] reports every error at once.

mod check;
mod clouds;
mod cron;
mod database;
mod diagnostic;
pub mod diff;
mod fields;
mod files;
pub mod keys;
mod labels;
mod log_outputs;
mod logging;
mod place;
mod publishers;
pub mod python_logging;
mod raw;
mod recipe;
mod secure;
mod source_text;
mod sources;
mod spelling;
mod targets;
pub mod template;
mod tree;
mod types;
mod windows;
mod zones;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use diagnostic::{Diagnostic, Severity, SnippetLine, render};
pub use log_outputs::{LogDestination, LogOutput, Rotation};
pub use sources::{DEFAULT_SECURE_CONF, SecureConf, Sources};
pub use types::{
    CleanFloatingIps, CloudCredentials, Config, ConnectionAddress, Cron, Crons, DatabaseUrl, Domain,
    GearmanServer, GearmanTls, HostKeySource, Identity, ImageSource, Jenkins, Label, Launcher, LogFormat,
    LogLevel, Logging, Named, Network, NetworkName, Offer, Provider, ProviderImage, Retirement, Target,
    WebTokens,
};
pub use windows::Window;

use diagnostic::Report;
use secure::Secure;
use source_text::{Position, SourceText};

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is doubtful in the files.
    pub warnings: Vec<Diagnostic>,
    /// The files that it was made from: those that were read, and those that would have been, had they been there.
    pub files: BTreeSet<PathBuf>,
}

/// Reads the files and makes a configuration of them; or else returns every error, and the warnings among them, in the
/// order of the files.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<Diagnostic>> {
    let mut report = Report::default();
    let raw = read_required(&sources.nodepool_yaml, "-c", &mut report).and_then(|source| {
        let root = tree::read(&source, &mut report)?;
        raw::read(&root, &mut report)
    });
    let mut secure = read_secure(sources, &mut report);
    let made = raw.and_then(|mut raw| {
        let database = database::choose(raw.dburi.take(), secure.dburi.take(), sources, &mut report);
        check::check(raw, database, secure, sources, &mut report)
    });
    let failed = report.has_errors();
    let files = report.files();
    let diagnostics = report.finish();
    match made {
        Some(config) if !failed => Ok(Loaded { config, warnings: diagnostics, files }),
        _ => Err(diagnostics),
    }
}

/// What a file that `-l` names says about the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where lines go.
    pub outputs: Vec<LogOutput>,
    /// What of the file has no meaning here, each with its line.
    pub warnings: Vec<String>,
}

/// Reads the file that `-l` names: what would stand below `logging` in nodepool.yaml, or Python's logging.conf. `usual` is
/// where lines go that the file sends nowhere else.
///
/// # Errors
/// What is wrong with it, with its line.
pub fn log_file(path: &Path, usual: LogDestination) -> Result<LogFile, String> {
    let mut report = Report::default();
    let Some(source) = read_required(path, "-l", &mut report) else { return Err(render(&report.finish())) };
    let is_python =
        source.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    if is_python.is_some_and(|line| line.starts_with('[')) {
        let python_logging::PythonLogging { outputs, warnings } = python_logging::read(path, &source.text)?;
        return Ok(LogFile { outputs, warnings });
    }
    let logging = tree::read(&source, &mut report).and_then(|root| logging::read(&root, &mut report));
    let failed = report.has_errors();
    match logging {
        Some(logging) if !failed => {
            let warnings = report.finish();
            let warnings = warnings.iter().map(|warning| render(std::slice::from_ref(warning))).collect();
            Ok(LogFile { outputs: logging.outputs(usual), warnings })
        }
        _ => Err(render(&report.finish())),
    }
}

/// Reads a file that must be there. `option` is the one that names it.
fn read_required(path: &Path, option: &str, report: &mut Report) -> Option<Arc<SourceText>> {
    report.looked_at(path);
    match SourceText::read(path) {
        Ok(Some(source)) => Some(source),
        Ok(None) => {
            report
                .error_without_text(Some(path.to_owned()), "the file does not exist")
                .help(format!("make it, or name another one with `{option}`"));
            None
        }
        Err(reason) => {
            report.error_without_text(Some(path.to_owned()), format!("the file {reason}"));
            None
        }
    }
}

/// Reads secure.conf: the one that is named must exist, the one at the usual place need not.
fn read_secure(sources: &Sources, report: &mut Report) -> Secure {
    let path = sources.secure_conf.path();
    report.looked_at(path);
    let source = match (SourceText::read(path), &sources.secure_conf) {
        (Ok(None), SecureConf::IfPresent(_)) => None,
        _ => read_required(path, "-s", report),
    };
    let Some(source) = source else { return Secure::default() };
    let secure = secure::read(&source, report);
    if path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0) {
        report
            .warning(&Position::whole(&source), "the file is open to every user of this machine")
            .help(format!("chmod o= {}", path.display()))
            .about_machine();
    }
    secure
}
