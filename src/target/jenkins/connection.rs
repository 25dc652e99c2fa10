//! The one door to a controller: every request passes through [`Connection::call`], which logs in, holds the deadline,
//! brings a crumb where Jenkins wants one, and turns what concerns every call into errors.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE};
use reqwest::{Client, Method, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};

use super::crumb::Crumb;
use super::failure;
use super::settings::Settings;
use super::transport::{self, Answer, Reading};
use crate::target::TargetError;

/// The most that is read of an answer, unless the call says otherwise: some thousand times what Jenkins answers.
const ANSWER_LIMIT: usize = 4 << 20;

/// A way to one controller, as one user.
pub(super) struct Connection {
    http: Client,
    root: Url,
    user: String,
    apikey: SecretString,
    deadline: Duration,
    crumb: Mutex<Option<Arc<Crumb>>>,
}

/// A request.
pub(super) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, Cow<'a, str>)>,
    body: Body<'a>,
    reading: Reading,
}

enum Body<'a> {
    Nothing,
    Form(Vec<(&'static str, Cow<'a, str>)>),
    Xml(String),
}

impl<'a> Call<'a> {
    /// Asks for something. The parts of the path may hold any text but `.` and `..`.
    pub(super) const fn get(path: &'a [&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Changes something.
    pub(super) const fn post(path: &'a [&'a str]) -> Self {
        Self::new(Method::POST, path)
    }

    const fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: Body::Nothing, reading: Reading::Whole(ANSWER_LIMIT) }
    }

    /// Adds a parameter to the URL.
    pub(super) fn query(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Sends a form.
    pub(super) fn form(mut self, fields: Vec<(&'static str, Cow<'a, str>)>) -> Self {
        self.body = Body::Form(fields);
        self
    }

    /// Sends XML.
    pub(super) fn xml(mut self, text: String) -> Self {
        self.body = Body::Xml(text);
        self
    }

    /// Wants this much of the answer.
    pub(super) const fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// The call for a person: `POST computer/doCreateItem`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path.join("/"))
    }
}

impl Connection {
    /// Prepares the way; asks nothing yet.
    ///
    /// # Errors
    /// `Rejected` when a setting cannot be used.
    pub(super) async fn new(settings: &Settings) -> Result<Self, TargetError> {
        Ok(Self {
            http: transport::client(settings).await?,
            root: root(&settings.url)?,
            user: settings.user.clone(),
            apikey: settings.apikey.clone(),
            deadline: settings.api_timeout,
            crumb: Mutex::new(None),
        })
    }

    /// The controller's URL; it ends with a slash.
    pub(super) const fn root(&self) -> &Url {
        &self.root
    }

    /// Makes a call. Whatever concerns this call alone is in the answer: successes, redirects, refusals, 404 and 500.
    ///
    /// # Errors
    /// `Unavailable` where nothing is known of the effect, `AuthFailed` where we may not do this.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, TargetError> {
        let crumb = self.kept_crumb();
        let mut answer = self.attempt(call, crumb.as_deref()).await?;
        if call.method == Method::POST && failure::wants_crumb(&answer) {
            let crumb = self.new_crumb().await?;
            answer = self.attempt(call, Some(&crumb)).await?;
            if failure::wants_crumb(&answer) {
                self.keep_crumb(None);
            }
        }
        match failure::of_every_call(call, &answer) {
            Some(error) => Err(self.tidy(error)),
            None => Ok(answer),
        }
    }

    /// What a refusal in an answer means, for calls that have no better reading of it.
    pub(super) fn refusal(&self, call: &Call<'_>, answer: &Answer) -> TargetError {
        self.tidy(failure::of_this_call(call, answer))
    }

    /// Calls and reads JSON.
    ///
    /// # Errors
    /// As [`Connection::call`], and for anything but a success; `Unavailable` for what is not the JSON that was expected.
    pub(super) async fn read<T: serde::de::DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<T, TargetError> {
        let answer = self.call(call).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(call, &answer));
        }
        // What serde says of it may quote the answer, which is a stranger's until it is understood.
        serde_json::from_slice(&answer.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let name = call.name();
            TargetError::Unavailable(format!(
                "{name}: the answer is not what Jenkins says (line {line}, column {column})"
            ))
        })
    }

    async fn attempt(&self, call: &Call<'_>, crumb: Option<&Crumb>) -> Result<Answer, TargetError> {
        let mut url = self.root.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(call.path);
        }
        let mut request = self.http.request(call.method.clone(), url).query(&call.query);
        request = request.basic_auth(&self.user, Some(self.apikey.expose_secret()));
        request = match &call.body {
            Body::Nothing => request,
            Body::Form(fields) => request.form(fields),
            Body::Xml(text) => {
                request.header(CONTENT_TYPE, "application/xml; charset=utf-8").body(text.clone())
            }
        };
        if let Some(crumb) = crumb.filter(|_| call.method == Method::POST) {
            request = request.header(&crumb.field, crumb.value.expose_secret());
            if let Some(cookie) = &crumb.cookie {
                request = request.header(COOKIE, cookie.expose_secret());
            }
        }
        let answer = transport::exchange(request, self.deadline, call.reading).await;
        answer.map_err(|text| self.tidy(TargetError::Unavailable(format!("{}: {text}", call.name()))))
    }

    /// Asks for a crumb, and keeps it for the next calls: it is good for as long as its session.
    async fn new_crumb(&self) -> Result<Arc<Crumb>, TargetError> {
        self.keep_crumb(None);
        let call = Call::get(&["crumbIssuer", "api", "json"]);
        let answer = self.attempt(&call, None).await?;
        if let Some(error) = failure::of_every_call(&call, &answer) {
            return Err(self.tidy(error));
        }
        let Some(crumb) = Crumb::read(&answer) else {
            let text = "Jenkins wants a crumb and gives none; log in with an API token instead of a password";
            return Err(TargetError::AuthFailed(text.to_owned()));
        };
        let crumb = Arc::new(crumb);
        self.keep_crumb(Some(crumb.clone()));
        Ok(crumb)
    }

    fn kept_crumb(&self) -> Option<Arc<Crumb>> {
        self.crumb.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_crumb(&self, crumb: Option<Arc<Crumb>>) {
        *self.crumb.lock().unwrap_or_else(PoisonError::into_inner) = crumb;
    }

    /// The error with a text that is fit to be shown: bounded, on one line, and without what logs us in.
    fn tidy(&self, error: TargetError) -> TargetError {
        let tidy = |text: &str| failure::tidy(text, self.apikey.expose_secret());
        match error {
            TargetError::NotFound(text) => TargetError::NotFound(tidy(&text)),
            TargetError::Busy(text) => TargetError::Busy(tidy(&text)),
            TargetError::Unavailable(text) => TargetError::Unavailable(tidy(&text)),
            TargetError::Rejected(text) => TargetError::Rejected(tidy(&text)),
            TargetError::AuthFailed(text) => TargetError::AuthFailed(tidy(&text)),
            TargetError::QuietingDown(text) => TargetError::QuietingDown(tidy(&text)),
        }
    }
}

/// Reads the controller's URL. What is wrong with it is told without it: it may hold a password.
fn root(text: &str) -> Result<Url, TargetError> {
    let wrong = |text: &str| TargetError::Rejected(format!("the URL of the Jenkins {text}"));
    let mut url = Url::parse(text).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a user or a password"));
    }
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("");
    }
    Ok(url)
}
