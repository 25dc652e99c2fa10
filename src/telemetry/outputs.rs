//! The log as it is configured: several outputs, each with its form and its levels.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::SPANS;
use super::rotate::RotatingFile;
use crate::config::{LogDestination, LogFormat, LogLevel, LogOutput};

/// How many lines wait for a slow disk; what comes on top is lost rather than that the daemon waits.
const MOST_LINES: usize = 20_000;

/// Keeps the threads that write log files; dropping it writes what is left.
#[derive(Debug, Default)]
pub struct LogGuard {
    writers: Vec<WorkerGuard>,
    /// What is logged where, and the door by which its levels change.
    outputs: Vec<(LogOutput, Handle<Targets, Registry>)>,
}

impl LogGuard {
    /// Puts the levels of these outputs in force while the program runs, without losing a line.
    ///
    /// `false` when something else differs from what the log was started with: where lines go, or their form. That is
    /// changed by a restart only; levels of the outputs that are there are in force all the same.
    pub fn change_levels(&self, outputs: &[LogOutput]) -> bool {
        let mut known = outputs.len() == self.outputs.len();
        for (started, door) in &self.outputs {
            let now = outputs.iter().find(|now| now.to == started.to && now.format == started.format);
            match now {
                // The door is gone when another log was started first, which stays.
                Some(now) => known &= door.reload(targets(now)).is_ok(),
                None => known = false,
            }
        }
        known
    }
}

/// Starts logging to these outputs. Only the first start in a process has an effect.
pub fn log_to(outputs: &[LogOutput]) -> LogGuard {
    let mut guard = LogGuard::default();
    let layers: Vec<BoxedLayer> = outputs.iter().map(|output| layer(output, &mut guard)).collect();
    // A second start has no effect; nothing is lost by it.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    guard
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;
type Levels = reload::Layer<Targets, Registry>;

fn layer(output: &LogOutput, guard: &mut LogGuard) -> BoxedLayer {
    let (targets, door) = Levels::new(targets(output));
    guard.outputs.push((output.clone(), door));
    match &output.to {
        LogDestination::Stdout => lines(output.format, io::stdout, io::stdout().is_terminal(), targets),
        LogDestination::Stderr => lines(output.format, io::stderr, io::stderr().is_terminal(), targets),
        LogDestination::Journal => match tracing_journald::layer() {
            Ok(journal) => {
                journal.with_syslog_identifier("nodepoold".to_owned()).with_filter(targets).boxed()
            }
            Err(_) => lines(output.format, io::stderr, false, targets),
        },
        LogDestination::File { path, rotation, keep } => {
            let file = RotatingFile::new(path.clone(), *rotation, *keep);
            let (writer, thread) = NonBlockingBuilder::default()
                .lossy(true)
                .buffered_lines_limit(MOST_LINES)
                .thread_name("log")
                .finish(file);
            guard.writers.push(thread);
            lines(output.format, writer, false, targets)
        }
    }
}

fn lines<W>(form: LogFormat, writer: W, colour: bool, targets: Levels) -> BoxedLayer
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match form {
        LogFormat::Text => layer.with_ansi(colour).with_filter(targets).boxed(),
        LogFormat::Json => layer.json().with_span_list(false).with_filter(targets).boxed(),
    }
}

/// How all our targets begin.
const OURS: &str = "nodepool";

fn targets(output: &LogOutput) -> Targets {
    let level = filter(output.level);
    let levels = output.levels.iter().map(|(target, level)| (target.clone(), filter(*level)));
    // Spans say whose a line is. A line that is wanted is wanted with them.
    let spans = (SPANS, LevelFilter::ERROR);
    // What libraries say of each query and packet buries what we say, so it is told only when they are named.
    Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target(OURS, level)
        .with_targets(levels)
        .with_targets([spans])
}

const fn filter(level: Option<LogLevel>) -> LevelFilter {
    match level {
        None => LevelFilter::OFF,
        Some(LogLevel::Error) => LevelFilter::ERROR,
        Some(LogLevel::Warn) => LevelFilter::WARN,
        Some(LogLevel::Info) => LevelFilter::INFO,
        Some(LogLevel::Debug) => LevelFilter::DEBUG,
        Some(LogLevel::Trace) => LevelFilter::TRACE,
    }
}

/// Whether standard error goes to the journal: systemd says which file that is, in `JOURNAL_STREAM`.
pub fn is_journal(journal_stream: Option<&str>) -> bool {
    let Some((device, file)) = journal_stream.and_then(|stream| stream.split_once(':')) else { return false };
    let ours = io::stderr().as_fd().try_clone_to_owned().and_then(|fd| std::fs::File::from(fd).metadata());
    ours.is_ok_and(|ours| device.parse() == Ok(ours.dev()) && file.parse() == Ok(ours.ino()))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_tell_their_details_only_where_they_are_named() {
        let output = |level, named: &[(&str, LogLevel)]| LogOutput {
            to: LogDestination::Stderr,
            format: LogFormat::Text,
            level: Some(level),
            levels: named.iter().map(|(target, level)| ((*target).to_owned(), Some(*level))).collect(),
        };
        let debug = targets(&output(LogLevel::Debug, &[]));
        assert!(debug.would_enable("nodepool.http", &Level::DEBUG));
        assert!(debug.would_enable("nodepool", &Level::DEBUG));
        assert!(
            debug.would_enable("sqlx::query", &Level::INFO)
                && !debug.would_enable("sqlx::query", &Level::DEBUG)
        );
        let named = targets(&output(LogLevel::Debug, &[("sqlx", LogLevel::Debug)]));
        assert!(
            named.would_enable("sqlx::query", &Level::DEBUG) && !named.would_enable("russh", &Level::DEBUG)
        );
        let warn = targets(&output(LogLevel::Warn, &[("nodepool.image", LogLevel::Info)]));
        assert!(
            !warn.would_enable("sqlx", &Level::INFO) && !warn.would_enable("nodepool.node", &Level::INFO)
        );
        assert!(warn.would_enable("nodepool.image.build", &Level::INFO));
    }
}
