//! Limits: what Nova and Neutron tell of them, and what they leave out.

use nodepool::cloud::{Cloud, CloudError};
use nodepool::model::{Flavor, Quota, Resource, Usage};
use serde_json::{Value, json};

use crate::fake::Fake;

const LIMITS: &str = "/compute/v2.1/limits";
const DETAILS: &str = "/network/v2.0/quotas/p-1/details.json";

fn limits(more: &Value) -> Value {
    let mut absolute = json!({"maxTotalInstances": 10, "totalInstancesUsed": 3, "maxTotalCores": 40,
        "totalCoresUsed": 38, "maxTotalRAMSize": -1, "totalRAMUsed": 7168, "maxTotalFloatingIps": -1,
        "totalFloatingIpsUsed": 0});
    let fields = absolute.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({"limits": {"rate": [], "absolute": absolute}})
}

fn details() -> Value {
    json!({"quota": {"port": {"limit": 100, "used": 5, "reserved": 1},
        "floatingip": {"limit": -1, "used": 2, "reserved": 0}, "router": {"limit": 10, "used": "?"}}})
}

fn usage(quota: &Quota, resource: Resource) -> Option<(Option<u64>, u64)> {
    quota.usage.get(&resource).map(|usage| (usage.limit, usage.used))
}

#[tokio::test]
async fn both_services_tell_and_a_negative_limit_is_none() {
    let fake = Fake::ready().await;
    fake.answer("GET", LIMITS, 200, limits(&json!({}))).await;
    fake.answer("GET", DETAILS, 200, details()).await;
    let quota = fake.driver().await.quota().await.unwrap();
    let expected = [
        (Resource::Instances, Some(10), 3),
        (Resource::Cores, Some(40), 38),
        (Resource::Ram, None, 7168),
        (Resource::Ports, Some(100), 6),
        (Resource::FloatingIps, None, 2),
    ];
    let expected = expected.map(|(resource, limit, used)| (resource, Usage { limit, used }));
    assert_eq!(quota.usage, expected.into());
}

#[tokio::test]
async fn flavors_are_known_with_their_cores_and_chosen_as_servers_are_made() {
    let fake = Fake::up_to("2.93").await;
    let flavors = json!({"flavors": [
        {"id": "f-1", "name": "ci.1", "ram": 2048, "vcpus": 1},
        {"id": "f-b", "name": "ci.b", "ram": 4096, "vcpus": 4},
        {"id": "f-a", "name": "ci.a", "ram": 4096, "vcpus": 2},
        {"id": "f-odd", "name": "ci.odd", "ram": 8192, "vcpus": "many"},
        {"id": "f-off", "name": "ci.0", "ram": 4096, "vcpus": 1, "OS-FLV-DISABLED:disabled": true}]});
    fake.answer("GET", "/compute/v2.1/flavors/detail", 200, flavors).await;
    fake.answer("GET", LIMITS, 200, limits(&json!({}))).await;
    fake.answer("GET", DETAILS, 200, details()).await;
    let flavors = fake.driver().await.quota().await.unwrap().flavors;
    let chosen =
        |ram, filter| Flavor::smallest(&flavors, ram, filter).map(|one| (one.id.as_str(), one.cores));
    assert_eq!(chosen(0, None), Some(("f-1", 1)));
    assert_eq!(chosen(3000, Some("ci.")), Some(("f-a", 2)));
    assert_eq!(chosen(4096, Some("b")), Some(("f-b", 4)));
    assert_eq!(chosen(8192, None), Some(("f-odd", 0)), "cores that cannot be read bind nobody");
    assert_eq!(chosen(8193, None), None);
    assert_eq!(chosen(0, Some("ci.0")), None, "a flavor that is switched off is none");
}

#[tokio::test]
async fn what_is_odd_or_missing_is_not_told() {
    let fake = Fake::ready().await;
    fake.answer("GET", LIMITS, 200, limits(&json!({"maxTotalCores": null, "totalRAMUsed": "lots"}))).await;
    fake.answer("GET", DETAILS, 200, json!({"quota": {"port": [], "floatingip": {"limit": 5}}})).await;
    let quota = fake.driver().await.quota().await.unwrap();
    assert_eq!(usage(&quota, Resource::Instances), Some((Some(10), 3)));
    assert_eq!(quota.usage.len(), 1, "{:?}", quota.usage);
}

#[tokio::test]
async fn a_neutron_that_does_not_tell_is_no_failure_and_one_that_fails_is() {
    for status in [403, 404] {
        let fake = Fake::ready().await;
        fake.answer("GET", LIMITS, 200, limits(&json!({}))).await;
        fake.answer("GET", DETAILS, status, json!({"NeutronError": {"message": "no", "type": "x"}})).await;
        let quota = fake.driver().await.quota().await.unwrap();
        assert_eq!(quota.usage.len(), 3, "{status}");
    }
    let fake = Fake::ready().await;
    fake.answer("GET", LIMITS, 200, limits(&json!({}))).await;
    fake.answer("GET", DETAILS, 503, json!({})).await;
    assert!(matches!(fake.driver().await.quota().await, Err(CloudError::Transient(_))));
}

#[tokio::test]
async fn a_nova_that_does_not_tell_is_a_failure_and_not_a_quota_of_nothing() {
    let refused = json!({"forbidden": {"code": 403, "message": "Policy doesn't allow limits"}});
    for (status, body) in [(403, refused), (404, json!({})), (200, json!({"limits": 7})), (200, json!([]))] {
        let fake = Fake::ready().await;
        fake.answer("GET", LIMITS, status, body.clone()).await;
        let error = fake.driver().await.quota().await.unwrap_err();
        assert!(matches!(error, CloudError::Rejected(_) | CloudError::Transient(_)), "{body}: {error:?}");
    }
}
