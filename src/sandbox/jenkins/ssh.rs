//! The connection of an agent, over which builds run their commands: one ssh login that stays, or a WebSocket by which the agent
//! came.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, Preferred, kex};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::node::{Ssh, Verification};

/// How long a machine may take to accept a TCP connection.
const TCP_DEADLINE: Duration = Duration::from_secs(10);
/// After how much silence a machine is asked whether it is still there, as Jenkins' agents do over their channel.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a command may take to be accepted.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How long output is waited for that is still on its way when a command has ended.
const TRAILING_OUTPUT: Duration = Duration::from_secs(2);
/// How much an agent that came by itself may say before it is heard, in pieces.
const MOST_SAID: usize = 64;
/// The key exchanges that are offered: those that cost little.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_GEX_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// A connection that stands.
pub(super) struct Channel {
    link: Link,
    /// Cancelled when the connection has ended, whoever ended it.
    pub(super) broken: CancellationToken,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Channel").field("broken", &self.broken.is_cancelled()).finish_non_exhaustive()
    }
}

/// What commands go over.
enum Link {
    Login(Handle<Guard>),
    Orders(mpsc::Sender<Order>),
}

/// A command for an agent that came by itself.
pub(super) struct Order {
    pub(super) command: String,
    /// Who is told what comes of it.
    pub(super) says: mpsc::Sender<Said>,
}

/// What comes of a command.
pub(super) enum Said {
    /// It printed this.
    Output(Vec<u8>),
    /// It ended: its exit status, `None` when a signal ended it.
    Ended(Option<u32>),
}

/// Why there is no login.
pub(super) enum Failure {
    /// The machine does not answer, which may be over soon.
    Unreached(String),
    /// The machine or we refused.
    Refused(String),
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Failure::Unreached(error.to_string())
    }
}

/// Checks the host key, and lives as long as the connection.
struct Guard {
    verification: Verification,
    wrong_key: Arc<Mutex<bool>>,
    _alive: DropGuard,
}

impl client::Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let right = match &self.verification {
            Verification::None => true,
            Verification::Provided(key) => key.key_data() == shown.public_key().key_data(),
        };
        *self.wrong_key.lock().unwrap_or_else(PoisonError::into_inner) = !right;
        Ok(right)
    }
}

/// Logs in.
pub(super) async fn connect(to: &Ssh, user: &str, key: Arc<PrivateKey>) -> Result<Channel, Failure> {
    let stream = match timeout(TCP_DEADLINE, TcpStream::connect((to.host.as_str(), to.port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Failure::Unreached(error.to_string())),
        Err(_) => return Err(Failure::Unreached("connect timed out".into())),
    };
    // Without it a command takes longer, that is all.
    let _ = stream.set_nodelay(true);
    let broken = CancellationToken::new();
    let wrong_key = Arc::new(Mutex::new(false));
    let guard = Guard {
        verification: to.verification.clone(),
        wrong_key: Arc::clone(&wrong_key),
        _alive: broken.clone().drop_guard(),
    };
    let mut handle = match client::connect_stream(config(), stream, guard).await {
        Ok(handle) => handle,
        Err(_) if *wrong_key.lock().unwrap_or_else(PoisonError::into_inner) => {
            return Err(Failure::Refused(
                "The SSH key for this host does not match the key required in the connection configuration."
                    .into(),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let hash =
        if key.algorithm().is_rsa() { handle.best_supported_rsa_hash().await?.flatten() } else { None };
    match handle.authenticate_publickey(user, PrivateKeyWithHashAlg::new(key, hash)).await? {
        AuthResult::Success => Ok(Channel { link: Link::Login(handle), broken }),
        AuthResult::Failure { .. } => {
            Err(Failure::Refused(format!("Server rejected the 1 private key(s) for {user}")))
        }
    }
}

fn config() -> Arc<client::Config> {
    Arc::new(client::Config {
        preferred: Preferred { kex: Cow::Borrowed(KEY_EXCHANGES), ..Preferred::DEFAULT },
        window_size: 128 * 1024,
        channel_buffer_size: 16,
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: 3,
        nodelay: true,
        ..client::Config::default()
    })
}

impl Channel {
    /// The connection of an agent that takes its commands from here.
    pub(super) fn of_orders(orders: mpsc::Sender<Order>, broken: CancellationToken) -> Self {
        Self { link: Link::Orders(orders), broken }
    }

    /// Runs a command and hands on what it prints. Its exit status; `None` when a signal ended it, or the connection went.
    pub(super) async fn run(&self, command: &str, output: impl FnMut(&[u8])) -> Option<u32> {
        let running = async {
            match &self.link {
                Link::Login(handle) => over_ssh(handle, command, output).await,
                Link::Orders(orders) => by_order(orders, command, output).await,
            }
        };
        self.broken.run_until_cancelled(running).await.flatten()
    }

    /// Ends the connection.
    pub(super) async fn close(&self) {
        if let Link::Login(handle) = &self.link {
            let bye = handle.disconnect(russh::Disconnect::ByApplication, "", "");
            // The connection may be gone already, or stuck.
            let _ = timeout(Duration::from_secs(1), bye).await;
        }
        self.broken.cancel();
    }
}

async fn over_ssh(handle: &Handle<Guard>, command: &str, mut output: impl FnMut(&[u8])) -> Option<u32> {
    let started = timeout(START_DEADLINE, async {
        let channel = handle.channel_open_session().await.ok()?;
        channel.exec(true, command).await.ok()?;
        Some(channel)
    });
    let mut channel = started.await.ok().flatten()?;
    let mut status = None;
    loop {
        let message = match status {
            // What it left behind in the background may hold its output open for ever.
            Some(_) => timeout(TRAILING_OUTPUT, channel.wait()).await.ok().flatten(),
            None => channel.wait().await,
        };
        let Some(message) = message else { break };
        match message {
            ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => output(&data),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            ChannelMsg::Failure => break,
            _ => {}
        }
    }
    status
}

async fn by_order(orders: &mpsc::Sender<Order>, command: &str, mut output: impl FnMut(&[u8])) -> Option<u32> {
    let (says, mut said) = mpsc::channel(MOST_SAID);
    orders.send(Order { command: command.to_owned(), says }).await.ok()?;
    loop {
        match said.recv().await? {
            Said::Output(printed) => output(&printed),
            Said::Ended(status) => return status,
        }
    }
}
