//! What the driver must be told: where the controller is, who logs in, and how patient to be.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How to reach a Jenkins controller, and how its agents are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL, with the path that it is served under; without a user or a password in it.
    pub url: String,
    /// Who logs in.
    pub user: String,
    /// That user's API token, or password; a password costs a crumb for each session.
    pub apikey: SecretString,
    /// The id of the credentials with which Jenkins logs in to nodes. `None` has them made of the node's user and private
    /// key, in Jenkins' own store.
    pub credentials_id: Option<String>,
    /// How agents connect.
    pub launcher: Launcher,
    /// The deadline of each request. A call makes up to five of them, and with a password up to seven.
    pub api_timeout: Duration,
    /// A PEM file with the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How agents connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// Jenkins logs in to the node over ssh.
    Ssh,
    /// The node connects to Jenkins over a WebSocket.
    Inbound,
}
