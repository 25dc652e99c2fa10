//! Where a command writes: its answer to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::{Failure, Table};

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A text table, as nodepool v0 printed it.
    #[default]
    Table,
    /// JSON with every fact.
    Json,
    /// YAML with every fact.
    Yaml,
}

/// Standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    format: Format,
    colour: bool,
}

impl Console {
    /// A console that answers in this form. Errors are coloured on a terminal unless `no_colour`.
    pub fn new(format: Format, no_colour: bool) -> Self {
        Self { format, colour: !no_colour && io::stderr().is_terminal() }
    }

    /// Prints rows: the table, or all that is known of each row.
    pub fn rows<T: Serialize>(self, table: impl FnOnce() -> Table, rows: &[T]) -> Result<(), Failure> {
        self.answer(|| table().render(), &rows)
    }

    /// Prints an answer: the text, or the facts.
    pub fn answer<T: Serialize>(self, text: impl FnOnce() -> String, facts: &T) -> Result<(), Failure> {
        let mut text = match self.format {
            Format::Table => text(),
            Format::Json => serde_json::to_string_pretty(facts).map_err(|error| unwritable(&error))?,
            Format::Yaml => serde_yaml::to_string(facts).map_err(|error| unwritable(&error))?,
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Tells the operator something that is not part of the answer.
    pub fn note(self, text: &str) {
        self.complain("nodepool:", "1", text);
    }

    /// Tells the operator of something that went wrong while the rest went on.
    pub fn warn(self, text: &str) {
        self.complain("nodepool: warning:", "1;33", text);
    }

    /// Tells the operator why the command failed and what to do next.
    pub fn fail(self, failure: &Failure) {
        if failure.status != super::Status::ReaderLeft {
            self.complain("nodepool:", "1;31", &failure.what);
            if let Some(next) = &failure.next {
                self.complain("  next:", "1", next);
            }
        }
    }

    fn complain(self, what: &str, colour: &str, text: &str) {
        let line = if self.colour {
            format!("\x1b[{colour}m{what}\x1b[0m {text}\n")
        } else {
            format!("{what} {text}\n")
        };
        // If nobody can be told, there is nobody to be told that.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn unwritable(error: &dyn std::error::Error) -> Failure {
    Failure::unreachable(format!("the answer cannot be written: {error}"), "try `-o table`")
}
