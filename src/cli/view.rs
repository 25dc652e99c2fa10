//! What is shown of a row: the only types that the CLI serialises. A new field of a row is not shown by accident.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use crate::model::{Image, ImageStep, Node, NodeStep, Timestamp};

/// A point in time as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(time: Timestamp) -> String {
    DateTime::from_timestamp_millis(time.millis())
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeView {
    /// Its number.
    pub id: i64,
    /// Where its server is.
    pub provider: String,
    /// The availability zone asked for.
    pub az: Option<String>,
    /// What it serves.
    pub label: String,
    /// Where it is offered.
    pub target: String,
    /// Its full name.
    pub hostname: String,
    /// Its name up to the first dot.
    pub nodename: String,
    /// The cloud's id of its server.
    pub server_id: Option<String>,
    /// The address at which it is reached.
    pub ip: Option<String>,
    /// Its address on the private network.
    pub ip_private: Option<String>,
    /// The provider image that it boots.
    pub image: String,
    /// The snapshot that it boots.
    pub image_id: Option<i64>,
    /// nodepool v0's word for where it stands.
    pub state: &'static str,
    /// How far it is built.
    pub step: Option<&'static str>,
    /// When it entered its state, RFC 3339.
    pub state_time: String,
    /// For how many seconds it has been in its state.
    pub age_seconds: u64,
    /// When its row was made, RFC 3339.
    pub created: String,
    /// When its hold ends by itself, RFC 3339.
    pub held_until: Option<String>,
    /// What the operator who held it said.
    pub comment: Option<String>,
    /// Why it is in its state.
    pub reason: String,
    /// The node that it is a subnode of.
    pub primary: Option<i64>,
    /// Who holds it.
    pub held_by: Option<String>,
    /// The job that runs or ran on it.
    pub job: Option<String>,
    /// When that was seen to start, RFC 3339.
    pub job_started: Option<String>,
    /// Who took it, at a target with several who may.
    pub manager: Option<String>,
}

impl NodeView {
    /// The view of a row at the moment `now`.
    pub fn new(node: &Node, now: Timestamp) -> Self {
        Self {
            id: node.id.0,
            provider: node.provider.clone(),
            az: node.az.clone(),
            label: node.label.clone(),
            target: node.target.clone(),
            hostname: node.hostname.clone(),
            nodename: node.nodename.clone(),
            server_id: node.server_id.clone(),
            ip: node.ip.clone(),
            ip_private: node.ip_private.clone(),
            image: node.image.clone(),
            image_id: node.image_id.map(|id| id.0),
            state: node.state.word(),
            step: node.state.step().map(NodeStep::word),
            state_time: rfc3339(node.state_time),
            age_seconds: now.since(node.state_time).as_secs(),
            created: rfc3339(node.created),
            held_until: node.held_until.map(rfc3339),
            comment: node.comment.clone(),
            reason: node.reason.clone(),
            primary: node.primary.map(|primary| primary.0),
            held_by: node.held_by.clone(),
            job: node.job.name.clone(),
            job_started: node.job.started.map(rfc3339),
            manager: node.agent.manager.clone(),
        }
    }
}

/// A snapshot image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageView {
    /// Its number.
    pub id: i64,
    /// Where it is.
    pub provider: String,
    /// Its name in the provider's configuration.
    pub image: String,
    /// The name of the builder and of the snapshot.
    pub hostname: String,
    /// When the build was decided, in seconds since the epoch.
    pub version: i64,
    /// The cloud's id of the snapshot.
    pub image_id: Option<String>,
    /// The cloud's id of the builder, while it may exist.
    pub server_id: Option<String>,
    /// nodepool v0's word for where it stands.
    pub state: &'static str,
    /// How far it is built.
    pub step: Option<&'static str>,
    /// When it entered its state, RFC 3339.
    pub state_time: String,
    /// For how many seconds it has been in its state.
    pub age_seconds: u64,
    /// When its row was made, RFC 3339.
    pub created: String,
    /// Why it is in its state.
    pub reason: String,
}

impl ImageView {
    /// The view of a row at the moment `now`.
    pub fn new(image: &Image, now: Timestamp) -> Self {
        Self {
            id: image.id.0,
            provider: image.provider.clone(),
            image: image.image.clone(),
            hostname: image.hostname.clone(),
            version: image.version,
            image_id: image.external_id.clone(),
            server_id: image.server_id.clone(),
            state: image.state.word(),
            step: image.state.step().map(ImageStep::word),
            state_time: rfc3339(image.state_time),
            age_seconds: now.since(image.state_time).as_secs(),
            created: rfc3339(image.created),
            reason: image.reason.clone(),
        }
    }
}
