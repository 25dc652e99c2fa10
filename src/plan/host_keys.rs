//! Whether a machine may be visited yet, as far as its host key goes.
//!
//! Where the host key is to come from the console, nobody logs in before it was found there: a machine that shows none
//! fails, and is never believed at the first contact instead.

use super::Draft;
use super::action::Errand;
use super::floating::Machine;
use crate::config::HostKeySource;
use crate::model::Timestamp;

/// How it stands with the host key of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pinning {
    /// It is known, or may be learned at the first contact.
    Settled,
    /// It is looked for.
    Sought,
    /// It was not found.
    Failed(String),
}

impl Draft<'_> {
    /// Whether nobody may log in to a machine before its host key was found on its console.
    pub(super) fn awaits_host_key(&self, machine: &Machine<'_>, known: bool) -> bool {
        let Some(provider) = self.config.provider(machine.provider) else { return false };
        let source = provider.image(machine.image).map(|image| image.host_key_source);
        !known && provider.host_key_checking && source == Some(HostKeySource::Console)
    }

    /// Looks for the host key of a machine on its console until `until`, if that is where it has to come from.
    pub(super) fn seek_host_key(&mut self, machine: &Machine<'_>, known: bool, until: Timestamp) -> Pinning {
        if !self.awaits_host_key(machine, known) {
            return Pinning::Settled;
        }
        let errand = Errand::ReadConsole { provider: machine.provider.to_owned(), owner: machine.owner };
        if self.has_come(until) && !self.seen.in_flight.contains_key(&errand) {
            let tries = self.seen.tries.get(&errand).map_or(0, |tries| tries.count);
            let reason = format!(
                "its console showed no host key in time, in {tries} tries; the host-key-source of image {} is \
                 console, so nobody logs in without",
                machine.image
            );
            return Pinning::Failed(reason);
        }
        self.send(errand, "its host key has to be known before the first login");
        Pinning::Sought
    }
}
