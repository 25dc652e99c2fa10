//! `nodepool alien-delete`: delete servers in our projects that we did not make. Nothing else ever does.

use std::collections::BTreeSet;

use super::alien::{self, CloudReader, Kind};
use super::several::whole;
use super::{Failure, Session, confirm, rfc3339};
use crate::config::Config;
use crate::model::{Server, ServerStatus, WishKind, counted};

/// Which servers.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Ids of servers, as `alien-list` shows them: whole ones, never names
    #[arg(value_name = "SERVER_ID", required = true)]
    pub ids: Vec<String>,
    /// Name of the provider; without it they are looked for at all
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

const NEXT: &str = "`nodepool alien-list` shows the servers that are not ours, with their ids";

/// Shows what is about to be deleted, asks, and asks the daemon to delete it.
pub async fn run(
    session: &Session,
    config: &Config,
    clouds: &dyn CloudReader,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let which = alien::Arguments { provider: arguments.provider.clone() };
    let owners = alien::Owners::read(session).await?;
    let wanted: BTreeSet<&String> = arguments.ids.iter().collect();
    let (mut found, mut problems): (Vec<(String, Server)>, Vec<String>) = (Vec::new(), Vec::new());
    let mut unread = Vec::new();
    for provider in alien::providers(config, &which)? {
        let listing = tokio::time::timeout(alien::DEADLINE, clouds.servers(provider)).await;
        match listing {
            Ok(Ok(servers)) => {
                let meant = servers.into_iter().filter(|server| wanted.contains(&server.id));
                let there = meant.filter(|server| server.status != ServerStatus::Deleted);
                found.extend(there.map(|server| (provider.name.clone(), server)));
            }
            Ok(Err(error)) => {
                session.console.warn(&format!("provider {} could not be listed: {error:#}", provider.name));
                unread.push(provider.name.as_str());
            }
            Err(_) => {
                session.console.warn(&format!("provider {} did not answer", provider.name));
                unread.push(provider.name.as_str());
            }
        }
    }
    let unknown = wanted.iter().filter(|id| !found.iter().any(|(_, server)| server.id == ***id));
    let unknown: Vec<String> = unknown.map(|id| format!("No server {id} found.")).collect();
    if !unknown.is_empty() && !unread.is_empty() {
        return Err(Failure::unreachable(
            format!("{} It may be at {}, which could not be listed", unknown.join(" "), unread.join(", ")),
            "see that the cloud is up and the credentials are right; `nodepool doctor` looks at both",
        ));
    }
    problems.extend(unknown);
    found.retain(|(_, server)| match owners.kind(server) {
        Kind::Foreign | Kind::Installation(_) => true,
        ours => {
            problems.push(format!("server {} is ours: {ours}", server.id));
            false
        }
    });
    if found.is_empty() {
        return whole(&problems, NEXT);
    }
    for (provider, server) in &found {
        session.console.note(&described(provider, server));
    }
    if !arguments.yes {
        confirm::insist(&format!(
            "delete {} that we did not make",
            counted(found.len(), "server", "servers")
        ))?;
    }
    let wish = |(provider, server): &(String, Server)| WishKind::AlienDelete {
        provider: provider.clone(),
        server: server.id.clone(),
    };
    let wishes: Vec<WishKind> = found.iter().map(wish).collect();
    session.ask(&wishes, &mut problems, |_| None).await?;
    whole(&problems, NEXT)
}

fn described(provider: &str, server: &Server) -> String {
    let made = server.created.map_or_else(String::new, |created| format!(", made {}", rfc3339(created)));
    let by =
        server.tag.as_ref().map_or_else(String::new, |tag| format!(" by installation {}", tag.installation));
    let (id, name) = (&server.id, &server.name);
    format!("about to be deleted for good: server {id} ({name}) at {provider}{made}{by}")
}
