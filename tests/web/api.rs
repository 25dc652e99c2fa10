//! The JSON API: what it tells, in bounded parts, and whom it does not answer.

use nodepool::model::NodeState;
use reqwest::Method;
use serde_json::{Value, json};

use super::metrics::busy;
use super::{Answer, Served};

fn read(answer: &Answer) -> Value {
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    serde_json::from_str(&answer.text).unwrap()
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
    assert_eq!(ids(&served.get("/api/v1/nodes").await), [1, 2, 3]);
    assert_eq!(ids(&served.get("/api/v1/nodes?limit=2").await), [1, 2]);
    assert_eq!(ids(&served.get("/api/v1/nodes?after=2&limit=1000000").await), [3]);
    assert_eq!(served.get("/api/v1/nodes?limit=-1").await.status, 400);
    assert_eq!(served.get("/api/v1/nodes?order=x").await.status, 400);
    assert_eq!(ids(&served.get("/api/v1/images").await), Vec::<i64>::new());
    let history = read(&served.get("/api/v1/nodes/2/history").await);
    assert_eq!(
        (&history[0]["event"], &history[0]["reason"]),
        (&"created".into(), &"a spare node is missing".into())
    );
    assert_eq!(read(&served.get("/api/v1/nodes/99/history").await), json!([]));
    assert_eq!(served.ask(Method::DELETE, "/api/v1/nodes").await.status, 405);
}

#[tokio::test]
async fn a_page_of_somebody_else_cannot_have_a_browser_ask() {
    let served = Served::new().await;
    for (host, status) in [("localhost:8005", 200), ("127.0.0.1", 200), ("nodepool.evil.example.org", 403)] {
        let request = served.request(Method::GET, "/api/v1/plan").header("host", host);
        let answer = served.send(request).await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}
