//! A listener with a store of its own, and publishers of a test's own.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nodepool::config::{self, Config, SecureConf, Sources};
use nodepool::events::{Listening, Ring, Writer};
use nodepool::model::NewJobEvent;
use nodepool::store::Store;
use nodepool::target::zmq::Limits;
use nodepool::telemetry::{LastTick, Metrics, Pool};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeromq::{Socket as _, SocketSend as _};

/// Everything that is waited for comes sooner.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon, as far as it listens.
pub(crate) struct Scene {
    folder: TempDir,
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rings: Arc<AtomicUsize>,
    config: watch::Sender<Arc<Config>>,
    pub(crate) stop: CancellationToken,
    listening: JoinHandle<()>,
}

impl Scene {
    pub(crate) async fn new(ports: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(&format!("sqlite:{}", folder.path().join("nodepool.db").display())).await.unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let rings = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rings);
        let ring = Ring::by(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let (config, seen) = watch::channel(Arc::new(configured(folder.path(), ports)));
        let writer = Writer::new(store.clone(), ring, Arc::clone(&metrics));
        let limits = Limits { longest_pause: Duration::from_millis(200), ..Limits::default() };
        let listening =
            Listening { config: seen, writer, metrics: Arc::clone(&metrics), limits, patience: DEADLINE };
        let stop = CancellationToken::new();
        let listening = tokio::spawn(listening.run(stop.clone()));
        Self { folder, store, metrics, rings, config, stop, listening }
    }

    /// Puts these publishers in the place of those that are configured.
    pub(crate) fn publishers(&self, ports: &[u16]) {
        self.config.send_replace(Arc::new(configured(self.folder.path(), ports)));
    }

    pub(crate) fn database(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("nodepool.db").display())
    }

    /// What was told, once it is so much.
    pub(crate) async fn told(&self, count: usize) -> Vec<NewJobEvent> {
        let end = Instant::now() + DEADLINE;
        loop {
            let events = self.store.open_events().await.unwrap();
            if events.len() >= count {
                return events.into_iter().map(|event| event.told).collect();
            }
            assert!(Instant::now() < end, "only {events:?} of {count}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the metrics have this line.
    pub(crate) async fn metric(&self, line: &str) {
        let end = Instant::now() + DEADLINE;
        let config = self.config.borrow().clone();
        loop {
            let last = LastTick::default();
            let now = std::time::SystemTime::now().into();
            let pool = Pool { config: &config, nodes: &[], images: &[], setbacks: &[], last: &last, now };
            let text = self.metrics.render(&pool).unwrap();
            if text.lines().any(|found| found == line) {
                return;
            }
            assert!(Instant::now() < end, "no {line} in\n{text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn connected(&self, port: u16) {
        self.metric(&format!("nodepool_zmq_publisher_connected{{publisher=\"tcp://127.0.0.1:{port}\"}} 1"))
            .await;
    }

    /// Ends the daemon, and gives how many events it has written.
    pub(crate) async fn stopped(self) -> usize {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.listening).await.unwrap().unwrap();
        self.store.open_events().await.unwrap().len()
    }
}

fn configured(folder: &Path, ports: &[u16]) -> Config {
    let publishers: Vec<String> = ports.iter().map(|port| format!("'tcp://127.0.0.1:{port}'")).collect();
    let yaml =
        format!("labels: []\nproviders: []\ntargets: []\nzmq-publishers: [{}]\n", publishers.join(", "));
    let path = folder.join("nodepool.yaml");
    std::fs::write(&path, yaml).unwrap();
    let sources = Sources {
        nodepool_yaml: path,
        secure_conf: SecureConf::IfPresent(folder.join("secure.conf")),
        environment: std::collections::BTreeMap::new(),
        is_root: false,
        home: Some(folder.to_owned()),
        working_dir: folder.to_owned(),
    };
    config::load(&sources).unwrap_or_else(|wrong| panic!("{}", config::render(&wrong))).config
}

/// A message of Jenkins' plugin.
pub(crate) fn message(topic: &str, node: &str, number: usize) -> String {
    format!(
        r#"{topic} {{"name":"gate-x","build":{{"number":{number},"status":"SUCCESS","node_name":"{node}"}}}}"#
    )
}

/// A publisher that speaks ZMTP 3.0.
pub(crate) struct Zeromq {
    socket: zeromq::PubSocket,
    pub(crate) port: u16,
}

impl Zeromq {
    pub(crate) async fn new(port: u16) -> Self {
        let mut socket = zeromq::PubSocket::new();
        let zeromq::Endpoint::Tcp(_, port) = socket.bind(&format!("tcp://127.0.0.1:{port}")).await.unwrap()
        else {
            panic!("not bound to TCP")
        };
        Self { socket, port }
    }

    pub(crate) async fn publish(&mut self, message: &str) {
        self.socket.send(message.to_owned().into()).await.unwrap();
    }

    pub(crate) async fn publish_in_parts(&mut self, parts: &[&str]) {
        let parts: Vec<_> = parts.iter().map(|part| bytes::Bytes::copy_from_slice(part.as_bytes())).collect();
        self.socket.send(parts.try_into().unwrap()).await.unwrap();
    }
}

/// A publisher that speaks ZMTP 2.0, as JeroMQ 0.2.0 does, or whatever a test has it say.
pub(crate) struct Played {
    listener: TcpListener,
    pub(crate) port: u16,
}

impl Played {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// The next one who connects.
    pub(crate) async fn caller(&self) -> TcpStream {
        tokio::time::timeout(DEADLINE, self.listener.accept()).await.expect("somebody connects").unwrap().0
    }

    /// The next one who connects, greeted and subscribed.
    pub(crate) async fn subscriber(&self) -> TcpStream {
        let mut caller = self.caller().await;
        assert_eq!(heard::<10>(&mut caller).await, [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]);
        // A publisher's signature, version 1 (which is ZMTP 2.0) and type come at once; JeroMQ closes the connection when
        // more than its greeting has comes before that.
        caller.write_all(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 1]).await.unwrap();
        let [_version, kind] = heard(&mut caller).await;
        assert_eq!(kind, 2, "a SUB socket");
        assert_eq!(heard::<2>(&mut caller).await, [0, 0], "without an identity");
        caller.write_all(&[0, 0]).await.unwrap();
        assert_eq!(heard::<3>(&mut caller).await, [0, 1, 1], "subscribed to all");
        caller
    }
}

pub(crate) async fn heard<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut bytes)).await.expect("it says something").unwrap();
    bytes
}

/// A frame with a body.
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    match u8::try_from(body.len()) {
        Ok(length) => [&[flags, length], body].concat(),
        Err(_) => [&[flags | 2], &(body.len() as u64).to_be_bytes()[..], body].concat(),
    }
}
