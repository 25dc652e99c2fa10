//! The daemon as a process of its machine: its pid file, and how it goes into the background.
//!
//! Nothing in here knows what the daemon does. `bin` puts it around the engine.

mod background;
mod pid_file;

pub use background::{STARTED, Start, detach};
pub use pid_file::PidFile;
