//! A subscriber's side of ZMTP, the protocol of ZeroMQ: versions 2.0 (<https://rfc.zeromq.org/spec/15/>) and 3.0
//! (<https://rfc.zeromq.org/spec/23/>), without security, as what publishes job events speaks it.
//!
//! The crate `zeromq` is not used here. It closes the connection to whoever speaks less than 3.0, and every release of
//! Jenkins' zmq-event-publisher brings JeroMQ 0.2.0, which speaks 2.0. And it makes room for a frame of whatever length a
//! peer announces, so that nine bad bytes could end this process.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The first part of a greeting: what it begins and ends with, and bytes between that mean nothing.
const SIGNATURE: [u8; 10] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;
/// The types of sockets by their number in ZMTP 2.0.
const PUB: u8 = 1;
const SUB: u8 = 2;
const XPUB: u8 = 9;
/// Asks for every message: a subscription to what begins with nothing.
const SUBSCRIBE_TO_ALL: [u8; 3] = [0, 1, 1];
/// The longest command or identity: those of the protocol are shorter by far.
const LONGEST_COMMAND: u64 = 4096;
/// The most parts of a message.
const MOST_PARTS: usize = 16;
/// What is longer than this is not skipped: it would take longer than to connect anew.
const LONGEST_SKIPPED: u64 = 64 * 1024 * 1024;
/// How long the rest of a frame may take once it has begun.
const FRAME_PATIENCE: Duration = Duration::from_secs(30);
/// A publisher may be silent for hours. The kernel asks the other machine after so long whether it is still there, and
/// so often, this far apart: a connection whose other end is gone without a word is noticed within a minute.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// Why a publisher is not heard.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("what answers there does not speak ZMTP 2.0 or later, the protocol of ZeroMQ")]
    NotZeroMq,
    #[error("it wants the security mechanism {0}; only NULL, which is none, is spoken")]
    Mechanism(String),
    #[error("it is a socket of the type {0}, not a publisher")]
    NotAPublisher(String),
    #[error("it refused: {0}")]
    Refused(String),
    #[error("it broke the protocol: {0}")]
    Nonsense(&'static str),
    #[error("a message of {0} bytes is too long even to be skipped")]
    FarTooLong(u64),
    #[error("it did not greet within {} s", .0.as_secs_f64())]
    Silent(Duration),
}

/// A message, whose parts are joined with a blank; or that it was longer than what was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Whole(Vec<u8>),
    TooLong,
}

/// A connection that is subscribed to everything.
#[derive(Debug)]
pub(super) struct Line<S> {
    stream: BufReader<S>,
    /// ZMTP 3 has commands among the messages, ZMTP 2 has none.
    has_commands: bool,
}

/// The head of a frame.
struct Head {
    flags: u8,
    length: u64,
}

