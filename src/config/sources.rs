//! Where the configuration is read from. The environment is handed in: nothing here asks the process for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where secure.conf is read from unless it is named; it need not exist there.
pub const DEFAULT_SECURE_CONF: &str = "/etc/nodepool/secure.conf";

/// Where the state is kept when the process is root's and no database is named.
const SYSTEM_STATE: &str = "/var/lib/nodepool";

/// The OpenStack clients' files: the variable that names each, and its name without the extension.
pub(super) const CLOUD_FILES: [(&str, &str); 3] = [CLOUDS, SECURE, PUBLIC];
/// The clouds.
pub(super) const CLOUDS: (&str, &str) = ("OS_CLIENT_CONFIG_FILE", "clouds");
/// Their secrets.
pub(super) const SECURE: (&str, &str) = ("OS_CLIENT_SECURE_FILE", "secure");
/// Profiles that clouds refer to.
pub(super) const PUBLIC: (&str, &str) = ("OS_CLIENT_VENDOR_FILE", "clouds-public");

/// Where secure.conf is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecureConf {
    /// The operator named it: it must exist.
    Named(PathBuf),
    /// At its usual place, where it may be absent.
    IfPresent(PathBuf),
}

impl Default for SecureConf {
    fn default() -> Self {
        Self::IfPresent(DEFAULT_SECURE_CONF.into())
    }
}

impl SecureConf {
    /// The path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::IfPresent(path) => path,
        }
    }
}

/// The files and surroundings that make a configuration.
#[derive(Clone, Debug)]
pub struct Sources {
    /// nodepool.yaml, which must exist.
    pub nodepool_yaml: PathBuf,
    /// secure.conf.
    pub secure_conf: SecureConf,
    /// The variables of the environment.
    pub environment: BTreeMap<String, String>,
    /// Whether the process is root's: the state is then kept in the system's folder.
    pub is_root: bool,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// The working folder, from which relative paths start.
    pub working_dir: PathBuf,
}

impl Sources {
    /// A variable of the environment that is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A path of a file: `~/` is the user's home, and a relative one starts at the working folder.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.working_dir.join(text),
        }
    }

    /// The places of one of the OpenStack clients' files, in the order in which they are searched.
    pub(super) fn cloud_files(&self, variable: &str, base: &str) -> Vec<PathBuf> {
        let user =
            match (self.variable("XDG_CONFIG_HOME").filter(|path| Path::new(path).is_absolute()), &self.home)
            {
                (Some(config), _) => Some(PathBuf::from(config)),
                (None, Some(home)) => Some(home.join(".config")),
                (None, None) => None,
            };
        let folders = [
            Some(self.working_dir.clone()),
            user.map(|user| user.join("openstack")),
            Some("/etc/openstack".into()),
        ];
        let mut paths: Vec<PathBuf> =
            self.variable(variable).map(|path| self.path(path)).into_iter().collect();
        for folder in folders.into_iter().flatten() {
            paths.extend(["yaml", "yml", "json"].map(|extension| folder.join(format!("{base}.{extension}"))));
        }
        paths
    }

    /// Every file that may be part of the configuration, whether or not it is there or is asked for.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.nodepool_yaml.clone(), self.secure_conf.path().to_owned()];
        for (variable, base) in CLOUD_FILES {
            files.extend(self.cloud_files(variable, base));
        }
        files
    }

    /// The folder for our state; `None` when the user has no home.
    pub(super) fn state_folder(&self) -> Option<PathBuf> {
        if self.is_root {
            return Some(SYSTEM_STATE.into());
        }
        let state = match self.variable("XDG_STATE_HOME").filter(|path| Path::new(path).is_absolute()) {
            Some(state) => PathBuf::from(state),
            None => self.home.as_ref()?.join(".local/state"),
        };
        Some(state.join("nodepool"))
    }
}
