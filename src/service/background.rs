//! Going into the background, and telling whoever started it how that went.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What the detached process prints on its standard output as soon as it serves.
pub const STARTED: &str = "started";

/// How long whoever started it waits for that.
const PATIENCE: Duration = Duration::from_secs(60);

/// How starting it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// It serves.
    Serves,
    /// It ended before it served.
    Ended,
    /// It still starts.
    StillStarts,
}

/// Starts a program detached from terminal and caller, with its errors in `log`, and waits until it says that it serves.
///
/// # Errors
/// When it cannot be started at all.
pub fn detach(mut program: Command, log: File) -> io::Result<(u32, Start)> {
    program.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let child = program.spawn()?;
    let id = child.id();
    Ok((id, watch(child)))
}

fn watch(mut child: Child) -> Start {
    let Some(out) = child.stdout.take() else { return Start::StillStarts };
    let (told, hear) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // A process that ends closes its standard output, and then there is no line.
        let read = BufReader::new(out).read_line(&mut line);
        let serves = read.is_ok() && line.trim_end() == STARTED;
        let _ = told.send(if serves { Start::Serves } else { Start::Ended });
    });
    hear.recv_timeout(PATIENCE).unwrap_or(Start::StillStarts)
}
