//! What the program tells about itself: its log, and what its last tick decided.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

use crate::model::Timestamp;
use crate::plan::Plan;

/// What the last tick decided.
#[derive(Clone, Debug, Default)]
pub struct LastTick {
    /// When; the epoch when there was none yet.
    pub at: Timestamp,
    /// What was decided.
    pub plan: Arc<Plan>,
    /// Why the last try to tick failed, if it did.
    pub trouble: Option<String>,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error, with times in UTC. Only the first call in a process has an effect.
///
/// `filter` has the form of `RUST_LOG` and decides when it is given and can be read; otherwise `info` and above is
/// logged, and with `debug` our own debug messages too.
pub fn log(debug: bool, format: LogFormat, filter: Option<&str>) {
    let usual = if debug { "info,nodepool=debug" } else { "info" };
    let (chosen, complaint) = match filter.filter(|_| !debug).map(EnvFilter::try_new) {
        Some(Ok(chosen)) => (chosen, None),
        Some(Err(error)) => (EnvFilter::new(usual), Some(error)),
        None => (EnvFilter::new(usual), None),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(chosen).with_writer(io::stderr);
    let first = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let (Ok(()), Some(error)) = (first, complaint) {
        tracing::warn!(target: "nodepool.log", "the filter of the log cannot be read: {error}");
    }
}
