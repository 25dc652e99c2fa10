//! `nodepool config-validate`: every error in the configuration at once.

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::{Console, Failure, Status};
use crate::config::{self, Diagnostic, Sources};
use crate::store::{self, StoreError};

/// The answer as facts.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether the configuration can be used.
    ok: bool,
    diagnostics: Vec<DiagnosticView>,
}

#[derive(Debug, Serialize)]
struct DiagnosticView {
    severity: String,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    help: Option<String>,
    /// Whether it is about this machine, such as a script that is not there, and not about what the files say.
    about_machine: bool,
}

const URL_HELP: &str = "write mysql://USER:PASSWORD@HOST/DATABASE, postgresql://USER:PASSWORD@HOST/DATABASE or \
    sqlite:////var/lib/nodepool/nodepool.db";

/// Reads the configuration and prints what is wrong with it. Neither the store nor a cloud is touched.
pub fn run(console: Console, sources: &Sources) -> Result<(), Failure> {
    let mut unusable = None;
    let (ok, diagnostics, summary) = match config::load(sources) {
        Ok(loaded) => {
            let config = &loaded.config;
            unusable = store::check_url(config.database.0.expose_secret()).err();
            let summary = format!(
                "{}: ok (labels: {}, providers: {}, targets: {})\n",
                sources.nodepool_yaml.display(),
                config.labels.len(),
                config.providers.len(),
                config.targets.len()
            );
            let ok = unusable.is_none();
            (ok, loaded.warnings, if ok { summary } else { String::new() })
        }
        Err(diagnostics) => (false, diagnostics, String::new()),
    };
    let text = || {
        let found = if diagnostics.is_empty() { String::new() } else { config::render(&diagnostics) };
        let url = unusable
            .as_ref()
            .map_or_else(String::new, |error| format!("error: `dburi`: {error}\n  = help: {URL_HELP}\n"));
        found + &url + &summary
    };
    let mut views: Vec<DiagnosticView> = diagnostics.iter().map(DiagnosticView::new).collect();
    views.extend(unusable.as_ref().map(DiagnosticView::of_url));
    let report = Report { ok, diagnostics: views };
    console.answer(text, &report)?;
    if ok {
        return Ok(());
    }
    Err(Failure {
        status: Status::Refused,
        what: format!("{}: the configuration cannot be used", sources.nodepool_yaml.display()),
        next: None,
    })
}

impl DiagnosticView {
    /// Whoever reads the files does not know what the store makes of a URL.
    fn of_url(error: &StoreError) -> Self {
        Self {
            severity: "error".to_owned(),
            file: None,
            line: None,
            column: None,
            message: format!("`dburi`: {error}"),
            help: Some(URL_HELP.to_owned()),
            about_machine: false,
        }
    }

    fn new(diagnostic: &Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity.to_string(),
            file: diagnostic.file.as_ref().map(|file| file.display().to_string()),
            line: diagnostic.line,
            column: diagnostic.column,
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            about_machine: diagnostic.about_machine,
        }
    }
}
