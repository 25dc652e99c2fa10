//! The nouns: what every other room talks about.
//!
//! Nothing here does anything. Types are plain data, comparable and printable, and know how their words are spelled;
//! they import the standard library only, so that the pure core stays pure.

mod agent;
mod cloud;
mod floating;
mod image;
mod job;
mod key;
mod leftover;
mod node;
mod place;
mod quota;
mod time;
mod wish;
mod words;

pub use agent::{Agent, AgentFacts, AgentTag, CLOSED, JobFacts};
pub use cloud::{
    Address, CloudImage, CloudImageStatus, DepartedServer, FloatingIp, Keypair, Owner, Port, Server,
    ServerStatus, Tag, Volume,
};
pub use floating::FloatingFacts;
pub use image::{Image, ImageId, ImageState, ImageStep};
pub use job::{JobEvent, JobEventKind, JobResult, JobRule, JobRun, NewJobEvent};
pub use key::HostKey;
pub use leftover::{Fate, Leftover, LeftoverKind};
pub use node::{Node, NodeId, NodeState, NodeStep};
pub use place::{KnownProvider, KnownTarget, Place};
pub use quota::{Flavor, Quota, Resource, Usage};
pub use time::Timestamp;
pub use wish::{Setback, SetbackKind, Wish, WishId, WishKind};
pub use words::counted;
