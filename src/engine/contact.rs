//! Tells the engine the host key of a machine at the first contact, while the visit still goes on.
//!
//! A ready script may run for an hour. If the daemon dies meanwhile, the key must be on record already, or whoever
//! answers at that address after the restart would be believed.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::News;
use super::steps::Watched;
use crate::model::NodeId;
use crate::plan::Errand;
use crate::remote::{Connection, Endpoint, Remote, RemoteError, Trust};

/// A remote that reports the host key of whom it connects to.
pub(super) struct Reporting {
    pub(super) remote: Arc<dyn Remote>,
    pub(super) errand: Errand,
    pub(super) node: Option<NodeId>,
    pub(super) news: mpsc::UnboundedSender<News>,
}

#[async_trait]
impl Remote for Reporting {
    async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Connection>, RemoteError> {
        let connection = self.remote.connect(endpoint).await?;
        if endpoint.trust == Trust::FirstContact {
            let news = News::HostKey {
                errand: self.errand.clone(),
                node: self.node,
                host_key: connection.host_key().clone(),
            };
            // Nobody listens any more when the daemon is on its way out, and then nothing will be recorded either.
            let _ = self.news.send(news);
        }
        let (errand, news) = (self.errand.clone(), self.news.clone());
        Ok(Box::new(Watched { connection, errand, news }))
    }

    async fn public_key(&self, private_key: &Path) -> Result<String, RemoteError> {
        self.remote.public_key(private_key).await
    }
}
