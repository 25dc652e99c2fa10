//! What is known of failures stays within its bounds.

use nodepool::model::NodeId;
use nodepool::store::{FailedTry, Store, Subject};

use crate::behaviours::{at, failed};

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
