//! Logging in: Keystone v3 tokens, renewed before they expire and replaced when a service no longer accepts them.
//!
//! One task logs in at a time and has a deadline; a failure is remembered for a moment, so that a hundred waiting tasks
//! do not ask a hundred times. While a token still lives, nobody waits for its renewal.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use openstack::auth::AuthType;
use openstack::{EndpointFilters, Error, ErrorKind};
use reqwest::{Client, RequestBuilder, Url};
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::catalog::{self, Choice, Entry, Service};
use super::failure;
use super::login;
use super::settings::{Identity, Settings};
use crate::cloud::CloudError;

/// How long a failed login is repeated to whoever asks, and how soon a new token is believed to be of no use either
/// when a service refuses it.
const PAUSE: Duration = Duration::from_secs(5);

/// Where and as whom to log in, and the token of the moment.
pub(super) struct Keystone {
    http: Client,
    /// Where tokens are got: by the configuration at first, then where Keystone says that its v3 is.
    url: ArcSwap<Url>,
    identity: Identity,
    choice: Choice,
    deadline: Duration,
    current: ArcSwapOption<Login>,
    /// Set when a service refused the last token, until the next login.
    refused: AtomicBool,
    /// Held while logging in; when and how the last attempt failed.
    flight: Mutex<Option<(Instant, CloudError)>>,
}

/// A token and what came with it.
pub(super) struct Login {
    /// The token.
    pub(super) token: SecretString,
    /// The project that it is scoped to.
    pub(super) project: Option<String>,
    /// Where the services are.
    pub(super) catalog: Vec<Entry>,
    /// When it was got.
    pub(super) since: Instant,
    /// How long it lives from then on.
    pub(super) life: Duration,
    /// Whether it replaced a token that a service refused.
    pub(super) after_refusal: bool,
}

impl Login {
    fn is_alive(&self) -> bool {
        self.since.elapsed() < self.life
    }

    /// Whether it need not be renewed yet: ten minutes before its end, or later if it lives for less than 40 minutes.
    fn is_fresh(&self) -> bool {
        let margin = Duration::from_mins(10).min(self.life.checked_div(4).unwrap_or_default());
        self.since.elapsed() < self.life.saturating_sub(margin)
    }
}

impl Keystone {
    /// Prepares to log in; asks nothing yet.
    pub(super) fn new(http: Client, url: Url, settings: Settings) -> Self {
        let Settings { identity, region, interface, compute_type, compute_name, .. } = settings;
        let deadline = settings.api_timeout;
        Self {
            http,
            url: ArcSwap::from_pointee(url),
            identity,
            choice: Choice { region, interface, compute_type, compute_name },
            deadline,
            current: ArcSwapOption::empty(),
            refused: AtomicBool::new(false),
            flight: Mutex::new(None),
        }
    }

    /// The current token, got from Keystone if there is none or it nears its end.
    pub(super) async fn login(&self) -> Result<Arc<Login>, CloudError> {
        let known = self.current.load_full();
        let mut failure = match known.filter(|login| login.is_alive()) {
            Some(login) if login.is_fresh() => return Ok(login),
            Some(login) => match self.flight.try_lock() {
                Ok(flight) => flight,
                Err(_) => return Ok(login),
            },
            None => self.flight.lock().await,
        };
        let alive = self.current.load_full().filter(|login| login.is_alive());
        if let Some(login) = alive.as_ref().filter(|login| login.is_fresh()) {
            return Ok(login.clone());
        }
        let recent = failure.as_ref().filter(|(at, _)| at.elapsed() < PAUSE);
        if let Some((_, error)) = recent {
            return alive.ok_or_else(|| error.clone());
        }
        match self.log_in().await {
            Ok(mut login) => {
                login.after_refusal = self.refused.swap(false, Ordering::Relaxed);
                let login = Arc::new(login);
                self.current.store(Some(login.clone()));
                *failure = None;
                Ok(login)
            }
            Err(error) => {
                *failure = Some((Instant::now(), error.clone()));
                alive.ok_or(error)
            }
        }
    }

    /// Logs in where the configuration says, or where Keystone says that its v3 is.
    async fn log_in(&self) -> Result<Login, CloudError> {
        let url = self.url.load_full();
        let outcome = login::log_in(&self.http, &url, &self.identity, self.deadline).await;
        let Err(CloudError::NotFound(text)) = outcome else { return outcome };
        let nowhere = || CloudError::AuthFailed(format!("the auth URL does not lead to Keystone v3: {text}"));
        let found = login::discover(&self.http, &url, self.deadline).await;
        let found = found.filter(|found| *found != *url).ok_or_else(nowhere)?;
        let login = login::log_in(&self.http, &found, &self.identity, self.deadline).await;
        let login = login.map_err(|error| match error {
            CloudError::NotFound(_) => nowhere(),
            other => other,
        })?;
        warn!(configured = %url, used = %found, "Keystone v3 is not at the auth URL; it was found at the same host");
        self.url.store(Arc::new(found));
        Ok(login)
    }

