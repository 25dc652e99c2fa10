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
    /// Comma-separated values with every fact, for lists; the first line has the names of the columns.
    Csv,
}

/// Standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    format: Format,
    /// Whether standard output is a terminal that shows colours.
    colours: bool,
    /// Whether standard error is one.
    error_colours: bool,
}

impl Console {
    /// A console that answers in this form. Terminals get colours unless `no_colour`; files and pipes never do.
    pub fn new(format: Format, no_colour: bool) -> Self {
        Self {
            format,
            colours: !no_colour && io::stdout().is_terminal(),
            error_colours: !no_colour && io::stderr().is_terminal(),
        }
    }

    /// The form of the answers.
    pub fn format(self) -> Format {
        self.format
    }

    /// Whether the answer may be coloured.
    pub fn colours(self) -> bool {
        self.colours
    }

    /// Prints a table, for a command that was asked for one.
    pub fn table(self, table: &Table) -> Result<(), Failure> {
        print(table.render(self.colours))
    }

    /// Prints rows: the table, or all that is known of each row.
    pub fn rows<T: Serialize + Default>(
        self,
        table: impl FnOnce() -> Table,
        rows: impl FnOnce() -> Vec<T>,
    ) -> Result<(), Failure> {
        self.lines(|| table().render(self.colours), rows)
    }

    /// Prints rows: the text, or all that is known of each row.
    pub fn lines<T: Serialize + Default>(
        self,
        text: impl FnOnce() -> String,
        rows: impl FnOnce() -> Vec<T>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => print(text()),
            Format::Csv => print(csv(&rows())?),
            Format::Json | Format::Yaml => self.answer(String::new, &rows()),
        }
    }

    /// Prints an answer: the text, or the facts.
    pub fn answer<T: Serialize>(self, text: impl FnOnce() -> String, facts: &T) -> Result<(), Failure> {
        print(match self.format {
            Format::Table => text(),
            Format::Json => serde_json::to_string_pretty(facts).map_err(|error| unwritable(&error))?,
            Format::Yaml => serde_yaml::to_string(facts).map_err(|error| unwritable(&error))?,
            Format::Csv => {
                return Err(Failure::usage(
                    "this answer is no list, and CSV is for lists",
                    "use `-o json` or `-o yaml`",
                ));
            }
        })
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
        let line = if self.error_colours {
            format!("\x1b[{colour}m{what}\x1b[0m {text}\n")
        } else {
            format!("{what} {text}\n")
        };
        // If nobody can be told, there is nobody to be told that.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn print(mut text: String) -> Result<(), Failure> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// The rows below the names of their columns, which are there also when there are no rows.
fn csv<T: Serialize + Default>(rows: &[T]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|error| unwritable(&error))?;
    }
    if rows.is_empty() {
        writer.serialize(T::default()).map_err(|error| unwritable(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| unwritable(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| unwritable(&error))?;
    match text.split_inclusive('\n').next() {
        Some(names) if rows.is_empty() => Ok(names.to_owned()),
        _ => Ok(text),
    }
}

fn unwritable(error: &dyn std::error::Error) -> Failure {
    Failure::unreachable(format!("the answer cannot be written: {error}"), "try `-o table`")
}
