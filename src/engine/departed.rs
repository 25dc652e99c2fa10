//! Targets that left the configuration: our agents there are taken back before they are forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Engine;
use crate::config::{Config, Offer, Target as TargetConfig};
use crate::model::KnownTarget;
use crate::plan::{Reason, TargetView};
use crate::store::StoreError;
use crate::target::Target;

/// A target that left the configuration, and the door to it.
#[derive(Clone)]
pub struct Departed {
    /// Where it is.
    pub known: KnownTarget,
    /// Its driver, or why it cannot be reached.
    pub driver: Result<Arc<dyn Target>, String>,
}

impl Engine {
    /// Goes on cleaning up after targets that left the configuration before this process began.
    pub fn depart(&mut self, departed: Vec<Departed>) {
        for one in departed {
            let name = one.known.name.clone();
            match &one.driver {
                Ok(_) => tracing::info!(
                    target: "nodepool.engine", target = name,
                    "target {name} left the configuration earlier; our agents there are taken back"
                ),
                Err(why) => tracing::warn!(
                    target: "nodepool.engine", target = name,
                    "target {name} left the configuration earlier, and our agents may stay there: {why}"
                ),
            }
            self.providers.departed.insert(name, one);
        }
        self.put_in_force();
    }

    /// Keeps those targets that are not in another configuration any more, or are another place there, and no others.
    pub(super) fn let_targets_go(&mut self, config: &Config) {
        let now = |name: &str| config.target(name).and_then(TargetConfig::known);
        for known in self.config.targets.iter().filter_map(TargetConfig::known) {
            let after = now(&known.name);
            if after.as_ref().is_some_and(|after| after.is_where(&known)) {
                continue;
            }
            let name = known.name.clone();
            let reason = if after.is_some() { "is another place now" } else { "left the configuration" };
            tracing::info!(
                target: "nodepool.engine", target = name,
                "target {name} {reason}; our agents there are taken back first"
            );
            let driver = self.drivers.targets.get(&name).map(Arc::clone);
            let driver = driver.ok_or_else(|| "its settings could not be used".to_owned());
            self.providers.departed.insert(name, Departed { known, driver });
        }
        let departed = &mut self.providers.departed;
        departed.retain(|name, departed| now(name).is_none_or(|after| !after.is_where(&departed.known)));
    }

    /// Begins to know the targets that have agents, and forgets the others.
    pub(super) fn know_targets(&mut self) {
        // One whose driver could not be made has agents, too: nothing is known of them.
        let offering = self.config.targets.iter().filter(|target| !matches!(target.offer, Offer::Nowhere));
        let mut names: BTreeSet<String> = offering.map(|target| target.name.clone()).collect();
        names.extend(self.drivers.targets.keys().cloned());
        names.extend(self.providers.departed.keys().cloned());
        self.memory.targets.retain(|name, _| names.contains(name));
        for name in names {
            self.memory.targets.entry(name).or_insert_with(|| TargetView::new(true));
        }
    }

    /// Writes down where the targets of the configuration are, before a node is offered there.
    pub(super) async fn record_targets(&self) -> Result<(), StoreError> {
        let known: Vec<KnownTarget> = self.config.targets.iter().filter_map(TargetConfig::known).collect();
        self.store.keep_targets(&known).await
    }

    /// No agent of ours is left at a target that left the configuration.
    pub(super) async fn forget_target(&mut self, name: &str, reason: &Reason) -> Result<(), StoreError> {
        self.store.forget_target(name).await?;
        tracing::info!(target: "nodepool.engine", target = name, "target {name} is forgotten: {reason}");
        self.providers.departed.remove(name);
        // Another one of its name begins anew.
        self.memory.targets.remove(name);
        self.put_in_force();
        Ok(())
    }

    /// Why a target without a driver cannot be called.
    pub(super) fn why_unreachable(&self, name: &str) -> String {
        match self.providers.departed.get(name).map(|departed| &departed.driver) {
            Some(Err(why)) => why.clone(),
            _ => format!("the settings of target {name} cannot be used; the log says why"),
        }
    }
}
