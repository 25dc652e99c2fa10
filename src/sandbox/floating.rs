//! Floating IPs: addresses of the external network that lead to a server's port.
//!
//! What leads there is a small forwarder, as the address translation of a router is: it takes connections to the ssh port
//! of the floating address and hands them on to the port's own address.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::addresses::{self, Held};
use super::http::{Answer, Refusal, Request};
use super::neutron;
use super::operation::Operation;
use super::state::{Cloud, Fixtures, Network, Status};
use super::{Sandbox, random};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 128;
/// After a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 255;

/// An address of the external network.
#[derive(Debug)]
pub(crate) struct FloatingIp {
    id: String,
    network: String,
    address: Ipv4Addr,
    /// Until it first leads somewhere.
    held: Option<Held>,
    leads_to: Option<Target>,
    description: String,
    tags: Vec<String>,
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
}

/// Where a floating IP leads to.
#[derive(Clone, Debug)]
struct Target {
    server: String,
    port: String,
    address: Ipv4Addr,
    /// Ends the forwarder.
    end: CancellationToken,
}

/// Answers what is about floating IPs.
pub(crate) fn answer(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    match request.operation {
        Operation::FloatingIpCreate => create(sandbox, request),
        Operation::FloatingIpUpdate => update(sandbox, request),
        Operation::FloatingIpTagsReplace => {
            let body = request.json()?;
            let tags: Option<Vec<String>> =
                body.get("tags").cloned().and_then(|tags| serde_json::from_value(tags).ok());
            let tags = tags.ok_or_else(|| Refusal::bad_request("Invalid input for tags."))?;
            find(&mut sandbox.cloud(), request.id())?.tags.clone_from(&tags);
            Ok(Answer::ok(&json!({ "tags": tags })))
        }
        Operation::FloatingIpDelete => {
            let mut cloud = sandbox.cloud();
            let place = cloud.floating_ips.iter().position(|one| one.id == request.id());
            let place = place.ok_or_else(|| absent(request.id()))?;
            part(&mut cloud, place);
            cloud.floating_ips.remove(place);
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        _ => {
            let rows = rows(&sandbox.cloud());
            neutron::show("floatingip", "Floating IP", rows, request)
        }
    }
}

/// All of them as Neutron lists them.
pub(crate) fn rows(cloud: &Cloud) -> Vec<Value> {
    cloud.floating_ips.iter().map(|one| row(one, &cloud.fixtures)).collect()
}

fn row(one: &FloatingIp, fixtures: &Fixtures) -> Value {
    let target = one.leads_to.as_ref();
    json!({
        "id": one.id, "floating_ip_address": one.address, "floating_network_id": one.network,
        "port_id": target.map(|target| &target.port), "fixed_ip_address": target.map(|target| target.address),
        "router_id": target.map(|_| &fixtures.router), "status": if target.is_some() { "ACTIVE" } else { "DOWN" },
        "description": one.description, "tags": one.tags, "project_id": fixtures.project,
        "tenant_id": fixtures.project, "revision_number": 1, "qos_policy_id": null, "port_details": null,
        "port_forwardings": [], "dns_domain": "", "dns_name": "",
        "created_at": super::nova::time(one.created), "updated_at": super::nova::time(one.updated),
    })
}

fn absent(id: &str) -> Refusal {
    Refusal::not_found(format!("Floating IP {id} could not be found")).of_kind("FloatingIPNotFound")
}

fn find<'a>(cloud: &'a mut Cloud, id: &str) -> Result<&'a mut FloatingIp, Refusal> {
    cloud.floating_ips.iter_mut().find(|one| one.id == id).ok_or_else(|| absent(id))
}

