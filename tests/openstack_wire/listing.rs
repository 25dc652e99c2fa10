//! Listings: whole, tolerant of odd entries, or an error.

use std::net::IpAddr;

use nodepool::cloud::{Cloud, CloudError};
use nodepool::model::CloudImageStatus::{Active, Pending, Unusable};
use nodepool::model::{Address, Server, ServerStatus, Timestamp};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, ResponseTemplate};

use crate::fake::{self, Fake};

const SERVERS: &str = "/compute/v2.1/servers/detail";
const IMAGES: &str = "/image/v2/images";

/// Answers with this page what continues after `marker`.
async fn page(fake: &Fake, place: &str, marker: Option<&str>, body: Value) {
    let asked = Mock::given(method("GET")).and(path(place));
    let asked = match marker {
        Some(marker) => asked.and(query_param("marker", marker)),
        None => asked.and(query_param_is_missing("marker")),
    };
    asked.respond_with(ResponseTemplate::new(200).set_body_json(body)).mount(&fake.server).await;
}

fn ids(servers: &[Server]) -> Vec<&str> {
    servers.iter().map(|server| server.id.as_str()).collect()
}

#[tokio::test]
async fn reads_a_server_with_all_that_we_care_for() {
    let fake = Fake::up_to("2.93").await;
    let wire = json!({"servers": [{
        "id": "s-1", "name": "ci-42", "status": "ERROR", "created": "2026-11-21T10:00:00Z",
        "addresses": {"b-net": [
            {"version": 4, "addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16"},
            {"version": 4, "addr": "192.0.2.7", "OS-EXT-IPS:type": "floating"}],
            "a-net": [{"version": 6, "addr": "2001:db8::7"}]},
        "fault": {"code": 500, "created": "2026-11-21T10:00:01Z", "message": "No valid host\n was found."},
        "metadata": {"nodepool_installation": "inst-1", "nodepool_owner": "node", "nodepool_owner_id": "42",
            "nodepool_attempt": "attempt-9", "other": "x"},
        "OS-EXT-AZ:availability_zone": "zone-1", "flavor": {"id": "f"}, "image": "",
        "os-extended-volumes:volumes_attached": [{"id": "v-1", "delete_on_termination": true},
            {"id": "v-data", "delete_on_termination": false}, {"id": "v-untold"}, 7]}]});
    fake.answer("GET", SERVERS, 200, wire).await;
    let servers = fake.driver().await.servers(None).await.unwrap();
    let address = |ip: &str, network: &str, floating| Address {
        ip: ip.parse::<IpAddr>().unwrap(),
        network: network.into(),
        floating,
    };
    let expected = Server {
        id: "s-1".into(),
        name: "ci-42".into(),
        status: ServerStatus::Error,
        addresses: vec![
            address("2001:db8::7", "a-net", false),
            address("10.0.0.5", "b-net", false),
            address("192.0.2.7", "b-net", true),
        ],
        fault: Some("No valid host was found.".into()),
        created: Some(Timestamp::from_millis(1_795_255_200_000)),
        tag: Some(fake::tag()),
        az: Some("zone-1".into()),
        volumes: vec!["v-1".into()],
    };
    assert_eq!(servers, [expected]);
    let request = fake.request("GET", SERVERS).await;
    assert_eq!(fake::header(&request, "OpenStack-API-Version"), Some("compute 2.26"));
    assert_eq!(fake::header(&request, "X-OpenStack-Nova-API-Version"), Some("2.26"));
    assert_eq!(fake::header(&request, "X-Auth-Token"), Some("token-1"));
    assert_eq!(fake::parameter(&request, "changes-since"), None);
}

#[tokio::test]
async fn the_fault_that_a_listing_does_not_tell_is_asked_for() {
    let fake = Fake::up_to("2.93").await;
    let marks = json!({"nodepool_installation": "inst-1", "nodepool_owner": "node", "nodepool_owner_id": "42",
        "nodepool_attempt": "attempt-9"});
    let failed = |id: &str| json!({"id": id, "status": "ERROR", "metadata": marks});
    let mut wire = vec![
        json!({"id": "told", "status": "ERROR", "metadata": marks, "fault": {"message": "Told."}}),
        json!({"id": "theirs", "status": "ERROR"}),
        json!({"id": "well", "status": "ACTIVE", "metadata": marks}),
        failed("mute"),
    ];
    wire.extend(["e-1", "e-2", "e-3", "e-4", "e-5", "e-6"].map(failed));
    fake.answer("GET", SERVERS, 200, json!({ "servers": wire })).await;
    let shown =
        |message: &str| json!({"server": {"id": "x", "status": "ERROR", "fault": {"message": message}}});
    for id in ["told", "theirs", "well", "e-1", "e-2", "e-3", "e-4", "e-5", "e-6"] {
        let place = format!("/compute/v2.1/servers/{id}");
        fake.answer("GET", &place, 200, shown("No valid host was found.")).await;
    }
    fake.answer("GET", "/compute/v2.1/servers/mute", 200, json!({"server": {"id": "mute"}})).await;
    let servers = fake.driver().await.servers(None).await.unwrap();
    let faults: Vec<(&str, Option<&str>)> =
        servers.iter().map(|server| (server.id.as_str(), server.fault.as_deref())).collect();
    let asked = Some("No valid host was found.");
    assert_eq!(
        faults[..8],
        [
            ("told", Some("Told.")),
            ("theirs", None),
            ("well", None),
            ("mute", None),
            ("e-1", asked),
            ("e-2", asked),
            ("e-3", asked),
            ("e-4", asked)
        ]
    );
    assert_eq!(faults[8..], [("e-5", None), ("e-6", None)], "not more than five are asked for");

    fake.first("GET", "/compute/v2.1/servers/mute", ResponseTemplate::new(500)).await;
    let servers = fake.driver().await.servers(None).await.unwrap();
    assert_eq!(servers.len(), 10, "the listing is whole without it");

    let fake = Fake::up_to("2.93").await;
    fake.answer("GET", SERVERS, 200, json!({"servers": [failed("mute")]})).await;
    let hangs = ResponseTemplate::new(200).set_delay(std::time::Duration::from_hours(1));
    fake.respond("GET", "/compute/v2.1/servers/mute", hangs).await;
    assert_eq!(ids(&fake.impatient().await.servers(None).await.unwrap()), ["mute"]);
}

