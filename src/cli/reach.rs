//! Reaching nodes over ssh for `ping`, `run` and `ssh`: which ones, as whom, and whom to believe there.
//!
//! The user, the port and the key are those of the image in the configuration; the host key is the one on record. Nodes on which
//! a job runs are left alone unless somebody asks for them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;

use super::list::{self, Filter};
use super::{Failure, Session};
use crate::config::Config;
use crate::model::{HostKey, Node, NodeState};
use crate::store::NodeLine;

/// The most nodes that are reached at the same time.
const MOST_AT_ONCE: usize = 200;

/// How to get into a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Its ssh port.
    pub port: u16,
    /// The user who is let in.
    pub user: String,
    /// The file with the private key that opens it.
    pub private_key: PathBuf,
    /// The host key on record; `None` where the configuration says not to check any.
    pub host_key: Option<HostKey>,
}

/// What came of a command on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Its exit status.
    pub status: u32,
    /// What it printed, standard output and standard error, as far as it was kept.
    pub lines: Vec<String>,
}

/// Reaches machines; `bin` knows how.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Logs in, trying until `patience` is over.
    async fn log_in(&self, door: &Door, patience: Duration) -> anyhow::Result<()>;

    /// Logs in and runs a shell line, which is killed there after `deadline`. No more than `most_bytes` of what it prints
    /// are kept.
    async fn run(
        &self,
        door: &Door,
        patience: Duration,
        line: &str,
        deadline: Duration,
        most_bytes: usize,
    ) -> anyhow::Result<Ran>;
}

/// Which nodes to reach.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Which nodes.
    #[command(flatten)]
    pub filter: Filter,
    /// Also nodes that a job has, in the states used and test
    #[arg(long)]
    pub used: bool,
}

/// How many nodes are reached at the same time: a number, or a share of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtOnce {
    /// So many.
    Nodes(usize),
    /// So many of a hundred, and at least one.
    Percent(usize),
}

impl FromStr for AtOnce {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("write a number of nodes from 1 to {MOST_AT_ONCE}, or a share such as 25%");
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        match text.strip_suffix('%') {
            Some(share) => number(share).filter(|share| *share <= 100).map(Self::Percent).ok_or_else(wrong),
            None => number(text).filter(|nodes| *nodes <= MOST_AT_ONCE).map(Self::Nodes).ok_or_else(wrong),
        }
    }
}

impl AtOnce {
    /// How many of so many nodes.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Nodes(nodes) => nodes,
            Self::Percent(share) => all.saturating_mul(share).div_ceil(100).clamp(1, MOST_AT_ONCE),
        }
    }
}

/// Whether a job has the node, or a test job.
fn is_busy(node: &Node) -> bool {
    matches!(node.state, NodeState::Used | NodeState::Test)
}

impl Choice {
    /// The nodes that are meant, each with the way in or why there is none. Those that are being prepared or on their way out
    /// are left alone: the daemon is at work there.
    ///
    /// # Errors
    /// A name that nobody knows; a state whose nodes are not reached.
    pub async fn nodes(
        &self,
        session: &Session,
        config: &Config,
    ) -> Result<Vec<(Node, Result<Door, String>)>, Failure> {
        let wanted = &self.filter.state;
        if let Some(state) = wanted.iter().find(|state| matches!(state.as_str(), "building" | "delete")) {
            return Err(Failure::usage(
                format!("nodes in the state {state} are not reached: the daemon is at work there"),
                "choose ready or hold, or used and test with --used; `nodepool ssh ID` opens a shell on any node",
            ));
        }
        let busy = wanted.iter().find(|state| matches!(state.as_str(), "used" | "test"));
        if let Some(state) = busy.filter(|_| !self.used) {
            return Err(Failure::usage(
                format!("jobs run on nodes in the state {state}"),
                "add --used to reach them all the same",
            ));
        }
        let mut nodes = session.store.nodes().await?;
        self.filter.check(config, &list::lines_of(&nodes))?;
        nodes.retain(|node| {
            let quiet = matches!(node.state, NodeState::Ready | NodeState::Hold);
            self.filter.takes(&NodeLine::from(node)) && (quiet || (self.used && is_busy(node)))
        });
        Ok(nodes
            .into_iter()
            .map(|node| (door(config, &node), node))
            .map(|(door, node)| (node, door))
            .collect())
    }
}

/// A single node, unless a job has it and nobody insists.
pub(super) async fn one(session: &Session, id: i64, used: bool) -> Result<Node, Failure> {
    let node = session.store.node(crate::model::NodeId(id)).await?;
    let node = node.ok_or_else(|| {
        Failure::refused(format!("Node {id} not found."), "`nodepool list` shows the nodes that there are")
    })?;
    if is_busy(&node) && !used {
        return Err(Failure::refused(
            format!("a job runs on {}, which is {}", node.title(), node.state),
            "add --used to reach it all the same",
        ));
    }
    Ok(node)
}

/// The way into a node.
///
/// # Errors
/// Why there is none.
pub(super) fn door(config: &Config, node: &Node) -> Result<Door, String> {
    let provider = config.provider(&node.provider);
    let provider =
        provider.ok_or_else(|| format!("provider {} is not in the configuration", node.provider))?;
    let image = provider.image(&node.image);
    let image = image
        .ok_or_else(|| format!("image {} of {} is not in the configuration", node.image, provider.name))?;
    let address = node.ip.as_deref().ok_or("it has no address yet")?;
    let address = address.parse().map_err(|_| format!("its address {address} is none"))?;
    let host_key = match (&node.host_key, provider.host_key_checking) {
        (_, false) => None,
        (Some(key), true) => Some(key.clone()),
        (None, true) => return Err("its host key is not on record".to_owned()),
    };
    Ok(Door {
        address,
        port: image.ssh_port,
        user: image.username.clone(),
        private_key: image.private_key.clone(),
        host_key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_at_least_one_node_and_bounded() {
        let of = |text: &str, all| text.parse::<AtOnce>().unwrap().of(all);
        assert_eq!(of("25%", 40), 10);
        assert_eq!(of("25%", 1), 1);
        assert_eq!(of("1%", 10_000), 100);
        assert_eq!(of("100%", 10_000), MOST_AT_ONCE);
        assert_eq!(of("7", 3), 7);
        for wrong in ["0", "0%", "101%", "-1", "201", "many", "%", ""] {
            assert!(wrong.parse::<AtOnce>().is_err(), "{wrong}");
        }
    }
}
