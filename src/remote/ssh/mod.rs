//! `Remote` over russh: ssh without a process per connection.
//!
//! The machine needs `sh`, `setsid`, `tar`, `mv` and friends, as every Linux image has; busybox's are good enough. A
//! login user other than root needs `sudo -n` for what root must do there. Nothing of the machine is trusted: what it
//! prints is cut at a bound, and each exchange with it ends at a deadline.

mod copy;
mod exec;
mod key;
mod lines;
mod login;
mod run;
mod short_scalar;
mod tree;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use russh::client;
use russh::keys::PrivateKey;
use tokio::time::{Instant, sleep, timeout};

pub(super) use key::public_line;
pub use key::{KeyPair, generate_keypair};

use self::login::{Failure, Login};
use super::{Command, Connection, Endpoint, Output, Remote, RemoteError, RemoteFile, Trust};
use crate::model::HostKey;

/// The pause after the first failed round of attempts; it doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two rounds of attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Reaches machines over ssh. One serves the whole program: connections share its settings and its keys.
#[derive(Default)]
pub struct SshRemote {
    settings: login::Settings,
    keys: key::Keys,
}

impl SshRemote {
    /// A remote that has read no key yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tries each user once, in order, and gives the first that is let in.
    ///
    /// `wanted` is the host key that must be found; the first one found is put there.
    async fn round(
        &self,
        endpoint: &Endpoint,
        key: &Arc<PrivateKey>,
        wanted: &mut Option<HostKey>,
        deadline: Instant,
    ) -> Result<SshConnection, Failure> {
        let mut last = Failure::Refused("no user to log in as".to_owned());
        for user in &endpoint.users {
            // A connection per user: OpenSSH ends a connection on which the user changes.
            let login = Login { settings: &self.settings, endpoint, user, key };
            match login.attempt(wanted, deadline).await {
                Ok(connection) => return Ok(connection),
                Err(Failure::Refused(text)) => last = Failure::Refused(text),
                Err(failure) => return Err(failure),
            }
        }
        Err(last)
    }
}

#[async_trait]
impl Remote for SshRemote {
    async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Connection>, RemoteError> {
        let key = self.keys.load(&endpoint.private_key).await?;
        let mut wanted = match &endpoint.trust {
            Trust::Only(known) => Some(known.clone()),
            Trust::FirstContact | Trust::Anyone => None,
        };
        let deadline = login::moment_after(endpoint.patience);
        let mut pause = FIRST_PAUSE;
        loop {
            if endpoint.trust == Trust::Anyone {
                wanted = None;
            }
            let text = match self.round(endpoint, &key, &mut wanted, deadline).await {
                Ok(connection) => return Ok(Box::new(connection)),
                Err(Failure::WrongHostKey { recorded, found }) => {
                    return Err(RemoteError::WrongHostKey { recorded, found });
                }
                Err(Failure::Unreached(text) | Failure::Refused(text)) => text,
            };
            // A cloud's own init may install our key only after sshd has come up, so a refusal is not final either.
            let left = deadline.saturating_duration_since(Instant::now());
            if left <= pause {
                return Err(RemoteError::Unreachable(text));
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn public_key(&self, private_key: &Path) -> Result<String, RemoteError> {
        let key = self.keys.load(private_key).await?;
        key::public_line(key.public_key())
            .map_err(|error| RemoteError::Local(format!("{}: {error}", private_key.display())))
    }
}

/// A login on a machine.
struct SshConnection {
    handle: client::Handle<login::Guard>,
    facts: login::Facts,
    host_key: HostKey,
    user: String,
}

impl SshConnection {
    /// The error of an exchange that the machine, or the network, cut short.
    fn lost(&self, what: &str) -> RemoteError {
        match self.facts.why_ended() {
            Some(why) => RemoteError::Lost(format!("{what}: {why}")),
            None => RemoteError::Lost(what.to_owned()),
        }
    }
}

#[async_trait]
impl Connection for SshConnection {
    fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    fn user(&self) -> &str {
        &self.user
    }

    async fn copy_tree(&mut self, from: &Path, to: &str, deadline: Duration) -> Result<(), RemoteError> {
        let what = format!("copying {} to {to}", from.display());
        timeout(deadline, self.copy_tree_inner(from, to, &what)).await.unwrap_or_else(|_| {
            Err(RemoteError::Lost(format!("{what}: not done in {} s", deadline.as_secs())))
        })
    }

    async fn write_files(&mut self, files: &[RemoteFile], deadline: Duration) -> Result<(), RemoteError> {
        timeout(deadline, self.write_files_inner(files)).await.unwrap_or_else(|_| {
            Err(RemoteError::Lost(format!("writing files: not done in {} s", deadline.as_secs())))
        })
    }

    async fn run(&mut self, command: &Command, output: &mut dyn Output) -> Result<u32, RemoteError> {
        self.run_inner(command, output).await
    }
}
