//! Keeps a pool of single-use CI machines full.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod builder;
pub mod cloud;
pub mod config;
pub mod model;
pub mod remote;
pub mod sandbox;
