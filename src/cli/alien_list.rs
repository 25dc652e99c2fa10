//! `nodepool alien-list`: servers in our projects that we did not make.

use serde::Serialize;

use super::alien::{self, CloudReader, Kind, Owners};
use super::{Failure, Session, Table, rfc3339};
use crate::config::{Config, Provider};
use crate::model::{Server, ServerStatus};
use crate::plan;

/// A server that is not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct AlienView {
    provider: String,
    hostname: String,
    server_id: String,
    ip: Option<String>,
    status: String,
    az: Option<String>,
    created: Option<String>,
    /// The nodepool installation that made it, when it is one like us.
    installation: Option<String>,
    /// Whose it is, in words.
    kind: String,
}

/// Which servers to list.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// At which provider.
    #[command(flatten)]
    pub place: alien::Arguments,
    /// Also those that are ours, and whose each is: a node's, a builder, leaked, of another installation, foreign
    #[arg(long)]
    pub all: bool,
}

/// Prints the servers without our tag, or all with whose each is.
pub async fn run(
    session: &Session,
    config: &Config,
    clouds: &dyn CloudReader,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let providers = alien::providers(config, &arguments.place)?;
    let owners = Owners::read(session).await?;
    let list = |provider| clouds.servers(provider);
    let view = |provider: &Provider, servers: Vec<Server>| {
        let mut aliens: Vec<Server> = servers
            .into_iter()
            .filter(|server| {
                let alien = matches!(owners.kind(server), Kind::Installation(_) | Kind::Foreign);
                server.status != ServerStatus::Deleted && (arguments.all || alien)
            })
            .collect();
        aliens.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        aliens.into_iter().map(|server| AlienView::new(provider, &owners.kind(&server), server)).collect()
    };
    let table = |views: &[AlienView]| if arguments.all { full_table(views) } else { table(views) };
    alien::show(session, providers, list, view, table).await
}

impl AlienView {
    fn new(provider: &Provider, kind: &Kind, server: Server) -> Self {
        let ip = plan::reach(&server, None, &plan::Wanted::any(provider))
            .ok()
            .map(|reach| reach.public.to_string());
        Self {
            provider: provider.name.clone(),
            hostname: server.name,
            server_id: server.id,
            ip,
            status: match server.status {
                ServerStatus::Build => "BUILD".to_owned(),
                ServerStatus::Active => "ACTIVE".to_owned(),
                ServerStatus::Error => "ERROR".to_owned(),
                ServerStatus::Deleted => "DELETED".to_owned(),
                ServerStatus::Other(word) => word,
            },
            az: server.az,
            created: server.created.map(rfc3339),
            installation: server.tag.map(|tag| tag.installation),
            kind: kind.to_string(),
        }
    }
}

fn table(views: &[AlienView]) -> Table {
    let mut table = Table::new(["Provider", "Hostname", "Server ID", "IP"]);
    for view in views {
        table.row([
            Some(view.provider.clone()),
            Some(view.hostname.clone()),
            Some(view.server_id.clone()),
            view.ip.clone(),
        ]);
    }
    table
}

fn full_table(views: &[AlienView]) -> Table {
    let mut table = Table::new(["Provider", "Hostname", "Server ID", "IP", "Status", "Whose"]);
    for view in views {
        table.row([
            Some(view.provider.clone()),
            Some(view.hostname.clone()),
            Some(view.server_id.clone()),
            view.ip.clone(),
            Some(view.status.clone()),
            Some(view.kind.clone()),
        ]);
    }
    table
}
