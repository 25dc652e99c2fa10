//! Which cloud and project a provider is, and which Jenkins a target. Two providers of one name may be two places, and what was made in the one is
//! not in the other.

use std::time::Duration;

use super::diagnostic::Report;
use super::keys::{API_TIMEOUT, ENROLL_TIMEOUT};
use super::sources::Sources;
use super::types::{
    CleanFloatingIps, CloudCredentials, Identity, Jenkins, Launcher, Named, Offer, Provider, Retirement,
    Target,
};
use super::{clouds, read_secure};
use crate::model::{KnownProvider, KnownTarget, Place};

impl CloudCredentials {
    /// The place that they lead to, as far as they tell. Nothing in it is secret.
    pub fn place(&self) -> Place {
        let project = match &self.identity {
            Identity::Password { project, .. } => Some(project),
            // It carries its project, and does not say which.
            Identity::ApplicationCredential { .. } => None,
        };
        let of_project = |part: fn(&Named) -> &Option<String>| project.and_then(|named| part(named).clone());
        Place {
            keystone: keystone(&self.auth_url),
            region: self.region.clone(),
            project_id: of_project(|named| &named.id),
            project_name: of_project(|named| &named.name),
        }
    }
}

impl Provider {
    /// A provider that left the configuration before this process began, as far as it can still be reached: it is
    /// described in clouds.yaml, under the name that it had there, and leads to the place that it led to.
    pub fn departed(known: &KnownProvider, sources: &Sources) -> Option<Self> {
        let mut credentials = clouds::credentials_of(known.cloud.as_deref()?, sources)?;
        if known.place.region.is_some() {
            credentials.region.clone_from(&known.place.region);
        }
        if credentials.place().differs_from(&known.place) {
            return None;
        }
        Some(Self {
            name: known.name.clone(),
            cloud: known.cloud.clone(),
            credentials,
            api_timeout: known.api_timeout,
            // Nothing is booted there any more.
            boot_timeout: Duration::ZERO,
            launch_timeout: Duration::ZERO,
            max_servers: None,
            keypair: None,
            rate: known.rate,
            availability_zones: Vec::new(),
            networks: Vec::new(),
            pool: None,
            clean_floating_ips: CleanFloatingIps::OfPool,
            security_groups: Vec::new(),
            host_key_checking: true,
            ipv6_preferred: false,
            template_hostname: String::new(),
            images: Vec::new(),
            retired: Some(Retirement::Left),
        })
    }
}

impl Target {
    /// What is to be remembered of it; `None` when it takes nodes as they are, so that nothing is left there.
    pub fn known(&self) -> Option<KnownTarget> {
        let (url, ca_file, api_timeout) = match &self.offer {
            Offer::Nowhere => return None,
            Offer::Gearman => (None, None, API_TIMEOUT),
            Offer::Jenkins(jenkins) => {
                (Some(place_of(&jenkins.url)), jenkins.ca_file.clone(), jenkins.api_timeout)
            }
        };
        Some(KnownTarget { name: self.name.clone(), url, ca_file, api_timeout })
    }
}

impl Jenkins {
    /// The Jenkins of a target that left the configuration before this process began, if secure.conf still tells how to log
    /// in there, and names no other URL.
    pub fn departed(known: &KnownTarget, sources: &Sources) -> Option<Self> {
        let url = known.url.clone()?;
        // Who asks is told that it is not known, which is all that matters here.
        let (_, login) = read_secure(sources, &mut Report::default()).jenkins.remove(&known.name)?;
        if login.url.is_some_and(|given| place_of(&given.value) != url) {
            return None;
        }
        Some(Self {
            url,
            user: login.user?.value,
            apikey: login.apikey?.value,
            credentials_id: None,
            // Nothing is enrolled there any more.
            launcher: Launcher::Ssh,
            test_job: None,
            queue_demand: false,
            close_used_agents: true,
            enroll_timeout: ENROLL_TIMEOUT,
            api_timeout: known.api_timeout,
            ca_file: known.ca_file.clone(),
        })
    }
}

/// A URL as it is remembered.
fn place_of(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

/// The host and port of Keystone. The path and the version in it are no part of the place.
fn keystone(url: &str) -> String {
    let url = url.to_ascii_lowercase();
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", &url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (has_port, scheme) {
        (true, _) => host.to_owned(),
        (false, "http") => format!("{host}:80"),
        (false, _) => format!("{host}:443"),
    }
}
