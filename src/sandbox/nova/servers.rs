//! Listing, showing, changing and deleting servers.

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::create::{metadata_fits, tags_fit};
use super::view::{View, addresses};
use super::{Microversion, no_server, page};
use crate::sandbox::http::{Answer, Refusal, Request};
use crate::sandbox::operation::Operation;
use crate::sandbox::state::{SecurityGroup, ServerRow, Status};
use crate::sandbox::{Sandbox, lifecycle};

/// The most rows in one answer, Nova's default.
const LARGEST_PAGE: usize = 1000;

/// `GET /servers` and `GET /servers/detail`.
pub(super) fn list(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    version: Microversion,
) -> Result<Answer, Refusal> {
    let lag = sandbox.dice().faults().listing_lag_seconds;
    let lag = std::time::Duration::try_from_secs_f64(lag).ok().and_then(|lag| TimeDelta::from_std(lag).ok());
    let when = lag.and_then(|lag| Utc::now().checked_sub_signed(lag)).unwrap_or_else(Utc::now);
    let since = request.parameter("changes-since").map(parse_time).transpose()?;
    let cloud = sandbox.cloud();
    let rows: Vec<&ServerRow> = cloud
        .newest_servers()
        .filter_map(|server| server.row_at(when))
        .filter(|row| match since {
            Some(since) => row.updated >= since,
            None => row.status != Status::Deleted,
        })
        .filter(|row| asked_for(row, request))
        .collect();
    let (rows, more) = page(rows, request, |row| row.id.as_str(), LARGEST_PAGE)?;
    let view = View { base: &request.base, cloud: &cloud, version };
    let detail = request.operation == Operation::ServerDetail;
    let shown: Vec<Value> =
        rows.iter().map(|row| if detail { view.detail(row) } else { view.brief(row) }).collect();
    let mut body = json!({ "servers": shown });
    if let (true, Some(last), Some(fields)) = (more, rows.last(), body.as_object_mut()) {
        let href = next_page(request, detail, &last.id);
        fields.insert("servers_links".into(), json!([{"rel": "next", "href": href}]));
    }
    Ok(Answer::ok(&body))
}

fn next_page(request: &Request, detail: bool, last: &str) -> String {
    let path = if detail { "servers/detail" } else { "servers" };
    format!("{}/compute/v2.1/{path}?{}", request.base, request.query_after(last))
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, Refusal> {
    let with_zone = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc));
    let time = with_zone
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()));
    let time = time.map_err(|_| {
        Refusal::bad_request(format!("Invalid input for query parameters changes-since. Value: {text}."))
    })?;
    // Nova compares whole seconds: what changed within that second is included.
    Ok(DateTime::from_timestamp(time.timestamp(), 0).unwrap_or(time))
}

fn asked_for(row: &ServerRow, request: &Request) -> bool {
    request.query.iter().all(|(key, value)| match key.as_str() {
        "name" => name_fits(&row.name, value),
        "status" => row.status.name().eq_ignore_ascii_case(value),
        "image" => row.image_id == *value,
        "flavor" => row.flavor.id == value,
        "key_name" => row.key_name.as_ref() == Some(value),
        "ip" => {
            let addresses = row.ports.iter().flat_map(|port| [Some(port.address), port.floating]);
            let wanted = value.trim_matches(['^', '$']);
            row.address_shown && addresses.flatten().any(|address| address.to_string().starts_with(wanted))
        }
        // Tags go with the server: Nova finds none on a deleted one.
        "tags" => row.status != Status::Deleted && value.split(',').all(|tag| has_tag(row, tag)),
        "tags-any" => row.status != Status::Deleted && value.split(',').any(|tag| has_tag(row, tag)),
        "not-tags" => !value.split(',').all(|tag| has_tag(row, tag)),
        "not-tags-any" => !value.split(',').any(|tag| has_tag(row, tag)),
        _ => true,
    })
}

fn has_tag(row: &ServerRow, tag: &str) -> bool {
    row.tags.iter().any(|own| own == tag)
}

