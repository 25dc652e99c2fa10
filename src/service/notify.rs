//! What systemd is told: that the daemon serves, what it does, that it lives, that it stops.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody is told anything.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::telemetry::LastTick;

/// The shortest pause between two lines of status.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the loop has to say that it lives: twice within the time that systemd allows. `None`: nobody listens.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().and_then(|allowed| allowed.checked_div(2))
}

/// Says that the loop lives.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Says that the daemon stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: calls to clouds come home")]);
}

/// Says that the configuration is being read again; [`reloaded`] has to follow.
pub fn reloading() {
    if let Ok(moment) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, moment]);
    }
}

/// Says that the configuration was read again, whatever came of it.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
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
        if !std::mem::replace(&mut ready, true) {
            tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        } else if status != said {
            tell(&[NotifyState::Status(&status)]);
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

/// If systemd cannot be told, there is nobody to be told that.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(target: "nodepool", "systemd was not told: {error}");
    }
}
