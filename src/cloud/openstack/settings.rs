//! What the driver must be told: where the cloud is, who logs in, and how patient to be.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How to reach one project of one cloud.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Keystone's URL, with or without its version: `http://host:5000`, `https://host/identity/v3`.
    pub auth_url: String,
    /// Who logs in.
    pub identity: Identity,
    /// The region whose services to use; `None` takes the first that the catalogue names.
    pub region: Option<String>,
    /// `public`, `internal` or `admin` (or the old spelling `publicURL`): which URLs of the catalogue to use.
    pub interface: String,
    /// The type under which the catalogue lists Nova; `None` knows the usual ones.
    pub compute_type: Option<String>,
    /// The name that the catalogue gives Nova; `None` takes any.
    pub compute_name: Option<String>,
    /// A PEM file with the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether TLS certificates are checked.
    pub verify: bool,
    /// The deadline of each exchange with a service. A call that finds no token or a stale one makes up to four
    /// exchanges: log in, ask, log in again, ask again. A listing of many pages may take five times as long.
    pub api_timeout: Duration,
}

/// Who logs in to Keystone v3.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A user with a password, scoped to a project.
    Password {
        /// The user.
        user: Named,
        /// The password.
        password: SecretString,
        /// The project.
        project: Named,
    },
    /// An application credential, which carries its project.
    ApplicationCredential {
        /// Which one.
        credential: Credential,
        /// Its secret.
        secret: SecretString,
    },
}

impl Identity {
    /// What proves it.
    pub(super) const fn secret(&self) -> &SecretString {
        match self {
            Self::Password { password: secret, .. } | Self::ApplicationCredential { secret, .. } => secret,
        }
    }
}

/// Which application credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// By id.
    Id(String),
    /// By its name among those of a user.
    Name {
        /// Its name.
        name: String,
        /// The user that it belongs to.
        user: Named,
    },
}

/// A user or a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By id.
    Id(String),
    /// By name within a domain.
    Name {
        /// The name.
        name: String,
        /// The domain of the name.
        domain: Domain,
    },
}

/// A Keystone domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// By id. A cloud's first domain has the id `default`.
    Id(String),
    /// By name. A cloud's first domain has the name `Default`.
    Name(String),
}
