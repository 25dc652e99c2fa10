//! Other labels and another description, by way of the agent's config.xml.

use nodepool::target::{Target as _, TargetError, describe};
use wiremock::ResponseTemplate;

use crate::fake::{Fake, description, header, page, tag};

const CONFIG: &str = "/computer/ci-42/config.xml";

fn config(description: &str) -> String {
    format!(
        "<?xml version=\"1.1\" encoding=\"UTF-8\"?>\n<slave>\n  <name>ci-42</name>\n  \
         <description>{description}</description>\n  <launcher class=\"a.B\">\n    <label>inner</label>\n  \
         </launcher>\n  <label></label>\n  <nodeProperties/>\n</slave>"
    )
}

async fn with_config(text: &str) -> Fake {
    let fake = Fake::empty().await;
    let response = ResponseTemplate::new(200).set_body_raw(text, "application/xml;charset=utf-8");
    fake.respond("GET", CONFIG, response).await;
    fake.respond("POST", CONFIG, ResponseTemplate::new(200)).await;
    fake
}

#[tokio::test]
async fn labels_are_replaced_and_nothing_else_changes() {
    let before = config(&description());
    let fake = with_config(&before).await;
    let labels = ["ci-jessie".to_owned(), "a&b".to_owned()];
    fake.driver().await.relabel("ci-42", &tag(), &labels).await.unwrap();
    let request = fake.request("POST", CONFIG).await;
    assert!(header(&request, "content-type").unwrap().starts_with("application/xml"));
    let expected = before.replace("<label></label>", "<label>ci-jessie a&amp;b</label>");
    assert_eq!(String::from_utf8(request.body).unwrap(), expected);
}

#[tokio::test]
async fn a_description_is_replaced_and_keeps_its_mark() {
    let before = config(&description());
    let fake = with_config(&before).await;
    let driver = fake.driver().await;
    let told = describe("ci-jessie", &tag(), Some("held by <jo> until noon"));
    driver.describe("ci-42", &tag(), &told).await.unwrap();
    let body = String::from_utf8(fake.request("POST", CONFIG).await.body).unwrap();
    assert!(body.contains("[nodepool inst-1/42] held by &lt;jo&gt; until noon</description>"), "{body}");
    let error = driver.describe("ci-42", &tag(), "held").await.unwrap_err();
    assert!(matches!(error, TargetError::Rejected(_)), "{error:?}");
    assert_eq!(fake.requests("POST", CONFIG).await.len(), 1);
}

#[tokio::test]
async fn an_agent_without_our_mark_is_not_changed() {
    for text in ["", "by hand", "[nodepool inst-1/43]", "[nodepool inst-2/42]"] {
        let fake = with_config(&config(text)).await;
        let error = fake.driver().await.relabel("ci-42", &tag(), &[]).await.unwrap_err();
        assert!(matches!(error, TargetError::Rejected(_)), "{text}: {error:?}");
        assert!(fake.requests("POST", CONFIG).await.is_empty());
    }
}

#[tokio::test]
async fn what_is_no_configuration_is_not_sent_back() {
    for text in ["", "<slave>", "{\"a\": 1}", "<slave><description>x"] {
        let fake = with_config(text).await;
        let error = fake.driver().await.relabel("ci-42", &tag(), &[]).await.unwrap_err();
        assert!(!matches!(error, TargetError::NotFound(_)), "{text}: {error:?}");
        assert!(fake.requests("POST", CONFIG).await.is_empty());
    }
    let fake = Fake::empty().await;
    fake.respond("GET", CONFIG, page(404)).await;
    let error = fake.driver().await.relabel("ci-42", &tag(), &[]).await.unwrap_err();
    assert!(matches!(error, TargetError::NotFound(_)), "{error:?}");
}
