//! Neutron v2.0, as much as clients use: private networks and an external one, a port for each server on each of its
//! networks, security groups that filter nothing, and floating IPs.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::http::{Answer, Refusal, Request};
use super::operation::Operation;
use super::settings::ZONES;
use super::state::{Cloud, Network, Port, SecurityGroup, Server, ServerRow, Status};
use super::{Sandbox, floating, random};

/// When everything was made that is there from the start.
const LONG_AGO: &str = "2026-01-01T00:00:00Z";
/// Neutron's usual quota.
const MOST_SECURITY_GROUPS: i64 = 10;

/// Answers a request below `/network`.
pub(crate) fn answer(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    match request.operation {
        Operation::FloatingIpCreate
        | Operation::FloatingIpShow
        | Operation::FloatingIpUpdate
        | Operation::FloatingIpDelete
        | Operation::FloatingIpTagsReplace => return floating::answer(sandbox, request),
        Operation::SecurityGroupCreate => return create_security_group(sandbox, request),
        Operation::SecurityGroupDelete => return delete_security_group(sandbox, request),
        Operation::PortDelete => return delete_port(sandbox, request),
        Operation::PortTagsReplace => return tag_port(sandbox, request),
        Operation::NetworkQuota | Operation::NetworkQuotaUsage => return Ok(quota(sandbox, request)),
        _ => {}
    }
    let cloud = sandbox.cloud();
    let networks = || cloud.fixtures.networks.iter().map(|one| network(&cloud, one)).collect::<Vec<_>>();
    let subnets = || cloud.fixtures.networks.iter().map(|one| subnet(&cloud, one)).collect::<Vec<_>>();
    let groups = || cloud.security_groups.iter().map(|one| security_group(&cloud, one)).collect::<Vec<_>>();
    match request.operation {
        Operation::NetworkVersions => Ok(Answer::ok(&json!({"versions": [version(&request.base)]}))),
        Operation::NetworkVersion => Ok(Answer::ok(&json!({"resources": []}))),
        Operation::NetworkList => Ok(list("networks", networks(), request)),
        Operation::NetworkShow => show("network", "Network", networks(), request),
        Operation::SubnetList => Ok(list("subnets", subnets(), request)),
        Operation::SubnetShow => show("subnet", "Subnet", subnets(), request),
        Operation::PortList => Ok(list("ports", ports(&cloud), request)),
        Operation::PortShow => show("port", "Port", ports(&cloud), request),
        Operation::SecurityGroupList => Ok(list("security_groups", groups(), request)),
        Operation::SecurityGroupShow => show("security_group", "Security group", groups(), request),
        Operation::SecurityGroupRuleList => Ok(list("security_group_rules", all_rules(&cloud), request)),
        Operation::FloatingIpList => Ok(list("floatingips", floating::rows(&cloud), request)),
        Operation::RouterList => Ok(list("routers", vec![router(&cloud)], request)),
        Operation::NetworkExtensions => Ok(list("extensions", extensions(), request)),
        Operation::NetworkExtension => {
            let wanted = extensions().into_iter().find(|one| one.get("alias") == Some(&json!(request.id())));
            let body = wanted.map(|extension| json!({"extension": extension}));
            body.map(|body| Answer::ok(&body)).ok_or_else(|| absent("Extension", request.id()))
        }
        Operation::NetworkZones => {
            let zones = ZONES.map(|name| json!({"name": name, "resource": "network", "state": "available"}));
            Ok(list("availability_zones", zones.to_vec(), request))
        }
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "The resource could not be found.")),
    }
}

/// What the project may use, and what of it is used where that is asked for.
fn quota(sandbox: &Sandbox, request: &Request) -> Answer {
    let floating_ips = sandbox.dice().faults().quota.floating_ips;
    let cloud = sandbox.cloud();
    let networks = cloud.fixtures.networks.len();
    let rows = [
        ("network", networks, 100),
        ("subnet", networks, 100),
        ("port", ports(&cloud).len(), -1),
        ("router", 1, 10),
        ("floatingip", cloud.floating_ips.len(), floating_ips),
        ("security_group", cloud.security_groups.len(), MOST_SECURITY_GROUPS),
        ("security_group_rule", all_rules(&cloud).len(), 100),
        ("subnetpool", 0, -1),
        ("rbac_policy", 0, 10),
    ];
    let usage = request.operation == Operation::NetworkQuotaUsage;
    let show = |(name, used, limit): (&str, usize, i64)| {
        let shown = if usage { json!({"used": used, "limit": limit, "reserved": 0}) } else { json!(limit) };
        (name.to_string(), shown)
    };
    Answer::ok(&json!({"quota": rows.into_iter().map(show).collect::<Map<_, _>>()}))
}

