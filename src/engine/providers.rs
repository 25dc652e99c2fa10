//! The providers that the engine knows: those of the configuration, and those that left it and are still cleaned up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::departed::Departed;
use super::{Drivers, Engine};
use crate::cloud::Cloud;
use crate::config::{Config, Provider, Retirement};
use crate::model::KnownProvider;
use crate::store::StoreError;

/// A provider that left the configuration, and the door to its cloud.
#[derive(Clone)]
pub struct Retired {
    /// How it was configured.
    pub provider: Provider,
    /// Its cloud.
    pub cloud: Arc<dyn Cloud>,
}

/// What the configuration says, and what is kept beside it.
pub(super) struct Providers {
    /// The configuration as it was given.
    pub(super) wanted: Arc<Config>,
    /// The drivers that were given with it.
    drivers: Drivers,
    retired: BTreeMap<String, Retired>,
    /// Targets that left the configuration and may still have agents of ours.
    pub(super) departed: BTreeMap<String, Departed>,
    /// Whether the store knows all that are in the configuration.
    pub(super) recorded: bool,
}

impl Providers {
    pub(super) fn new(wanted: Arc<Config>, drivers: Drivers) -> Self {
        Self { wanted, drivers, retired: BTreeMap::new(), departed: BTreeMap::new(), recorded: false }
    }

    /// The configuration with those that are retired. One that is there again under its name, but in another place, has
    /// to wait: two clouds of one name would be taken for each other.
    fn effective(&self) -> (Arc<Config>, Drivers) {
        let mut config = Config::clone(&self.wanted);
        let mut drivers = self.drivers.clone();
        config.providers.retain(|provider| !self.retired.contains_key(&provider.name));
        for (name, retired) in &self.retired {
            let replaced = self.wanted.provider(name).is_some();
            let retirement = if replaced { Retirement::Replaced } else { Retirement::Left };
            config.providers.push(Provider { retired: Some(retirement), ..retired.provider.clone() });
            drivers.unusable.remove(name);
            drivers.clouds.insert(name.clone(), Arc::clone(&retired.cloud));
        }
        config.targets.retain(|target| !self.departed.contains_key(&target.name));
        for (name, departed) in &self.departed {
            drivers.targets.remove(name);
            drivers
                .targets
                .extend(departed.driver.as_ref().ok().map(|driver| (name.clone(), Arc::clone(driver))));
        }
        (Arc::new(config), drivers)
    }

    fn retire(&mut self, retired: Retired) {
        let provider = Provider { retired: Some(Retirement::Left), max_servers: None, ..retired.provider };
        self.retired.insert(provider.name.clone(), Retired { provider, ..retired });
    }
}

impl Engine {
    /// Puts another configuration in force, with the clouds that belong to it. A provider that is not in it any more, or
    /// is in another place, is kept until nothing of ours is left there.
    pub fn reconfigure(&mut self, config: Arc<Config>, drivers: Drivers) {
        for before in &self.config.providers {
            let after = config.provider(&before.name);
            let place = before.credentials.place();
            if after.is_some_and(|after| !after.credentials.place().differs_from(&place)) {
                self.providers.retired.remove(&before.name);
            } else if let Some(cloud) = self.drivers.clouds.get(&before.name) {
                let retired = Retired { provider: before.clone(), cloud: Arc::clone(cloud) };
                let reason = if after.is_some() {
                    "is another cloud or project now"
                } else {
                    "left the configuration"
                };
                if before.retired.is_none() {
                    tracing::info!(
                        target: "nodepool.engine", provider = before.name,
                        "provider {} {reason}; what is left there is cleaned up first", before.name
                    );
                }
                self.providers.retire(retired);
            }
        }
        self.let_targets_go(&config);
        self.providers.wanted = config;
        self.providers.drivers = drivers;
        self.put_in_force();
    }

    /// Goes on cleaning up after providers that left the configuration before this process began.
    pub fn retire(&mut self, retired: Vec<Retired>) {
        for one in retired {
            tracing::info!(
                target: "nodepool.engine", provider = one.provider.name,
                "provider {} left the configuration earlier; what is left there is cleaned up", one.provider.name
            );
            self.providers.retire(one);
        }
        self.put_in_force();
    }

    pub(super) fn put_in_force(&mut self) {
        self.providers.recorded = false;
        (self.config, self.drivers) = self.providers.effective();
        self.memory.reconfigure(&self.config);
        self.know_targets();
    }

    /// Writes down where the providers of the configuration are, before anything is made there.
    pub(super) async fn record_providers(&mut self) -> Result<(), StoreError> {
        if self.providers.recorded {
            return Ok(());
        }
        let serving = self.config.providers.iter().filter(|provider| provider.retired.is_none());
        let known: Vec<KnownProvider> = serving.map(known).collect();
        self.store.keep_providers(&known).await?;
        self.record_targets().await?;
        self.providers.recorded = true;
        Ok(())
    }

    /// Nothing of ours is left at a provider that left the configuration.
    pub(super) async fn forget_provider(&mut self, name: &str) -> Result<(), StoreError> {
        self.store.forget_provider(name).await?;
        tracing::info!(target: "nodepool.engine", provider = name, "provider {name} is forgotten");
        self.providers.retired.remove(name);
        self.memory.forget_provider(name);
        self.put_in_force();
        Ok(())
    }
}

fn known(provider: &Provider) -> KnownProvider {
    KnownProvider {
        name: provider.name.clone(),
        cloud: provider.cloud.clone(),
        place: provider.credentials.place(),
        api_timeout: provider.api_timeout,
        rate: provider.rate,
    }
}
