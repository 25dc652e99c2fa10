//! The remote and the builder against a real OpenSSH server.
//!
//! Each test starts its own sshd on a free port of the loopback address, as the user who runs the tests, with its own
//! host keys and settings in a folder that goes away with the test. Needed are Debian's packages openssh-server,
//! openssh-client, tar, util-linux and bubblewrap.

#[path = "sshd/builder.rs"]
mod builder;
#[path = "sshd/copy.rs"]
mod copy;
#[path = "wire/held_port.rs"]
mod held_port;
#[path = "sshd/login.rs"]
mod login;
#[path = "sshd/run.rs"]
mod run;
#[path = "sshd/server.rs"]
mod server;
