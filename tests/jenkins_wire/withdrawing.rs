//! Removing agents: ours, idle, and nothing else.

use nodepool::model::{AgentTag, CLOSED};
use nodepool::target::{Target as _, TargetError};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::fake::{Fake, agent, description, done, field, page, tag, with, withdrawal};

const LOOK: &str = "/computer/ci-42/api/json";
const OFFLINE: &str = "/computer/ci-42/changeOfflineCause";
const DELETE: &str = "/computer/ci-42/doDelete";

/// A mock with one agent that can be removed.
async fn with_agent(fields: serde_json::Value) -> Fake {
    let fake = Fake::empty().await;
    fake.json("GET", LOOK, with(agent("ci-42", &description()), fields)).await;
    fake.respond("POST", OFFLINE, ResponseTemplate::new(302).insert_header("Location", "../ci-42/")).await;
    fake.respond("POST", DELETE, done()).await;
    fake
}

#[tokio::test]
async fn an_idle_agent_is_taken_offline_looked_at_again_and_removed() {
    let fake = with_agent(json!({})).await;
    fake.driver().await.withdraw(&withdrawal(false)).await.unwrap();
    let expected =
        [format!("GET {LOOK}"), format!("POST {OFFLINE}"), format!("GET {LOOK}"), format!("POST {DELETE}")];
    assert_eq!(fake.log().await, expected);
}

#[tokio::test]
async fn an_agent_that_takes_no_jobs_is_removed_at_once() {
    for fields in [json!({"offline": true}), json!({"offline": true, "temporarilyOffline": true})] {
        let fake = with_agent(fields).await;
        fake.driver().await.withdraw(&withdrawal(false)).await.unwrap();
        assert_eq!(fake.log().await, [format!("GET {LOOK}"), format!("POST {DELETE}")]);
    }
}

#[tokio::test]
async fn a_build_that_begins_between_the_look_and_the_removal_lives() {
    let busy = json!({"idle": false, "offline": true, "temporarilyOffline": true,
        "executors": [{"currentExecutable": {"url": "http://j/job/x/7/"}}]});
    let fake = with_agent(busy).await;
    fake.first(1, "GET", LOOK, ResponseTemplate::new(200).set_body_json(agent("ci-42", &description())))
        .await;
    let error = fake.driver().await.withdraw(&withdrawal(false)).await.unwrap_err();
    assert!(matches!(&error, TargetError::Busy(text) if text.contains("http://j/job/x/7/")), "{error:?}");
    assert!(fake.requests("POST", DELETE).await.is_empty());
}

#[tokio::test]
async fn a_busy_agent_goes_only_when_somebody_insists() {
    for offline in [false, true] {
        let fake =
            with_agent(json!({"idle": false, "offline": offline, "temporarilyOffline": offline})).await;
        let driver = fake.driver().await;
        let error = driver.withdraw(&withdrawal(false)).await.unwrap_err();
        assert!(matches!(error, TargetError::Busy(_)), "{error:?}");
        assert_eq!(fake.log().await, [format!("GET {LOOK}")], "and it is left alone");
        driver.withdraw(&withdrawal(true)).await.unwrap();
        fake.request("POST", DELETE).await;
    }
}

#[tokio::test]
async fn an_agent_without_our_mark_is_never_removed() {
    for text in
        ["", "by hand", "Dynamic single use ci-jessie node", "[nodepool inst-1/43]", "[nodepool inst-2/42]"]
    {
        let fake = with_agent(json!({"description": text})).await;
        for insist in [false, true] {
            let error = fake.driver().await.withdraw(&withdrawal(insist)).await.unwrap_err();
            assert!(matches!(error, TargetError::Rejected(_)), "{text}: {error:?}");
        }
        assert!(fake.log().await.iter().all(|line| line.starts_with("GET")), "{text}");
    }
}

#[tokio::test]
async fn an_agent_with_its_job_is_closed_and_one_that_takes_none_keeps_its_reason() {
    let busy = json!({"idle": false, "executors": [{"currentExecutable": {"url": "http://j/job/x/7/"}}]});
    let fake = with_agent(busy).await;
    let driver = fake.driver().await;
    driver.close("ci-42", &tag(), CLOSED).await.unwrap();
    assert_eq!(fake.log().await, [format!("GET {LOOK}"), format!("POST {OFFLINE}")]);
    assert_eq!(field(&fake.request("POST", OFFLINE).await, "offlineMessage"), CLOSED);
    let others = AgentTag { installation: "inst-2".into(), ..tag() };
    let error = driver.close("ci-42", &others, CLOSED).await.unwrap_err();
    assert!(matches!(error, TargetError::Rejected(_)), "an agent of others: {error:?}");
    assert_eq!(fake.requests("POST", OFFLINE).await.len(), 1);

    let fake = with_agent(json!({"idle": false, "offline": true, "temporarilyOffline": true})).await;
    fake.driver().await.close("ci-42", &tag(), CLOSED).await.unwrap();
    assert_eq!(fake.log().await, [format!("GET {LOOK}")]);

    let fake = Fake::empty().await;
    fake.respond("GET", LOOK, page(404)).await;
    let error = fake.driver().await.close("ci-42", &tag(), CLOSED).await.unwrap_err();
    assert!(matches!(error, TargetError::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_gone_is_a_success() {
    let fake = Fake::empty().await;
    fake.respond("GET", LOOK, page(404)).await;
    fake.driver().await.withdraw(&withdrawal(false)).await.unwrap();
    let fake = with_agent(json!({"offline": true})).await;
    fake.first(1, "POST", DELETE, page(404)).await;
    fake.driver().await.withdraw(&withdrawal(false)).await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_take_agents_offline_can_still_remove_them() {
    let fake = with_agent(json!({})).await;
    fake.first(1, "POST", OFFLINE, page(403)).await;
    fake.driver().await.withdraw(&withdrawal(false)).await.unwrap();
    fake.request("POST", DELETE).await;
}

#[tokio::test]
async fn what_cannot_be_seen_is_not_removed() {
    let fake = Fake::empty().await;
    fake.respond("GET", LOOK, page(503)).await;
    fake.respond("POST", DELETE, done()).await;
    let error = fake.driver().await.withdraw(&withdrawal(true)).await.unwrap_err();
    assert!(matches!(error, TargetError::Unavailable(_)), "{error:?}");
    let fake = with_agent(json!({"displayName": "ci-43"})).await;
    let error = fake.driver().await.withdraw(&withdrawal(true)).await.unwrap_err();
    assert!(matches!(error, TargetError::Unavailable(_)), "an answer about another agent: {error:?}");
    assert!(fake.requests("POST", DELETE).await.is_empty());
}
