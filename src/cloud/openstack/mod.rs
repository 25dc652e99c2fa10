//! OpenStack: Keystone v3, Nova, Glance, Neutron and Cinder.
//!
//! The files from the outside in: this one implements [`Cloud`] and keeps what rarely changes; `compute`, `image`,
//! `network` and `volume` speak with one service each, with `order`, `console`, `floating_ip` and `port` for their larger requests; `quota` asks both how much is left; `pages` reads listings whole; `connection` is the one door for requests;
//! `keystone` and `catalog` know the token and where the services are; `transport` bounds one HTTP exchange and `trace` shows it; `failure`
//! names errors. `mark` spells our tag, `lenient` reads odd answers.

mod cache;
mod catalog;
mod compute;
mod connection;
mod console;
mod failure;
mod floating_ip;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod image;
mod keystone;
mod lenient;
mod login;
mod mark;
mod microversion;
mod names;
mod network;
mod order;
mod pages;
mod port;
mod quota;
mod server;
mod settings;
mod transport;
mod volume;

use std::time::Duration;

use async_trait::async_trait;

pub use self::settings::{Credential, Domain, Identity, Named, Settings};

use self::cache::Cached;
use self::connection::Connection;
use self::names::Names;
use self::order::Order;
use super::{BootImage, Cloud, CloudError, FloatingIpRequest, NetworkChoice, ServerRequest, SnapshotRequest};
use crate::model::{CloudImage, Flavor, FloatingIp, Keypair, Port, Quota, Server, Tag, Timestamp, Volume};

/// How long flavors, and the ids behind names, are believed.
const LIFE: Duration = Duration::from_mins(5);

/// One project of an OpenStack cloud.
pub struct OpenStack {
    connection: Connection,
    flavors: Cached<Vec<Flavor>>,
    images: Names,
    networks: Names,
    pools: Names,
    only_network: Cached<Option<String>>,
}

impl OpenStack {
    /// Prepares the driver. The cloud is asked nothing yet and may be out of reach.
    ///
    /// # Errors
    /// `Rejected` when the URL or the certificate file cannot be used.
    pub async fn new(settings: Settings) -> Result<Self, CloudError> {
        Ok(Self {
            connection: Connection::new(settings).await?,
            flavors: Cached::new(LIFE),
            images: Names::new(LIFE),
            networks: Names::new(LIFE),
            pools: Names::new(LIFE),
            only_network: Cached::new(LIFE),
        })
    }

    /// The id of the flavor: the smallest by memory that fits, of those of one size the first by name.
    async fn flavor(&self, request: &ServerRequest) -> Result<String, CloudError> {
        let flavors = self.flavors.get(|| self.connection.flavors()).await?;
        let filter = request.name_filter.as_deref();
        let flavor = Flavor::smallest(&flavors, request.min_ram, filter).ok_or_else(|| {
            let filter = filter.unwrap_or_default();
            let text = format!("no flavor has {} MiB and a name with '{filter}'", request.min_ram);
            CloudError::Rejected(text)
        })?;
        Ok(flavor.id.clone())
    }

    /// The id of the image: a word that looks like an id is one.
    async fn image(&self, image: &BootImage) -> Result<String, CloudError> {
        match image {
            BootImage::Id(id) => Ok(id.clone()),
            BootImage::NameOrId(word) if is_uuid(word) => Ok(word.clone()),
            BootImage::NameOrId(name) => self.images.id(name, || self.connection.image_named(name)).await,
        }
    }

    /// The ids of the networks. Where none is named and there is only one that can be meant, it is that one.
    async fn networks(&self, choices: &[NetworkChoice]) -> Result<Vec<String>, CloudError> {
        let mut ids = Vec::with_capacity(choices.len().max(1));
        for choice in choices {
            ids.push(match choice {
                NetworkChoice::Id(id) => id.clone(),
                NetworkChoice::Name(name) => {
                    self.networks.id(name, || self.connection.network_named(name)).await?
                }
            });
        }
        if choices.is_empty() {
            let only = self.only_network.get(|| self.connection.only_network()).await?;
            ids.extend(only.as_deref().map(str::to_owned));
        }
        Ok(ids)
    }

    /// The id of the external network that floating IPs come from.
    async fn pool(&self, pool: &str) -> Result<String, CloudError> {
        if is_uuid(pool) {
            return Ok(pool.to_owned());
        }
        self.pools.id(pool, || self.connection.external_network_named(pool)).await
    }

    /// Whether there is an active image of this name or id.
    ///
    /// # Errors
    /// `Rejected` or `NotFound` when there is none.
    pub async fn look_for_image(&self, name_or_id: &str) -> Result<(), CloudError> {
        if is_uuid(name_or_id) {
            self.connection.image_is_active(name_or_id).await
        } else {
            self.connection.image_named(name_or_id).await.map(|_id| ())
        }
    }

