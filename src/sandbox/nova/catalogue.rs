//! The small lists of Nova: flavors, keypairs, limits, zones, quotas.

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::Utc;
use russh::keys::{HashAlg, PublicKey};
use serde_json::{Value, json};

use super::{Microversion, page};
use crate::sandbox::Sandbox;
use crate::sandbox::http::{Answer, Refusal, Request};
use crate::sandbox::operation::Operation;
use crate::sandbox::settings::ZONES;
use crate::sandbox::state::{FLAVORS, Flavor, Keypair, flavor};

/// Nova's usual quota of keypairs.
const MOST_KEYPAIRS: usize = 100;

/// Answers what is not about one server.
pub(super) fn answer(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    version: Microversion,
) -> Result<Answer, Refusal> {
    match request.operation {
        Operation::FlavorDetail | Operation::FlavorNames => flavors(request, version),
        Operation::FlavorShow => {
            let found = flavor(request.id()).ok_or_else(|| no_flavor(request.id()))?;
            Ok(Answer::ok(&json!({"flavor": flavor_detail(found, request, version)})))
        }
        Operation::FlavorExtraSpecs => {
            flavor(request.id()).ok_or_else(|| no_flavor(request.id()))?;
            Ok(Answer::ok(&json!({"extra_specs": {}})))
        }
        Operation::KeypairList => keypairs(sandbox, request, version),
        Operation::KeypairCreate => create_keypair(sandbox, request, version),
        Operation::KeypairShow => {
            let cloud = sandbox.cloud();
            let pair = cloud.keypairs.get(request.id()).ok_or_else(|| no_keypair(request.id()))?;
            let mut shown = keypair(pair, version);
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("user_id".into(), json!(cloud.fixtures.user));
                fields.insert(
                    "created_at".into(),
                    json!(pair.created.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()),
                );
                fields.insert("deleted".into(), json!(false));
                fields.insert("id".into(), json!(1));
            }
            Ok(Answer::ok(&json!({ "keypair": shown })))
        }
        Operation::KeypairDelete => {
            sandbox.cloud().keypairs.remove(request.id()).ok_or_else(|| no_keypair(request.id()))?;
            let new = version >= Microversion(2);
            Ok(Answer::empty(if new { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED }))
        }
        Operation::LimitsShow => Ok(Answer::ok(&limits(sandbox))),
        Operation::ZoneList => {
            let zones =
                ZONES.map(|name| json!({"zoneName": name, "zoneState": {"available": true}, "hosts": null}));
            Ok(Answer::ok(&json!({ "availabilityZoneInfo": zones })))
        }
        Operation::ZoneDetail => Err(Refusal::forbidden(
            "Policy doesn't allow os_compute_api:os-availability-zone:detail to be performed.",
        )),
        Operation::ComputeExtensions => Ok(Answer::ok(&json!({"extensions": []}))),
        Operation::ComputeQuota => Ok(Answer::ok(&quota_set(sandbox, request.id()))),
        _ => Err(Refusal::not_found("The resource could not be found.")),
    }
}

fn no_flavor(id: &str) -> Refusal {
    Refusal::not_found(format!("Flavor {id} could not be found."))
}

fn no_keypair(name: &str) -> Refusal {
    Refusal::not_found(format!("Keypair {name} not found for user"))
}

fn flavor_links(flavor: &Flavor, request: &Request) -> Value {
    json!([{"rel": "self", "href": format!("{}/compute/v2.1/flavors/{}", request.base, flavor.id)},
        {"rel": "bookmark", "href": format!("{}/compute/flavors/{}", request.base, flavor.id)}])
}

fn flavor_detail(flavor: &Flavor, request: &Request, version: Microversion) -> Value {
    let mut shown = json!({
        "id": flavor.id, "name": flavor.name, "ram": flavor.ram_mb, "vcpus": flavor.cores,
        "disk": flavor.disk_gb, "swap": "", "OS-FLV-EXT-DATA:ephemeral": 0, "rxtx_factor": 1.0,
        "OS-FLV-DISABLED:disabled": false, "os-flavor-access:is_public": true,
        "links": flavor_links(flavor, request),
    });
    if let Some(fields) = shown.as_object_mut() {
        if version >= Microversion(55) {
            fields.insert("description".into(), Value::Null);
        }
        if version >= Microversion(61) {
            fields.insert("extra_specs".into(), json!({}));
        }
        if version >= Microversion(75) {
            fields.insert("swap".into(), json!(0));
        }
    }
    shown
}

