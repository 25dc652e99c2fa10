//! The real `nodepool` binary against a real store: what it prints, what it asks for, how it ends.

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/clouds.rs"]
mod clouds;
#[path = "cli/lists.rs"]
mod lists;
#[path = "cli/steering.rs"]
mod steering;
