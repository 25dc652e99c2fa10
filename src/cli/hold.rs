//! `nodepool hold`: keep nodes for a person to look at.

use std::time::Duration;

use super::list::Look;
use super::session::now;
use super::{Failure, Ids, Session};
use crate::model::WishKind;

/// What to hold, why, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Which nodes.
    #[command(flatten)]
    pub ids: Ids,
    /// Why, for whoever sees it in the list
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// End the hold by itself after this time, such as 2d or 8h30m; without it, it lasts until `unhold` or `delete`
    #[arg(long = "for", value_name = "TIME", value_parser = super::duration)]
    pub time: Option<Duration>,
    /// Who holds them; whoever runs the command, when it is not said
    #[arg(long, value_name = "NAME", env = "SUDO_USER", hide_env = true)]
    pub owner: Option<String>,
    /// Who runs the command, unless by sudo.
    #[arg(long, hide = true, env = "USER", hide_env = true)]
    pub user: Option<String>,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the holds and prints the nodes.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let until = arguments.time.map(|time| now().plus(time));
    let owner = arguments.owner.as_ref().or(arguments.user.as_ref()).filter(|name| !name.is_empty());
    let next = "ready and used nodes can be held: `nodepool list` shows the state of each";
    let wish =
        |node| WishKind::Hold { node, comment: arguments.reason.clone(), until, owner: owner.cloned() };
    session.steer(&arguments.ids, arguments.look, next, wish).await
}
