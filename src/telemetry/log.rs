//! The log.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::SPANS;

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
/// `filter` has the form of `RUST_LOG` and decides what is logged when it can be read; `debug` adds our own debug messages
/// to it. Without a filter it is what is `info` and above.
pub fn log(debug: bool, format: LogFormat, filter: Option<&str>) {
    let wanted = wanted(debug, filter);
    let (filter, complaint) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(self::wanted(debug, None)), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let first = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().with_span_list(false).try_init(),
    };
    if let (Ok(()), Some(error)) = (first, complaint) {
        tracing::warn!(target: "nodepool.log", "the filter {wanted:?} cannot be read: {error}");
    }
}

fn wanted(debug: bool, filter: Option<&str>) -> String {
    let filter = filter.filter(|filter| !filter.is_empty()).unwrap_or("info");
    let ours = if debug { "nodepool=debug," } else { "" };
    // Spans say whose a line is. A line that is wanted is wanted with them.
    format!("{filter},{ours}{SPANS}=error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::LOG_TARGETS;

    #[test]
    fn every_target_can_be_filtered() {
        for (target, _what) in LOG_TARGETS {
            let filter = EnvFilter::try_new(format!("{target}=debug")).unwrap();
            assert_eq!(filter.to_string(), format!("{target}=debug"));
        }
    }

    #[test]
    fn debug_is_ours_and_keeps_what_was_asked_for() {
        assert_eq!(wanted(false, None), "info,nodepool.span=error");
        assert_eq!(wanted(true, None), "info,nodepool=debug,nodepool.span=error");
        let asked = wanted(true, Some("warn,sqlx=trace"));
        assert_eq!(asked, "warn,sqlx=trace,nodepool=debug,nodepool.span=error");
        assert_eq!(wanted(false, Some("")), "info,nodepool.span=error");
    }
}
