//! What is published becomes rows, in its order, whatever happens to publishers, configuration and store.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nodepool::model::{JobEventKind, JobResult};
use sqlx::Connection as _;
use tokio::io::AsyncWriteExt as _;

use super::held_port::HeldPort;
use super::scene::{Played, Scene, Zeromq, frame, message};

#[tokio::test]
async fn what_speaks_zmtp_3_is_heard() {
    let mut publisher = Zeromq::new(0).await;
    let scene = Scene::new(&[publisher.port]).await;
    scene.connected(publisher.port).await;
    // The subscription may come a moment later than the greeting, and who is not subscribed misses what is said.
    while scene.store.open_events().await.unwrap().is_empty() {
        publisher.publish(&message("onStarted", "first", 0)).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let firsts = scene.told(1).await.len();
    publisher.publish(&message("onFinalized", "n1", 7)).await;
    let (topic, json) =
        message("onStarted", "n2", 8).split_once(' ').map(|(t, j)| (t.to_owned(), j.to_owned())).unwrap();
    publisher.publish_in_parts(&[&topic, &json]).await;
    let told = loop {
        let told: Vec<_> =
            scene.told(firsts).await.into_iter().filter(|event| event.nodename != "first").collect();
        if told.len() == 2 {
            break told;
        }
    };
    assert_eq!((told[0].nodename.as_str(), told[0].kind), ("n1", JobEventKind::Finished));
    assert_eq!((told[0].number, told[0].result), (Some(7), Some(JobResult::Success)));
    assert_eq!(told[1].nodename, "n2", "the parts of a message are one message");
    assert!(scene.rings.load(Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn what_speaks_zmtp_2_is_heard_as_jenkins_plugin_does() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let mut subscriber = publisher.subscriber().await;
    let mut said = Vec::new();
    for number in 0..200 {
        said.extend(frame(0, message("onStarted", "n1", number).as_bytes()));
    }
    // One that is longer than 255 bytes, as the real ones are.
    let padded = message("onFinalized", "n1", 200)
        .replace("\"number\"", &format!("\"url\":\"{}\",\"number\"", "u".repeat(900)));
    said.extend(frame(0, padded.as_bytes()));
    subscriber.write_all(&said).await.unwrap();
    let told = scene.told(201).await;
    assert!(
        told.iter().map(|event| event.number).eq((0..=200).map(Some)),
        "in the order in which they were told"
    );
    assert!(scene.rings.load(Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn a_publisher_that_comes_late_or_comes_back_is_heard() {
    let held = HeldPort::new();
    let port = held.port;
    let scene = Scene::new(&[port]).await;
    scene
        .metric(&format!("nodepool_zmq_publisher_connected{{publisher=\"tcp://127.0.0.1:{port}\"}} 0"))
        .await;
    for round in 0..3 {
        let mut publisher = Zeromq::new(port).await;
        scene.connected(port).await;
        let name = format!("n{round}");
        while scene.told(0).await.iter().all(|event| event.nodename != name) {
            publisher.publish(&message("onStarted", &name, round)).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(publisher);
        scene
            .metric(&format!("nodepool_zmq_publisher_connected{{publisher=\"tcp://127.0.0.1:{port}\"}} 0"))
            .await;
    }
}

#[tokio::test]
async fn publishers_come_and_go_with_the_configuration() {
    let (first, second) = (Played::new().await, Played::new().await);
    let scene = Scene::new(&[first.port]).await;
    let mut of_first = first.subscriber().await;
    scene.publishers(&[first.port, second.port]);
    let mut of_second = second.subscriber().await;
    of_first.write_all(&frame(0, message("onStarted", "n1", 1).as_bytes())).await.unwrap();
    assert_eq!(scene.told(1).await[0].nodename, "n1", "who stays keeps its connection");
    scene.publishers(&[second.port]);
    let mut nothing = [0; 1];
    let ended = tokio::io::AsyncReadExt::read(&mut of_first, &mut nothing);
    assert_eq!(
        tokio::time::timeout(super::scene::DEADLINE, ended).await.unwrap().unwrap(),
        0,
        "who left is left"
    );
    of_second.write_all(&frame(0, message("onStarted", "n2", 2).as_bytes())).await.unwrap();
    assert_eq!(scene.told(2).await[1].nodename, "n2");
}

#[tokio::test]
async fn events_wait_for_a_store_that_is_busy() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let mut subscriber = publisher.subscriber().await;
    let mut other = sqlx::SqliteConnection::connect(&scene.database()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    for number in 0..10 {
        subscriber.write_all(&frame(0, message("onStarted", "n1", number).as_bytes())).await.unwrap();
    }
    // The metrics count what was written: nothing yet, though all of it was said.
    subscriber.write_all(&frame(0, b"onDeleted {}")).await.unwrap();
    let source = format!("source=\"tcp://127.0.0.1:{}\"", publisher.port);
    scene.metric(&format!("nodepool_job_events_total{{outcome=\"ignored\",{source}}} 1")).await;
    assert!(scene.store.open_events().await.unwrap().is_empty());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let told = scene.told(10).await;
    assert!(told.iter().map(|event| event.number).eq((0..10).map(Some)));
}

#[tokio::test]
async fn what_was_heard_before_the_end_is_written() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let mut subscriber = publisher.subscriber().await;
    let mut said = Vec::new();
    (0..100).for_each(|number| said.extend(frame(0, message("onStarted", "n1", number).as_bytes())));
    said.extend(frame(0, b"onDeleted {}"));
    subscriber.write_all(&said).await.unwrap();
    let source = format!("source=\"tcp://127.0.0.1:{}\"", publisher.port);
    scene.metric(&format!("nodepool_job_events_total{{outcome=\"ignored\",{source}}} 1")).await;
    assert_eq!(scene.stopped().await, 100);
}
