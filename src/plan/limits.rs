//! The numbers that decisions use, each with its reason.

use std::time::Duration;

use super::{Errand, Pressing, Tries, TryEnd};
use crate::model::SetbackKind;

/// How late a cloud's listing may be. Absence is believed only from listings that began this much after the call.
pub(super) const LISTING_LAG: Duration = Duration::from_secs(60);

/// How far back a listing of changes reaches beyond the last listing: clouds keep whole seconds and may list late.
pub const LISTING_OVERLAP: Duration = Duration::from_secs(30);

/// The pause between two listings of changes while a server is awaited for so long. It is also how much later than the
/// cloud we see it; what takes longer can wait longer, and a call a second is no burden to a cloud. Where an answer takes
/// longer than that, the pause is as long as it took.
pub(super) fn server_pause(waited: Duration) -> Duration {
    waited.mul_f64(0.05).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

/// The pause between two complete listings while a server's absence is to be confirmed.
pub(super) const CONFIRM_ABSENCE: Duration = Duration::from_secs(3);

/// The pause between two complete listings of servers when nothing is awaited: how soon a leak or a loss is noticed.
pub(super) const LIST_WHEN_IDLE: Duration = Duration::from_secs(60);

/// How long something without a row is known until it is deleted: a cloud may show what is asked for before it answers.
pub(super) const LEFTOVER_AGE: Duration = Duration::from_secs(20);

/// So many leftovers of a provider are deleted whatever share of ours they are: a small pool loses a few by bad luck.
pub(super) const LEFTOVERS_ALWAYS_DELETED: usize = 10;

/// How long a stopped cleanup may go on once it was confirmed.
pub(super) const CONFIRMATION_LASTS: Duration = Duration::from_secs(3600);

/// How long the cloud may take to delete a server that is not ours until the operator is told that it did not.
pub(super) const ALIEN_PATIENCE: Duration = Duration::from_secs(600);

/// The pause between two listings of images while one is awaited.
pub(super) const LIST_IMAGES_WHILE_WAITING: Duration = Duration::from_secs(2);

/// The pause between two listings of floating IPs while one is awaited.
pub(super) const LIST_FLOATING_IPS_WHILE_WAITING: Duration = Duration::from_secs(2);

/// The pause between two listings of images while launches fail, which a vanished image may be the cause of.
pub(super) const LIST_IMAGES_IN_DOUBT: Duration = Duration::from_secs(30);

/// The pause between two listings of images, keypairs, floating IPs, ports or volumes when nothing is awaited.
pub(super) const LIST_STORE_WHEN_IDLE: Duration = Duration::from_secs(300);

/// How long a floating IP that is not ours leads nowhere until it is deleted, where the configuration wants that: whoever
/// makes one leads it to a server next.
pub(super) const LOOSE_AGE: Duration = Duration::from_secs(60);

/// The part of a label's ready nodes that is replaced at once because they are too old: so many times fewer, at least one.
pub(super) const RENEWED_PART: u32 = 4;

/// How long a label has to wait, and a node to be idle that its own label does not want, until the one gives way to the
/// other: jobs come and go, and a node that is ready is worth more than a place.
pub(super) const GIVE_WAY: Duration = Duration::from_secs(60);

/// The pause between two readings of a project's limits when nobody lacks anything.
pub(super) const READ_QUOTA: Duration = Duration::from_secs(300);

/// The same while somebody waits for room that others may give back.
pub(super) const READ_QUOTA_WHEN_SHORT: Duration = Duration::from_secs(30);

/// The same when something of ours went since the last reading, so that there is room again: one call more or less for
/// each server that goes.
pub(super) const READ_QUOTA_WHEN_FREED: Duration = Duration::from_secs(1);

/// How long limits are believed that cannot be read again. Afterwards they bind nobody: refusals teach as much.
pub(super) const QUOTA_BELIEVED: Duration = Duration::from_secs(600);

/// The pause between two questions for the demand while nobody asks for nodes: as long as it can be. A job that comes just
/// after a question is to lead to a call for a server within one second, and the answer, two ticks and their coalescing
/// take the rest of it. Over a connection that is kept the question costs little.
pub(super) const ASK_DEMAND: Duration = Duration::from_millis(750);

/// The same while somebody asks: jobs come in bursts, and what is queued and done then changes by the second.
pub(super) const ASK_DEMAND_OFTEN: Duration = Duration::from_millis(250);

/// How long the last demand counts when nobody can be asked any more. A source that answers says by itself how long
/// what it was told counts.
pub const DEMAND_KEPT: Duration = Duration::from_secs(60);

/// A listing that is this late goes before creations, so that a full queue cannot blind us.
pub(super) const LISTING_OVERDUE: Duration = Duration::from_secs(5);

/// How long a target may take over a call that enrolls a node, and how late it may list what it took.
pub(super) const ENROLL_LAG: Duration = Duration::from_secs(60);

/// How long a node may wait for a target that is no Jenkins to take it. That of a Jenkins is configured.
pub(super) const ENROLL_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a test job may take until it is given up: the limit of nodepool v0.
pub(super) const TEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The pause between two listings of a target that has nodes of ours. Lost events are healed within a minute: one listing
/// may be just too early, and two have to agree that a job is over.
pub(super) const LIST_AGENTS: Duration = Duration::from_secs(20);

/// The pause between two listings of a target that has none.
pub(super) const LIST_AGENTS_WHEN_IDLE: Duration = Duration::from_secs(60);

/// How long an agent may be offline, without a job and without anybody having set it offline, until its node goes.
/// Jenkins itself tries again about each minute.
pub(super) const AGENT_LOST: Duration = Duration::from_secs(300);

/// How long after the news of its start a job is surely seen on its agent.
pub(super) const JOB_SEEN: Duration = Duration::from_secs(2);

/// How many calls to one target are under way at once. A controller answers each within milliseconds, but holds locks.
pub(super) const CALLS_TO_TARGET: usize = 8;

/// How many of them close agents to further jobs: nobody waits for that, as somebody does for the others.
pub(super) const CLOSING_CALLS: usize = 2;

/// How long a node that is to go waits for a target that does not answer.
pub(super) const WITHDRAW_PATIENCE: Duration = Duration::from_secs(60);

/// How long a node that is to go waits for a target that cannot be read: a job that nobody told of may run on it, and a
/// controller that is away for longer has lost its jobs.
pub(super) const WITHDRAW_BLIND: Duration = Duration::from_secs(600);

/// How long a target may be unreadable until its nodes count for nobody who waits: a restart takes a controller less.
pub(super) const TARGET_GIVEN_UP: Duration = Duration::from_secs(60);

/// How long before its end people are told of a hold that was to last so long: an hour, or the last quarter of it.
pub(super) fn hold_warning(lasts: Duration) -> Duration {
    lasts.mul_f64(0.25).min(Duration::from_secs(3600))
}

/// The pause between two listings while an agent is awaited that was enrolled so long ago. It is also how much later
/// than the target we see it online; what takes longer can wait longer. Where an answer takes longer than that, the pause is
/// as long as it took.
pub(super) fn agent_pause(waited: Duration) -> Duration {
    waited.mul_f64(0.125).clamp(Duration::from_millis(50), Duration::from_secs(5))
}

/// How long a cloud may take to save a snapshot: the limit of nodepool v0.
pub(super) const SAVE_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// How long a provider that left the configuration is watched after its last row was gone: what was made there by a call
/// whose answer was lost may be shown late, and nobody would look for it any more. Nobody waits for that, except another
/// place of the same name, which serves at once when all is clean.
pub(super) const WATCH_OF_A_RETIRED_PROVIDER: Duration = Duration::from_secs(15 * 60);

/// How many listings have to fail in a row until a provider is forgotten that left the configuration and has no rows:
/// a quarter of an hour or more. What may have leaked there cannot be reached any more.
pub(super) const TRIES_OF_A_RETIRED_PROVIDER: u32 = 60;

/// The same of a target.
pub(super) const TRIES_OF_A_DEPARTED_TARGET: u32 = 60;

/// How long a new builder may take until ssh lets us in: base images do more at their first boot than ours do. The
/// limit of nodepool v0.
pub const BUILDER_PATIENCE: Duration = Duration::from_secs(600);

/// How long the cloud may take over an accepted deletion until it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The longest pause before a failed errand is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The longest pause before a failed listing is tried again: that is how we notice that a cloud is back.
const LONGEST_BLINDNESS: Duration = Duration::from_secs(15);

/// The longest pause before a console is read again that showed no host key: somebody waits for it, and not for long.
const LONGEST_CONSOLE_PAUSE: Duration = Duration::from_secs(4);

/// How many ready nodes are visited at once: a check of a large pool takes minutes, not the machine.
pub(super) const MOST_CHECKS: usize = 20;

/// The pause before a ready node that was not reached is visited again.
pub(super) const CHECK_PAUSE: Duration = Duration::from_secs(30);

/// How long an errand waits before its next try.
pub(super) fn retry_pause(errand: &Errand, tries: &Tries) -> Duration {
    if tries.last_end == TryEnd::Accepted {
        return ASK_AGAIN;
    }
    let longest = match errand {
        Errand::ReadConsole { .. } => LONGEST_CONSOLE_PAUSE,
        // Some clouds never tell them.
        Errand::ReadQuota { .. } => READ_QUOTA,
        // Some clouds have no Neutron or no Cinder, or let us list neither.
        Errand::ListPorts { .. } | Errand::ListVolumes { .. } => LIST_STORE_WHEN_IDLE,
        errand if errand.is_listing() => LONGEST_BLINDNESS,
        _ => LONGEST_RETRY,
    };
    let first = match errand {
        // Its job is over; Jenkins only takes a tenth of a second to give the executor back.
        Errand::Withdraw { pressing: Pressing::JobOver, .. } => Duration::from_millis(50),
        _ => Duration::from_secs(1),
    };
    doubled(first, tries.count).min(longest)
}

/// After how many failures in a row a breaker opens. A few launches fail by bad luck.
pub(super) const fn breaks_after(kind: SetbackKind) -> u32 {
    match kind {
        SetbackKind::Launch | SetbackKind::Snapshot | SetbackKind::Flavor => 3,
        SetbackKind::Provider => 5,
        SetbackKind::Image | SetbackKind::Capacity | SetbackKind::Zone | SetbackKind::Target => 1,
    }
}

/// After how many nodes that became ready a new snapshot is as good as the one before it.
pub(super) const TRIED_BY: u32 = 5;

/// How long to leave something alone after `failures` failures in a row.
pub fn backoff(kind: SetbackKind, failures: u32) -> Duration {
    let (first, longest) = match kind {
        SetbackKind::Image => (Duration::from_secs(10), Duration::from_secs(3600)),
        SetbackKind::Launch | SetbackKind::Provider | SetbackKind::Flavor => {
            (Duration::from_secs(1), Duration::from_secs(300))
        }
        // Short: another snapshot may be booted meanwhile, and where there is none the label waits longer by itself.
        SetbackKind::Snapshot => (Duration::from_secs(1), Duration::from_secs(60)),
        SetbackKind::Capacity => (Duration::from_secs(10), Duration::from_secs(300)),
        // Other zones serve meanwhile, so there is no hurry.
        SetbackKind::Zone => (Duration::from_secs(60), Duration::from_secs(1800)),
        SetbackKind::Target => (Duration::from_secs(10), Duration::from_secs(600)),
    };
    doubled(first, failures).min(longest)
}

/// `first`, doubled for each failure after the first one.
fn doubled(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
}
