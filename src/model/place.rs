//! Where a provider is: what has to be known of it to find again what was made there, and no secret.

use std::path::PathBuf;
use std::time::Duration;

/// A cloud and a project on it, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Host and port of its Keystone.
    pub keystone: String,
    /// The region; `None` where the cloud has one.
    pub region: Option<String>,
    /// The project's id; `None` where it is not known.
    pub project_id: Option<String>,
    /// The project's name; `None` where it is not known.
    pub project_name: Option<String>,
}

impl Place {
    /// Whether the two are different for certain. Credentials that were renewed do not make a place another one.
    pub fn differs_from(&self, other: &Self) -> bool {
        let differ = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => Some(one != other),
            _ => None,
        };
        let projects = differ(&self.project_id, &other.project_id)
            .or_else(|| differ(&self.project_name, &other.project_name));
        self.keystone != other.keystone
            || differ(&self.region, &other.region) == Some(true)
            || projects == Some(true)
    }
}

/// What is remembered of a provider, so that it can be cleaned up after it left the configuration and after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownProvider {
    /// Its name.
    pub name: String,
    /// Its name in clouds.yaml, where its secrets are; `None` when it had them in nodepool.yaml or in the environment.
    pub cloud: Option<String>,
    /// Where it is.
    pub place: Place,
    /// The deadline of each API call.
    pub api_timeout: Duration,
    /// The average pause between two API calls.
    pub rate: Duration,
}

/// What is remembered of a target, so that our agents there are taken back after it left the configuration and after a
/// restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTarget {
    /// Its name.
    pub name: String,
    /// The URL of its Jenkins, without a slash at the end; `None` for launchers behind Gearman.
    pub url: Option<String>,
    /// The file with the certificates to trust there in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The deadline of each API call.
    pub api_timeout: Duration,
}

impl KnownTarget {
    /// Whether the two are one place.
    pub fn is_where(&self, other: &Self) -> bool {
        self.url == other.url
    }
}
