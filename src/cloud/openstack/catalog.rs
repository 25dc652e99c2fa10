//! The service catalogue that comes with a token: where Nova, Glance, Neutron and Cinder are.

use openstack::session::ServiceType;
use reqwest::Url;
use serde::Deserialize;

use super::lenient::{lenient, lenient_list};

/// The services that the driver uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Nova.
    Compute,
    /// Glance.
    Image,
    /// Neutron.
    Network,
    /// Cinder, which not every cloud has.
    Volume,
}

impl Service {
    /// The service of this type in the catalogue.
    pub(super) fn from_type(word: &str) -> Option<Self> {
        [Self::Compute, Self::Image, Self::Network, Self::Volume]
            .into_iter()
            .find(|service| service.catalog_type() == word)
    }

    /// The types under which catalogues list it, the preferred one first.
    const fn types(self) -> &'static [&'static str] {
        match self {
            Self::Compute => &["compute", "computev21", "compute_legacy"],
            Self::Image => &["image", "imagev2"],
            Self::Network => &["network"],
            Self::Volume => &["block-storage", "volumev3", "block-store"],
        }
    }

    /// The version to ask for where the catalogue's URL names none.
    const fn version(self) -> &'static str {
        match self {
            Self::Compute => "v2.1",
            Self::Image => "v2",
            Self::Network => "v2.0",
            Self::Volume => "v3",
        }
    }
}

impl ServiceType for Service {
    fn catalog_type(&self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "block-storage",
        }
    }

    /// The session's own discovery follows the links that services write about themselves. Behind a proxy these often
    /// name a host that only the cloud can reach, so the catalogue's URL is used, with the version put behind it.
    fn version_discovery_supported(&self) -> bool {
        false
    }
}

/// Which of a service's URLs to use.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// The region; `None` takes the first URL.
    pub(super) region: Option<String>,
    /// `public`, `internal` or `admin`.
    pub(super) interface: String,
    /// The type under which the catalogue lists Nova, where the operator names one.
    pub(super) compute_type: Option<String>,
    /// The name that the catalogue gives Nova, where the operator names one.
    pub(super) compute_name: Option<String>,
}

impl Choice {
    /// The types under which to look for a service, the preferred one first.
    fn types(&self, service: Service) -> Vec<&str> {
        match &self.compute_type {
            Some(kind) if service == Service::Compute => vec![kind.as_str()],
            _ => service.types().to_vec(),
        }
    }

    /// The service that is looked for, in words.
    pub(super) fn describe(&self, service: Service) -> String {
        let (kind, name) = match service {
            Service::Compute => (self.compute_type.as_deref(), self.compute_name.as_deref()),
            Service::Image | Service::Network | Service::Volume => (None, None),
        };
        let kind = kind.unwrap_or_else(|| service.catalog_type());
        name.map_or_else(|| format!("a {kind} service"), |name| format!("a {kind} service named {name}"))
    }

    /// Whether an entry is the one that is meant, if one of that name is.
    fn names(&self, service: Service, entry: &Entry) -> bool {
        match &self.compute_name {
            Some(name) if service == Service::Compute => entry.name.as_deref() == Some(name.as_str()),
            _ => true,
        }
    }
}

/// One service of the catalogue. Odd entries are left out when it is read.
#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    endpoints: Vec<Endpoint>,
}

/// One URL of a service.
#[derive(Deserialize)]
struct Endpoint {
    url: String,
    #[serde(default, deserialize_with = "lenient")]
    interface: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    region: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    region_id: Option<String>,
}

impl Endpoint {
    fn has_interface(&self, wanted: &str) -> bool {
        self.interface.as_deref().is_some_and(|own| own.trim_end_matches("URL") == wanted)
    }

    fn is_in(&self, region: &str) -> bool {
        self.region_id.as_deref() == Some(region) || self.region.as_deref() == Some(region)
    }

    /// Clouds with a single region may not name it.
    fn is_everywhere(&self) -> bool {
        self.region.is_none() && self.region_id.is_none()
    }
}

/// The URL of a service with its version, if the catalogue lists one that fits.
pub(super) fn endpoint(catalog: &[Entry], service: Service, choice: &Choice) -> Option<Url> {
    let wanted = choice.interface.trim_end_matches("URL");
    choice.types(service).into_iter().find_map(|kind| {
        let fitting = || {
            let entries = catalog.iter().filter(|entry| entry.kind == kind && choice.names(service, entry));
            entries.flat_map(|entry| &entry.endpoints).filter(|endpoint| endpoint.has_interface(wanted))
        };
        let chosen = match &choice.region {
            None => fitting().next(),
            Some(region) => {
                let exact = fitting().find(|endpoint| endpoint.is_in(region));
                exact.or_else(|| fitting().find(|endpoint| endpoint.is_everywhere()))
            }
        };
        chosen.and_then(|endpoint| with_version(&endpoint.url, service))
    })
}

