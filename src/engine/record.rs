//! The one door through which rows change: `fsm::next` says what follows, the store writes it with compare-and-set and
//! a line of history.
//!
//! A lost compare-and-set is not an error here: somebody else was first, and the next tick looks again.

use std::time::Duration;

use tracing::Span;

use super::{Engine, Rows, context};
use crate::config::template::{self, Values};
use crate::fsm;
use crate::fsm::image::ImageEvent;
use crate::fsm::node::NodeEvent;
use crate::model::{
    AgentFacts, FloatingFacts, HostKey, Image, ImageState, Node, NodeId, NodeState, Owner, Tag, Timestamp,
};
use crate::plan::{Errand, NewImage, NewNode, Reason};
use crate::planted::{Bug, is_planted};
use crate::store::{self, Note, StoreError};
use crate::telemetry::Move;

impl Engine {
    pub(super) async fn record_node(
        &mut self,
        now: Timestamp,
        row: &Node,
        event: NodeEvent,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        let Some((following, note)) = next_node(now, row, event, reason) else { return Ok(()) };
        let written = if following.state == NodeState::Gone {
            self.store.remove_node(row, &note).await
        } else {
            self.store.update_node(&following, &note).await.map(|_row| ())
        };
        let mut waited = None;
        if written.is_ok() {
            waited = self.count_move(now, row, following.state);
            if following.state == NodeState::Delete {
                self.keep_failed_launch(now, row, reason).await;
            }
        }
        unless_conflict(written)?;
        if let Some(waited) = waited {
            self.store.add_queue_wait(now, row, waited).await?;
        }
        self.count_ready(row, following.state).await
    }

    /// Counts for a snapshot that a node became ready from it. A set is one node.
    async fn count_ready(&self, before: &Node, following: NodeState) -> Result<(), StoreError> {
        let came = matches!(before.state, NodeState::Building(_) | NodeState::Test);
        match before.image_id {
            Some(image) if came && following == NodeState::Ready && before.primary.is_none() => {
                self.store.count_node_ready(image).await
            }
            _ => Ok(()),
        }
    }

    /// Records what happened to all members of a set: for all of them or, when somebody else changed one, for none.
    pub(super) async fn record_nodes(
        &mut self,
        now: Timestamp,
        rows: &[Node],
        event: NodeEvent,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        let is_set = rows.len() > 1;
        let whose = |row: &Node| if is_set { context::of_node(row) } else { Span::current() };
        let following: Option<Vec<_>> =
            rows.iter().map(|row| whose(row).in_scope(|| next_node(now, row, event, reason))).collect();
        let Some(following) = following else { return Ok(()) };
        let written = self.store.update_nodes(&following).await;
        let mut waits = Vec::new();
        if written.is_ok() {
            for (row, (following, _note)) in rows.iter().zip(&following) {
                let waited = self.count_move(now, row, following.state);
                waits.extend(waited.map(|waited| (row, waited)));
                if following.state == NodeState::Delete {
                    self.keep_failed_launch(now, row, reason).await;
                }
            }
        }
        unless_conflict(written)?;
        for (row, waited) in waits {
            self.store.add_queue_wait(now, row, waited).await?;
        }
        for (row, (following, _note)) in rows.iter().zip(&following) {
            self.count_ready(row, following.state).await?;
        }
        Ok(())
    }

    /// Counts a change of state. When a job has taken the node, gives how long that job waited.
    fn count_move(&self, now: Timestamp, row: &Node, to: NodeState) -> Option<Duration> {
        let reached = self.memory.reached.get(&row.head()).copied();
        self.metrics.as_ref()?.moved(&Move { node: row, to, at: now, reached })
    }

    pub(super) async fn record_node_facts(
        &mut self,
        now: Timestamp,
        row: &Node,
        event: &str,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        tracing::debug!(target: "nodepool.node", label = row.label, "{event}: {reason}");
        let note = note(now, event, row.state, row.state, reason);
        unless_conflict(self.store.update_node(row, &note).await)
    }

    /// Writes into the history under which id the cloud's own logs know the deletion of a server: that it is accepted
    /// changes no row, for only a listing shows what is gone.
    pub(super) async fn note_deletion(
        &mut self,
        now: Timestamp,
        errand: &Errand,
        request: Option<&str>,
        node: Option<&Node>,
        image: Option<&Image>,
    ) -> Result<(), StoreError> {
        let (Errand::DeleteServer { .. }, Some(id)) = (errand, request) else { return Ok(()) };
        let reason = context::requested("the cloud deletes its server", id);
        match (node, image) {
            (Some(node), _) => self.record_node_facts(now, node, "delete-accepted", &reason).await,
            (None, Some(image)) => self.record_image_facts(now, image, "delete-accepted", &reason).await,
            (None, None) => Ok(()),
        }
    }

