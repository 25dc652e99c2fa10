//! Trees and files as a tar stream, made while it is sent: nothing of it is held but one piece.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::Sender;

use crate::remote::RemoteFile;

/// The largest tree that is copied, in bytes of content.
const LARGEST_TREE: u64 = 256 * 1024 * 1024;
/// The most entries of a tree.
const MOST_ENTRIES: usize = 50_000;
/// The bytes of a piece of the stream: the largest packet that OpenSSH takes.
const PIECE: usize = 32 * 1024;
/// The last entry of each stream. A stream that was cut before it is not used.
pub(super) const LAST_ENTRY: &str = ".nodepool-last-entry";

/// A tree to copy: what is in it, in the order in which it is sent.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    entries: Vec<Entry>,
    /// The mode of the tree's own folder.
    pub(super) mode: u32,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    mode: u32,
    modified: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Folder,
    File(u64),
    /// Kept as it is: what it points to is not looked at.
    Link(PathBuf),
}

impl Tree {
    /// Lists the tree below `root`.
    pub(super) fn list(root: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(root)?;
        if !metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        let mode = metadata.permissions().mode() & 0o7777;
        let mut tree = Self { root: root.to_owned(), entries: Vec::new(), mode };
        let mut size = 0_u64;
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for found in fs::read_dir(root.join(&folder))? {
                let path = folder.join(found?.file_name());
                let entry = tree.look_at(path)?;
                match &entry.kind {
                    Kind::Folder => folders.push(entry.path.clone()),
                    Kind::File(length) => size = size.saturating_add(*length),
                    Kind::Link(_) => {}
                }
                tree.entries.push(entry);
                if size > LARGEST_TREE || tree.entries.len() > MOST_ENTRIES {
                    return Err(io::Error::other(format!(
                        "more than {} MiB or {MOST_ENTRIES} entries, too much to copy to each machine",
                        LARGEST_TREE >> 20
                    )));
                }
            }
        }
        // A folder sorts before what is in it.
        tree.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn look_at(&self, path: PathBuf) -> io::Result<Entry> {
        let metadata = fs::symlink_metadata(self.root.join(&path))?;
        let kind = if metadata.is_dir() {
            Kind::Folder
        } else if metadata.is_file() {
            Kind::File(metadata.len())
        } else if metadata.is_symlink() {
            Kind::Link(fs::read_link(self.root.join(&path))?)
        } else {
            return Err(io::Error::other(format!(
                "{} is neither file, folder nor symbolic link",
                path.display()
            )));
        };
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |since| since.as_secs());
        Ok(Entry { path, mode: metadata.permissions().mode() & 0o7777, modified, kind })
    }

    /// Sends the tree as a tar stream.
    pub(super) fn send(&self, to: Sender<Bytes>) -> io::Result<()> {
        let mut tar = tar::Builder::new(Pieces::new(to));
        for entry in &self.entries {
            self.append(entry, &mut tar).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", self.root.join(&entry.path).display()))
            })?;
        }
        let mut header = header(tar::EntryType::Regular, 0o600, 0, 0);
        tar.append_data(&mut header, LAST_ENTRY, io::empty())?;
        tar.into_inner()?.flush()
    }

    fn append(&self, entry: &Entry, tar: &mut tar::Builder<Pieces>) -> io::Result<()> {
        let header = |kind, size| header(kind, entry.mode, entry.modified, size);
        match &entry.kind {
            Kind::Folder => {
                tar.append_data(&mut header(tar::EntryType::Directory, 0), &entry.path, io::empty())
            }
            Kind::Link(target) => {
                tar.append_link(&mut header(tar::EntryType::Symlink, 0), &entry.path, target)
            }
            Kind::File(size) => {
                let file = File::open(self.root.join(&entry.path))?;
                // The stream promised this length: a file that grows meanwhile is cut, one that shrinks is an error.
                if file.metadata()?.len() < *size {
                    return Err(io::Error::other("became shorter while it was copied"));
                }
                tar.append_data(&mut header(tar::EntryType::Regular, *size), &entry.path, file.take(*size))
            }
        }
    }
}

/// Makes the tar stream of `files`, each under the name that `name` gives it. The entries belong to root by number.
pub(super) fn tar_of_files(files: &[RemoteFile], name: impl Fn(&Path) -> PathBuf) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let length = u64::try_from(file.content.len()).map_err(io::Error::other)?;
        let mut header = header(tar::EntryType::Regular, file.mode & 0o7777, 0, length);
        tar.append_data(&mut header, name(&file.path), file.content.as_slice())?;
    }
    tar.into_inner()
}

fn header(kind: tar::EntryType, mode: u32, modified: u64, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified);
    header.set_size(size);
    header
}

/// Cuts a stream into pieces and sends them; waits where the receiver is slower.
struct Pieces {
    piece: BytesMut,
    to: Sender<Bytes>,
}

impl Pieces {
    fn new(to: Sender<Bytes>) -> Self {
        Self { piece: BytesMut::with_capacity(PIECE), to }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.piece.len());
        let (taken, _) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.piece.extend_from_slice(taken);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE)).freeze();
        self.to
            .blocking_send(piece)
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the machine stopped reading"))
    }
}
