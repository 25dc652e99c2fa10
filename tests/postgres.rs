//! The store against a real PostgreSQL: what it does on every database, and what only servers do.
//!
//! Needs Debian's package postgresql; a test that misses it fails and says so.

#[path = "store/behaviours.rs"]
mod behaviours;
#[path = "store/on_postgres.rs"]
mod database;
#[path = "store/departed.rs"]
mod departed;
#[expect(dead_code, reason = "this test uses a part of what chance can do")]
#[path = "world/dice.rs"]
mod dice;
#[path = "wire/held_port.rs"]
mod held_port;
#[path = "store/pictures.rs"]
mod pictures;
#[path = "store/server.rs"]
mod server;
#[path = "store/servers.rs"]
mod servers;

use database::Place;
