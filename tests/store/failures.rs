//! What is known of failures: it comes back as it was written, within its bounds.

use std::time::Duration;

use nodepool::model::{ImageId, NodeId};
use nodepool::store::{FailedTry, Store, Subject};

use crate::at;

fn failed(subject: Subject, seconds: i64) -> FailedTry {
    FailedTry {
        at: at(seconds),
        subject,
        provider: "alpha".to_owned(),
        az: Some("az1".to_owned()),
        image: "ubuntu".to_owned(),
        label: Some("small".to_owned()),
        step: "ssh".to_owned(),
        waited: Duration::from_millis(61_250),
        deadline: Some(Duration::from_secs(60)),
        message: "connect: no answer".to_owned(),
        console: Some("login:".to_owned()),
        output: None,
    }
}

#[tokio::test]
async fn a_failure_is_kept_as_it_was_and_belongs_to_its_node() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let of_node = failed(Subject::Node(NodeId(7)), 10);
    let build =
        FailedTry { label: None, deadline: None, console: None, ..failed(Subject::Image(ImageId(7)), 20) };
    for one in [&of_node, &build] {
        store.add_failure(one).await.unwrap();
    }
    assert_eq!(store.failures_of(Subject::Node(NodeId(7))).await.unwrap(), [of_node]);
    assert_eq!(store.failures_since(at(15)).await.unwrap(), [build]);
    assert_eq!(store.prune(at(15), 100).await.unwrap(), 1);
    assert_eq!(store.failures_since(at(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_the_newest_failures_and_the_end_of_long_texts_are_kept() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let long = format!("begin{}end", "x".repeat(100_000));
    for number in 1..=2003 {
        let console = (number == 2003).then(|| long.clone());
        let one = FailedTry { console, ..failed(Subject::Node(NodeId(number)), 10) };
        store.add_failure(&one).await.unwrap();
    }
    let kept = store.failures_since(at(0)).await.unwrap();
    assert_eq!((kept.len(), kept[0].subject), (2000, Subject::Node(NodeId(4))));
    let console = kept.last().and_then(|last| last.console.clone()).unwrap();
    assert!(console.ends_with("xend") && console.len() <= 4096);
}
