//! Microversions of Nova: which one a request needs, and which ones the cloud offers.
//!
//! Each request names the lowest microversion that has what it needs, so that a newer Nova answers in the shape that
//! the driver was written for.

use reqwest::{RequestBuilder, Url};
use serde::Deserialize;

use super::catalog::is_version;
use super::lenient::lenient;

/// A microversion of the compute API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(u16, u16);

impl Microversion {
    /// Servers in a listing show their tags.
    pub(super) const SHOWS_TAGS: Self = Self(2, 26);
    /// `createImage` answers with the image's id in its body.
    pub(super) const SNAPSHOT_ID: Self = Self(2, 45);
    /// A server can be created with tags. From 2.37 on `networks` is required.
    pub(super) const TAGS_AT_CREATE: Self = Self(2, 52);

    /// Puts the microversion on a request, in the form that today's Nova reads (from 2.27 on) and in the older one.
    pub(super) fn on(self, request: RequestBuilder) -> RequestBuilder {
        let Self(major, minor) = self;
        request
            .header("OpenStack-API-Version", format!("compute {major}.{minor}"))
            .header("X-OpenStack-Nova-API-Version", format!("{major}.{minor}"))
    }

    fn read(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// The microversions that a cloud offers, lowest and highest; none at all by default.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offer(Option<(Microversion, Microversion)>);

impl Offer {
    /// Whether the cloud offers this one.
    pub(super) fn includes(&self, version: Microversion) -> bool {
        self.0.is_some_and(|(lowest, highest)| lowest <= version && version <= highest)
    }

    /// Reads Nova's description of its version. What cannot be read offers nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        let described = serde_json::from_slice(body).unwrap_or(Described { version: None });
        let range = described.version.and_then(|Version { min_version, version }| {
            Microversion::read(&min_version?).zip(Microversion::read(&version?))
        });
        Self(range)
    }
}

/// Shortens an endpoint to where Nova describes its version: `/v2.1/PROJECT` to `/v2.1/`.
pub(super) fn root(url: &mut Url) {
    let segments: Vec<String> = url.path_segments().into_iter().flatten().map(str::to_owned).collect();
    let beyond = segments.iter().skip_while(|segment| !is_version(segment)).skip(1).count();
    if let Ok(mut path) = url.path_segments_mut() {
        for _ in 0..beyond {
            path.pop();
        }
        // With the slash at its end Nova answers at once, without it some versions redirect.
        path.push("");
    }
}

#[derive(Deserialize)]
struct Described {
    #[serde(default, deserialize_with = "lenient")]
    version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default, deserialize_with = "lenient")]
    min_version: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_nova_offers() {
        let zed = Offer::read(
            br#"{"version": {"id": "v2.1", "min_version": "2.1", "version": "2.93", "links": []}}"#,
        );
        assert!(zed.includes(Microversion::TAGS_AT_CREATE));
        let newton = Offer::read(br#"{"version": {"id": "v2.1", "min_version": "2.1", "version": "2.38"}}"#);
        assert!(newton.includes(Microversion::SHOWS_TAGS));
        assert!(!newton.includes(Microversion::SNAPSHOT_ID));
        for legacy in [r#"{"version": {"id": "v2.0", "min_version": "", "version": ""}}"#, "<html>", "{}"] {
            assert_eq!(Offer::read(legacy.as_bytes()), Offer::default(), "{legacy}");
        }
    }

    #[test]
    fn finds_the_description_of_the_version() {
        for (endpoint, expected) in [
            ("http://host:8774/v2.1", "http://host:8774/v2.1/"),
            ("http://host:8774/v2.1/abc", "http://host:8774/v2.1/"),
            ("http://host/compute/v2.1/abc", "http://host/compute/v2.1/"),
        ] {
            let mut url = Url::parse(endpoint).unwrap();
            root(&mut url);
            assert_eq!(url.as_str(), expected);
        }
    }
}