fn create(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let text = |key: &str| body.pointer(key).and_then(Value::as_str);
    let description = description(&body)?.unwrap_or_default();
    let quota = sandbox.dice().faults().quota.floating_ips;
    let mut cloud = sandbox.cloud();
    let network = text("/floatingip/floating_network_id").unwrap_or_default();
    let external = cloud.fixtures.network(network).filter(|network| network.external);
    let Some(Network { id: network, .. }) = external.cloned() else {
        let text = format!("Network {network} is not a valid external network");
        return Err(Refusal::bad_request(text).of_kind("BadRequest"));
    };
    let port = text("/floatingip/port_id").map(|port| reachable(&cloud, port)).transpose()?;
    if quota >= 0 && i64::try_from(cloud.floating_ips.len()).is_ok_and(|used| used >= quota) {
        let text = "Quota exceeded for resources: ['floatingip'].";
        return Err(Refusal::conflict(text).of_kind("OverQuota"));
    }
    let held = sandbox.addresses.hold().ok_or_else(|| {
        let text = format!("No more IP addresses available on network {network}.");
        Refusal::conflict(text).of_kind("IpAddressGenerationFailure")
    })?;
    let now = Utc::now();
    let one = FloatingIp {
        id: random::uuid(),
        network,
        address: held.address(),
        held: Some(held),
        leads_to: None,
        description,
        tags: Vec::new(),
        created: now,
        updated: now,
    };
    cloud.floating_ips.push(one);
    let place = cloud.floating_ips.len().saturating_sub(1);
    if let Some(target) = port {
        lead(sandbox, &mut cloud, place, target)?;
    }
    let shown = cloud.floating_ips.last().map(|one| row(one, &cloud.fixtures));
    Ok(Answer::json(StatusCode::CREATED, &json!({ "floatingip": shown })))
}

/// `PUT /floatingips/ID`: another port, no port, another description.
fn update(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let description = description(&body)?;
    let mut cloud = sandbox.cloud();
    let place = cloud.floating_ips.iter().position(|one| one.id == request.id());
    let place = place.ok_or_else(|| absent(request.id()))?;
    match body.pointer("/floatingip/port_id") {
        Some(Value::String(port)) => {
            let target = reachable(&cloud, port)?;
            part(&mut cloud, place);
            lead(sandbox, &mut cloud, place, target)?;
        }
        Some(_) => part(&mut cloud, place),
        None => {}
    }
    let one = find(&mut cloud, request.id())?;
    if let Some(description) = description {
        one.description = description;
    }
    one.updated = Utc::now();
    let shown = cloud.floating_ips.get(place).map(|one| row(one, &cloud.fixtures));
    Ok(Answer::ok(&json!({ "floatingip": shown })))
}

fn description(body: &Value) -> Result<Option<String>, Refusal> {
    let text = body.pointer("/floatingip/description").and_then(Value::as_str);
    if text.is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
        let text = "Invalid input for description. Reason: it exceeds the maximum length of 255.";
        return Err(Refusal::bad_request(text).of_kind("HTTPBadRequest"));
    }
    Ok(text.map(String::from))
}

/// Where a floating IP of this port leads to, if a router can lead there and no other floating IP does.
fn reachable(cloud: &Cloud, id: &str) -> Result<Target, Refusal> {
    let servers = cloud.newest_servers().filter(|server| server.row.status != Status::Deleted);
    let mut ports = servers.flat_map(|server| server.row.ports.iter().map(move |port| (server, port)));
    let found = ports.find(|(server, port)| port.id == id && server.row.address_shown);
    let (server, port) = found.ok_or_else(|| {
        Refusal::not_found(format!("Port {id} could not be found.")).of_kind("PortNotFound")
    })?;
    let network = cloud.fixtures.network(&port.network);
    let external = cloud.fixtures.networks.iter().find(|network| network.external);
    let external = external.map_or("", |network| network.id.as_str());
    if !network.is_some_and(|network| network.routed) {
        let subnet = network.map_or("", |network| network.subnet.as_str());
        let text = format!(
            "External network {external} is not reachable from subnet {subnet}. Therefore, cannot associate Port \
             {id} with a Floating IP."
        );
        return Err(Refusal::not_found(text).of_kind("ExternalGatewayForFloatingIPNotFound"));
    }
    let leads_there = |one: &&FloatingIp| one.leads_to.as_ref().is_some_and(|target| target.port == id);
    if let Some(other) = cloud.floating_ips.iter().find(leads_there) {
        let text = format!(
            "Cannot associate floating IP {} ({}) with port {id} using fixed IP {}, as that fixed IP already has a \
             floating IP on external network {external}.",
            other.address, other.id, port.address
        );
        return Err(Refusal::conflict(text).of_kind("FloatingIPPortAlreadyAssociated"));
    }
    Ok(Target {
        server: server.row.id.clone(),
        port: id.into(),
        address: port.address,
        // With the server its forwarders end.
        end: server.machine.gone.child_token(),
    })
}

