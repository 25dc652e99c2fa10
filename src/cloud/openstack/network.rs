//! Neutron: the network that an operator's word names, and the one to take when none is named.

use reqwest::Method;
use serde::Deserialize;

use super::catalog::Service::{Compute, Network};
use super::compute::unreadable;
use super::connection::{Call, Connection};
use super::lenient::{lenient, lenient_list};
use super::pages::{Entry, Page};
use super::server::Link;
use super::transport::LISTING_LIMIT;
use crate::cloud::CloudError;

impl Connection {
    /// The id of the network of this name: on a cloud without Neutron, of Nova's own network with this label.
    pub(super) async fn network_named(&self, name: &str) -> Result<String, CloudError> {
        match self.networks(&[("name", name.to_owned())]).await {
            Ok(networks) => the_only("network", name, networks),
            Err(CloudError::Rejected(text)) => {
                let labelled = self.network_labelled(name).await;
                labelled.map_err(|error| match error {
                    CloudError::NotFound(_) => CloudError::Rejected(text),
                    other => other,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there is a network of this id.
    pub(super) async fn network_is_there(&self, id: &str) -> Result<(), CloudError> {
        self.call(&Call::new(Network, Method::GET, &["networks", id])).await?;
        Ok(())
    }

    /// Nova's own networks: `GET /os-tenant-networks`, which a Nova with Neutron behind it answers as well.
    async fn network_labelled(&self, label: &str) -> Result<String, CloudError> {
        let call = Call::new(Compute, Method::GET, &["os-tenant-networks"]).limit(LISTING_LIMIT);
        let answer = self.call(&call).await?;
        let read: Result<NovaNetworks, _> = serde_json::from_slice(&answer.body);
        let networks = read.map_err(|_| unreadable("the listing of networks", &answer))?.networks;
        the_only("network", label, networks.into_iter().map(WireNetwork::from).collect())
    }

    /// The id of the external network of this name: a pool of floating IPs.
    pub(super) async fn external_network_named(&self, name: &str) -> Result<String, CloudError> {
        let filters = [("name", name.to_owned()), ("router:external", "true".to_owned())];
        let mut networks = self.networks(&filters).await?;
        networks.retain(|network| network.external != Some(false));
        the_only("external network", name, networks)
    }

    /// The network that Nova would choose for a server, if there is exactly one that it could choose.
    pub(super) async fn only_network(&self) -> Result<Option<String>, CloudError> {
        let project = self.project().await?;
        let networks = match self.networks(&[("router:external", "false".to_owned())]).await {
            Ok(networks) => networks,
            // A cloud without Neutron: Nova has networks of its own and chooses.
            Err(CloudError::Rejected(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let usable = |network: &WireNetwork| {
            let own = project.is_some() && network.project() == project.as_deref();
            network.external != Some(true)
                && network.admin_state_up != Some(false)
                && (own || network.is_shared())
        };
        let mut usable = networks.into_iter().filter(usable);
        Ok(usable.next().filter(|_| usable.next().is_none()).map(|network| network.id))
    }

    async fn networks(&self, filters: &[(&'static str, String)]) -> Result<Vec<WireNetwork>, CloudError> {
        self.list::<NetworksPage>(Network, &["networks"], None, filters).await
    }
}

/// The id of the one network of that name.
fn the_only(kind: &str, name: &str, networks: Vec<WireNetwork>) -> Result<String, CloudError> {
    let mut named = networks.into_iter().filter(|network| network.name.as_deref() == Some(name));
    match (named.next(), named.next()) {
        (Some(network), None) => Ok(network.id),
        (None, _) => Err(CloudError::Rejected(format!("the cloud has no {kind} named {name}"))),
        (Some(_), Some(_)) => {
            Err(CloudError::Rejected(format!("the cloud has several {kind}s named {name}; give the id")))
        }
    }
}

/// A page of `GET /v2.0/networks`.
#[derive(Deserialize)]
struct NetworksPage {
    networks: Vec<WireNetwork>,
    #[serde(default, deserialize_with = "lenient_list")]
    networks_links: Vec<Link>,
}

impl Page for NetworksPage {
    type Entry = WireNetwork;

    fn open(self) -> (Vec<WireNetwork>, bool) {
        let follows = self.networks_links.iter().any(Link::is_next);
        (self.networks, follows)
    }
}

#[derive(Default, Deserialize)]
struct WireNetwork {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    project_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    tenant_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    shared: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    admin_state_up: Option<bool>,
    #[serde(rename = "router:external", default, deserialize_with = "lenient")]
    external: Option<bool>,
}

/// The answer to `GET /os-tenant-networks`.
#[derive(Deserialize)]
struct NovaNetworks {
    #[serde(deserialize_with = "lenient_list")]
    networks: Vec<NovaNetwork>,
}

#[derive(Deserialize)]
struct NovaNetwork {
    id: String,
    label: String,
}

impl From<NovaNetwork> for WireNetwork {
    fn from(network: NovaNetwork) -> Self {
        Self { id: network.id, name: Some(network.label), ..Self::default() }
    }
}

impl WireNetwork {
    fn project(&self) -> Option<&str> {
        self.project_id.as_deref().or(self.tenant_id.as_deref())
    }

    fn is_shared(&self) -> bool {
        self.shared == Some(true)
    }
}

impl Entry for WireNetwork {
    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let networks = super::pages::fuzz::<NetworksPage>(body);
    let shared = networks.iter().filter(|network| network.is_shared() && network.project().is_some()).count();
    let nova = serde_json::from_slice::<NovaNetworks>(body);
    let nova = nova.map(|all| all.networks.into_iter().map(WireNetwork::from).collect::<Vec<_>>());
    std::hint::black_box((the_only("network", "any", networks).is_ok(), shared, nova.is_ok()));
}
