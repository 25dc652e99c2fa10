//! The files of the configuration, and whether they changed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::Sources;

/// For how many looks files have to stay as they are before they are read.
const SETTLED: u32 = 1;

/// The same when one of them is gone that was there: it may be on its way back, as when a file is replaced in two steps.
const SETTLED_WITHOUT: u32 = 5;

/// What tells two versions of a file apart: device, inode, size, and the moments of the last changes of its content and
/// of its owner, permissions and names, in nanoseconds.
type Stamp = (u64, u64, u64, i128, i128);

/// All files that may be part of a configuration, as they are at one moment; `None` is a file that is not there.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// The files of the configuration as they were when they were last read.
#[derive(Clone, Debug)]
pub struct Watched {
    read: Stamps,
    /// Those that matter, of all that may.
    files: BTreeSet<PathBuf>,
    /// What was seen since, and for how many looks it has been like that.
    changed: Option<(Stamps, u32)>,
}

impl Watched {
    /// The files as they are now: to be taken before they are read, so that what changes meanwhile is not missed.
    pub fn now(sources: &Sources) -> Self {
        let read = stamps(sources);
        let files = read.keys().cloned().collect();
        Self { read, files, changed: None }
    }

    /// From now on only these files matter.
    pub(super) fn watch(&mut self, files: BTreeSet<PathBuf>) {
        self.files = files;
    }

    /// From now on every file matters that may be part of the configuration.
    pub(super) fn watch_all(&mut self) {
        self.files = self.read.keys().cloned().collect();
    }

    /// Remembers the files as they are, since they are about to be read.
    pub(super) async fn take(&mut self, sources: &Sources) {
        if let Some(now) = read(sources).await {
            self.read = now;
        }
        self.changed = None;
    }

    /// Looks at the files. Gives those that changed since they were read, once they have settled.
    pub(super) async fn look(&mut self, sources: &Sources) -> Option<Vec<PathBuf>> {
        self.compare(read(sources).await?)
    }

    fn compare(&mut self, now: Stamps) -> Option<Vec<PathBuf>> {
        let changed: Vec<PathBuf> =
            self.files.iter().filter(|path| self.read.get(*path) != now.get(*path)).cloned().collect();
        if changed.is_empty() {
            self.changed = None;
            return None;
        }
        let steady = match self.changed.take() {
            Some((before, looks)) if self.files.iter().all(|path| before.get(path) == now.get(path)) => {
                looks.saturating_add(1)
            }
            _ => 0,
        };
        let is_there = |stamps: &Stamps, path: &Path| stamps.get(path).is_some_and(Option::is_some);
        let lost = changed.iter().any(|path| is_there(&self.read, path) && !is_there(&now, path));
        self.changed = Some((now, steady));
        let enough = if lost { SETTLED_WITHOUT } else { SETTLED };
        (steady >= enough).then_some(changed)
    }
}

/// A folder that hangs, as one of another machine may, must not hold up what else the daemon does.
async fn read(sources: &Sources) -> Option<Stamps> {
    let sources = sources.clone();
    tokio::task::spawn_blocking(move || stamps(&sources)).await.ok()
}

fn stamps(sources: &Sources) -> Stamps {
    sources.files().into_iter().map(|path| (path.clone(), stamp(&path))).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    let nanos = |seconds: i64, nanos: i64| {
        i128::from(seconds).saturating_mul(1_000_000_000).saturating_add(i128::from(nanos))
    };
    let content = nanos(found.mtime(), found.mtime_nsec());
    Some((found.dev(), found.ino(), found.size(), content, nanos(found.ctime(), found.ctime_nsec())))
}
