//! What the commands that work on the store have in common: the store, the bell, the console.

use std::path::PathBuf;
use std::time::SystemTime;

use super::{Console, Failure};
use crate::bell;
use crate::model::{Image, ImageId, Node, NodeId, Timestamp};
use crate::store::{self, ENGINE_LEASE, Store, StoreError};

/// An open store, and where to answer.
#[derive(Clone, Debug)]
pub struct Session {
    /// The store.
    pub store: Store,
    /// Where to answer.
    pub console: Console,
    bell: Option<PathBuf>,
}

impl Session {
    /// Opens the store.
    pub async fn open(database_url: &str, console: Console) -> Result<Self, Failure> {
        let bell = store::database_file(database_url).map(|file| bell::beside(&file));
        Ok(Self { store: Store::open(database_url).await?, console, bell })
    }

    /// Wakes the daemon, if it listens.
    pub fn ring(&self) {
        if let Some(path) = &self.bell {
            // A daemon that did not hear it looks at the store a few seconds later anyway.
            let _ = bell::ring(path);
        }
    }

    /// Whether a daemon works on this store.
    pub async fn daemon_is_alive(&self) -> Result<bool, StoreError> {
        Ok(self.store.lease(ENGINE_LEASE).await?.is_some_and(|lease| lease.expires > now()))
    }

    /// The node of this number, or the failure that says that there is none.
    pub async fn node(&self, id: NodeId) -> Result<Node, Failure> {
        self.store.node(id).await?.ok_or_else(|| {
            Failure::refused(
                format!("Node {id} not found."),
                "`nodepool list` shows the nodes that there are",
            )
        })
    }

    /// The image of this number, or the failure that says that there is none.
    pub async fn image(&self, id: ImageId) -> Result<Image, Failure> {
        self.store.image(id).await?.ok_or_else(|| {
            Failure::refused(
                format!("No image '{id}' found."),
                "`nodepool image-list` shows the images that there are",
            )
        })
    }
}

/// The wall clock.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
