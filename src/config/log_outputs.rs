//! Where log lines go: what the section `logging` and Python's logging.conf both come to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::types::{LogFormat, LogLevel, Logging};

/// The lines that scripts print while an image is built.
const IMAGE_BUILD: &str = "nodepool.image.build";

/// How many hours of debug.log are kept: four days, as at Wikimedia.
const DEBUG_KEPT: u32 = 96;

/// One place where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOutput {
    /// Where.
    pub to: LogDestination,
    /// In which form.
    pub format: LogFormat,
    /// The level of what `levels` does not name; `None` logs nothing of it.
    pub level: Option<LogLevel>,
    /// Levels by the name of a log target, which stands for those below it, too.
    pub levels: BTreeMap<String, Option<LogLevel>>,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The journal of systemd; standard error where there is none.
    Journal,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// When it is set aside.
        rotation: Rotation,
        /// How many old ones are kept.
        keep: u32,
    },
}

/// When a log file is set aside and a new one begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Each hour.
    Hourly,
    /// At midnight.
    Daily,
    /// Before it has more bytes than these.
    Size(u64),
    /// By somebody else, or not at all.
    Never,
}

impl LogOutput {
    /// What is logged where nothing is configured.
    pub const fn usual(to: LogDestination) -> Self {
        Self { to, format: LogFormat::Text, level: Some(LogLevel::Info), levels: BTreeMap::new() }
    }
}

impl Logging {
    /// Where lines go: to the usual place, and with a folder to the three files of nodepool v0.
    pub fn outputs(&self, usual: LogDestination) -> Vec<LogOutput> {
        let levels: BTreeMap<String, Option<LogLevel>> =
            self.levels.iter().map(|(target, level)| (target.clone(), Some(*level))).collect();
        let mut outputs = vec![LogOutput {
            to: usual,
            format: self.format,
            level: Some(self.level),
            levels: levels.clone(),
        }];
        let Some(folder) = &self.directory else { return outputs };
        let file =
            |name: &str, rotation, keep| LogDestination::File { path: folder.join(name), rotation, keep };
        let mut without_builds = levels;
        without_builds.insert(IMAGE_BUILD.to_owned(), None);
        outputs.push(LogOutput {
            to: file("nodepool.log", Rotation::Daily, self.keep),
            format: self.format,
            level: Some(self.level),
            levels: without_builds,
        });
        outputs.push(LogOutput {
            to: file("debug.log", Rotation::Hourly, DEBUG_KEPT),
            format: self.format,
            level: Some(LogLevel::Debug),
            levels: BTreeMap::new(),
        });
        outputs.push(LogOutput {
            to: file("image.log", Rotation::Daily, self.keep),
            format: self.format,
            level: None,
            levels: BTreeMap::from([(IMAGE_BUILD.to_owned(), Some(LogLevel::Debug))]),
        });
        outputs
    }
}
