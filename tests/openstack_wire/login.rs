//! Logging in, renewing, and what happens when that fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use nodepool::cloud::openstack::{Credential, Domain, Identity, Named, OpenStack, Settings};
use nodepool::cloud::{Cloud, CloudError};
use serde_json::json;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::fake::{self, Fake, PASSWORD, SHORT};

const KEYPAIRS: &str = "/compute/v2.1/os-keypairs";
const TOKENS: &str = "/identity/v3/auth/tokens";

async fn keypairs_for(fake: &Fake, token: &str, response: ResponseTemplate) {
    let asked = Mock::given(method("GET")).and(path(KEYPAIRS)).and(header("X-Auth-Token", token));
    asked.respond_with(response).mount(&fake.server).await;
}

fn keypairs() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"keypairs": [{"keypair": {"name": "one", "odd": 1}}]}))
}

#[tokio::test]
async fn logs_in_once_with_a_password_and_the_domains_as_configured() {
    let fake = Fake::without_nova().await;
    keypairs_for(&fake, "token-1", keypairs()).await;
    let driver = fake.driver().await;
    assert_eq!(driver.keypairs().await.unwrap()[0].name, "one");
    driver.keypairs().await.unwrap();
    let login = fake.request("POST", TOKENS).await;
    let expected = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": "robot", "domain": {"id": "d-users"}, "password": PASSWORD}}},
        "scope": {"project": {"name": "ci", "domain": {"name": "Work"}}}}});
    assert_eq!(fake::body(&login), expected);
}

#[tokio::test]
async fn logs_in_with_ids_and_with_application_credentials() {
    let user = Named::Name { name: "robot".into(), domain: Domain::Name("Work".into()) };
    let credential = |credential| Identity::ApplicationCredential { credential, secret: PASSWORD.into() };
    let ids = Identity::Password {
        user: Named::Id("u-1".into()),
        password: PASSWORD.into(),
        project: Named::Id("p-1".into()),
    };
    for (identity, expected) in [
        (
            ids,
            json!({"identity": {"methods": ["password"], "password": {"user": {"id": "u-1", "password": PASSWORD}}},
                "scope": {"project": {"id": "p-1"}}}),
        ),
        (
            credential(Credential::Id("c-1".into())),
            json!({"identity": {"methods": ["application_credential"],
                "application_credential": {"id": "c-1", "secret": PASSWORD}}}),
        ),
        (
            credential(Credential::Name { name: "ci".into(), user }),
            json!({"identity": {"methods": ["application_credential"], "application_credential": {
                "name": "ci", "user": {"name": "robot", "domain": {"name": "Work"}}, "secret": PASSWORD}}}),
        ),
    ] {
        let fake = Fake::without_nova().await;
        keypairs_for(&fake, "token-1", keypairs()).await;
        let driver = OpenStack::new(Settings { identity, ..fake.settings() }).await.unwrap();
        driver.keypairs().await.unwrap();
        assert_eq!(fake::body(&fake.request("POST", TOKENS).await), json!({ "auth": expected }));
    }
}

#[tokio::test]
async fn logs_in_again_when_a_token_was_revoked() {
    let fake = Fake::without_nova().await;
    keypairs_for(&fake, "token-1", keypairs()).await;
    let driver = Arc::new(fake.driver().await);
    driver.keypairs().await.unwrap();
    fake.server.reset().await;
    keypairs_for(&fake, "token-1", ResponseTemplate::new(401)).await;
    keypairs_for(&fake, "token-2", keypairs()).await;
    let catalog = fake.catalog();
    fake.respond("POST", TOKENS, fake::token("token-2", &catalog)).await;

    let calls = (0..20).map(|_| driver.keypairs());
    assert!(join_all(calls).await.iter().all(Result::is_ok), "each call was repeated with the new token");
    assert_eq!(fake.logins().await, 1, "one task logged in for all");
}

#[tokio::test]
async fn gives_up_when_new_tokens_are_refused_too() {
    let fake = Fake::without_nova().await;
    let refusal = ResponseTemplate::new(401).set_body_json(json!({"error": {"message": "go away"}}));
    fake.respond("GET", KEYPAIRS, refusal).await;
    let driver = fake.driver().await;
    for outcome in join_all((0..30).map(|_| driver.keypairs())).await {
        assert!(matches!(outcome, Err(CloudError::AuthFailed(text)) if text.contains("go away")));
    }
    assert!(matches!(driver.keypairs().await, Err(CloudError::AuthFailed(_))));
    assert_eq!(fake.logins().await, 2, "Keystone is not asked again and again");
}

