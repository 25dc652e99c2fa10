//! What is done on a machine between its boot and its use: builders are set up, nodes are prepared, snapshots verified.
//!
//! The paths and the way in which scripts are called are those of nodepool v0, so that its scripts work unchanged.
//! Everything that the operator configured comes in with the order; nothing here reads a configuration.

mod facts;
mod node;
mod snapshot;
mod user_data;

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::remote::{Command, Connection, Endpoint, Output, Remote, RemoteError, quote};

pub use node::{Member, MemberError, Preparation, Prepared, check, prepare, prepare_set};
pub use snapshot::{SetUp, SetUpDone, set_up, verify};
pub use user_data::user_data;

/// Where the operator's scripts are on builders and nodes.
pub const SCRIPTS_FOLDER: &str = "/opt/nodepool-scripts";
/// Where jobs find what the node is and where it runs.
pub const FACTS_FOLDER: &str = "/etc/nodepool";

/// How many of a script's last lines an error carries, and how many bytes in all.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4096;
/// How long the small steps between the scripts may take.
const STEP_DEADLINE: Duration = Duration::from_secs(30);

/// The steps of a visit, by which a failure is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Reaching the machine and logging in.
    Connect,
    /// Copying the script folder.
    CopyScripts,
    /// Running the setup script of an image.
    Setup,
    /// Writing what is below `/etc/nodepool`.
    Files,
    /// Running the ready script of a label.
    ReadyScript,
}

impl Step {
    /// The word for this step in reasons and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::CopyScripts => "copy-scripts",
            Self::Setup => "setup",
            Self::Files => "files",
            Self::ReadyScript => "ready-script",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A visit that failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{step}: {cause}")]
pub struct BuildError {
    /// At which step.
    pub step: Step,
    /// Why.
    pub cause: Cause,
}

impl BuildError {
    /// Whether the machine never answered or let us in, so that nothing was done on it.
    pub fn is_unreachable(&self) -> bool {
        matches!((self.step, &self.cause), (Step::Connect, Cause::Remote(RemoteError::Unreachable(_))))
    }
}

/// Why a step failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Cause {
    /// The machine could not be reached or used.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A script ended with another exit status than 0.
    #[error("exit status {status}{}", last_words(.tail))]
    Exit {
        /// The status.
        status: u32,
        /// The last lines that it printed, at most 20 and 4 KiB.
        tail: Vec<String>,
    },
    /// The order itself cannot be carried out.
    #[error("{0}")]
    Order(String),
}

fn last_words(tail: &[String]) -> String {
    if tail.is_empty() {
        " without a word".to_owned()
    } else {
        format!("; it said last: {}", tail.join(" | "))
    }
}

impl Step {
    fn failed(self, cause: impl Into<Cause>) -> BuildError {
        BuildError { step: self, cause: cause.into() }
    }
}

async fn connect(remote: &dyn Remote, endpoint: &Endpoint) -> Result<Box<dyn Connection>, BuildError> {
    remote.connect(endpoint).await.map_err(|error| Step::Connect.failed(error))
}

/// Runs a command that has to succeed.
async fn run(
    connection: &mut dyn Connection,
    step: Step,
    command: &Command,
    output: &mut dyn Output,
) -> Result<(), BuildError> {
    let mut tail = Tail { output, lines: VecDeque::new(), bytes: 0 };
    match connection.run(command, &mut tail).await {
        Ok(0) => Ok(()),
        Ok(status) => Err(step.failed(Cause::Exit { status, tail: tail.lines.into() })),
        Err(error) => Err(step.failed(error)),
    }
}

/// Runs a script with the lines around its output that nodepool v0 wrote to the log of an image's build.
async fn run_script(
    connection: &mut dyn Connection,
    step: Step,
    command: &Command,
    name: &str,
    output: &mut dyn Output,
) -> Result<(), BuildError> {
    output.line(&format!("*** START to run {name}"));
    let result = run(connection, step, command, output).await;
    output.line(&match &result {
        Ok(()) => format!("*** SUCCESSFULLY run {name}"),
        Err(error) => format!("*** FAILED to run {name}: {}", brief(&error.cause)),
    });
    result
}

