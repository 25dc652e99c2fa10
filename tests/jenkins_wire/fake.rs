//! A mock that answers as a Jenkins behind a prefix path does; each test adds the answer that it is about.

use std::path::Path;
use std::time::Duration;

use nodepool::model::{AgentTag, NodeId};
use nodepool::target::jenkins::{JenkinsTarget, Launcher, Settings};
use nodepool::target::{Enrollment, Withdrawal, describe};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// The API key that must never be seen.
pub(crate) const APIKEY: &str = "11f00d4711feedface";

/// The path that the controller is served under.
pub(crate) const PREFIX: &str = "/ci/jenkins";

/// The deadline of tests in which something hangs.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// The page that Jenkins answers with when there is nothing, or when it refuses.
pub(crate) const PAGE: &str =
    "<!DOCTYPE html><html><head><title>Jenkins</title></head><body>Oops!</body></html>";

/// A mock controller.
pub(crate) struct Fake {
    pub(crate) server: MockServer,
}

impl Fake {
    /// A controller that answers 404 to everything.
    pub(crate) async fn empty() -> Self {
        Self { server: MockServer::start().await }
    }

    /// The same, and no other test has had its server or will: what is still under way when its test ends is nobody else's.
    pub(crate) async fn alone() -> Self {
        Self { server: MockServer::builder().start().await }
    }

    /// A controller that is not quieting down.
    pub(crate) async fn ready() -> Self {
        let fake = Self::empty().await;
        fake.json("GET", "/api/json", json!({"_class": "hudson.model.Hudson", "quietingDown": false})).await;
        fake
    }

    /// Answers such requests with JSON.
    pub(crate) async fn json(&self, verb: &str, place: &str, body: Value) {
        self.respond(verb, place, ResponseTemplate::new(200).set_body_json(body)).await;
    }

    /// Answers such requests in this way. What was said first counts.
    pub(crate) async fn respond(&self, verb: &str, place: &str, response: ResponseTemplate) {
        let place = format!("{PREFIX}{place}");
        Mock::given(method(verb)).and(path(place)).respond_with(response).mount(&self.server).await;
    }

    /// Answers this many such requests in this way, and later ones as others say.
    pub(crate) async fn first(&self, times: u64, verb: &str, place: &str, response: ResponseTemplate) {
        let place = format!("{PREFIX}{place}");
        let mock = Mock::given(method(verb)).and(path(place)).respond_with(response);
        mock.up_to_n_times(times).with_priority(1).mount(&self.server).await;
    }

    /// Every request that came, as `VERB place`, in order.
    pub(crate) async fn log(&self) -> Vec<String> {
        let all = self.server.received_requests().await.unwrap();
        let place = |one: &Request| one.url.path().strip_prefix(PREFIX).unwrap_or("outside").to_owned();
        all.iter().map(|one| format!("{} {}", one.method, place(one))).collect()
    }

    /// Such requests that came, in order.
    pub(crate) async fn requests(&self, verb: &str, place: &str) -> Vec<Request> {
        let place = format!("{PREFIX}{place}");
        let all = self.server.received_requests().await.unwrap();
        all.into_iter().filter(|one| one.method.as_str() == verb && one.url.path() == place).collect()
    }

    /// The one such request that came.
    pub(crate) async fn request(&self, verb: &str, place: &str) -> Request {
        let mut requests = self.requests(verb, place).await;
        assert_eq!(requests.len(), 1, "{verb} {place}");
        requests.remove(0)
    }

    /// Settings for this controller.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            url: format!("{}{PREFIX}/", self.server.uri()),
            user: "nodepool".into(),
            apikey: APIKEY.into(),
            credentials_id: Some("pool-ssh".into()),
            launcher: Launcher::Ssh,
            api_timeout: Duration::from_secs(20),
            ca_file: None,
        }
    }

    /// The driver.
    pub(crate) async fn driver(&self) -> JenkinsTarget {
        JenkinsTarget::new(self.settings()).await.unwrap()
    }

    /// The driver with little patience.
    pub(crate) async fn impatient(&self) -> JenkinsTarget {
        JenkinsTarget::new(Settings { api_timeout: SHORT, ..self.settings() }).await.unwrap()
    }
}

/// The answer that says that something was done to the list of agents.
pub(crate) fn done() -> ResponseTemplate {
    ResponseTemplate::new(302)
        .insert_header("Location", format!("http://other.example.org{PREFIX}/computer/"))
}

/// A page with a status.
pub(crate) fn page(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(PAGE, "text/html;charset=utf-8")
}

/// A refusal with its reason.
pub(crate) fn refused(why: &str) -> ResponseTemplate {
    page(400).insert_header("X-Error", why).insert_header("X-Jenkins", "2.426.2")
}

/// The mark of the node of the tests.
pub(crate) fn tag() -> AgentTag {
    AgentTag { installation: "inst-1".into(), node: NodeId(42) }
}

/// What its agent is described as.
pub(crate) fn description() -> String {
    describe("ci-jessie", &tag(), None)
}

/// The node, offered.
pub(crate) fn enrollment(private_key: &Path) -> Enrollment {
    Enrollment {
        name: "ci-42".into(),
        tag: tag(),
        description: description(),
        labels: vec!["ci-jessie".into(), "fast".into()],
        address: "10.0.0.7".parse().unwrap(),
        port: 2222,
        username: "jenkins".into(),
        private_key: private_key.to_owned(),
        host_key: Some("ssh-ed25519 AAAAC3Nza".into()),
        root: "/home/jenkins".into(),
    }
}

/// The node, taken back.
pub(crate) fn withdrawal(insist: bool) -> Withdrawal {
    Withdrawal { name: "ci-42".into(), tag: tag(), manager: None, insist }
}

/// An agent as Jenkins lists it: online and free.
pub(crate) fn agent(name: &str, description: &str) -> Value {
    json!({"_class": "hudson.slaves.SlaveComputer", "displayName": name, "description": description,
        "assignedLabels": [{"name": "ci-jessie"}, {"name": name}], "idle": true, "offline": false,
        "temporarilyOffline": false, "offlineCause": null, "offlineCauseReason": "",
        "executors": [{"currentExecutable": null}]})
}

/// The same with other fields.
pub(crate) fn with(mut agent: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("{fields} is no object") };
    for (key, value) in fields {
        agent[key] = value;
    }
    agent
}

/// A field of a form.
pub(crate) fn field(request: &Request, name: &str) -> String {
    let url = format!("http://x/?{}", String::from_utf8(request.body.clone()).unwrap());
    let url = reqwest::Url::parse(&url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
}

/// A header of a request.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

/// A parameter of a request.
pub(crate) fn parameter(request: &Request, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
