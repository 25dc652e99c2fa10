//! What a Jenkins publishes over ZeroMQ: each event of a job is one message, `TOPIC BLANK JSON`.
//!
//! Who is not there when something is published never learns of it, so a lost connection is made again for ever, soon.
//! What the messages mean is not known here.

#[cfg(feature = "fuzz")]
pub mod fuzz;
mod zmtp;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use zmtp::{Line, Message, Trouble};

/// The bounds of listening.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a publisher may take to be reached and to greet.
    pub greeting: Duration,
    /// The longest message, in bytes. One that is longer is skipped. The parameters of a job are most of a message, and
    /// 1 MiB is more than a shell takes of them.
    pub message_bytes: u64,
    /// The pause before the first try to connect again; it doubles with each try.
    pub first_pause: Duration,
    /// The longest of these pauses: as long as events may be missed once the publisher is back.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(10),
            message_bytes: 1024 * 1024,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Where something is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    host: String,
    port: u16,
}

impl Publisher {
    /// From `tcp://HOST:PORT`, with an IPv6 address in brackets.
    pub fn at(endpoint: &str) -> Option<Self> {
        let (host, port) = endpoint.strip_prefix("tcp://")?.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

/// What is told of a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It is heard from now on.
    Connected,
    /// It published this. The parts of a message are joined with a blank.
    Said(Vec<u8>),
    /// It published something that is too long.
    TooLong,
    /// It is not heard any more, or not yet, for this reason. Another try follows.
    Lost(String),
}

/// Listens to everything that a publisher says until `stop` is cancelled or nobody takes the reports any more. When they
/// are not taken, nothing more is read.
pub async fn listen(
    publisher: Publisher,
    limits: Limits,
    reports: mpsc::Sender<Report>,
    stop: CancellationToken,
) {
    stop.run_until_cancelled(for_ever(publisher, limits, reports)).await;
}

async fn for_ever(publisher: Publisher, limits: Limits, reports: mpsc::Sender<Report>) {
    let mut pause = limits.first_pause;
    loop {
        let began = Instant::now();
        let Some(trouble) = connection(&publisher, limits, &reports).await else { return };
        if reports.send(Report::Lost(trouble.to_string())).await.is_err() {
            return;
        }
        if began.elapsed() > limits.longest_pause {
            pause = limits.first_pause;
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(limits.longest_pause);
    }
}

/// One connection, from its beginning to its end; `None` when nobody takes reports.
async fn connection(
    publisher: &Publisher,
    limits: Limits,
    reports: &mpsc::Sender<Report>,
) -> Option<Trouble> {
    let opened = tokio::time::timeout(limits.greeting, Line::open(&publisher.host, publisher.port)).await;
    let mut line = match opened {
        Ok(Ok(line)) => line,
        Ok(Err(trouble)) => return Some(trouble),
        Err(_) => return Some(Trouble::Silent(limits.greeting)),
    };
    reports.send(Report::Connected).await.ok()?;
    loop {
        let report = match line.message(limits.message_bytes).await {
            Ok(Message::Whole(said)) => Report::Said(said),
            Ok(Message::TooLong) => Report::TooLong,
            Err(trouble) => return Some(trouble),
        };
        reports.send(report).await.ok()?;
    }
}
