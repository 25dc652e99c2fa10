//! `nodepool config-validate`: every error in the configuration at once.

use serde::Serialize;

use super::{Console, Failure, Status};
use crate::config::{self, Diagnostic, Sources};

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

/// Reads the configuration and prints what is wrong with it. Neither the store nor a cloud is touched.
pub fn run(console: Console, sources: &Sources) -> Result<(), Failure> {
    let (ok, diagnostics, summary) = match config::load(sources) {
        Ok(loaded) => {
            let config = &loaded.config;
            let summary = format!(
                "{}: ok (labels: {}, providers: {}, targets: {})\n",
                sources.nodepool_yaml.display(),
                config.labels.len(),
                config.providers.len(),
                config.targets.len()
            );
            (true, loaded.warnings, summary)
        }
        Err(diagnostics) => (false, diagnostics, String::new()),
    };
    let text = || {
        let found = if diagnostics.is_empty() { String::new() } else { config::render(&diagnostics) };
        found + &summary
    };
    let views = diagnostics.iter().map(DiagnosticView::new).collect();
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
