//! What systemd is told: that the daemon serves, what it does, that it lives, that it stops.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody is told anything. The socket takes a few messages until systemd reads
//! them, and who sends waits while it is full: so a thread of its own sends, and nobody waits for that one.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::telemetry::LastTick;

/// How many messages may wait for a systemd that does not read. What is said beyond that is not said.
const QUEUE: usize = 64;

/// A message, as whatever sends it.
type Message = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// The shortest pause between two lines of status.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the loop has to say that it lives: twice within the time that systemd allows. `None`: nobody listens.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().and_then(|allowed| allowed.checked_div(2))
}

/// Says that the loop lives.
pub fn alive() {
    tell(|| sd_notify::notify(&[NotifyState::Watchdog]));
}

/// Says that the daemon stops.
pub fn stopping() {
    let status = NotifyState::Status("stopping: calls to clouds come home");
    tell(move || sd_notify::notify(&[NotifyState::Stopping, status]));
}

/// Says that the configuration is being read again; [`reloaded`] has to follow.
pub fn reloading() {
    if let Ok(moment) = NotifyState::monotonic_usec_now() {
        tell(move || sd_notify::notify(&[NotifyState::Reloading, moment]));
    }
}

/// Says that the configuration was read again, whatever came of it.
pub fn reloaded() {
    tell(|| sd_notify::notify(&[NotifyState::Ready]));
}

/// Says that the daemon serves, once it has looked at everything for the first time or stands by for another one, and
/// from then on what the pool is like.
pub async fn report(mut published: watch::Receiver<LastTick>, stop: CancellationToken) {
    let (mut ready, mut said) = (false, String::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = published.changed() => if changed.is_err() { return },
        }
        let last = published.borrow_and_update().clone();
        let status = status(&last);
        let told = status.clone();
        if !std::mem::replace(&mut ready, true) {
            tell(move || sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&told)]));
        } else if status != said {
            tell(move || sd_notify::notify(&[NotifyState::Status(&told)]));
        }
        said = status;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn status(last: &LastTick) -> String {
    match &last.trouble {
        Some(trouble) => trouble.lines().next().unwrap_or_default().to_owned(),
        None => last.census.to_string(),
    }
}

/// Has a message sent after those that wait.
fn tell(message: impl FnOnce() -> io::Result<()> + Send + 'static) {
    static MESSENGER: OnceLock<Option<SyncSender<Message>>> = OnceLock::new();
    if let Some(messenger) = MESSENGER.get_or_init(messenger)
        && messenger.try_send(Box::new(message)).is_err()
    {
        tracing::debug!(target: "nodepool", "systemd was not told: it does not read");
    }
}

/// Starts what sends. It ends with the process.
fn messenger() -> Option<SyncSender<Message>> {
    let (tell, told) = sync_channel::<Message>(QUEUE);
    let sending = move || {
        for message in told {
            // If systemd cannot be told, there is nobody to be told that.
            if let Err(error) = message() {
                tracing::debug!(target: "nodepool", "systemd was not told: {error}");
            }
        }
    };
    std::thread::Builder::new().name("notify".to_owned()).spawn(sending).ok().map(|_| tell)
}