#[tokio::test]
async fn a_wrong_password_is_asked_about_once_for_all_tasks() {
    let fake = Fake::without_nova().await;
    let refusal =
        json!({"error": {"code": 401, "message": "The request you have made requires authentication."}});
    let refusal =
        ResponseTemplate::new(401).set_body_json(refusal).insert_header("x-openstack-request-id", "req-7");
    Mock::given(method("POST"))
        .and(path(TOKENS))
        .respond_with(refusal)
        .with_priority(1)
        .mount(&fake.server)
        .await;
    let driver = fake.driver().await;
    for outcome in join_all((0..50).map(|_| driver.keypairs())).await {
        let expected = "Keystone: 401 The request you have made requires authentication. (req-7)";
        assert_eq!(outcome, Err(CloudError::AuthFailed(expected.into())));
    }
    assert_eq!(fake.logins().await, 1);
}

#[tokio::test]
async fn a_keystone_that_hangs_holds_nobody_longer_than_the_deadline() {
    let fake = Fake::without_nova().await;
    let hang = ResponseTemplate::new(201).set_delay(Duration::from_hours(1));
    Mock::given(method("POST"))
        .and(path(TOKENS))
        .respond_with(hang)
        .with_priority(1)
        .mount(&fake.server)
        .await;
    let driver = fake.impatient().await;
    let start = Instant::now();
    let outcomes = join_all((0..50).map(|_| driver.keypairs())).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(CloudError::Transient(_)))), "{outcomes:?}");
    assert!(start.elapsed() < SHORT * 10, "they did not wait one after the other");
    assert_eq!(fake.logins().await, 1);
}

#[tokio::test]
async fn names_what_keystone_answers() {
    let page = "<html><head><title>x</title></head><body>Bad Gateway</body></html>";
    let slow = ResponseTemplate::new(429).insert_header("Retry-After", "9");
    let slow_down =
        CloudError::Throttled { text: "Keystone: 429".into(), retry_after: Some(Duration::from_secs(9)) };
    for (response, expected) in [
        (
            ResponseTemplate::new(502).set_body_string(page),
            CloudError::Transient("Keystone: 502 Bad Gateway".into()),
        ),
        (slow, slow_down),
        (
            ResponseTemplate::new(404),
            CloudError::AuthFailed("the auth URL does not lead to Keystone v3: Keystone: 404".into()),
        ),
        (ResponseTemplate::new(403), CloudError::AuthFailed("Keystone: 403".into())),
        (
            ResponseTemplate::new(201).set_body_json(json!({"token": {}})),
            CloudError::AuthFailed("Keystone's answer has no token".into()),
        ),
        (
            ResponseTemplate::new(201).insert_header("X-Subject-Token", "t").set_body_string(page),
            CloudError::AuthFailed("Keystone's answer cannot be read".into()),
        ),
    ] {
        let fake = Fake::without_nova().await;
        Mock::given(method("POST"))
            .and(path(TOKENS))
            .respond_with(response)
            .with_priority(1)
            .mount(&fake.server)
            .await;
        assert_eq!(fake.driver().await.keypairs().await, Err(expected));
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let fake = Fake::without_nova().await;
    let long = fake::token("t", &json!("x".repeat(5 << 20)));
    Mock::given(method("POST"))
        .and(path(TOKENS))
        .respond_with(long)
        .with_priority(1)
        .mount(&fake.server)
        .await;
    let outcome = fake.driver().await.keypairs().await;
    assert!(
        matches!(outcome, Err(CloudError::Transient(text)) if text.contains("longer than 4194304 bytes"))
    );
}

#[tokio::test]
async fn a_catalogue_without_the_service_is_a_refusal() {
    let fake = Fake::without_nova().await;
    let settings = Settings { interface: "internal".into(), ..fake.settings() };
    let outcome = OpenStack::new(settings).await.unwrap().keypairs().await;
    assert!(
        matches!(outcome, Err(CloudError::Rejected(text)) if text.contains("no internal URL of a compute service"))
    );
}

#[tokio::test]
async fn unusable_settings_are_refused_at_once() {
    let fake = Fake::without_nova().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "nothing").unwrap();
    for settings in [
        Settings { auth_url: "host:5000".into(), ..fake.settings() },
        Settings { ca_file: Some(folder.path().join("missing.pem")), ..fake.settings() },
        Settings { ca_file: Some(file), ..fake.settings() },
    ] {
        let outcome = OpenStack::new(settings).await.map(|_| ());
        assert!(matches!(outcome, Err(CloudError::Rejected(_))), "{outcome:?}");
    }
}
