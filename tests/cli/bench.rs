//! What the tests of the CLI stand on: a folder with a configuration and a store, rows in it, and a daemon that answers.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use nodepool::bell::{self, Bell};
use nodepool::model::{Image, ImageState, Node, NodeId, NodeState, NodeStep, Timestamp, WishKind};
use nodepool::store::{ENGINE_LEASE, NewImage, NewNode, Note, Store};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// No run of the binary takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A folder with a configuration and a store.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
}

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The cells of the rows of a table: what stands between its bars.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let lines = self.out.lines().filter(|line| line.starts_with('|'));
        lines.skip(1).map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

pub(crate) fn ago(seconds: u64) -> Timestamp {
    now().minus(Duration::from_secs(seconds))
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::configured("labels: []\nproviders: []\ntargets: []\n").await
    }

    /// A store, and a configuration with these lines below its `dburi`.
    pub(crate) async fn configured(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("nodepool.db").display());
        std::fs::write(folder.path().join("nodepool.yaml"), format!("dburi: {url}\n{lines}")).unwrap();
        let store = Store::open(&url).await.unwrap();
        Self { folder, store }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodepool"));
        command
            .args(arguments)
            .arg("-c")
            .arg(self.folder.path().join("nodepool.yaml"))
            .env_clear()
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        let output = tokio::time::timeout(DEADLINE, self.command(arguments).output()).await;
        let output = output.unwrap_or_else(|_| panic!("{arguments:?} did not end")).unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the binary and closes its output after the first byte of it.
    pub(crate) async fn run_and_stop_reading(&self, arguments: &[&str]) -> Ran {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 1]).await.unwrap();
        drop(out);
        let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            out: String::new(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A file beside the configuration.
    pub(crate) fn write_file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A file that can be run and that only its owner can read.
    pub(crate) fn script(&self, name: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    }

    /// A node that has been in `state` since `since`.
    pub(crate) async fn node(&self, provider: &str, label: &str, state: NodeState, since: Timestamp) -> Node {
        let new = NewNode {
            provider: provider.to_owned(),
            label: label.to_owned(),
            target: "jenkins1".to_owned(),
            image: "ubuntu".to_owned(),
            image_id: None,
            az: None,
            attempt: attempt(),
            subnodes: Vec::new(),
            created: since,
            reason: "a spare node is missing".to_owned(),
        };
        let mut node =
            self.store.insert_node(&new, &|id, _| format!("{label}-{id}.example.org")).await.unwrap();
        if state != NodeState::Building(NodeStep::Create) {
            node.state = state;
            node.server_id = Some(format!("server-{}", node.id));
            node.ip = Some(format!("10.68.16.{}", node.id));
            node.az = Some("nova".to_owned());
            "it was made so".clone_into(&mut node.reason);
            node = self.write(&node).await;
        }
        node
    }

    pub(crate) async fn image(
        &self,
        provider: &str,
        image: &str,
        state: ImageState,
        since: Timestamp,
    ) -> Image {
        let new = NewImage {
            recipe: String::new(),
            provider: provider.to_owned(),
            image: image.to_owned(),
            hostname: format!("{image}-{}", since.seconds()),
            az: None,
            version: since.seconds(),
            attempt: attempt(),
            created: since,
            reason: "no image is ready".to_owned(),
        };
        let mut row = self.store.insert_image(&new).await.unwrap();
        row.state = state;
        if state == ImageState::Ready {
            row.external_id = Some("snapshot-1".to_owned());
        }
        self.store.update_image(&row, &note("changed")).await.unwrap()
    }

    pub(crate) async fn write(&self, node: &Node) -> Node {
        self.store.update_node(node, &note("changed")).await.unwrap()
    }

    /// Starts a daemon that does what is wished as soon as the bell rings; it never looks without a ring.
    pub(crate) async fn daemon(&self) -> Daemon {
        let path = bell::beside(&self.folder.path().join("nodepool.db"));
        let bell = Bell::listen(&path).unwrap();
        let lease = Duration::from_secs(300);
        assert!(self.store.take_lease(ENGINE_LEASE, "test", now(), lease).await.unwrap());
        let store = self.store.clone();
        Daemon(tokio::spawn(async move {
            loop {
                bell.rung().await.unwrap();
                for wish in store.open_wishes().await.unwrap() {
                    let (granted, outcome) = grant(&store, &wish.kind).await;
                    store.settle_wish(wish.id, now(), granted, &outcome).await.unwrap();
                }
            }
        }))
    }
}

/// The daemon's task; it ends with the value.
pub(crate) struct Daemon(JoinHandle<()>);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An attempt that no other row has.
fn attempt() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("attempt-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn note(event: &str) -> Note {
    Note {
        at: now(),
        event: event.to_owned(),
        from: "before".to_owned(),
        to: "after".to_owned(),
        reason: "the test says so".to_owned(),
    }
}

async fn grant(store: &Store, wish: &WishKind) -> (bool, String) {
    match wish {
        WishKind::Hold { node, comment, until, .. } => {
            let mut row = store.node(*node).await.unwrap().unwrap();
            if row.state != NodeState::Ready {
                return (
                    false,
                    format!("node {node} is {}; only a ready or used node can be held", row.state),
                );
            }
            row.comment.clone_from(comment);
            row.held_until = *until;
            change(store, *node, row, NodeState::Hold).await
        }
        WishKind::Unhold(node) => {
            let row = store.node(*node).await.unwrap().unwrap();
            change(store, *node, row, NodeState::Delete).await
        }
        WishKind::Delete { node, .. } => {
            let row = store.node(*node).await.unwrap().unwrap();
            change(store, *node, row, NodeState::Delete).await
        }
        WishKind::ImageUpdate { provider, image } => {
            let new = NewImage {
                recipe: String::new(),
                provider: provider.clone(),
                image: image.clone(),
                hostname: format!("{image}-new"),
                az: None,
                version: now().seconds(),
                attempt: attempt(),
                created: now(),
                reason: "an operator asked for it".to_owned(),
            };
            store.insert_image(&new).await.unwrap();
            (true, format!("a new image of {provider} {image} is being built"))
        }
        WishKind::Check => (true, "the clock writes it, not a command".to_owned()),
        WishKind::Cleanup => (true, "everything was listed".to_owned()),
        WishKind::ConfirmCleanup => (true, "it goes on".to_owned()),
        WishKind::AlienDelete { server, .. } => (true, format!("server {server} is gone")),
        WishKind::ImageDelete(image) => {
            let mut row = store.image(*image).await.unwrap().unwrap();
            row.state = ImageState::Delete;
            store.update_image(&row, &note("doomed")).await.unwrap();
            (true, format!("image {image} will be deleted"))
        }
    }
}

async fn change(store: &Store, id: NodeId, row: Node, state: NodeState) -> (bool, String) {
    store.update_node(&Node { state, ..row }, &note("changed")).await.unwrap();
    (true, format!("node {id} is {state}"))
}
