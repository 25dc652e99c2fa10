//! The web page over real HTTP: each path, what it tells, and what it does not let through.

#[path = "web/api.rs"]
mod api;
#[path = "web/browser.rs"]
mod browser;
#[path = "web/chromium.rs"]
mod chromium;
#[path = "web/events.rs"]
mod events;
#[path = "wire/held_port.rs"]
mod held_port;
#[path = "web/live.rs"]
mod live;
#[path = "web/metrics.rs"]
mod metrics;
#[path = "web/openapi.rs"]
mod openapi;
#[path = "web/prometheus.rs"]
mod prometheus;
#[path = "web/statsd.rs"]
mod statsd;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use nodepool::config::{self, Config, SecureConf, Sources};
use nodepool::events::{Ring, Writer};
use nodepool::model::{Node, NodeState, Resource, Setback, SetbackKind, Timestamp, Usage};
use nodepool::plan::{Balance, Plan, Refusal, Space, Subject};
use nodepool::store::{NewImage, NewNode, Note, Store};
use nodepool::telemetry::{Breaker, LastTick, Metrics};
use nodepool::web::{self, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const DEADLINE: Duration = Duration::from_secs(60);
const EVIL: &str = "<script>alert('x')</script> & \"more\"";

const YAML: &str = "
script-dir: scripts
gearman-servers:
  - host: zuul
labels:
  - name: ci-jessie
    image: jessie
    min-ready: 3
    providers:
      - name: cloud1
  - name: ci-off
    image: jessie
    min-ready: -1
    providers:
      - name: cloud1
providers:
  - name: cloud1
    username: robot
    password: open-sesame
    project-name: ci
    auth-url: http://127.0.0.1:9/
    max-servers: 7
    images:
      - name: jessie
        base-image: debian
        min-ram: 1
        setup: setup.sh
        private-key: key
targets:
  - name: jenkins1
";

/// A page that is served.
struct Served {
    url: String,
    address: std::net::SocketAddr,
    store: Store,
    metrics: Arc<Metrics>,
    last: watch::Sender<LastTick>,
    doubts: watch::Sender<Vec<String>>,
    config: watch::Sender<Arc<Config>>,
    rings: Arc<AtomicUsize>,
    state: State,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Served {
    async fn new() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// Served at this address; asked at this machine's own.
    async fn at(address: &str) -> Self {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let (last, last_seen) = watch::channel(LastTick::default());
        let (config, config_seen) = watch::channel(Arc::new(config()));
        let (doubts, doubts_seen) = watch::channel(Vec::new());
        let metrics = Arc::new(Metrics::new().unwrap());
        let rings = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rings);
        let ring = Ring::by(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let state = State {
            store: store.clone(),
            config: config_seen,
            doubts: doubts_seen,
            last: last_seen,
            metrics: Arc::clone(&metrics),
            events: Writer::new(store.clone(), ring, Arc::clone(&metrics)),
        };
        let listener = TcpListener::bind(address).await.unwrap();
        let address = (Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()).into();
        let stop = CancellationToken::new();
        let server = tokio::spawn(web::serve(listener, state.clone(), stop.clone()));
        let url = format!("http://{address}");
        Self { url, address, store, metrics, last, doubts, config, rings, state, stop, server }
    }

    /// Serves once more, at the same address, after a stop.
    async fn serve_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.stop = CancellationToken::new();
        self.server = tokio::spawn(web::serve(listener, self.state.clone(), self.stop.clone()));
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(reqwest::Method::GET, path).await
    }

    async fn ask(&self, method: reqwest::Method, path: &str) -> Answer {
        self.send(self.request(method, path)).await
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build().unwrap();
        client.request(method, format!("{}{path}", self.url))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    fn ticked(&self, at: Timestamp, plan: Plan, trouble: Option<&str>) {
        self.last.send_replace(LastTick {
            at,
            plan: Arc::new(plan),
            trouble: trouble.map(str::to_owned),
            ..LastTick::default()
        });
    }

    /// Looks at everything again and again, as a daemon does, for as long as this is kept.
    fn keeps_ticking(&self) -> AbortOnDropHandle<()> {
        let last = self.last.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                last.send_modify(|_| {});
            }
        }))
    }

    /// A node as it begins.
    async fn new_node(&self, attempt: &str) -> Node {
        self.new_node_of("ci-jessie", attempt).await
    }

    async fn new_node_of(&self, label: &str, attempt: &str) -> Node {
        let new = NewNode {
            provider: "cloud1".to_owned(),
            label: label.to_owned(),
            target: "jenkins1".to_owned(),
            image: "jessie".to_owned(),
            image_id: None,
            az: None,
            attempt: attempt.to_owned(),
            subnodes: Vec::new(),
            created: now(),
            reason: "a spare node is missing".to_owned(),
        };
        self.store.insert_node(&new, &|id, _| format!("ci-jessie-{id}")).await.unwrap()
    }

    async fn node(&self, attempt: &str, state: NodeState, comment: Option<&str>) {
        let mut node = self.new_node(attempt).await;
        node.state = state;
        node.comment = comment.map(str::to_owned);
        self.store.update_node(&node, &note("marked by hand")).await.unwrap();
    }
}

