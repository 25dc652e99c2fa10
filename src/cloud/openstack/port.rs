//! Neutron: the ports by which Nova plugs servers in. A floating IP leads to one of them, and one may outlive its server.
//!
//! Nova makes the ports of a server and gives nobody a chance to mark them. But each names its server by an id that no
//! other server ever gets, so whoever knows that the server was ours knows whose the port is.

use std::net::IpAddr;

use reqwest::Method;
use serde::Deserialize;

use super::catalog::Service::Network;
use super::compute::unreadable;
use super::connection::{Call, Connection};
use super::lenient::{lenient, lenient_list};
use super::mark;
use super::pages::{Entry, Page};
use super::server::Link;
use crate::cloud::CloudError;
use crate::model::Port;

/// How the owner of a server's port begins; behind it stands the availability zone.
const OF_SERVERS: &str = "compute:";

/// What is asked of each port: a project may have thousands.
const FIELDS: [&str; 4] = ["id", "device_id", "device_owner", "tags"];

impl Connection {
    /// All ports of the project that belong to servers, or did.
    pub(super) async fn server_ports(&self) -> Result<Vec<Port>, CloudError> {
        let project = self.project().await?.map(|id| ("project_id", id));
        let fields = FIELDS.map(|field| ("fields", field.to_owned()));
        let filter: Vec<_> = project.into_iter().chain(fields).collect();
        let listed = self.list::<PortsPage>(Network, &["ports"], None, &filter).await?;
        Ok(listed.into_iter().filter_map(WirePort::read).collect())
    }

    /// The ports of a server, in no order.
    pub(super) async fn ports_of(&self, server: &str) -> Result<Vec<WirePort>, CloudError> {
        let filter = [("device_id", server.to_owned())];
        let mut ports = self.list::<PortsPage>(Network, &["ports"], None, &filter).await?;
        ports.retain(|port| port.device_id.as_deref().is_none_or(|device| device == server));
        Ok(ports)
    }

    /// Deletes a port, if it still belongs to that server: one that was lent to another meanwhile is not deleted.
    pub(super) async fn delete_port(&self, id: &str, server: &str) -> Result<(), CloudError> {
        let path = ["ports", id];
        let answer = self.call(&Call::new(Network, Method::GET, &path)).await?;
        let read: Result<Shown, _> = serde_json::from_slice(&answer.body);
        let port = read.map_err(|_| unreadable("the port", &answer))?.port;
        if port.device_id.as_deref() != Some(server) {
            return Err(CloudError::NotFound(format!(
                "port {id} does not belong to server {server} any more"
            )));
        }
        self.call(&Call::new(Network, Method::DELETE, &path)).await?;
        Ok(())
    }
}

/// A page of `GET /v2.0/ports`.
#[derive(Deserialize)]
struct PortsPage {
    ports: Vec<WirePort>,
    #[serde(default, deserialize_with = "lenient_list")]
    ports_links: Vec<Link>,
}

impl Page for PortsPage {
    type Entry = WirePort;

    fn open(self) -> (Vec<WirePort>, bool) {
        let follows = self.ports_links.iter().any(Link::is_next);
        (self.ports, follows)
    }
}

/// The answer to `GET /v2.0/ports/ID`.
#[derive(Deserialize)]
struct Shown {
    port: WirePort,
}

/// A port, as far as it was asked for.
#[derive(Deserialize)]
pub(super) struct WirePort {
    pub(super) id: String,
    #[serde(default, deserialize_with = "lenient")]
    device_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    device_owner: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) network_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    fixed_ips: Vec<FixedIp>,
}

#[derive(Deserialize)]
struct FixedIp {
    ip_address: String,
}

impl Entry for WirePort {
    fn id(&self) -> &str {
        &self.id
    }
}

impl WirePort {
    /// Floating IPs are IPv4, and so must be what they lead to.
    pub(super) fn has_ipv4(&self) -> bool {
        self.fixed_ips.iter().any(|fixed| fixed.ip_address.parse().is_ok_and(|ip: IpAddr| ip.is_ipv4()))
    }

    /// The port, if it is one of a server.
    fn read(self) -> Option<Port> {
        let of_server = self.device_owner.is_some_and(|owner| owner.starts_with(OF_SERVERS));
        let server_id = self.device_id.filter(|id| of_server && !id.is_empty())?;
        Some(Port { id: self.id, server_id, tag: mark::from_tags(&self.tags) })
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let ports = super::pages::fuzz::<PortsPage>(body);
    let with_ipv4 = ports.iter().filter(|port| port.has_ipv4()).count();
    let of_servers = ports.into_iter().filter_map(WirePort::read).count();
    std::hint::black_box((with_ipv4, of_servers, serde_json::from_slice::<Shown>(body).is_ok()));
}
