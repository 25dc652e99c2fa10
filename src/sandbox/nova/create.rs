//! POST /servers: what a request may ask for, the quota, and the first row.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Microversion;
use super::view::View;
use crate::sandbox::faults::Quota;
use crate::sandbox::http::{Answer, Refusal, Request};
use crate::sandbox::machine::Machine;
use crate::sandbox::state::{self, Cloud, Flavor, ImageStatus, Server, ServerRow, Status};
use crate::sandbox::{Sandbox, lifecycle, random};

/// Nova takes at most so many tags and so many pieces of metadata.
const MOST_TAGS: usize = 50;
const MOST_METADATA: usize = 128;

#[derive(Deserialize)]
struct Wanted {
    name: String,
    #[serde(rename = "imageRef")]
    image: Option<String>,
    #[serde(rename = "flavorRef")]
    flavor: Value,
    key_name: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    networks: Value,
    #[serde(default)]
    security_groups: Vec<Named>,
    tags: Option<Vec<String>>,
    description: Option<String>,
    #[serde(default)]
    config_drive: Value,
    block_device_mapping_v2: Option<Vec<BlockDevice>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct BlockDevice {
    uuid: Option<String>,
    #[serde(default)]
    source_type: String,
}

/// Accepts a server: 202 with little more than its id.
pub(super) fn create(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    version: Microversion,
) -> Result<Answer, Refusal> {
    let mut body = request.json()?;
    let wanted = body.get_mut("server").map(Value::take).unwrap_or_default();
    let wanted: Wanted = serde_json::from_value(wanted).map_err(|error| {
        Refusal::bad_request(format!("Invalid input for field/attribute server. {error}."))
    })?;
    check_sizes(&wanted, version)?;
    // The address is held from here on; it is given back with the machine when the request is refused.
    let address = sandbox
        .addresses
        .hold()
        .ok_or_else(|| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "No loopback address is free"))?;
    let id = random::uuid();
    let quota = sandbox.dice().faults().quota;
    let answer = {
        let mut cloud = sandbox.cloud();
        let row = first_row(&cloud, wanted, &id, address.address())?;
        check_quota(&cloud, row.flavor, quota)?;
        let machine = Machine::new(sandbox.place.clone(), &id, &row.name, address);
        let fixtures = cloud.fixtures.clone();
        let view = View { base: &request.base, fixtures: &fixtures, version };
        let groups: Vec<Value> = row.security_groups.iter().map(|name| json!({"name": name})).collect();
        let shown = json!({"server": {"id": id, "links": view.links(&id), "OS-DCF:diskConfig": "MANUAL",
            "security_groups": groups, "adminPass": random::hex_id().get(..12)}});
        cloud.add_server(Server::new(row, Arc::new(machine)));
        Answer::json(StatusCode::ACCEPTED, &shown)
    };
    lifecycle::boot(sandbox, &id);
    Ok(answer.with("location", format!("{}/compute/v2.1/servers/{id}", request.base)))
}

fn check_sizes(wanted: &Wanted, version: Microversion) -> Result<(), Refusal> {
    if wanted.name.trim().is_empty() || wanted.name.chars().count() > 255 {
        return Err(Refusal::bad_request("Invalid input for field/attribute name."));
    }
    if wanted.metadata.len() > MOST_METADATA || !metadata_fits(&wanted.metadata) {
        return Err(Refusal::bad_request("Invalid input for field/attribute metadata."));
    }
    match &wanted.tags {
        Some(_) if version < Microversion(52) => Err(Refusal::bad_request(
            "Invalid input for field/attribute server. Additional properties are not allowed ('tags' was unexpected)",
        )),
        Some(tags) if !tags_fit(tags) => Err(Refusal::bad_request("Invalid input for field/attribute tags.")),
        _ => Ok(()),
    }
}

/// Nova's bounds on metadata: 255 characters on either side.
pub(super) fn metadata_fits(metadata: &BTreeMap<String, String>) -> bool {
    metadata
        .iter()
        .all(|(key, value)| (1..=255).contains(&key.chars().count()) && value.chars().count() <= 255)
}

/// Nova's bounds on tags: 1 to 60 characters, without comma and slash.
pub(super) fn tags_fit(tags: &[String]) -> bool {
    tags.len() <= MOST_TAGS
        && tags.iter().all(|tag| (1..=60).contains(&tag.chars().count()) && !tag.contains([',', '/']))
}

