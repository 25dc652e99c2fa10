//! `nodepool hold`: keep a node for a person to look at.

use std::time::Duration;

use super::list::{self, Look};
use super::session::now;
use super::{Failure, Session};
use crate::model::{NodeId, WishKind};

/// What to hold, why, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Number of the node
    #[arg(value_name = "ID", value_parser = super::number)]
    pub id: i64,
    /// Why, for whoever sees it in the list
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// End the hold by itself after this time, such as 2d or 8h30m; without it, it lasts until `unhold` or `delete`
    #[arg(long = "for", value_name = "TIME", value_parser = super::duration)]
    pub time: Option<Duration>,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the hold and prints the node.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let id = NodeId(arguments.id);
    session.node(id).await?;
    let wish = WishKind::Hold {
        node: id,
        comment: arguments.reason.clone(),
        until: arguments.time.map(|time| now().plus(time)),
    };
    let answer = session.wish(&wish).await?;
    session.settle(&answer, "ready and used nodes can be held: `nodepool list` shows the state of each")?;
    let node = session.node(id).await?;
    list::show(session, vec![node], arguments.look)
}
