//! POST /servers/ID/action: snapshot, console, reboot.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use chrono::Utc;
use serde_json::{Value, json};

use super::{Microversion, no_server};
use crate::sandbox::http::{Answer, Refusal, Request};
use crate::sandbox::state::{Image, ImageStatus, Status};
use crate::sandbox::{Sandbox, lifecycle, random};

/// `createImage`: 202 now, active after the snapshot time.
pub(super) fn create_image(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    version: Microversion,
) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let name =
        body.pointer("/createImage/name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Refusal::bad_request("Invalid input for field/attribute name."))?;
    let metadata = body.pointer("/createImage/metadata").cloned().unwrap_or_else(|| json!({}));
    let metadata: BTreeMap<String, String> = serde_json::from_value(metadata)
        .map_err(|_| Refusal::bad_request("Invalid input for field/attribute metadata."))?;
    let id = random::uuid();
    {
        let mut cloud = sandbox.cloud();
        let fixtures = cloud.fixtures.clone();
        let server = cloud.server(request.id()).ok_or_else(|| no_server(request.id()))?;
        may_snapshot(&server.row.id, server.row.status, server.row.task_state)?;
        server.enter(Status::Active, Some("image_snapshot"));
        let row = server.row.clone();
        let mut properties = metadata;
        properties.extend([
            ("image_type".to_string(), "snapshot".to_string()),
            ("instance_uuid".into(), row.id),
            ("base_image_ref".into(), row.image_id),
            ("user_id".into(), fixtures.user),
            ("owner_project_name".into(), crate::sandbox::settings::NAME.into()),
        ]);
        if let Some((_, gib)) = row.volume {
            // The disk is kept as a snapshot of the volume; the image only says where it is.
            let mapping = json!([{"boot_index": 0, "source_type": "snapshot", "destination_type": "volume",
                "snapshot_id": random::uuid(), "volume_size": gib, "delete_on_termination": true}]);
            properties.insert("block_device_mapping".into(), mapping.to_string());
            properties.insert("bdm_v2".into(), "True".into());
        }
        let order = cloud.images_made;
        cloud.images_made = order.saturating_add(1);
        let now = Utc::now();
        let image = Image {
            id: id.clone(),
            name: name.into(),
            status: ImageStatus::Queued,
            visibility: "private".into(),
            protected: false,
            tags: Vec::new(),
            container_format: Some("bare".into()),
            disk_format: Some("raw".into()),
            min_disk_gb: row.flavor.disk_gb,
            min_ram_mb: 0,
            size: None,
            created: now,
            updated: now,
            properties,
            folder: sandbox.place.image_folder(&id),
            order,
        };
        cloud.images.insert(id.clone(), image);
    }
    lifecycle::snapshot(sandbox, request.id(), &id);
    let location = format!("{}/compute/v2.1/images/{id}", request.base);
    Ok(if version >= Microversion(45) {
        Answer::json(StatusCode::ACCEPTED, &json!({ "image_id": id })).with("location", location)
    } else {
        Answer::empty(StatusCode::ACCEPTED).with("location", location)
    })
}

fn may_snapshot(id: &str, status: Status, task: Option<&str>) -> Result<(), Refusal> {
    let refuse = |what: String| {
        Err(Refusal::conflict(format!("Cannot 'createImage' instance {id} while it is in {what}")))
    };
    match (status, task) {
        (Status::Active, None) => Ok(()),
        (Status::Active, Some(task)) => refuse(format!("task_state {task}")),
        (other, _) => refuse(format!("vm_state {}", other.vm_state())),
    }
}

/// `os-getConsoleOutput`: what the server has said while it booted.
pub(super) fn console(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let length = body.pointer("/os-getConsoleOutput/length").and_then(|length| match length {
        Value::String(text) => text.parse::<usize>().ok(),
        other => other.as_u64().and_then(|length| usize::try_from(length).ok()),
    });
    let mut cloud = sandbox.cloud();
    let server = cloud.server(request.id()).ok_or_else(|| no_server(request.id()))?;
    let lines = &server.console;
    let from = length.map_or(0, |length| lines.len().saturating_sub(length));
    let mut output = String::new();
    for line in lines.iter().skip(from) {
        output.push_str(line);
        output.push('\n');
    }
    Ok(Answer::ok(&json!({ "output": output })))
}

/// `reboot`: every process ends, the file tree stays.
pub(super) fn reboot(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    {
        let mut cloud = sandbox.cloud();
        let server = cloud.server(request.id()).ok_or_else(|| no_server(request.id()))?;
        if (server.row.status, server.row.task_state) != (Status::Active, None) {
            return Err(Refusal::conflict(format!(
                "Cannot 'reboot' instance {} while it is in vm_state {}",
                request.id(),
                server.row.status.vm_state()
            )));
        }
        server.enter(Status::Reboot, Some("rebooting"));
    }
    lifecycle::reboot(sandbox, request.id());
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

/// Any other action.
pub(super) fn unknown(request: &Request) -> Refusal {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let name = body.as_object().and_then(|fields| fields.keys().next()).cloned().unwrap_or_default();
    Refusal::bad_request(format!("There is no such action: {name}"))
}