impl Line<TcpStream> {
    /// Connects, greets and subscribes. Whoever calls bounds the time.
    pub(super) async fn open(host: &str, port: u16) -> Result<Self, Trouble> {
        let stream = TcpStream::connect((host, port)).await.map_err(Trouble::Connect)?;
        SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
        stream.set_nodelay(true)?;
        Self::over(stream).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Greets and subscribes over a connection. Whoever calls bounds the time.
    pub(super) async fn over(stream: S) -> Result<Self, Trouble> {
        let mut line = Self { stream: BufReader::new(stream), has_commands: false };
        line.greet().await?;
        line.send(&SUBSCRIBE_TO_ALL).await?;
        Ok(line)
    }

    /// Finds out which version the other side speaks. An old one closes the connection when it is told more than it
    /// knows, so each part is said only when the answer to the part before it is there.
    async fn greet(&mut self) -> Result<(), Trouble> {
        self.send(&SIGNATURE).await?;
        let signature: [u8; 10] = self.read().await?;
        let [0xff, .., last] = signature else { return Err(Trouble::NotZeroMq) };
        if last & 1 == 0 {
            return Err(Trouble::NotZeroMq);
        }
        self.send(&[3]).await?;
        match self.read::<1>().await? {
            [0] => Err(Trouble::NotZeroMq),
            [1 | 2] => self.greet_2().await,
            [_] => self.greet_3().await,
        }
    }

    async fn greet_2(&mut self) -> Result<(), Trouble> {
        // Our type, and an identity without a name.
        self.send(&[SUB, 0, 0]).await?;
        let [kind] = self.read().await?;
        if ![PUB, XPUB].contains(&kind) {
            return Err(Trouble::NotAPublisher(format!("number {kind}")));
        }
        let identity = self.head().await?;
        self.short(&identity).await.map(|_identity| ())
    }

    async fn greet_3(&mut self) -> Result<(), Trouble> {
        let mut rest = [0; 53];
        let (mechanism, ready) =
            (b"NULL", b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB\x08Identity\x00\x00\x00\x00");
        // The minor version, 0, comes first.
        rest.iter_mut().skip(1).zip(mechanism).for_each(|(byte, letter)| *byte = *letter);
        self.send(&rest).await?;
        let theirs: [u8; 53] = self.read().await?;
        let theirs: Vec<u8> = theirs.into_iter().skip(1).take(20).take_while(|byte| *byte != 0).collect();
        if theirs != mechanism {
            return Err(Trouble::Mechanism(shown(&theirs)));
        }
        self.has_commands = true;
        self.command(ready).await?;
        let head = self.head().await?;
        if head.flags & COMMAND == 0 {
            return Err(Trouble::Nonsense("a message came before the greeting was over"));
        }
        let answer = self.short(&head).await?;
        if let Some(reason) = answer.strip_prefix(b"\x05ERROR") {
            return Err(Trouble::Refused(shown(reason)));
        }
        let properties =
            answer.strip_prefix(b"\x05READY").ok_or(Trouble::Nonsense("its greeting has no end"))?;
        match property(properties, b"Socket-Type") {
            Some(b"PUB" | b"XPUB") => Ok(()),
            other => Err(Trouble::NotAPublisher(shown(other.unwrap_or_default()))),
        }
    }

    /// Waits for the next message, for ever. One that is longer than `longest` bytes is skipped and told.
    pub(super) async fn message(&mut self, longest: u64) -> Result<Message, Trouble> {
        let mut whole = Vec::new();
        let mut left = Some(longest);
        for _ in 0..MOST_PARTS {
            let head = self.next_head().await?;
            left = left.and_then(|left| left.checked_sub(head.length));
            if left.is_some() {
                if !whole.is_empty() {
                    whole.push(b' ');
                }
                whole.extend(self.body(head.length).await?);
            } else {
                self.skip(head.length).await?;
            }
            if head.flags & MORE == 0 {
                return Ok(left.map_or(Message::TooLong, |_| Message::Whole(whole)));
            }
        }
        Err(Trouble::Nonsense("a message has too many parts"))
    }

    /// The head of the next frame that is no command; commands are obeyed on the way.
    async fn next_head(&mut self) -> Result<Head, Trouble> {
        loop {
            let head = self.head().await?;
            if !self.has_commands || head.flags & COMMAND == 0 {
                return Ok(head);
            }
            let command = self.short(&head).await?;
            // From ZMTP 3.1 on: two bytes tell how long the asker waits, and up to 16 are to be sent back.
            if let Some(context) = command.strip_prefix(b"\x04PING").and_then(|rest| rest.get(2..)) {
                self.command(&[b"\x04PONG", context.get(..16).unwrap_or(context)].concat()).await?;
            }
        }
    }

    async fn head(&mut self) -> Result<Head, Trouble> {
        let [flags] = self.read().await?;
        let length = if flags & LONG == 0 {
            let [length] = self.read().await?;
            length.into()
        } else {
            u64::from_be_bytes(self.read().await?)
        };
        Ok(Head { flags, length })
    }

    /// The body of a command or an identity.
    async fn short(&mut self, head: &Head) -> Result<Vec<u8>, Trouble> {
        if head.length > LONGEST_COMMAND {
            return Err(Trouble::Nonsense("a command is too long"));
        }
        self.body(head.length).await
    }

    async fn body(&mut self, length: u64) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        let mut bounded = (&mut self.stream).take(length);
        let read = in_time(bounded.read_to_end(&mut body)).await?;
        if u64::try_from(read).ok() == Some(length) { Ok(body) } else { Err(closed()) }
    }

    async fn skip(&mut self, length: u64) -> Result<(), Trouble> {
        if length > LONGEST_SKIPPED {
            return Err(Trouble::FarTooLong(length));
        }
        let mut skipped = (&mut self.stream).take(length);
        let read = in_time(tokio::io::copy(&mut skipped, &mut tokio::io::sink())).await?;
        if read == length { Ok(()) } else { Err(closed()) }
    }

    async fn read<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn command(&mut self, body: &[u8]) -> Result<(), Trouble> {
        let length =
            u8::try_from(body.len()).map_err(|_| Trouble::Nonsense("our own command is too long"))?;
        self.send(&[&[COMMAND, length], body].concat()).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        in_time(self.stream.get_mut().write_all(bytes)).await
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, Trouble> {
    let done = tokio::time::timeout(FRAME_PATIENCE, work).await;
    Ok(done.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
}

fn closed() -> Trouble {
    Trouble::Broken(io::ErrorKind::UnexpectedEof.into())
}

/// The value of a property: each has its name behind one byte of length, and its value behind four.
fn property<'a>(mut properties: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    loop {
        let (length, rest) = properties.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        properties = rest;
    }
}

/// What somebody sent, for a person.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|character| !character.is_control()).take(100).collect()
}
