//! Real servers: what they are asked for, what they survive.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nodepool::target::gearman::Limits;

use super::server::{Kind, Server, ask, ask_until, jobs, limits, source};

async fn counts_what_waits_and_what_runs(kind: Kind) {
    let server = Server::started(kind).await;
    let source = source(&[server.port], limits());
    assert_eq!(ask(&source).await.unwrap(), jobs(&[]));
    for unique in ["one", "two", "three"] {
        server.queue("build:unit tests:debian", unique).await;
    }
    server.queue("build:lint:fedora", "four").await;
    server.queue("stop:jenkins", "five").await;
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 3), ("fedora", 1)]));

    let mut worker = server.peer().await;
    worker.can_do("build:unit tests:debian").await;
    let running = worker.grab().await;
    assert_eq!(
        ask(&source).await.unwrap(),
        jobs(&[("debian", 3), ("fedora", 1)]),
        "it runs and still counts"
    );
    worker.complete(&running).await;
    let left = jobs(&[("debian", 2), ("fedora", 1)]);
    ask_until(&source, |answer| answer.as_ref().is_ok_and(|demand| *demand == left)).await;

    server.queue("build:unit tests", "six").await;
    assert_eq!(
        ask(&source).await.unwrap(),
        jobs(&[("debian", 3), ("fedora", 1)]),
        "it runs on the label that its job is known for"
    );
}

#[tokio::test]
async fn gearmand_is_asked_for_what_waits_and_what_runs() {
    counts_what_waits_and_what_runs(Kind::Gearmand).await;
}

#[tokio::test]
async fn geard_is_asked_for_what_waits_and_what_runs() {
    counts_what_waits_and_what_runs(Kind::Geard).await;
}

async fn survives_a_restart(kind: Kind) {
    let mut server = Server::started(kind).await;
    let source = source(&[server.port], limits());
    server.queue("build:unit:debian", "one").await;
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 1)]));

    server.kill();
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 1)]), "what it told last counts for a while");
    server.start().await;
    ask_until(&source, |answer| answer.as_ref().is_ok_and(BTreeMap::is_empty)).await;
    server.queue("build:unit:debian", "two").await;
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 1)]));

    server.kill();
    server.start().await;
    let answer = ask(&source).await.unwrap();
    assert_eq!(answer, jobs(&[]), "a restart between two asks is not noticed at all");
}

#[tokio::test]
async fn a_restart_of_gearmand_is_survived() {
    survives_a_restart(Kind::Gearmand).await;
}

#[tokio::test]
async fn a_restart_of_geard_is_survived() {
    survives_a_restart(Kind::Geard).await;
}

#[tokio::test]
async fn two_servers_add_up() {
    let (first, second) = (Server::started(Kind::Gearmand).await, Server::started(Kind::Geard).await);
    let source = source(&[first.port, second.port], limits());
    first.queue("build:unit:debian", "one").await;
    second.queue("build:unit:debian", "two").await;
    second.queue("build:lint", "three").await;
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 2)]));
    first.queue("build:lint:fedora", "four").await;
    assert_eq!(
        ask(&source).await.unwrap(),
        jobs(&[("debian", 2), ("fedora", 2)]),
        "what one server knows of a job's label holds for the other one's jobs"
    );
}

#[tokio::test]
async fn what_was_told_is_kept_for_its_time_and_then_dropped() {
    let kept = Duration::from_millis(1_500);
    let mut server = Server::started(Kind::Gearmand).await;
    let source = source(&[server.port], Limits { kept, ..limits() });
    server.queue("build:unit:debian", "one").await;
    let before = Instant::now();
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 1)]));
    server.kill();
    loop {
        let asked = Instant::now();
        match ask(&source).await {
            Ok(demand) => {
                assert_eq!(demand, jobs(&[("debian", 1)]), "kept whole or not at all");
                assert!(asked.duration_since(before) < kept + Duration::from_secs(5), "kept too long");
            }
            Err(error) => {
                assert!(before.elapsed() > kept, "dropped too soon");
                assert!(error.to_string().contains("no connection"), "{error}");
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.start().await;
    ask_until(&source, |answer| answer.as_ref().is_ok_and(BTreeMap::is_empty)).await;
}

#[tokio::test]
async fn a_server_that_was_never_there_leaves_the_demand_unknown() {
    let nobody = super::held_port::HeldPort::new();
    let error = ask(&source(&[nobody.port], limits())).await.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{}", nobody.port)), "{error}");
}
