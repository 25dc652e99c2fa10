//! Something that listens and says whatever a test wants.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// Listens as long as it is held.
pub(crate) struct Impostor {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    _listening: AbortOnDropHandle<()>,
}

/// A connection whose peer can be heard and told things.
pub(crate) type Line = BufReader<TcpStream>;

impl Impostor {
    /// Does `talk` with everybody who connects, and keeps the connection open until it ends.
    pub(crate) async fn new<F, T>(talk: F) -> Self
    where
        F: Fn(Line) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let listening = tokio::spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                talks.spawn(talk(BufReader::new(stream)));
            }
        });
        Self { port, connections, _listening: AbortOnDropHandle::new(listening) }
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Waits for the question; false when the other side has gone.
pub(crate) async fn asked(line: &mut Line) -> bool {
    let mut question = String::new();
    line.read_line(&mut question).await.is_ok_and(|bytes| bytes > 0 && question.trim_end() == "status")
}
