//! A log file that is set aside when its hour, its day or its size is over.
//!
//! The file that is written always has the same name, as with nodepool v0, and an old one gets the moment that it began
//! as its suffix. Whatever goes wrong with it stops nobody: what cannot be written is lost, that is told once on standard
//! error, and each later line tries again. The crates that do this end the writing thread when a folder is missing, or
//! name the file that is written by its date.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Local};

use crate::config::Rotation;

/// A file that rotates.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    keep: u32,
    open: Option<Open>,
    broken: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    period: String,
    size: u64,
}

impl RotatingFile {
    /// A file that is opened with its first line.
    pub(super) fn new(path: PathBuf, rotation: Rotation, keep: u32) -> Self {
        Self { path, rotation, keep, open: None, broken: false }
    }

    fn write_at(&mut self, now: DateTime<Local>, text: &[u8]) -> io::Result<()> {
        let period = period(self.rotation, now);
        let mut open = match self.open.take().filter(|open| is_still(&self.path, open)) {
            Some(open) => open,
            None => self.open(now)?,
        };
        let full = match self.rotation {
            Rotation::Size(most) => open.size > 0 && open.size.saturating_add(length(text)) > most,
            Rotation::Hourly | Rotation::Daily => open.period != period,
            Rotation::Never => false,
        };
        if full {
            open = self.set_aside(&open.period, now)?;
        }
        open.file.write_all(text)?;
        open.size = open.size.saturating_add(length(text));
        self.open = Some(open);
        Ok(())
    }

    fn open(&self, now: DateTime<Local>) -> io::Result<Open> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).append(true).open(&self.path)?;
        let metadata = file.metadata()?;
        // A file from before belongs to the time when it was last written.
        let written = if metadata.len() == 0 { now } else { metadata.modified()?.into() };
        Ok(Open { file, period: period(self.rotation, written), size: metadata.len() })
    }

    fn set_aside(&self, period: &str, now: DateTime<Local>) -> io::Result<Open> {
        let suffix = match self.rotation {
            Rotation::Size(_) => now.format("%Y-%m-%d_%H-%M-%S%.6f").to_string(),
            Rotation::Hourly | Rotation::Daily | Rotation::Never => period.to_owned(),
        };
        std::fs::rename(&self.path, with_suffix(&self.path, &suffix))?;
        self.remove_old();
        self.open(now)
    }

    /// Removes the oldest of the files that were set aside. One that cannot be removed is tried again next time.
    fn remove_old(&self) {
        let Ok(mut old) = set_aside_before(&self.path) else { return };
        old.sort();
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX);
        let too_many = old.len().saturating_sub(keep);
        for path in old.into_iter().take(too_many) {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Write for RotatingFile {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self.write_at(Local::now(), text) {
            Ok(()) if self.broken => {
                self.broken = false;
                complain(&format!("the log {} can be written again", self.path.display()));
            }
            Ok(()) => {}
            Err(error) => {
                self.open = None;
                if !std::mem::replace(&mut self.broken, true) {
                    complain(&format!(
                        "the log {} cannot be written, its lines are lost: {error}",
                        self.path.display()
                    ));
                }
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// If nobody can be told, there is nobody to be told that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "nodepoold: {text}");
}

fn length(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// The time that one file is for. Hours and days begin where the machine is.
fn period(rotation: Rotation, moment: DateTime<Local>) -> String {
    match rotation {
        Rotation::Hourly => moment.format("%Y-%m-%d_%H").to_string(),
        Rotation::Daily => moment.format("%Y-%m-%d").to_string(),
        Rotation::Size(_) | Rotation::Never => String::new(),
    }
}

/// Whether the path still names the file that is open: somebody else may have moved it away.
fn is_still(path: &Path, open: &Open) -> bool {
    let same = |there: &Metadata, ours: &Metadata| there.ino() == ours.ino() && there.dev() == ours.dev();
    match (std::fs::metadata(path), open.file.metadata()) {
        (Ok(there), Ok(ours)) => same(&there, &ours),
        _ => false,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The files beside it that have its name and a date.
fn set_aside_before(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let dated = |candidate: &str| {
        let suffix = candidate.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        suffix.is_some_and(|suffix| suffix.starts_with("20") && suffix.len() >= 10)
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let all = std::fs::read_dir(folder)?.filter_map(Result::ok);
    Ok(all.filter(|entry| entry.file_name().to_str().is_some_and(dated)).map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn at(day: u32, hour: u32) -> DateTime<Local> {
        Local.with_ymd_and_hms(2026, 3, day, hour, 30, 0).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn days_and_hours_are_set_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodepool.log");
        let mut log = RotatingFile::new(path.clone(), Rotation::Daily, 2);
        for day in 1..=5 {
            log.write_at(at(day, 1), format!("day {day}\n").as_bytes()).unwrap();
            log.write_at(at(day, 23), b"late\n").unwrap();
        }
        assert_eq!(
            names(folder.path()),
            ["nodepool.log", "nodepool.log.2026-03-03", "nodepool.log.2026-03-04"]
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "day 5\nlate\n");
        let mut log = RotatingFile::new(folder.path().join("debug.log"), Rotation::Hourly, 96);
        for hour in 1..=3 {
            log.write_at(at(1, hour), b"x\n").unwrap();
        }
        assert_eq!(names(folder.path())[1], "debug.log.2026-03-01_01");
    }

    #[test]
    fn a_size_is_not_surpassed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = RotatingFile::new(path.clone(), Rotation::Size(10), 1);
        for _ in 0..6 {
            log.write_all(b"12345\n").unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "12345\n");
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn what_goes_wrong_stops_nobody_and_is_tried_again() {
        // There is no room: every write fails, and nobody learns it as an error.
        let mut full = RotatingFile::new("/dev/full".into(), Rotation::Never, 1);
        assert_eq!(full.write(b"lost\n").unwrap(), 5);
        assert!(full.broken && full.open.is_none());
        // A folder that is a file, and then is not.
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("logs");
        std::fs::write(&place, "").unwrap();
        let mut log = RotatingFile::new(place.join("log"), Rotation::Daily, 1);
        log.write_all(b"lost\n").unwrap();
        assert!(log.broken);
        std::fs::remove_file(&place).unwrap();
        log.write_all(b"kept\n").unwrap();
        assert!(!log.broken);
        // Somebody moves it away, as logrotate does: a new one is begun.
        std::fs::rename(place.join("log"), place.join("log.1")).unwrap();
        log.write_all(b"new\n").unwrap();
        assert_eq!(std::fs::read_to_string(place.join("log")).unwrap(), "new\n");
        assert_eq!(std::fs::read_to_string(place.join("log.1")).unwrap(), "kept\n");
    }
}
