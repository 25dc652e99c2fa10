//! Floating IPs over Neutron, and the console over Nova.

use nodepool::cloud::{CONSOLE_LIMIT, Cloud, CloudError, FloatingIpRequest};
use nodepool::model::FloatingIp;
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::fake::{self, Fake};

const FLOATING_IPS: &str = "/network/v2.0/floatingips";
const PORTS: &str = "/network/v2.0/ports";
const NETWORKS: &str = "/network/v2.0/networks";
const ACTION: &str = "/compute/v2.1/servers/s-1/action";
const POOL_ID: &str = "0b2b3b6e-6d0a-4a52-9a6c-0d9a3c1a7b11";

fn request(pool: &str) -> FloatingIpRequest {
    FloatingIpRequest { pool: pool.into(), server_id: "s-1".into(), tag: fake::tag() }
}

fn refusal(kind: &str, message: &str) -> Value {
    json!({"NeutronError": {"type": kind, "message": message, "detail": ""}})
}

fn port(id: &str, network: &str, addresses: &[&str]) -> Value {
    let addresses = addresses.iter().map(|address| json!({"subnet_id": "x", "ip_address": address}));
    json!({"id": id, "device_id": "s-1", "network_id": network, "fixed_ips": addresses.collect::<Value>()})
}

/// A cloud with a server that has such ports.
async fn with_ports(ports: Value) -> Fake {
    let fake = Fake::ready().await;
    fake.answer("GET", PORTS, 200, json!({"ports": ports})).await;
    fake
}

async fn with_a_port() -> Fake {
    with_ports(json!([port("port-1", "n-private", &["10.0.0.9"])])).await
}

#[tokio::test]
async fn one_call_makes_it_with_its_port_and_our_mark() {
    let fake = with_a_port().await;
    fake.answer("POST", FLOATING_IPS, 201, json!({"floatingip": {"id": "f-1", "status": "DOWN"}})).await;
    fake.answer("PUT", "/network/v2.0/floatingips/f-1/tags", 200, json!({"tags": []})).await;
    let driver = fake.driver().await;
    assert_eq!(driver.create_floating_ip(&request("public")).await.unwrap(), "f-1");
    let sent = fake::body(&fake.request("POST", FLOATING_IPS).await);
    let sent = sent["floatingip"].as_object().unwrap().clone();
    assert_eq!(sent["floating_network_id"], "n-public");
    assert_eq!(sent["port_id"], "port-1");
    let mark: Value = serde_json::from_str(sent["description"].as_str().unwrap()).unwrap();
    let expected = json!({"nodepool_installation": "inst-1", "nodepool_owner": "node", "nodepool_owner_id": "42",
        "nodepool_attempt": "attempt-9"});
    assert_eq!(mark, expected);
    assert_eq!(sent.len(), 3);
    let tags = fake::body(&fake.request("PUT", "/network/v2.0/floatingips/f-1/tags").await);
    assert_eq!(
        tags,
        json!({"tags": ["nodepool:inst-1", "nodepool-owner:node:42", "nodepool-attempt:attempt-9"]})
    );
    let marked = fake::body(&fake.request("PUT", "/network/v2.0/ports/port-1/tags").await);
    assert_eq!(marked, tags, "the port is known here, so it is marked as well");
    let asked = fake.request("GET", PORTS).await;
    assert_eq!(fake::parameter(&asked, "device_id").as_deref(), Some("s-1"));

    driver.create_floating_ip(&request("public")).await.unwrap();
    let look_ups = fake.requests("GET", NETWORKS).await;
    assert_eq!(look_ups.len(), 1, "the pool's id is remembered");
    assert_eq!(fake::parameter(&look_ups[0], "router:external").as_deref(), Some("true"));
}

#[tokio::test]
async fn a_pool_by_id_is_not_looked_up_and_missing_tags_do_no_harm() {
    let fake = with_a_port().await;
    fake.answer("POST", FLOATING_IPS, 201, json!({"floatingip": {"id": "f-1"}})).await;
    assert_eq!(fake.driver().await.create_floating_ip(&request(POOL_ID)).await.unwrap(), "f-1");
    assert!(fake.requests("GET", NETWORKS).await.is_empty());
    assert_eq!(fake.requests("PUT", "/network/v2.0/floatingips/f-1/tags").await.len(), 1);
}

