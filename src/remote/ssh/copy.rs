//! Trees and files on their way to the machine, as a tar stream into one process there.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc::channel;
use tokio::task::spawn_blocking;

use super::SshConnection;
use super::exec::{self, Collected};
use super::tree::{self, Tree};
use crate::remote::{RemoteError, RemoteFile, shell};

/// Runs its arguments as root where it can: `$1` is the script, the rest its arguments.
const AS_ROOT: &str = include_str!("as_root.sh");
/// Puts a tree into its place.
const PUT_TREE: &str = include_str!("put_tree.sh");
/// Puts files into their places.
const PUT_FILES: &str = include_str!("put_files.sh");
/// The ending of a file that is not whole yet.
const UNFINISHED: &str = ".nodepool-new";
/// How much of what the machine says of a failure is kept, in bytes.
const COMPLAINT: usize = 2048;

impl SshConnection {
    pub(super) async fn copy_tree_inner(&self, from: &Path, to: &str, what: &str) -> Result<(), RemoteError> {
        let local = |error: &dyn std::fmt::Display| RemoteError::Local(format!("{what}: {error}"));
        check_path(Path::new(to)).map_err(|why| local(&why))?;
        let root = from.to_owned();
        let tree = spawn_blocking(move || Tree::list(&root)).await.map_err(|error| local(&error))?;
        let tree = tree.map_err(|error| local(&error))?;
        let mode = format!("{:o}", tree.mode);
        let (sender, receiver) = channel(4);
        let sending = spawn_blocking(move || tree.send(sender));
        let line = shell::call(AS_ROOT, &[PUT_TREE, to.trim_end_matches('/'), &mode, tree::LAST_ENTRY]);
        let put = self.feed(&line, receiver, what).await;
        // Sending ends early when the machine stops reading, so the machine's own words come first.
        let sent = sending.await.map_err(|error| local(&error))?;
        match (put, sent) {
            (Err(RemoteError::Rejected(_)), Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(local(&error))
            }
            (put, _) => put,
        }
    }

    pub(super) async fn write_files_inner(&self, files: &[RemoteFile]) -> Result<(), RemoteError> {
        const WHAT: &str = "writing files";
        let local = |error: &dyn std::fmt::Display| RemoteError::Local(format!("{WHAT}: {error}"));
        let mut names = Vec::with_capacity(files.len());
        for file in files {
            check_path(&file.path).map_err(|why| local(&why))?;
            names.push(file.path.to_str().ok_or_else(|| local(&"a path is not UTF-8"))?);
        }
        if names.is_empty() {
            return Ok(());
        }
        // Beside its final place, so that moving it there is one step.
        let unfinished = |path: &Path| {
            let mut name = path.strip_prefix("/").unwrap_or(path).as_os_str().to_owned();
            name.push(UNFINISHED);
            PathBuf::from(name)
        };
        let stream = tree::tar_of_files(files, unfinished).map_err(|error| local(&error))?;
        let (sender, receiver) = channel(1);
        sender.send(Bytes::from(stream)).await.map_err(|error| local(&error))?;
        drop(sender);
        let mut arguments = vec![PUT_FILES, UNFINISHED];
        arguments.extend(names);
        self.feed(&shell::call(AS_ROOT, &arguments), receiver, WHAT).await
    }

    /// Runs `line` with `input` and expects that it succeeds.
    async fn feed(
        &self,
        line: &str,
        input: tokio::sync::mpsc::Receiver<Bytes>,
        what: &str,
    ) -> Result<(), RemoteError> {
        let mut said = Collected::new(COMPLAINT);
        let process =
            exec::start(&self.handle, line).await.map_err(|error| self.lost(&format!("{what}: {error}")))?;
        match process.finish(Some(input), &mut said).await {
            Some(0) => Ok(()),
            Some(status) => {
                Err(RemoteError::Rejected(format!("{what}: exit status {status}: {}", said.first_line())))
            }
            None => Err(self.lost(what)),
        }
    }
}

/// A path that is written to on the machine is absolute and has no surprises.
fn check_path(path: &Path) -> Result<(), String> {
    let mut components = path.components();
    let plain = components.next() == Some(Component::RootDir)
        && components.clone().next().is_some()
        && components.all(|component| matches!(component, Component::Normal(_)));
    let text = path.to_str().is_some_and(|text| !text.contains(char::is_control) && !text.ends_with('/'));
    if plain && text { Ok(()) } else { Err(format!("not a path to write to: {}", path.display())) }
}
