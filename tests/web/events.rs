//! The door for job events: who may tell, what is taken in, and what is answered to the rest.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nodepool::config::Config;
use nodepool::model::{JobEventKind, JobResult, NewJobEvent};
use reqwest::Method;
use serde_json::Value;

use super::{Answer, Served, config};

const TOKEN: &str = "abcdefghijklmnopqrst";
const PATH: &str = "/api/events/jenkins?node=ci-jessie-cloud1-7";
/// As Jenkins' Notification plugin writes it.
const FINALIZED: &str = r#"{"name":"gate-x","url":"job/gate-x/","build":{"number":7,"phase":"FINALIZED",
    "status":"FAILURE","url":"job/gate-x/7/","parameters":{"ZUUL_BRANCH":"master"},"scm":{}}}"#;

async fn served() -> Served {
    let served = Served::new().await;
    served.token(Some(TOKEN));
    served
}

impl Served {
    fn token(&self, token: Option<&str>) {
        let config = Config { event_token: token.map(Into::into), ..config() };
        self.config.send_replace(Arc::new(config));
    }

    async fn tell(&self, path: &str, text: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(Method::POST, path).bearer_auth(TOKEN).body(text)).await
    }

    async fn told(&self) -> Vec<NewJobEvent> {
        self.store.open_events().await.unwrap().into_iter().map(|event| event.told).collect()
    }
}

fn error(answer: &Answer) -> String {
    let json: Value = serde_json::from_str(&answer.text).unwrap_or_else(|_| panic!("{answer:?}"));
    json["error"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

#[tokio::test]
async fn what_is_told_is_a_row_before_it_is_answered_and_the_bell_is_rung() {
    let served = served().await;
    let answer = served.tell(PATH, FINALIZED).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "{\"event\":1}"));
    let expected = NewJobEvent {
        nodename: "ci-jessie-cloud1-7".to_owned(),
        kind: JobEventKind::Finished,
        job: "gate-x".to_owned(),
        number: Some(7),
        branch: Some("master".to_owned()),
        result: Some(JobResult::Failure),
    };
    assert_eq!(served.told().await, [expected]);
    assert_eq!(served.rings.load(Ordering::SeqCst), 1);

    let published =
        r#"{"name":"gate-x","build":{"phase":"FINISHED","node_name":"other","status":"SUCCESS"}}"#;
    assert_eq!(served.tell("/api/events/jenkins", published).await.status, 200);
    assert_eq!(served.told().await[1].nodename, "other", "the form of zmq-event-publisher is taken, too");
    let metrics = served.get("/metrics").await.text;
    let line = "nodepool_job_events_total{outcome=\"written\",source=\"webhook\"} 2";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[tokio::test]
async fn nobody_tells_without_the_token() {
    let served = served().await;
    let post = || served.request(Method::POST, PATH).body(FINALIZED);
    let longer = format!("{TOKEN}x");
    for refused in [
        post(),
        post().bearer_auth("wrong-but-long-enough"),
        post().bearer_auth(""),
        post().bearer_auth(&longer),
        post().bearer_auth(&TOKEN[1..]),
        post().basic_auth(TOKEN, None::<&str>),
        post().basic_auth("nodepool", Some("wrong")),
        post().header("authorization", format!("Digest {TOKEN}")),
        post().header("authorization", "Basic %%%"),
        post().header("authorization", "Basic bm9jb2xvbg=="),
        post().header("authorization", TOKEN),
    ] {
        let answer = served.send(refused).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(error(&answer).contains("token is missing or wrong"), "{answer:?}");
    }
    assert!(served.told().await.is_empty());
    // As the plugin sends it, whose only credentials are those in the URL.
    assert_eq!(served.send(post().basic_auth("nodepool", Some(TOKEN))).await.status, 200);
    assert_eq!(served.send(post().header("authorization", format!("bearer {TOKEN}"))).await.status, 200);
    assert_eq!(served.told().await.len(), 2);
}

#[tokio::test]
async fn the_token_is_the_one_of_the_configuration_in_force() {
    let served = served().await;
    served.token(None);
    let answer = served.tell(PATH, FINALIZED).await;
    assert_eq!(answer.status, 403);
    assert!(error(&answer).contains("[events] of secure.conf"), "it says how to begin: {answer:?}");
    served.token(Some("another-token-of-good-length"));
    assert_eq!(served.tell(PATH, FINALIZED).await.status, 401);
    served.token(Some(TOKEN));
    assert_eq!(served.tell(PATH, FINALIZED).await.status, 200);
    assert_eq!(served.get("/api/events/jenkins").await.status, 405);
}

#[tokio::test]
async fn what_cannot_be_used_is_explained_and_writes_nothing() {
    let served = served().await;
    for (text, why) in [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[]", "no object"),
        ("<xml/>", "choose the format JSON"),
        (r#"{"name":"x"}"#, "build.phase"),
    ] {
        let answer = served.tell(PATH, text).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(error(&answer).contains(why), "{answer:?}");
    }
    let without_node = served.tell("/api/events/jenkins", FINALIZED).await;
    assert_eq!(without_node.status, 400);
    assert!(error(&without_node).contains("?node=${NODE_NAME}"), "{without_node:?}");

    let long = served.tell(PATH, vec![b' '; 256 * 1024 + 1]).await;
    assert_eq!(long.status, 413, "{long:?}");
    assert!(error(&long).contains("262144 bytes"), "{long:?}");
    let just_fits = [FINALIZED.as_bytes(), &vec![b' '; 256 * 1024 - FINALIZED.len()]].concat();
    assert_eq!(served.tell(PATH, just_fits).await.status, 200);
    assert_eq!(served.told().await.len(), 1);
}

#[tokio::test]
async fn what_is_about_no_node_is_taken_and_left_alone() {
    let served = served().await;
    let queued = FINALIZED.replace("FINALIZED", "QUEUED");
    for (path, text) in [("/api/events/jenkins?node=", FINALIZED), (PATH, queued.as_str())] {
        let answer = served.tell(path, text.to_owned()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text.contains("ignored"), "{answer:?}");
    }
    assert!(served.told().await.is_empty());
    assert_eq!(served.rings.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_told_to_the_sender() {
    let served = served().await;
    served.store.close().await;
    let answer = served.tell(PATH, FINALIZED).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert!(error(&answer).contains("database"), "{answer:?}");
}
