//! Glance v2: list, show, register, upload, change and delete images.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use chrono::Utc;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::http::{Answer, Refusal, Request};
use super::nova::time;
use super::operation::Operation;
use super::state::{Cloud, Image, ImageStatus};
use super::{Sandbox, lifecycle, random};

/// The most rows in one answer, Glance's default.
const LARGEST_PAGE: usize = 1000;
/// Rows in one answer when no limit is asked for, Glance's default.
const USUAL_PAGE: usize = 25;
/// The largest file that is taken: what a person would try on one machine.
const LARGEST_FILE: u64 = 16 << 30;
/// How long an upload may pause.
const PIECE_DEADLINE: Duration = Duration::from_mins(1);
/// Fields that an image has of its own; anything else is a property.
const OWN_FIELDS: &[&str] = &[
    "id",
    "name",
    "status",
    "visibility",
    "protected",
    "tags",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "size",
    "virtual_size",
    "created_at",
    "updated_at",
    "owner",
    "file",
    "self",
    "schema",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "locations",
    "direct_url",
];

/// Answers a request below `/image`. An upload brings its body unread.
pub(crate) async fn answer(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    upload: Option<Body>,
) -> Result<Answer, Refusal> {
    match request.operation {
        Operation::ImageVersions => {
            let versions = json!({"versions": versions(&request.base)});
            Ok(Answer::json(StatusCode::MULTIPLE_CHOICES, &versions))
        }
        Operation::ImageVersionList | Operation::ImageVersion => {
            Ok(Answer::ok(&json!({"versions": versions(&request.base)})))
        }
        Operation::ImageList => list(&sandbox.cloud(), request),
        Operation::ImageCreate => create(sandbox, request),
        Operation::ImageShow => {
            let cloud = sandbox.cloud();
            let image = cloud.images.get(request.id()).ok_or_else(|| no_image(request.id()))?;
            Ok(Answer::ok(&show(image, &cloud)))
        }
        Operation::ImageUpdate => update(&mut sandbox.cloud(), request),
        Operation::ImageDelete => {
            let folder = {
                let mut cloud = sandbox.cloud();
                let image = cloud.images.get(request.id()).ok_or_else(|| no_image(request.id()))?;
                if image.protected {
                    let message = format!("Image {} is protected and cannot be deleted.", image.id);
                    return Err(Refusal::forbidden(message));
                }
                let folder = image.folder.clone();
                cloud.images.remove(request.id());
                folder
            };
            lifecycle::discard(sandbox, folder);
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        Operation::ImageUpload => store(sandbox, request, upload.unwrap_or_default()).await,
        Operation::ImageDownload => download(sandbox, request).await,
        Operation::ImageSchema => Ok(Answer::ok(&json!({"name": request.id(), "properties": {},
            "additionalProperties": {"type": "string"}}))),
        _ => Err(Refusal::not_found("The resource could not be found.")),
    }
}

fn no_image(id: &str) -> Refusal {
    Refusal::not_found(format!("No image found with ID {id}"))
}

fn versions(base: &str) -> Vec<Value> {
    let version = |id: &str, status: &str| {
        json!({"id": id, "status": status,
            "links": [{"rel": "self", "href": format!("{base}/image/v2/")}]})
    };
    vec![version("v2.9", "CURRENT"), version("v2.7", "SUPPORTED"), version("v2.0", "SUPPORTED")]
}

fn show(image: &Image, cloud: &Cloud) -> Value {
    let mut shown = json!({
        "id": image.id, "name": image.name, "status": image.status.name(), "visibility": image.visibility,
        "protected": image.protected, "tags": image.tags, "container_format": image.container_format,
        "disk_format": image.disk_format, "min_disk": image.min_disk_gb, "min_ram": image.min_ram_mb,
        "size": image.size, "virtual_size": null, "owner": cloud.fixtures.project, "checksum": null,
        "os_hash_algo": null, "os_hash_value": null, "os_hidden": false, "created_at": time(image.created),
        "updated_at": time(image.updated), "self": format!("/v2/images/{}", image.id),
        "file": format!("/v2/images/{}/file", image.id), "schema": "/v2/schemas/image",
    });
    if let Some(fields) = shown.as_object_mut() {
        for (key, value) in &image.properties {
            fields.entry(key.clone()).or_insert_with(|| json!(value));
        }
    }
    shown
}

fn list(cloud: &Cloud, request: &Request) -> Result<Answer, Refusal> {
    let mut images: Vec<&Image> = cloud.images.values().filter(|image| asked_for(image, request)).collect();
    images.sort_by_key(|image| std::cmp::Reverse(image.order));
    let limit = match request.parameter("limit") {
        None => USUAL_PAGE,
        Some(text) => text.parse().map_err(|_| Refusal::bad_request("limit param must be an integer"))?,
    };
    let limit = limit.min(LARGEST_PAGE);
    let start = match request.parameter("marker") {
        None => 0,
        Some(marker) => {
            let found = images.iter().position(|image| image.id == marker);
            found
                .ok_or_else(|| Refusal::bad_request("Invalid marker. Image could not be found."))?
                .saturating_add(1)
        }
    };
    let page: Vec<&Image> = images.iter().skip(start).take(limit).copied().collect();
    let shown: Vec<Value> = page.iter().map(|image| show(image, cloud)).collect();
    let mut body = json!({"images": shown, "first": "/v2/images", "schema": "/v2/schemas/images"});
    let more = images.len() > start.saturating_add(page.len());
    if let (true, Some(last), Some(fields)) = (more, page.last(), body.as_object_mut()) {
        fields.insert("next".into(), json!(format!("/v2/images?{}", request.query_after(&last.id))));
    }
    Ok(Answer::ok(&body))
}

fn asked_for(image: &Image, request: &Request) -> bool {
    request.query.iter().all(|(key, value)| match key.as_str() {
        "limit" | "marker" | "sort" | "sort_key" | "sort_dir" | "member_status" | "os_hidden" | "owner"
        | "disk_format" | "container_format" => true,
        "name" => one_of(&image.name, value),
        "id" => one_of(&image.id, value),
        "status" => one_of(image.status.name(), value),
        "visibility" => value == "all" || image.visibility == *value,
        "tag" => image.tags.contains(value),
        "protected" => value.eq_ignore_ascii_case(if image.protected { "true" } else { "false" }),
        property => image.properties.get(property) == Some(value),
    })
}

/// Glance takes `in:a,b` where it takes one value.
fn one_of(own: &str, wanted: &str) -> bool {
    match wanted.strip_prefix("in:") {
        Some(list) => list.split(',').any(|one| one.trim_matches('"') == own),
        None => own == wanted,
    }
}

fn create(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let fields = body.as_object().ok_or_else(|| Refusal::bad_request("Malformed request body"))?;
    let mut cloud = sandbox.cloud();
    let given = fields.get("id").and_then(Value::as_str);
    let id = match given {
        Some(id) if cloud.images.contains_key(id) => {
            return Err(Refusal::conflict(format!("Image ID {id} already exists!")));
        }
        // The id becomes the name of a folder.
        Some(id) if id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
            return Err(Refusal::bad_request("Invalid image id format"));
        }
        Some(id) => id.to_string(),
        None => random::uuid(),
    };
    let now = Utc::now();
    let order = cloud.images_made;
    cloud.images_made = order.saturating_add(1);
    let mut image = Image {
        id: id.clone(),
        name: String::new(),
        status: ImageStatus::Queued,
        visibility: "shared".into(),
        protected: false,
        tags: Vec::new(),
        container_format: None,
        disk_format: None,
        min_disk_gb: 0,
        min_ram_mb: 0,
        size: None,
        created: now,
        updated: now,
        properties: std::collections::BTreeMap::new(),
        folder: sandbox.place.image_folder(&id),
        order,
    };
    for (key, value) in fields.iter().filter(|(key, _)| *key != "id") {
        set(&mut image, key, Some(value))?;
    }
    let shown = show(&image, &cloud);
    cloud.images.insert(id.clone(), image);
    let answer = Answer::json(StatusCode::CREATED, &shown);
    Ok(answer.with("location", format!("{}/image/v2/images/{id}", request.base)))
}