    /// Notes that a service refused this token. Says whether another attempt makes sense: not if the token is itself the
    /// fresh replacement of a refused one, for then the fault is not the token's.
    pub(super) fn refuse(&self, login: &Arc<Login>) -> bool {
        if login.after_refusal && login.since.elapsed() < PAUSE {
            return false;
        }
        let current = self.current.load_full();
        if current.is_some_and(|current| Arc::ptr_eq(&current, login)) {
            self.refused.store(true, Ordering::Relaxed);
            self.current.store(None);
        }
        true
    }

    /// Takes the secrets out of a text that a service wrote.
    pub(super) fn redact(&self, text: &str, login: &Login) -> String {
        failure::redact(text, &[self.identity.secret(), &login.token])
    }
}

/// Keystone as the session of the `openstack` crate wants it. Clones share one login.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Arc<Keystone>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystone").field("url", &self.0.url.load().as_str()).finish_non_exhaustive()
    }
}

#[async_trait]
impl AuthType for Shared {
    async fn authenticate(&self, _client: &Client, request: RequestBuilder) -> Result<RequestBuilder, Error> {
        let login = self.0.login().await.map_err(|error| session_error(&error))?;
        Ok(login::with_token(request, &login))
    }

    async fn get_endpoint(
        &self,
        _client: &Client,
        service_type: &str,
        _filters: &EndpointFilters,
    ) -> Result<Url, Error> {
        let login = self.0.login().await.map_err(|error| session_error(&error))?;
        let service = Service::from_type(service_type);
        let url = service.and_then(|service| catalog::endpoint(&login.catalog, service, &self.0.choice));
        url.ok_or_else(|| {
            let Choice { region, interface, .. } = &self.0.choice;
            let region = region.as_deref().unwrap_or("any");
            let wanted = service.map_or_else(
                || format!("a {service_type} service"),
                |service| self.0.choice.describe(service),
            );
            let text = format!("the catalogue has no {interface} URL of {wanted} in region {region}");
            Error::new(ErrorKind::EndpointNotFound, text)
        })
    }

    /// Nothing: each request gets the current token, and the session calls this at its start, when the cloud may be
    /// out of reach.
    async fn refresh(&self, _client: &Client) -> Result<(), Error> {
        Ok(())
    }
}

fn session_error(error: &CloudError) -> Error {
    let kind = match error {
        CloudError::AuthFailed(_) => ErrorKind::AuthenticationFailed,
        _ => ErrorKind::ProtocolError,
    };
    Error::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::matchers::method;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::super::settings::Named;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// A Keystone that answers like this, asked with a token in hand that was got so long ago.
    async fn keystone(status: u16, age: Duration) -> (Keystone, MockServer) {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).insert_header("X-Subject-Token", "new").set_body_json(json!({
            "token": {"issued_at": "2026-11-21T10:00:00Z", "expires_at": "2026-11-21T11:00:00Z", "catalog": []}}));
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let identity = Identity::Password {
            user: Named::Id("u".into()),
            password: "p".into(),
            project: Named::Id("p".into()),
        };
        let settings = Settings {
            auth_url: server.uri(),
            identity,
            region: None,
            interface: "public".into(),
            compute_type: None,
            compute_name: None,
            ca_file: None,
            verify: true,
            api_timeout: Duration::from_secs(20),
        };
        let url = login::tokens_url(&server.uri()).unwrap();
        let keystone = Keystone::new(Client::new(), url, settings);
        let old = Login {
            token: "old".into(),
            project: None,
            catalog: Vec::new(),
            since: Instant::now().checked_sub(age).unwrap(),
            life: HOUR,
            after_refusal: false,
        };
        keystone.current.store(Some(Arc::new(old)));
        (keystone, server)
    }

    async fn token(keystone: &Keystone) -> Result<String, CloudError> {
        let login = keystone.login().await?;
        Ok(secrecy::ExposeSecret::expose_secret(&login.token).to_owned())
    }

    #[tokio::test]
    async fn renews_a_token_when_it_nears_its_end() {
        for (minutes, expected) in [(49, "old"), (51, "new"), (61, "new")] {
            let (keystone, _server) = keystone(201, Duration::from_mins(minutes)).await;
            assert_eq!(token(&keystone).await.as_deref(), Ok(expected), "after {minutes} minutes");
        }
    }

    #[tokio::test]
    async fn uses_a_living_token_while_keystone_is_down() {
        let (keystone, server) = keystone(503, Duration::from_mins(55)).await;
        for _ in 0..3 {
            assert_eq!(token(&keystone).await.as_deref(), Ok("old"));
        }
        assert_eq!(
            server.received_requests().await.unwrap().len(),
            1,
            "the failure is remembered for a moment"
        );
    }

    #[tokio::test]
    async fn a_dead_token_is_not_used() {
        let (keystone, _server) = keystone(503, HOUR).await;
        assert!(matches!(token(&keystone).await, Err(CloudError::Transient(_))));
    }
}
