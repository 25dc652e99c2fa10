//! One attempt to log in: connect, check the host key, authenticate, see that a shell answers.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, DisconnectReason};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Preferred, kex};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::exec::{self, Collected};
use super::{SshConnection, key};
use crate::model::HostKey;
use crate::remote::Endpoint;

/// How long a machine may take to accept a TCP connection.
const TCP_DEADLINE: Duration = Duration::from_secs(5);
/// How long one attempt may take in all. A machine that has just booted is slow at its first logins.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(30);
/// After how much silence we ask a machine whether it is still there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How many such questions may stay without an answer: a dead machine is noticed after 40 seconds.
const KEEPALIVE_MAX: usize = 3;
/// The end of a connection on which nothing moves, not even those questions: a peer that vanished while we were
/// sending keeps the socket full, and then no question can be sent.
const INACTIVITY_TIMEOUT: Duration = Duration::from_secs(45);
/// What the probe prints. nodepool v0 asked the same, so scripts that answer it keep working.
const PROBE: &str = "access okay";
/// What cloud-init's forced command for root prints before it sleeps for ten seconds and ends.
const OTHER_USER: &str = "Please login as the user";

/// The key exchanges that we offer, the cheapest first. What needs much more time per login comes last.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_GEX_SHA256,
    kex::DH_G14_SHA256,
    kex::DH_G16_SHA512,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// The protocol settings, one copy for all connections.
pub(super) struct Settings(Arc<client::Config>);

impl Default for Settings {
    fn default() -> Self {
        Self::preferring(Preferred { kex: Cow::Borrowed(KEY_EXCHANGES), ..Preferred::DEFAULT })
    }
}

impl Settings {
    fn preferring(preferred: Preferred) -> Self {
        Self(Arc::new(client::Config {
            preferred,
            // Together these bound what a machine that prints fast can make us hold.
            window_size: 128 * 1024,
            channel_buffer_size: 16,
            keepalive_interval: Some(KEEPALIVE_INTERVAL),
            keepalive_max: KEEPALIVE_MAX,
            inactivity_timeout: Some(INACTIVITY_TIMEOUT),
            nodelay: true,
            ..client::Config::default()
        }))
    }

    /// The settings for a machine whose host key we know: its kind of key is asked for first, so that a machine which
    /// has several shows the recorded one.
    fn for_key(&self, wanted: Option<&HostKey>) -> Arc<client::Config> {
        let Some((kind, _)) = wanted.and_then(|wanted| wanted.0.split_once(' ')) else {
            return Arc::clone(&self.0);
        };
        let same = |algorithm: &russh::keys::Algorithm| {
            algorithm.as_str() == kind
                || (kind == "ssh-rsa" && matches!(algorithm, russh::keys::Algorithm::Rsa { .. }))
        };
        let known = &self.0.preferred.key;
        if known.first().is_none_or(same) {
            return Arc::clone(&self.0);
        }
        let (mut first, rest): (Vec<_>, Vec<_>) = known.iter().cloned().partition(same);
        first.extend(rest);
        Self::preferring(Preferred { key: Cow::Owned(first), ..self.0.preferred.clone() }).0
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The machine did not answer, or not in time.
    Unreached(String),
    /// The machine answered and did not let this user in.
    Refused(String),
    /// It is another machine.
    WrongHostKey {
        /// The host key that it must have.
        recorded: HostKey,
        /// The one that it showed.
        found: HostKey,
    },
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Self::Unreached(error.to_string())
    }
}

/// What the task of a connection tells the rest of us.
#[derive(Clone, Default)]
pub(super) struct Facts(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    found: Option<HostKey>,
    ended: Option<String>,
}

impl Facts {
    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn found(&self) -> Option<HostKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).found.clone()
    }

    /// Why the connection ended, if it has.
    pub(super) fn why_ended(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ended.clone()
    }
}

/// Checks the host key.
pub(super) struct Guard {
    wanted: Option<HostKey>,
    facts: Facts,
}

