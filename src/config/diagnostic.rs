//! What is wrong with the files, or doubtful, in a form that a person can act on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source_text::{Position, SourceText};

/// The most errors and warnings that are written out. Those beyond are counted.
const MAX_FINDINGS: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The files cannot be used.
    #[default]
    Error,
    /// The files can be used, but probably not as they were meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A line of a file, with its secrets hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnippetLine {
    /// Its number, counted from 1.
    pub number: usize,
    /// Its text.
    pub text: String,
}

/// One error or warning. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file that it is about; `None` when it is about the environment.
    pub file: Option<PathBuf>,
    /// The line, counted from 1; `None` when it is about the file as a whole.
    pub line: Option<usize>,
    /// The character in the line, counted from 1.
    pub column: Option<usize>,
    /// How many characters of the line it is about.
    pub length: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// The line that it is about, and the one before.
    pub snippet: Vec<SnippetLine>,
    /// What to do about it, if that is known.
    pub help: Option<String>,
    /// Whether it is about this machine, such as a script that is not there, and not about what the files say.
    pub about_machine: bool,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        let width = self.snippet.iter().map(|line| line.number.to_string().len()).max().unwrap_or(1);
        if let Some(file) = &self.file {
            write!(f, "\n{:width$}--> {}", "", file.display())?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(f, ":{line}:{column}")?;
            }
        }
        if !self.snippet.is_empty() {
            write!(f, "\n{:width$} |", "")?;
        }
        for line in &self.snippet {
            write!(f, "\n{:>width$} | {}", line.number, line.text)?;
            if let Some(column) = self.column.filter(|_| Some(line.number) == self.line) {
                write!(f, "\n{:width$} | {}", "", underline(&line.text, column, self.length))?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:width$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// Blanks up to `column` and a caret for each character of the line that is meant, at least one.
fn underline(line: &str, column: usize, length: usize) -> String {
    let before = column.saturating_sub(1);
    let blanks = line.chars().take(before).map(|character| if character == '\t' { '\t' } else { ' ' });
    let shown = line.chars().count().saturating_sub(before).clamp(1, length.max(1));
    blanks.chain(std::iter::repeat_n('^', shown)).collect()
}

/// Writes diagnostics one after the other, with a blank line between and a count at the end; plain text.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    use fmt::Write as _;

    let mut text = String::new();
    for diagnostic in diagnostics {
        // Writing to a string cannot fail.
        let _ = write!(text, "{diagnostic}\n\n");
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = diagnostics.len().saturating_sub(errors);
    let _ = writeln!(text, "{}, {}", counted(errors, "error"), counted(warnings, "warning"));
    text
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Collects what is found, in any order, until everything was looked at.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The files that were read or looked for.
    looked_at: BTreeSet<PathBuf>,
    findings: Vec<Finding>,
    /// The last of those that are too many.
    beyond: Finding,
    /// How many errors are too many, and how many warnings.
    more: (usize, usize),
    secrets: Secrets,
}

/// The places that hold a secret.
#[derive(Debug, Default)]
struct Secrets {
    /// Where each begins: a secret that is used through aliases is met again and again.
    begins: BTreeSet<(usize, usize, usize)>,
    /// The column, counted from 0, from which a line of a file is secret.
    columns: BTreeMap<(usize, usize), usize>,
    /// The files, which are told apart by their address and must therefore stay where they are.
    files: BTreeMap<usize, Arc<SourceText>>,
}

impl Secrets {
    fn add(&mut self, at: &Position) {
        let file = file_key(at);
        if !self.begins.insert((file, at.line, at.column)) {
            return;
        }
        self.files.entry(file).or_insert_with(|| Arc::clone(&at.source));
        for line in at.line..=at.end_line {
            let from = if line == at.line { at.column.saturating_sub(1) } else { 0 };
            self.columns.entry((file, line)).and_modify(|column| *column = from.min(*column)).or_insert(from);
        }
    }

    fn column(&self, at: &Position, line: usize) -> Option<usize> {
        self.columns.get(&(file_key(at), line)).copied()
    }
}

/// Tells files apart while they live.
fn file_key(at: &Position) -> usize {
    Arc::as_ptr(&at.source).addr()
}

/// An error or a warning that was not written out yet, since a secret on its line may still be found.
#[derive(Debug, Default)]
pub(super) struct Finding {
    severity: Severity,
    at: Option<Position>,
    file: Option<PathBuf>,
    message: String,
    help: Option<String>,
    about_machine: bool,
}

impl Finding {
    /// Adds what to do about it.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Says that it is about this machine, and not about what the files say.
    pub(super) fn about_machine(&mut self) -> &mut Self {
        self.about_machine = true;
        self
    }
}

impl Report {
    /// Remembers that a file was read or looked for.
    pub(super) fn looked_at(&mut self, path: &Path) {
        self.looked_at.insert(path.to_owned());
    }

    /// The files that were read or looked for.
    pub(super) fn files(&self) -> BTreeSet<PathBuf> {
        self.looked_at.clone()
    }

    /// Adds an error at a place in a file.
    pub(super) fn error(&mut self, at: &Position, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, Some(at.clone()), None, message.into())
    }

    /// Adds a warning at a place in a file.
    pub(super) fn warning(&mut self, at: &Position, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, Some(at.clone()), None, message.into())
    }

    /// Adds an error about a file that has no text to show, or about no file.
    pub(super) fn error_without_text(
        &mut self,
        file: Option<PathBuf>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.add(Severity::Error, None, file, message.into())
    }

    /// Adds an error at a place, or about the environment when there is none.
    pub(super) fn error_somewhere(
        &mut self,
        at: Option<&Position>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.add(Severity::Error, at.cloned(), None, message.into())
    }

    /// Adds a warning at a place, or about the environment when there is none.
    pub(super) fn warning_somewhere(
        &mut self,
        at: Option<&Position>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.add(Severity::Warning, at.cloned(), None, message.into())
    }

    /// Remembers that this place holds a secret.
    pub(super) fn hide(&mut self, secret: &Position) {
        self.secrets.add(secret);
    }

    /// Whether there is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.more.0 > 0 || self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Writes everything out, sorted by file and place, each once.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let mut seen = BTreeSet::new();
        let mut diagnostics: Vec<Diagnostic> =
            self.findings.iter().map(|finding| finding.write_out(&self.secrets)).collect();
        diagnostics.sort_by(|one, other| {
            (&one.file, one.line, one.column, &one.message).cmp(&(
                &other.file,
                other.line,
                other.column,
                &other.message,
            ))
        });
        // What is wrong with an anchored value is found again through each alias.
        diagnostics.retain(|diagnostic| {
            seen.insert((
                diagnostic.file.clone(),
                diagnostic.line,
                diagnostic.column,
                diagnostic.message.clone(),
            ))
        });
        let (errors, warnings) = self.more;
        if errors > 0 || warnings > 0 {
            let message =
                format!("there are {} and {} more", counted(errors, "error"), counted(warnings, "warning"));
            let severity = if errors > 0 { Severity::Error } else { Severity::Warning };
            diagnostics
                .push(Finding { severity, message, ..Finding::default() }.write_out(&Secrets::default()));
        }
        diagnostics
    }

    fn add(
        &mut self,
        severity: Severity,
        at: Option<Position>,
        file: Option<PathBuf>,
        message: String,
    ) -> &mut Finding {
        let finding = Finding { severity, at, file, message, help: None, about_machine: false };
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
            if let Some(last) = self.findings.last_mut() {
                return last;
            }
        } else {
            let count = if severity == Severity::Error { &mut self.more.0 } else { &mut self.more.1 };
            *count = count.saturating_add(1);
            self.beyond = finding;
        }
        &mut self.beyond
    }
}

impl Finding {
    fn write_out(&self, secrets: &Secrets) -> Diagnostic {
        let file = self.at.as_ref().map(|at| at.source.path.clone()).or_else(|| self.file.clone());
        let place = self.at.as_ref().filter(|at| at.line > 0);
        let mut snippet = Vec::new();
        if let Some(at) = place {
            for number in at.line.saturating_sub(1).max(1)..=at.line {
                if let Some(text) = at.source.shown_line(number, secrets.column(at, number)) {
                    snippet.push(SnippetLine { number, text });
                }
            }
        }
        Diagnostic {
            severity: self.severity,
            file,
            line: place.map(|at| at.line),
            column: place.map(|at| at.column),
            length: place.map_or(0, Position::length),
            message: self.message.clone(),
            snippet,
            help: self.help.clone(),
            about_machine: self.about_machine,
        }
    }
}