/// A line of the history that says no more than why.
fn note(reason: &str) -> Note {
    Note {
        at: now(),
        event: "e".to_owned(),
        from: "a".to_owned(),
        to: "b".to_owned(),
        reason: reason.to_owned(),
    }
}

/// The texts of the cells of all tables, one after the other.
fn cells(html: &str) -> String {
    let cells = html.split("<td").skip(1).filter_map(|rest| rest.split_once('>')?.1.split("</td>").next());
    let mut text = String::new();
    for cell in cells {
        let outside = cell.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
        text.extend(outside);
        text.push('|');
    }
    text
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn config() -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    std::fs::create_dir(path.join("scripts")).unwrap();
    for file in ["scripts/setup.sh", "key"] {
        std::fs::write(path.join(file), "#!/bin/sh\n").unwrap();
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(path.join(file), owner_only).unwrap();
    }
    std::fs::write(path.join("nodepool.yaml"), YAML).unwrap();
    let sources = Sources {
        nodepool_yaml: path.join("nodepool.yaml"),
        secure_conf: SecureConf::IfPresent(path.join("secure.conf")),
        environment: std::collections::BTreeMap::new(),
        is_root: false,
        home: Some(path.clone()),
        working_dir: path,
    };
    config::load(&sources).unwrap_or_else(|diagnostics| panic!("{}", config::render(&diagnostics))).config
}

#[tokio::test]
async fn health_is_being_there_and_readiness_is_doing_the_work() {
    let served = Served::new().await;
    assert_eq!(served.get("/healthz").await.status, 200);
    let early = served.get("/readyz").await;
    assert_eq!(
        (early.status, early.text.as_str()),
        (503, "not ready\n- it has not looked at anything yet\n")
    );
    let page = served.get("/").await.text;
    assert!(page.contains("last look never") && page.contains("Nothing yet: they are kept from"), "{page}");
    served.ticked(now(), Plan::default(), None);
    let ready = served.get("/readyz").await;
    assert_eq!((ready.status, ready.text.as_str()), (200, "ready\n"));
    served.doubts.send_replace(vec!["<older> files are in force".to_owned()]);
    let doubtful = served.get("/readyz").await;
    assert_eq!(
        (doubtful.status, doubtful.text.as_str()),
        (200, "ready\n- warning: <older> files are in force\n"),
        "it does its work all the same"
    );
    assert!(served.get("/").await.text.contains("Warning: &lt;older&gt; files are in force"));
    served.doubts.send_replace(Vec::new());
    served.ticked(
        now().minus(Duration::from_secs(600)),
        Plan::default(),
        Some("the database is busy: locked"),
    );
    let stuck = served.get("/readyz").await;
    assert_eq!(stuck.status, 503);
    assert!(stuck.text.contains("it last looked at everything 6"), "{stuck:?}");
    assert!(stuck.text.contains("- the database is busy: locked\n"), "{stuck:?}");
    served.ticked(now(), Plan::default(), None);
    served.store.close().await;
    let lost = served.get("/readyz").await;
    assert_eq!(lost.status, 503, "{lost:?}");
    assert!(lost.text.contains("database"), "{lost:?}");
    assert_eq!(served.get("/healthz").await.status, 200, "the process is still there");
    assert_eq!(served.get("/").await.status, 503);
}

