//! The JSON API: what it tells, in bounded parts, what may be asked for there, and whom it does not answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nodepool::config::{Config, WebTokens};
use nodepool::model::{NodeId, NodeState, WishId, WishKind};
use reqwest::Method;
use serde_json::{Value, json};

use super::metrics::busy;
use super::{Answer, Served, config, now};

pub const READ: &str = "read-read-read-read";
pub const WRITE: &str = "write-write-write-write";

/// A daemon that may be steered over HTTP.
pub async fn steered() -> Served {
    let served = Served::new().await;
    let web = WebTokens { read_token: Some(READ.into()), write_token: Some(WRITE.into()) };
    served.config.send_replace(Arc::new(Config { web, ..config() }));
    served
}

fn read(answer: &Answer) -> Value {
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    serde_json::from_str(&answer.text).unwrap()
}

async fn send(served: &Served, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = served.request(method, &format!("/api/v1{path}")).bearer_auth(WRITE);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = served.send(request).await;
    (answer.status, serde_json::from_str(&answer.text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_plan_is_told_with_its_sums() {
    let served = Served::new().await;
    let early = read(&served.get("/api/v1/plan").await);
    assert_eq!((&early["at"], &early["actions"]), (&Value::Null, &json!([])));
    busy(&served).await;
    let plan = read(&served.get("/api/v1/plan").await);
    assert_eq!(plan["labels"]["ci-jessie"]["missing"], 7, "{plan}");
    assert_eq!(plan["providers"]["cloud1"]["servers"], 6, "{plan}");
    assert_eq!(plan["targets"]["jenkins1"], "it cannot be read", "{plan}");
    assert_eq!(plan["unknown_demand"], json!({"nobody": 4}));
    served.metrics.turn("cloud1", Duration::from_millis(1500));
    let providers = read(&served.get("/api/v1/providers").await);
    assert_eq!(
        (
            &providers[0]["servers"],
            &providers[0]["last_call_waited_seconds"],
            &providers[0]["calls_that_waited"]
        ),
        (&json!(6), &json!(1.5), &json!(2))
    );
}

#[tokio::test]
async fn rows_come_in_parts_and_with_their_history() {
    let served = Served::new().await;
    for attempt in ["a1", "a2", "a3"] {
        served.node(attempt, NodeState::Ready, None).await;
    }
    let ids = |answer: &Answer| -> Vec<i64> {
        read(answer).as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    for (query, wanted) in [
        ("", vec![1, 2, 3]),
        ("?limit=2", vec![1, 2]),
        ("?after=2&limit=1000000", vec![3]),
        ("?state=ready&label=ci-jessie&provider=cloud1&after=1", vec![2, 3]),
        ("?state=hold", vec![]),
        ("?label=other", vec![]),
    ] {
        assert_eq!(ids(&served.get(&format!("/api/v1/nodes{query}")).await), wanted, "{query}");
    }
    for wrong in ["nodes?limit=-1", "nodes?order=x", "nodes?state=redy", "plan?x=1"] {
        let answer = served.get(&format!("/api/v1/{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(serde_json::from_str::<Value>(&answer.text).unwrap()["error"].is_string(), "{wrong}");
    }
    assert_eq!(ids(&served.get("/api/v1/images").await), Vec::<i64>::new());
    assert_eq!(read(&served.get("/api/v1/nodes/2").await)["hostname"], "ci-jessie-2");
    for unknown in ["nodes/99", "nodes/0", "nodes/x", "images/1", "wishes/1", "nowhere"] {
        assert_eq!(served.get(&format!("/api/v1/{unknown}")).await.status, 404, "{unknown}");
    }
    let history = read(&served.get("/api/v1/nodes/2/history").await);
    assert_eq!(
        (&history[0]["event"], &history[0]["reason"]),
        (&"created".into(), &"a spare node is missing".into())
    );
    assert_eq!(read(&served.get("/api/v1/nodes/99/history").await), json!([]));
    assert_eq!(served.ask(Method::DELETE, "/api/v1/nodes").await.status, 405);
}

#[tokio::test]
async fn who_steers_writes_the_wishes_that_the_commands_write() {
    let served = steered().await;
    served.node("a1", NodeState::Ready, None).await;
    let before = now();
    let hold = json!({"reason": "a look", "owner": "ann", "seconds": 3600.0});
    for (method, path, body) in [
        (Method::POST, "/nodes/1/hold", Some(hold)),
        (Method::POST, "/nodes/1/hold", Some(json!({}))),
        (Method::DELETE, "/nodes/1/hold", None),
        (Method::DELETE, "/nodes/1", None),
        (Method::DELETE, "/nodes/1?now=true", None),
        (Method::POST, "/images", Some(json!({"provider": "cloud1", "image": "jessie"}))),
    ] {
        let (status, answer) = send(&served, method, path, body).await;
        assert_eq!(status, 202, "{path}: {answer}");
    }
    assert_eq!(served.rings.load(Ordering::SeqCst), 6, "each of them wakes the daemon");
    let wishes: Vec<WishKind> =
        served.store.open_wishes().await.unwrap().into_iter().map(|wish| wish.kind).collect();
    let node = NodeId(1);
    let [
        WishKind::Hold { node: NodeId(1), comment: Some(why), until: Some(until), owner: Some(who) },
        rest @ ..,
    ] = wishes.as_slice()
    else {
        panic!("{wishes:?}")
    };
    assert_eq!((why.as_str(), who.as_str()), ("a look", "ann"));
    assert!(*until >= before.plus(Duration::from_secs(3600)));
    assert_eq!(
        rest,
        [
            WishKind::Hold { node, comment: None, until: None, owner: None },
            WishKind::Unhold(node),
            WishKind::Delete { node, now: false },
            WishKind::Delete { node, now: true },
            WishKind::ImageUpdate { provider: "cloud1".to_owned(), image: "jessie".to_owned() },
        ]
    );
    assert_eq!(read(&served.get("/api/v1/wishes/1").await)["state"], "open");
    served.store.settle_wish(WishId(1), now(), false, "a job runs on it").await.unwrap();
    let settled = read(&served.get("/api/v1/wishes/1").await);
    assert_eq!((&settled["state"], &settled["outcome"]), (&"refused".into(), &"a job runs on it".into()));
}

#[tokio::test]
async fn what_makes_no_sense_is_no_wish() {
    let served = steered().await;
    served.node("a1", NodeState::Ready, None).await;
    let long = "x".repeat(1001);
    for (method, path, body, status) in [
        (Method::POST, "/nodes/99/hold", Some(json!({})), 404),
        (Method::POST, "/nodes/1/hold", Some(json!({"until": 3})), 422),
        (Method::POST, "/nodes/1/hold", Some(json!({"seconds": 0})), 422),
        (Method::POST, "/nodes/1/hold", Some(json!({"seconds": 1.5})), 422),
        (Method::POST, "/nodes/1/hold", Some(json!([null, null, null])), 422),
        (Method::POST, "/nodes/1/hold", Some(json!({"seconds": u64::MAX})), 422),
        (Method::POST, "/nodes/1/hold", Some(json!({"reason": long})), 422),
        (Method::POST, "/nodes/1/hold", None, 415),
        (Method::DELETE, "/nodes/1?now=maybe", None, 400),
        (Method::DELETE, "/nodes/99", None, 404),
        (Method::DELETE, "/images/1", None, 404),
        (Method::POST, "/images", Some(json!({"provider": "cloud1", "image": "all"})), 404),
        (Method::POST, "/images", Some(json!({"provider": "cloud1"})), 422),
    ] {
        let (found, answer) = send(&served, method, path, body).await;
        assert_eq!(found, status, "{path}: {answer}");
        assert!(answer["error"].is_string(), "{path}: {answer}");
    }
    assert_eq!(served.store.open_wishes().await.unwrap(), []);
}

#[tokio::test]
async fn nobody_steers_without_the_token_for_it() {
    let served = steered().await;
    served.node("a1", NodeState::Ready, None).await;
    let ask = |shown: Option<&str>| {
        let request = served.request(Method::DELETE, "/api/v1/nodes/1");
        match shown {
            Some(shown) => request.header("authorization", shown),
            None => request,
        }
    };
    // The last one is what a browser sends by itself once it knows the token.
    let password = format!(
        "Basic {}",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("x:{WRITE}"))
    );
    for shown in [None, Some(format!("Bearer {READ}")), Some("Bearer x".to_owned()), Some(password)] {
        let answer = served.send(ask(shown.as_deref())).await;
        assert_eq!((answer.status, &answer.headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    }
    served.config.send_replace(Arc::new(config()));
    assert_eq!(served.send(ask(Some(&format!("Bearer {WRITE}")))).await.status, 403, "none is configured");
    assert_eq!(served.store.open_wishes().await.unwrap(), []);
    assert_eq!(served.rings.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_more_wishes_are_taken_than_the_daemon_reads_at_once() {
    let served = steered().await;
    served.node("a1", NodeState::Ready, None).await;
    for _ in 0..1000 {
        served.store.add_wish(&WishKind::Check, now()).await.unwrap();
    }
    assert_eq!(send(&served, Method::DELETE, "/nodes/1", None).await.0, 429);
}

#[tokio::test]
async fn a_port_that_others_reach_tells_only_those_who_know_a_token() {
    let served = Served::at("0.0.0.0:0").await;
    for path in ["/", "/api/v1/plan", "/live?view=home", "/node/1"] {
        assert_eq!(served.get(path).await.status, 403, "{path}: no token is configured");
    }
    let web = WebTokens { read_token: Some(READ.into()), write_token: None };
    served.config.send_replace(Arc::new(Config { web, ..config() }));
    for path in ["/", "/api/v1/plan", "/live?view=home"] {
        let refused = served.get(path).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "), "browsers ask");
        let request = served.request(Method::GET, path);
        let answer = request.basic_auth("me", Some(READ)).header("host", "nodepool.example.org").send().await;
        assert_eq!(answer.unwrap().status(), 200, "{path}");
    }
    for path in ["/healthz", "/metrics", "/image-list", "/dib-image-list"] {
        assert_eq!(served.get(path).await.status, 200, "{path}: what probes read");
    }
}

#[tokio::test]
async fn a_page_of_somebody_else_cannot_have_a_browser_ask() {
    let served = Served::new().await;
    for (host, status) in [("localhost:8005", 200), ("127.0.0.1", 200), ("nodepool.evil.example.org", 403)] {
        let request = served.request(Method::GET, "/api/v1/plan").header("host", host);
        let request = request.header("origin", "http://nodepool.evil.example.org");
        let answer = served.send(request).await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let before =
        served.request(Method::OPTIONS, "/api/v1/nodes/1/hold").header("origin", "http://evil.example.org");
    let answer = served.send(before.header("access-control-request-method", "POST")).await;
    assert_eq!(answer.status, 405);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}
