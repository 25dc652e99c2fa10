//! One exchange with Keystone: who we are goes there, a token and the catalogue come back.
//!
//! Wire: `POST /v3/auth/tokens` of the Identity API v3.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderValue;
use reqwest::{Client, Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::catalog::Entry;
use super::failure::{self, Refusal};
use super::keystone::Login;
use super::lenient::{lenient, lenient_list};
use super::settings::{Credential, Domain, Identity, Named};
use super::transport::{self, ANSWER_LIMIT, Reading};
use crate::cloud::CloudError;

/// The life of a token that does not tell it.
const UNKNOWN_LIFE: Duration = Duration::from_mins(30);

/// The shortest life that is believed: one of zero would mean a login for each request.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// The place of Keystone's tokens, from the URL that the operator gave: with or without a version, which may be the
/// v2.0 of old configurations.
pub(super) fn tokens_url(auth_url: &str) -> Result<Url, CloudError> {
    let wrong = || CloudError::Rejected("the auth URL is not an http or https URL".to_owned());
    let mut url = Url::parse(auth_url).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        // It would be seen wherever the URL is.
        return Err(CloudError::Rejected("the auth URL must not hold a user or a password".to_owned()));
    }
    let versioned =
        url.path().trim_end_matches('/').rsplit('/').next().is_some_and(super::catalog::is_version);
    let mut path = url.path_segments_mut().map_err(|()| wrong())?;
    path.pop_if_empty();
    if versioned {
        path.pop();
    }
    path.extend(["v3", "auth", "tokens"]);
    drop(path);
    Ok(url)
}

/// Where Keystone v3 is, by Keystone's own list of its versions, when it is not where the configuration says.
///
/// Only the path of the link that Keystone writes is taken: behind a proxy its host is often one that only the cloud can
/// reach. `None` when Keystone has no v3, or no list.
pub(super) async fn discover(http: &Client, tokens: &Url, deadline: Duration) -> Option<Url> {
    let mut places = Vec::new();
    let mut above = tokens.clone();
    if let Ok(mut path) = above.path_segments_mut() {
        // `v3/auth/tokens`, up to where versions are listed.
        path.pop().pop().pop().push("");
    }
    places.push(above.clone());
    above.set_path("/");
    places.push(above);
    places.dedup();
    for place in places {
        let answer = transport::exchange(http.get(place.clone()), deadline, Reading::Whole(ANSWER_LIMIT))
            .await
            .ok()?;
        // Keystone lists its versions with the status 300.
        let listed = answer.status.is_success() || answer.status.as_u16() == 300;
        let read: Option<Versions> = listed.then(|| serde_json::from_slice(&answer.body).ok()).flatten();
        let Some(link) = read.and_then(Versions::third) else { continue };
        let path = place.join(&link).ok()?.path().to_owned();
        let mut found = place;
        found.set_path(&path);
        if let Ok(mut path) = found.path_segments_mut() {
            path.pop_if_empty().extend(["auth", "tokens"]);
        }
        return Some(found);
    }
    None
}

/// Puts the token on a request.
pub(super) fn with_token(request: RequestBuilder, login: &Login) -> RequestBuilder {
    match HeaderValue::from_str(login.token.expose_secret()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header("X-Auth-Token", value)
        }
        // The token came from a header, so it fits into one; without it the service answers 401.
        Err(_) => request,
    }
}

/// Logs in once.
///
/// # Errors
/// `AuthFailed` when Keystone refuses, `Throttled` when it asks to wait, `Transient` when it cannot be reached, `NotFound`
/// when there is no Keystone v3 at this URL.
pub(super) async fn log_in(
    http: &Client,
    url: &Url,
    identity: &Identity,
    deadline: Duration,
) -> Result<Login, CloudError> {
    let request = http.post(url.clone()).json(&body(identity));
    let answer = transport::exchange(request, deadline, Reading::Whole(ANSWER_LIMIT))
        .await
        .map_err(|text| CloudError::Transient(format!("Keystone: {text}")))?;
    if !answer.status.is_success() {
        return Err(refusal(&answer, identity));
    }
    let token = answer.headers.get("X-Subject-Token").and_then(|value| value.to_str().ok());
    let read: Result<Root, _> = serde_json::from_slice(&answer.body);
    match (token, read) {
        (Some(token), Ok(Root { token: body })) => Ok(Login {
            token: SecretString::from(token.to_owned()),
            life: life(&body),
            project: body.project.map(|project| project.id),
            catalog: body.catalog,
            since: Instant::now(),
            after_refusal: false,
        }),
        (None, _) => Err(CloudError::AuthFailed("Keystone's answer has no token".to_owned())),
        // The parser's words could quote the answer, so they are left out.
        (_, Err(_)) => Err(CloudError::AuthFailed("Keystone's answer cannot be read".to_owned())),
    }
}

