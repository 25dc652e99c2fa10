//! Refusals, silence and cut connections, each named by what the caller will do.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use nodepool::cloud::metered::Metered;
use nodepool::cloud::{Cloud, CloudError};
use nodepool::model::Timestamp;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use wiremock::ResponseTemplate;

use crate::fake::{self, Fake, PASSWORD, SHORT};

const SERVERS: &str = "/compute/v2.1/servers";

fn refusal(status: u16, key: &str, message: &str) -> ResponseTemplate {
    let body = json!({key: {"code": status, "message": message}});
    ResponseTemplate::new(status).set_body_json(body).insert_header("x-openstack-request-id", "req-1")
}

async fn create_answered(response: ResponseTemplate) -> CloudError {
    let fake = Fake::ready().await;
    fake.respond("POST", SERVERS, response).await;
    let error = fake.driver().await.create_server(&fake::server()).await.unwrap_err();
    assert_eq!(fake.requests("POST", SERVERS).await.len(), 1, "a create is never repeated");
    error
}

#[tokio::test]
async fn tells_quota_from_policy() {
    let quota = create_answered(refusal(403, "forbidden", "Quota exceeded for instances: Requested 1")).await;
    let text = "POST compute /servers: 403 Quota exceeded for instances: Requested 1 (req-1)";
    assert_eq!(quota, CloudError::Quota(text.into()));
    let policy = create_answered(refusal(403, "forbidden", "Policy doesn't allow this")).await;
    assert!(matches!(policy, CloudError::Rejected(_)), "{policy}");
}

