//! Cinder v3, as much as clients use of the volumes that servers boot from: listings, metadata, deletion.

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::Utc;
use serde_json::{Value, json};

use super::Sandbox;
use super::http::{Answer, Refusal, Request};
use super::operation::Operation;
use super::settings::ZONES;
use super::state::{Cloud, ServerRow, Volume};

/// Answers a request below `/volume`.
pub(crate) fn answer(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    if matches!(request.operation, Operation::VolumeVersions | Operation::VolumeVersion) {
        let version = json!({"id": "v3.0", "status": "CURRENT", "version": "3.27", "min_version": "3.0",
            "links": [{"rel": "self", "href": format!("{}/volume/v3/", request.base)}]});
        return Ok(Answer::ok(&json!({"versions": [version]})));
    }
    let mut cloud = sandbox.cloud();
    if request.id() != cloud.fixtures.project {
        return Err(Refusal::bad_request("Malformed request url"));
    }
    match request.operation {
        Operation::VolumeDetail => {
            Ok(page(request, cloud.volumes.iter().map(|one| detail(&cloud, one)).collect()))
        }
        Operation::VolumeNames => Ok(page(request, cloud.volumes.iter().map(brief).collect())),
        Operation::VolumeShow => {
            let place = place(&cloud, request)?;
            let shown = cloud.volumes.get(place).map(|one| detail(&cloud, one));
            Ok(Answer::ok(&json!({ "volume": shown })))
        }
        Operation::VolumeLimits => Ok(limits(&cloud)),
        Operation::VolumeDelete => delete(&mut cloud, request),
        Operation::VolumeMetadataMerge => merge(&mut cloud, request),
        _ => Err(Refusal::not_found("The resource could not be found.")),
    }
}

/// Makes the volume of a server that is to boot from one.
pub(crate) fn make_for(cloud: &mut Cloud, row: &ServerRow) {
    if let Some((id, gib)) = &row.volume {
        cloud.volumes.push(Volume {
            id: id.clone(),
            gib: *gib,
            image_id: row.image_id.clone(),
            server: Some(row.id.clone()),
            metadata: [("readonly".to_owned(), "False".to_owned())].into(),
            created: Utc::now(),
        });
    }
}

/// Takes the volume of a server away that is gone, or leaves it behind.
pub(crate) fn leave(cloud: &mut Cloud, server: &str, stays: bool) {
    let of_server = |volume: &Volume| volume.server.as_deref() == Some(server);
    if !stays {
        return cloud.volumes.retain(|volume| !of_server(volume));
    }
    for volume in cloud.volumes.iter_mut().filter(|volume| of_server(volume)) {
        volume.server = None;
    }
}

fn place(cloud: &Cloud, request: &Request) -> Result<usize, Refusal> {
    let id = request.ids.get(1).map_or("", String::as_str);
    let place = cloud.volumes.iter().position(|volume| volume.id == id);
    place.ok_or_else(|| Refusal::not_found(format!("Volume {id} could not be found.")))
}

fn delete(cloud: &mut Cloud, request: &Request) -> Result<Answer, Refusal> {
    let place = place(cloud, request)?;
    if cloud.volumes.get(place).is_some_and(|volume| volume.server.is_some()) {
        return Err(Refusal::bad_request(
            "Invalid volume: Volume status must be available or error or error_restoring or error_extending or \
             error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a \
             transfer, or be disassociated from snapshots after volume transfer.",
        ));
    }
    cloud.volumes.remove(place);
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

fn merge(cloud: &mut Cloud, request: &Request) -> Result<Answer, Refusal> {
    let place = place(cloud, request)?;
    let body = request.json()?;
    let wanted = body.get("metadata").and_then(Value::as_object);
    let wanted = wanted.ok_or_else(|| Refusal::bad_request("Invalid input for field/attribute metadata."))?;
    let Some(volume) = cloud.volumes.get_mut(place) else { return Ok(Answer::empty(StatusCode::OK)) };
    for (key, value) in wanted {
        let text = value.as_str().filter(|text| text.chars().count() <= 255);
        let text = text.ok_or_else(|| Refusal::bad_request(format!("Invalid input for metadata {key}.")))?;
        volume.metadata.insert(key.clone(), text.to_owned());
    }
    Ok(Answer::ok(&json!({"metadata": volume.metadata})))
}

/// A listing, in pages when `limit` and `marker` ask for them.
fn page(request: &Request, mut rows: Vec<Value>) -> Answer {
    let id = |row: &Value| row.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(marker) = request.parameter("marker") {
        let found = rows.iter().position(|row| id(row) == marker);
        rows.drain(..found.map_or(rows.len(), |found| found.saturating_add(1)));
    }
    let limit = request.parameter("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let more = limit.is_some_and(|limit: usize| rows.len() > limit);
    rows.truncate(limit.unwrap_or(usize::MAX));
    let last = rows.last().map(id).filter(|_| more);
    let mut body = json!({ "volumes": rows });
    if let (Some(last), Some(fields)) = (last, body.as_object_mut()) {
        let href = format!(
            "{}/volume/v3/{}/volumes/detail?{}",
            request.base,
            request.id(),
            request.query_after(&last)
        );
        fields.insert("volumes_links".into(), json!([{"rel": "next", "href": href}]));
    }
    Answer::ok(&body)
}

/// No limits, and what is used.
fn limits(cloud: &Cloud) -> Answer {
    let gib = cloud.volumes.iter().fold(0_i64, |sum, volume| sum.saturating_add(volume.gib));
    let absolute = json!({"maxTotalVolumes": -1, "totalVolumesUsed": cloud.volumes.len(),
        "maxTotalVolumeGigabytes": -1, "totalGigabytesUsed": gib, "maxTotalSnapshots": -1, "totalSnapshotsUsed": 0,
        "maxTotalBackups": -1, "totalBackupsUsed": 0, "maxTotalBackupGigabytes": -1, "totalBackupGigabytesUsed": 0});
    Answer::ok(&json!({"limits": {"rate": [], "absolute": absolute}}))
}

fn brief(volume: &Volume) -> Value {
    json!({"id": volume.id, "name": "", "links": []})
}

fn detail(cloud: &Cloud, volume: &Volume) -> Value {
    let image = cloud.images.get(&volume.image_id).map(|image| image.name.as_str());
    let attachments: Vec<Value> = volume
        .server
        .iter()
        .map(|server| {
            json!({"server_id": server, "attachment_id": volume.id, "id": volume.id, "volume_id": volume.id,
                "device": "/dev/vda", "host_name": null, "attached_at": super::nova::time(volume.created)})
        })
        .collect();
    json!({
        "id": volume.id, "name": "", "description": "", "size": volume.gib, "bootable": "true", "encrypted": false,
        "status": if volume.server.is_some() { "in-use" } else { "available" }, "attachments": attachments,
        "metadata": volume.metadata, "volume_type": "lvm", "availability_zone": ZONES.first(), "multiattach": false,
        "volume_image_metadata": {"image_id": volume.image_id, "image_name": image}, "snapshot_id": null,
        "source_volid": null, "replication_status": null, "consistencygroup_id": null, "links": [],
        "os-vol-tenant-attr:tenant_id": cloud.fixtures.project, "user_id": cloud.fixtures.user,
        "created_at": super::nova::time(volume.created), "updated_at": super::nova::time(volume.created),
    })
}
