//! News of jobs: what a Jenkins tells becomes rows, and then the bell is rung.
//!
//! It comes over ZeroMQ from those who publish it, or over HTTP from those who are told to send it. Either way it is read
//! here, written here, and counted here. A row that cannot be written now is written later, for as long as that takes.

mod publishers;
mod told;
mod writer;

pub use publishers::Listening;
pub use told::{Heard, Unreadable, read, read_published};
pub use writer::{Ring, Writer};
