//! What happened to one node or image, read from the store.

use super::page::{Story, Whose};
use crate::model::{ImageId, NodeId};
use crate::store::{Store, StoreError, Subject};

/// The most lines of history, the newest ones.
const MOST: u32 = 500;

/// The story of a node.
pub(super) async fn node(store: &Store, id: i64) -> Result<Story, StoreError> {
    let node = store.node(NodeId(id)).await?;
    let whose = node.map_or(Whose::Gone("node", id), |node| Whose::Node(Box::new(node)));
    story(store, whose, Subject::Node(NodeId(id))).await
}

/// The story of an image.
pub(super) async fn image(store: &Store, id: i64) -> Result<Story, StoreError> {
    let image = store.image(ImageId(id)).await?;
    let whose = image.map_or(Whose::Gone("image", id), |image| Whose::Image(Box::new(image)));
    story(store, whose, Subject::Image(ImageId(id))).await
}

async fn story(store: &Store, whose: Whose, subject: Subject) -> Result<Story, StoreError> {
    let lines = store.history(subject, MOST).await?;
    let failed = store.failures_of(subject).await?;
    Ok(Story { whose, lines, failed })
}