    /// Whether there is this network.
    ///
    /// # Errors
    /// `Rejected` or `NotFound` when there is none, or several of one name.
    pub async fn look_for_network(&self, network: &NetworkChoice) -> Result<(), CloudError> {
        match network {
            NetworkChoice::Id(id) => self.connection.network_is_there(id).await,
            NetworkChoice::Name(name) => self.connection.network_named(name).await.map(|_id| ()),
        }
    }

    /// Whether there is an external network of this name or id.
    ///
    /// # Errors
    /// `Rejected` or `NotFound` when there is none, or several of one name.
    pub async fn look_for_pool(&self, pool: &str) -> Result<(), CloudError> {
        if is_uuid(pool) {
            self.connection.network_is_there(pool).await
        } else {
            self.connection.external_network_named(pool).await.map(|_id| ())
        }
    }

    /// Forgets what a refused server was made of: an image that was replaced under its name, a flavor that is gone.
    async fn forget(&self) {
        self.flavors.forget().await;
        self.images.forget();
        self.networks.forget();
        self.only_network.forget().await;
    }
}

#[async_trait]
impl Cloud for OpenStack {
    async fn servers(&self, changed_since: Option<Timestamp>) -> Result<Vec<Server>, CloudError> {
        self.connection.servers(changed_since).await
    }

    async fn images(&self) -> Result<Vec<CloudImage>, CloudError> {
        self.connection.images().await
    }

    async fn keypairs(&self) -> Result<Vec<Keypair>, CloudError> {
        self.connection.keypairs().await
    }

    /// A flavor, image or network that does not exist is `Rejected`: nothing was created.
    async fn create_server(&self, request: &ServerRequest) -> Result<String, CloudError> {
        let image = self.image(&request.image).await?;
        let flavor = self.flavor(request).await?;
        let networks = self.networks(&request.networks).await?;
        let order = Order { request, image: &image, flavor: &flavor, networks: &networks };
        let outcome = self.connection.order_server(&order).await.map_err(failure::Failure::of_no_thing);
        if matches!(outcome, Err(CloudError::Rejected(_))) {
            self.forget().await;
        }
        outcome
    }

    async fn delete_server(&self, id: &str) -> Result<(), CloudError> {
        self.connection.delete_server(id).await
    }

    async fn create_snapshot(&self, request: &SnapshotRequest) -> Result<String, CloudError> {
        self.connection.create_snapshot(request).await
    }

    async fn delete_image(&self, id: &str) -> Result<(), CloudError> {
        self.connection.delete_image(id).await
    }

    async fn create_keypair(&self, name: &str, public_key: &str) -> Result<(), CloudError> {
        self.connection.create_keypair(name, public_key).await
    }

    async fn delete_keypair(&self, name: &str) -> Result<(), CloudError> {
        self.connection.delete_keypair(name).await
    }

    async fn floating_ips(&self) -> Result<Vec<FloatingIp>, CloudError> {
        self.connection.floating_ips().await
    }

    /// A pool that does not exist, and a server without a port that it could lead to, are `Rejected`.
    async fn create_floating_ip(&self, request: &FloatingIpRequest) -> Result<String, CloudError> {
        let network = self.pool(&request.pool).await?;
        let outcome = self.connection.create_floating_ip(&network, request).await;
        if matches!(outcome, Err(CloudError::Rejected(_))) {
            self.pools.forget();
        }
        outcome
    }

    async fn delete_floating_ip(&self, id: &str) -> Result<(), CloudError> {
        self.connection.delete_floating_ip(id).await
    }

    async fn ports(&self) -> Result<Vec<Port>, CloudError> {
        self.connection.server_ports().await
    }

    async fn delete_port(&self, id: &str, server_id: &str) -> Result<(), CloudError> {
        self.connection.delete_port(id, server_id).await
    }

    async fn volumes(&self) -> Result<Vec<Volume>, CloudError> {
        self.connection.volumes().await
    }

    async fn mark_volume(&self, id: &str, tag: &Tag) -> Result<(), CloudError> {
        self.connection.mark_volume(id, tag).await
    }

    async fn delete_volume(&self, id: &str) -> Result<(), CloudError> {
        self.connection.delete_volume(id).await
    }

    async fn console_log(&self, server_id: &str) -> Result<String, CloudError> {
        self.connection.console_log(server_id).await
    }

    async fn quota(&self) -> Result<Quota, CloudError> {
        let usage = self.connection.usage().await?;
        let flavors = self.flavors.get(|| self.connection.flavors()).await?;
        Ok(Quota { usage, flavors: flavors.to_vec() })
    }
}

/// Whether a word looks like an id: 32 hexadecimal digits in the groups of a UUID.
fn is_uuid(word: &str) -> bool {
    let groups: Vec<usize> = word.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && word.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit())
}
