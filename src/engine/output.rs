//! Where the lines that scripts print go: the log.

use crate::remote::Output;

/// Logs each line of a snapshot build.
pub(super) struct BuildLog {
    pub(super) provider: String,
    pub(super) image: String,
}

impl Output for BuildLog {
    fn line(&mut self, line: &str) {
        // The field names make up nodepool v0's logger nodepool.image.build.<provider>.<image>.
        tracing::info!(
            target: "nodepool.image.build", provider = self.provider, image = self.image, "{line}"
        );
    }
}

/// Logs each line of a ready script.
pub(super) struct NodeLog {
    pub(super) node: i64,
}

impl Output for NodeLog {
    fn line(&mut self, line: &str) {
        tracing::debug!(target: "nodepool.node.ready", node = self.node, "{line}");
    }
}
