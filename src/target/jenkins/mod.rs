//! A Jenkins controller as a target: its agents are the seats of our nodes, and its queue is a source of demand.
//!
//! Everything goes over Jenkins' REST API, with HTTP Basic and a user's API token. Answers are read tolerantly: an odd field
//! costs that field, and never a listing.

mod agents;
mod config_xml;
mod connection;
mod credentials;
mod crumb;
mod enroll;
pub mod expression;
mod extras;
mod failure;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod lenient;
mod names;
mod probe;
mod queue;
mod settings;
mod transport;
mod withdraw;

use std::sync::Arc;

use async_trait::async_trait;

use self::connection::Connection;
use super::{Enrolled, Enrollment, Inbound, Roster, Target, TargetError, Withdrawal, tag_in};
use crate::model::AgentTag;
pub use probe::{Probe, Told};
pub use queue::JenkinsQueue;
pub use settings::{Launcher, Settings};

/// A controller, as one user sees it.
pub struct JenkinsTarget {
    connection: Arc<Connection>,
    launcher: Launcher,
    credentials_id: Option<String>,
}

impl JenkinsTarget {
    /// A controller. It is not called yet.
    ///
    /// # Errors
    /// `Rejected` when the URL or the file of certificates cannot be used.
    pub async fn new(settings: Settings) -> Result<Self, TargetError> {
        let connection = Arc::new(Connection::new(&settings).await?);
        Ok(Self { connection, launcher: settings.launcher, credentials_id: settings.credentials_id })
    }

    /// Looks whether everything is there that nodes need, and changes nothing: who is logged in, what that user may, the
    /// plugin, the credentials and the test job.
    pub async fn probe(&self, test_job: Option<&str>) -> Vec<Probe> {
        probe::probe(&self.connection, self.launcher, self.credentials_id.as_deref(), test_job).await
    }

    /// The controller's queue, as far as it waits for nodes of these labels.
    pub fn queue(&self, labels: impl IntoIterator<Item = String>) -> JenkinsQueue {
        JenkinsQueue::new(self.connection.clone(), labels.into_iter().collect())
    }
}

#[async_trait]
impl Target for JenkinsTarget {
    async fn enroll(&self, enrollment: &Enrollment) -> Result<Enrolled, TargetError> {
        enroll::enroll(&self.connection, self.launcher, self.credentials_id.as_deref(), enrollment).await?;
        Ok(Enrolled::default())
    }

    async fn withdraw(&self, withdrawal: &Withdrawal) -> Result<(), TargetError> {
        withdraw::withdraw(&self.connection, withdrawal).await
    }

    async fn roster(&self) -> Result<Option<Roster>, TargetError> {
        agents::roster(&self.connection).await.map(Some)
    }

    async fn relabel(&self, name: &str, tag: &AgentTag, labels: &[String]) -> Result<(), TargetError> {
        config_xml::change(&self.connection, name, tag, "label", &labels.join(" ")).await
    }

    async fn hold(
        &self,
        name: &str,
        tag: &AgentTag,
        description: &str,
        why: &str,
    ) -> Result<(), TargetError> {
        // Without its mark nobody would ever touch the agent again.
        if tag_in(description).as_ref() != Some(tag) {
            let text = format!("the new description of the agent `{name}` lacks the mark of its node");
            return Err(TargetError::Rejected(text));
        }
        let told = config_xml::change(&self.connection, name, tag, "description", description).await;
        if let Err(TargetError::NotFound(_) | TargetError::Rejected(_)) = told {
            return told;
        }
        // The one is of use without the other.
        told.and(withdraw::set_offline(&self.connection, name, why).await)
    }

    async fn close(&self, name: &str, tag: &AgentTag, why: &str) -> Result<(), TargetError> {
        withdraw::close(&self.connection, name, tag, why).await
    }

    async fn start_test(&self, job: &str, name: &str) -> Result<(), TargetError> {
        extras::start_test(&self.connection, job, name).await
    }

    async fn launch_log(&self, name: &str) -> Result<String, TargetError> {
        extras::launch_log(&self.connection, name).await
    }

    async fn inbound(&self, name: &str) -> Result<Inbound, TargetError> {
        extras::inbound(&self.connection, name).await
    }
}
