//! What the commands that work on the store have in common: the store, the bell, the console.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::SecretString;

use super::{Console, Failure};
use crate::bell;
use crate::database_url;
use crate::model::Timestamp;
use crate::store::{ENGINE_LEASE, Store, StoreError};

/// An open store, and where to answer.
#[derive(Clone, Debug)]
pub struct Session {
    /// The store.
    pub store: Store,
    /// Where to answer.
    pub console: Console,
    file: Option<PathBuf>,
    /// Which database it is, in words.
    place: Option<String>,
    bell: Option<bell::Place>,
    /// What the daemon wants to see before it tells something, where its port is bound beyond this machine.
    pub(super) token: Option<SecretString>,
}

impl Session {
    /// Opens the store.
    pub async fn open(database_url: &str, console: Console) -> Result<Self, Failure> {
        let (file, place) = (database_url::file_of(database_url), database_url::place_of(database_url));
        let missing = file.as_deref().filter(|file| !file.exists());
        let store = Store::open(database_url).await?;
        // A script that asks as the daemon starts may come first; a person has rather mistyped something.
        if let Some(file) = missing.filter(|_| io::stderr().is_terminal()) {
            console.warn(&format!(
                "there was no database {}, so an empty one was made; if nodepoold uses another one, correct `dburi`, or name \
                 its configuration with -c",
                file.display()
            ));
        }
        let bell = match &file {
            Some(file) => Some(bell::beside(file)),
            None if store.is_shared() => Some(bell::of_installation(&store.installation().await?)),
            None => None,
        };
        Ok(Self { store, console, file, place, bell, token: None })
    }

    /// The same, with the token that opens what the daemon tells over its web port.
    #[must_use]
    pub fn with_token(mut self, token: Option<SecretString>) -> Self {
        self.token = token;
        self
    }

    /// The file of the store; `None` for one on a server or in memory.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Which database the store is in, in words for a person; `None` for one in memory.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Wakes the daemon, if it listens.
    pub fn ring(&self) {
        if let Some(place) = &self.bell {
            // A daemon that did not hear it looks at the store a little later anyway.
            let _ = bell::ring(place);
        }
    }

    /// Whether a daemon works on this store.
    pub async fn daemon_is_alive(&self) -> Result<bool, StoreError> {
        Ok(self.store.lease(ENGINE_LEASE).await?.is_some_and(|lease| lease.expires > now()))
    }
}

/// The wall clock.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
