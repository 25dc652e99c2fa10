//! Where the lines that scripts print go: the log, and for builds also the store.
//!
//! Work touches no store, so a line of a build goes to the engine as news, and the engine writes many at once. A script
//! that prints without end must not fill the memory meanwhile: lines that find no room are counted and left out.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::evidence::LastLines;
use super::{Engine, News};
use crate::model::{ImageId, ImageStep};
use crate::plan::Errand;
use crate::remote::Output;
use crate::store::{NewLine, StoreError};

/// How many lines of all builds may be on their way to the engine.
pub(super) const LINES_ON_THEIR_WAY: usize = 2000;

/// How many lines the engine keeps before it writes them down.
const BATCH: usize = 500;

/// How many lines the engine keeps when the store does not take them.
const MOST_KEPT: usize = 4000;

/// Logs each line of a snapshot build, and tells the engine.
pub(super) struct BuildLog {
    pub(super) name: String,
    pub(super) id: ImageId,
    pub(super) step: ImageStep,
    pub(super) news: mpsc::UnboundedSender<News>,
    pub(super) room: Arc<Semaphore>,
    pub(super) missed: u32,
}

impl Output for BuildLog {
    fn line(&mut self, line: &str) {
        // With the provider, which the span tells, nodepool v0's logger nodepool.image.build.<provider>.<image>.
        tracing::info!(target: "nodepool.image.build", name = self.name, "{line}");
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            self.missed = self.missed.saturating_add(1);
            return;
        };
        let missed = std::mem::take(&mut self.missed);
        let news = News::BuildLine { image: self.id, step: self.step, line: line.to_owned(), missed, room };
        // Nobody listens any more when the daemon is on its way out; the log has the line.
        let _ = self.news.send(news);
    }
}

/// Lines of builds that were not written down yet.
#[derive(Default)]
pub(super) struct Unwritten {
    lines: Vec<(ImageId, NewLine)>,
    missed: u32,
}

impl Unwritten {
    pub(super) fn add(&mut self, image: ImageId, mut line: NewLine) {
        if self.lines.len() >= MOST_KEPT {
            self.missed = self.missed.saturating_add(line.missed).saturating_add(1);
            return;
        }
        line.missed = line.missed.saturating_add(std::mem::take(&mut self.missed));
        self.lines.push((image, line));
    }

    pub(super) fn is_a_batch(&self) -> bool {
        self.lines.len() >= BATCH
    }
}

impl Engine {
    /// Whether lines of builds wait to be written down.
    pub fn has_build_lines(&self) -> bool {
        !self.unwritten.lines.is_empty()
    }

    /// Writes down the lines of builds that came since the last call: one write for each build.
    ///
    /// # Errors
    /// When the store fails. The lines are kept and written at the next call, within a bound.
    pub async fn write_build_lines(&mut self) -> Result<(), StoreError> {
        while let Some(image) = self.unwritten.lines.first().map(|(image, _)| *image) {
            let of_image: Vec<NewLine> = self
                .unwritten
                .lines
                .iter()
                .filter(|(of, _)| *of == image)
                .map(|(_, line)| line.clone())
                .collect();
            self.store.add_build_lines(image, &of_image).await?;
            self.unwritten.lines.retain(|(of, _)| *of != image);
        }
        Ok(())
    }

    pub(super) async fn take_build_line(&mut self, image: ImageId, line: NewLine) -> Result<(), StoreError> {
        self.unwritten.add(image, line);
        if self.unwritten.is_a_batch() {
            return self.write_build_lines().await;
        }
        Ok(())
    }

    /// Before what a build's errand brought home is recorded: whoever reads that it ended finds its last lines, too.
    pub(super) async fn complete_build_log(&mut self, errand: &Errand) -> Result<(), StoreError> {
        if matches!(errand, Errand::SetUpBuilder(_)) { self.write_build_lines().await } else { Ok(()) }
    }
}

/// Logs each line of a ready script, and keeps the last ones.
pub(super) struct NodeLog {
    /// The number of the subnode, if the machine is one.
    pub(super) subnode: Option<i64>,
    pub(super) last: LastLines,
}

impl Output for NodeLog {
    fn line(&mut self, line: &str) {
        tracing::debug!(target: "nodepool.node.ready", subnode = self.subnode, "{line}");
        self.last.add(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_prints_without_end_fills_no_memory() {
        let (news, mut heard) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(3));
        let (name, id, step) = (String::new(), ImageId(1), ImageStep::Setup);
        let mut log = BuildLog { name, id, step, news, room, missed: 0 };
        for number in 0..10 {
            log.line(&number.to_string());
        }
        let mut next = || match heard.try_recv() {
            Ok(News::BuildLine { line, missed, .. }) => Some((line, missed)),
            _ => None,
        };
        let waiting: Vec<_> = std::iter::from_fn(&mut next).collect();
        assert_eq!(waiting, [0, 1, 2].map(|number| (number.to_string(), 0)));
        // What was heard gave its place back, and the next line tells how many were left out before it.
        log.line("again");
        assert_eq!(next(), Some(("again".to_owned(), 7)));
    }

    #[test]
    fn a_store_that_takes_nothing_costs_lines_and_no_memory() {
        let mut unwritten = Unwritten::default();
        let line = |missed| NewLine {
            at: crate::model::Timestamp::default(),
            step: ImageStep::Setup,
            missed,
            text: String::new(),
        };
        for _ in 0..MOST_KEPT {
            unwritten.add(ImageId(1), line(0));
        }
        unwritten.add(ImageId(1), line(2));
        assert_eq!((unwritten.lines.len(), unwritten.missed), (MOST_KEPT, 3));
        unwritten.lines.clear();
        unwritten.add(ImageId(1), line(0));
        assert_eq!(unwritten.lines.first().map(|(_, line)| line.missed), Some(3));
    }
}