/// Without the last lines: they have just been printed.
fn brief(cause: &Cause) -> String {
    match cause {
        Cause::Exit { status, .. } => format!("exit status {status}"),
        Cause::Remote(_) | Cause::Order(_) => cause.to_string(),
    }
}

/// Passes lines on and keeps the last ones.
struct Tail<'a> {
    output: &'a mut dyn Output,
    lines: VecDeque<String>,
    bytes: usize,
}

impl Output for Tail<'_> {
    fn line(&mut self, line: &str) {
        self.output.line(line);
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line.to_owned());
        while self.lines.len() > TAIL_LINES || (self.bytes > TAIL_BYTES && self.lines.len() > 1) {
            let gone = self.lines.pop_front().map_or(0, |line| line.len());
            self.bytes = self.bytes.saturating_sub(gone);
        }
    }
}

/// The shell line that calls `script` in the script folder with the machine's name.
///
/// As in nodepool v0 the configured word may carry arguments of its own, separated by blanks.
fn script_line(script: &str, hostname: &str) -> Result<String, Cause> {
    let refused = |why: &str| Cause::Order(format!("script {script:?} {why}"));
    let mut words = script.split_whitespace();
    let name = words.next().ok_or_else(|| refused("has no name"))?;
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(refused("is not in the script folder"));
    }
    let mut line = format!("cd {SCRIPTS_FOLDER} && {}", quote_if_needed(&format!("./{name}")));
    for word in words.chain([hostname]) {
        line.push(' ');
        line.push_str(&quote_if_needed(word));
    }
    Ok(line)
}

/// `word` as a shell takes it; plain words stay plain, for they are read by people too.
fn quote_if_needed(word: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-/:@+,".contains(char);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { quote(word) }
}

/// The environment of scripts: what the operator set, and the pool's public key where the operator did not set one.
///
/// `NODEPOOL_SSH_KEY` is by nodepool's convention the bare key without its type and comment; scripts in the field put
/// `ssh-rsa` before it. `NODEPOOL_PUBLIC_KEY` is the whole line and right for each type of key.
async fn environment(
    remote: &dyn Remote,
    private_key: &Path,
    given: &[(String, String)],
) -> Result<Vec<(String, String)>, RemoteError> {
    let public = remote.public_key(private_key).await?;
    let bare = public.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut all = given.to_vec();
    for (name, value) in [("NODEPOOL_PUBLIC_KEY", public), ("NODEPOOL_SSH_KEY", bare)] {
        if !all.iter().any(|(known, _)| known == name) {
            all.push((name.to_owned(), value));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_called_as_in_v0() {
        let line = |script| script_line(script, "n1.example.org").map_err(|cause| cause.to_string());
        assert_eq!(line("ready.sh").unwrap(), "cd /opt/nodepool-scripts && ./ready.sh n1.example.org");
        assert_eq!(
            line("a/b -x 'y;z").unwrap(),
            r"cd /opt/nodepool-scripts && ./a/b -x ''\''y;z' n1.example.org"
        );
        for wrong in ["", " ", "/bin/sh", "../x", "a/../../x"] {
            assert!(line(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_tail_is_bounded_and_everything_is_passed_on() {
        struct Count(usize);
        impl Output for Count {
            fn line(&mut self, _: &str) {
                self.0 += 1;
            }
        }
        let mut count = Count(0);
        let mut tail = Tail { output: &mut count, lines: VecDeque::new(), bytes: 0 };
        for number in 0..100 {
            tail.line(&number.to_string());
        }
        assert_eq!((tail.lines.len(), tail.lines[0].as_str()), (20, "80"));
        for _ in 0..10 {
            tail.line(&"x".repeat(1500));
        }
        assert_eq!(tail.lines.len(), 2);
        assert_eq!(tail.bytes, 3000);
        assert_eq!(count.0, 110);
    }
}
