//! What Gearman servers and launchers say, as the fuzzers of `fuzz/` feed it to its readers. Not in any program.

use super::status::{Status, demand, workers};
use super::{job, launcher};

/// An answer of the admin protocol.
pub fn status(answer: &[u8]) {
    let status = Status::parse(answer);
    let told = demand([&status, &status]);
    std::hint::black_box((told, status.is_nonsense(), workers(answer, "node_assign:ci")));
}

/// What comes over the connection of a job.
pub fn packets(bytes: &[u8]) {
    job::fuzz(bytes);
    launcher::fuzz(bytes);
}