#[tokio::test]
async fn an_odd_server_is_listed_all_the_same() {
    let fake = Fake::up_to("2.93").await;
    let wire = json!({"servers": [
        {"id": "bare"},
        {"id": "null", "name": null, "status": null, "addresses": null, "fault": null, "metadata": null, "tags": null},
        {"id": "odd", "name": 7, "status": ["x"], "addresses": [1], "fault": "f", "created": 3, "metadata": "m",
            "tags": 9, "OS-EXT-AZ:availability_zone": ""},
        {"id": "shelved", "status": "SHELVED_OFFLOADED", "addresses": {"net": [{"addr": "nonsense"}, 5, {"addr": "10.0.0.9"}], "other": 8}},
        {"id": "tagged", "tags": ["nodepool:inst-1", "x", "nodepool-owner:node:42", "nodepool-attempt:attempt-9"]},
        {"id": "gone", "status": "DELETED"}, {"id": "going", "status": "SOFT_DELETED"}]});
    fake.answer("GET", SERVERS, 200, wire).await;
    let servers = fake.driver().await.servers(None).await.unwrap();
    assert_eq!(ids(&servers), ["bare", "null", "odd", "shelved", "tagged", "gone", "going"]);
    let unknown = ServerStatus::Other("UNKNOWN".into());
    for server in &servers[..3] {
        assert_eq!((&server.status, &server.tag, &server.az), (&unknown, &None, &None), "{}", server.id);
    }
    assert_eq!(servers[3].status, ServerStatus::Other("SHELVED_OFFLOADED".into()));
    assert_eq!(servers[3].addresses.len(), 1);
    assert_eq!(servers[4].tag, Some(fake::tag()));
    assert_eq!((&servers[5].status, &servers[6].status), (&ServerStatus::Deleted, &ServerStatus::Deleted));
}

