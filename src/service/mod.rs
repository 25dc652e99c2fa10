//! The daemon as a process of its machine: its pid file, how it goes into the background, under which name it acts, and
//! what the clock asks for.
//!
//! Nothing in here knows what the daemon does. `bin` puts it around the engine.

mod background;
mod crons;
mod holder;
mod lookout;
pub mod notify;
mod pid_file;

pub use background::{STARTED, Start, detach};
pub use crons::{Clockwork, outlook};
pub use holder::Holder;
pub use lookout::Lookout;
pub use pid_file::PidFile;
