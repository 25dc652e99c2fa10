//! Servers as Nova lists them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tracing::warn;

use super::failure::tidy;
use super::lenient::{lenient, lenient_list, moment};
use super::mark::{self, Marks};
use super::pages::{Entry, Page};
use crate::model::{Address, Server, ServerStatus};

/// A page of `GET /servers/detail`.
#[derive(Deserialize)]
pub(super) struct ServersPage {
    servers: Vec<WireServer>,
    #[serde(default, deserialize_with = "lenient_list")]
    servers_links: Vec<Link>,
}

/// A link to another page.
#[derive(Deserialize)]
pub(super) struct Link {
    rel: String,
}

impl Link {
    /// Whether it leads to the next page.
    pub(super) fn is_next(&self) -> bool {
        self.rel == "next"
    }
}

impl Page for ServersPage {
    type Entry = WireServer;

    fn open(self) -> (Vec<WireServer>, bool) {
        let follows = self.servers_links.iter().any(Link::is_next);
        (self.servers, follows)
    }
}

/// A server. Only its id is certain to be there.
#[derive(Deserialize)]
pub(super) struct WireServer {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    addresses: Option<BTreeMap<String, Value>>,
    #[serde(default, deserialize_with = "lenient")]
    fault: Option<Fault>,
    #[serde(default, deserialize_with = "lenient")]
    created: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    metadata: Option<Marks>,
    #[serde(default, deserialize_with = "lenient_list")]
    tags: Vec<String>,
    #[serde(rename = "OS-EXT-AZ:availability_zone", default, deserialize_with = "lenient")]
    zone: Option<String>,
    #[serde(rename = "os-extended-volumes:volumes_attached", default, deserialize_with = "lenient_list")]
    volumes: Vec<Attached>,
}

/// A volume of a server.
#[derive(Deserialize)]
struct Attached {
    id: String,
    /// Whether Nova is to delete it with the server; told from microversion 2.3 on.
    #[serde(default, deserialize_with = "lenient")]
    delete_on_termination: Option<bool>,
}

/// The volumes that Nova is to delete with the server. Where it does not tell which, the only one of a server is that
/// which it boots from: nobody attaches a second disk to a server without a first one.
fn volumes(attached: Vec<Attached>) -> Vec<String> {
    let only = attached.len() == 1;
    let goes = attached.into_iter().filter(|one| one.delete_on_termination.unwrap_or(only));
    goes.map(|one| one.id).collect()
}

impl Entry for WireServer {
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Deserialize)]
struct Fault {
    message: String,
}

/// The fault that the answer to `GET /servers/ID` tells.
pub(super) fn fault(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Shown {
        server: WireServer,
    }
    let shown: Shown = serde_json::from_slice(body).ok()?;
    shown.server.fault.map(|fault| tidy(&fault.message))
}

#[derive(Deserialize)]
struct WireAddress {
    addr: String,
    #[serde(rename = "OS-EXT-IPS:type", default, deserialize_with = "lenient")]
    kind: Option<String>,
}

impl From<WireServer> for Server {
    fn from(wire: WireServer) -> Self {
        let addresses = wire.addresses.unwrap_or_default();
        let addresses =
            addresses.into_iter().flat_map(|(network, list)| on_network(&wire.id, &network, list));
        Self {
            addresses: addresses.collect(),
            name: wire.name.unwrap_or_default(),
            status: status(wire.status.unwrap_or_else(|| "UNKNOWN".to_owned())),
            fault: wire.fault.map(|fault| tidy(&fault.message)),
            created: wire.created.as_deref().and_then(moment),
            tag: wire.metadata.and_then(Marks::tag).or_else(|| mark::from_tags(&wire.tags)),
            az: wire.zone.filter(|zone| !zone.is_empty()),
            volumes: volumes(wire.volumes),
            id: wire.id,
        }
    }
}

/// The addresses on one network. One that cannot be read is left out: the server counts all the same.
fn on_network(server: &str, network: &str, list: Value) -> Vec<Address> {
    let list = match list {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let read = |value: Value| {
        let wire: Option<WireAddress> = serde_json::from_value(value).ok();
        let address = wire.and_then(|wire| {
            let floating = wire.kind.as_deref() == Some("floating");
            Some(Address { ip: wire.addr.parse().ok()?, network: network.to_owned(), floating })
        });
        if address.is_none() {
            warn!(server, network, "an address of the server cannot be read");
        }
        address
    };
    list.into_iter().filter_map(read).collect()
}

/// The status by Nova's word. A listing of changes shows deleted servers, and with deferred deletion those that Nova
/// keeps for a while, which a full listing does not show any more either.
fn status(word: String) -> ServerStatus {
    match word.as_str() {
        "BUILD" => ServerStatus::Build,
        "ACTIVE" => ServerStatus::Active,
        "ERROR" => ServerStatus::Error,
        "DELETED" | "SOFT_DELETED" => ServerStatus::Deleted,
        _ => ServerStatus::Other(word),
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let servers = super::pages::fuzz::<ServersPage>(body).into_iter().map(Server::from);
    std::hint::black_box((servers.collect::<Vec<_>>(), fault(body)));
}