#[tokio::test]
async fn the_page_shows_the_pool_and_escapes_what_others_wrote() {
    let served = Served::new().await;
    served.node("a1", NodeState::Ready, None).await;
    served.node("a2", NodeState::Hold, Some(EVIL)).await;
    let refusals = vec![
        Refusal { subject: Subject::Provider("cloud1".to_owned()), reason: EVIL.into() },
        Refusal { subject: Subject::Label(EVIL.to_owned()), reason: "no quota".into() },
    ];
    let mut plan = Plan { refusals, ..Plan::default() };
    let balance = Balance { jobs: 4, spares: Some(3), ready: 1, busy: 1, ..Balance::default() };
    plan.stock.labels.insert("ci-jessie".to_owned(), balance);
    plan.stock.providers.insert("cloud1".to_owned(), Space { limit: Some(7), taken: 5 });
    served.ticked(now(), plan, None);
    let failed = Setback {
        kind: SetbackKind::Launch,
        provider: "cloud1".to_owned(),
        name: "ci-jessie".to_owned(),
        failures: 3,
        last: now(),
        reason: "connect: no answer".to_owned(),
    };
    let breakers = Arc::new(Breaker::not_closed(&[failed], now()));
    served.last.send_modify(|last| last.breakers = breakers);
    let told =
        [(Resource::Instances, 3, Some(10)), (Resource::Cores, 9, None), (Resource::Ram, 512, Some(1024))];
    let told = told.map(|(resource, used, limit)| (resource, Usage { limit, used }));
    served.last.send_modify(|last| last.usage = Arc::new([("cloud1".to_owned(), told.into())].into()));
    let page = served.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.text.starts_with("<!doctype html>") && page.text.ends_with("</html>\n"));
    assert_eq!(page.text.matches("<script").count(), 1, "our own, by its address: {}", page.text);
    let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;";
    assert_eq!(
        page.text.matches(escaped).count(),
        4,
        "a comment, twice, a reason and a subject: {}",
        page.text
    );
    let text = cells(&page.text);
    assert!(text.contains(&format!("provider cloud1|{escaped}|")), "{text}");
    assert!(text.contains("ci-jessie|jessie|3|4|"), "{text}");
    assert!(text.contains("|0|0|1, 2 short|0|1|0|"), "{text}");
    assert!(text.contains("ci-off|jessie|off|"), "{text}");
    assert!(
        text.contains(
            "cloud1|5 of 7|2|0|0|7|instances 3 of 10RAM in MiB 512 of 1024|a call each 1 s, 1 open breakers|"
        ),
        "{text}"
    );
    assert!(text.contains("launch|cloud1|ci-jessie|open|3|"), "{text}");
    assert!(
        page.text.contains("1 used, 1 ready, 0 building of 7 wanted: 4 for jobs and 3 spare"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("open-sesame"));
}

#[tokio::test]
async fn every_answer_forbids_browsers_to_do_more_than_to_show_it() {
    let served = Served::new().await;
    let paths =
        ["/", "/node/1", "/style.css", "/page.js", "/icon.svg", "/live?view=home", "/image-list", "/metrics"];
    for path in paths.into_iter().chain(["/healthz", "/readyz", "/nowhere", "/api/v1/plan"]) {
        let answer = served.request(reqwest::Method::GET, path).send().await.unwrap();
        let header =
            |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{path}: {answer:?}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("access-control-allow-origin"), "", "{path}");
    }
    assert_eq!(served.get("/nowhere").await.status, 404);
    assert_eq!(served.ask(reqwest::Method::POST, "/").await.status, 405);
}

#[tokio::test]
async fn image_list_is_the_text_table_of_nodepool_v0() {
    let served = Served::new().await;
    let new = NewImage {
        recipe: String::new(),
        provider: "cloud1".to_owned(),
        image: "jessie".to_owned(),
        hostname: "template-jessie-1486399717".to_owned(),
        az: None,
        version: 1_486_399_717,
        attempt: "b1".to_owned(),
        created: now(),
        reason: "no image is ready".to_owned(),
    };
    served.store.insert_image(&new).await.unwrap();
    let answer = served.get("/image-list").await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"text/plain; charset=utf-8".parse().unwrap())
    );
    assert_eq!(
        answer.text,
        "\
+----+----------+--------+----------------------------+------------+----------+-----------+----------+-------------+
| ID | Provider | Image  | Hostname                   | Version    | Image ID | Server ID | State    | Age (hours) |
+----+----------+--------+----------------------------+------------+----------+-----------+----------+-------------+
| 1  | cloud1   | jessie | template-jessie-1486399717 | 1486399717 | None     | None      | building | 0.00        |
+----+----------+--------+----------------------------+------------+----------+-----------+----------+-------------+
"
    );
}

#[tokio::test]
async fn dib_image_list_is_there_for_those_who_ask_and_has_none() {
    let served = Served::new().await;
    let answer = served.get("/dib-image-list").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (
            200,
            "\
+----+-------+----------+---------+-------+-------------+
| ID | Image | Filename | Version | State | Age (hours) |
+----+-------+----------+---------+-------+-------------+
+----+-------+----------+---------+-------+-------------+
"
        )
    );
}

#[tokio::test]
async fn one_connection_serves_one_request_and_a_stop_is_graceful() {
    let served = Served::new().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let end = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
    assert!(end.is_ok(), "the server closes: {answer}");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");

    // Half a request is on its way when the stop comes: it is answered, and then the server ends.
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    served.get("/healthz").await;
    served.stop.cancel();
    stream.write_all(b"\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tokio::time::timeout(DEADLINE, served.server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}
