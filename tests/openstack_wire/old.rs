//! Clouds of long ago: a Nova that offers 2.1 only, and one before microversions, under `/v2/PROJECT`.

use nodepool::cloud::Cloud;
use nodepool::cloud::openstack::OpenStack;
use nodepool::model::{ServerStatus, Timestamp};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{self, Fake};

/// A cloud whose Nova is at this place of the catalogue and describes itself like this.
async fn old(endpoint: &str, described_at: &str, described: Option<Value>) -> (Fake, OpenStack) {
    let fake = Fake::without_nova().await;
    fake.things_of(endpoint).await;
    let service = |kind: &str, path: &str| {
        json!({"type": kind, "endpoints": [
            {"interface": "public", "region": "One", "url": format!("{}{path}", fake.server.uri())}]})
    };
    let catalog =
        json!([service("compute", endpoint), service("image", "/image/v2"), service("network", "/network")]);
    fake.first("POST", "/identity/v3/auth/tokens", fake::token("token-1", &catalog)).await;
    match described {
        Some(body) => fake.answer("GET", described_at, 200, body).await,
        None => fake.answer("GET", described_at, 404, json!({})).await,
    }
    let driver = fake.driver().await;
    (fake, driver)
}

/// Everything that a pool does, on such a cloud.
async fn lives_on(endpoint: &str, described_at: &str, described: Option<Value>) {
    let (fake, driver) = old(endpoint, described_at, described).await;
    let at = |rest: &str| format!("{endpoint}{rest}");
    fake.answer("POST", &at("/servers"), 202, json!({"server": {"id": "s-1", "adminPass": "x"}})).await;
    let location = format!("http://inside:8774{endpoint}/images/i-9");
    let accepted = ResponseTemplate::new(202).insert_header("Location", location.as_str());
    fake.respond("POST", &at("/servers/s-1/action"), accepted).await;
    fake.respond("DELETE", &at("/servers/s-1"), ResponseTemplate::new(204)).await;
    fake.respond("DELETE", &at("/os-keypairs/k"), ResponseTemplate::new(202)).await;
    fake.answer("POST", &at("/os-keypairs"), 200, json!({"keypair": {"name": "k"}})).await;

    assert_eq!(driver.create_server(&fake::server()).await.unwrap(), "s-1");
    let sent = fake::body(&fake.request("POST", &at("/servers")).await)["server"].take();
    assert!(sent.get("tags").is_none(), "such a Nova refuses a server with tags");
    assert_eq!(sent["metadata"]["nodepool_attempt"], "attempt-9");

    let listed = json!({"servers": [{"id": "s-1", "name": "ci-42", "status": "ACTIVE", "image": "",
        "created": "2026-11-21T10:00:00Z", "metadata": sent["metadata"],
        "addresses": {"private": [{"version": 4, "addr": "10.0.0.9"}]}}]});
    fake.answer("GET", &at("/servers/detail"), 200, listed).await;
    let servers = driver.servers(Some(Timestamp::from_seconds(0))).await.unwrap();
    assert_eq!(servers[0].tag, Some(fake::tag()), "the metadata says whose it is");
    assert_eq!(servers[0].status, ServerStatus::Active);
    assert_eq!(servers[0].addresses[0].ip.to_string(), "10.0.0.9");

    assert_eq!(driver.create_snapshot(&fake::snapshot()).await.unwrap(), "i-9");
    driver.create_keypair("k", "ssh-ed25519 AAAA").await.unwrap();
    driver.delete_keypair("k").await.unwrap();
    driver.delete_server("s-1").await.unwrap();
    for request in fake.server.received_requests().await.unwrap() {
        assert_eq!(fake::header(&request, "OpenStack-API-Version"), None, "{}", request.url);
        assert_eq!(fake::header(&request, "X-OpenStack-Nova-API-Version"), None, "{}", request.url);
    }
}

#[tokio::test]
async fn a_pool_lives_on_a_nova_of_2_1_only() {
    let described = json!({"version": {"id": "v2.1", "min_version": "2.1", "version": "2.1", "links": []}});
    lives_on("/compute/v2.1", "/compute/v2.1/", Some(described)).await;
}

#[tokio::test]
async fn a_pool_lives_on_a_nova_without_microversions() {
    let described =
        json!({"version": {"id": "v2.0", "status": "SUPPORTED", "min_version": "", "version": ""}});
    lives_on("/v2/p-1", "/v2/", Some(described)).await;
    lives_on("/v2/p-1", "/v2/", None).await;
}

#[tokio::test]
async fn a_nova_that_fails_to_describe_itself_is_asked_again() {
    let (fake, driver) = old("/v2/p-1", "/nowhere", None).await;
    fake.respond("GET", "/v2/", ResponseTemplate::new(503)).await;
    assert_eq!(driver.servers(None).await.unwrap_err().word(), "transient", "it may offer more than 2.1");
}
