//! POST /servers: what a request may ask for, the quota, and the first row.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Microversion;
use super::view::View;
use crate::sandbox::addresses::Held;
use crate::sandbox::faults::Quota;
use crate::sandbox::http::{Answer, Refusal, Request};
use crate::sandbox::machine::Machine;
use crate::sandbox::settings::ZONES;
use crate::sandbox::state::{self, Cloud, Fixtures, Flavor, ImageStatus, Port, Server, ServerRow, Status};
use crate::sandbox::{Sandbox, cinder, lifecycle, random};

/// Nova takes at most so many tags and so many pieces of metadata.
const MOST_TAGS: usize = 50;
const MOST_METADATA: usize = 128;
/// Characters of base64.
const LONGEST_USER_DATA: usize = 65_535;

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
    availability_zone: Option<String>,
    user_data: Option<String>,
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
    #[serde(default)]
    destination_type: String,
    #[serde(default)]
    volume_size: Value,
}

impl BlockDevice {
    fn gib(&self) -> Option<i64> {
        let size = &self.volume_size;
        size.as_i64().or_else(|| size.as_str()?.parse().ok()).filter(|size| *size > 0)
    }
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
    // The addresses are held from here on; they are given back with the machine when the request is refused.
    let networks = chosen_networks(&sandbox.cloud().fixtures, &wanted.networks)?;
    let mut addresses = Vec::with_capacity(networks.len());
    for _ in &networks {
        let address = sandbox.addresses.hold();
        addresses.push(
            address.ok_or_else(|| {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "No loopback address is free")
            })?,
        );
    }
    let plugged = networks.into_iter().zip(addresses.iter().map(Held::address));
    let ports = plugged.map(|(network, address)| Port {
        id: random::uuid(),
        mac: random::mac(),
        network,
        address,
        floating: None,
        tags: Vec::new(),
    });
    let id = random::uuid();
    let quota = sandbox.dice().faults().quota;
    let answer = {
        let mut cloud = sandbox.cloud();
        let row = first_row(&cloud, wanted, &id, ports.collect())?;
        check_quota(&cloud, row.flavor, quota)?;
        let machine = Machine::new(sandbox.place.clone(), &id, &row.name, addresses);
        let view = View { base: &request.base, cloud: &cloud, version };
        let groups = cloud.group_names(&row);
        let shown = json!({"server": {"id": id, "links": view.links(&id), "OS-DCF:diskConfig": "MANUAL",
            "security_groups": groups, "adminPass": random::hex_id().get(..12)}});
        cinder::make_for(&mut cloud, &row);
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

fn first_row(cloud: &Cloud, wanted: Wanted, id: &str, ports: Vec<Port>) -> Result<ServerRow, Refusal> {
    let (image_id, volume) = boot_source(cloud, &wanted)?;
    let flavor = wanted.flavor.as_str().map_or_else(|| wanted.flavor.to_string(), String::from);
    let flavor = flavor.rsplit('/').next().and_then(state::flavor);
    let flavor = flavor
        .ok_or_else(|| Refusal::bad_request(format!("Flavor {} could not be found.", wanted.flavor)))?;
    if let Some(key) = wanted.key_name.as_ref().filter(|key| !cloud.keypairs.contains_key(*key)) {
        return Err(Refusal::bad_request(format!("Invalid key_name provided. ({key})")));
    }
    let security_groups = security_groups(cloud, &wanted.security_groups)?;
    let zone = zone(wanted.availability_zone.as_deref())?;
    let user_data = wanted.user_data.as_deref().map(decoded).transpose()?;
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
        security_groups,
        zone,
        volume,
        user_data,
        ports,
        address_shown: false,
        created: now,
        updated: now,
        launched: None,
        terminated: None,
        fault: None,
    })
}