/// Sets a field or a property; `None` takes it away.
fn set(image: &mut Image, key: &str, value: Option<&Value>) -> Result<(), Refusal> {
    let wrong = || Refusal::bad_request(format!("Invalid value for '{key}'"));
    let text = || value.and_then(Value::as_str).map(String::from);
    let number = || value.and_then(Value::as_i64);
    match key {
        "name" => image.name = text().unwrap_or_default(),
        "visibility" => image.visibility = text().ok_or_else(wrong)?,
        "protected" => image.protected = value.and_then(Value::as_bool).ok_or_else(wrong)?,
        "tags" => {
            let tags = value.cloned().unwrap_or_else(|| json!([]));
            image.tags = serde_json::from_value(tags).map_err(|_| wrong())?;
        }
        "container_format" => image.container_format = text(),
        "disk_format" => image.disk_format = text(),
        "min_disk" => image.min_disk_gb = number().ok_or_else(wrong)?,
        "min_ram" => image.min_ram_mb = number().ok_or_else(wrong)?,
        "os_hidden" | "owner" => {}
        own if OWN_FIELDS.contains(&own) => {
            return Err(Refusal::forbidden(format!("Attribute '{own}' is read-only.")));
        }
        _ => match value {
            None => {
                image
                    .properties
                    .remove(key)
                    .ok_or_else(|| Refusal::conflict(format!("Property {key} does not exist.")))?;
            }
            Some(_) => {
                image.properties.insert(key.into(), text().ok_or_else(wrong)?);
            }
        },
    }
    Ok(())
}

