//! A job at a Gearman server: submitted, and followed until it ends. The binary protocol is
//! <http://gearman.org/protocol/>.
//!
//! The packets are those of the crate `gearman`; its client is not used. That one keeps what a server says without bound,
//! waits without a deadline, goes on connecting for ever when it is dropped while its server is down, and over TLS brings a
//! second library for cryptography. One connection for one job needs none of what it does besides.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use gearman::GearmanError;
use gearman::protocol::{GearmanCodec, Packet, PacketType};
use thiserror::Error;
use tokio_util::codec::Framed;

use super::address::{Address, Stream};
use super::connection::Trouble;

/// The longest packet that is taken: what a launcher says is a line of JSON.
const LONGEST_PACKET: u32 = 1024 * 1024;
/// The longest name of a function that gearmand takes.
const LONGEST_FUNCTION: usize = 512;

/// How a job is submitted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// It is forgotten when we leave, and we hear how it goes.
    Foreground,
    /// It stays when we leave.
    Background,
}

/// What a server says about the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Data(Bytes),
    Complete,
    Fail,
    Exception(Bytes),
    /// The answer to [`JobConnection::ask_status`].
    Status {
        known: bool,
        running: bool,
    },
    /// Something that does not matter here.
    SomethingElse,
}

/// Why a job was not taken.
#[derive(Debug, Error)]
pub(super) enum NotTaken {
    #[error("{0}")]
    Trouble(#[from] Trouble),
    #[error("the server refused the job: {0}")]
    Refused(String),
}

/// A connection for one job.
pub(super) struct JobConnection {
    framed: Framed<Stream, GearmanCodec>,
    patience: Duration,
}

impl JobConnection {
    /// Connects; that, and each thing that is said to the server, may take this long.
    pub(super) async fn open(address: &Address, patience: Duration) -> Result<Self, Trouble> {
        let stream = in_time(patience, address.connect()).await?;
        let codec = GearmanCodec::with_max_payload_size(LONGEST_PACKET);
        Ok(Self { framed: Framed::new(stream, codec), patience })
    }

    /// Submits a job; gives its handle.
    pub(super) async fn submit(
        &mut self,
        kind: Kind,
        function: &str,
        unique: &str,
        data: Vec<u8>,
    ) -> Result<String, NotTaken> {
        // A name with a NUL would end early, and what follows it would be taken for the next argument.
        let odd = |text: &str| text.chars().any(|c| c.is_control() || c.is_whitespace());
        if function.is_empty() || function.len() > LONGEST_FUNCTION || odd(function) || odd(unique) {
            return Err(NotTaken::Refused(format!("{function:?} cannot be the name of a function")));
        }
        let kind = match kind {
            Kind::Foreground => PacketType::SubmitJobHigh,
            Kind::Background => PacketType::SubmitJobHighBg,
        };
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        self.send(Packet::request(kind, vec![text(function), text(unique), data.into()])).await?;
        let packet = in_time(self.patience, receive(&mut self.framed)).await?;
        match packet.ptype {
            PacketType::JobCreated => {
                let handle = packet.arg_str(0).filter(|handle| !handle.is_empty() && !odd(handle));
                handle.map(str::to_owned).ok_or(NotTaken::Trouble(Trouble::Nonsense))
            }
            PacketType::Error => {
                let [code, text] =
                    [0, 1].map(|at| packet.arg(at).map_or_else(String::new, |bytes| shown(bytes)));
                Err(NotTaken::Refused(format!("{text} ({code})")))
            }
            _ => Err(NotTaken::Trouble(Trouble::Nonsense)),
        }
    }

    /// Has the server say whether it knows the job and whether somebody runs it.
    pub(super) async fn ask_status(&mut self, handle: &str) -> Result<(), Trouble> {
        let handle = Bytes::copy_from_slice(handle.as_bytes());
        self.send(Packet::request(PacketType::GetStatus, vec![handle])).await
    }

    /// Waits for what the server says next. It can be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Said, Trouble> {
        let packet = receive(&mut self.framed).await?;
        let is = |at: usize| packet.arg_str(at) == Some("1");
        let data = || packet.arg(1).cloned().unwrap_or_default();
        Ok(match packet.ptype {
            PacketType::WorkData => Said::Data(data()),
            PacketType::WorkComplete => Said::Complete,
            PacketType::WorkFail => Said::Fail,
            PacketType::WorkException => Said::Exception(data()),
            PacketType::StatusRes => Said::Status { known: is(1), running: is(2) },
            _ => Said::SomethingElse,
        })
    }

    async fn send(&mut self, packet: Packet) -> Result<(), Trouble> {
        in_time(self.patience, async { self.framed.send(packet).await.map_err(trouble) }).await
    }
}

async fn receive(framed: &mut Framed<Stream, GearmanCodec>) -> Result<Packet, Trouble> {
    framed.next().await.ok_or(Trouble::Closed)?.map_err(trouble)
}

fn trouble(error: GearmanError) -> Trouble {
    match error {
        GearmanError::Io(error) => Trouble::Broken(error),
        GearmanError::PayloadTooLarge(_) => Trouble::TooLong(LONGEST_PACKET.into()),
        _ => Trouble::Nonsense,
    }
}

pub(super) async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(Trouble::Silent(patience)))
}

/// What somebody sent, for a person.
pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|character| !character.is_control()).take(300).collect()
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(bytes: &[u8]) {
    use tokio_util::codec::Decoder as _;
    let mut codec = GearmanCodec::with_max_payload_size(LONGEST_PACKET);
    let mut buffer = bytes::BytesMut::from(bytes);
    while let Ok(Some(packet)) = codec.decode(&mut buffer) {
        std::hint::black_box((packet.arg_str(0).map(str::len), packet.arg(1).map(|said| shown(said))));
    }
}
