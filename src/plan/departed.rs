//! What is left of things that are not in the configuration any more: each ends well.

use super::Draft;
use super::action::{Action, Errand, Subject};
use super::limits;
use super::view::CloudView;
use crate::config::{Provider, Retirement};
use crate::model::{CloudImage, Node, Server};

impl<'a> Draft<'a> {
    /// The provider of this name, if it is in the configuration and not only cleaned up.
    pub(super) fn serving(&self, name: &str) -> Option<&'a Provider> {
        self.config.provider(name).filter(|provider| provider.retired.is_none())
    }

    /// Why a node that is idle, or is still being built, does not serve its label any more, if so.
    ///
    /// A label's image, ready-script and number of subnodes are not looked at: what is ready stays as it was made until a
    /// job takes it, so that a change does not empty the pool.
    pub(super) fn misfit(&self, node: &Node) -> Option<String> {
        let (provider, name) = (&node.provider, &node.label);
        let Some(label) = self.config.label(name) else {
            return Some(format!("label {name} left the configuration"));
        };
        if self.serving(provider).is_none() {
            return Some(format!("provider {provider} left the configuration"));
        }
        if !label.providers.contains(provider) {
            return Some(format!("provider {provider} does not serve label {name} any more"));
        }
        if self.config.target(&node.target).is_none() {
            return Some(format!("target {} left the configuration", node.target));
        }
        None
    }

    /// Why a ready node is of no use at its target, if so: it became ready when its target took nodes as they are.
    pub(super) fn unoffered(&self, node: &Node) -> Option<String> {
        let unknown = node.primary.is_none() && node.agent.attempted.is_none();
        (unknown && self.target(&node.target).is_some())
            .then(|| format!("it was never offered at target {}, which wants that now", node.target))
    }

    /// Why a node that is still being built cannot become what its label wants, if so.
    pub(super) fn unbuildable(&self, node: &Node) -> Option<String> {
        let misfit = self.misfit(node);
        if misfit.is_some() {
            return misfit;
        }
        let (provider, image) = (&node.provider, &node.image);
        if self.serving(provider).is_some_and(|known| known.image(image).is_none()) {
            return Some(format!("image {image} of provider {provider} left the configuration"));
        }
        let label = self.config.label(&node.label)?;
        (node.attempted.is_none() && label.image != *image)
            .then(|| format!("label {} boots image {} now, not {image}", label.name, label.image))
    }

    /// Forgets providers that left the configuration, once nothing of ours is left there.
    pub(super) fn forget_providers(&mut self) {
        let config = self.config;
        for provider in config.providers.iter().filter(|provider| provider.retired.is_some()) {
            let name = &provider.name;
            let nodes = self.nodes.values().filter(|drafted| drafted.row.provider == *name).count();
            let images = self.images.values().filter(|drafted| drafted.row.provider == *name).count();
            let subject = Subject::Provider(name.clone());
            if nodes > 0 || images > 0 {
                let rows = format!("nodes to go: {nodes}, images to go: {images}");
                self.refuse(subject, format!("it left the configuration and is cleaned up; {rows}"));
                continue;
            }
            let calls = self.seen.in_flight.keys().any(|errand| errand.paced_by() == Some(name.as_str()));
            let Some(cloud) = self.cloud(name).filter(|_| !calls) else { continue };
            let long_enough = provider.retired == Some(Retirement::Replaced) || is_watched_long_enough(cloud);
            if long_enough && self.is_clean(name, cloud) {
                let reason = "it left the configuration, and nothing of ours is left there";
                self.forget_provider(name, reason);
            } else if self.is_given_up(name, cloud) {
                let reason = "it left the configuration, has no rows, and could not be listed for long";
                self.forget_provider(name, reason);
            } else if long_enough {
                self.refuse(
                    subject,
                    "it left the configuration; a listing will tell whether anything is left",
                );
            } else {
                let minutes = limits::WATCH_OF_A_RETIRED_PROVIDER.as_secs() / 60;
                self.refuse(
                    subject,
                    format!("it left the configuration; what may still appear there is waited for, {minutes} minutes in all"),
                );
            }
        }
    }

    /// Forgets targets that left the configuration, once no node names them and no agent of ours is left there.
    pub(super) fn forget_targets(&mut self) {
        for (name, view) in self.seen.targets {
            if self.config.target(name).is_some() {
                continue;
            }
            let nodes = self.nodes.values().filter(|drafted| drafted.row.target == *name).count();
            let subject = Subject::Target(name.clone());
            if nodes > 0 {
                let reason = format!("it left the configuration and is cleaned up; nodes to go: {nodes}");
                self.refuse(subject, reason);
                continue;
            }
            let calls = self.seen.in_flight.keys();
            if calls
                .filter(|errand| errand.is_call_to_target())
                .any(|call| self.target_of(call) == Some(name))
            {
                continue;
            }
            let errand = Errand::ListAgents { target: name.clone() };
            let tries = self.seen.tries.get(&errand).map_or(0, |tries| tries.count);
            let agents = &view.agents;
            let is_clean = agents.is_sure()
                && agents.previous.is_some()
                && agents.neither_shows(|agent| self.is_leaked_agent(agent));
            let reason = if !view.lists {
                "it left the configuration, and no node names it"
            } else if is_clean {
                "it left the configuration, and no agent of ours is left there"
            } else if agents.trouble.is_some() && tries >= limits::TRIES_OF_A_DEPARTED_TARGET {
                "it left the configuration and could not be listed for long; agents of ours that are left there are for \
                 you to delete"
            } else {
                let reason =
                    "it left the configuration; listings will tell whether agents of ours are left there";
                self.refuse(subject, reason);
                continue;
            };
            self.act(Action::ForgetTarget(name.clone()), reason);
        }
    }

    fn forget_provider(&mut self, name: &str, reason: &str) {
        self.forgotten.insert(name.to_owned());
        self.act(Action::ForgetProvider(name.to_owned()), reason);
    }

    /// Whether complete listings show nothing of ours but what rows have: another provider may be the same project.
    fn is_clean(&self, name: &str, cloud: &CloudView) -> bool {
        let leaked_server =
            |server: &Server| server.tag.as_ref().is_some_and(|tag| self.is_leaked(&server.id, tag));
        let leaked_image = |image: &CloudImage| {
            image.tag.as_ref().is_some_and(|tag| self.is_leaked_snapshot(&image.id, tag))
        };
        cloud.servers.is_sure()
            && cloud.images.is_sure()
            && cloud.keypairs.is_sure()
            && !cloud.servers.items.values().any(leaked_server)
            && !cloud.images.items.values().any(leaked_image)
            && !cloud.keypairs.items.keys().any(|keypair| self.is_leaked_keypair(keypair))
            && self.is_rid_of_floating_ips(name, cloud)
            && self.is_rid_of_attached(name, cloud)
    }

    /// Whether a cloud of which we have nothing on record has been out of reach for so long that nobody waits for it.
    fn is_given_up(&self, name: &str, cloud: &CloudView) -> bool {
        let errand = Errand::ListServers { provider: name.to_owned(), complete: true };
        let tries = self.seen.tries.get(&errand).map_or(0, |tries| tries.count);
        cloud.servers.trouble.is_some() && tries >= limits::TRIES_OF_A_RETIRED_PROVIDER
    }
}

/// Whether what a call made whose answer was lost would have shown itself by now: a listing of each kind began long
/// after the last row was gone.
fn is_watched_long_enough(cloud: &CloudView) -> bool {
    let Some(since) = cloud.rowless_since else { return false };
    let enough = since.plus(limits::WATCH_OF_A_RETIRED_PROVIDER);
    let listed = [cloud.servers.complete, cloud.images.complete, cloud.keypairs.complete];
    listed.iter().all(|began| began.is_some_and(|began| began >= enough))
}