/// The image to boot, and the volume to copy it to if one is wanted.
fn boot_source(cloud: &Cloud, wanted: &Wanted) -> Result<(String, Option<(String, i64)>), Refusal> {
    let of_image = |device: &&BlockDevice| device.source_type == "image";
    let device = wanted.block_device_mapping_v2.iter().flatten().find(of_image);
    let named = wanted.image.clone().filter(|id| !id.is_empty());
    let on_volume = device.filter(|device| device.destination_type == "volume");
    if named.is_some() && on_volume.is_some() {
        return Err(Refusal::bad_request(
            "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping \
             combination is not valid.",
        ));
    }
    let volume = match on_volume.map(BlockDevice::gib) {
        None => None,
        Some(Some(gib)) => Some((random::uuid(), gib)),
        Some(None) => {
            return Err(Refusal::bad_request(
                "Block Device Mapping is Invalid: Images with destination_type 'volume' need to have a non-zero \
                 size specified",
            ));
        }
    };
    let id = named.or_else(|| device?.uuid.clone());
    let id = id.ok_or_else(|| Refusal::bad_request("Invalid imageRef provided."))?;
    let id = id.rsplit('/').next().unwrap_or_default().to_string();
    match cloud.images.get(&id) {
        None => Err(Refusal::bad_request("Can not find requested image")),
        Some(image) if image.status != ImageStatus::Active => {
            Err(Refusal::bad_request(format!("Image {id} is not active.")))
        }
        Some(_) => Ok((id, volume)),
    }
}

/// The ids of the networks to plug in, by the request or because there is only one.
fn chosen_networks(fixtures: &Fixtures, networks: &Value) -> Result<Vec<String>, Refusal> {
    let mut chosen = Vec::new();
    for network in networks.as_array().into_iter().flatten() {
        let Some(id) = network.get("uuid").and_then(Value::as_str) else { continue };
        match fixtures.network(id) {
            None => return Err(Refusal::bad_request(format!("Network {id} could not be found."))),
            Some(network) if network.external => {
                let text = format!("It is not allowed to create an interface on external network {id}");
                return Err(Refusal::forbidden(text));
            }
            Some(network) => chosen.push(network.id.clone()),
        }
    }
    if chosen.is_empty() {
        let mut private = fixtures.networks.iter().filter(|network| !network.external);
        chosen.extend(private.next().map(|network| network.id.clone()));
        if private.next().is_some() {
            let text = "Multiple possible networks found, use a Network ID to be more specific.";
            return Err(Refusal::conflict(text));
        }
    }
    Ok(chosen)
}

/// The ids of the security groups; `default` when none is named.
fn security_groups(cloud: &Cloud, wanted: &[Named]) -> Result<Vec<String>, Refusal> {
    let find = |name: &str| {
        let mut groups = cloud.security_groups.iter();
        groups.find(|group| group.id == name || group.name == name).map(|group| group.id.clone())
    };
    if wanted.is_empty() {
        return Ok(find("default").into_iter().collect());
    }
    let named = wanted.iter().map(|Named { name }| {
        let project = &cloud.fixtures.project;
        find(name).ok_or_else(|| {
            Refusal::bad_request(format!("Security group {name} not found for project {project}."))
        })
    });
    named.collect()
}

/// The availability zone, which may name a host behind a colon.
fn zone(wanted: Option<&str>) -> Result<&'static str, Refusal> {
    let wanted = wanted.and_then(|zone| zone.split(':').next()).filter(|zone| !zone.is_empty());
    let [first, ..] = ZONES;
    let Some(wanted) = wanted else { return Ok(first) };
    let known = ZONES.into_iter().find(|zone| *zone == wanted);
    known.ok_or_else(|| Refusal::bad_request("The requested availability zone is not available"))
}

/// User data as it was before it was put into base64.
fn decoded(text: &str) -> Result<String, Refusal> {
    let refuse = || Refusal::bad_request("Invalid input for field/attribute user_data.");
    if text.len() > LONGEST_USER_DATA {
        return Err(refuse());
    }
    let bytes = STANDARD.decode(text).map_err(|_| refuse())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