    pub(super) async fn record_image(
        &mut self,
        now: Timestamp,
        row: &Image,
        event: ImageEvent,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        let following = match fsm::image::next(row.state, event) {
            Ok(following) => following,
            Err(illegal) => {
                tracing::error!(target: "nodepool.engine", "{illegal}");
                return Ok(());
            }
        };
        tracing::info!(
            target: "nodepool.image", name = row.image, from = %row.state, to = %following, "{}: {reason}", event.word()
        );
        let note = note(now, event.word(), row.state, following, reason);
        if following == ImageState::Gone {
            return unless_conflict(self.store.remove_image(row, &note).await);
        }
        let state_time = if following == row.state { row.state_time } else { now };
        let before = row;
        let row = Image { state: following, state_time, reason: reason.0.clone(), ..before.clone() };
        let written = self.store.update_image(&row, &note).await;
        if written.is_ok() && following == ImageState::Delete {
            self.keep_failed_build(now, before, reason).await;
        }
        if let (Ok(_), ImageState::Ready, Some(metrics)) = (&written, following, &self.metrics) {
            metrics.image_ready(&row, now);
        }
        unless_conflict(written)
    }

    pub(super) async fn record_image_facts(
        &mut self,
        now: Timestamp,
        row: &Image,
        event: &str,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        tracing::debug!(target: "nodepool.image", name = row.image, "{event}: {reason}");
        let note = note(now, event, row.state, row.state, reason);
        unless_conflict(self.store.update_image(row, &note).await)
    }

    pub(super) async fn add_node(
        &mut self,
        now: Timestamp,
        node: &NewNode,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        let target = self.config.target(&node.target);
        let pattern = target.map(|target| target.hostname.clone()).unwrap_or_default();
        let of_subnode = target.map(|target| target.subnode_hostname.clone()).unwrap_or_default();
        let name = |id: NodeId, primary: Option<NodeId>| {
            let values = Values {
                label_name: Some(&node.label),
                provider_name: Some(&node.provider),
                image_name: Some(&node.image),
                node_id: Some(primary.unwrap_or(id).0),
                subnode_id: primary.map(|_| id.0),
                timestamp: Some(now.seconds()),
            };
            let pattern = if primary.is_some() { &of_subnode } else { &pattern };
            // The template was checked when the configuration was loaded; a name that works is better than no node.
            template::render(pattern, &values).unwrap_or_else(|_| format!("{}-{id}", node.label))
        };
        let new = store::NewNode {
            provider: node.provider.clone(),
            label: node.label.clone(),
            target: node.target.clone(),
            image: node.image.clone(),
            image_id: node.image_id,
            az: node.az.clone(),
            attempt: self.memory.next_attempt(now),
            subnodes: (0..node.subnodes).map(|_| self.memory.next_attempt(now)).collect(),
            created: now,
            reason: reason.0.clone(),
        };
        let row = self.store.insert_node(&new, &name).await?;
        context::of_node(&row).in_scope(|| {
            tracing::info!(
                target: "nodepool.node", label = row.label, subnodes = row.subnodes, "added: {reason}"
            );
        });
        Ok(())
    }

    pub(super) async fn add_image(
        &mut self,
        now: Timestamp,
        image: &NewImage,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        let pattern = self.config.provider(&image.provider).map(|known| known.template_hostname.clone());
        let values = Values {
            provider_name: Some(&image.provider),
            image_name: Some(&image.image),
            timestamp: Some(now.seconds()),
            ..Values::default()
        };
        let hostname = template::render(&pattern.unwrap_or_default(), &values)
            .unwrap_or_else(|_| format!("template-{}-{}", image.image, now.seconds()));
        let new = store::NewImage {
            provider: image.provider.clone(),
            image: image.image.clone(),
            az: image.az.clone(),
            hostname,
            version: now.seconds(),
            attempt: self.memory.next_attempt(now),
            created: now,
            recipe: image.recipe.clone(),
            reason: reason.0.clone(),
        };
        let row = self.store.insert_image(&new).await?;
        context::of_image(&row).in_scope(|| {
            tracing::info!(target: "nodepool.image", name = row.image, "added: {reason}");
        });
        Ok(())
    }

