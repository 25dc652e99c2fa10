//! Machines: whether nodes that are ready let us in.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::{End, Finding};
use crate::config::Provider;
use crate::model::{Node, NodeState};
use crate::remote::{Endpoint, Remote, RemoteError, Trust};

/// How many nodes of a provider are tried: enough to tell one odd node from a network.
const MOST: usize = 3;
/// How long a node that was reached before may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Logs in to a few ready nodes of a provider.
pub(super) async fn look(provider: &Provider, nodes: &[Node], remote: &Arc<dyn Remote>) -> Vec<Finding> {
    let leg = format!("ssh {}", provider.name);
    let ready = nodes.iter().filter(|node| node.provider == provider.name && node.state == NodeState::Ready);
    let tried: Vec<_> = ready.filter_map(|node| Some((node, endpoint(provider, node)?))).take(MOST).collect();
    if tried.is_empty() {
        let next = "look again when a node is ready; `--boot` boots a server and logs in to it";
        return vec![Finding::doubtful(&leg, "nodes", "no node is ready, so none was tried", next)];
    }
    let looks = tried.into_iter().map(|(node, endpoint)| log_in(&leg, node, endpoint, remote));
    join_all(looks).await
}

async fn log_in(leg: &str, node: &Node, endpoint: Endpoint, remote: &Arc<dyn Remote>) -> Finding {
    let check = format!("node {}", node.id);
    match remote.connect(&endpoint).await {
        Ok(_) => {
            Finding::good(leg, check, format!("{} lets {} in", endpoint.address, endpoint.users.join(", ")))
        }
        Err(error) => trouble(leg, &check, &error),
    }
}

fn endpoint(provider: &Provider, node: &Node) -> Option<Endpoint> {
    let image = provider.image(&node.image)?;
    let trust = match &node.host_key {
        Some(key) if provider.host_key_checking => Trust::Only(key.clone()),
        _ => Trust::Anyone,
    };
    Some(Endpoint {
        address: node.ip.as_deref()?.parse().ok()?,
        port: image.ssh_port,
        users: vec![image.username.clone()],
        private_key: image.private_key.clone(),
        trust,
        patience: PATIENCE,
    })
}

/// A machine that was not reached: at which end, and what to do.
pub(super) fn trouble(leg: &str, check: &str, error: &RemoteError) -> Finding {
    let (end, next) = match error {
        RemoteError::Unreachable(_) => (
            End::Between,
            "see whether security groups and routes let this machine reach the ssh port there, and whether `username` and \
             `private-key` fit the image",
        ),
        RemoteError::WrongHostKey { .. } => (
            End::There,
            "another machine answers at this address: delete the node, and look who has the address",
        ),
        RemoteError::Local(_) => (End::Here, "correct `private-key`"),
        RemoteError::Lost(_) | RemoteError::Rejected(_) | RemoteError::Deadline(_) => {
            (End::There, "look at the console of the server: its disk may be full")
        }
    };
    Finding::wrong(leg, check, error.to_string(), end, next)
}
