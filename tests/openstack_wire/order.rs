//! What a server may be asked for beyond the usual: a volume, security groups, user data, a zone, networks by label.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nodepool::cloud::{Cloud, CloudError, NetworkChoice, ServerRequest, USER_DATA_LIMIT, UserData};
use serde_json::{Value, json};

use crate::fake::{self, Fake};

const SERVERS: &str = "/compute/v2.1/servers";

/// What was sent to make this server.
async fn sent(request: &ServerRequest) -> Value {
    let fake = Fake::ready().await;
    fake.answer("POST", SERVERS, 202, json!({"server": {"id": "s-1"}})).await;
    fake.driver().await.create_server(request).await.unwrap();
    fake::body(&fake.request("POST", SERVERS).await)["server"].take()
}

#[tokio::test]
async fn a_server_on_a_volume_names_its_image_there_only() {
    let server = sent(&ServerRequest { boot_volume_gib: Some(40), ..fake::server() }).await;
    assert_eq!(
        server["block_device_mapping_v2"],
        json!([{"boot_index": 0, "uuid": "i-new", "source_type": "image", "destination_type": "volume",
            "volume_size": 40, "delete_on_termination": true}])
    );
    assert!(server.get("imageRef").is_none());
    assert_eq!(server["flavorRef"], "f-a");
    assert!(server["tags"].is_array(), "our mark is on it all the same");

    let server = sent(&fake::server()).await;
    assert!(server.get("block_device_mapping_v2").is_none());
    assert_eq!(server["imageRef"], "i-new");
}

#[tokio::test]
async fn security_groups_are_passed_on_by_name_or_id() {
    let security_groups = vec!["ci".into(), "0b2b3b6e-6d0a-4a52-9a6c-0d9a3c1a7b11".into()];
    let server = sent(&ServerRequest { security_groups, ..fake::server() }).await;
    assert_eq!(
        server["security_groups"],
        json!([{"name": "ci"}, {"name": "0b2b3b6e-6d0a-4a52-9a6c-0d9a3c1a7b11"}])
    );
    assert!(
        sent(&fake::server()).await.get("security_groups").is_none(),
        "the cloud's default is left alone"
    );
}

#[tokio::test]
async fn user_data_is_encoded_and_bounded() {
    let text = "#cloud-config\nhostname: ü\n";
    let server = sent(&ServerRequest { user_data: Some(UserData(text.to_owned())), ..fake::server() }).await;
    let decoded = STANDARD.decode(server["user_data"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(decoded).unwrap(), text);

    let whole = ServerRequest { user_data: Some(UserData("x".repeat(USER_DATA_LIMIT))), ..fake::server() };
    let server = sent(&whole).await;
    assert!(server["user_data"].as_str().unwrap().len() <= 65_535, "Nova's own limit");

    let fake = Fake::ready().await;
    let request =
        ServerRequest { user_data: Some(UserData("x".repeat(USER_DATA_LIMIT + 1))), ..fake::server() };
    let error = fake.driver().await.create_server(&request).await.unwrap_err();
    let text = "the user data has 49150 bytes; a cloud takes at most 49149";
    assert_eq!(error, CloudError::Rejected(text.into()));
    assert!(fake.requests("POST", SERVERS).await.is_empty());
}

#[tokio::test]
async fn zone_key_and_config_drive_are_passed_on() {
    let request = ServerRequest {
        az: Some("zone-2".into()),
        keypair: Some("ops".into()),
        config_drive: Some(true),
        ..fake::server()
    };
    let server = sent(&request).await;
    assert_eq!(server["availability_zone"], "zone-2");
    assert_eq!(server["key_name"], "ops");
    assert_eq!(server["config_drive"], true);
    let server = sent(&fake::server()).await;
    for left_to_the_cloud in ["availability_zone", "key_name", "config_drive", "user_data"] {
        assert!(server.get(left_to_the_cloud).is_none(), "{left_to_the_cloud}");
    }
}

#[tokio::test]
async fn a_label_of_novas_own_networks_is_found_where_there_is_no_neutron() {
    let fake = Fake::up_to("2.1").await;
    fake.answer("GET", "/network/v2.0/networks", 404, json!({})).await;
    fake.things().await;
    let networks = json!({"networks": [{"id": "n-7", "label": "ci", "cidr": "10.0.0.0/24"}, {"id": "n-8", "label": "other"}]});
    fake.answer("GET", "/compute/v2.1/os-tenant-networks", 200, networks).await;
    fake.answer("POST", SERVERS, 202, json!({"server": {"id": "s-1"}})).await;
    let driver = fake.driver().await;
    let request =
        |name: &str| ServerRequest { networks: vec![NetworkChoice::Name(name.into())], ..fake::server() };
    driver.create_server(&request("ci")).await.unwrap();
    let sent = fake::body(&fake.request("POST", SERVERS).await);
    assert_eq!(sent["server"]["networks"], json!([{"uuid": "n-7"}]));
    let error = driver.create_server(&request("none")).await.unwrap_err();
    assert_eq!(error, CloudError::Rejected("the cloud has no network named none".into()));
}
