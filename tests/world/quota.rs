//! What the clouds of the world tell of their limits: some count servers, some count cores, some tell nothing.

use std::time::Duration;

use nodepool::cloud::CloudError;
use nodepool::model::{Flavor, Quota, Resource, Timestamp, Usage};

use super::State;

/// The cores of each server.
const CORES: u64 = 2;

/// The server of a build is asked for so long after that was decided: its keypair is made first.
const DECIDED_BEFORE: Duration = Duration::from_secs(1);

/// What the clouds of a world tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    Instances,
    Cores,
    Nothing,
}

impl Tells {
    /// What they tell in the world of this seed.
    pub const fn of(seed: u64) -> Self {
        match seed / 2 % 4 {
            0 => Self::Nothing,
            1 => Self::Cores,
            _ => Self::Instances,
        }
    }
}

/// How many servers count at a provider: those that are still to appear, too.
pub fn servers(state: &State, provider: &str) -> usize {
    let counts = |gone: Option<Timestamp>| gone.is_none_or(|gone| state.now < gone);
    let there = state.servers[provider].values().filter(|server| counts(server.gone));
    there.filter(|server| server.appears > Timestamp::default()).count()
}

/// How many floating IPs count at a provider.
pub fn floating_ips(state: &State, provider: &str) -> usize {
    let there = state.floating_ips[provider].values();
    there.filter(|one| one.gone.is_none_or(|gone| state.now < gone)).count()
}

/// What a cloud answers who asks for the limits.
pub fn told(state: &State, provider: &str) -> Result<Quota, CloudError> {
    let number = |count: usize| u64::try_from(count).expect("small");
    let (used, limit) = (number(servers(state, provider)), number(state.quotas[provider]));
    let of_servers = match state.tells {
        Tells::Nothing => return Err(CloudError::Rejected("Policy doesn't allow limits".to_owned())),
        Tells::Instances => (Resource::Instances, Usage { limit: Some(limit), used }),
        // An odd core is of no use to anybody.
        Tells::Cores => (Resource::Cores, Usage { limit: Some(limit * CORES + 1), used: used * CORES }),
    };
    let floating = Usage {
        limit: Some(number(state.floating_quotas[provider])),
        used: number(floating_ips(state, provider)),
    };
    let flavor = |name: &str, ram| Flavor { id: name.to_owned(), name: name.to_owned(), ram, cores: CORES };
    Ok(Quota {
        usage: [
            of_servers,
            (Resource::FloatingIps, floating),
            (Resource::Ports, Usage { limit: None, used }),
        ]
        .into(),
        flavors: vec![flavor("large", 8192), flavor("small", 2048)],
    })
}

impl State {
    /// Somebody else took room at a provider, or it became less.
    pub fn room_lost(&mut self, provider: &str) {
        self.lost.insert(provider.to_owned(), self.now);
    }

    /// A call for something failed for want of room. Whoever was told of the limits since somebody else took room knew it.
    pub fn refuse_for_quota(&mut self, provider: &str, what: &str) {
        let Some((told, heard)) = self.told.get(provider) else { return };
        let knew = heard.plus(DECIDED_BEFORE) <= self.now;
        if knew && self.lost.get(provider).is_none_or(|lost| lost < told) {
            self.crimes.push(format!("a call for a {what} at {provider} failed by a quota that was told"));
        }
    }
}
