//! Neutron v2.0, as much as clients read: one network with one subnet, a port per server, one security group.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Sandbox;
use super::http::{Answer, Refusal, Request};
use super::operation::Operation;
use super::settings::{NETWORK, ZONE};
use super::state::{Cloud, ServerRow, Status};

/// Answers a request below `/network`.
pub(crate) fn answer(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let cloud = sandbox.cloud();
    match request.operation {
        Operation::NetworkVersions => Ok(Answer::ok(&json!({"versions": [version(&request.base)]}))),
        Operation::NetworkVersion => Ok(Answer::ok(&json!({"resources": []}))),
        Operation::NetworkList => Ok(list("networks", vec![network(&cloud)], request)),
        Operation::NetworkShow => show("network", "Network", vec![network(&cloud)], request),
        Operation::SubnetList => Ok(list("subnets", vec![subnet(&cloud)], request)),
        Operation::SubnetShow => show("subnet", "Subnet", vec![subnet(&cloud)], request),
        Operation::PortList => Ok(list("ports", ports(&cloud), request)),
        Operation::PortShow => show("port", "Port", ports(&cloud), request),
        Operation::SecurityGroupList => Ok(list("security_groups", vec![security_group(&cloud)], request)),
        Operation::SecurityGroupShow => {
            show("security_group", "Security group", vec![security_group(&cloud)], request)
        }
        Operation::SecurityGroupRuleList => Ok(list("security_group_rules", rules(&cloud), request)),
        Operation::FloatingIpList => Ok(list("floatingips", Vec::new(), request)),
        Operation::RouterList => Ok(list("routers", Vec::new(), request)),
        Operation::NetworkQuota => Ok(Answer::ok(&json!({"quota": {
            "network": 100, "subnet": 100, "port": -1, "router": 10, "floatingip": 0,
            "security_group": 10, "security_group_rule": 100, "subnetpool": -1, "rbac_policy": 10}}))),
        Operation::NetworkQuotaUsage => {
            let row = |used: usize, limit: i64| json!({"used": used, "limit": limit, "reserved": 0});
            Ok(Answer::ok(&json!({"quota": {"network": row(1, 100), "subnet": row(1, 100),
                "port": row(ports(&cloud).len(), -1), "floatingip": row(0, 0), "router": row(0, 10),
                "security_group": row(1, 10), "security_group_rule": row(rules(&cloud).len(), 100)}})))
        }
        Operation::NetworkExtensions => Ok(list("extensions", extensions(), request)),
        Operation::NetworkExtension => {
            let wanted = extensions().into_iter().find(|one| one.get("alias") == Some(&json!(request.id())));
            let body = wanted.map(|extension| json!({"extension": extension}));
            body.map(|body| Answer::ok(&body)).ok_or_else(|| absent("Extension", request.id()))
        }
        Operation::NetworkZones => Ok(list(
            "availability_zones",
            vec![json!({"name": ZONE, "resource": "network", "state": "available"})],
            request,
        )),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "The resource could not be found.")),
    }
}

fn version(base: &str) -> Value {
    json!({"id": "v2.0", "status": "CURRENT",
        "links": [{"rel": "self", "href": format!("{base}/network/v2.0/")}]})
}

fn absent(kind: &str, id: &str) -> Refusal {
    Refusal::not_found(format!("{kind} {id} could not be found."))
}

fn show(key: &str, kind: &str, rows: Vec<Value>, request: &Request) -> Result<Answer, Refusal> {
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

fn network(cloud: &Cloud) -> Value {
    let fixtures = &cloud.fixtures;
    json!({
        "id": fixtures.network, "name": NETWORK, "subnets": [fixtures.subnet], "status": "ACTIVE",
        "project_id": fixtures.project, "tenant_id": fixtures.project, "admin_state_up": true, "mtu": 1500,
        "shared": false, "router:external": false, "is_default": false, "port_security_enabled": true,
        "availability_zone_hints": [], "availability_zones": [ZONE], "ipv4_address_scope": null,
        "ipv6_address_scope": null, "description": "", "tags": [], "dns_domain": "", "revision_number": 1,
        "qos_policy_id": null, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}

fn subnet(cloud: &Cloud) -> Value {
    let fixtures = &cloud.fixtures;
    json!({
        "id": fixtures.subnet, "name": "private-subnet", "network_id": fixtures.network, "ip_version": 4,
        "cidr": "127.0.0.0/8", "gateway_ip": Ipv4Addr::LOCALHOST, "enable_dhcp": true, "dns_nameservers": [],
        "allocation_pools": [{"start": "127.0.0.2", "end": "127.255.255.254"}], "host_routes": [],
        "project_id": fixtures.project, "tenant_id": fixtures.project, "description": "", "tags": [],
        "ipv6_address_mode": null, "ipv6_ra_mode": null, "revision_number": 1, "service_types": [],
        "subnetpool_id": null, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}

fn ports(cloud: &Cloud) -> Vec<Value> {
    let rows = cloud.newest_servers().map(|server| &server.row);
    rows.filter(|row| row.address_shown && row.status != Status::Deleted)
        .map(|row| port(cloud, row))
        .collect()
}

fn port(cloud: &Cloud, row: &ServerRow) -> Value {
    let fixtures = &cloud.fixtures;
    json!({
        "id": row.port_id, "name": "", "network_id": fixtures.network, "device_id": row.id,
        "device_owner": format!("compute:{ZONE}"), "mac_address": row.mac, "status": "ACTIVE",
        "fixed_ips": [{"subnet_id": fixtures.subnet, "ip_address": row.address}],
        "security_groups": [fixtures.security_group], "admin_state_up": true, "port_security_enabled": true,
        "project_id": fixtures.project, "tenant_id": fixtures.project, "binding:vnic_type": "normal",
        "allowed_address_pairs": [], "extra_dhcp_opts": [], "description": "", "tags": [],
        "revision_number": 1, "created_at": super::nova::time(row.created),
        "updated_at": super::nova::time(row.updated),
    })
}

fn security_group(cloud: &Cloud) -> Value {
    let fixtures = &cloud.fixtures;
    json!({
        "id": fixtures.security_group, "name": "default", "description": "Default security group",
        "project_id": fixtures.project, "tenant_id": fixtures.project, "stateful": true, "shared": false,
        "security_group_rules": rules(cloud), "tags": [], "revision_number": 1,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}

/// Everything in, everything out: loopback has no packet filter.
fn rules(cloud: &Cloud) -> Vec<Value> {
    let fixtures = &cloud.fixtures;
    let rule = |direction: &str| {
        json!({
            "id": format!("{}-{direction}", fixtures.security_group), "direction": direction,
            "security_group_id": fixtures.security_group, "ethertype": "IPv4", "protocol": null,
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
    ];
    named
        .iter()
        .map(|(alias, name)| {
            json!({"alias": alias, "name": name, "description": name, "links": [],
                "updated": "2016-01-01T00:00:00-00:00"})
        })
        .collect()
}