#[tokio::test]
async fn passes_on_how_long_to_wait() {
    for status in [413, 429] {
        let response =
            refusal(status, "overLimit", "This request was rate-limited.").insert_header("Retry-After", "17");
        let error = create_answered(response).await;
        assert!(
            matches!(&error, CloudError::Throttled { retry_after: Some(pause), .. } if pause.as_secs() == 17),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_create_that_may_have_had_its_effect_is_uncertain() {
    let page = "<html><head><title>500</title></head><body><h1>Internal\nServer Error</h1></body></html>";
    let error = create_answered(ResponseTemplate::new(500).set_body_string(page)).await;
    assert_eq!(error, CloudError::Transient("POST compute /servers: 500 Internal Server Error".into()));
    for response in [
        ResponseTemplate::new(502),
        ResponseTemplate::new(503).insert_header("Retry-After", "5"),
        ResponseTemplate::new(504),
        ResponseTemplate::new(202).set_body_string("accepted"),
        ResponseTemplate::new(202).set_body_json(json!({"server": {}})),
    ] {
        let error = create_answered(response).await;
        assert!(matches!(error, CloudError::Transient(_)), "{error:?}");
        assert!(!error.had_no_effect());
    }
}

#[tokio::test]
async fn a_create_that_was_refused_is_not_uncertain() {
    for response in [
        refusal(400, "badRequest", "Can not find requested image"),
        refusal(404, "itemNotFound", "nothing here"),
        refusal(409, "conflictingRequest", "Multiple possible networks found"),
        refusal(422, "unprocessable", "no"),
        ResponseTemplate::new(302).insert_header("Location", "http://elsewhere.invalid/"),
    ] {
        let error = create_answered(response).await;
        assert!(matches!(error, CloudError::Rejected(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_listing_may_be_told_to_wait() {
    let fake = Fake::ready().await;
    let response = ResponseTemplate::new(503).insert_header("Retry-After", "5");
    fake.respond("GET", "/compute/v2.1/servers/detail", response).await;
    let error = fake.driver().await.servers(None).await.unwrap_err();
    assert!(matches!(error, CloudError::Throttled { retry_after: Some(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_silent_service_meets_the_deadline() {
    let fake = Fake::ready().await;
    fake.respond("POST", SERVERS, ResponseTemplate::new(202).set_delay(Duration::from_hours(1))).await;
    let driver = fake.impatient().await;
    let start = Instant::now();
    let error = driver.create_server(&fake::server()).await.unwrap_err();
    assert!(matches!(&error, CloudError::Transient(text) if text.contains("no answer within")), "{error:?}");
    assert!(start.elapsed() < SHORT * 20);
}

/// A service that reads a little of each request and then answers with these bytes and closes.
async fn cutting(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut start = [0; 4096];
            let _ = stream.read(&mut start).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    url
}

#[tokio::test]
async fn a_cut_connection_is_uncertain() {
    for answer in [
        b"".as_slice(),
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 500\r\n\r\n{\"keypairs\": [",
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"keypairs\": []}",
        b"this is not HTTP\r\n\r\n",
    ] {
        let fake = Fake::without_nova().await;
        let url = cutting(answer).await;
        let catalog = json!([{"type": "compute", "endpoints": [{"interface": "public", "url": format!("{url}/v2.1")}]}]);
        fake.server.reset().await;
        fake.respond("POST", "/identity/v3/auth/tokens", fake::token("t", &catalog)).await;
        let driver = fake.driver().await;
        for error in [
            driver.delete_server("s-1").await.unwrap_err(),
            driver.create_keypair("k", "ssh-ed25519 AAAA").await.unwrap_err(),
            driver.keypairs().await.unwrap_err(),
        ] {
            assert!(matches!(error, CloudError::Transient(_)), "{error:?}");
        }
    }
}

#[tokio::test]
async fn what_is_gone_is_not_found() {
    let fake = Fake::ready().await;
    let driver = fake.driver().await;
    for error in [
        driver.delete_server("s-1").await.unwrap_err(),
        driver.delete_image("i-1").await.unwrap_err(),
        driver.delete_keypair("k-1").await.unwrap_err(),
        driver.create_snapshot(&fake::snapshot()).await.unwrap_err(),
    ] {
        assert!(matches!(error, CloudError::NotFound(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_listing_that_is_not_there_is_not_an_empty_one() {
    let fake = Fake::up_to("2.93").await;
    let driver = fake.driver().await;
    assert!(matches!(driver.servers(None).await, Err(CloudError::Rejected(_))));
    assert!(matches!(driver.images().await, Err(CloudError::Rejected(_))));
    assert!(matches!(driver.keypairs().await, Err(CloudError::Rejected(_))));
}

#[tokio::test]
async fn a_meter_hears_of_each_call_and_its_outcome() {
    let fake = Fake::ready().await;
    fake.answer("GET", "/compute/v2.1/servers/detail", 200, json!({"servers": []})).await;
    let heard = Mutex::new(Vec::new());
    let meter = |operation: &'static str, outcome: &'static str, _: Duration| {
        heard.lock().unwrap().push((operation, outcome));
    };
    let cloud = Metered::new(fake.driver().await, meter);
    cloud.servers(None).await.unwrap();
    cloud.servers(Some(Timestamp::from_seconds(1))).await.unwrap();
    cloud.delete_server("s-1").await.unwrap_err();
    drop(cloud);
    let expected = [("list_servers", "ok"), ("list_changed_servers", "ok"), ("delete_server", "not_found")];
    assert_eq!(heard.into_inner().unwrap(), expected);
}

#[tokio::test]
async fn a_keypair_that_exists_is_a_success() {
    let fake = Fake::without_nova().await;
    let exists = refusal(409, "conflictingRequest", "Key pair 'k' already exists.");
    fake.respond("POST", "/compute/v2.1/os-keypairs", exists).await;
    fake.driver().await.create_keypair("k", "ssh-ed25519 AAAA").await.unwrap();
    let sent = fake::body(&fake.request("POST", "/compute/v2.1/os-keypairs").await);
    assert_eq!(sent, json!({"keypair": {"name": "k", "public_key": "ssh-ed25519 AAAA"}}));

    let fake = Fake::without_nova().await;
    let full = refusal(403, "forbidden", "Quota exceeded, too many key pairs.");
    fake.respond("POST", "/compute/v2.1/os-keypairs", full).await;
    let outcome = fake.driver().await.create_keypair("k", "ssh-ed25519 AAAA").await;
    assert!(matches!(outcome, Err(CloudError::Quota(_))), "{outcome:?}");
}

#[tokio::test]
async fn secrets_are_in_no_text() {
    let fake = Fake::ready().await;
    let echo = format!("you sent token-1 and {PASSWORD} {}", "x".repeat(100_000));
    fake.respond("POST", SERVERS, ResponseTemplate::new(400).set_body_string(&echo)).await;
    let driver = fake.driver().await;
    let error = driver.create_server(&fake::server()).await.unwrap_err();
    let text = format!("{error} {error:?} {:?}", fake.settings());
    assert!(text.contains("you sent [secret] and [secret]"), "{text}");
    assert!(!text.contains("token-1") && !text.contains(PASSWORD), "{text}");
    assert!(text.len() < 3000);

    let fake = Fake::without_nova().await;
    fake.server.reset().await;
    fake.respond("POST", "/identity/v3/auth/tokens", ResponseTemplate::new(400).set_body_string(&echo)).await;
    let error = fake.driver().await.keypairs().await.unwrap_err();
    assert!(matches!(&error, CloudError::AuthFailed(text) if !text.contains(PASSWORD)), "{error:?}");
}
