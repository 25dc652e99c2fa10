//! Tells the engine what a visit does at the moment, for whoever asks why it takes so long.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::News;
use crate::model::HostKey;
use crate::plan::Errand;
use crate::remote::{Command, Connection, Output, RemoteError, RemoteFile};

/// How much of a command is told.
const LONGEST: usize = 100;

/// A connection that tells what is done over it.
pub(super) struct Watched {
    pub(super) connection: Box<dyn Connection>,
    pub(super) errand: Errand,
    pub(super) news: mpsc::UnboundedSender<News>,
}

impl Watched {
    fn tell(&self, step: String) {
        // Nobody listens any more when the daemon is on its way out.
        let _ = self.news.send(News::Step { errand: self.errand.clone(), step });
    }
}

#[async_trait]
impl Connection for Watched {
    fn host_key(&self) -> &HostKey {
        self.connection.host_key()
    }

    fn user(&self) -> &str {
        self.connection.user()
    }

    async fn copy_tree(&mut self, from: &Path, to: &str, deadline: Duration) -> Result<(), RemoteError> {
        self.tell(format!("copies {}", from.display()));
        self.connection.copy_tree(from, to, deadline).await
    }

    async fn write_files(&mut self, files: &[RemoteFile], deadline: Duration) -> Result<(), RemoteError> {
        self.tell(format!("writes {} files", files.len()));
        self.connection.write_files(files, deadline).await
    }

    async fn run(&mut self, command: &Command, output: &mut dyn Output) -> Result<u32, RemoteError> {
        let line: String = command.line.chars().take(LONGEST).collect();
        self.tell(format!("runs for at most {} s: {line}", command.deadline.as_secs()));
        self.connection.run(command, output).await
    }
}