/// PATCH with `application/openstack-images-v2.1-json-patch`: add, replace and remove of single fields.
fn update(cloud: &mut Cloud, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let changes = body.as_array().ok_or_else(|| Refusal::bad_request("Request body must be a JSON array"))?;
    let mut image = cloud.images.get(request.id()).ok_or_else(|| no_image(request.id()))?.clone();
    for change in changes {
        let text = |key: &str| change.get(key).and_then(Value::as_str);
        let path = text("path").and_then(|path| path.strip_prefix('/')).filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| Refusal::bad_request("Invalid JSON pointer"))?;
        let path = path.replace("~1", "/").replace("~0", "~");
        match text("op") {
            Some("add" | "replace") => {
                let value = change.get("value").ok_or_else(|| Refusal::bad_request("Missing 'value'"))?;
                set(&mut image, &path, Some(value))?;
            }
            Some("remove") => set(&mut image, &path, None)?,
            _ => return Err(Refusal::bad_request("Operation must be add, replace or remove")),
        }
    }
    image.updated = Utc::now();
    let shown = show(&image, cloud);
    cloud.images.insert(image.id.clone(), image);
    Ok(Answer::ok(&shown))
}

/// PUT file: the body goes to disk piece by piece, then the image is active. Servers booted from it get the
/// base tree, and on top of that what the file holds if it is a tar archive.
async fn store(sandbox: &Arc<Sandbox>, request: &Request, body: Body) -> Result<Answer, Refusal> {
    let folder = {
        let mut cloud = sandbox.cloud();
        let image = cloud.images.get_mut(request.id()).ok_or_else(|| no_image(request.id()))?;
        if image.status != ImageStatus::Queued {
            let message =
                format!("Image status transition from {} to saving is not allowed", image.status.name());
            return Err(Refusal::conflict(message));
        }
        if image.disk_format.is_none() || image.container_format.is_none() {
            return Err(Refusal::bad_request(
                "disk_format and container_format must be set before an upload",
            ));
        }
        image.status = ImageStatus::Saving;
        image.folder.clone()
    };
    let written = write_file(&folder, body).await;
    let size = match written {
        Ok(size) => sandbox.place.unpack_image(&folder).await.map(|()| size),
        Err(error) => Err(error),
    };
    let mut cloud = sandbox.cloud();
    let Some(image) = cloud.images.get_mut(request.id()) else {
        drop(cloud);
        lifecycle::discard(sandbox, folder);
        return Err(no_image(request.id()));
    };
    match size {
        Ok(size) => {
            image.status = ImageStatus::Active;
            image.size = Some(size);
            image.updated = Utc::now();
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        Err(error) => {
            tracing::warn!(%error, image = image.id, "upload failed");
            image.status = ImageStatus::Queued;
            Err(Refusal::bad_request(format!("The upload failed: {error}")))
        }
    }
}

async fn write_file(folder: &std::path::Path, body: Body) -> std::io::Result<u64> {
    tokio::fs::create_dir_all(folder).await?;
    let mut file = tokio::fs::File::create(folder.join("data")).await?;
    let mut pieces = body.into_data_stream();
    let mut size = 0_u64;
    while let Some(piece) = tokio::time::timeout(PIECE_DEADLINE, pieces.next()).await? {
        let piece = piece.map_err(std::io::Error::other)?;
        size = size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if size > LARGEST_FILE {
            return Err(std::io::Error::other("larger than the sandbox takes"));
        }
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    Ok(size)
}

async fn download(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let folder = {
        let cloud = sandbox.cloud();
        let image = cloud.images.get(request.id()).ok_or_else(|| no_image(request.id()))?;
        image.folder.clone()
    };
    let Ok(file) = tokio::fs::File::open(folder.join("data")).await else {
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    };
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(file));
    let answer = Answer { status: StatusCode::OK, headers: Vec::new(), body };
    Ok(answer.with("content-type", "application/octet-stream"))
}
