//! Logging in: Basic, crumbs, and what refusals mean.

use nodepool::target::{Target as _, TargetError};
use serde_json::json;
use wiremock::matchers::{header as has, header_exists, method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::fake::{APIKEY, Fake, PREFIX, agent, description, done, header, page, withdrawal};

const DELETE: &str = "/computer/ci-42/doDelete";
const CRUMB: &str = "/crumbIssuer/api/json";

fn no_crumb() -> ResponseTemplate {
    let page = "<html><h2>HTTP ERROR 403 No valid crumb was included in the request</h2></html>";
    ResponseTemplate::new(403).set_body_raw(page, "text/html")
}

/// A controller whose user logs in with a password: its sessions end when the test says so.
async fn of_passwords(fake: &Fake, crumb: &str) {
    let offline = json!({"offline": true});
    fake.json("GET", "/computer/ci-42/api/json", crate::fake::with(agent("ci-42", &description()), offline))
        .await;
    let issued = json!({"_class": "hudson.security.csrf.DefaultCrumbIssuer", "crumb": crumb, "crumbRequestField": "Jenkins-Crumb"});
    let issued = ResponseTemplate::new(200)
        .set_body_json(issued)
        .append_header("Set-Cookie", format!("JSESSIONID.1234=of-{crumb}; Path=/ci/jenkins; HttpOnly"));
    fake.respond("GET", CRUMB, issued).await;
    Mock::given(method("POST"))
        .and(path(format!("{PREFIX}{DELETE}")))
        .and(has("Jenkins-Crumb", crumb))
        .and(has("Cookie", format!("JSESSIONID.1234=of-{crumb}").as_str()))
        .respond_with(done())
        .mount(&fake.server)
        .await;
    fake.respond("POST", DELETE, no_crumb()).await;
}

#[tokio::test]
async fn a_password_gets_a_crumb_with_its_session_and_keeps_both() {
    let fake = Fake::empty().await;
    of_passwords(&fake, "c1").await;
    let driver = fake.driver().await;
    driver.withdraw(&withdrawal(false)).await.unwrap();
    assert_eq!(fake.requests("POST", DELETE).await.len(), 2);
    driver.withdraw(&withdrawal(false)).await.unwrap();
    assert_eq!(fake.requests("POST", DELETE).await.len(), 3, "the crumb is good for the session");
    assert_eq!(fake.requests("GET", CRUMB).await.len(), 1);

    // The controller restarts, and the session is gone.
    fake.server.reset().await;
    of_passwords(&fake, "c2").await;
    driver.withdraw(&withdrawal(false)).await.unwrap();
    assert_eq!(fake.requests("POST", DELETE).await.len(), 2);
}

#[tokio::test]
async fn a_crumb_that_does_not_help_is_asked_for_once() {
    let fake = Fake::empty().await;
    fake.respond("POST", DELETE, no_crumb()).await;
    of_passwords(&fake, "c1").await;
    let error = fake.driver().await.withdraw(&withdrawal(false)).await.unwrap_err();
    assert!(matches!(error, TargetError::AuthFailed(_)), "{error:?}");
    assert_eq!(fake.requests("POST", DELETE).await.len(), 2);
    for odd in [page(404), page(200), ResponseTemplate::new(200).set_body_json(json!({"crumb": 7}))] {
        let fake = Fake::empty().await;
        fake.respond("GET", CRUMB, odd).await;
        of_passwords(&fake, "c1").await;
        let error = fake.driver().await.withdraw(&withdrawal(false)).await.unwrap_err();
        assert!(matches!(error, TargetError::AuthFailed(_)), "{error:?}");
    }
}

#[tokio::test]
async fn an_api_token_needs_no_crumb() {
    let fake = Fake::empty().await;
    let offline = crate::fake::with(agent("ci-42", &description()), json!({"offline": true}));
    fake.json("GET", "/computer/ci-42/api/json", offline).await;
    Mock::given(method("POST"))
        .and(header_exists("Jenkins-Crumb"))
        .respond_with(page(500))
        .mount(&fake.server)
        .await;
    fake.respond("POST", DELETE, done()).await;
    fake.driver().await.withdraw(&withdrawal(false)).await.unwrap();
    let request = fake.request("POST", DELETE).await;
    // printf 'nodepool:11f00d4711feedface' | base64
    assert_eq!(header(&request, "authorization"), Some("Basic bm9kZXBvb2w6MTFmMDBkNDcxMWZlZWRmYWNl"));
    assert!(fake.requests("GET", CRUMB).await.is_empty());
}

#[tokio::test]
async fn who_may_not_do_it_is_told_so_and_nothing_of_the_key() {
    let permission = "<p>nodepool is missing the Agent/Delete permission</p>";
    let forbidden = ResponseTemplate::new(403).set_body_raw(permission, "text/html");
    let unauthorized = page(401).insert_header("WWW-Authenticate", "Basic realm=\"Jenkins\"");
    for (response, part) in [(forbidden, "Agent/Delete"), (unauthorized, "API key"), (page(403), "403")] {
        let fake = Fake::ready().await;
        fake.respond("GET", "/computer/api/json", response).await;
        let error = fake.driver().await.roster().await.unwrap_err();
        assert!(matches!(&error, TargetError::AuthFailed(text) if text.contains(part)), "{error:?}");
        assert!(!format!("{error:?} {error}").contains(APIKEY));
    }
}
