//! Other labels and another description, by way of the agent's config.xml.

use nodepool::target::{Target as _, TargetError, describe};
use wiremock::ResponseTemplate;

use crate::fake::{Fake, description, header, page, tag};

const CONFIG: &str = "/computer/ci-42/config.xml";
const OFFLINE: &str = "/computer/ci-42/changeOfflineCause";

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
    let why = "held by <jo> until noon";
    let told = describe("ci-jessie", &tag(), Some(why));
    fake.respond("POST", OFFLINE, ResponseTemplate::new(302)).await;
    driver.hold("ci-42", &tag(), &told, why).await.unwrap();
    let body = String::from_utf8(fake.request("POST", CONFIG).await.body).unwrap();
    assert!(body.contains("[nodepool inst-1/42] held by &lt;jo&gt; until noon</description>"), "{body}");
    let form = String::from_utf8(fake.request("POST", OFFLINE).await.body).unwrap();
    assert_eq!(form, "offlineMessage=held+by+%3Cjo%3E+until+noon", "no further job starts there");
    let error = driver.hold("ci-42", &tag(), "held", why).await.unwrap_err();
    assert!(matches!(error, TargetError::Rejected(_)), "{error:?}");
    assert_eq!(fake.requests("POST", CONFIG).await.len(), 1);
    assert_eq!(fake.requests("POST", OFFLINE).await.len(), 1);
}

#[tokio::test]
async fn an_agent_that_may_not_be_described_is_set_offline_all_the_same() {
    let fake = Fake::empty().await;
    fake.respond("GET", CONFIG, page(403)).await;
    fake.respond("POST", OFFLINE, ResponseTemplate::new(302)).await;
    let told = describe("ci-jessie", &tag(), Some("held"));
    let error = fake.driver().await.hold("ci-42", &tag(), &told, "held").await.unwrap_err();
    assert!(matches!(error, TargetError::AuthFailed(_)), "{error:?}");
    fake.request("POST", OFFLINE).await;
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