fn create_security_group(sandbox: &Sandbox, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let text = |key: &str| body.pointer(key).and_then(Value::as_str);
    let name = text("/security_group/name").filter(|name| !name.is_empty() && *name != "default");
    let name = name.ok_or_else(|| Refusal::bad_request("Invalid input for name."))?;
    let group = SecurityGroup {
        id: random::uuid(),
        name: name.into(),
        description: text("/security_group/description").unwrap_or_default().into(),
    };
    let mut cloud = sandbox.cloud();
    if i64::try_from(cloud.security_groups.len()).is_ok_and(|used| used >= MOST_SECURITY_GROUPS) {
        let text = "Quota exceeded for resources: ['security_group'].";
        return Err(Refusal::conflict(text).of_kind("OverQuota"));
    }
    let shown = security_group(&cloud, &group);
    cloud.security_groups.push(group);
    Ok(Answer::json(StatusCode::CREATED, &json!({ "security_group": shown })))
}

fn delete_security_group(sandbox: &Sandbox, request: &Request) -> Result<Answer, Refusal> {
    let mut cloud = sandbox.cloud();
    let id = request.id();
    let place = cloud.security_groups.iter().position(|group| group.id == id);
    let place = place.ok_or_else(|| absent("Security group", id))?;
    let used = |server: &Server| !server.is_gone() && server.row.security_groups.iter().any(|own| own == id);
    if place == 0 || cloud.servers.values().any(used) {
        return Err(Refusal::conflict(format!("Security Group {id} in use.")).of_kind("SecurityGroupInUse"));
    }
    cloud.security_groups.remove(place);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn version(base: &str) -> Value {
    json!({"id": "v2.0", "status": "CURRENT",
        "links": [{"rel": "self", "href": format!("{base}/network/v2.0/")}]})
}

fn absent(kind: &str, id: &str) -> Refusal {
    Refusal::not_found(format!("{kind} {id} could not be found."))
}

pub(crate) fn show(key: &str, kind: &str, rows: Vec<Value>, request: &Request) -> Result<Answer, Refusal> {
    let row = rows.into_iter().find(|row| row.get("id") == Some(&json!(request.id())));
    row.map(|row| Answer::ok(&json!({ key: row }))).ok_or_else(|| absent(kind, request.id()))
}

/// A listing, filtered by the parameters that name one of the rows' fields, as Neutron filters, and in pages
/// when `limit` and `marker` ask for them. A marker that is not there ends the listing.
fn list(key: &str, rows: Vec<Value>, request: &Request) -> Answer {
    let keep = |row: &Value| {
        request.query.iter().all(|(name, _)| {
            let Some(field) = row.get(name) else { return true };
            request.query.iter().any(|(other, wanted)| other == name && says(field, wanted))
        })
    };
    let id = |row: &Value| row.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
    let mut rows: Vec<Value> = rows.into_iter().filter(keep).collect();
    if let Some(marker) = request.parameter("marker") {
        let found = rows.iter().position(|row| id(row) == marker);
        rows.drain(..found.map_or(rows.len(), |found| found.saturating_add(1)));
    }
    let limit = request.parameter("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let more = limit.is_some_and(|limit: usize| rows.len() > limit);
    rows.truncate(limit.unwrap_or(usize::MAX));
    let fields: Vec<&String> =
        request.query.iter().filter(|(name, _)| name == "fields").map(|(_, field)| field).collect();
    if !fields.is_empty() {
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            row.retain(|name, _| fields.contains(&name));
        }
    }
    let mut body = json!({ key: rows });
    if let (true, Some(last), Some(fields)) = (more, rows.last(), body.as_object_mut()) {
        let href = format!("{}/network/v2.0/{key}?{}", request.base, request.query_after(&id(last)));
        fields.insert(format!("{key}_links"), json!([{"rel": "next", "href": href}]));
    }
    Answer::ok(&body)
}

fn says(field: &Value, wanted: &str) -> bool {
    match field {
        Value::String(text) => text == wanted,
        Value::Bool(flag) => wanted.eq_ignore_ascii_case(if *flag { "true" } else { "false" }),
        Value::Array(items) => items.iter().any(|item| says(item, wanted)),
        Value::Number(number) => number.to_string() == wanted,
        Value::Null | Value::Object(_) => false,
    }
}

fn network(cloud: &Cloud, network: &Network) -> Value {
    let fixtures = &cloud.fixtures;
    json!({
        "id": network.id, "name": network.name, "subnets": [network.subnet], "status": "ACTIVE",
        "project_id": fixtures.project, "tenant_id": fixtures.project, "admin_state_up": true, "mtu": 1500,
        "shared": false, "router:external": network.external, "is_default": false,
        "port_security_enabled": true, "availability_zone_hints": [], "availability_zones": ZONES,
        "ipv4_address_scope": null, "ipv6_address_scope": null, "description": "", "tags": [], "dns_domain": "",
        "revision_number": 1, "qos_policy_id": null, "created_at": LONG_AGO, "updated_at": LONG_AGO,
    })
}

fn subnet(cloud: &Cloud, network: &Network) -> Value {
    let fixtures = &cloud.fixtures;
    json!({
        "id": network.subnet, "name": format!("{}-subnet", network.name), "network_id": network.id,
        "ip_version": 4, "cidr": "127.0.0.0/8", "gateway_ip": Ipv4Addr::LOCALHOST,
        "enable_dhcp": !network.external, "dns_nameservers": [], "host_routes": [],
        "allocation_pools": [{"start": "127.0.0.2", "end": "127.255.255.254"}],
        "project_id": fixtures.project, "tenant_id": fixtures.project, "description": "", "tags": [],
        "ipv6_address_mode": null, "ipv6_ra_mode": null, "revision_number": 1, "service_types": [],
        "subnetpool_id": null, "created_at": LONG_AGO, "updated_at": LONG_AGO,
    })
}

/// From the first private network to the external one.
fn router(cloud: &Cloud) -> Value {
    let fixtures = &cloud.fixtures;
    let external = fixtures.networks.iter().find(|network| network.external);
    let gateway = external.map(|network| json!({"network_id": network.id, "enable_snat": true}));
    json!({
        "id": fixtures.router, "name": "router", "status": "ACTIVE", "admin_state_up": true, "distributed": false,
        "ha": false, "external_gateway_info": gateway, "routes": [], "project_id": fixtures.project,
        "tenant_id": fixtures.project, "description": "", "tags": [], "availability_zones": ZONES,
        "availability_zone_hints": [], "revision_number": 1, "created_at": LONG_AGO, "updated_at": LONG_AGO,
    })
}

fn ports(cloud: &Cloud) -> Vec<Value> {
    let rows = cloud.newest_servers().map(|server| &server.row);
    let rows = rows.filter(|row| row.address_shown && row.status != Status::Deleted);
    let living = rows.flat_map(|row| row.ports.iter().map(move |one| (row, one)));
    let left = cloud.ports_left.iter().map(|(row, one)| (row, one));
    living.chain(left).map(|(row, one)| port(cloud, row, one)).collect()
}

/// Takes a port away. That of a server that runs goes as well, as Neutron has it: the server then lacks an address.
fn delete_port(sandbox: &Sandbox, request: &Request) -> Result<Answer, Refusal> {
    let id = request.id();
    let mut cloud = sandbox.cloud();
    let before = cloud.ports_left.len();
    cloud.ports_left.retain(|(_, port)| port.id != id);
    let mut found = cloud.ports_left.len() < before;
    for server in cloud.servers.values_mut().filter(|server| !server.is_gone()) {
        if server.row.address_shown && server.row.ports.iter().any(|port| port.id == id) {
            server.change(|row| row.ports.retain(|port| port.id != id));
            found = true;
        }
    }
    if found { Ok(Answer::empty(StatusCode::NO_CONTENT)) } else { Err(absent("Port", id)) }
}

fn tag_port(sandbox: &Sandbox, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let tags: Option<Vec<String>> =
        body.get("tags").cloned().and_then(|tags| serde_json::from_value(tags).ok());
    let tags = tags.ok_or_else(|| Refusal::bad_request("Invalid input for tags."))?;
    let id = request.id();
    let mut cloud = sandbox.cloud();
    let Cloud { servers, ports_left, .. } = &mut *cloud;
    let living =
        servers.values_mut().filter(|server| !server.is_gone()).flat_map(|server| &mut server.row.ports);
    let mut all = living.chain(ports_left.iter_mut().map(|(_, port)| port));
    let port = all.find(|port| port.id == id).ok_or_else(|| absent("Port", id))?;
    port.tags.clone_from(&tags);
    Ok(Answer::ok(&json!({ "tags": tags })))
}

fn port(cloud: &Cloud, row: &ServerRow, port: &Port) -> Value {
    let fixtures = &cloud.fixtures;
    let subnet = fixtures.network(&port.network).map(|network| &network.subnet);
    json!({
        "id": port.id, "name": "", "network_id": port.network, "device_id": row.id,
        "device_owner": format!("compute:{}", row.zone), "mac_address": port.mac, "status": "ACTIVE",
        "fixed_ips": [{"subnet_id": subnet, "ip_address": port.address}],
        "security_groups": row.security_groups, "admin_state_up": true, "port_security_enabled": true,
        "project_id": fixtures.project, "tenant_id": fixtures.project, "binding:vnic_type": "normal",
        "allowed_address_pairs": [], "extra_dhcp_opts": [], "description": "", "tags": port.tags,
        "revision_number": 1, "created_at": super::nova::time(row.created),
        "updated_at": super::nova::time(row.updated),
    })
}

fn security_group(cloud: &Cloud, group: &SecurityGroup) -> Value {
    let fixtures = &cloud.fixtures;
    json!({
        "id": group.id, "name": group.name, "description": group.description,
        "project_id": fixtures.project, "tenant_id": fixtures.project, "stateful": true, "shared": false,
        "security_group_rules": rules(cloud, group), "tags": [], "revision_number": 1,
        "created_at": LONG_AGO, "updated_at": LONG_AGO,
    })
}

fn all_rules(cloud: &Cloud) -> Vec<Value> {
    cloud.security_groups.iter().flat_map(|group| rules(cloud, group)).collect()
}

/// Everything in, everything out: loopback has no packet filter.
fn rules(cloud: &Cloud, group: &SecurityGroup) -> Vec<Value> {
    let fixtures = &cloud.fixtures;
    let rule = |direction: &str| {
        json!({
            "id": format!("{}-{direction}", group.id), "direction": direction,
            "security_group_id": group.id, "ethertype": "IPv4", "protocol": null,
            "port_range_min": null, "port_range_max": null, "remote_ip_prefix": null,
            "remote_group_id": null, "remote_address_group_id": null, "description": "",
            "project_id": fixtures.project, "tenant_id": fixtures.project, "revision_number": 0, "tags": [],
        })
    };
    vec![rule("ingress"), rule("egress")]
}

fn extensions() -> Vec<Value> {
    let named = [
        ("security-group", "security-group"),
        ("quotas", "Quota management support"),
        ("quota_details", "Quota details management support"),
        ("availability_zone", "Availability Zone"),
        ("network_availability_zone", "Network Availability Zone"),
        ("standard-attr-tag", "Tag support for resources with standard attribute"),
        ("port-security", "Port Security"),
        ("router", "Neutron L3 Router"),
        ("external-net", "Neutron external network"),
        ("standard-attr-description", "standard-attr-description"),
    ];
    named
        .iter()
        .map(|(alias, name)| {
            json!({"alias": alias, "name": name, "description": name, "links": [],
                "updated": "2016-01-01T00:00:00-00:00"})
        })
        .collect()
}
