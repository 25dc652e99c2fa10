//! Where the services are: Keystone's version, TLS, region, interface, and the catalogue's own names.

use nodepool::cloud::openstack::{OpenStack, Settings};
use nodepool::cloud::{Cloud, CloudError};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{self, Fake};
use crate::tls::behind_tls;

const TOKENS: &str = "/identity/v3/auth/tokens";

async fn with(settings: Settings) -> OpenStack {
    OpenStack::new(settings).await.unwrap()
}

/// Keystone's list of versions, with links to a host that only the cloud can reach.
fn versions(list: &[(&str, &str)]) -> ResponseTemplate {
    let values = list.iter().map(|(id, path)| {
        json!({"id": id, "status": "stable", "links": [{"rel": "self", "href": format!("http://inside:5000{path}")}]})
    });
    ResponseTemplate::new(300).set_body_json(json!({"versions": {"values": values.collect::<Value>()}}))
}

#[tokio::test]
async fn a_url_of_keystone_v2_leads_to_v3_beside_it() {
    let fake = Fake::without_nova().await;
    fake.answer("GET", "/compute/v2.1/os-keypairs", 200, json!({"keypairs": []})).await;
    let auth_url = format!("{}/identity/v2.0/", fake.server.uri());
    with(Settings { auth_url, ..fake.settings() }).await.keypairs().await.unwrap();
    assert_eq!(fake.requests("POST", TOKENS).await.len(), 1);
}

#[tokio::test]
async fn v3_is_found_at_the_same_host_by_keystones_own_list() {
    for listed_at in ["/", "/old/"] {
        let fake = Fake::without_nova().await;
        fake.answer("GET", "/compute/v2.1/os-keypairs", 200, json!({"keypairs": []})).await;
        let list = versions(&[("v2.0", "/old/v2.0/"), ("v3.14", "/identity/v3/")]);
        fake.respond("GET", listed_at, list).await;
        let auth_url = format!("{}/old/v2.0", fake.server.uri());
        let driver = with(Settings { auth_url, ..fake.settings() }).await;
        driver.keypairs().await.unwrap();
        driver.keypairs().await.unwrap();
        assert_eq!(fake.requests("POST", "/old/v3/auth/tokens").await.len(), 1, "then the place is known");
        assert_eq!(fake.requests("POST", TOKENS).await.len(), 1, "the host of the link is not believed");
    }
}

#[tokio::test]
async fn a_keystone_without_v3_is_said_to_be_one() {
    for list in [versions(&[("v2.0", "/v2.0/")]), versions(&[("v3", "/v3/")]), ResponseTemplate::new(404)] {
        let fake = Fake::without_nova().await;
        fake.respond("GET", "/", list).await;
        let driver =
            with(Settings { auth_url: format!("{}/v2.0", fake.server.uri()), ..fake.settings() }).await;
        let error = driver.keypairs().await.unwrap_err();
        let expected = "the auth URL does not lead to Keystone v3: Keystone: 404";
        assert_eq!(error, CloudError::AuthFailed(expected.into()));
    }
}

/// A catalogue with Nova in two regions, inside and outside, and a second service that calls itself compute.
async fn of_many(fake: &Fake) {
    let url = |name: &str| format!("{}/{name}/v2.1", fake.server.uri());
    let endpoint = |region: &str, interface: &str| {
        let name = format!("{}-{interface}", region.to_lowercase());
        json!({"region": region, "region_id": region, "interface": interface, "url": url(&name)})
    };
    let catalog = json!([
        {"type": "compute", "name": "bare", "endpoints": [
            {"region": "One", "interface": "public", "url": url("bare")}]},
        {"type": "compute", "name": "nova", "endpoints": [endpoint("One", "public"), endpoint("One", "internal"),
            endpoint("Two", "public"), endpoint("Two", "internal")]},
        {"type": "compute_old", "name": "nova", "endpoints": [
            {"region": "One", "interface": "public", "url": url("old")}]}]);
    fake.first("POST", TOKENS, fake::token("t", &catalog)).await;
}

#[tokio::test]
async fn region_interface_type_and_name_choose_in_the_catalogue() {
    let some = |word: &str| Some(word.to_owned());
    for (region, interface, kind, name, expected) in [
        (some("One"), "public", None, some("nova"), "one-public"),
        (some("One"), "internal", None, None, "one-internal"),
        (some("Two"), "publicURL", None, None, "two-public"),
        (some("Two"), "internalURL", None, some("nova"), "two-internal"),
        (None, "public", None, None, "bare"),
        (some("One"), "public", some("compute_old"), None, "old"),
        (some("One"), "public", some("compute"), some("bare"), "bare"),
    ] {
        let fake = Fake::without_nova().await;
        of_many(&fake).await;
        let place = format!("/{expected}/v2.1/os-keypairs");
        fake.answer("GET", &place, 200, json!({"keypairs": []})).await;
        let (compute_type, compute_name) = (kind, name);
        let interface = interface.to_owned();
        let settings = Settings { region, interface, compute_type, compute_name, ..fake.settings() };
        with(settings).await.keypairs().await.unwrap();
        assert_eq!(fake.requests("GET", &place).await.len(), 1, "{expected}");
    }
}

#[tokio::test]
async fn certificates_are_checked_against_the_ca_file_and_refused_without_it() {
    let fake = Fake::without_nova().await;
    fake.answer("GET", "/compute/v2.1/os-keypairs", 200, json!({"keypairs": []})).await;
    let folder = tempfile::tempdir().unwrap();
    let (address, file) = behind_tls(&fake.server, folder.path()).await;
    let auth_url = format!("https://{address}/identity");
    let other = tempfile::tempdir().unwrap();
    let (_, other) = behind_tls(&fake.server, other.path()).await;

    for ca_file in [None, Some(other)] {
        let driver = with(Settings { auth_url: auth_url.clone(), ca_file, ..fake.settings() }).await;
        let error = driver.keypairs().await.unwrap_err();
        assert!(matches!(&error, CloudError::Transient(text) if text.contains("certificate")), "{error:?}");
    }
    assert!(fake.requests("POST", TOKENS).await.is_empty(), "no password goes to a stranger");

    let trusting = Settings { auth_url: auth_url.clone(), ca_file: Some(file), ..fake.settings() };
    with(trusting).await.keypairs().await.unwrap();
    let careless = Settings { auth_url, verify: false, ..fake.settings() };
    with(careless).await.keypairs().await.unwrap();
    assert_eq!(fake.requests("POST", TOKENS).await.len(), 2);
}
