//! What Nova makes for servers and may forget: ports over Neutron, volumes over Cinder.

use nodepool::cloud::{Cloud, CloudError};
use nodepool::model::{Port, Volume};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{self, Fake};

const PORTS: &str = "/network/v2.0/ports";
const VOLUMES: &str = "/volume/v3/p-1/volumes";

fn refusal(kind: &str, message: &str) -> Value {
    json!({"NeutronError": {"type": kind, "message": message, "detail": ""}})
}

#[tokio::test]
async fn lists_the_ports_of_servers_and_asks_for_little_of_each() {
    let fake = Fake::without_nova().await;
    let port =
        |id: &str, server: Value, owner: Value| json!({"id": id, "device_id": server, "device_owner": owner});
    let mut marked = port("p-marked", json!("s-2"), json!("compute:nova"));
    let tags = json!(["blue", "nodepool:inst-1", "nodepool-owner:node:42", "nodepool-attempt:attempt-9"]);
    marked.as_object_mut().unwrap().insert("tags".into(), tags);
    fake.answer(
        "GET",
        PORTS,
        200,
        json!({"ports": [
        port("p-plain", json!("s-1"), json!("compute:zone-1")), marked,
        port("p-router", json!("r-1"), json!("network:router_interface")),
        port("p-free", json!(""), json!("")), port("p-odd", json!(7), json!(null))]}),
    )
    .await;
    let ports = fake.driver().await.ports().await.unwrap();
    let expected = |id: &str, server: &str, tag| Port { id: id.into(), server_id: server.into(), tag };
    assert_eq!(ports, [expected("p-plain", "s-1", None), expected("p-marked", "s-2", Some(fake::tag()))]);
    let asked = fake.request("GET", PORTS).await;
    let fields: Vec<String> = asked
        .url
        .query_pairs()
        .filter(|(key, _)| key == "fields")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(fields, ["id", "device_id", "device_owner", "tags"]);
    assert_eq!(fake::parameter(&asked, "project_id").as_deref(), Some("p-1"));
    assert_eq!(fake::parameter(&asked, "limit").as_deref(), Some("1000"));
}

#[tokio::test]
async fn a_listing_of_ports_is_whole_or_an_error() {
    for (status, body, word) in [
        (200, json!({"ports": [{"id": "p-1"}, {"name": "without an id"}]}), "transient"),
        (200, json!({"networks": []}), "transient"),
        (403, refusal("PolicyNotAuthorized", "rule:get_port is disallowed by policy"), "rejected"),
        (404, refusal("HTTPNotFound", "The resource could not be found."), "rejected"),
        (503, json!("no server is available"), "transient"),
    ] {
        let fake = Fake::without_nova().await;
        fake.answer("GET", PORTS, status, body).await;
        let error = fake.driver().await.ports().await.unwrap_err();
        assert_eq!(error.word(), word, "{error:?}");
    }
}

#[tokio::test]
async fn a_port_is_deleted_only_while_it_belongs_to_the_server_that_is_gone() {
    let place = format!("{PORTS}/p-1");
    let fake = Fake::without_nova().await;
    fake.answer("GET", &place, 200, json!({"port": {"id": "p-1", "device_id": "s-1"}})).await;
    fake.respond("DELETE", &place, ResponseTemplate::new(204)).await;
    fake.driver().await.delete_port("p-1", "s-1").await.unwrap();
    fake.request("DELETE", &place).await;

    for (status, shown, word) in [
        (200, json!({"port": {"id": "p-1", "device_id": "s-2"}}), "not_found"),
        (200, json!({"port": {"id": "p-1", "device_id": ""}}), "not_found"),
        (200, json!({"port": {}}), "transient"),
        (404, refusal("PortNotFound", "Port p-1 could not be found."), "not_found"),
        (500, json!({}), "transient"),
    ] {
        let fake = Fake::without_nova().await;
        fake.answer("GET", &place, status, shown).await;
        let error = fake.driver().await.delete_port("p-1", "s-1").await.unwrap_err();
        assert_eq!(error.word(), word, "{error:?}");
        assert!(fake.requests("DELETE", &place).await.is_empty(), "it is somebody else's, or nobody knows");
    }
}

