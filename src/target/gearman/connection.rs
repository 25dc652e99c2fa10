//! The admin protocol of Gearman: one line of text asks, lines up to a single dot answer. It shares the port of the
//! binary protocol.
//!
//! The crate `gearman` has an admin client, which is not used here: it takes one line of a `status` answer that it
//! cannot read (a short line, a total that is no number, a name that is not UTF-8) for the failure of the whole answer,
//! and it reads as many lines as a server cares to send.

use std::io;
use std::time::Duration;

use futures::FutureExt as _;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::address::{Address, Stream};

/// The longest answer to anything but `status`.
const LONGEST_LINE: u64 = 1024;

/// Why a server's answer is missing.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("no connection over TLS: {0}")]
    Tls(String),
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    #[error("it closed the connection before the end of its answer")]
    Closed,
    #[error("its answer is longer than {0} bytes")]
    TooLong(u64),
    #[error("no complete answer within {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("what answers there does not speak the protocol of Gearman")]
    Nonsense,
    #[error("the question was cut off: {0}")]
    CutOff(String),
}

impl Trouble {
    /// The word for this trouble in the metrics.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Connect(_) => "no_connection",
            Self::Tls(_) => "tls",
            Self::Broken(_) | Self::Closed | Self::CutOff(_) => "broken",
            Self::TooLong(_) | Self::Nonsense => "nonsense",
            Self::Silent(_) => "silent",
        }
    }
}

/// A connection that is kept from question to question.
pub(super) struct AdminConnection {
    reader: BufReader<Stream>,
}

impl AdminConnection {
    /// Opens a connection. Whoever calls bounds the time.
    pub(super) async fn open(address: &Address) -> Result<Self, Trouble> {
        Ok(Self { reader: BufReader::new(address.connect().await?) })
    }

    /// Whether it can be used for another question: the server has not closed it, and has said nothing unasked, which
    /// the next answer would be taken for.
    pub(super) fn is_usable(&mut self) -> bool {
        self.reader.fill_buf().now_or_never().is_none()
    }

    /// Asks for the status: the whole answer with its last line. Whoever calls bounds the time.
    pub(super) async fn status(&mut self, most_bytes: u64) -> Result<Vec<u8>, Trouble> {
        self.ask("status\n").await?;
        let mut bounded = (&mut self.reader).take(most_bytes);
        let mut answer = Vec::new();
        loop {
            let start = answer.len();
            bounded.read_until(b'\n', &mut answer).await.map_err(Trouble::Broken)?;
            let line = answer.get(start..).unwrap_or_default();
            if !line.ends_with(b"\n") {
                let over = bounded.limit() == 0;
                return Err(if over { Trouble::TooLong(most_bytes) } else { Trouble::Closed });
            }
            if line.trim_ascii_end() == b"." {
                return Ok(answer);
            }
        }
    }

    /// Takes a job out of its queue that nobody has begun, by the handle that the server gave it. Whoever calls bounds the
    /// time.
    pub(super) async fn cancel(&mut self, handle: &str) -> Result<(), Trouble> {
        self.ask(&format!("cancel job {handle}\n")).await?;
        let mut answer = Vec::new();
        (&mut self.reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut answer)
            .await
            .map_err(Trouble::Broken)?;
        if answer.ends_with(b"\n") { Ok(()) } else { Err(Trouble::Closed) }
    }

    async fn ask(&mut self, line: &str) -> Result<(), Trouble> {
        let stream = self.reader.get_mut();
        stream.write_all(line.as_bytes()).await.map_err(Trouble::Broken)?;
        // What goes through TLS may wait in a buffer.
        stream.flush().await.map_err(Trouble::Broken)
    }
}