#[tokio::test]
async fn a_listing_with_an_unreadable_entry_is_an_error() {
    for servers in
        [json!([{"id": "s-1"}, {"name": "no id"}]), json!([{"id": null}]), json!([5]), json!({}), Value::Null]
    {
        let fake = Fake::up_to("2.93").await;
        fake.answer("GET", SERVERS, 200, json!({"servers": servers})).await;
        let outcome = fake.driver().await.servers(None).await;
        assert!(matches!(outcome, Err(CloudError::Transient(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn asks_for_changes_in_whole_seconds() {
    let fake = Fake::up_to("").await;
    fake.answer("GET", SERVERS, 200, json!({"servers": []})).await;
    let moment = Timestamp::from_millis(1_795_255_200_999);
    assert_eq!(fake.driver().await.servers(Some(moment)).await.unwrap(), []);
    let request = fake.request("GET", SERVERS).await;
    assert_eq!(fake::parameter(&request, "changes-since").as_deref(), Some("2026-11-21T10:00:00Z"));
    assert_eq!(fake::header(&request, "OpenStack-API-Version"), None);
}

#[tokio::test]
async fn follows_the_pages_of_servers_on_the_same_host() {
    let fake = Fake::up_to("2.93").await;
    let link = json!([{"rel": "next", "href": "http://inside.invalid/servers/detail?marker=s-2"}]);
    page(&fake, SERVERS, None, json!({"servers": [{"id": "s-1"}, {"id": "s-2"}], "servers_links": link}))
        .await;
    page(&fake, SERVERS, Some("s-2"), json!({"servers": [{"id": "s-3"}], "servers_links": link})).await;
    page(&fake, SERVERS, Some("s-3"), json!({"servers": []})).await;
    let servers = fake.driver().await.servers(Some(Timestamp::from_seconds(1_795_255_200))).await.unwrap();
    assert_eq!(ids(&servers), ["s-1", "s-2", "s-3"]);
    for request in fake.requests("GET", SERVERS).await {
        assert_eq!(fake::parameter(&request, "limit").as_deref(), Some("1000"));
        assert!(fake::parameter(&request, "changes-since").is_some());
    }
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_an_error() {
    let link = json!([{"rel": "next", "href": "x"}]);
    let first = json!({"servers": [{"id": "s-1"}], "servers_links": link});
    for (status, body) in
        [(400, json!({"badRequest": {"message": "marker [s-1] not found"}})), (500, json!({}))]
    {
        let fake = Fake::up_to("2.93").await;
        page(&fake, SERVERS, None, first.clone()).await;
        fake.answer("GET", SERVERS, status, body).await;
        let outcome = fake.driver().await.servers(None).await;
        assert!(matches!(outcome, Err(CloudError::Transient(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_listing_without_end_is_an_error() {
    let fake = Fake::up_to("2.93").await;
    let count = std::sync::atomic::AtomicU32::new(0);
    let endless = move |_: &wiremock::Request| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let link = json!([{"rel": "next", "href": "x"}]);
        let body = json!({"servers": [{"id": format!("s-{number}")}], "servers_links": link});
        ResponseTemplate::new(200).set_body_json(body)
    };
    Mock::given(method("GET")).and(path(SERVERS)).respond_with(endless).mount(&fake.server).await;
    let outcome = fake.driver().await.servers(None).await;
    assert!(matches!(outcome, Err(CloudError::Transient(text)) if text.contains("does not end")));
    assert_eq!(fake.requests("GET", SERVERS).await.len(), 100);
}

#[tokio::test]
async fn a_listing_that_gives_the_same_page_again_is_an_error() {
    let fake = Fake::up_to("2.93").await;
    let link = json!([{"rel": "next", "href": "x"}]);
    fake.answer("GET", SERVERS, 200, json!({"servers": [{"id": "s-1"}], "servers_links": link})).await;
    let outcome = fake.driver().await.servers(None).await;
    assert!(matches!(outcome, Err(CloudError::Transient(_))), "{outcome:?}");
    assert_eq!(fake.requests("GET", SERVERS).await.len(), 2);
}

#[tokio::test]
async fn asks_anew_what_nova_offers_when_a_microversion_is_refused() {
    let fake = Fake::up_to("2.93").await;
    fake.answer("GET", SERVERS, 406, json!({"computeFault": {"message": "Version 2.26 is not supported"}}))
        .await;
    let driver = fake.driver().await;
    for asked in 1..=2 {
        assert!(matches!(driver.servers(None).await, Err(CloudError::Rejected(_))));
        assert_eq!(fake.requests("GET", "/compute/v2.1/").await.len(), asked);
    }
}

#[tokio::test]
async fn reads_images_of_the_project_page_by_page() {
    let fake = Fake::without_nova().await;
    let ours = json!({"nodepool_installation": "inst-1", "nodepool_owner": "node", "nodepool_owner_id": "42",
        "nodepool_attempt": "attempt-9", "nodepool_server_id": "s-1", "image_type": "snapshot"});
    let image = |id: &str, more: Value| {
        let mut image = ours.clone();
        let map = image.as_object_mut().unwrap();
        map.insert("id".into(), id.into());
        map.extend(more.as_object().unwrap().clone());
        image
    };
    let first = json!({"images": [
        image("ours", json!({"name": "snap", "status": "active", "instance_uuid": "s-1", "owner": "p-1",
            "created_at": "2026-11-21T10:00:00Z"})),
        image("told", json!({"name": null, "status": "saving"})),
        image("inherited", json!({"name": "by hand", "status": "active", "instance_uuid": "s-2"}))],
        "next": "/v2/images?marker=inherited"});
    let second = json!({"images": [
        {"id": "plain", "status": "deactivated"}, {"id": "public", "owner": "p-0", "status": "active"},
        {"id": "volume", "status": "importing", "block_device_mapping": "[]"}, {"id": "odd", "name": 5, "status": "new"}]});
    page(&fake, IMAGES, None, first).await;
    page(&fake, IMAGES, Some("inherited"), second).await;
    let images = fake.driver().await.images().await.unwrap();
    let seen: Vec<_> = images
        .iter()
        .map(|image| {
            (image.id.as_str(), image.name.as_deref(), image.status, image.tag.is_some(), image.snapshot)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("ours", Some("snap"), Active, true, true),
            ("told", None, Pending, true, true),
            ("inherited", Some("by hand"), Active, false, true),
            ("plain", None, Unusable, false, false),
            ("volume", None, Pending, false, true),
            ("odd", None, Pending, false, false),
        ]
    );
    assert_eq!(images[0].tag, Some(fake::tag()));
    assert_eq!(images[0].created, Some(Timestamp::from_millis(1_795_255_200_000)));
    for request in fake.requests("GET", IMAGES).await {
        assert_eq!(fake::parameter(&request, "owner").as_deref(), Some("p-1"));
    }
}
