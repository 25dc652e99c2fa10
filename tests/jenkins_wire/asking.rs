//! The test job, the log of a launch, and what an inbound agent needs.

use nodepool::target::{Target as _, TargetError};
use secrecy::ExposeSecret as _;
use wiremock::ResponseTemplate;

use crate::fake::{Fake, PREFIX, page, parameter};

fn text(body: impl Into<Vec<u8>>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "text/plain")
}

#[tokio::test]
async fn a_test_job_is_started_with_the_nodes_name() {
    for (job, place) in [
        ("check-node", "/job/check-node/buildWithParameters"),
        ("ops/check node", "/job/ops/job/check%20node/buildWithParameters"),
    ] {
        let fake = Fake::empty().await;
        let queued = ResponseTemplate::new(201).insert_header("Location", "http://j/queue/item/7/");
        fake.respond("POST", place, queued).await;
        fake.driver().await.start_test(job, "ci-42").await.unwrap();
        let request = fake.request("POST", place).await;
        assert_eq!(parameter(&request, "NODE").as_deref(), Some("ci-42"));
        assert_eq!(parameter(&request, "delay").as_deref(), Some("0sec"));
    }
    let fake = Fake::empty().await;
    fake.respond("POST", "/job/check-node/buildWithParameters", page(404)).await;
    let error = fake.driver().await.start_test("check-node", "ci-42").await.unwrap_err();
    assert!(
        matches!(&error, TargetError::Rejected(text) if text.contains("no job `check-node`")),
        "{error:?}"
    );
    let error = fake.driver().await.start_test("a/../b", "ci-42").await.unwrap_err();
    assert!(matches!(error, TargetError::Rejected(_)), "{error:?}");
}

#[tokio::test]
async fn a_launch_log_is_told_by_its_end() {
    let place = "/computer/ci-42/logText/progressiveText";
    let fake = Fake::empty().await;
    let text_of_launches =
        format!("{}\nERROR: no route to ho\u{df}t\n", "SSHLauncher{host='10.0.0.7'}\n".repeat(50_000));
    fake.respond("GET", place, text(text_of_launches)).await;
    let log = fake.driver().await.launch_log("ci-42").await.unwrap();
    assert_eq!(log.chars().count(), 4000);
    assert!(log.ends_with("ERROR: no route to ho\u{df}t\n") && log.contains("}\nSSHLauncher"), "{log}");
    assert_eq!(parameter(&fake.request("GET", place).await, "start").as_deref(), Some("0"));
    let fake = Fake::empty().await;
    fake.respond("GET", place, text(b"\xff\xfe\x1b[31mfailed\x1b[0m\r\n".to_vec())).await;
    assert!(fake.driver().await.launch_log("ci-42").await.unwrap().ends_with("failed\n"));
    let fake = Fake::empty().await;
    let error = fake.driver().await.launch_log("ci-42").await.unwrap_err();
    assert!(matches!(error, TargetError::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn an_inbound_agent_gets_its_secret_and_it_is_not_shown() {
    let secret = "0123456789abcdef".repeat(4);
    let place = "/computer/ci-42/jenkins-agent.jnlp";
    let document = format!(
        "<jnlp><application-desc main-class=\"x\"><argument>{secret}</argument><argument>ci-42</argument>\
         <argument>-webSocket</argument><argument>-workDir</argument><argument>/d</argument></application-desc></jnlp>"
    );
    let fake = Fake::empty().await;
    fake.respond("GET", place, text(document)).await;
    let inbound = fake.driver().await.inbound("ci-42").await.unwrap();
    assert_eq!(inbound.url, format!("{}{PREFIX}/", fake.server.uri()));
    assert_eq!((inbound.name.as_str(), inbound.secret.expose_secret()), ("ci-42", secret.as_str()));
    assert!(!format!("{inbound:?}").contains(&secret));
    for odd in ["", "<jnlp/>", "<jnlp><argument>ci-42</argument></jnlp>", "no xml"] {
        let fake = Fake::empty().await;
        fake.respond("GET", place, text(odd)).await;
        let error = fake.driver().await.inbound("ci-42").await.unwrap_err();
        assert!(matches!(error, TargetError::Rejected(_)), "{odd}: {error:?}");
    }
}
