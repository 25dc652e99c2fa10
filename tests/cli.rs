//! The real `nodepool` binary against a real store: what it prints, what it asks for, how it ends.

#[path = "cli/asking.rs"]
mod asking;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/builds.rs"]
mod builds;
#[path = "cli/choosing.rs"]
mod choosing;
#[path = "cli/clouds.rs"]
mod clouds;
#[path = "cli/hours.rs"]
mod hours;
#[path = "cli/lists.rs"]
mod lists;
#[path = "cli/probes.rs"]
mod probes;
#[path = "cli/steering.rs"]
mod steering;
#[path = "cli/sums.rs"]
mod sums;
#[path = "cli/v0.rs"]
mod v0;