#[tokio::test]
async fn finds_cinder_wherever_the_catalogue_has_it() {
    for (kind, path) in [
        ("volumev3", "/volume/v3/p-1"),
        ("block-storage", "/volume/v3"),
        ("block-store", "/volume/v3/"),
        ("volumev3", "/volume"),
    ] {
        let fake = Fake::with_cinder(kind, path).await;
        fake.answer("GET", &format!("{VOLUMES}/detail"), 200, json!({"volumes": []})).await;
        assert_eq!(fake.driver().await.volumes().await.unwrap(), [], "{kind} {path}");
    }
}

#[tokio::test]
async fn lists_volumes_with_their_marks_and_servers() {
    let fake = Fake::with_cinder("volumev3", "/volume/v3/p-1").await;
    let marks = json!({"nodepool_installation": "inst-1", "nodepool_owner": "node", "nodepool_owner_id": "42",
        "nodepool_attempt": "attempt-9", "readonly": "False"});
    fake.answer("GET", &format!("{VOLUMES}/detail"), 200, json!({"volumes": [
        {"id": "v-1", "status": "in-use", "metadata": marks, "attachments": [{"server_id": "s-1", "device": "/dev/vda"}]},
        {"id": "v-2", "status": "available", "metadata": {}, "attachments": []},
        {"id": "v-3", "metadata": 7, "attachments": [7]}]}))
        .await;
    let volumes = fake.driver().await.volumes().await.unwrap();
    let volume = |id: &str, state: &str, servers: &[&str], tag: Option<_>| Volume {
        id: id.into(),
        state: state.into(),
        servers: servers.iter().map(|id| (*id).to_owned()).collect(),
        marked: tag.is_some(),
        tag,
    };
    let expected = [
        volume("v-1", "in-use", &["s-1"], Some(fake::tag())),
        volume("v-2", "available", &[], None),
        volume("v-3", "", &[], None),
    ];
    assert_eq!(volumes, expected);
    assert!(volumes[1].is_deletable() && !volumes[0].is_deletable() && !volumes[2].is_deletable());
}

#[tokio::test]
async fn marks_a_volume_and_deletes_it() {
    let fake = Fake::with_cinder("volumev3", "/volume/v3/p-1").await;
    let (one, metadata) = (format!("{VOLUMES}/v-1"), format!("{VOLUMES}/v-1/metadata"));
    fake.answer("POST", &metadata, 200, json!({"metadata": {}})).await;
    fake.respond("DELETE", &one, ResponseTemplate::new(202)).await;
    let driver = fake.driver().await;
    driver.mark_volume("v-1", &fake::tag()).await.unwrap();
    let sent = fake::body(&fake.request("POST", &metadata).await);
    assert_eq!(
        sent,
        json!({"metadata": {"nodepool_installation": "inst-1", "nodepool_owner": "node", "nodepool_owner_id": "42",
            "nodepool_attempt": "attempt-9"}})
    );
    driver.delete_volume("v-1").await.unwrap();
    let deletion = fake.request("DELETE", &one).await;
    assert_eq!(deletion.url.query(), None, "neither snapshots of it nor one that is in use");
}

#[tokio::test]
async fn refusals_of_cinder_are_named_by_the_reaction() {
    let text = "Invalid volume: Volume status must be available or error or error_restoring or error_extending or \
                error_managing and must not be migrating, attached, belong to a group, have snapshots.";
    for (status, body, word) in [
        (400, json!({"badRequest": {"code": 400, "message": text}}), "rejected"),
        (
            403,
            json!({"forbidden": {"code": 403, "message": "Policy doesn't allow volume:delete"}}),
            "rejected",
        ),
        (
            404,
            json!({"itemNotFound": {"code": 404, "message": "Volume v-1 could not be found."}}),
            "not_found",
        ),
        (500, json!({"computeFault": {"code": 500, "message": "?"}}), "transient"),
    ] {
        let fake = Fake::with_cinder("volumev3", "/volume/v3/p-1").await;
        fake.answer("DELETE", &format!("{VOLUMES}/v-1"), status, body).await;
        let error = fake.driver().await.delete_volume("v-1").await.unwrap_err();
        assert_eq!(error.word(), word, "{error:?}");
    }
    let fake = Fake::without_nova().await;
    let error = fake.driver().await.volumes().await.unwrap_err();
    assert!(matches!(&error, CloudError::Rejected(text) if text.contains("block-storage")), "{error:?}");
}
