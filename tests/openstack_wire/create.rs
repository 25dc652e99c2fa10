//! Creating servers and snapshots: what is sent to old and new clouds, and what is made of the answers.

use nodepool::cloud::{BootImage, Cloud, CloudError, NetworkChoice, ServerRequest};
use nodepool::model::{ImageId, Owner, Tag};
use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::fake::{self, Fake};

const SERVERS: &str = "/compute/v2.1/servers";
const ACTION: &str = "/compute/v2.1/servers/s-1/action";

async fn create(fake: &Fake, request: &ServerRequest) -> (String, Request) {
    fake.answer("POST", SERVERS, 202, json!({"server": {"id": "s-1", "links": [], "adminPass": "x"}})).await;
    let id = fake.driver().await.create_server(request).await.unwrap();
    (id, fake.request("POST", SERVERS).await)
}

fn metadata(kind: &str, number: &str) -> Value {
    json!({"nodepool_installation": "inst-1", "nodepool_owner": kind, "nodepool_owner_id": number,
        "nodepool_attempt": "attempt-9"})
}

#[tokio::test]
async fn a_node_carries_our_tag_and_the_metadata_of_v0() {
    let fake = Fake::ready().await;
    let (id, request) = create(&fake, &fake::server()).await;
    assert_eq!(id, "s-1");
    let mut expected = metadata("node", "42");
    expected["groups"] = json!(r#"["cloud-1","ci-debian"]"#);
    let mut sent = fake::body(&request);
    let of_v0 = sent["server"]["metadata"].as_object_mut().unwrap().remove("nodepool").unwrap();
    let of_v0: Value = serde_json::from_str(of_v0.as_str().unwrap()).unwrap();
    assert_eq!(of_v0, json!({"provider_name": "cloud-1", "node_id": 42, "image_name": "ci-debian"}));
    assert_eq!(
        sent,
        json!({"server": {"name": "ci-42", "imageRef": "i-new", "flavorRef": "f-a", "metadata": expected,
            "networks": [{"uuid": "n-private"}],
            "tags": ["nodepool:inst-1", "nodepool-owner:node:42", "nodepool-attempt:attempt-9"]}})
    );
    assert_eq!(fake::header(&request, "OpenStack-API-Version"), Some("compute 2.52"));
    assert_eq!(fake::header(&request, "X-OpenStack-Nova-API-Version"), Some("2.52"));
    assert_eq!(fake.server.received_requests().await.unwrap().last().unwrap().method.as_str(), "POST");
}

#[tokio::test]
async fn a_builder_carries_what_v0_wrote_on_builders() {
    let fake = Fake::ready().await;
    let request = ServerRequest {
        image: BootImage::NameOrId("0b2b3b6e-6d0a-4a52-9a6c-0d9a3c1a7b11".into()),
        az: Some("zone-2".into()),
        networks: vec![NetworkChoice::Id("n-1".into()), NetworkChoice::Id("n-2".into())],
        keypair: Some("key".into()),
        config_drive: Some(false),
        tag: Tag { owner: Owner::Builder(ImageId(7)), ..fake::tag() },
        ..fake::server()
    };
    let (_, request) = create(&fake, &request).await;
    let mut sent = fake::body(&request);
    let server = sent["server"].as_object_mut().unwrap();
    let of_v0 = server["metadata"].as_object_mut().unwrap().remove("nodepool").unwrap();
    let of_v0: Value = serde_json::from_str(of_v0.as_str().unwrap()).unwrap();
    assert_eq!(of_v0, json!({"provider_name": "cloud-1", "snapshot_image_id": 7}));
    assert_eq!(server["metadata"], metadata("builder", "7"));
    assert_eq!(server["imageRef"], "0b2b3b6e-6d0a-4a52-9a6c-0d9a3c1a7b11");
    assert_eq!(server["availability_zone"], "zone-2");
    assert_eq!(server["networks"], json!([{"uuid": "n-1"}, {"uuid": "n-2"}]));
    assert_eq!(server["key_name"], "key");
    assert_eq!(server["config_drive"], false);
    assert!(fake.requests("GET", "/image/v2/images").await.is_empty(), "an id is not looked up");
    assert!(fake.requests("GET", "/network/v2.0/networks").await.is_empty(), "an id is not looked up");
}

#[tokio::test]
async fn an_old_nova_gets_metadata_only() {
    for version in ["", "2.1", "2.51"] {
        let fake = Fake::up_to(version).await;
        fake.things().await;
        let (_, request) = create(&fake, &fake::server()).await;
        let sent = fake::body(&request);
        assert_eq!(sent["server"]["networks"], json!([{"uuid": "n-private"}]));
        assert_eq!(sent["server"]["metadata"]["nodepool_installation"], "inst-1");
        assert!(sent["server"].get("tags").is_none());
        assert_eq!(fake::header(&request, "OpenStack-API-Version"), None);
    }
}

#[tokio::test]
async fn the_only_network_is_taken_when_none_is_named() {
    let fake = Fake::ready().await;
    let request = ServerRequest { networks: Vec::new(), ..fake::server() };
    let (_, request) = create(&fake, &request).await;
    assert_eq!(fake::body(&request)["server"]["networks"], json!([{"uuid": "n-private"}]));
}

#[tokio::test]
async fn nova_chooses_among_several_networks_or_none() {
    let several = json!({"networks": [
        {"id": "n-1", "name": "one", "project_id": "p-1"}, {"id": "n-2", "name": "two", "shared": true}]});
    let of_others = json!({"networks": [{"id": "n-3", "name": "three", "project_id": "p-9"}]});
    for networks in [Some(several), Some(of_others), None] {
        let fake = Fake::up_to("2.93").await;
        match networks {
            Some(networks) => fake.answer("GET", "/network/v2.0/networks", 200, networks).await,
            None => fake.answer("GET", "/network/v2.0/networks", 404, json!({})).await,
        }
        fake.things().await;
        let request = ServerRequest { networks: Vec::new(), ..fake::server() };
        let (_, request) = create(&fake, &request).await;
        let sent = fake::body(&request);
        assert!(sent["server"].get("networks").is_none());
        assert!(sent["server"].get("tags").is_none());
        assert_eq!(sent["server"]["metadata"]["nodepool_attempt"], "attempt-9");
        assert_eq!(
            fake::header(&request, "OpenStack-API-Version"),
            None,
            "from 2.37 on, networks are required"
        );
    }
}

#[tokio::test]
async fn what_does_not_exist_is_refused_without_a_create() {
    let fake = Fake::ready().await;
    let driver = fake.driver().await;
    for request in [
        ServerRequest { image: BootImage::NameOrId("none".into()), ..fake::server() },
        ServerRequest { min_ram: 9000, ..fake::server() },
        ServerRequest { name_filter: Some("gpu".into()), ..fake::server() },
        ServerRequest { networks: vec![NetworkChoice::Name("none".into())], ..fake::server() },
    ] {
        let outcome = driver.create_server(&request).await;
        assert!(matches!(outcome, Err(CloudError::Rejected(_))), "{outcome:?}");
    }
    assert!(fake.requests("POST", SERVERS).await.is_empty());
}

#[tokio::test]
async fn a_name_is_looked_up_once_until_a_create_is_refused() {
    let fake = Fake::ready().await;
    fake.answer("POST", SERVERS, 400, json!({"badRequest": {"message": "Can not find requested image"}}))
        .await;
    let driver = fake.driver().await;
    assert!(driver.create_server(&fake::server()).await.is_err());
    assert_eq!(fake.requests("GET", "/image/v2/images").await.len(), 1);
    assert!(driver.create_server(&fake::server()).await.is_err());
    assert_eq!(fake.requests("GET", "/image/v2/images").await.len(), 2, "the image may have been replaced");

    let fake = Fake::ready().await;
    fake.answer("POST", SERVERS, 202, json!({"server": {"id": "s-1"}})).await;
    let driver = fake.driver().await;
    let orders: Vec<_> = (0..20).map(|_| fake::server()).collect();
    let outcomes = futures::future::join_all(orders.iter().map(|order| driver.create_server(order))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    for place in
        ["/image/v2/images", "/network/v2.0/networks", "/compute/v2.1/flavors/detail", "/compute/v2.1/"]
    {
        assert_eq!(fake.requests("GET", place).await.len(), 1, "{place}");
    }
}

#[tokio::test]
async fn a_snapshot_of_a_new_nova_is_told_in_the_body() {
    let fake = Fake::ready().await;
    fake.answer("POST", ACTION, 202, json!({"image_id": "i-9"})).await;
    assert_eq!(fake.driver().await.create_snapshot(&fake::snapshot()).await.unwrap(), "i-9");
    let request = fake.request("POST", ACTION).await;
    let mut properties = metadata("node", "42");
    properties["os"] = json!("debian");
    properties["nodepool_server_id"] = json!("s-1");
    assert_eq!(fake::body(&request), json!({"createImage": {"name": "snap-1", "metadata": properties}}));
    assert_eq!(fake::header(&request, "OpenStack-API-Version"), Some("compute 2.45"));
}

#[tokio::test]
async fn a_snapshot_of_an_old_nova_is_told_in_a_header() {
    for location in ["http://inside:9292/images/i-9", "http://inside:9292/v2/images/i-9/"] {
        let fake = Fake::up_to("2.44").await;
        fake.respond("POST", ACTION, ResponseTemplate::new(202).insert_header("Location", location)).await;
        assert_eq!(fake.driver().await.create_snapshot(&fake::snapshot()).await.unwrap(), "i-9");
        let request = fake.request("POST", ACTION).await;
        assert_eq!(fake::header(&request, "OpenStack-API-Version"), None);
    }
}

#[tokio::test]
async fn a_snapshot_that_may_be_on_its_way_is_uncertain() {
    for (status, message, certain) in [
        (409, "Cannot 'createImage' instance s-1 while it is in task_state image_snapshot", false),
        (409, "Cannot 'createImage' instance s-1 while it is in vm_state building", true),
        (202, "", false),
    ] {
        let fake = Fake::ready().await;
        fake.answer("POST", ACTION, status, json!({"conflictingRequest": {"message": message}})).await;
        let error = fake.driver().await.create_snapshot(&fake::snapshot()).await.unwrap_err();
        assert_eq!(matches!(error, CloudError::Rejected(_)), certain, "{error:?}");
        assert_eq!(matches!(error, CloudError::Transient(_)), !certain, "{error:?}");
    }
}
