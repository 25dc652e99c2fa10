//! Jenkins' queue as a source of demand.

use std::collections::BTreeMap;

use nodepool::target::DemandSource as _;
use serde_json::json;

use crate::fake::{APIKEY, Fake, header, page, parameter};

const QUEUE: &str = "/queue/api/json";

#[tokio::test]
async fn waiting_jobs_are_counted_by_label_and_their_parameters_are_not_asked_for() {
    let fake = Fake::empty().await;
    let waits = |why: &str| json!({"_class": "hudson.model.Queue$BuildableItem", "why": why, "buildable": true, "pending": false});
    let items = json!([
        waits("There are no nodes with the label \u{2018}ci\u{2019}"),
        waits("All nodes of label \u{2018}ci\u{2019} are offline"),
        waits("Waiting for next available executor on \u{2018}arm\u{2019}"),
        waits("Waiting for next available executor on \u{2018}ci-42\u{2019}"),
        waits("Waiting for next available executor"),
    ]);
    fake.json("GET", QUEUE, json!({"items": items})).await;
    let queue = fake.driver().await.queue(["ci".to_owned(), "arm".to_owned()]);
    let demand = queue.ask().await.unwrap();
    assert!(demand.jobs.is_empty());
    assert_eq!(demand.waiting, BTreeMap::from([("arm".to_owned(), 1), ("ci".to_owned(), 2)]));
    let request = fake.request("GET", QUEUE).await;
    assert_eq!(header(&request, "accept-language"), Some("en"), "the reasons are in the asker's language");
    let tree = parameter(&request, "tree").unwrap();
    assert!(
        tree.contains("parameters[name]") && !tree.contains("value") && !tree.contains("params"),
        "{tree}"
    );
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_is_not_an_empty_one() {
    for response in
        [page(503), page(200), page(404), wiremock::ResponseTemplate::new(200).set_body_json(json!({}))]
    {
        let fake = Fake::empty().await;
        fake.respond("GET", QUEUE, response).await;
        let error = fake.driver().await.queue(["ci".to_owned()]).ask().await.unwrap_err().to_string();
        assert!(!error.contains(APIKEY), "{error}");
    }
}
