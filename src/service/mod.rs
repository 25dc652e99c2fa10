//! The daemon as a process of its machine: its pid file, how it goes into the background, and what
//! the clock asks for.
//!
//! Nothing in here knows what the daemon does. `bin` puts it around the engine.

mod background;
mod crons;
mod lookout;
pub mod notify;
mod pid_file;

pub use background::{STARTED, Start, detach};
pub use crons::{Clockwork, outlook};
pub use lookout::Lookout;
pub use pid_file::PidFile;
