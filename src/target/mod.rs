//! The room towards those who use nodes: where nodes are asked for.
//!
//! A source of demand is asked again and again and says how things are, never what changed. What to do about it is for
//! the plan to decide.

pub mod gearman;

use std::collections::BTreeMap;

use async_trait::async_trait;
use thiserror::Error;

/// How many jobs ask for nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The jobs of each label, those that wait and those that run. A label that nobody asks for is missing or 0.
    pub jobs: BTreeMap<String, u32>,
}

/// Why there is no demand to tell. It is not the same as no demand.
#[derive(Debug, Error)]
pub enum DemandError {
    /// Nothing that was told is recent enough to act on. Ask again soon.
    #[error("the demand is not known: {0}")]
    Unknown(String),
}

/// Something that knows how many jobs wait for nodes.
#[async_trait]
pub trait DemandSource: Send + Sync {
    /// How many jobs there are now, as far as anybody told recently.
    ///
    /// It answers within a moment even when what it asks does not. An ask that is dropped has no effect.
    async fn ask(&self) -> Result<Demand, DemandError>;
}