fn flavors(request: &Request, version: Microversion) -> Result<Answer, Refusal> {
    let (rows, _) = page(FLAVORS.iter().collect(), request, |flavor| flavor.id, 1000)?;
    let show = |flavor: &&Flavor| match request.operation {
        Operation::FlavorDetail => flavor_detail(flavor, request, version),
        _ => json!({"id": flavor.id, "name": flavor.name, "links": flavor_links(flavor, request)}),
    };
    let shown: Vec<Value> = rows.iter().map(show).collect();
    Ok(Answer::ok(&json!({ "flavors": shown })))
}

fn keypair(pair: &Keypair, version: Microversion) -> Value {
    let mut shown =
        json!({"name": pair.name, "public_key": pair.public_key, "fingerprint": pair.fingerprint});
    if let (true, Some(fields)) = (version >= Microversion(2), shown.as_object_mut()) {
        fields.insert("type".into(), json!(pair.kind));
    }
    shown
}

fn keypairs(sandbox: &Arc<Sandbox>, request: &Request, version: Microversion) -> Result<Answer, Refusal> {
    let cloud = sandbox.cloud();
    let rows: Vec<&Keypair> = cloud.keypairs.values().collect();
    let (rows, _) = page(rows, request, |pair| pair.name.as_str(), 1000)?;
    let shown: Vec<Value> = rows.iter().map(|pair| json!({"keypair": keypair(pair, version)})).collect();
    Ok(Answer::ok(&json!({ "keypairs": shown })))
}

fn create_keypair(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    version: Microversion,
) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let text = |key: &str| body.pointer(key).and_then(Value::as_str);
    let name = text("/keypair/name").map(str::trim).filter(|name| (1..=255).contains(&name.chars().count()));
    let name = name.ok_or_else(|| Refusal::bad_request("Invalid input for field/attribute name."))?;
    let public_key = text("/keypair/public_key")
        .ok_or_else(|| Refusal::bad_request("The sandbox makes no keys: send a public_key"))?
        .trim();
    let parsed = PublicKey::from_openssh(public_key)
        .map_err(|error| Refusal::bad_request(format!("Keypair data is invalid: {error}")))?;
    let pair = Keypair {
        name: name.into(),
        public_key: public_key.into(),
        kind: text("/keypair/type").unwrap_or("ssh").into(),
        fingerprint: parsed.fingerprint(HashAlg::Sha256).to_string(),
        created: Utc::now(),
    };
    let mut cloud = sandbox.cloud();
    if cloud.keypairs.contains_key(name) {
        return Err(Refusal::conflict(format!("Key pair '{name}' already exists.")));
    }
    if cloud.keypairs.len() >= MOST_KEYPAIRS {
        return Err(Refusal::forbidden("Quota exceeded, too many key pairs."));
    }
    let mut shown = keypair(&pair, version);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("user_id".into(), json!(cloud.fixtures.user));
    }
    cloud.keypairs.insert(name.into(), pair);
    let status = if version >= Microversion(2) { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Answer::json(status, &json!({ "keypair": shown })))
}

fn limits(sandbox: &Sandbox) -> Value {
    let quota = sandbox.dice().faults().quota;
    let (instances, cores, ram) = sandbox.cloud().used();
    json!({"limits": {"rate": [], "absolute": {
        "maxTotalInstances": quota.instances, "maxTotalCores": quota.cores, "maxTotalRAMSize": quota.ram_mb,
        "totalInstancesUsed": instances, "totalCoresUsed": cores, "totalRAMUsed": ram,
        "maxTotalKeypairs": MOST_KEYPAIRS, "maxServerMeta": 128, "maxServerGroups": 10, "maxServerGroupMembers": 10,
        "totalServerGroupsUsed": 0, "maxImageMeta": 128, "maxPersonality": 5, "maxPersonalitySize": 10240,
        "maxSecurityGroups": -1, "maxSecurityGroupRules": -1, "totalSecurityGroupsUsed": 0,
        "maxTotalFloatingIps": -1, "totalFloatingIpsUsed": 0,
    }}})
}

fn quota_set(sandbox: &Sandbox, id: &str) -> Value {
    let quota = sandbox.dice().faults().quota;
    json!({"quota_set": {"id": id, "instances": quota.instances, "cores": quota.cores, "ram": quota.ram_mb,
        "key_pairs": MOST_KEYPAIRS, "metadata_items": 128, "server_groups": 10, "server_group_members": 10}})
}
