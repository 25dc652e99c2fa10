//! Who may ask: the user by password or API token, and crumbs against forged requests.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::settings::JenkinsSettings;
use crate::sandbox::random;

/// The header in which a crumb comes back.
pub(super) const CRUMB: &str = "Jenkins-Crumb";
/// How many sessions are remembered.
const MOST_SESSIONS: usize = 1000;

/// The user and the sessions.
#[derive(Debug)]
pub(super) struct Logins {
    user: String,
    password: SecretString,
    token: SecretString,
    /// What secrets are made from.
    seed: SecretString,
    /// The name of the session's cookie.
    pub(super) cookie: String,
    sessions: Mutex<VecDeque<String>>,
}

/// How somebody has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// By nothing.
    Anonymous,
    /// By something that is wrong.
    Unknown,
    /// By the password: what changes something needs a crumb.
    ByPassword,
    /// By the API token.
    ByToken,
}

impl Logins {
    pub(super) fn new(settings: &JenkinsSettings) -> Logins {
        let mark: String = random::secret().chars().take(8).collect();
        Logins {
            user: settings.user.clone(),
            password: settings.password.clone(),
            token: settings.token.clone(),
            seed: SecretString::from(random::secret()),
            cookie: format!("JSESSIONID.{mark}"),
            sessions: Mutex::default(),
        }
    }

    /// Who sends these headers.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Caller {
        let Some(sent) = headers.get(header::AUTHORIZATION) else { return Caller::Anonymous };
        let words = sent.to_str().ok().and_then(|text| text.strip_prefix("Basic "));
        let decoded = words.and_then(|words| BASE64_STANDARD.decode(words.trim()).ok());
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        match text.split_once(':') {
            Some((user, word)) if user == self.user && word == self.token.expose_secret() => Caller::ByToken,
            Some((user, word)) if user == self.user && word == self.password.expose_secret() => {
                Caller::ByPassword
            }
            _ => Caller::Unknown,
        }
    }

    /// The crumb of the caller's session, and the cookie of a new session if there was none.
    pub(super) fn crumb(&self, headers: &HeaderMap) -> (String, Option<String>) {
        if let Some(session) = self.session(headers) {
            return (self.derived("crumb", &session), None);
        }
        let session = random::secret();
        let crumb = self.derived("crumb", &session);
        let cookie = format!("{}={session}; Path=/; HttpOnly", self.cookie);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push_back(session);
        if sessions.len() > MOST_SESSIONS {
            sessions.pop_front();
        }
        (crumb, Some(cookie))
    }

    /// Whether the request carries the crumb of its session.
    pub(super) fn has_crumb(&self, headers: &HeaderMap, sent: Option<&str>) -> bool {
        let expected = self.session(headers).map(|session| self.derived("crumb", &session));
        sent.is_some() && expected.as_deref() == sent
    }

    /// The secret with which the inbound agent of this name connects: always the same for a name.
    pub(super) fn agent_secret(&self, name: &str) -> String {
        self.derived("agent", name)
    }

    fn session(&self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let sent: Vec<&str> = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .map(|(_, value)| value)
            .collect();
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().find(|session| sent.contains(&session.as_str())).cloned()
    }

    fn derived(&self, use_for: &str, name: &str) -> String {
        let mut hash = Sha256::new();
        for part in [self.seed.expose_secret(), use_for, name] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        random::hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins() -> Logins {
        Logins {
            user: "admin".into(),
            password: SecretString::from("word"),
            token: SecretString::from("token"),
            seed: SecretString::from("seed"),
            cookie: "JSESSIONID.1".into(),
            sessions: Mutex::default(),
        }
    }

    fn basic(text: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64_STANDARD.encode(text));
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn a_caller_is_known_by_token_or_password() {
        assert_eq!(logins().caller(&HeaderMap::new()), Caller::Anonymous);
        assert_eq!(logins().caller(&basic("admin:token")), Caller::ByToken);
        assert_eq!(logins().caller(&basic("admin:word")), Caller::ByPassword);
        assert_eq!(logins().caller(&basic("other:word")), Caller::Unknown);
        assert_eq!(logins().caller(&basic("admin")), Caller::Unknown);
    }

    #[test]
    fn a_crumb_is_good_in_its_session_alone() {
        let logins = logins();
        let (crumb, cookie) = logins.crumb(&HeaderMap::new());
        let cookie = cookie.unwrap();
        let session = cookie.split(';').next().unwrap();
        let with = HeaderMap::from_iter([(header::COOKIE, session.parse().unwrap())]);
        assert!(logins.has_crumb(&with, Some(&crumb)));
        assert!(!logins.has_crumb(&HeaderMap::new(), Some(&crumb)));
        assert!(!logins.has_crumb(&with, None));
        assert_eq!(logins.crumb(&with), (crumb, None));
        assert_eq!(logins.agent_secret("n1"), logins.agent_secret("n1"));
        assert_ne!(logins.agent_secret("n1"), logins.agent_secret("n2"));
    }
}
