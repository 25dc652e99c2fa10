//! One command on one channel: its pipes, and how it ended.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, Sig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use crate::sandbox::machine::{Login, Machine, Terminal};

/// How much input may wait for a command that does not read it. Beyond that the client waits.
const INPUT_LIMIT: usize = 256 << 20;
/// Exit status of a command that could not be started, as shells have it.
const CANNOT_START: u32 = 126;

/// What a client wants to run.
pub(super) struct Wanted {
    pub(super) login: Login,
    /// The command, or `None` for a shell.
    pub(super) text: Option<String>,
    pub(super) terminal: Option<Terminal>,
    pub(super) variables: Vec<(String, String)>,
}

/// Runs it, and tells the client how it ended.
pub(super) async fn run(machine: Arc<Machine>, wanted: Wanted, channel: Channel<Msg>, handle: Handle) {
    let id = channel.id();
    let (reader, writer) = channel.split();
    let mut child = match spawn(&machine, &wanted).await {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(%error, host = machine.host_name(), "a command could not be started");
            let message = format!("nodepool-sandbox: {error}\n");
            let _ = handle.extended_data(id, 1, message.into_bytes()).await;
            let _ = handle.exit_status_request(id, CANNOT_START).await;
            let _ = handle.close(id).await;
            return;
        }
    };
    let input = tokio::spawn(feed(reader, child.stdin.take()));
    let output = tokio::spawn(pump(child.stdout.take(), writer.make_writer()));
    let errors = tokio::spawn(pump(child.stderr.take(), writer.make_writer_ext(Some(1))));
    // As OpenSSH does: how it ended is told at once, the end of its output when the last holder closes it.
    let ended = child.wait().await;
    drop(child);
    let delivered = futures::future::join(output, errors);
    tokio::pin!(delivered);
    // What is already on its way comes first; a background process that keeps the pipe must not hold this up.
    let all_out = tokio::time::timeout(std::time::Duration::from_millis(20), &mut delivered).await.is_ok();
    report(&handle, id, ended).await;
    if !all_out {
        let _ = delivered.await;
    }
    let _ = handle.eof(id).await;
    let _ = handle.close(id).await;
    input.abort();
}

async fn spawn(machine: &Machine, wanted: &Wanted) -> std::io::Result<Child> {
    let text = wanted.text.as_deref();
    let mut command = machine.shell(&wanted.login, text, wanted.terminal.as_ref(), &wanted.variables).await?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

async fn report(handle: &Handle, id: russh::ChannelId, ended: std::io::Result<ExitStatus>) {
    let Ok(status) = ended else {
        let _ = handle.exit_status_request(id, CANNOT_START).await;
        return;
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => {
            let _ = handle.exit_status_request(id, u32::try_from(code).unwrap_or(CANNOT_START)).await;
        }
        (None, signal) => {
            let (dumped, none) = (status.core_dumped(), String::new());
            let _ = handle.exit_signal_request(id, signal_name(signal), dumped, none.clone(), none).await;
        }
    }
}

/// The names that RFC 4254 has for signals; numbers are Linux's.
fn signal_name(number: Option<i32>) -> Sig {
    match number {
        Some(1) => Sig::HUP,
        Some(2) => Sig::INT,
        Some(3) => Sig::QUIT,
        Some(4) => Sig::ILL,
        Some(6) => Sig::ABRT,
        Some(8) => Sig::FPE,
        Some(9) => Sig::KILL,
        Some(10) => Sig::USR1,
        Some(11) => Sig::SEGV,
        Some(13) => Sig::PIPE,
        Some(14) => Sig::ALRM,
        Some(15) => Sig::TERM,
        other => Sig::Custom(format!("{}@nodepool-sandbox", other.unwrap_or_default())),
    }
}

/// Copies output to the client, in order, until it ends or the client is gone.
async fn pump(from: Option<impl AsyncRead + Unpin>, mut to: impl AsyncWrite + Unpin) {
    if let Some(mut from) = from {
        // An error here is a client that went away: the pipe closes, and the command notices when it writes.
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }
}

/// Hands the client's input to the command. It is taken from the connection at once, up to a limit: while one
/// channel's input is not taken, the whole connection stands still, also the output that the command may have to
/// get rid of before it reads on.
async fn feed(mut reader: ChannelReadHalf, input: Option<ChildStdin>) {
    let Some(input) = input else { return };
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let written = Arc::new(tokio::sync::Notify::new());
    let writer = tokio::spawn(write_input(input, receiver, Arc::clone(&waiting), Arc::clone(&written)));
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                waiting.fetch_add(data.len(), Ordering::AcqRel);
                if sender.send(data).is_err() {
                    // The command closed its input; the rest goes nowhere.
                    waiting.store(0, Ordering::Release);
                }
                while waiting.load(Ordering::Acquire) > INPUT_LIMIT && !writer.is_finished() {
                    written.notified().await;
                }
            }
            ChannelMsg::Eof | ChannelMsg::Close => break,
            _ => {}
        }
    }
}

async fn write_input(
    mut input: ChildStdin,
    mut pieces: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    written: Arc<tokio::sync::Notify>,
) {
    while let Some(piece) = pieces.recv().await {
        let done = input.write_all(&piece).await;
        waiting.fetch_sub(piece.len(), Ordering::AcqRel);
        written.notify_one();
        if done.is_err() {
            break;
        }
    }
    written.notify_one();
}