/// What Keystone's refusal means: wait, try again, or that we are not let in.
fn refusal(answer: &transport::Answer, identity: &Identity) -> CloudError {
    let message = failure::redact(&failure::message(&answer.body), &[identity.secret()]);
    let refusal = Refusal {
        method: &Method::GET,
        status: answer.status,
        retry_after: failure::retry_after(&answer.headers, Utc::now()),
        message: &message,
        text: failure::text("Keystone", answer, &message),
    };
    match refusal.into_failure().error {
        waiting @ (CloudError::Transient(_) | CloudError::Throttled { .. }) => waiting,
        CloudError::NotFound(text) => CloudError::NotFound(text),
        CloudError::Quota(text) | CloudError::Rejected(text) | CloudError::AuthFailed(text) => {
            CloudError::AuthFailed(text)
        }
    }
}

/// The body of the request.
fn body(identity: &Identity) -> Value {
    match identity {
        Identity::Password { user, password, project } => {
            let mut user = named(user);
            if let Some(user) = user.as_object_mut() {
                user.insert("password".to_owned(), password.expose_secret().into());
            }
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": named(project)},
            }})
        }
        Identity::ApplicationCredential { credential, secret } => {
            let secret = secret.expose_secret();
            let credential = match credential {
                Credential::Id(id) => json!({"id": id, "secret": secret}),
                Credential::Name { name, user } => {
                    json!({"name": name, "user": named(user), "secret": secret})
                }
            };
            let methods = ["application_credential"];
            json!({"auth": {"identity": {"methods": methods, "application_credential": credential}}})
        }
    }
}

fn named(who: &Named) -> Value {
    match who {
        Named::Id(id) => json!({"id": id}),
        Named::Name { name, domain: Domain::Id(id) } => json!({"name": name, "domain": {"id": id}}),
        Named::Name { name, domain: Domain::Name(domain) } => {
            json!({"name": name, "domain": {"name": domain}})
        }
    }
}

/// How long the token lives, from Keystone's own two times: its clock may differ from ours.
fn life(token: &Token) -> Duration {
    let read = |text: &Option<String>| DateTime::parse_from_rfc3339(text.as_deref()?).ok();
    let told = read(&token.expires_at).zip(read(&token.issued_at));
    let life = told.and_then(|(end, start)| end.signed_duration_since(start).to_std().ok());
    life.unwrap_or(UNKNOWN_LIFE).max(SHORTEST_LIFE)
}

/// Keystone's list of its versions.
#[derive(Deserialize)]
struct Versions {
    versions: VersionValues,
}

#[derive(Deserialize)]
struct VersionValues {
    #[serde(default, deserialize_with = "lenient_list")]
    values: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    id: String,
    #[serde(default, deserialize_with = "lenient_list")]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
    href: String,
}

impl Versions {
    /// The link of v3.
    fn third(self) -> Option<String> {
        let is_third = |version: &Version| version.id == "v3" || version.id.starts_with("v3.");
        let third = self.versions.values.into_iter().find(is_third)?;
        third.links.into_iter().find(|link| link.rel == "self").map(|link| link.href)
    }
}

#[derive(Deserialize)]
struct Root {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default, deserialize_with = "lenient")]
    expires_at: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    issued_at: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    project: Option<Project>,
    #[serde(default, deserialize_with = "lenient_list")]
    catalog: Vec<Entry>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let third = serde_json::from_slice::<Versions>(body).ok().and_then(Versions::third);
    let root = serde_json::from_slice::<Root>(body);
    let told = root.map(|root| (life(&root.token), root.token.project.map(|project| project.id)));
    std::hint::black_box((third, told.ok()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_auth_url_with_any_version_or_none() {
        for (given, expected) in [
            ("http://host:5000", "http://host:5000/v3/auth/tokens"),
            ("http://host:5000/", "http://host:5000/v3/auth/tokens"),
            ("http://host:5000/v3", "http://host:5000/v3/auth/tokens"),
            ("http://host:5000/v2.0/", "http://host:5000/v3/auth/tokens"),
            ("https://host/identity", "https://host/identity/v3/auth/tokens"),
            ("https://host/identity/v3/", "https://host/identity/v3/auth/tokens"),
        ] {
            assert_eq!(tokens_url(given).unwrap().as_str(), expected);
        }
        assert!(tokens_url("host:5000").is_err());
        assert!(
            tokens_url("http://user:word@host:5000").is_err_and(|error| !error.to_string().contains("word@"))
        );
        assert!(tokens_url("").is_err());
    }
}
