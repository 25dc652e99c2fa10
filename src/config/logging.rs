//! The section `logging`: what is logged, and where.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::diagnostic::Report;
use super::fields::Fields;
use super::tree::Node;
use super::types::{LogFormat, LogLevel, Logging};
use super::{keys, spelling};

/// Reads the section.
pub(super) fn read(node: &Node, report: &mut Report) -> Option<Logging> {
    let mut fields = Fields::open(node, &keys::LOGGING, report)?;
    let formats = LogFormat::ALL.map(|format| (format.word(), format));
    let words = LogLevel::ALL.map(|level| (level.word(), level));
    let format = fields.one_of("format", &formats, report);
    let level = fields.one_of("level", &words, report);
    let mut levels = BTreeMap::new();
    for (target, word) in fields.words("levels", report) {
        if let Some((_, level)) = words.iter().find(|(name, _)| *name == word.value.to_lowercase()) {
            levels.insert(target.value, *level);
        } else {
            let near = spelling::nearest(&word.value, words.iter().map(|(name, _)| *name));
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            report
                .error(&word.at, "this is no level of a log")
                .help(format!("{near}The levels are error, warn, info, debug and trace"));
        }
    }
    let directory = fields.text("directory", report);
    let keep = fields.integer("keep", report).map_or(keys::KEEP, |keep| keep.value);
    fields.finish(report);
    Some(Logging {
        format: format.map_or(LogFormat::Text, |format| format.value),
        level: level.map_or(LogLevel::Info, |level| level.value),
        levels,
        directory: directory.map(|directory| PathBuf::from(directory.value)),
        keep: u32::try_from(keep).unwrap_or(0),
    })
}
