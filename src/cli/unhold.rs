//! `nodepool unhold`: the end of holds.

use super::list::Look;
use super::{Failure, Ids, Session};
use crate::model::WishKind;

/// Which holds to end.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Which nodes.
    #[command(flatten)]
    pub ids: Ids,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the end of the holds and prints the nodes.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let next = "`nodepool list` shows which nodes there are, and which are held";
    session.steer(&arguments.ids, arguments.look, next, WishKind::Unhold).await
}