fn first_row(
    cloud: &Cloud,
    wanted: Wanted,
    id: &str,
    address: std::net::Ipv4Addr,
) -> Result<ServerRow, Refusal> {
    let image_id = bootable_image(cloud, &wanted)?;
    let flavor = wanted.flavor.as_str().map_or_else(|| wanted.flavor.to_string(), String::from);
    let flavor = flavor.rsplit('/').next().and_then(state::flavor);
    let flavor = flavor
        .ok_or_else(|| Refusal::bad_request(format!("Flavor {} could not be found.", wanted.flavor)))?;
    if let Some(key) = wanted.key_name.as_ref().filter(|key| !cloud.keypairs.contains_key(*key)) {
        return Err(Refusal::bad_request(format!("Invalid key_name provided. ({key})")));
    }
    check_networks(cloud, &wanted.networks)?;
    let known = |name: &str| name == "default" || name == cloud.fixtures.security_group;
    if let Some(group) = wanted.security_groups.iter().find(|group| !known(&group.name)) {
        return Err(Refusal::bad_request(format!("Security group {} not found.", group.name)));
    }
    let now = Utc::now();
    Ok(ServerRow {
        id: id.into(),
        description: wanted.description,
        name: wanted.name,
        metadata: wanted.metadata,
        tags: wanted.tags.unwrap_or_default(),
        status: Status::Build,
        task_state: Some("scheduling"),
        image_id,
        flavor,
        key_name: wanted.key_name,
        config_drive: matches!(&wanted.config_drive, Value::Bool(true))
            || wanted.config_drive.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")),
        security_groups: vec!["default".into()],
        address,
        address_shown: false,
        port_id: random::uuid(),
        mac: random::mac(),
        created: now,
        updated: now,
        launched: None,
        terminated: None,
        fault: None,
    })
}

fn bootable_image(cloud: &Cloud, wanted: &Wanted) -> Result<String, Refusal> {
    let from_device = || {
        let devices = wanted.block_device_mapping_v2.as_ref()?;
        devices.iter().find(|device| device.source_type == "image")?.uuid.clone()
    };
    let id = wanted.image.clone().filter(|id| !id.is_empty()).or_else(from_device);
    let id = id.ok_or_else(|| Refusal::bad_request("Invalid imageRef provided."))?;
    let id = id.rsplit('/').next().unwrap_or_default().to_string();
    match cloud.images.get(&id) {
        None => Err(Refusal::bad_request("Can not find requested image")),
        Some(image) if image.status != ImageStatus::Active => {
            Err(Refusal::bad_request(format!("Image {id} is not active.")))
        }
        Some(_) => Ok(id),
    }
}

fn check_networks(cloud: &Cloud, networks: &Value) -> Result<(), Refusal> {
    for network in networks.as_array().into_iter().flatten() {
        let Some(id) = network.get("uuid").and_then(Value::as_str) else { continue };
        if id != cloud.fixtures.network {
            return Err(Refusal::bad_request(format!("Network {id} could not be found.")));
        }
    }
    Ok(())
}

/// Nova's words, which name every resource that would be over.
fn check_quota(cloud: &Cloud, flavor: &Flavor, quota: Quota) -> Result<(), Refusal> {
    let (instances, cores, ram) = cloud.used();
    let rows = [
        ("instances", 1, instances, quota.instances),
        ("cores", flavor.cores, cores, quota.cores),
        ("ram", flavor.ram_mb, ram, quota.ram_mb),
    ];
    let over: Vec<_> = rows
        .iter()
        .filter(|(_, asked, used, limit)| *limit >= 0 && used.saturating_add(*asked) > *limit)
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    let join = |text: fn(&(&str, i64, i64, i64)) -> String| {
        over.iter().map(|row| text(row)).collect::<Vec<_>>().join(", ")
    };
    Err(Refusal::forbidden(format!(
        "Quota exceeded for {}: Requested {}, but already used {} of {}",
        join(|row| row.0.into()),
        join(|row| row.1.to_string()),
        join(|row| row.2.to_string()),
        join(|row| format!("{} {}", row.3, row.0)),
    )))
}
