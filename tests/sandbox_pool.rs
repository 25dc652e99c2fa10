//! The whole program against nodepool-sandbox: the real binaries, real HTTP, real ssh, a database of its own each.
//!
//! Needs bubblewrap, openssh-client and gearman-job-server; a test that misses one fails and says how to get it.

#[path = "pool/cloud.rs"]
mod cloud;
#[path = "pool/crash.rs"]
mod crash;
#[path = "world/dice.rs"]
mod dice;
#[path = "pool/faults.rs"]
mod faults;
#[path = "pool/fill.rs"]
mod fill;
#[path = "pool/floating.rs"]
mod floating;
#[path = "wire/held_port.rs"]
mod held_port;
#[path = "pool/images.rs"]
mod images;
#[path = "pool/launchers.rs"]
mod launchers;
#[path = "pool/left_behind.rs"]
mod left_behind;
#[path = "pool/over_time.rs"]
mod over_time;
#[path = "pool/reach.rs"]
mod reach;
#[path = "pool/reload.rs"]
mod reload;
#[path = "pool/scripts.rs"]
mod scripts;
#[path = "pool/service.rs"]
mod service;
#[path = "pool/sets.rs"]
mod sets;
#[path = "pool/setup.rs"]
mod setup;
#[path = "pool/stop.rs"]
mod stop;
#[path = "pool/strangers.rs"]
mod strangers;
#[path = "pool/why.rs"]
mod why;