/// The URL with the version of the service, put behind it where the catalogue leaves it out.
fn with_version(url: &str, service: Service) -> Option<Url> {
    let mut url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let versioned = url.path_segments()?.any(is_version);
    let mut path = url.path_segments_mut().ok()?;
    path.pop_if_empty();
    if !versioned {
        path.push(service.version());
    }
    drop(path);
    Some(url)
}

/// Whether a part of a path is a version: `v2`, `v2.1`.
pub(super) fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(catalog: &str, service: Service, region: Option<&str>, interface: &str) -> Option<String> {
        let entries: Vec<Entry> = serde_json::from_str(catalog).unwrap();
        let choice = choice(region, interface);
        endpoint(&entries, service, &choice).map(String::from)
    }

    fn choice(region: Option<&str>, interface: &str) -> Choice {
        Choice {
            region: region.map(str::to_owned),
            interface: interface.to_owned(),
            compute_type: None,
            compute_name: None,
        }
    }

    const CATALOG: &str = r#"[
        {"type": "image", "name": "glance", "endpoints": [
            {"interface": "public", "region": "One", "region_id": "One", "url": "http://one:9292"},
            {"interface": "public", "region": "Two", "region_id": "Two", "url": "http://two/image/"},
            {"interface": "internal", "region": "Two", "region_id": "Two", "url": "http://inside:9292/v2/"}]},
        {"type": "network", "endpoints": [
            {"interface": 7, "url": "http://odd"},
            {"interface": "publicURL", "region": null, "region_id": null, "url": "http://any:9696"}]},
        {"type": "computev21", "endpoints": [
            {"interface": "public", "region_id": "One", "url": "http://one:8774/v2.1/abc"}]}]"#;

    #[test]
    fn chooses_by_region_and_interface_and_adds_the_version() {
        let image = |region, interface| find(CATALOG, Service::Image, region, interface);
        assert_eq!(image(None, "public").as_deref(), Some("http://one:9292/v2"));
        assert_eq!(image(Some("Two"), "public").as_deref(), Some("http://two/image/v2"));
        assert_eq!(image(Some("Two"), "internalURL").as_deref(), Some("http://inside:9292/v2"));
        assert_eq!(image(Some("Three"), "public"), None);
        assert_eq!(image(None, "admin"), None);
    }

    #[test]
    fn takes_an_endpoint_without_a_region_and_an_older_type() {
        let network = find(CATALOG, Service::Network, Some("Two"), "public");
        assert_eq!(network.as_deref(), Some("http://any:9696/v2.0"));
        let compute = find(CATALOG, Service::Compute, Some("One"), "public");
        assert_eq!(compute.as_deref(), Some("http://one:8774/v2.1/abc"));
    }

    #[test]
    fn finds_nova_by_the_type_and_name_that_the_operator_gives() {
        let catalog = r#"[
            {"type": "compute", "name": "nova", "endpoints": [{"interface": "public", "url": "http://one/v2.1"}]},
            {"type": "compute", "name": "ironic", "endpoints": [{"interface": "public", "url": "http://two/v2.1"}]},
            {"type": "compute_bare", "endpoints": [{"interface": "public", "url": "http://three/v2.1"}]},
            {"type": "image", "name": "glance", "endpoints": [{"interface": "public", "url": "http://four/v2"}]}]"#;
        let entries: Vec<Entry> = serde_json::from_str(catalog).unwrap();
        let find = |kind: Option<&str>, name: Option<&str>, service| {
            let words = |word: Option<&str>| word.map(str::to_owned);
            let choice =
                Choice { compute_type: words(kind), compute_name: words(name), ..choice(None, "public") };
            endpoint(&entries, service, &choice).map(String::from)
        };
        let compute = |kind, name| find(kind, name, Service::Compute);
        assert_eq!(compute(None, Some("ironic")).as_deref(), Some("http://two/v2.1"));
        assert_eq!(compute(Some("compute"), Some("nova")).as_deref(), Some("http://one/v2.1"));
        assert_eq!(compute(Some("compute_bare"), None).as_deref(), Some("http://three/v2.1"));
        assert_eq!(compute(None, Some("other")), None);
        assert_eq!(find(Some("x"), Some("x"), Service::Image).as_deref(), Some("http://four/v2"));
    }
}