#[tokio::test]
async fn a_port_that_no_router_reaches_is_passed_over() {
    let fake = with_ports(json!([
        port("port-c", "n-3", &["10.3.0.9"]),
        port("port-a", "n-1", &["fd00::9"]),
        port("port-b", "n-2", &["fd01::9", "10.2.0.9"]),
    ]))
    .await;
    let text =
        "External network n-public is not reachable from subnet x. Therefore, cannot associate Port port-b";
    let unreachable = refusal("ExternalGatewayForFloatingIPNotFound", text);
    Mock::given(method("POST"))
        .and(path(FLOATING_IPS))
        .and(body_partial_json(json!({"floatingip": {"port_id": "port-c"}})))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"floatingip": {"id": "f-1"}})))
        .with_priority(1)
        .mount(&fake.server)
        .await;
    fake.answer("POST", FLOATING_IPS, 404, unreachable).await;
    let driver = fake.driver().await;
    for _ in 0..2 {
        assert_eq!(driver.create_floating_ip(&request(POOL_ID)).await.unwrap(), "f-1");
    }
    let asked = fake.requests("POST", FLOATING_IPS).await;
    let ports: Vec<Value> =
        asked.iter().map(|one| fake::body(one)["floatingip"]["port_id"].clone()).collect();
    assert_eq!(
        ports,
        ["port-b", "port-c", "port-c"],
        "port-a has no IPv4 address, and what was reached is first"
    );
}

#[tokio::test]
async fn a_server_that_cannot_be_led_to_is_refused() {
    let text = "External network n-public is not reachable from subnet x";
    for (ports, expected) in [
        (json!([]), "no port with an IPv4 address"),
        (json!([port("p", "n", &["fd00::9"])]), "no port with an IPv4 address"),
        (json!([port("p", "n", &["10.0.0.9"])]), text),
    ] {
        let fake = with_ports(ports).await;
        fake.answer("POST", FLOATING_IPS, 404, refusal("ExternalGatewayForFloatingIPNotFound", text)).await;
        let error = fake.driver().await.create_floating_ip(&request(POOL_ID)).await.unwrap_err();
        assert!(matches!(&error, CloudError::Rejected(text) if text.contains(expected)), "{error:?}");
    }
}

#[tokio::test]
async fn refusals_are_named_by_the_reaction() {
    let quota = refusal("OverQuota", "Quota exceeded for resources: ['floatingip'].");
    let empty = refusal("IpAddressGenerationFailure", "No more IP addresses available on network n-public.");
    let second = refusal(
        "FloatingIPPortAlreadyAssociated",
        "Cannot associate floating IP 203.0.113.5 (f-2) with port port-1 using fixed IP 10.0.0.9, as that fixed IP \
         already has a floating IP on external network n-public.",
    );
    let gone = refusal("NetworkNotFound", "Network n-public could not be found.");
    for (status, body, word) in [
        (409, quota, "quota"),
        (409, empty, "quota"),
        (409, second, "transient"),
        (404, gone, "rejected"),
        (400, refusal("BadRequest", "Network n-public is not a valid external network"), "rejected"),
        (500, refusal("HTTPInternalServerError", "Request Failed: internal server error"), "transient"),
        (201, json!({}), "transient"),
    ] {
        let fake = with_a_port().await;
        let answer = ResponseTemplate::new(status).set_body_json(&body);
        fake.respond("POST", FLOATING_IPS, answer.insert_header("X-Openstack-Request-Id", "req-7")).await;
        let error = fake.driver().await.create_floating_ip(&request("public")).await.unwrap_err();
        assert_eq!(error.word(), word, "{error:?}");
        assert!(error.to_string().contains("req-7"), "{error}");
        assert_eq!(fake.requests("POST", FLOATING_IPS).await.len(), 1, "a create is never repeated");
    }
}

#[tokio::test]
async fn an_unknown_pool_is_refused_without_a_create() {
    for (networks, expected) in [
        (
            json!([{"id": "n-1", "name": "public", "router:external": false}]),
            "no external network named public",
        ),
        (
            json!([{"id": "n-1", "name": "public", "router:external": true},
                {"id": "n-2", "name": "public", "router:external": true}]),
            "several external networks named public",
        ),
    ] {
        let fake = Fake::up_to("2.93").await;
        fake.answer("GET", NETWORKS, 200, json!({"networks": networks})).await;
        let error = fake.driver().await.create_floating_ip(&request("public")).await.unwrap_err();
        assert!(matches!(&error, CloudError::Rejected(text) if text.contains(expected)), "{error:?}");
        assert!(fake.requests("POST", FLOATING_IPS).await.is_empty());
    }
}

