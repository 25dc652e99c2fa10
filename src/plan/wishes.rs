//! What operators asked for comes first.
//!
//! Answering a wish twice does no harm: a crash between recording its effect and settling it only means that the next
//! plan finds the effect already there.

use super::action::{Action, Subject};
use super::observation::NO_IMAGES;
use super::whereabouts::Whereabouts;
use super::{Draft, Drafted};
use crate::fsm::image::ImageEvent;
use crate::fsm::node::NodeEvent;
use crate::model::{AgentFacts, ImageId, ImageState, Node, NodeId, NodeState, Timestamp, Wish, WishKind};

/// Whether a wish was granted, and what to tell the operator.
#[derive(Clone)]
pub(super) enum Verdict {
    Granted(String),
    Refused(String),
    /// Its row is already being changed by this plan: look again at the next one.
    Later,
}

impl Draft<'_> {
    pub(super) fn settle_wishes(&mut self) {
        for wish in self.seen.wishes.clone() {
            let (granted, outcome) = match self.grant(&wish) {
                Verdict::Granted(outcome) => (true, outcome),
                Verdict::Refused(outcome) => (false, outcome),
                Verdict::Later => continue,
            };
            self.act(Action::SettleWish { wish: wish.id, granted }, outcome);
        }
    }

    fn grant(&mut self, wish: &Wish) -> Verdict {
        match &wish.kind {
            WishKind::Hold { node, comment, until, owner } => {
                self.hold(*node, comment.as_ref(), *until, owner.as_ref())
            }
            WishKind::Unhold(node) => self.with_node(*node, Self::unhold),
            WishKind::Delete { node, now } => {
                self.with_node(*node, |draft, row| draft.delete_node(row, *now))
            }
            WishKind::ImageUpdate { provider, image } => self.update_image(provider, image, wish.created),
            WishKind::ImageDelete(image) => self.delete_image(*image),
            WishKind::Check => self.check_nodes(),
            WishKind::Cleanup => self.clean_up(wish.created),
            WishKind::ConfirmCleanup => self.confirm_cleanup(wish.created),
            WishKind::AlienDelete { provider, server } => self.delete_alien(provider, server, wish.created),
        }
    }

    fn with_node(&mut self, id: NodeId, grant: impl FnOnce(&mut Self, Node) -> Verdict) -> Verdict {
        match self.nodes.get(&id) {
            Some(Drafted { row: Node { primary: Some(primary), subnode_index, .. }, .. }) => {
                Verdict::Refused(self.refuse_subnode(id, *subnode_index, *primary))
            }
            Some(drafted) if drafted.changed => Verdict::Later,
            Some(drafted) => {
                let row = drafted.row.clone();
                grant(self, row)
            }
            None => Verdict::Refused(format!("Node {id} not found.")),
        }
    }

    /// Why nothing is done with a subnode alone.
    fn refuse_subnode(&self, id: NodeId, index: u32, primary: NodeId) -> String {
        let next = if self.nodes.contains_key(&primary) {
            format!("; a set is held and deleted whole, by its primary: say {primary} instead of {id}")
        } else {
            ", which is gone, so it is being deleted, too".to_owned()
        };
        format!("node {id} is subnode {index} of node {primary}{next}")
    }

    /// What is said of a node's subnodes when it is held or deleted.
    fn with_subnodes(&self, id: NodeId) -> String {
        let made = self.nodes.get(&id).map_or(0, |drafted| drafted.row.subnodes);
        match (made, self.loss(id)) {
            (0, _) => String::new(),
            (1, None) => " with its subnode".to_owned(),
            (_, None) => format!(" with its {made} subnodes"),
            (_, Some(loss)) => format!(" with what is left of its set: {loss}"),
        }
    }

    fn hold(
        &mut self,
        id: NodeId,
        comment: Option<&String>,
        until: Option<Timestamp>,
        owner: Option<&String>,
    ) -> Verdict {
        self.with_node(id, |draft, mut row| {
            match row.state {
                NodeState::Ready | NodeState::Used | NodeState::Hold => {}
                NodeState::Delete => {
                    if let Some(nothing) = draft.nothing_to_hold(&row) {
                        return Verdict::Refused(nothing);
                    }
                }
                NodeState::Building(_) | NodeState::Test | NodeState::Gone => {
                    return Verdict::Refused(format!(
                        "node {id} is {}; only a ready or used node can be held",
                        row.state
                    ));
                }
            }
            let renewed = row.state == NodeState::Hold
                && row.comment.as_ref() == comment
                && row.held_until == until
                && row.held_by.as_ref() == owner;
            if !renewed {
                let said = comment.map_or_else(String::new, |comment| format!(": {comment}"));
                let who = owner.map_or("an operator", String::as_str);
                row.comment = comment.cloned();
                row.held_until = until;
                row.held_by = owner.cloned();
                row.held_for = None;
                row.hold_warned = false;
                draft.node_event(row, NodeEvent::Held, format!("{who} holds it{said}"));
            }
            Verdict::Granted(format!("node {id} is held{}", draft.with_subnodes(id)))
        })
    }

    /// Why a node that is to be deleted cannot be held any more, if so.
    pub(super) fn nothing_to_hold(&self, row: &Node) -> Option<String> {
        let id = row.id;
        if row.delete_called.is_some() {
            Some(format!("node {id} is already being deleted in the cloud"))
        } else if row.server_id.is_none() {
            Some(format!("node {id} is being deleted and has no server that is known"))
        } else if self.node_server(row) == Whereabouts::Nowhere {
            Some(format!("node {id} is being deleted and its server is gone"))
        } else {
            None
        }
    }

    fn unhold(&mut self, mut row: Node) -> Verdict {
        let id = row.id;
        match row.state {
            NodeState::Hold => {
                row.held_until = None;
                self.node_event(row, NodeEvent::HoldEnded, "an operator ended the hold");
                Verdict::Granted(format!("the hold of node {id} has ended; it will be deleted"))
            }
            NodeState::Delete => {
                Verdict::Granted(format!("node {id} is not held any more; it will be deleted"))
            }
            NodeState::Building(_)
            | NodeState::Test
            | NodeState::Ready
            | NodeState::Used
            | NodeState::Gone => Verdict::Refused(format!("node {id} is not held, it is {}", row.state)),
        }
    }

    fn delete_node(&mut self, row: Node, insists: bool) -> Verdict {
        let id = row.id;
        let busy = self.job_on(&row);
        let agent = AgentFacts { insists: insists || row.agent.insists, ..row.agent.clone() };
        let told = row.agent == agent;
        let row = Node { agent, ..row };
        match row.state {
            NodeState::Delete if told => {}
            NodeState::Delete => self.node_facts(row, "an operator wants it gone at once"),
            // As in nodepool v0, deleting a held node is how an operator says that the hold is over.
            NodeState::Hold => self.node_event(row, NodeEvent::HoldEnded, "an operator deleted it"),
            NodeState::Building(_)
            | NodeState::Test
            | NodeState::Ready
            | NodeState::Used
            | NodeState::Gone => self.node_event(row, NodeEvent::Doomed, "an operator deleted it"),
        }
        let set = self.with_subnodes(id);
        Verdict::Granted(match busy {
            None => format!("node {id} will be deleted{set}"),
            Some(job) if insists => {
                format!("node {id} will be deleted{set}; {job} runs on it and fails by that")
            }
            Some(job) => format!(
                "node {id} will be deleted{set} when {job} is over, which runs on it; `nodepool delete --now {id}` does \
                 not wait for it"
            ),
        })
    }

    /// The job that runs on a node whose target would tell us of its end, if one does.
    fn job_on(&self, node: &Node) -> Option<String> {
        let view = self.target(&node.target)?;
        let shown = view.agents.items.get(&node.nodename).filter(|agent| !agent.idle);
        if !node.job.is_running() && shown.is_none() {
            return None;
        }
        let name = node.job.name.as_deref().map(|job| format!("job {job}"));
        Some(name.unwrap_or_else(|| "a job".to_owned()))
    }

    fn update_image(&mut self, provider: &str, image: &str, asked: Timestamp) -> Verdict {
        let known = self.serving(provider).and_then(|provider| provider.image(image)).is_some();
        if !known {
            return Verdict::Refused(format!(
                "provider {provider} has no image {image} in the configuration"
            ));
        }
        if self.started.contains(&(provider.to_owned(), image.to_owned())) {
            return Verdict::Granted(format!("a new image of {provider} {image} is being built"));
        }
        let newest = self
            .images
            .values()
            .map(|drafted| &drafted.row)
            .filter(|row| row.provider == provider && row.image == image)
            .filter(|row| matches!(row.state, ImageState::Building(_)) || row.created >= asked)
            .max_by_key(|row| row.id);
        if let Some(row) = newest {
            return Verdict::Granted(format!("image {} of {provider} {image} is being built", row.id));
        }
        if !self.seen.permissions.images {
            return Verdict::Refused(format!("no image of {provider} {image} is built: {NO_IMAGES}"));
        }
        let wanted = Subject::ProviderImage(provider.to_owned(), image.to_owned());
        if let Err(reason) = self.make_room_for_build(provider, image) {
            self.refuse(wanted, reason);
            return Verdict::Later;
        }
        self.start_build(provider.to_owned(), image.to_owned(), "an operator asked for a new image");
        Verdict::Granted(format!("a new image of {provider} {image} is being built"))
    }

    fn delete_image(&mut self, id: ImageId) -> Verdict {
        match self.images.get(&id) {
            None => Verdict::Refused(format!("No image '{id}' found.")),
            Some(drafted) if drafted.changed => Verdict::Later,
            Some(drafted) => {
                let row = drafted.row.clone();
                if row.state != ImageState::Delete {
                    self.image_event(row, ImageEvent::Doomed, "an operator deleted it");
                }
                Verdict::Granted(format!("image {id} will be deleted"))
            }
        }
    }
}
