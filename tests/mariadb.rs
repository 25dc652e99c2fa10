//! The store against a real MariaDB: what it does on every database, and what only servers do.
//!
//! Needs Debian's packages mariadb-server-core, mariadb-client-core, bubblewrap and openssh-client; a test that misses one fails
//! and says so.

#[path = "store/behaviours.rs"]
mod behaviours;
#[expect(dead_code, reason = "this test uses a part of what clouds can do")]
#[path = "pool/cloud.rs"]
mod cloud;
#[path = "store/on_mariadb.rs"]
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
#[path = "store/pool.rs"]
mod pool;
#[path = "store/server.rs"]
mod server;
#[path = "store/servers.rs"]
mod servers;
#[expect(dead_code, reason = "this test uses a part of what pools can do")]
#[path = "pool/setup.rs"]
mod setup;

use database::Place;