    /// Writes into the row what is about to be tried, before it is tried, and the host key of the server that is about to
    /// be created where we made it. `false`: somebody else changed the row.
    pub(super) async fn mark_intent(
        &mut self,
        now: Timestamp,
        errand: &Errand,
        host_key: Option<HostKey>,
        rows: &mut Rows,
    ) -> Result<bool, StoreError> {
        if is_planted(Bug::CallBeforeIntent) && matches!(errand, Errand::CreateServer { .. }) {
            return Ok(true);
        }
        if let Some((id, event)) = marks_node(errand) {
            let Some(row) = rows.nodes.get(&id) else { return Ok(false) };
            return match marked_node(row, errand, now, host_key) {
                Some(row) => self.mark_node(now, row, event, rows).await,
                None => Ok(true),
            };
        }
        match errand {
            Errand::CreateServer { owner: Owner::Builder(id), provider } => {
                let Some(row) = rows.images.get(id) else { return Ok(false) };
                let own = self.config.provider(provider).is_some_and(|provider| provider.keypair.is_none());
                let keypair = own.then(|| Tag::keypair_name(&self.installation, *id));
                let row = Image { attempted: Some(now), keypair, host_key, ..row.clone() };
                self.mark_image(now, row, "create-called", rows).await
            }
            Errand::CreateServer { owner: Owner::Verifier(id), .. } => {
                let Some(row) = rows.images.get(id) else { return Ok(false) };
                let row = Image { verify_attempted: Some(now), verify_host_key: host_key, ..row.clone() };
                self.mark_image(now, row, "verify-called", rows).await
            }
            Errand::CreateFloatingIp { owner, .. } => {
                let Some(row) = owner.image().and_then(|id| rows.images.get(&id)) else { return Ok(false) };
                let facts = FloatingFacts { id: None, attempted: Some(now) };
                let row = row.clone().with_floating_ip(*owner, facts);
                self.mark_image(now, row, "floating-ip-called", rows).await
            }
            Errand::TakeSnapshot { image, .. } => {
                let Some(row) = rows.images.get(image) else { return Ok(false) };
                let row = Image { snapshot_attempted: Some(now), ..row.clone() };
                self.mark_image(now, row, "snapshot-called", rows).await
            }
            _ => Ok(true),
        }
    }

    async fn mark_node(
        &mut self,
        now: Timestamp,
        row: Node,
        event: &str,
        rows: &mut Rows,
    ) -> Result<bool, StoreError> {
        let note = note(now, event, row.state, row.state, &Reason(row.reason.clone()));
        match self.store.update_node(&row, &note).await {
            Ok(row) => {
                rows.nodes.insert(row.id, row);
                Ok(true)
            }
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn mark_image(
        &mut self,
        now: Timestamp,
        row: Image,
        event: &str,
        rows: &mut Rows,
    ) -> Result<bool, StoreError> {
        let note = note(now, event, row.state, row.state, &Reason(row.reason.clone()));
        match self.store.update_image(&row, &note).await {
            Ok(row) => {
                rows.images.insert(row.id, row);
                Ok(true)
            }
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The row after an event and its line of history; `None` for an event that is not legal.
fn next_node(now: Timestamp, row: &Node, event: NodeEvent, reason: &Reason) -> Option<(Node, Note)> {
    let following = match fsm::node::next(row.state, event) {
        Ok(following) => following,
        Err(illegal) => {
            tracing::error!(target: "nodepool.engine", "{illegal}");
            return None;
        }
    };
    tracing::info!(
        target: "nodepool.node", label = row.label, from = %row.state, to = %following, "{}: {reason}", event.word()
    );
    let note = note(now, event.word(), row.state, following, reason);
    let state_time = if following == row.state { row.state_time } else { now };
    Some((Node { state: following, state_time, reason: reason.0.clone(), ..row.clone() }, note))
}

/// The node whose row is marked before an errand, and the word for that in its history.
const fn marks_node(errand: &Errand) -> Option<(NodeId, &'static str)> {
    match errand {
        Errand::CreateServer { owner: Owner::Node(id), .. } => Some((*id, "create-called")),
        Errand::DeleteServer { owner: Some(Owner::Node(id)), .. } => Some((*id, "delete-called")),
        Errand::CreateFloatingIp { owner: Owner::Node(id), .. } => Some((*id, "floating-ip-called")),
        Errand::Enroll(id) => Some((*id, "enroll-called")),
        Errand::StartTest { node, .. } => Some((*node, "test-called")),
        _ => None,
    }
}

/// The row with its mark; `None` when it has the mark already.
fn marked_node(row: &Node, errand: &Errand, now: Timestamp, host_key: Option<HostKey>) -> Option<Node> {
    let row = row.clone();
    match errand {
        Errand::CreateServer { .. } => Some(Node { attempted: Some(now), host_key, ..row }),
        Errand::DeleteServer { .. } if row.delete_called.is_some() => None,
        Errand::DeleteServer { .. } => Some(Node { delete_called: Some(now), ..row }),
        Errand::CreateFloatingIp { .. } => {
            Some(Node { floating_ip: FloatingFacts { id: None, attempted: Some(now) }, ..row })
        }
        Errand::Enroll(_) => {
            let agent = AgentFacts { attempted: Some(now), ..row.agent.clone() };
            Some(Node { agent, ..row })
        }
        Errand::StartTest { .. } => {
            let agent = AgentFacts { test_called: Some(now), ..row.agent.clone() };
            Some(Node { agent, ..row })
        }
        _ => None,
    }
}

fn note(
    at: Timestamp,
    event: &str,
    from: impl std::fmt::Display,
    to: impl std::fmt::Display,
    reason: &Reason,
) -> Note {
    Note { at, event: event.to_owned(), from: from.to_string(), to: to.to_string(), reason: reason.0.clone() }
}

fn unless_conflict<T>(written: Result<T, StoreError>) -> Result<(), StoreError> {
    match written {
        Ok(_) => Ok(()),
        Err(StoreError::Conflict { table, id, .. }) => {
            tracing::debug!(target: "nodepool.engine", "{table} {id} was changed by somebody else first");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