/// Nova takes a regular expression; what clients send is a piece of a name, maybe anchored.
fn name_fits(name: &str, pattern: &str) -> bool {
    let (start, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (end, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
    let plain = rest.replace('\\', "");
    match (start, end) {
        (true, true) => name == plain,
        (true, false) => name.starts_with(&plain),
        (false, true) => name.ends_with(&plain),
        (false, false) => name.contains(&plain),
    }
}

/// `GET /servers/ID`.
pub(super) fn show(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    version: Microversion,
) -> Result<Answer, Refusal> {
    let mut cloud = sandbox.cloud();
    let row = cloud.server(request.id()).map(|server| server.row.clone());
    let row = row.ok_or_else(|| no_server(request.id()))?;
    let view = View { base: &request.base, cloud: &cloud, version };
    Ok(Answer::ok(&json!({"server": view.detail(&row)})))
}

/// `PUT /servers/ID`: name and description.
pub(super) fn update(
    sandbox: &Arc<Sandbox>,
    request: &Request,
    version: Microversion,
) -> Result<Answer, Refusal> {
    let body = request.json()?;
    {
        let mut cloud = sandbox.cloud();
        let server = cloud.server(request.id()).ok_or_else(|| no_server(request.id()))?;
        let text = |key: &str| body.pointer(key).and_then(Value::as_str).map(String::from);
        server.change(|row| {
            if let Some(name) = text("/server/name").filter(|name| !name.is_empty() && name.len() <= 255) {
                row.name = name;
            }
            if let Some(description) = text("/server/description") {
                row.description = Some(description);
            }
            row.updated = Utc::now();
        });
    }
    show(sandbox, request, version)
}

/// `DELETE /servers/ID`: 204 now, gone after the delete time; again while it goes is 204 too.
pub(super) fn delete(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let first = {
        let mut cloud = sandbox.cloud();
        let server = cloud.server(request.id()).ok_or_else(|| no_server(request.id()))?;
        let first = server.row.task_state != Some("deleting");
        if first {
            let status = server.row.status;
            server.enter(status, Some("deleting"));
        }
        first
    };
    if first {
        lifecycle::delete(sandbox, request.id());
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// `/servers/ID/metadata`: show, merge, replace, remove one key.
pub(super) fn metadata(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let mut cloud = sandbox.cloud();
    let server = cloud.server(request.id()).ok_or_else(|| no_server(request.id()))?;
    let mut metadata = server.row.metadata.clone();
    match request.operation {
        Operation::ServerMetadataShow => return Ok(Answer::ok(&json!({ "metadata": metadata }))),
        Operation::ServerMetadataRemove => {
            let key = request.ids.get(1).map_or("", String::as_str);
            metadata.remove(key).ok_or_else(|| Refusal::not_found("Metadata item was not found"))?;
        }
        operation => {
            let mut body = request.json()?;
            let given = body.get_mut("metadata").map(Value::take).unwrap_or_default();
            let given = serde_json::from_value(given).ok().filter(metadata_fits);
            let given =
                given.ok_or_else(|| Refusal::bad_request("Invalid input for field/attribute metadata."))?;
            if operation == Operation::ServerMetadataReplace {
                metadata.clear();
            }
            metadata.extend(given);
            if metadata.len() > 128 {
                return Err(Refusal::forbidden("Maximum number of metadata items exceeds 128"));
            }
        }
    }
    server.change(|row| {
        row.metadata.clone_from(&metadata);
        row.updated = Utc::now();
    });
    Ok(match request.operation {
        Operation::ServerMetadataRemove => Answer::empty(StatusCode::NO_CONTENT),
        _ => Answer::ok(&json!({ "metadata": metadata })),
    })
}

/// `/servers/ID/tags`: show and replace.
pub(super) fn tags(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let mut cloud = sandbox.cloud();
    let server = cloud.server(request.id()).ok_or_else(|| no_server(request.id()))?;
    if request.operation == Operation::ServerTagsReplace {
        let mut body = request.json()?;
        let tags = body.get_mut("tags").map(Value::take).unwrap_or_default();
        let tags: Option<Vec<String>> = serde_json::from_value(tags).ok();
        let tags = tags.filter(|tags| tags_fit(tags));
        let tags = tags.ok_or_else(|| Refusal::bad_request("Invalid input for field/attribute tags."))?;
        server.change(|row| row.tags = tags);
    }
    Ok(Answer::ok(&json!({ "tags": server.row.tags })))
}

/// The lists that hang on a server.
pub(super) fn parts(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let mut cloud = sandbox.cloud();
    let row = cloud.server(request.id()).map(|server| server.row.clone());
    let row = row.ok_or_else(|| no_server(request.id()))?;
    let fixtures = &cloud.fixtures;
    Ok(Answer::ok(&match request.operation {
        Operation::ServerAddresses => json!({"addresses": addresses(&row, fixtures)}),
        Operation::ServerSecurityGroups => {
            let of_row = |group: &&SecurityGroup| row.security_groups.contains(&group.id);
            let groups = cloud.security_groups.iter().filter(of_row).map(|group| {
                json!({"id": group.id, "name": group.name, "description": group.description,
                    "tenant_id": fixtures.project, "rules": []})
            });
            json!({"security_groups": groups.collect::<Value>()})
        }
        Operation::ServerVolumes => {
            let volumes = row
                .volume
                .iter()
                .map(|(id, _)| json!({"id": id, "volumeId": id, "serverId": row.id, "device": "/dev/vda"}));
            json!({"volumeAttachments": volumes.collect::<Value>()})
        }
        _ if !row.address_shown => json!({"interfaceAttachments": []}),
        _ => {
            let interfaces = row.ports.iter().map(|port| {
                let subnet = fixtures.network(&port.network).map(|network| &network.subnet);
                json!({"port_id": port.id, "net_id": port.network, "mac_addr": port.mac, "port_state": "ACTIVE",
                    "fixed_ips": [{"subnet_id": subnet, "ip_address": port.address}]})
            });
            json!({"interfaceAttachments": interfaces.collect::<Value>()})
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_piece_and_by_anchor() {
        assert!(name_fits("trusty-1", "usty"));
        assert!(name_fits("trusty-1", "^trusty-1$"));
        assert!(name_fits("trusty-1", "^trusty\\-1$"));
        assert!(!name_fits("trusty-10", "^trusty-1$"));
        assert!(!name_fits("trusty", "^rusty"));
    }

    #[test]
    fn changes_since_has_whole_seconds() {
        let whole = parse_time("2026-11-21T10:00:00Z").unwrap();
        assert_eq!(parse_time("2026-11-21T10:00:00.9Z").unwrap(), whole);
        assert_eq!(parse_time("2026-11-21T10:00:00").unwrap(), whole);
        assert_eq!(parse_time("2026-11-21T11:00:00+01:00").unwrap(), whole);
        assert!(parse_time("yesterday").is_err());
    }
}
