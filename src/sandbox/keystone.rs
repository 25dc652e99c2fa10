//! Keystone v3, as much as a client needs to get a token and a catalogue: one domain, one project, one user
//! and one application credential.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::http::{Answer, Refusal, Request};
use super::operation::Operation;
use super::settings::{NAME, REGION};
use super::state::{Fixtures, Token};
use super::{Sandbox, random};

const TOKEN_HEADER: &str = "x-auth-token";
const SUBJECT_HEADER: &str = "x-subject-token";

/// Answers a request below `/identity`.
pub(crate) fn answer(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    match request.operation {
        Operation::IdentityVersions => {
            let versions = json!({"versions": {"values": [version(&request.base)]}});
            Ok(Answer::json(StatusCode::MULTIPLE_CHOICES, &versions))
        }
        Operation::IdentityVersion => Ok(Answer::ok(&json!({"version": version(&request.base)}))),
        Operation::TokenCreate => create_token(sandbox, request),
        Operation::TokenShow => {
            let id = request.header(SUBJECT_HEADER).unwrap_or_default();
            let (token, fixtures) = {
                let cloud = sandbox.cloud();
                (cloud.tokens.get(id).cloned(), cloud.fixtures.clone())
            };
            let token = token.filter(|token| token.expires > Utc::now());
            let token = token.ok_or_else(|| not_found("token"))?;
            Ok(Answer::ok(&token_body(&token, &fixtures, &request.base)).with(SUBJECT_HEADER, id))
        }
        Operation::TokenRevoke => {
            let id = request.header(SUBJECT_HEADER).unwrap_or_default();
            sandbox.cloud().tokens.remove(id).ok_or_else(|| not_found("token"))?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        Operation::CatalogShow => Ok(Answer::ok(&json!({
            "catalog": catalog(&request.base, &sandbox.cloud().fixtures.project),
            "links": {"self": format!("{}/identity/v3/auth/catalog", request.base)},
        }))),
        Operation::ScopedProjects | Operation::ProjectList => {
            let project = project(&sandbox.cloud().fixtures);
            Ok(Answer::ok(&json!({"projects": [project], "links": {"next": null, "previous": null}})))
        }
        Operation::ProjectShow => {
            let fixtures = sandbox.cloud().fixtures.clone();
            let known = request.id() == fixtures.project;
            known
                .then(|| Answer::ok(&json!({"project": project(&fixtures)})))
                .ok_or_else(|| not_found("project"))
        }
        Operation::UserShow => {
            let fixtures = sandbox.cloud().fixtures.clone();
            let user = json!({"id": fixtures.user, "name": NAME, "domain_id": fixtures.domain, "enabled": true,
                "default_project_id": fixtures.project, "password_expires_at": null, "options": {}});
            let known = request.id() == fixtures.user;
            known.then(|| Answer::ok(&json!({"user": user}))).ok_or_else(|| not_found("user"))
        }
        _ => Err(Refusal::not_found("The resource could not be found.")),
    }
}

/// Whether the request carries a token that is valid now.
pub(crate) fn knows_token(sandbox: &Sandbox, headers: &HeaderMap) -> bool {
    let token = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let cloud = sandbox.cloud();
    let token = token.and_then(|token| cloud.tokens.get(token));
    token.is_some_and(|token| token.expires > Utc::now())
}

fn not_found(what: &str) -> Refusal {
    Refusal::not_found(format!("Could not find {what}."))
}

fn version(base: &str) -> Value {
    json!({
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{base}/identity/v3/")}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

fn create_token(sandbox: &Arc<Sandbox>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let fixtures = sandbox.cloud().fixtures.clone();
    let auth = body.get("auth").ok_or_else(|| Refusal::bad_request("'auth' is a required property"))?;
    let method = checked_method(sandbox, &fixtures, auth)?;
    check_scope(&fixtures, auth)?;
    let issued = Utc::now();
    let life = TimeDelta::from_std(sandbox.settings.token_life).unwrap_or(TimeDelta::hours(1));
    let expires = issued.checked_add_signed(life).unwrap_or(issued);
    let token = Token { method, issued, expires };
    let id = format!("gAAAAA{}{}", random::secret(), random::secret());
    let answer = Answer::json(StatusCode::CREATED, &token_body(&token, &fixtures, &request.base));
    let mut cloud = sandbox.cloud();
    cloud.drop_old_tokens();
    cloud.tokens.insert(id.clone(), token);
    Ok(answer.with(SUBJECT_HEADER, id))
}

/// Which of the methods asked for proves who it is. Keystone wants all of them; clients send one.
fn checked_method(sandbox: &Sandbox, fixtures: &Fixtures, auth: &Value) -> Result<&'static str, Refusal> {
    let identity = auth.get("identity").ok_or_else(Refusal::unauthorized)?;
    let methods = identity.get("methods").and_then(Value::as_array).ok_or_else(Refusal::unauthorized)?;
    let asked = |name: &str| methods.iter().any(|method| method == name);
    if asked("password") {
        let user = identity.pointer("/password/user").ok_or_else(Refusal::unauthorized)?;
        let right =
            user_is_ours(fixtures, user) && secret_is(user.get("password"), &sandbox.settings.password);
        return if right { Ok("password") } else { Err(Refusal::unauthorized()) };
    }
    if asked("application_credential") {
        let given = identity.get("application_credential").ok_or_else(Refusal::unauthorized)?;
        let by_id = given.get("id").is_some_and(|id| id == &application_credential_id(fixtures));
        let by_name = given.get("name").is_some_and(|name| name == NAME)
            && given.get("user").is_some_and(|user| user_is_ours(fixtures, user));
        let right =
            (by_id || by_name) && secret_is(given.get("secret"), &sandbox.settings.application_secret);
        return if right { Ok("application_credential") } else { Err(Refusal::unauthorized()) };
    }
    if asked("token") {
        let id = identity.pointer("/token/id").and_then(Value::as_str).unwrap_or_default();
        let cloud = sandbox.cloud();
        let known = cloud.tokens.get(id).is_some_and(|token| token.expires > Utc::now());
        return if known { Ok("token") } else { Err(Refusal::unauthorized()) };
    }
    Err(Refusal::unauthorized())
}

/// The application credential's id: fixed per sandbox, so that it can stand in a file.
pub(crate) fn application_credential_id(fixtures: &Fixtures) -> String {
    fixtures.application_credential.clone()
}

fn secret_is(given: Option<&Value>, wanted: &SecretString) -> bool {
    given.and_then(Value::as_str) == Some(wanted.expose_secret())
}

fn user_is_ours(fixtures: &Fixtures, user: &Value) -> bool {
    match user.get("id") {
        Some(id) => id == &fixtures.user,
        None => {
            user.get("name").is_some_and(|name| name == NAME)
                && user.get("domain").is_none_or(|domain| domain_is_ours(fixtures, domain))
        }
    }
}

fn domain_is_ours(fixtures: &Fixtures, domain: &Value) -> bool {
    domain.get("id").is_some_and(|id| id == fixtures.domain)
        || domain.get("name").is_some_and(|name| name == "Default")
}

/// A scope other than our project is refused, as Keystone refuses a project without a role.
fn check_scope(fixtures: &Fixtures, auth: &Value) -> Result<(), Refusal> {
    let Some(project) = auth.pointer("/scope/project") else { return Ok(()) };
    let ours = match project.get("id") {
        Some(id) => id == &fixtures.project,
        None => {
            project.get("name").is_some_and(|name| name == NAME)
                && project.get("domain").is_none_or(|domain| domain_is_ours(fixtures, domain))
        }
    };
    if ours { Ok(()) } else { Err(Refusal::unauthorized()) }
}

fn token_body(token: &Token, fixtures: &Fixtures, base: &str) -> Value {
    let domain = json!({"id": fixtures.domain, "name": "Default"});
    json!({"token": {
        "methods": [token.method],
        "user": {"id": fixtures.user, "name": NAME, "domain": domain, "password_expires_at": null},
        "audit_ids": [fixtures.user.get(..22).unwrap_or_default()],
        "issued_at": micros(token.issued), "expires_at": micros(token.expires),
        "project": {"id": fixtures.project, "name": NAME, "domain": domain}, "is_domain": false,
        "roles": [{"id": fixtures.role, "name": "member"}],
        "catalog": catalog(base, &fixtures.project),
    }})
}

fn micros(when: DateTime<Utc>) -> String {
    when.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn project(fixtures: &Fixtures) -> Value {
    json!({"id": fixtures.project, "name": NAME, "domain_id": fixtures.domain, "parent_id": fixtures.domain,
        "enabled": true, "is_domain": false, "description": "", "tags": [], "options": {}})
}

fn catalog(base: &str, project: &str) -> Value {
    let services = [
        ("keystone", "identity", "/identity"),
        ("nova", "compute", "/compute/v2.1"),
        ("glance", "image", "/image"),
        ("neutron", "network", "/network"),
        ("cinder", "volumev3", &format!("/volume/v3/{project}")),
    ];
    services
        .iter()
        .map(|(name, kind, path)| {
            let endpoint = |interface: &str| {
                json!({"id": format!("{name}-{interface}"), "interface": interface, "region": REGION,
                    "region_id": REGION, "url": format!("{base}{path}")})
            };
            let endpoints = ["public", "internal", "admin"].map(endpoint);
            json!({"id": name, "name": name, "type": kind, "endpoints": endpoints})
        })
        .collect()
}