/// Lets a floating IP lead to a port, and shows it among the server's addresses when its time has come. That does not
/// move the server's `updated`: Nova only refreshes what it remembers of the network.
fn lead(sandbox: &Arc<Sandbox>, cloud: &mut Cloud, place: usize, target: Target) -> Result<(), Refusal> {
    let port = sandbox.settings.ssh_port;
    let Some(one) = cloud.floating_ips.get_mut(place) else { return Ok(()) };
    let listener = match one.held.take() {
        Some(held) => held.into_socket().listen(BACKLOG),
        None => addresses::listen_again(one.address, port, BACKLOG),
    };
    let listener = listener.map_err(|error| {
        tracing::error!(%error, address = %one.address, "a floating IP cannot listen");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Request Failed: internal server error")
    })?;
    one.leads_to = Some(target.clone());
    let (id, inside) = (one.id.clone(), Arc::clone(sandbox));
    let delay = sandbox.dice().duration(|faults| faults.floating_ip_seconds);
    sandbox.tasks.spawn(async move {
        let end = target.end.clone();
        let forward = forward(&listener, (target.address, port), &target.end);
        let show = async {
            tokio::time::sleep(delay).await;
            let mut cloud = inside.cloud();
            let there = |one: &&FloatingIp| one.id == id && one.leads_to.is_some();
            let address = cloud.floating_ips.iter().find(there).map(|one| one.address);
            show(&mut cloud, &target, address);
        };
        end.run_until_cancelled(async { tokio::join!(show, forward) }).await;
    });
    Ok(())
}

fn show(cloud: &mut Cloud, target: &Target, address: Option<Ipv4Addr>) {
    let Some(server) = cloud.server(&target.server) else { return };
    server.change(|row| {
        if let Some(port) = row.ports.iter_mut().find(|port| port.id == target.port) {
            port.floating = address;
        }
    });
}

/// Lets a floating IP lead nowhere.
fn part(cloud: &mut Cloud, place: usize) {
    let target = cloud.floating_ips.get_mut(place).and_then(|one| one.leads_to.take());
    if let Some(target) = target {
        target.end.cancel();
        show(cloud, &target, None);
    }
}

/// What a server that is gone leaves behind: its floating IPs, which lead nowhere now.
pub(crate) fn leave(cloud: &mut Cloud, server: &str) {
    for one in &mut cloud.floating_ips {
        if let Some(target) = one.leads_to.take_if(|target| target.server == server) {
            target.end.cancel();
        }
    }
}

async fn forward(listener: &TcpListener, target: (Ipv4Addr, u16), end: &CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((outside, _)) => {
                let end = end.clone();
                tokio::spawn(async move { end.run_until_cancelled(hand_on(outside, target)).await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to a floating IP");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn hand_on(mut outside: TcpStream, target: (Ipv4Addr, u16)) {
    let Ok(mut inside) = TcpStream::connect(target).await else { return };
    let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
    if let Err(error) = tokio::io::copy_bidirectional(&mut outside, &mut inside).await {
        tracing::debug!(%error, "a connection to a floating IP ended");
    }
}
