//! Asking a person before much is deleted.
//!
//! Only a person who sits at a terminal is asked: where any of the three streams is a file or a pipe, a script runs the
//! command, and scripts written for nodepool v0, which never asked, must neither hang nor behave otherwise.

use std::io::{self, IsTerminal as _, Write as _};

use super::Failure;

/// Asks whether to do `what`, if there is a person to ask.
///
/// # Errors
/// The person said anything but yes.
pub(super) fn ask(what: &str) -> Result<(), Failure> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()) {
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
