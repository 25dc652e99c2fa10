//! A Gearman server of a test's own, and its clients and workers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) use nodepool::target::gearman::Address;
use nodepool::target::gearman::{GearmanDemand, Limits, TlsFiles};
use nodepool::target::{DemandError, DemandSource as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::held_port::HeldPort;

/// Everything that is waited for comes sooner.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The two servers that are in use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Gearmand,
    Geard,
}

/// A server, stopped when it is dropped.
pub(crate) struct Server {
    kind: Kind,
    pub(crate) port: u16,
    _held: HeldPort,
    tls: Option<TlsFiles>,
    process: Option<Child>,
}

impl Server {
    pub(crate) async fn started(kind: Kind) -> Self {
        Self::with(kind, None).await
    }

    /// A geard that speaks TLS with these files, and wants to see a certificate of the same authority.
    pub(crate) async fn behind_tls(files: TlsFiles) -> Self {
        Self::with(Kind::Geard, Some(files)).await
    }

    async fn with(kind: Kind, tls: Option<TlsFiles>) -> Self {
        let held = HeldPort::new();
        let mut server = Self { kind, port: held.port, _held: held, tls, process: None };
        server.start().await;
        server
    }

    pub(crate) fn address(&self) -> Address {
        Address { host: "127.0.0.1".to_owned(), port: self.port, tls: self.tls.clone() }
    }

