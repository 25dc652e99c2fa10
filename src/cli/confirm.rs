//! Asking a person before much is deleted.
//!
//! Only a person who sits at a terminal is asked: where any of the three streams is a file or a pipe, a script runs the
//! command, and scripts written for nodepool v0, which never asked, must neither hang nor behave otherwise.

use std::io::{self, IsTerminal as _, Write as _};

use super::Failure;

/// Asks whether to do `what`, and does not take silence for a yes: where nobody can be asked, nothing is done.
///
/// # Errors
/// The person said anything but yes, or there is none.
pub(super) fn insist(what: &str) -> Result<(), Failure> {
    if has_person() {
        return ask(what);
    }
    Err(Failure::refused(
        format!("nothing was done: nobody can be asked whether to {what}"),
        "say it at a terminal, or with --yes",
    ))
}

fn has_person() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Asks whether to do `what`, if there is a person to ask.
///
/// # Errors
/// The person said anything but yes.
pub(super) fn ask(what: &str) -> Result<(), Failure> {
    if !has_person() {
        return Ok(());
    }
    let mut err = io::stderr().lock();
    write!(err, "{what}? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::refused("nothing was done", "answer y to do it; --yes does not ask")),
    }
}
