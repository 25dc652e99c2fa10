//! The pid file: which process the daemon is, and that there is only one.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file with the process id, as long as the process runs.
///
/// It is locked all that time, and the lock goes with the process however it ends. So a file that stayed behind is
/// known for what it is, even when another process has its number by now.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _locked: File,
}

/// No process has a longer number; what is longer is no pid file.
const LONGEST: u64 = 32;

/// How often the file may be replaced by somebody else between our opening and our locking it.
const MOST_TRIES: u32 = 10;

impl PidFile {
    /// Writes our number into the file, in place of that of a process which is gone.
    ///
    /// # Errors
    /// `AlreadyExists` when the daemon named there runs: one of ours, which holds the lock, or one of nodepool v0, which
    /// locks nothing and is known by its name. `InvalidData` when the file is something else than a pid file.
    pub fn write(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        for _ in 0..MOST_TRIES {
            let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
            let named = read(&mut file)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => return Err(runs(path, &named)),
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
            }
            if named.parse().is_ok_and(is_daemon) {
                return Err(runs(path, &named));
            }
            // Whoever had the lock before may have taken the file away while we waited to look.
            if std::fs::metadata(path).is_ok_and(|there| is_same(&there, &file)) {
                file.set_len(0)?;
                io::Seek::rewind(&mut file)?;
                writeln!(file, "{}", std::process::id())?;
                return Ok(Self { path: path.to_owned(), _locked: file });
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "somebody replaces it all the time"))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A file that stays behind is not locked, and the next daemon replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    let text = text.trim();
    if text.chars().all(|letter| letter.is_ascii_digit()) && file.metadata()?.len() < LONGEST {
        Ok(text.to_owned())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it exists and is not a pid file; name another one with -p",
        ))
    }
}

fn runs(path: &Path, pid: &str) -> io::Error {
    let text = format!(
        "nodepoold runs already as process {pid}; stop it first, or give -p another path than {}",
        path.display()
    );
    io::Error::new(io::ErrorKind::AlreadyExists, text)
}

fn is_same(there: &std::fs::Metadata, file: &File) -> bool {
    file.metadata().is_ok_and(|ours| ours.dev() == there.dev() && ours.ino() == there.ino())
}

/// Whether another living process with this number is a nodepoold. The one of nodepool v0 is a Python script, so its
/// command line is asked, not its name.
fn is_daemon(pid: u32) -> bool {
    if pid == std::process::id() {
        return false;
    }
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).take(2).any(|word| word.ends_with(b"nodepoold"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn there_is_one_and_it_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/nodepool.pid");
        let ours = PidFile::write(&path).unwrap();
        assert_eq!(text(&path), format!("{}\n", std::process::id()));
        let second = PidFile::write(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        assert!(second.to_string().contains(&std::process::id().to_string()), "{second}");
        drop(ours);
        assert!(!path.exists());
        PidFile::write(&path).unwrap();
    }

    #[test]
    fn a_file_that_stayed_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodepool.pid");
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        // Of a dead process, of a living one that is no nodepoold, and of none.
        for stale in [dead.id().to_string(), "1\n".to_owned(), String::new()] {
            std::fs::write(&path, stale).unwrap();
            let ours = PidFile::write(&path).unwrap();
            assert_eq!(text(&path), format!("{}\n", std::process::id()));
            drop(ours);
        }
    }

    #[test]
    fn a_daemon_that_locks_nothing_is_known_by_its_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodepool.pid");
        let script = folder.path().join("nodepoold");
        std::fs::write(&script, "read line\n").unwrap();
        let mut old = std::process::Command::new("sh")
            .arg(&script)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // A process that has just begun has no command line for a moment.
        while std::fs::read(format!("/proc/{}/cmdline", old.id())).unwrap().is_empty() {
            std::thread::yield_now();
        }
        std::fs::write(&path, old.id().to_string()).unwrap();
        let refused = PidFile::write(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{refused}");
        drop(old.stdin.take());
        old.wait().unwrap();
        // A process that another test starts right now has our files open, and the lock of one, until it runs its program.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while let Err(error) = PidFile::write(&path) {
            assert!(std::time::Instant::now() < end, "{error}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "to do").unwrap();
        assert_eq!(PidFile::write(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(text(&path), "to do");
    }
}
