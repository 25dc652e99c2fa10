//! The admin protocol of Gearman: one line of text asks, lines up to a single dot answer. It shares the port of the
//! binary protocol.
//!
//! The crate `gearman` has an admin client, which is not used here: it takes one line of a `status` answer that it
//! cannot read (a short line, a total that is no number, a name that is not UTF-8) for the failure of the whole answer,
//! and it reads as many lines as a server cares to send.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Why a server's answer is missing.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    #[error("it closed the connection before the end of its answer")]
    Closed,
    #[error("its answer is longer than {0} bytes")]
    TooLong(u64),
    #[error("no complete answer within {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("what answers there does not speak the admin protocol of Gearman")]
    Nonsense,
    #[error("the question was cut off: {0}")]
    CutOff(String),
}

/// A connection that is kept from question to question.
pub(super) struct AdminConnection {
    reader: BufReader<TcpStream>,
}

impl AdminConnection {
    /// Opens a connection. Whoever calls bounds the time.
    pub(super) async fn open(host: &str, port: u16) -> Result<Self, Trouble> {
        let stream = TcpStream::connect((host, port)).await.map_err(Trouble::Connect)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Whether it can be used for another question: the server has not closed it, and has said nothing unasked, which
    /// the next answer would be taken for.
    pub(super) fn is_usable(&self) -> bool {
        let unasked = self.reader.get_ref().try_read(&mut [0]);
        self.reader.buffer().is_empty()
            && unasked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Asks for the status: the whole answer with its last line. Whoever calls bounds the time.
    pub(super) async fn status(&mut self, most_bytes: u64) -> Result<Vec<u8>, Trouble> {
        self.reader.get_mut().write_all(b"status\n").await.map_err(Trouble::Broken)?;
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
}
