//! All rows that decisions are made from, read again only when somebody wrote.

use super::watch::Commits;
use super::{Store, StoreError};
use crate::model::{Image, JobEvent, JobRule, Node, Setback, Wish};

/// All rows that decisions are made from. Rows of history are not among them.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The commits that the database had seen before the rows were read.
    commits: Option<Commits>,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All snapshot images.
    pub images: Vec<Image>,
    /// The open wishes, oldest first.
    pub wishes: Vec<Wish>,
    /// The job events that nobody has dealt with, oldest first.
    pub events: Vec<JobEvent>,
    /// Which nodes are held for jobs that fail.
    pub jobs: Vec<JobRule>,
    /// What went wrong lately.
    pub setbacks: Vec<Setback>,
}

impl Store {
    /// Reads all rows that decisions are made from. `last`, an earlier picture of this store, is given back when nothing
    /// was written since.
    pub async fn picture(&self, last: Option<Picture>) -> Result<Picture, StoreError> {
        let commits = self.db.commits().await?;
        match last {
            Some(last) if commits.is_some() && last.commits == commits => Ok(last),
            _ => Ok(Picture {
                commits,
                nodes: self.nodes().await?,
                images: self.images().await?,
                wishes: self.open_wishes().await?,
                events: self.open_events().await?,
                jobs: self.job_rules().await?,
                setbacks: self.setbacks().await?,
            }),
        }
    }
}
