//! Demand from real Gearman servers and from things that only pretend to be one, and nodes handed to launchers behind them.
//!
//! Each test starts its own servers on free ports of the loopback address. Needed are Debian's package
//! gearman-job-server, and Python's geard, which Zuul and nodepool v0 were run with:
//! `python3 -m venv target/test-tools/gear && target/test-tools/gear/bin/pip install gear`, or the path of a geard in
//! NODEPOOL_TEST_GEARD.

#[path = "gearmand/cases.rs"]
mod cases;
#[path = "wire/held_port.rs"]
mod held_port;
#[path = "gearmand/impostor.rs"]
mod impostor;
#[path = "gearmand/launcher.rs"]
mod launcher;
#[path = "gearmand/launchers.rs"]
mod launchers;
#[path = "gearmand/meters.rs"]
mod meters;
#[path = "gearmand/pretenders.rs"]
mod pretenders;
#[path = "gearmand/server.rs"]
mod server;
#[path = "gearmand/servers.rs"]
mod servers;
#[path = "gearmand/tls.rs"]
mod tls;