    pub(crate) async fn start(&mut self) {
        let port = self.port.to_string();
        let (program, arguments, source): (PathBuf, Vec<&str>, &str) = match self.kind {
            Kind::Gearmand => (
                "/usr/sbin/gearmand".into(),
                vec!["--listen", "127.0.0.1", "--port", &port, "--log-file", "stderr", "--verbose", "FATAL"],
                "apt-get install gearman-job-server",
            ),
            Kind::Geard => (
                geard(),
                vec!["-d", "--listen-address", "127.0.0.1", "-p", &port],
                "python3 -m venv target/test-tools/gear && target/test-tools/gear/bin/pip install gear, \
                 or set NODEPOOL_TEST_GEARD to the path of a geard",
            ),
        };
        let mut command = Command::new(&program);
        if let Some(tls) = &self.tls {
            let files =
                [("--ssl-key", &tls.key), ("--ssl-cert", &tls.certificate), ("--ssl-ca", &tls.authority)];
            for (option, path) in files {
                command.arg(option).arg(path);
            }
        }
        let spawned =
            command.args(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process =
            Some(spawned.unwrap_or_else(|error| panic!("{}: {error}: {source}", program.display())));
        let end = Instant::now() + DEADLINE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            assert!(Instant::now() < end, "{:?} does not listen on port {}", self.kind, self.port);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The end of the server, without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer { stream: TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap() }
    }

    /// Queues a job that nobody waits for.
    pub(crate) async fn queue(&self, function: &str, unique: &str) {
        let mut client = self.peer().await;
        client.send(SUBMIT_JOB_BG, format!("{function}\0{unique}\0").as_bytes()).await;
        assert_eq!(client.receive().await.0, JOB_CREATED);
    }
}

/// Asks a server something by the admin protocol.
pub(crate) async fn admin(port: u16, question: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    stream.write_all(format!("{question}\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b".\n") {
        let read = tokio::time::timeout(DEADLINE, stream.read_buf(&mut answer)).await.unwrap().unwrap();
        assert!(read > 0, "the answer broke off");
    }
    String::from_utf8(answer).unwrap()
}

/// How many jobs of a function a server has.
pub(crate) async fn jobs_of(port: u16, function: &str) -> u32 {
    status_of(port, function).await[0]
}

/// How many workers have registered a function at a server.
pub(crate) async fn workers_of(port: u16, function: &str) -> u32 {
    status_of(port, function).await[2]
}

/// The jobs of a function, those of them that run, and its workers.
async fn status_of(port: u16, function: &str) -> [u32; 3] {
    let answer = admin(port, "status").await;
    let line = answer.lines().find_map(|line| line.strip_prefix(function)?.strip_prefix('\t'));
    let Some(line) = line else { return [0; 3] };
    let numbers: Vec<u32> = line.split('\t').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn geard() -> PathBuf {
    std::env::var_os("NODEPOOL_TEST_GEARD").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/gear/bin/geard"),
        PathBuf::from,
    )
}

const CAN_DO: u32 = 1;
const JOB_CREATED: u32 = 8;
const WORK_COMPLETE: u32 = 13;
const SUBMIT_JOB_BG: u32 = 18;
const GRAB_JOB_UNIQ: u32 = 30;
const JOB_ASSIGN_UNIQ: u32 = 31;

/// A client or a worker, as far as the tests need one. Gearman's binary protocol: a magic, a type, a length, data.
pub(crate) struct Peer {
    stream: TcpStream,
}

impl Peer {
    async fn send(&mut self, kind: u32, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap();
        let packet = [b"\0REQ", &kind.to_be_bytes()[..], &length.to_be_bytes(), data].concat();
        self.stream.write_all(&packet).await.unwrap();
    }

    async fn receive(&mut self) -> (u32, Vec<u8>) {
        let read = async {
            let mut head = [0; 12];
            self.stream.read_exact(&mut head).await.unwrap();
            assert_eq!(&head[..4], b"\0RES");
            let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
            let mut data = vec![0; usize::try_from(number(8)).unwrap()];
            self.stream.read_exact(&mut data).await.unwrap();
            (number(4), data)
        };
        tokio::time::timeout(DEADLINE, read).await.expect("the server answers its peers")
    }

    /// Says what the worker can do.
    pub(crate) async fn can_do(&mut self, function: &str) {
        self.send(CAN_DO, function.as_bytes()).await;
    }

    /// Takes a job that waits, and gives its handle. Geard knows no other way to take one.
    pub(crate) async fn grab(&mut self) -> Vec<u8> {
        self.send(GRAB_JOB_UNIQ, b"").await;
        let (kind, data) = self.receive().await;
        assert_eq!(kind, JOB_ASSIGN_UNIQ, "a job was queued for this worker");
        data.split(|byte| *byte == 0).next().unwrap().to_vec()
    }

    pub(crate) async fn complete(&mut self, handle: &[u8]) {
        self.send(WORK_COMPLETE, &[handle, b"\0"].concat()).await;
    }
}

/// Bounds that a machine with much else to do does not reach. Who tests a bound sets it.
pub(crate) fn limits() -> Limits {
    Limits { patience: DEADLINE, deadline: DEADLINE, kept: 2 * DEADLINE, ..Limits::default() }
}

pub(crate) fn source(ports: &[u16], limits: Limits) -> GearmanDemand {
    metered(ports.iter().copied().map(plainly), limits, &Outcomes::default())
}

pub(crate) fn plainly(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port, tls: None }
}

/// What a meter was told, by server and outcome.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Arc<Mutex<BTreeMap<(String, &'static str), u32>>>);

impl Outcomes {
    pub(crate) fn of(&self, address: &Address, outcome: &'static str) -> u32 {
        self.0.lock().unwrap().get(&(address.to_string(), outcome)).copied().unwrap_or_default()
    }
}

pub(crate) fn metered(
    servers: impl IntoIterator<Item = Address>,
    limits: Limits,
    outcomes: &Outcomes,
) -> GearmanDemand {
    let outcomes = outcomes.clone();
    let meter = move |server: &str, outcome: &'static str| {
        *outcomes.0.lock().unwrap().entry((server.to_owned(), outcome)).or_default() += 1;
    };
    GearmanDemand::new(servers, limits, meter)
}

pub(crate) type Jobs = BTreeMap<String, u32>;

pub(crate) fn jobs(jobs: &[(&str, u32)]) -> Jobs {
    jobs.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect()
}

pub(crate) async fn ask(source: &GearmanDemand) -> Result<Jobs, DemandError> {
    Ok(source.ask().await?.jobs)
}

/// Asks until the answer is as expected.
pub(crate) async fn ask_until(source: &GearmanDemand, expected: impl Fn(&Result<Jobs, DemandError>) -> bool) {
    let end = Instant::now() + DEADLINE;
    loop {
        let answer = ask(source).await;
        if expected(&answer) {
            return;
        }
        assert!(Instant::now() < end, "it still says {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
