//! Job events over ZeroMQ: from publishers that are not ours, and from things that only pretend to be one.
//!
//! The crate `zeromq` publishes with ZMTP 3.0. What speaks ZMTP 2.0, as Jenkins' plugin does, is played byte by byte.

#[path = "wire/held_port.rs"]
mod held_port;
#[path = "events/hostile.rs"]
mod hostile;
#[path = "events/publishers.rs"]
mod publishers;
#[path = "events/scene.rs"]
mod scene;
