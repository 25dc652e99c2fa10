//! What a cloud has that is not ours: the part that both listings of aliens share.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde::Serialize;

use super::{Failure, Session, Table, suggest};
use crate::config::{Config, Provider};
use crate::model::{CloudImage, Image, Node, Owner, Server, Tag};

/// The longest that a cloud may take to list.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);

/// Lists what clouds have. The CLI does not know any driver; the program gives it this.
#[async_trait]
pub trait CloudReader: Send + Sync {
    /// All servers of the provider's project.
    async fn servers(&self, provider: &Provider) -> anyhow::Result<Vec<Server>>;

    /// All images of the provider's project.
    async fn images(&self, provider: &Provider) -> anyhow::Result<Vec<CloudImage>>;
}

/// Whose aliens to list.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "place")]
pub struct Arguments {
    /// Name of the provider; without it, all
    #[arg(value_name = "PROVIDER")]
    pub provider: Option<String>,
}

/// Asks all providers at once, and prints what `view` makes of their answers, in the order of the configuration. One
/// that cannot be listed does not keep the others from being shown.
pub(super) async fn show<'c, L, V, F>(
    session: &Session,
    providers: Vec<&'c Provider>,
    list: impl Fn(&'c Provider) -> F,
    view: impl Fn(&'c Provider, L) -> Vec<V>,
    table: impl FnOnce(&[V]) -> Table,
) -> Result<(), Failure>
where
    V: Serialize + Default + Clone,
    F: Future<Output = anyhow::Result<L>>,
{
    let answers = join_all(providers.into_iter().map(|provider| {
        let listing = tokio::time::timeout(DEADLINE, list(provider));
        async move { (provider, listing.await) }
    }))
    .await;
    let mut views = Vec::new();
    let mut unread = Vec::new();
    for (provider, answer) in answers {
        let trouble = match answer {
            Ok(Ok(listed)) => {
                views.extend(view(provider, listed));
                continue;
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer within {} s", DEADLINE.as_secs()),
        };
        session.console.warn(&format!("provider {} could not be listed: {trouble}", provider.name));
        unread.push(provider.name.as_str());
    }
    session.console.rows(|| table(&views), || views.clone())?;
    if unread.is_empty() {
        return Ok(());
    }
    Err(Failure::unreachable(
        format!("the list is not complete: it lacks {}", unread.join(", ")),
        "see that the cloud is up and the credentials are right; --debug shows more",
    ))
}

/// The providers that are meant.
pub(super) fn providers<'c>(config: &'c Config, arguments: &Arguments) -> Result<Vec<&'c Provider>, Failure> {
    let Some(name) = &arguments.provider else { return Ok(config.providers.iter().collect()) };
    config.provider(name).map(|provider| vec![provider]).ok_or_else(|| {
        suggest::unknown("provider", name, config.providers.iter().map(|known| known.name.as_str()))
    })
}

/// Whose a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// That of a node.
    Node(i64),
    /// An image is built on it, or is verified by it.
    Builder(i64),
    /// It carries our mark and no row has it.
    Leaked,
    /// That of another installation of nodepool.
    Installation(String),
    /// Nobody's whom we know.
    Foreign,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "node {id}"),
            Self::Builder(id) => write!(f, "builder of image {id}"),
            Self::Leaked => f.write_str("leaked"),
            Self::Installation(id) => write!(f, "foreign: installation {id}"),
            Self::Foreign => f.write_str("foreign"),
        }
    }
}

/// What rows tell of whose servers are.
pub(super) struct Owners {
    installation: String,
    nodes: Vec<Node>,
    images: Vec<Image>,
}

impl Owners {
    /// Reads the rows.
    pub(super) async fn read(session: &Session) -> Result<Self, Failure> {
        let store = &session.store;
        let (nodes, images) = (store.nodes().await?, store.images().await?);
        Ok(Self { installation: store.installation().await?, nodes, images })
    }

    /// Whose this server is. A row that waits for the answer to its create call is known by the attempt in the tag.
    pub(super) fn kind(&self, server: &Server) -> Kind {
        let has = |known: Option<&String>| known.is_some_and(|known| *known == server.id);
        let ours = server.tag.as_ref().filter(|tag| tag.installation == self.installation);
        let made = |owner: Owner, attempt: &str| {
            ours.is_some_and(|tag| tag.owner == owner && tag.attempt == attempt)
        };
        let of_node = |node: &&Node| {
            has(node.server_id.as_ref())
                || (node.server_id.is_none() && made(Owner::Node(node.id), &node.attempt))
        };
        if let Some(node) = self.nodes.iter().find(of_node) {
            return Kind::Node(node.id.0);
        }
        let of_image = |image: &&Image| {
            has(image.server_id.as_ref())
                || has(image.verify_server_id.as_ref())
                || (image.server_id.is_none() && made(Owner::Builder(image.id), &image.attempt))
                || (image.verify_server_id.is_none() && made(Owner::Verifier(image.id), &image.attempt))
        };
        if let Some(image) = self.images.iter().find(of_image) {
            return Kind::Builder(image.id.0);
        }
        match &server.tag {
            Some(_) if ours.is_some() => Kind::Leaked,
            Some(tag) => Kind::Installation(tag.installation.clone()),
            None => Kind::Foreign,
        }
    }
}

/// Whether a thing with this tag is not ours.
pub(super) fn is_alien(tag: Option<&Tag>, installation: &str) -> bool {
    tag.is_none_or(|tag| tag.installation != installation)
}
