//! `nodepool unhold`: the end of a hold.

use super::list::{self, Look};
use super::{Failure, Session};
use crate::model::{NodeId, WishKind};

/// Which hold to end.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Number of the node
    #[arg(value_name = "ID", value_parser = super::number)]
    pub id: i64,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the end of the hold and prints the node.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let id = NodeId(arguments.id);
    session.node(id).await?;
    let answer = session.wish(&WishKind::Unhold(id)).await?;
    session.settle(&answer, "`nodepool list` shows which nodes are held")?;
    match session.store.node(id).await? {
        Some(node) => list::show(session, vec![node], arguments.look),
        None => list::show(session, Vec::new(), arguments.look),
    }
}
