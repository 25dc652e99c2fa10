//! Bounds on what clients can occupy: so many connections, each for so long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// The most connections at once; the next ones wait in the system's queue.
const MOST: usize = 64;
/// The longest that a connection may last: it serves one request.
const LIFE: Duration = Duration::from_secs(30);
/// The longest that a connection may last whose request is answered by a stream, as long as its client takes what it is
/// sent; browsers come back by themselves.
const STREAM_LIFE: Duration = Duration::from_secs(3600);

/// The connection over which somebody asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    stays: Arc<AtomicBool>,
}

impl Caller {
    /// Lets the connection last as long as its client takes something now and then.
    pub(super) fn stays(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A listener that accepts no more connections than it can serve.
pub(super) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = Caller;

    async fn accept(&mut self) -> (Connection, Caller) {
        // A semaphore that is never closed always gives a permit in the end.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let (stream, _peer) = Listener::accept(&mut self.listener).await;
        let stays = Arc::new(AtomicBool::new(false));
        let connection = Connection {
            stream,
            began: Instant::now(),
            stays: Arc::clone(&stays),
            end: Box::pin(tokio::time::sleep(LIFE)),
            _permit: permit,
        };
        (connection, Caller { stays })
    }

    fn local_addr(&self) -> io::Result<Caller> {
        self.listener.local_addr().map(|_address| Caller::default())
    }
}

/// A connection that breaks off when its time is over.
pub(super) struct Connection {
    stream: TcpStream,
    began: Instant,
    stays: Arc<AtomicBool>,
    end: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }

    /// Lets a stream go on whose client has just taken something.
    fn go_on(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(_))) && self.stays.load(Ordering::Relaxed) {
            let next = Instant::now().checked_add(LIFE);
            let last = self.began.checked_add(STREAM_LIFE);
            if let (Some(next), Some(last)) = (next, last) {
                self.end.as_mut().reset(next.min(last));
            }
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.in_time(context)?.poll_write(context, bytes);
        self.go_on(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.in_time(context)?.poll_write_vectored(context, bytes);
        self.go_on(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn bounded() -> (Bounded, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Bounded::new(listener), address)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_left_after_a_while() {
        let (mut bounded, address) = bounded().await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _peer) = bounded.accept().await;
        let start = Instant::now();
        let error = connection.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= LIFE && start.elapsed() < LIFE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_client_waits_until_one_leaves() {
        let (mut bounded, address) = bounded().await;
        let mut clients = Vec::new();
        let mut connections = Vec::new();
        for _ in 0..MOST {
            clients.push(TcpStream::connect(address).await.unwrap());
            connections.push(bounded.accept().await);
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        let an_hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(an_hour, bounded.accept()).await.is_err());
        connections.pop();
        let (connection, _caller) = bounded.accept().await;
        assert_eq!(connection.stream.peer_addr().unwrap(), clients[MOST].local_addr().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_lasts_while_its_client_takes_it_but_not_for_ever() {
        let (mut bounded, address) = bounded().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, caller) = bounded.accept().await;
        caller.stays();
        let start = Instant::now();
        let mut taken = [0; 1];
        let error = loop {
            if let Err(error) = connection.write_all(b"x").await {
                break error;
            }
            client.read_exact(&mut taken).await.unwrap();
            tokio::time::sleep(LIFE / 3).await;
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= STREAM_LIFE && start.elapsed() < STREAM_LIFE + LIFE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_takes_ends_as_soon_as_any_other_answer() {
        let (mut bounded, address) = bounded().await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut connection, caller) = bounded.accept().await;
        caller.stays();
        let much = vec![0; 1 << 20];
        let start = Instant::now();
        let error = loop {
            if let Err(error) = connection.write_all(&much).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= LIFE && start.elapsed() < LIFE * 2);
    }
}
