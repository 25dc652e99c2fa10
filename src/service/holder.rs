//! Who acts on a store: this process of this machine.

use std::time::SystemTime;

use crate::model::Timestamp;
use crate::store::{ENGINE_LEASE, Store, StoreError};

/// The name under which a daemon holds the lease of a store. No other daemon ever has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    machine: String,
    name: String,
}

impl Holder {
    /// This process, as it starts.
    pub fn new() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self::of(host.trim(), SystemTime::now().into())
    }

    fn of(host: &str, began: Timestamp) -> Self {
        let machine = format!("nodepoold@{host}");
        // In a container each process may have the same number, so the moment is a part of it.
        let name = format!("{machine}/{:x}-{}", began.millis(), std::process::id());
        Self { machine, name }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the place of a daemon of this machine that did not give its lease back, so that nobody waits for its end.
    ///
    /// Machines are told apart by their host names. Where two have the same, the daemon that was there finds out at its
    /// next renewal that it has the lease no longer, and does nothing any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn succeed(&self, store: &Store) -> Result<(), StoreError> {
        let Some(lease) = store.lease(ENGINE_LEASE).await? else { return Ok(()) };
        if !self.succeeds(&lease.holder) {
            return Ok(());
        }
        if lease.expires > SystemTime::now().into() {
            tracing::info!(
                target: "nodepool",
                "takes over from {}, which held the lease of this store and did not give it back",
                lease.holder
            );
        }
        store.release_lease(ENGINE_LEASE, &lease.holder).await
    }

    fn succeeds(&self, other: &str) -> bool {
        // Before they had names of their own, daemons were called like their machine.
        other.split_once('/').map_or(other, |(machine, _)| machine) == self.machine && other != self.name
    }
}

impl Default for Holder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_daemon_succeeds_those_of_its_machine_alone() {
        let holder = Holder::of("ci1", at(2));
        for other in [Holder::of("ci1", at(1)).name(), "nodepoold@ci1"] {
            assert!(holder.succeeds(other), "{other}");
        }
        for other in [holder.name(), Holder::of("ci10", at(1)).name(), "nodepoold@ci", "nodepoold@ci10"] {
            assert!(!holder.succeeds(other), "{other}");
        }
    }

    /// Two machines with the same host name, which nobody should have: the later daemon acts, and the earlier one knows.
    #[tokio::test]
    async fn of_two_daemons_that_think_they_are_on_one_machine_one_acts() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let (one, two) = (Holder::of("ci1", at(1)), Holder::of("ci1", at(2)));
        let takes = async |holder: &Holder, at| {
            store.take_lease(ENGINE_LEASE, holder.name(), at, Duration::from_secs(30)).await.unwrap()
        };
        one.succeed(&store).await.unwrap();
        assert!(takes(&one, at(10)).await);
        two.succeed(&store).await.unwrap();
        assert!(takes(&two, at(15)).await, "it does not wait for the end of the lease");
        assert!(!takes(&one, at(20)).await, "the one that was there knows");
        assert!(takes(&two, at(25)).await);
    }
}
