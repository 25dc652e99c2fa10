//! What is chosen at start and does not change while the sandbox runs.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::jenkins::settings::JenkinsSettings;

/// How a sandbox is started.
#[derive(Debug)]
pub struct Settings {
    /// TCP port of the API on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// TCP port on which every server answers ssh, each on its own address.
    pub ssh_port: u16,
    /// First address of servers, inside 127.0.0.0/8.
    pub first_address: Ipv4Addr,
    /// Folder for images and servers. It is emptied at start and at the end.
    pub state_dir: PathBuf,
    /// Where to write the clouds.yaml; inside the state folder when `None`.
    pub clouds_yaml: Option<PathBuf>,
    /// Leave the state folder in place at the end.
    pub keep: bool,
    /// Name of the image that is there at start.
    pub base_image: String,
    /// Names of the private networks, at least one. A router leads from the first to the public network.
    pub networks: Vec<String>,
    /// Users of that image: they may log in with the server's keypair.
    pub users: Vec<String>,
    /// How long a token is valid.
    pub token_life: Duration,
    /// Password of the user `sandbox`.
    pub password: SecretString,
    /// Secret of the application credential `sandbox`.
    pub application_secret: SecretString,
    /// The Jenkins beside the cloud, if there is to be one.
    pub jenkins: Option<JenkinsSettings>,
}

/// Name of the only project, of its user, of its application credential and of the cloud in clouds.yaml.
pub const NAME: &str = "sandbox";
/// Name of the only region.
pub const REGION: &str = "RegionOne";
/// Name of the private network unless others are named.
pub const NETWORK: &str = "private";
/// Name of the external network, the pool of floating IPs.
pub const POOL: &str = "public";
/// Names of the availability zones. A server that asks for none runs in the first.
pub const ZONES: [&str; 2] = ["nova", "nova-2"];
