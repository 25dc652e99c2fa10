//! A mock that answers as Keystone, Nova, Glance and Neutron do; each test adds the answer that it is about.

use std::time::Duration;

use nodepool::cloud::openstack::{Domain, Identity, Named, OpenStack, Settings};
use nodepool::cloud::{BootImage, NetworkChoice, ServerRequest, SnapshotRequest};
use nodepool::model::{NodeId, Owner, Tag};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// The password that must never be seen.
pub(crate) const PASSWORD: &str = "open-sesame-4711";

/// The deadline of tests in which something hangs, and something else must not.
pub(crate) const SHORT: Duration = Duration::from_secs(3);

/// A mock cloud.
pub(crate) struct Fake {
    pub(crate) server: MockServer,
}

impl Fake {
    /// A cloud of which only Keystone answers, with the tokens `token-1`, `token-2`, ...
    pub(crate) async fn without_nova() -> Self {
        let fake = Self { server: MockServer::start().await };
        let catalog = fake.catalog();
        let count = std::sync::atomic::AtomicU32::new(0);
        let issue = move |_: &Request| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            token(&format!("token-{number}"), &catalog)
        };
        // The lowest priority, so that a test can put its own Keystone before it.
        Mock::given(method("POST"))
            .and(path("/identity/v3/auth/tokens"))
            .respond_with(issue)
            .with_priority(9)
            .mount(&fake.server)
            .await;
        fake
    }

    /// A cloud whose Nova offers microversions up to this one.
    pub(crate) async fn up_to(version: &str) -> Self {
        let fake = Self::without_nova().await;
        let described =
            json!({"version": {"id": "v2.1", "min_version": "2.1", "version": version, "links": []}});
        fake.answer("GET", "/compute/v2.1/", 200, described).await;
        fake
    }

    /// A cloud of today, on which a server can be created.
    pub(crate) async fn ready() -> Self {
        let fake = Self::up_to("2.93").await;
        fake.things().await;
        fake
    }

    /// A flavor, an image and a network.
    pub(crate) async fn things(&self) {
        self.things_of("/compute/v2.1").await;
    }

    /// The same, where Nova is elsewhere.
    pub(crate) async fn things_of(&self, nova: &str) {
        self.answer(
            "GET",
            &format!("{nova}/flavors/detail"),
            200,
            json!({"flavors": [
            {"id": "f-large", "name": "ci.large", "ram": 8192},
            {"id": "f-b", "name": "ci.b", "ram": 4096},
            {"id": "f-a", "name": "ci.a", "ram": 4096},
            {"id": "f-off", "name": "ci.0", "ram": 4096, "OS-FLV-DISABLED:disabled": true},
            {"id": "f-other", "name": "m1.other", "ram": 4096},
            {"id": "f-tiny", "name": "ci.tiny", "ram": 512}]}),
        )
        .await;
        self.answer(
            "GET",
            "/image/v2/images",
            200,
            json!({"images": [
            {"id": "i-old", "name": "debian", "status": "active", "created_at": "2026-01-01T00:00:00Z"},
            {"id": "i-new", "name": "debian", "status": "active", "created_at": "2026-02-01T00:00:00Z"},
            {"id": "i-next", "name": "debian", "status": "queued", "created_at": "2026-03-01T00:00:00Z"},
            {"id": "i-none", "name": null, "status": "active"}]}),
        )
        .await;
        self.answer("GET", "/network/v2.0/networks", 200, json!({"networks": [
            {"id": "n-private", "name": "private", "project_id": "p-1", "router:external": false},
            {"id": "n-public", "name": "public", "project_id": "p-0", "shared": true, "router:external": true}]})).await;
    }

    /// The catalogue: one region without a name, as small clouds have it, and Glance without a version.
    pub(crate) fn catalog(&self) -> Value {
        let service = |kind: &str, path: &str| {
            let url = format!("{}{path}", self.server.uri());
            json!({"type": kind, "endpoints": [
                {"id": "1", "interface": "admin", "region": null, "region_id": null, "url": "http://elsewhere.invalid/"},
                {"id": "2", "interface": "public", "region": null, "region_id": null, "url": url}]})
        };
        json!([service("identity", "/identity"), service("compute", "/compute/v2.1"),
            service("image", "/image"), service("network", "/network"), {"type": 7}])
    }

    /// A cloud with a Cinder, which the catalogue lists under this type and at this path.
    pub(crate) async fn with_cinder(kind: &str, path: &str) -> Self {
        let fake = Self { server: MockServer::start().await };
        let mut catalog = fake.catalog();
        let url = format!("{}{path}", fake.server.uri());
        let cinder = json!({"type": kind, "endpoints": [{"id": "3", "interface": "public", "url": url}]});
        catalog.as_array_mut().unwrap().push(cinder);
        let login = token("token-1", &catalog);
        fake.respond("POST", "/identity/v3/auth/tokens", login).await;
        fake
    }

    /// Answers such requests in this way.
    pub(crate) async fn answer(&self, verb: &str, place: &str, status: u16, body: Value) {
        self.respond(verb, place, ResponseTemplate::new(status).set_body_json(body)).await;
    }

    /// Answers such requests in this way.
    pub(crate) async fn respond(&self, verb: &str, place: &str, response: ResponseTemplate) {
        Mock::given(method(verb)).and(path(place)).respond_with(response).mount(&self.server).await;
    }

    /// Answers such requests in this way, whatever others say.
    pub(crate) async fn first(&self, verb: &str, place: &str, response: ResponseTemplate) {
        Mock::given(method(verb))
            .and(path(place))
            .respond_with(response)
            .with_priority(1)
            .mount(&self.server)
            .await;
    }

    /// Such requests that came, in order.
    pub(crate) async fn requests(&self, verb: &str, place: &str) -> Vec<Request> {
        let all = self.server.received_requests().await.unwrap();
        all.into_iter().filter(|one| one.method.as_str() == verb && one.url.path() == place).collect()
    }

    /// The one such request that came.
    pub(crate) async fn request(&self, verb: &str, place: &str) -> Request {
        let mut requests = self.requests(verb, place).await;
        assert_eq!(requests.len(), 1, "{verb} {place}");
        requests.remove(0)
    }

    /// How often we logged in.
    pub(crate) async fn logins(&self) -> usize {
        self.requests("POST", "/identity/v3/auth/tokens").await.len()
    }

    /// Settings for this cloud.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            auth_url: format!("{}/identity", self.server.uri()),
            identity: Identity::Password {
                user: Named::Name { name: "robot".into(), domain: Domain::Id("d-users".into()) },
                password: PASSWORD.into(),
                project: Named::Name { name: "ci".into(), domain: Domain::Name("Work".into()) },
            },
            region: Some("One".into()),
            interface: "public".into(),
            compute_type: None,
            compute_name: None,
            ca_file: None,
            verify: true,
            api_timeout: Duration::from_secs(20),
        }
    }

    /// The driver.
    pub(crate) async fn driver(&self) -> OpenStack {
        OpenStack::new(self.settings()).await.unwrap()
    }

    /// The driver with little patience.
    pub(crate) async fn impatient(&self) -> OpenStack {
        OpenStack::new(Settings { api_timeout: SHORT, ..self.settings() }).await.unwrap()
    }
}

