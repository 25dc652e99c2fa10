//! Each node, one step further on its way.

use super::action::{Action, Errand, Subject};
use super::address::Lack;
use super::blame::Blame;
use super::floating::{Advance, Machine, Tidied};
use super::host_keys::Pinning;
use super::whereabouts::{Asked, Standing, Unsure, Whereabouts, locate};
use super::{Draft, limits};
use crate::config::Provider;
use crate::fsm::node::NodeEvent;
use crate::model::{
    ImageState, Node, NodeState, NodeStep, Owner, Server, ServerStatus, SetbackKind, Tag, Timestamp,
};
use crate::planted::{Bug, is_planted};

impl Draft<'_> {
    pub(super) fn settle_nodes(&mut self) {
        for node in self.untouched_nodes() {
            if self.is_changed(node.id) {
                // With its primary, a moment ago.
                continue;
            }
            if self.follow_primary(&node) {
                continue;
            }
            match node.state {
                NodeState::Building(step) => self.build_node(node, step),
                NodeState::Test | NodeState::Ready | NodeState::Used => self.keep_node(node),
                NodeState::Hold => self.keep_hold(node),
                NodeState::Delete => self.delete_node_server(node),
                NodeState::Gone => {}
            }
        }
        self.settle_sets();
        self.recall_visits();
    }

    fn build_node(&mut self, node: Node, step: NodeStep) {
        if let Some(reason) = self.unbuildable(&node) {
            return self.node_event(node, NodeEvent::Doomed, reason);
        }
        let Some(provider) = self.serving(&node.provider) else { return };
        if node.attempted.is_none() {
            return self.check_image(node);
        }
        if self.seen.in_flight.contains_key(&create(&node)) {
            return;
        }
        match self.node_server(&node) {
            Whereabouts::Found(server) => {
                let reason = "its server was found by its tag, although the create call was not answered";
                let row = Node { server_id: Some(server.id.clone()), ..node };
                self.node_event(row, NodeEvent::Created, reason);
            }
            Whereabouts::Shown(server) => {
                let server = server.clone();
                self.follow_server(node, step, provider, &server);
            }
            Whereabouts::Nowhere if node.server_id.is_none() => {
                self.fail_node(node, "the create call was not answered and no server appeared".to_owned());
            }
            Whereabouts::Nowhere => self.fail_node(node, "its server vanished from the cloud".to_owned()),
            // It was there when the node was prepared; what its target does needs no listing of the cloud.
            Whereabouts::Unsure(_) if step == NodeStep::Enroll => self.enroll_node(node),
            Whereabouts::Unsure(doubt) => self.wait_for_server(node, provider, doubt),
        }
    }

    /// A node that no call was made for yet must still have an image to boot.
    pub(super) fn check_image(&mut self, node: Node) {
        if !self.is_bootable(&node) {
            self.node_event(node, NodeEvent::Doomed, "its image is not there any more");
        }
    }

    /// Whether the image of a node is ready.
    pub(super) fn is_bootable(&self, node: &Node) -> bool {
        node.image_id
            .is_some_and(|id| self.images.get(&id).is_some_and(|image| image.row.state == ImageState::Ready))
    }

    fn follow_server(&mut self, node: Node, step: NodeStep, provider: &Provider, server: &Server) {
        match &server.status {
            ServerStatus::Error => {
                let fault = server.fault.as_deref().unwrap_or("the cloud gives no reason");
                return self.fail_node(node, format!("its server is in ERROR: {fault}"));
            }
            ServerStatus::Active if step == NodeStep::Ssh => return self.visit_node(node, provider),
            ServerStatus::Active if step == NodeStep::Enroll => return self.enroll_node(node),
            ServerStatus::Active => match self.reach(&Machine::of_node(&node), server) {
                Ok(found) => {
                    let row = Node {
                        ip: Some(found.connect.to_string()),
                        ip_private: found.private.map(|ip| ip.to_string()),
                        az: server.az.clone().or_else(|| node.az.clone()),
                        ..node
                    };
                    let reason = format!("its server is ACTIVE with the address {}", found.connect);
                    return self.node_event(row, NodeEvent::Addressed, reason);
                }
                Err(lack) if step == NodeStep::Boot => {
                    let reason = format!("its server is ACTIVE, but {lack} yet");
                    return self.node_event(node, NodeEvent::Active, reason);
                }
                Err(Lack::FloatingIp) => return self.get_floating_ip(node, provider),
                Err(lack) => {
                    let found = format!("its server is ACTIVE, but {lack}");
                    return self.check_launch_timeout(node, provider, &found);
                }
            },
            ServerStatus::Build | ServerStatus::Deleted | ServerStatus::Other(_) => {}
        }
        self.check_launch_timeout(node, provider, &format!("its server is {}", word(&server.status)));
    }

    fn get_floating_ip(&mut self, node: Node, provider: &Provider) {
        let until = node.attempted.unwrap_or(node.state_time).plus(provider.launch_timeout);
        match self.advance_floating_ip(&Machine::of_node(&node), until) {
            Advance::Facts(facts, reason) => self.node_facts(Node { floating_ip: facts, ..node }, reason),
            Advance::Waits(found) => self.check_launch_timeout(node, provider, &found),
            Advance::Blind(found) => self.refuse(Subject::Node(node.id), format!("waits: {found}")),
            Advance::Lost => self.fail_node(node, "its floating IP vanished from the cloud".to_owned()),
        }
    }

    fn visit_node(&mut self, node: Node, provider: &Provider) {
        let until = node.state_time.plus(provider.boot_timeout);
        match self.seek_host_key(&Machine::of_node(&node), node.host_key.is_some(), until) {
            // Members of a set are visited together.
            Pinning::Settled if node.subnodes > 0 || node.primary.is_some() => {}
            Pinning::Settled if !self.is_enrolled_for_visit(&node) => {}
            Pinning::Settled => {
                self.send(Errand::PrepareNode(node.id), "its server is ACTIVE and has an address");
            }
            Pinning::Sought => {}
            Pinning::Failed(reason) => self.fail_node(node, reason),
        }
    }

    fn wait_for_server(&mut self, node: Node, provider: &Provider, doubt: Unsure) {
        if let Unsure::ListingsFrom(moment) = doubt {
            self.has_come(moment);
        }
        let found = if node.server_id.is_some() {
            "the cloud does not show its server"
        } else {
            "the create call was not answered, and the cloud shows no server with its tag"
        };
        self.check_launch_timeout(node, provider, found);
    }

    fn check_launch_timeout(&mut self, node: Node, provider: &Provider, found: &str) {
        let Some(attempted) = node.attempted else { return };
        if self.seen.in_flight.contains_key(&Errand::PrepareNode(node.head())) {
            // Somebody is on the machine, and will tell more about it than a listing.
            return;
        }
        if !self.was_listed(&node.provider) {
            return self.refuse(Subject::Node(node.id), format!("waits: {found}, for nobody has looked yet"));
        }
        if self.has_come(attempted.plus(provider.launch_timeout)) {
            let limit = provider.launch_timeout.as_secs();
            let reason =
                format!("not ACTIVE with an address within the launch-timeout of {limit} s: {found}");
            self.fail_node(node, reason);
        } else {
            self.refuse(Subject::Node(node.id), format!("waits: {found}"));
        }
    }

    /// Whether the servers of a provider were listed since we began. Before that nothing can be late.
    pub(super) fn was_listed(&self, provider: &str) -> bool {
        self.cloud(provider).is_some_and(|cloud| cloud.servers.complete.is_some())
    }

    /// Lets a launch fail, and remembers that it did.
    pub(super) fn fail_node(&mut self, node: Node, reason: String) {
        if !self.placement_failed(&node, &reason) {
            self.launch_failed(&node, &reason, Blame::Unknown);
        }
        self.set_back_zone(&node.provider, node.az.as_deref(), &reason);
        self.node_event(node, NodeEvent::Doomed, reason);
    }

    /// A node that serves or waits stays, as long as it has a server that can serve.
    fn keep_node(&mut self, node: Node) {
        if node.state == NodeState::Ready
            && let Some(reason) = self.misfit(&node).or_else(|| self.unoffered(&node))
        {
            return self.node_event(node, NodeEvent::Doomed, reason);
        }
        match self.node_server(&node) {
            Whereabouts::Nowhere => {
                self.node_event(node, NodeEvent::Doomed, "its server vanished from the cloud");
            }
            Whereabouts::Shown(Server { status: ServerStatus::Error, fault, .. }) => {
                let fault = fault.as_deref().unwrap_or("the cloud gives no reason");
                let reason = format!("its server fell into ERROR: {fault}");
                self.node_event(node, NodeEvent::Doomed, reason);
            }
            Whereabouts::Unsure(doubt) => {
                if let Unsure::ListingsFrom(moment) = doubt {
                    self.has_come(moment);
                }
                let shown =
                    "the cloud does not show its server; complete listings will tell whether it is gone";
                let reason = self.obstacle(&node.provider).map_or_else(
                    || shown.to_owned(),
                    |obstacle| format!("nothing is known of its server: {obstacle}"),
                );
                self.refuse(Subject::Node(node.id), reason);
                self.follow_target(node);
            }
            Whereabouts::Shown(server) | Whereabouts::Found(server) => {
                if node.state == NodeState::Ready && self.lost_floating_ip(&node, server) {
                    return self.node_event(
                        node,
                        NodeEvent::Doomed,
                        "its floating IP vanished from the cloud",
                    );
                }
                self.follow_target(node);
            }
        }
    }

    /// Whether the floating IP is gone by which a node is known: until somebody uses it, it is of no use without. One whose
    /// call was not answered shows in the cloud's word for the server's addresses, which alone would be too little to go by.
    fn lost_floating_ip(&self, node: &Node, server: &Server) -> bool {
        let machine = Machine::of_node(node);
        !node.floating_ip.is_none()
            && self.floating_ip(&machine) == Standing::Nowhere
            && (node.floating_ip.id.is_some() || self.reach(&machine, server).is_err())
    }

    /// What its target shows of a node that has its server.
    fn follow_target(&mut self, node: Node) {
        match node.state {
            NodeState::Test => self.keep_test(node),
            NodeState::Used if self.end_rest(&node) => {}
            _ => self.watch_agent(node),
        }
    }

    /// A held node stays, whatever happens to its server, until its hold ends.
    fn keep_hold(&mut self, node: Node) {
        if let Some(until) = node.held_until
            && (self.has_come(until) || is_planted(Bug::HoldEndsAtOnce))
        {
            let row = Node { held_until: None, ..node };
            return self.node_event(row, NodeEvent::HoldEnded, "its hold came to its end");
        }
        if node.primary.is_none() && self.warn_of_hold_end(&node) {
            return;
        }
        self.watch_agent(node);
    }

    /// Tells people once that a hold ends soon.
    fn warn_of_hold_end(&mut self, node: &Node) -> bool {
        let Some(until) = node.held_until.filter(|_| !node.hold_warned) else { return false };
        // Whoever holds a node for half an hour need not be told at once that it ends within the hour.
        let held_for = until.since(node.state_time);
        if !self.has_come(until.minus(limits::hold_warning(held_for))) {
            return false;
        }
        let left = match until.since(self.now()).as_secs() {
            seconds @ 0..120 => format!("{seconds} s"),
            seconds => format!("{} min", seconds / 60),
        };
        let row = Node { hold_warned: true, ..node.clone() };
        self.nodes.insert(row.id, super::Drafted { row: row.clone(), changed: true });
        let reason = format!("its hold ends in {left}; `nodepool hold {} --for 2d` makes it longer", node.id);
        self.act(Action::WarnOfHoldEnd { row: Box::new(row) }, reason);
        true
    }

    fn delete_node_server(&mut self, node: Node) {
        if self.seen.in_flight.contains_key(&create(&node)) {
            return self.refuse(Subject::Node(node.id), "waits: the create call is still on its way");
        }
        if !self.is_withdrawn(&node) {
            return;
        }
        if is_planted(Bug::RowGoneWhenAccepted) && node.delete_called.is_some() {
            return self.node_event(node, NodeEvent::Gone, "the cloud accepted the deletion");
        }
        if is_planted(Bug::DeletionAskedOnce) && node.delete_called.is_some() && node.server_id.is_some() {
            return;
        }
        match self.node_server(&node) {
            Whereabouts::Nowhere => {
                if !self.is_rid_of_floating_ip(&node) {
                    return;
                }
                let reason = if node.attempted.is_none() {
                    "no server was ever asked for"
                } else {
                    "the cloud does not show its server any more"
                };
                if node.server_id.is_some() {
                    let reason = "a server is gone, so there may be room again";
                    self.recover(SetbackKind::Capacity, &node.provider, "", reason);
                }
                self.node_event(node, NodeEvent::Gone, reason);
            }
            Whereabouts::Found(server) => {
                let row = Node { server_id: Some(server.id.clone()), ..node };
                self.node_event(row, NodeEvent::Created, "its server was found by its tag");
            }
            Whereabouts::Shown(server) => {
                let id = server.id.clone();
                let reason = node.reason.clone();
                if node.delete_called.is_some() {
                    self.is_rid_of_floating_ip(&node);
                }
                self.send_deletion(&node.provider, id, Owner::Node(node.id), Subject::Node(node.id), reason);
            }
            Whereabouts::Unsure(doubt) => {
                self.doubt_deletion(
                    &node.provider,
                    node.server_id.as_deref(),
                    Owner::Node(node.id),
                    Subject::Node(node.id),
                    doubt,
                );
            }
        }
    }

    /// Whether a node that is to go has no floating IP; if it has, does something about it.
    fn is_rid_of_floating_ip(&mut self, node: &Node) -> bool {
        match self.tidy_floating_ip(&Machine::of_node(node)) {
            Tidied::Gone => return true,
            Tidied::Busy => {}
            Tidied::Facts(facts, reason) => {
                self.node_facts(Node { floating_ip: facts, ..node.clone() }, reason);
            }
        }
        false
    }

    /// Deletes a server that is not wanted and whose row knows it, unless its cloud cannot be read.
    pub(super) fn send_deletion(
        &mut self,
        provider: &str,
        id: String,
        owner: Owner,
        subject: Subject,
        reason: String,
    ) {
        if let Some(obstacle) = self.obstacle(provider) {
            return self.refuse(subject, format!("its server is not deleted: {obstacle}"));
        }
        let errand = Errand::DeleteServer { provider: provider.to_owned(), id, owner: Some(owner) };
        self.send(errand, reason);
    }

    /// A server that is to go and that the cloud does not show. If nothing but time can tell, it is deleted by its id
    /// all the same: the answer to that call tells sooner.
    pub(super) fn doubt_deletion(
        &mut self,
        provider: &str,
        id: Option<&str>,
        owner: Owner,
        subject: Subject,
        doubt: Unsure,
    ) {
        match (doubt, id) {
            (Unsure::ListingFrom(_), _) => {
                self.refuse(subject, "waits for a complete listing without its server");
            }
            (Unsure::ListingsFrom(_), Some(id)) => {
                let reason =
                    "the cloud does not show its server, which may be too new to be listed".to_owned();
                self.send_deletion(provider, id.to_owned(), owner, subject, reason);
            }
            (Unsure::ListingsFrom(moment), None) => {
                self.has_come(moment);
                let reason = self.obstacle(provider).map_or_else(
                    || "waits: its create call was not answered, so a server may still appear".to_owned(),
                    |obstacle| {
                        format!("its create call was not answered, and nothing can be seen: {obstacle}")
                    },
                );
                self.refuse(subject, reason);
            }
        }
    }

    /// Calls back whoever visits a machine that is not to be visited any more.
    fn recall_visits(&mut self) {
        let visits: Vec<Errand> = self.seen.in_flight.keys().cloned().collect();
        for errand in visits {
            let wanted = match &errand {
                Errand::PrepareNode(id) => self.awaits_preparation(*id),
                Errand::CheckNode(id) => {
                    self.nodes.get(id).is_some_and(|node| node.row.state == NodeState::Ready)
                }
                _ => true,
            };
            if !wanted {
                let why = match errand {
                    Errand::CheckNode(_) => "the node is not ready any more",
                    _ => "the node is not being built any more",
                };
                self.act(Action::Recall(errand), why);
            }
        }
    }

    /// Where the server of a node is.
    pub(super) fn node_server(&self, node: &Node) -> Whereabouts<'_> {
        let tag = self.tag(Owner::Node(node.id), &node.attempt);
        self.locate(&node.provider, &tag, node.server_id.as_deref(), node.attempted)
    }

    /// Where the server of a row is. At a provider that is not in the configuration nothing is known.
    pub(super) fn locate(
        &self,
        provider: &str,
        tag: &Tag,
        id: Option<&str>,
        attempted: Option<Timestamp>,
    ) -> Whereabouts<'_> {
        let configured = self.config.provider(provider);
        match (attempted, configured, self.seen.clouds.get(provider)) {
            (None, _, _) => Whereabouts::Nowhere,
            (Some(at), Some(configured), Some(cloud)) => {
                locate(cloud, Asked { tag, id, attempted: Some(at), call_deadline: configured.api_timeout })
            }
            (Some(at), _, _) => Whereabouts::Unsure(Unsure::ListingsFrom(at)),
        }
    }

    pub(super) fn tag(&self, owner: Owner, attempt: &str) -> Tag {
        Tag { installation: self.seen.installation.to_owned(), owner, attempt: attempt.to_owned() }
    }
}

fn create(node: &Node) -> Errand {
    Errand::CreateServer { provider: node.provider.clone(), owner: Owner::Node(node.id) }
}

/// The cloud's word for a status.
pub(super) fn word(status: &ServerStatus) -> &str {
    match status {
        ServerStatus::Build => "BUILD",
        ServerStatus::Active => "ACTIVE",
        ServerStatus::Error => "ERROR",
        ServerStatus::Deleted => "DELETED",
        ServerStatus::Other(word) => word,
    }
}
