//! Nova 2.1 with microversions, as much as clients need to boot, list, snapshot and delete servers.

mod actions;
mod catalogue;
mod create;
mod servers;
mod view;

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::Sandbox;
use super::http::{Answer, Refusal, Request};
use super::operation::Operation;

/// The newest microversion that is answered: 2.93, that of the Zed release.
const NEWEST: Microversion = Microversion(93);

/// The minor number of a microversion; the major one is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Microversion(pub(crate) u16);

impl Microversion {
    /// Reads it from either of the two headers; 2.1 without one.
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let new = text("openstack-api-version").and_then(|value| {
            value.split(',').find_map(|part| part.trim().strip_prefix("compute ").map(str::trim))
        });
        let Some(wanted) = new.or_else(|| text("x-openstack-nova-api-version")) else {
            return Ok(Microversion(1));
        };
        if wanted == "latest" {
            return Ok(NEWEST);
        }
        let minor = wanted.strip_prefix("2.").and_then(|minor| minor.parse().ok()).map(Microversion);
        match minor {
            Some(version) if (Microversion(1)..=NEWEST).contains(&version) => Ok(version),
            _ => Err(Refusal::new(
                StatusCode::NOT_ACCEPTABLE,
                format!(
                    "Version {wanted} is not supported by the API. Minimum is 2.1 and maximum is 2.{}.",
                    NEWEST.0
                ),
            )),
        }
    }
}

/// Answers a request below `/compute`.
pub(crate) fn answer(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let version = Microversion::of(&request.headers)?;
    let answer = match request.operation {
        Operation::ComputeVersions => Ok(Answer::ok(&json!({"versions": [discovery(&request.base)]}))),
        Operation::ComputeVersion => Ok(Answer::ok(&json!({"version": discovery(&request.base)}))),
        Operation::ServerCreate => create::create(sandbox, request, version),
        Operation::ServerDetail | Operation::ServerNames => servers::list(sandbox, request, version),
        Operation::ServerShow => servers::show(sandbox, request, version),
        Operation::ServerUpdate => servers::update(sandbox, request, version),
        Operation::ServerDelete => servers::delete(sandbox, request),
        Operation::ServerSnapshot => actions::create_image(sandbox, request, version),
        Operation::ServerConsole => actions::console(sandbox, request),
        Operation::ServerReboot => actions::reboot(sandbox, request),
        Operation::ServerAction => Err(actions::unknown(request)),
        Operation::ServerMetadataShow
        | Operation::ServerMetadataMerge
        | Operation::ServerMetadataReplace
        | Operation::ServerMetadataRemove => servers::metadata(sandbox, request),
        Operation::ServerTagsShow | Operation::ServerTagsReplace => servers::tags(sandbox, request),
        Operation::ServerAddresses
        | Operation::ServerSecurityGroups
        | Operation::ServerInterfaces
        | Operation::ServerVolumes => servers::parts(sandbox, request),
        _ => catalogue::answer(sandbox, request, version),
    };
    answer.map(|answer| {
        answer
            .with("openstack-api-version", format!("compute 2.{}", version.0))
            .with("x-openstack-nova-api-version", format!("2.{}", version.0))
            .with("vary", "OpenStack-API-Version, X-OpenStack-Nova-API-Version")
    })
}

fn discovery(base: &str) -> Value {
    json!({
        "id": "v2.1", "status": "CURRENT", "version": format!("2.{}", NEWEST.0), "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{base}/compute/v2.1/")},
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"}],
        "media-types": [{"base": "application/json",
            "type": "application/vnd.openstack.compute+json;version=2.1"}],
    })
}

/// A time as Nova writes it.
pub(crate) fn time(when: DateTime<Utc>) -> String {
    when.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The 404 of a server.
fn no_server(id: &str) -> Refusal {
    Refusal::not_found(format!("Instance {id} could not be found."))
}

/// Sorted page of a listing: what comes after `marker`, at most `limit`, and whether more follow.
fn page<T>(
    rows: Vec<T>,
    request: &Request,
    id: impl Fn(&T) -> &str,
    largest: usize,
) -> Result<(Vec<T>, bool), Refusal> {
    let limit = match request.parameter("limit") {
        None => largest,
        Some(text) => {
            let limit: usize = text.parse().map_err(|_| {
                Refusal::bad_request(format!("Invalid input for query parameters limit. Value: {text}."))
            })?;
            if limit == 0 { largest } else { limit.min(largest) }
        }
    };
    let start = match request.parameter("marker") {
        None => 0,
        Some(marker) => {
            let found = rows.iter().position(|row| id(row) == marker);
            found
                .ok_or_else(|| Refusal::bad_request(format!("marker [{marker}] not found")))?
                .saturating_add(1)
        }
    };
    let more = rows.len() > start.saturating_add(limit);
    Ok((rows.into_iter().skip(start).take(limit).collect(), more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &'static str, value: &'static str) -> Option<Microversion> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Microversion::of(&headers).ok()
    }

    #[test]
    fn both_headers_name_a_microversion() {
        assert_eq!(Microversion::of(&HeaderMap::new()).unwrap(), Microversion(1));
        assert_eq!(of("openstack-api-version", "compute 2.53"), Some(Microversion(53)));
        assert_eq!(of("openstack-api-version", "volume 3.1, compute 2.52"), Some(Microversion(52)));
        assert_eq!(of("x-openstack-nova-api-version", "2.93"), Some(Microversion(93)));
        assert_eq!(of("x-openstack-nova-api-version", "latest"), Some(NEWEST));
        assert_eq!(of("x-openstack-nova-api-version", "2.94"), None);
        assert_eq!(of("openstack-api-version", "compute 3.0"), None);
    }
}
