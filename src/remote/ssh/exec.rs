//! A process on the machine: its start, what it prints, how it ended.

use std::time::Duration;

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout_at};

use super::login::{Guard, moment_after};

/// How long we wait for more output that is still on its way when a process has ended, and for how long in all. What it left
/// behind in the background may hold its output open for ever.
const TRAILING_OUTPUT: Duration = Duration::from_secs(2);
const TRAILING_IN_ALL: Duration = Duration::from_secs(10);

/// A piece of what a process prints.
pub(super) enum Piece {
    /// From its standard output.
    Out(Bytes),
    /// From its standard error.
    Err(Bytes),
}

/// Until when output of a process that has ended is waited for: for more of it, and at all.
struct Trailing {
    end: Instant,
    latest: Instant,
}

/// The reading side of a process.
pub(super) struct Process {
    read: ChannelReadHalf,
    write: Option<ChannelWriteHalf<Msg>>,
    status: Option<u32>,
    trailing: Option<Trailing>,
    quiet: bool,
}

/// Starts `command` in the login shell of the user.
pub(super) async fn start(handle: &Handle<Guard>, command: &str) -> Result<Process, russh::Error> {
    let channel = handle.channel_open_session().await?;
    channel.exec(true, command).await?;
    let (read, write) = channel.split();
    Ok(Process { read, write: Some(write), status: None, trailing: None, quiet: false })
}

impl Process {
    /// The writing side, once.
    pub(super) fn take_input(&mut self) -> Option<ChannelWriteHalf<Msg>> {
        self.write.take()
    }

    /// The exit status, once the process has ended; 128 and the number of the signal that ended it.
    pub(super) fn status(&self) -> Option<u32> {
        self.status
    }

    /// Whether the process ended while its output stayed open: something that it started goes on.
    pub(super) fn was_cut_off(&self) -> bool {
        self.status.is_some() && !self.quiet
    }

    /// The next piece of output; `None` when there will be no more. Nothing is lost when it is dropped half-way.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        loop {
            let message = match &self.trailing {
                Some(trailing) => timeout_at(trailing.end, self.read.wait()).await.ok().flatten(),
                None => self.read.wait().await,
            };
            match message? {
                ChannelMsg::Data { data } => return Some(self.came(Piece::Out(data))),
                ChannelMsg::ExtendedData { data, .. } => return Some(self.came(Piece::Err(data))),
                ChannelMsg::ExitStatus { exit_status } => self.end(exit_status),
                ChannelMsg::ExitSignal { signal_name, .. } => self.end(status_of_signal(&signal_name)),
                ChannelMsg::Eof => self.quiet = true,
                ChannelMsg::Close | ChannelMsg::Failure => {
                    self.quiet = true;
                    return None;
                }
                _ => {}
            }
            if self.quiet && self.status.is_some() {
                return None;
            }
        }
    }

    fn end(&mut self, status: u32) {
        self.status = Some(status);
        let latest = moment_after(TRAILING_IN_ALL);
        self.trailing = Some(Trailing { end: moment_after(TRAILING_OUTPUT), latest });
    }

    /// Takes a piece of output, after which there may be another one.
    fn came(&mut self, piece: Piece) -> Piece {
        if let Some(trailing) = &mut self.trailing {
            trailing.end = moment_after(TRAILING_OUTPUT).min(trailing.latest);
        }
        piece
    }

    /// Feeds `input` to the process, collects what it prints, and waits until it has ended.
    pub(super) async fn finish(
        mut self,
        input: Option<Receiver<Bytes>>,
        collected: &mut Collected,
    ) -> Option<u32> {
        let write = self.take_input();
        let feeding = async {
            if let (Some(write), Some(mut input)) = (&write, input) {
                while let Some(bytes) = input.recv().await {
                    if write.data_bytes(bytes).await.is_err() {
                        return;
                    }
                }
            }
            if let Some(write) = &write {
                // A channel that is gone shows in what we read.
                let _ = write.eof().await;
            }
        };
        tokio::pin!(feeding);
        let mut fed = false;
        loop {
            tokio::select! {
                () = &mut feeding, if !fed => fed = true,
                piece = self.next() => match piece {
                    Some(piece) => collected.add(&piece),
                    None => break,
                }
            }
        }
        self.status
    }
}

/// The exit status by which a shell tells of a signal. The numbers are those of Linux.
fn status_of_signal(signal: &Sig) -> u32 {
    let number = match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(name) if name == "USR2" => 12,
        Sig::Custom(name) if name == "BUS" => 7,
        // Makes 255, which is also what an ssh client says of an end that it cannot tell.
        Sig::Custom(_) => 127,
    };
    // No number above reaches 128, so this is their sum.
    128 | number
}

/// The first bytes of what a process printed, standard output and standard error together.
pub(super) struct Collected {
    bytes: Vec<u8>,
    most: usize,
}

impl Collected {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }

    pub(super) fn add(&mut self, piece: &Piece) {
        let (Piece::Out(bytes) | Piece::Err(bytes)) = piece;
        let room = self.most.saturating_sub(self.bytes.len());
        self.bytes.extend(bytes.iter().take(room));
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The first line that says something, for an error's text.
    pub(super) fn first_line(&self) -> String {
        let text = self.text();
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
        line.chars().filter(|char| !char.is_control()).take(300).collect()
    }
}