impl client::Handler for Guard {
    type Error = Failure;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        let found = key::public_line(&shown.public_key()).map(HostKey).map_err(Failure::Unreached)?;
        match &self.wanted {
            Some(recorded) if *recorded != found => {
                Err(Failure::WrongHostKey { recorded: recorded.clone(), found })
            }
            _ => {
                self.facts.tell(|told| told.found = Some(found));
                Ok(true)
            }
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        let why = match reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("the machine ended it: {}", info.message),
            DisconnectReason::Error(Failure::Unreached(text) | Failure::Refused(text)) => text,
            DisconnectReason::Error(Failure::WrongHostKey { .. }) => "the host key changed".to_owned(),
        };
        self.facts.tell(|told| told.ended = Some(why.chars().take(200).collect()));
        Ok(())
    }
}

/// The moment `duration` from now; a day from now where a clock cannot say.
pub(super) fn moment_after(duration: Duration) -> Instant {
    const DAY: Duration = Duration::from_hours(24);
    let now = Instant::now();
    now.checked_add(duration).or_else(|| now.checked_add(DAY)).unwrap_or(now)
}

/// A login to try.
pub(super) struct Login<'a> {
    pub(super) settings: &'a Settings,
    pub(super) endpoint: &'a Endpoint,
    pub(super) user: &'a str,
    pub(super) key: &'a Arc<PrivateKey>,
}

impl Login<'_> {
    /// Tries it once, until `deadline` at the latest.
    pub(super) async fn attempt(
        &self,
        wanted: &mut Option<HostKey>,
        deadline: Instant,
    ) -> Result<SshConnection, Failure> {
        let deadline = deadline.min(moment_after(ATTEMPT_DEADLINE));
        let facts = Facts::default();
        let tried = timeout_at(deadline, self.log_in(wanted.as_ref(), facts.clone())).await;
        // Kept even if the attempt failed later: a machine must not change between two attempts.
        if wanted.is_none() {
            *wanted = facts.found();
        }
        let (handle, host_key) = match tried {
            Ok(result) => result?,
            Err(_) => return Err(Failure::Unreached("no login in time".to_owned())),
        };
        let connection = SshConnection { handle, facts, host_key, user: self.user.to_owned() };
        match timeout_at(deadline, self.probe(&connection)).await {
            Ok(answer) => answer.map(|()| connection),
            Err(_) => {
                Err(Failure::Refused(format!("{} was let in, but no shell answered in time", self.user)))
            }
        }
    }

    async fn log_in(
        &self,
        wanted: Option<&HostKey>,
        facts: Facts,
    ) -> Result<(client::Handle<Guard>, HostKey), Failure> {
        let address = (self.endpoint.address, self.endpoint.port);
        let stream = match timeout(TCP_DEADLINE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::Unreached(error.to_string())),
            Err(_) => return Err(Failure::Unreached("no answer to a TCP connection".to_owned())),
        };
        // Without it a login takes longer, that is all.
        let _ = stream.set_nodelay(true);
        let guard = Guard { wanted: wanted.cloned(), facts: facts.clone() };
        let mut handle = client::connect_stream(self.settings.for_key(wanted), stream, guard).await?;
        let Some(host_key) = facts.found() else {
            return Err(Failure::Unreached("the machine showed no host key".to_owned()));
        };
        let hash = self.hash(&handle).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(self.key), hash);
        match handle.authenticate_publickey(self.user, key).await? {
            AuthResult::Success => Ok((handle, host_key)),
            AuthResult::Failure { .. } => Err(Failure::Refused(format!("{} was not let in", self.user))),
        }
    }

    /// The hash for an RSA signature: the best that the machine takes. One that does not say is older than OpenSSH 7.2
    /// and knows SHA-1 only.
    async fn hash(&self, handle: &client::Handle<Guard>) -> Result<Option<HashAlg>, Failure> {
        if self.key.algorithm().is_rsa() {
            Ok(handle.best_supported_rsa_hash().await?.flatten())
        } else {
            Ok(None)
        }
    }

    /// Sees that a shell answers. An image may let root in only to tell who should log in instead.
    async fn probe(&self, connection: &SshConnection) -> Result<(), Failure> {
        let mut process =
            exec::start(&connection.handle, &format!("echo {PROBE}")).await.map_err(|error| {
                Failure::Refused(format!("{} was let in, but cannot run a command: {error}", self.user))
            })?;
        let mut said = Collected::new(4096);
        while let Some(piece) = process.next().await {
            said.add(&piece);
            if said.text().contains(PROBE) {
                return Ok(());
            }
            if said.text().contains(OTHER_USER) {
                break;
            }
        }
        Err(Failure::Refused(format!("{} was let in, but told: {}", self.user, said.first_line())))
    }
}