/// Keystone's answer.
pub(crate) fn token(token: &str, catalog: &Value) -> ResponseTemplate {
    let body = json!({"token": {
        "issued_at": "2026-11-21T10:00:00.000000Z", "expires_at": "2026-11-21T12:00:00.000000Z",
        "project": {"id": "p-1", "name": "ci"}, "catalog": catalog}});
    ResponseTemplate::new(201).insert_header("X-Subject-Token", token).set_body_json(body)
}

/// The body of a request.
pub(crate) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// A header of a request.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

/// A parameter of a request.
pub(crate) fn parameter(request: &Request, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A tag.
pub(crate) fn tag() -> Tag {
    Tag { installation: "inst-1".into(), owner: Owner::Node(NodeId(42)), attempt: "attempt-9".into() }
}

/// A server to ask for.
pub(crate) fn server() -> ServerRequest {
    ServerRequest {
        name: "ci-42".into(),
        image: BootImage::NameOrId("debian".into()),
        min_ram: 4000,
        name_filter: Some("ci.".into()),
        az: None,
        networks: vec![NetworkChoice::Name("private".into())],
        keypair: None,
        config_drive: None,
        security_groups: Vec::new(),
        user_data: None,
        boot_volume_gib: None,
        tag: tag(),
        provider: "cloud-1".into(),
        image_name: "ci-debian".into(),
    }
}

/// A snapshot to ask for.
pub(crate) fn snapshot() -> SnapshotRequest {
    SnapshotRequest {
        server_id: "s-1".into(),
        name: "snap-1".into(),
        tag: tag(),
        meta: vec![("os".into(), "debian".into()), ("nodepool_owner".into(), "someone else".into())],
    }
}
