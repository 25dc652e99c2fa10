//! All rows that decisions are made from, read again only when somebody wrote, and of the nodes then only those that changed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::watch::Commits;
use super::{Store, StoreError};
use crate::model::{Image, JobEvent, JobRule, Node, NodeId, Setback, Wish};

/// How long what changed is told by the history alone. It tells of whatever this program writes, but not of what somebody
/// changes in the tables by hand.
const READ_WHOLE: Duration = Duration::from_mins(1);

/// All rows that decisions are made from. Rows of history are not among them.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The commits that the database had seen before the rows were read.
    commits: Option<Commits>,
    /// The last line of history that there was before the nodes were read, if there was any.
    line: Option<i64>,
    /// When all nodes were read.
    whole: Instant,
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

/// What a picture knows of the nodes, and from when.
struct Known {
    line: Option<i64>,
    whole: Instant,
    nodes: Vec<Node>,
}

impl Store {
    /// Reads all rows that decisions are made from. `last`, an earlier picture of this store, is given back when nothing
    /// was written since, and else saves reading the nodes that are as they were.
    pub async fn picture(&self, last: Option<Picture>) -> Result<Picture, StoreError> {
        let commits = self.db.commits().await?;
        let known = match last {
            Some(last) if commits.is_some() && last.commits == commits => return Ok(last),
            Some(Picture { line: Some(line), whole, nodes, .. }) if whole.elapsed() < READ_WHOLE => {
                let now = self.changed_nodes(line, nodes).await?;
                now.map(|(line, nodes)| Known { line: Some(line), whole, nodes })
            }
            _ => None,
        };
        let Known { line, whole, nodes } = match known {
            Some(known) => known,
            None => self.all_nodes().await?,
        };
        Ok(Picture {
            commits,
            line,
            whole,
            nodes,
            images: self.images().await?,
            wishes: self.open_wishes().await?,
            events: self.open_events().await?,
            jobs: self.job_rules().await?,
            setbacks: self.setbacks().await?,
        })
    }

    async fn all_nodes(&self) -> Result<Known, StoreError> {
        let whole = Instant::now();
        Ok(Known { line: self.last_line().await?, whole, nodes: self.nodes().await? })
    }

    /// What became of these nodes since this line of history, and its last line now; `None` when the history cannot tell.
    /// Each write of a node adds a line in the same transaction, and transactions that write come one after the other, so no
    /// line is left out.
    async fn changed_nodes(
        &self,
        line: i64,
        mut nodes: Vec<Node>,
    ) -> Result<Option<(i64, Vec<Node>)>, StoreError> {
        let Some((newest, changed)) = self.told_since(line).await? else { return Ok(None) };
        if !changed.is_empty() {
            let fresh = self.nodes_told_of_after(line).await?;
            // What was written meanwhile may be among them, too.
            let changed: BTreeSet<NodeId> =
                changed.into_iter().chain(fresh.iter().map(|node| node.id)).collect();
            nodes.retain(|node| !changed.contains(&node.id));
            nodes.extend(fresh);
            nodes.sort_by_key(|node| node.id);
        }
        Ok(Some((newest, nodes)))
    }
}
