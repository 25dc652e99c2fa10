//! A controller that is down, starting, slow, cut off or out of its mind: nothing is concluded from it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use nodepool::target::jenkins::{JenkinsTarget, Settings};
use nodepool::target::{Target as _, TargetError};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use wiremock::ResponseTemplate;

use crate::fake::{APIKEY, Fake, PREFIX, SHORT, description, enrollment, page, refused, tag, withdrawal};
use crate::held_port::HeldPort;

/// What each call answers, by its name.
async fn all_calls(driver: &JenkinsTarget) -> Vec<(&'static str, Option<TargetError>)> {
    vec![
        ("enroll", driver.enroll(&enrollment(Path::new("unused"))).await.err()),
        ("withdraw", driver.withdraw(&withdrawal(false)).await.err()),
        ("roster", driver.roster().await.err()),
        ("relabel", driver.relabel("ci-42", &tag(), &[]).await.err()),
        ("hold", driver.hold("ci-42", &tag(), &description(), "held").await.err()),
        ("start_test", driver.start_test("check", "ci-42").await.err()),
        ("launch_log", driver.launch_log("ci-42").await.err()),
        ("inbound", driver.inbound("ci-42").await.err()),
    ]
}

fn none_is_certain(answers: &[(&str, Option<TargetError>)], because: &str) {
    for (call, error) in answers {
        assert!(matches!(error, Some(TargetError::Unavailable(_))), "{because}: {call}: {error:?}");
        assert!(!format!("{error:?}").contains(APIKEY), "{because}: {call}");
    }
}

#[tokio::test]
async fn a_controller_that_starts_or_stands_behind_a_broken_proxy_is_not_believed() {
    for status in [429, 502, 503, 504] {
        let fake = Fake::empty().await;
        wiremock::Mock::given(wiremock::matchers::any()).respond_with(page(status)).mount(&fake.server).await;
        none_is_certain(&all_calls(&fake.driver().await).await, &status.to_string());
    }
}

#[tokio::test]
async fn a_controller_that_does_not_answer_is_waited_for_only_so_long() {
    let fake = Fake::alone().await;
    let slow = page(200).set_delay(Duration::from_secs(600));
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(slow).mount(&fake.server).await;
    none_is_certain(&all_calls(&fake.impatient().await).await, "silent");
}

/// A driver for whatever listens there.
async fn at(address: std::net::SocketAddr) -> JenkinsTarget {
    let fake = Fake::empty().await;
    let url = format!("http://{address}{PREFIX}");
    JenkinsTarget::new(Settings { url, api_timeout: SHORT, ..fake.settings() }).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_is_refused_or_cut_is_no_answer() {
    let gone = HeldPort::new();
    let address = (Ipv4Addr::LOCALHOST, gone.port).into();
    none_is_certain(&all_calls(&at(address).await).await, "refused");

    let cutting = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = cutting.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = cutting.accept().await {
            let _ = stream.read(&mut [0; 100]).await;
        }
    });
    none_is_certain(&all_calls(&at(address).await).await, "cut");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_listing() {
    let breaking = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = breaking.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = breaking.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer =
                b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"computer\": [], \"quietingDown\": false";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let error = at(address).await.roster().await.unwrap_err();
    assert!(matches!(error, TargetError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_failure_inside_jenkins_is_not_certain_and_says_what_may_be_missing() {
    let fake = Fake::ready().await;
    fake.respond("POST", "/computer/doCreateItem", page(500)).await;
    let error = fake.driver().await.enroll(&enrollment(Path::new("unused"))).await.unwrap_err();
    assert!(
        matches!(&error, TargetError::Unavailable(text) if text.contains("SSH Build Agents")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refusal_says_why_in_bounded_words_and_without_the_key() {
    let why = format!("a:b  is an  unsafe character {APIKEY} {}", "x".repeat(5000));
    let fake = Fake::ready().await;
    fake.respond("POST", "/computer/doCreateItem", refused(&why)).await;
    let error = fake.driver().await.enroll(&enrollment(Path::new("unused"))).await.unwrap_err();
    let TargetError::Rejected(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("400") && text.contains("is an unsafe character"), "{text}");
    assert!(text.chars().count() < 600 && !text.contains(APIKEY), "{text}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let fake = Fake::empty().await;
    let huge = format!("{{\"displayName\": \"ci-42\"{}}}", " ".repeat(5 << 20));
    fake.respond("GET", "/computer/ci-42/api/json", ResponseTemplate::new(200).set_body_string(huge)).await;
    let error = fake.driver().await.withdraw(&withdrawal(false)).await.unwrap_err();
    assert!(matches!(&error, TargetError::Unavailable(text) if text.contains("longer than")), "{error:?}");
    let fake = Fake::empty().await;
    fake.respond("GET", "/computer/ci-42/api/json", page(404).set_body_string("x".repeat(9 << 20))).await;
    fake.driver().await.withdraw(&withdrawal(false)).await.unwrap();
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let fake = Fake::empty().await;
    let body =
        json!({"displayName": "ci-42"}).to_string().replace('}', &format!(", \"executors\": {nested}}}"));
    fake.respond("GET", "/computer/ci-42/api/json", ResponseTemplate::new(200).set_body_string(body)).await;
    let error = fake.driver().await.withdraw(&withdrawal(false)).await.unwrap_err();
    assert!(matches!(error, TargetError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn nothing_that_holds_the_key_shows_it() {
    let fake = Fake::empty().await;
    let shown = format!("{:?}", fake.settings());
    assert!(!shown.contains(APIKEY) && shown.contains("nodepool"), "{shown}");
}
