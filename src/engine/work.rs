//! Work that goes on outside while the engine ticks on.

use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use super::context::Context;
use super::evidence::Evidence;
use crate::model::{
    CloudImage, FloatingIp, HostKey, ImageId, ImageStep, Keypair, NodeId, Port, Quota, Server, Volume,
};
use crate::plan::{Answer, Errand};
use crate::target::{Demand, Roster};

/// One errand under way. Whoever drives the engine polls it, drops it when the deadline has passed or when it is
/// recalled, and hands the outcome to [`super::Engine::finish`].
pub struct Work {
    /// What it is for.
    pub errand: Errand,
    /// How long it may take from now. A call to a cloud that is dropped then is surely over.
    pub deadline: Duration,
    /// What to poll.
    pub future: BoxFuture<'static, Outcome>,
}

impl Work {
    /// The same work, whose lines in the log say what it is for, and which keeps the id of its last request.
    pub(super) fn within(self, context: &Context) -> Self {
        let future =
            context.last_request.clone().during(self.future).instrument(context.span.clone()).boxed();
        Self { future, ..self }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("errand", &self.errand)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What work brought home.
#[derive(Debug)]
pub enum Outcome {
    /// The answer to anything but a listing.
    Answer(Answer),
    /// A listing of servers, or why there is none.
    Servers(Result<Vec<Server>, String>),
    /// A listing of images, or why there is none.
    Images(Result<Vec<CloudImage>, String>),
    /// A listing of keypairs, or why there is none.
    Keypairs(Result<Vec<Keypair>, String>),
    /// A listing of floating IPs, or why there is none.
    FloatingIps(Result<Vec<FloatingIp>, String>),
    /// A listing of ports of servers, or why there is none.
    Ports(Result<Vec<Port>, String>),
    /// A listing of volumes, or why there is none.
    Volumes(Result<Vec<Volume>, String>),
    /// What a project may have and has, or why it is not known.
    Quota(Result<Quota, String>),
    /// The agents of a target, or why they are not known; `None` from a target that cannot list any.
    Agents(Result<Option<Roster>, String>),
    /// The demand, or why it is not known.
    Demand(Result<Demand, String>),
    /// It was dropped at its deadline.
    TimedOut,
}

/// What work learned before it ended.
#[derive(Debug)]
pub enum News {
    /// What a visit does from now on.
    Step {
        /// The visit.
        errand: Errand,
        /// What it does, in words for a person.
        step: String,
    },
    /// What a visit that failed leaves behind.
    Evidence {
        /// The visit.
        errand: Errand,
        /// The node whose machine it is, which may be a subnode of the one that the visit is about.
        node: NodeId,
        /// What there is.
        evidence: Evidence,
    },
    /// The host key of a machine: at the first contact, or from its console.
    HostKey {
        /// The errand that learned it.
        errand: Errand,
        /// The node whose machine it is, which may be a subnode of the one that the errand is about.
        node: Option<NodeId>,
        /// The key.
        host_key: HostKey,
    },
    /// A line that a script of a build printed.
    BuildLine {
        /// The build.
        image: ImageId,
        /// Its step.
        step: ImageStep,
        /// The line.
        line: String,
        /// How many lines before it found no room and were left out.
        missed: u32,
        /// Its place among the lines on their way, given back with the news.
        room: OwnedSemaphorePermit,
    },
}