#[tokio::test]
async fn lists_those_of_the_project_with_their_marks() {
    let fake = Fake::ready().await;
    let mark = r#"{"nodepool_installation":"inst-1","nodepool_owner":"node","nodepool_owner_id":"42","nodepool_attempt":"attempt-9"}"#;
    let address = |id: &str, last: u8| json!({"id": id, "floating_ip_address": format!("203.0.113.{last}"), "tenant_id": "p-1"});
    let with = |mut one: Value, more: Value| {
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    fake.answer("GET", FLOATING_IPS, 200, json!({"floatingips": [
        with(address("f-ours", 1), json!({"port_id": "port-1", "description": mark})),
        with(address("f-left", 2), json!({"port_id": null, "description": mark})),
        with(address("f-tagged", 3), json!({"description": "edited by a person",
            "tags": ["nodepool:inst-1", "nodepool-owner:node:42", "nodepool-attempt:attempt-9", "more"]})),
        with(address("f-alien", 4), json!({"port_id": "port-9", "description": "of the web server", "tags": 7})),
        with(address("f-others", 5), json!({"project_id": "p-9", "description": mark})),
    ]})).await;
    let listed = fake.driver().await.floating_ips().await.unwrap();
    let expected = |id: &str, last: u8, ours: bool, server_attached: bool| FloatingIp {
        id: id.into(),
        ip: [203, 0, 113, last].into(),
        tag: ours.then(fake::tag),
        server_attached,
    };
    assert_eq!(
        listed,
        [
            expected("f-ours", 1, true, true),
            expected("f-left", 2, true, false),
            expected("f-tagged", 3, true, false),
            expected("f-alien", 4, false, true),
        ]
    );
    let asked = fake.request("GET", FLOATING_IPS).await;
    assert_eq!(fake::parameter(&asked, "project_id").as_deref(), Some("p-1"));
}

#[tokio::test]
async fn a_listing_that_cannot_be_read_is_not_an_empty_one() {
    for body in [json!({}), json!({"floatingips": [{"id": "f-1", "floating_ip_address": "?"}]})] {
        let fake = Fake::ready().await;
        fake.answer("GET", FLOATING_IPS, 200, body).await;
        assert!(matches!(fake.driver().await.floating_ips().await, Err(CloudError::Transient(_))));
    }
    let fake = Fake::ready().await;
    assert!(matches!(fake.driver().await.floating_ips().await, Err(CloudError::Rejected(_))));
}

#[tokio::test]
async fn deletes_and_tells_what_is_gone() {
    let fake = Fake::ready().await;
    fake.respond("DELETE", "/network/v2.0/floatingips/f-1", ResponseTemplate::new(204)).await;
    let driver = fake.driver().await;
    driver.delete_floating_ip("f-1").await.unwrap();
    let outcome = driver.delete_floating_ip("f-2").await;
    assert!(matches!(outcome, Err(CloudError::NotFound(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_console_is_given_from_its_end() {
    let fake = Fake::ready().await;
    let line = format!("{}\n", "x".repeat(999));
    fake.answer("POST", ACTION, 200, json!({"output": format!("{}the end\n", line.repeat(500))})).await;
    let console = fake.driver().await.console_log("s-1").await.unwrap();
    assert!(console.len() <= CONSOLE_LIMIT && console.ends_with("x\nthe end\n"));
    let sent = fake::body(&fake.request("POST", ACTION).await);
    assert_eq!(sent, json!({"os-getConsoleOutput": {"length": 2000}}));
}

#[tokio::test]
async fn a_console_that_is_not_there_yet_is_asked_for_again() {
    let message = |text: &str| json!({"conflictingRequest": {"code": 409, "message": text}});
    for (status, body, word) in [
        (409, message("Instance s-1 is not ready"), "transient"),
        (404, message("Instance s-1 could not be found."), "not_found"),
        (501, message("Unable to get console log, functionality not implemented"), "rejected"),
        (200, json!([]), "transient"),
    ] {
        let fake = Fake::ready().await;
        fake.answer("POST", ACTION, status, body).await;
        let error = fake.driver().await.console_log("s-1").await.unwrap_err();
        assert_eq!(error.word(), word, "{error:?}");
    }
    let fake = Fake::ready().await;
    fake.answer("POST", ACTION, 200, json!({"output": null})).await;
    assert_eq!(fake.driver().await.console_log("s-1").await.unwrap(), "");
}
