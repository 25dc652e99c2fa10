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

pub mod bell;
pub mod builder;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod database_url;
pub mod doctor;
pub mod engine;
pub mod events;
pub mod fsm;
pub mod http;
pub mod model;
pub mod plan;
pub mod planted;
pub mod reload;
pub mod remote;
pub mod sandbox;
pub mod service;
pub mod store;
pub mod target;
pub mod telemetry;
pub mod web;
pub mod wiring;
