//! The one door to the services: every request of the driver passes through [`Connection::call`], which puts the token
//! on it, holds the deadline, logs in once more after a 401, and turns refusals into errors.
//!
//! Endpoints and tokens come from the session of the `openstack` crate, on a login of our own. Its typed requests are
//! not used: they hide the status and `Retry-After` of a refusal, and one odd entry fails a whole listing.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use openstack::session::Session;
use openstack::{Error, ErrorKind};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode, Url};
use tracing::debug;

use super::cache::Cached;
use super::catalog::{Service, is_version};
use super::failure::{self, Failure, Refusal};
use super::keystone::{Keystone, Login, Shared};
use super::login;
use super::microversion::{self, Microversion, Offer};
use super::settings::Settings;
use super::transport::{self, ANSWER_LIMIT, Answer, Reading};
use crate::cloud::CloudError;

/// How long it is believed which microversions Nova offers.
const OFFER_LIFE: Duration = Duration::from_hours(1);

/// A way to the services of one project.
pub(super) struct Connection {
    session: Session,
    keystone: Arc<Keystone>,
    deadline: Duration,
    offer: Cached<Offer>,
    /// The network of the port that the last floating IP leads to.
    pub(super) routed: Mutex<Option<String>>,
}

/// A request to a service.
pub(super) struct Call<'a> {
    service: Service,
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, Cow<'a, str>)>,
    version: Option<Microversion>,
    body: Option<Vec<u8>>,
    limit: usize,
}

impl<'a> Call<'a> {
    /// A request without query and body. The parts of the path may hold any text.
    pub(super) fn new(service: Service, method: Method, path: &'a [&'a str]) -> Self {
        Self { service, method, path, query: Vec::new(), version: None, body: None, limit: ANSWER_LIMIT }
    }

    /// Adds a parameter.
    pub(super) fn query(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Asks for this microversion; `None` for the base version.
    pub(super) fn version(mut self, version: Option<Microversion>) -> Self {
        self.version = version;
        self
    }

    /// Sends JSON.
    pub(super) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    /// Allows an answer of this many bytes.
    pub(super) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The call for a person: `GET compute /servers/detail`.
    fn name(&self) -> String {
        use openstack::session::ServiceType;
        format!("{} {} /{}", self.method, self.service.catalog_type(), self.path.join("/"))
    }
}

impl Connection {
    /// Prepares the way; asks nothing yet.
    ///
    /// # Errors
    /// `Rejected` when a setting cannot be used.
    pub(super) async fn new(settings: Settings) -> Result<Self, CloudError> {
        let http = transport::client(&settings)?;
        let url = login::tokens_url(&settings.auth_url)?;
        let deadline = settings.api_timeout;
        let keystone = Arc::new(Keystone::new(http.clone(), url, settings));
        let session = Session::new_with_client(http, Shared(keystone.clone())).await;
        let session = session.map_err(|error| session_failure(&error))?;
        Ok(Self { session, keystone, deadline, offer: Cached::new(OFFER_LIFE), routed: Mutex::new(None) })
    }

    /// Makes a call.
    ///
    /// # Errors
    /// Any but a success (2xx). Where the call could have had its effect, the error is `Transient`.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let login = self.keystone.login().await?;
        let answer = self.attempt(call).await?;
        if answer.status == StatusCode::NOT_ACCEPTABLE {
            // The cloud was set back to an older Nova.
            self.offer.forget().await;
        }
        if answer.status != StatusCode::UNAUTHORIZED || !self.keystone.refuse(&login) {
            return self.settle(call, answer, &login);
        }
        debug!(call = call.name(), "the token was refused; logging in again");
        let login = self.keystone.login().await?;
        let answer = self.attempt(call).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.keystone.refuse(&login);
        }
        self.settle(call, answer, &login)
    }

    /// The deadline of one exchange.
    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The project that we are logged in to.
    pub(super) async fn project(&self) -> Result<Option<String>, CloudError> {
        Ok(self.keystone.login().await?.project.clone())
    }

    /// The lowest microversion of Nova that is at least `wanted`, if Nova offers that much.
    pub(super) async fn microversion(
        &self,
        wanted: Microversion,
    ) -> Result<Option<Microversion>, CloudError> {
        let offer = self.offer.get(|| self.discover()).await?;
        Ok(offer.includes(wanted).then_some(wanted))
    }

    /// Sends the request once, with the token of the moment.
    async fn attempt(&self, call: &Call<'_>) -> Result<Answer, CloudError> {
        let mut url = self.endpoint(call.service).await?;
        // Older Cinders want to be told the project in each path, and newer ones allow it; catalogues tell it or not.
        let told =
            url.path_segments().and_then(|mut path| path.next_back()).is_some_and(|last| !is_version(last));
        let project = if call.service == Service::Volume && !told { self.project().await? } else { None };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(project.as_deref()).extend(call.path);
        }
        self.send(url, call).await
    }

    async fn send(&self, url: Url, call: &Call<'_>) -> Result<Answer, CloudError> {
        let http = self.session.client().inner();
        let mut request = http.request(call.method.clone(), url).query(&call.query);
        if let Some(version) = call.version {
            request = version.on(request);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let request = self.session.auth_type().authenticate(http, request).await;
        let request = request.map_err(|error| session_failure(&error))?;
        let answer = transport::exchange(request, self.deadline, Reading::Whole(call.limit)).await;
        answer.map_err(|text| CloudError::Transient(failure::tidy(&format!("{}: {text}", call.name()))))
    }

    /// The URL of a service. A session keeps what it learned for ever; a clone whose filters are touched starts empty,
    /// so that a new login's catalogue counts.
    async fn endpoint(&self, service: Service) -> Result<Url, CloudError> {
        let mut session = self.session.clone();
        session.endpoint_filters_mut();
        session.get_endpoint(service, &[] as &[&str]).await.map_err(|error| session_failure(&error))
    }

    fn settle(&self, call: &Call<'_>, answer: Answer, login: &Login) -> Result<Answer, Failure> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let message = self.keystone.redact(&failure::message(&answer.body), login);
        let refusal = Refusal {
            method: &call.method,
            status: answer.status,
            retry_after: failure::retry_after(&answer.headers, Utc::now()),
            message: &message,
            text: failure::text(&call.name(), &answer, &message),
        };
        Err(refusal.into_failure())
    }

    /// Asks Nova which microversions it offers. A Nova that has none to tell offers its base version.
    async fn discover(&self) -> Result<Offer, CloudError> {
        let login = self.keystone.login().await?;
        let mut url = self.endpoint(Service::Compute).await?;
        microversion::root(&mut url);
        let call = Call::new(Service::Compute, Method::GET, &[]);
        let mut answer = self.send(url.clone(), &call).await?;
        if answer.status == StatusCode::UNAUTHORIZED && self.keystone.refuse(&login) {
            answer = self.send(url, &call).await?;
        }
        match self.settle(&call, answer, &login) {
            Ok(answer) => Ok(Offer::read(&answer.body)),
            Err(failure) => match failure.error {
                CloudError::NotFound(_) | CloudError::Rejected(_) => Ok(Offer::default()),
                other => Err(other),
            },
        }
    }
}

fn session_failure(error: &Error) -> CloudError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::AuthenticationFailed => CloudError::AuthFailed(text),
        ErrorKind::EndpointNotFound => CloudError::Rejected(text),
        _ => CloudError::Transient(text),
    }
}
