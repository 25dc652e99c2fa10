//! The page that is open: what its stream tells, and what its other pages and its choice of nodes show.

use std::time::Duration;

use nodepool::model::NodeState;
use nodepool::plan::{Plan, Refusal, Subject};
use reqwest::{Method, Response};
use serde_json::Value;

use super::{DEADLINE, EVIL, Served, cells, note, now};

/// The stream of one page.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(served: &Served, query: &str) -> Self {
        let response = served.request(Method::GET, &format!("/live?{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The name and the data of the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                let event = std::mem::replace(&mut self.text, rest);
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
                return Some((field("event:").to_owned(), serde_json::from_str(field("data:")).unwrap()));
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.unwrap().unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The ids of the parts that the next message with news brings, and their HTML.
    async fn parts(&mut self) -> serde_json::Map<String, Value> {
        loop {
            let (name, data) = self.next().await.unwrap();
            if name == "parts" {
                return data["parts"].as_object().unwrap().clone();
            }
        }
    }
}

fn refusing(reason: &str) -> Plan {
    let subject = Subject::Label("ci-jessie".to_owned());
    Plan { refusals: vec![Refusal { subject, reason: reason.into() }], ..Plan::default() }
}

#[tokio::test]
async fn a_page_is_told_everything_once_and_then_what_changed() {
    let served = Served::new().await;
    let at = now();
    served.ticked(at, refusing("first"), None);
    let mut stream = Stream::open(&served, "view=home").await;
    let parts = stream.parts().await;
    assert!(parts.contains_key("labels") && parts.contains_key("node-list"), "{parts:?}");
    let page = served.get("/").await.text;
    for id in parts.keys() {
        assert!(page.contains(&format!(" id=\"{id}\" data-part>")), "{id} has no place on the page");
    }
    served.ticked(at, refusing(EVIL), None);
    let parts = stream.parts().await;
    let others = parts.keys().filter(|id| *id != "trend");
    assert_eq!(others.collect::<Vec<_>>(), ["refused"], "nothing but the chart changed with it");
    assert!(!parts["refused"].as_str().unwrap().contains("<script"));
    served.node("a1", NodeState::Ready, None).await;
    let _ticks = served.keeps_ticking();
    let listed = async {
        loop {
            let parts = stream.parts().await;
            assert!(!parts.contains_key("refused"), "{parts:?}");
            if parts.contains_key("node-list") {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, listed).await.expect("the new node is told");
}

#[tokio::test]
async fn however_much_happens_a_page_is_told_once_a_second_and_in_the_end_what_is() {
    let served = Served::new().await;
    let mut stream = Stream::open(&served, "view=home").await;
    stream.parts().await;
    let started = tokio::time::Instant::now();
    for tick in 0..200 {
        served.ticked(now(), refusing(&format!("reason {tick}")), None);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ticked = started.elapsed();
    let mut messages = 0_u64;
    loop {
        messages += 1;
        let parts = stream.parts().await;
        if parts.get("refused").is_some_and(|part| part.as_str().unwrap().contains("reason 199")) {
            break;
        }
    }
    assert!(messages <= ticked.as_secs() + 2, "{messages} messages in {ticked:?}");
}

#[tokio::test]
async fn only_so_many_pages_are_told_and_a_place_that_is_left_is_free_again() {
    let served = Served::new().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Stream::open(&served, "view=home").await);
    }
    let refused = served.get("/live?view=home").await;
    assert_eq!((refused.status, &refused.headers["retry-after"]), (503, &"10".parse().unwrap()));
    assert_eq!(served.get("/").await.status, 200, "the page itself is shown all the same");
    streams.pop();
    let again = async {
        loop {
            let response = served.request(Method::GET, "/live?view=home").send().await.unwrap();
            if response.status() == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, again).await.expect("a page that is closed gives its place back");
}

#[tokio::test]
async fn a_stop_ends_the_streams() {
    let served = Served::new().await;
    let mut stream = Stream::open(&served, "view=home").await;
    stream.parts().await;
    served.stop.cancel();
    while stream.next().await.is_some() {}
    tokio::time::timeout(DEADLINE, served.server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_is_lost_is_told_and_does_not_end_the_stream() {
    let served = Served::new().await;
    let mut stream = Stream::open(&served, "view=home").await;
    stream.parts().await;
    served.store.close().await;
    // What was read a moment ago will do for a moment.
    let told = async {
        loop {
            served.ticked(now(), Plan::default(), None);
            let (name, data) = stream.next().await.unwrap();
            if name == "trouble" {
                return data;
            }
        }
    };
    let told = tokio::time::timeout(DEADLINE, told).await.unwrap();
    assert!(told["text"].as_str().unwrap().contains("database"), "{told}");
}

#[tokio::test]
async fn the_address_of_the_page_chooses_among_the_nodes() {
    let served = Served::new().await;
    served.node("a1", NodeState::Ready, None).await;
    served.node("a2", NodeState::Hold, Some("for Ann <b>")).await;
    let shown = async |query: &str| {
        let page = served.get(&format!("/?{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        let list = page.text.split("id=\"node-list\"").nth(1).unwrap().split("id=\"held\"").next().unwrap();
        (list.split("class=\"count\">").nth(1).unwrap().split("</p>").next().unwrap().to_owned(), cells(list))
    };
    assert_eq!(shown("").await.0, "2 of 2 nodes");
    assert_eq!(shown("q=ANN+hold").await.0, "1 of 2 nodes");
    assert_eq!(shown("q=ann+ready").await.0, "0 of 2 nodes");
    assert!(shown("state=hold").await.1.starts_with("2|hold|"));
    assert_eq!(shown("state=ready&label=ci-jessie&provider=cloud1").await.0, "1 of 2 nodes");
    assert_eq!(shown("label=other&page=99").await.0, "0 of 2 nodes");
    assert_eq!(served.get("/?page=x").await.status, 400);
    let page = served.get("/?q=%22%3E%3Cscript%3E").await.text;
    assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{page}");
    let mut stream = Stream::open(&served, "view=home&state=hold").await;
    let list = stream.parts().await["node-list"].as_str().unwrap().to_owned();
    assert!(list.contains("1 of 2 nodes"), "the stream follows the same choice: {list}");
}

#[tokio::test]
async fn nodes_and_images_have_pages_with_all_that_happened_to_them() {
    let served = Served::new().await;
    served.node("a1", NodeState::Hold, Some(EVIL)).await;
    let page = served.get("/node/1").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("<strong>created</strong>") && page.text.contains("a spare node is missing"));
    assert!(page.text.contains("&lt;script&gt;") && !page.text.contains(EVIL), "{}", page.text);
    assert_eq!(served.get("/node/99").await.status, 404);
    assert_eq!(served.get("/image/1").await.status, 404);
    let mut stream = Stream::open(&served, "view=node/1").await;
    let parts = stream.parts().await;
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["facts", "timeline"]);
    for view in ["", "view=", "view=node", "view=node/x", "view=other/1"] {
        assert_eq!(served.get(&format!("/live?{view}")).await.status, 400, "{view}");
    }

    let node = served.store.nodes().await.unwrap().remove(0);
    served.store.remove_node(&node, &note("its job is done")).await.unwrap();
    let page = served.get("/node/1").await;
    assert_eq!(page.status, 200);
    for told in [
        "It is gone.",
        "<dd>cloud1</dd>",
        &format!("<dd>{}</dd>", node.hostname),
        "its job is done",
        "a spare node",
    ] {
        assert!(page.text.contains(told), "{told}: {}", page.text);
    }
}

#[tokio::test]
async fn equal_failures_stand_together_with_the_last_of_them() {
    use nodepool::model::NodeId;
    use nodepool::store::{FailedTry, Subject as Whose};
    let served = Served::new().await;
    for id in 1..=3 {
        let failed = FailedTry {
            at: now(),
            subject: Whose::Node(NodeId(id)),
            provider: "cloud1".to_owned(),
            az: None,
            image: "jessie".to_owned(),
            label: Some("ci-jessie".to_owned()),
            step: "boot".to_owned(),
            waited: Duration::from_secs(3),
            deadline: None,
            message: format!("server 77-{id} is in ERROR: No valid host was found"),
            console: Some("a console of many lines".to_owned()),
            output: None,
        };
        served.store.add_failure(&failed).await.unwrap();
    }
    let page = served.get("/").await.text;
    let failures = cells(page.split("id=\"failures\"").nth(1).unwrap());
    assert!(failures.starts_with("3|"), "{failures}");
    assert!(failures.contains("|boot|server 77-3 is in ERROR: No valid host was found|3|"), "{failures}");
    assert!(!page.contains("a console of many lines"), "that is on the page of the node");
}

#[tokio::test]
async fn what_may_be_read_is_not_read_under_a_name_of_somebody_else() {
    let served = Served::new().await;
    for (path, other) in
        [("/", 403), ("/live?view=home", 403), ("/node/1", 403), ("/metrics", 403), ("/healthz", 200)]
    {
        let request = served.request(Method::GET, path).header("host", "nodepool.evil.example.org");
        assert_eq!(request.send().await.unwrap().status(), other, "{path}");
    }
}
