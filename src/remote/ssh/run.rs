//! Running a command: its environment, its output line by line, and its end at the deadline with all that it started.
//!
//! A script of ours on the machine runs the command in a session of its own. That script watches its standard input:
//! when we close it, or the connection is gone, it ends the session, TERM first and KILL after five seconds. So a
//! command outlives neither its deadline nor the daemon. If that script itself was killed, another process on the same
//! connection ends the session by the record that the command's leader wrote; and a run ends a recorded one before it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::SshConnection;
use super::exec::{self, Collected, Piece, Process};
use super::lines::Lines;
use super::login::moment_after;
use crate::remote::{Command, Output, RemoteError, shell};

/// The session of a command: its processes, its record.
const SESSION: &str = include_str!("session.sh");
/// Runs a command under supervision.
const SUPERVISE: &str = include_str!("supervise.sh");
/// By how much the machine's own watch outlasts ours, in seconds: it is for the case that we are gone.
const WATCH_MARGIN: u64 = 10;
/// How long the machine may take to accept a process.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How long stopping a session may take: fifteen seconds there, and a slow machine's own time.
const STOP_DEADLINE: Duration = Duration::from_secs(25);
/// The longest line with its environment, in bytes. Linux takes 128 KiB in one argument.
const LONGEST_LINE: usize = 100 * 1024;
/// What the supervisor says when it stopped the command.
const STOPPED: u32 = 124;

impl SshConnection {
    pub(super) async fn run_inner(
        &self,
        command: &Command,
        output: &mut dyn Output,
    ) -> Result<u32, RemoteError> {
        let line = supervised(command)?;
        let deadline = moment_after(command.deadline);
        let starting = timeout(START_DEADLINE, self.start_on_leash(&line)).await;
        let (mut process, leash) = match starting {
            Ok(Ok(started)) => started,
            Ok(Err(error)) => return Err(self.lost(&format!("starting a command: {error}"))),
            Err(_) => return Err(self.lost("starting a command: no answer")),
        };
        let mut streams = Streams::default();
        let ended = loop {
            tokio::select! {
                piece = process.next() => match piece {
                    Some(piece) => streams.add(&piece, output),
                    None => break true,
                },
                () = sleep_until(deadline) => break false,
            }
        };
        if !ended {
            // A channel that is gone is as good as one that is closed.
            let _ = leash.eof().await;
            let stopped = self.stopped(&mut process, &mut streams, output).await;
            let _ = leash.close().await;
            streams.finish(output);
            return Err(stopped.map_or_else(|error| error, |()| RemoteError::Deadline(command.deadline)));
        }
        streams.finish(output);
        if process.was_cut_off() {
            let _ = leash.close().await;
        }
        process.status().ok_or_else(|| self.lost("a command ran"))
    }

    async fn start_on_leash(
        &self,
        line: &str,
    ) -> Result<(Process, russh::ChannelWriteHalf<russh::client::Msg>), russh::Error> {
        let mut process = exec::start(&self.handle, line).await?;
        let leash = process.take_input().ok_or(russh::Error::Inconsistent)?;
        leash.data_bytes("hold\n").await?;
        Ok((process, leash))
    }

    /// Waits until the supervisor has stopped the command; stops it by its record if the supervisor is gone.
    async fn stopped(
        &self,
        process: &mut Process,
        streams: &mut Streams,
        output: &mut dyn Output,
    ) -> Result<(), RemoteError> {
        let until = moment_after(STOP_DEADLINE);
        // An end without our supervisor's word for it is not believed.
        if drain(process, until, streams, output).await == Some(STOPPED) {
            return Ok(());
        }
        let line = shell::call(&format!("{SESSION}\nstop_recorded\n"), &[]);
        let mut said = Collected::new(512);
        let stopping = async { Ok(exec::start(&self.handle, &line).await?.finish(None, &mut said).await) };
        match timeout(STOP_DEADLINE, stopping).await {
            Ok(Ok(Some(0))) => Ok(()),
            Ok(Ok(Some(status))) => {
                Err(self.lost(&format!("a command outlived its deadline and could not be killed ({status})")))
            }
            Ok(Ok(None)) | Err(_) => {
                Err(self.lost("a command outlived its deadline, and killing it got no answer"))
            }
            Ok(Err::<_, russh::Error>(error)) => {
                Err(self.lost(&format!("a command outlived its deadline and could not be killed: {error}")))
            }
        }
    }
}

/// Passes on what still comes, until the end or `until`; gives the exit status if there is one.
async fn drain(
    process: &mut Process,
    until: Instant,
    streams: &mut Streams,
    output: &mut dyn Output,
) -> Option<u32> {
    while let Ok(Some(piece)) = timeout_at(until, process.next()).await {
        streams.add(&piece, output);
    }
    process.status()
}

/// The shell line that runs `command` under supervision.
fn supervised(command: &Command) -> Result<String, RemoteError> {
    let seconds = command.deadline.as_secs().saturating_add(WATCH_MARGIN).to_string();
    let mut environment = Vec::with_capacity(command.environment.len());
    for (name, value) in &command.environment {
        if !shell::is_name(name) || value.contains('\0') {
            return Err(RemoteError::Local(format!("not a name and value for an environment: {name:?}")));
        }
        environment.push(format!("{name}={value}"));
    }
    let mut arguments = vec![seconds.as_str(), command.line.as_str()];
    arguments.extend(environment.iter().map(String::as_str));
    let line = shell::call(&format!("{SESSION}\n{SUPERVISE}"), &arguments);
    if line.len() > LONGEST_LINE || line.contains('\0') {
        return Err(RemoteError::Local(format!(
            "a command with its environment takes {} bytes, more than {LONGEST_LINE}, or holds a NUL",
            line.len()
        )));
    }
    Ok(line)
}

/// Standard output and standard error, each cut into its own lines.
#[derive(Default)]
struct Streams {
    out: Lines,
    err: Lines,
}

impl Streams {
    fn add(&mut self, piece: &Piece, output: &mut dyn Output) {
        match piece {
            Piece::Out(bytes) => self.out.add(bytes, output),
            Piece::Err(bytes) => self.err.add(bytes, output),
        }
    }

    fn finish(&mut self, output: &mut dyn Output) {
        self.out.finish(output);
        self.err.finish(output);
    }
}
