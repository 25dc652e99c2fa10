//! Neutron: floating IPs.

use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tracing::{debug, warn};

use super::catalog::Service::Network;
use super::compute::unreadable;
use super::connection::{Call, Connection};
use super::failure::Failure;
use super::lenient::{lenient, lenient_list};
use super::mark;
use super::pages::{Entry, Page};
use super::port::WirePort;
use super::server::Link;
use crate::cloud::{CloudError, FloatingIpRequest};
use crate::model::FloatingIp;

/// The most ports of a server that are tried.
const PORTS: usize = 8;

/// How long the tags of a new floating IP may take. They are for people to see, so nobody waits long for them.
const TAGGING: Duration = Duration::from_secs(2);

impl Connection {
    /// All floating IPs of the project. With the rights of an administrator Neutron lists those of others as well.
    pub(super) async fn floating_ips(&self) -> Result<Vec<FloatingIp>, CloudError> {
        let project = self.project().await?;
        let filter: Vec<_> = project.iter().map(|id| ("project_id", id.clone())).collect();
        let listed = self.list::<FloatingIpsPage>(Network, &["floatingips"], None, &filter).await?;
        let ours = |one: &WireFloatingIp| match (one.project(), project.as_deref()) {
            (Some(owner), Some(project)) => owner == project,
            _ => true,
        };
        listed.into_iter().filter(ours).map(WireFloatingIp::read).collect()
    }

    /// Makes a floating IP of that external network that leads to the server, and gives its id.
    ///
    /// A server on several networks has several ports, and only those on a network with a router to the external one
    /// can be led to. Neutron says so, and makes nothing, when asked for another: then the next port is asked for. The
    /// network that had a router is asked for first the next time.
    pub(super) async fn create_floating_ip(
        &self,
        network: &str,
        request: &FloatingIpRequest,
    ) -> Result<String, CloudError> {
        let ports = self.ports_in_order(&request.server_id).await?;
        let description = mark::description(&request.tag)?;
        let mut refusal = None;
        for port in ports.iter().filter(|port| port.has_ipv4()).take(PORTS) {
            let body = json!({"floatingip": {
                "floating_network_id": network, "port_id": port.id, "description": description}});
            let call = Call::new(Network, Method::POST, &["floatingips"]).json(&body);
            match self.call(&call).await {
                Ok(answer) => {
                    let read: Result<Created, _> = serde_json::from_slice(&answer.body);
                    let id = read.map_err(|_| unreadable("the new floating IP's id", &answer))?.floatingip.id;
                    self.routed().clone_from(&port.network_id);
                    // The port is known here anyway. One that outlives its server then says itself whose it is.
                    tokio::join!(
                        self.put_tags("floatingips", &id, request),
                        self.put_tags("ports", &port.id, request)
                    );
                    return Ok(id);
                }
                Err(failure) if failure.says_unreachable() => refusal = Some(failure.of_no_thing()),
                Err(failure) => return Err(taken(failure)),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            let server = &request.server_id;
            let text =
                format!("server {server} has no port with an IPv4 address for a floating IP to lead to");
            CloudError::Rejected(text)
        }))
    }

    /// Deletes a floating IP.
    pub(super) async fn delete_floating_ip(&self, id: &str) -> Result<(), CloudError> {
        self.call(&Call::new(Network, Method::DELETE, &["floatingips", id])).await?;
        Ok(())
    }

    fn routed(&self) -> MutexGuard<'_, Option<String>> {
        self.routed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ports of a server: first those on the network that the last floating IP led to, then by network and by id,
    /// so that servers alike get theirs on the same network.
    async fn ports_in_order(&self, server: &str) -> Result<Vec<WirePort>, CloudError> {
        let mut ports = self.ports_of(server).await?;
        let routed = self.routed().clone();
        let place = |port: &WirePort| (port.network_id != routed, port.network_id.clone(), port.id.clone());
        ports.sort_by_cached_key(place);
        Ok(ports)
    }

    /// Puts Nova's tags on a floating IP or a port, too, where Neutron has tags. What is ours is known without them.
    async fn put_tags(&self, kind: &str, id: &str, request: &FloatingIpRequest) {
        let body = json!({"tags": mark::tags(&request.tag)});
        let path = [kind, id, "tags"];
        let call = Call::new(Network, Method::PUT, &path).json(&body);
        match tokio::time::timeout(TAGGING, self.call(&call)).await {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => debug!(kind, id, error = %failure.error, "it got no tags"),
            Err(_) => debug!(kind, id, "it got no tags in time"),
        }
    }
}

impl Failure {
    /// Whether Neutron says that no router leads from the external network to the port.
    fn says_unreachable(&self) -> bool {
        let (CloudError::NotFound(text) | CloudError::Rejected(text)) = &self.error else { return false };
        text.contains("is not reachable from subnet")
    }
}

/// Neutron refuses a second floating IP for the same port. The first may be the one that we asked for before, when the
/// answer was lost: the caller has to look. And what is not found is the network or the port, not the floating IP.
fn taken(failure: Failure) -> CloudError {
    let conflict = failure.status == Some(StatusCode::CONFLICT);
    match failure.of_no_thing() {
        CloudError::Rejected(text) if conflict && text.contains("already has a floating IP") => {
            CloudError::Transient(text)
        }
        error => error,
    }
}

/// A page of `GET /v2.0/floatingips`.
#[derive(Deserialize)]
struct FloatingIpsPage {
    floatingips: Vec<WireFloatingIp>,
    #[serde(default, deserialize_with = "lenient_list")]
    floatingips_links: Vec<Link>,
}

impl Page for FloatingIpsPage {
    type Entry = WireFloatingIp;

    fn open(self) -> (Vec<WireFloatingIp>, bool) {
        let follows = self.floatingips_links.iter().any(Link::is_next);
        (self.floatingips, follows)
    }
}

#[derive(Deserialize)]
struct WireFloatingIp {
    id: String,
    floating_ip_address: String,
    #[serde(default, deserialize_with = "lenient")]
    port_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    description: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    project_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    tenant_id: Option<String>,
}

impl Entry for WireFloatingIp {
    fn id(&self) -> &str {
        &self.id
    }
}

impl WireFloatingIp {
    fn project(&self) -> Option<&str> {
        self.project_id.as_deref().or(self.tenant_id.as_deref())
    }

    /// One whose address cannot be read fails the listing: leaving it out would say that it is gone.
    fn read(self) -> Result<FloatingIp, CloudError> {
        let ip: IpAddr = self.floating_ip_address.parse().map_err(|_| {
            warn!(id = self.id, "the address of a floating IP cannot be read");
            CloudError::Transient("the listing of floatingips has an address that cannot be read".to_owned())
        })?;
        let marked = self.description.as_deref().and_then(mark::from_description);
        Ok(FloatingIp {
            ip,
            tag: marked.or_else(|| mark::from_tags(&self.tags)),
            server_attached: self.port_id.is_some_and(|port| !port.is_empty()),
            id: self.id,
        })
    }
}

#[derive(Deserialize)]
struct Created {
    floatingip: CreatedFloatingIp,
}

#[derive(Deserialize)]
struct CreatedFloatingIp {
    id: String,
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let floating_ips = super::pages::fuzz::<FloatingIpsPage>(body).into_iter().map(WireFloatingIp::read);
    let created = serde_json::from_slice::<Created>(body).map(|created| created.floatingip.id);
    std::hint::black_box((floating_ips.filter_map(Result::ok).count(), created.is_ok()));
}
