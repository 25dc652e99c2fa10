//! Reaching a machine: what the engine and the builder may ask, and how that may fail.

mod console;
mod shell;
mod ssh;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

pub use self::console::host_key_on_console;
pub use self::shell::quote;
pub use self::ssh::{KeyPair, SshRemote, generate_keypair};

use crate::model::HostKey;

/// A machine to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its ssh port.
    pub port: u16,
    /// The users to try, in this order.
    pub users: Vec<String>,
    /// The private key that opens it.
    pub private_key: PathBuf,
    /// Whom to believe there.
    pub trust: Trust,
    /// How long to go on trying until it answers and lets us in.
    pub patience: Duration,
}

/// Whom to believe at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The machine with this host key.
    Only(HostKey),
    /// Whoever answers first, and from then on nobody else as long as we try.
    FirstContact,
    /// Whoever answers, each time.
    Anyone,
}

/// A script or command to run on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The shell line.
    pub line: String,
    /// Names and values to put into its environment.
    pub environment: Vec<(String, String)>,
    /// How long it may run. After that it is killed on the machine, with all that it started.
    pub deadline: Duration,
}

/// A file to write on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its content.
    pub content: Vec<u8>,
    /// Its mode, such as `0o644`.
    pub mode: u32,
}

/// Takes the lines that a command prints, as they come, without their end.
pub trait Output: Send {
    /// One line of standard output or standard error; cut at a bound.
    fn line(&mut self, line: &str);
}

/// Opens connections.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Connects and logs in, trying again until `endpoint.patience` has passed.
    async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Connection>, RemoteError>;

    /// The public half of a private key file, in OpenSSH's one-line form.
    async fn public_key(&self, private_key: &Path) -> Result<String, RemoteError>;
}

/// An open connection, logged in. Dropping it closes it.
#[async_trait]
pub trait Connection: Send + Sync {
    /// The host key that the machine showed.
    fn host_key(&self) -> &HostKey;

    /// The user that was let in.
    fn user(&self) -> &str;

    /// Copies the whole tree below the local folder `from` into the folder `to` there, modes kept; `to` is replaced.
    async fn copy_tree(&mut self, from: &Path, to: &str, deadline: Duration) -> Result<(), RemoteError>;

    /// Writes files, making their folders; each is whole or absent.
    async fn write_files(&mut self, files: &[RemoteFile], deadline: Duration) -> Result<(), RemoteError>;

    /// Runs a command to its end and gives its exit status.
    ///
    /// # Errors
    /// [`RemoteError::Deadline`] when it outlived its deadline and was killed there; the status of a command that
    /// ended by itself is not an error here.
    async fn run(&mut self, command: &Command, output: &mut dyn Output) -> Result<u32, RemoteError>;
}

/// How reaching a machine failed, named by what the caller will do about it.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RemoteError {
    /// It did not answer, or did not let us in, as long as we had patience.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It is not the machine that it was: its host key changed.
    #[error("the host key changed: recorded {recorded}, now {found}")]
    WrongHostKey {
        /// What we recorded at the first contact.
        recorded: HostKey,
        /// What it shows now.
        found: HostKey,
    },
    /// The command outlived its deadline and was killed.
    #[error("still running after {} s, killed", .0.as_secs())]
    Deadline(Duration),
    /// The connection broke while something ran.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The machine understood and refused: its disk is full, its user may not do that.
    #[error("refused: {0}")]
    Rejected(String),
    /// A private key, a script folder or another thing on our side cannot be used.
    #[error("{0}")]
    Local(String),
}
