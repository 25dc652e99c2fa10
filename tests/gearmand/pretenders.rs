//! Servers that are silent, slow or mad: each costs its own jobs at most, and nobody else anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nodepool::target::gearman::Limits;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use super::impostor::{Impostor, asked};
use super::server::{Kind, Server, ask, ask_until, jobs, limits, source};

#[tokio::test]
async fn a_server_that_says_nothing_delays_the_others_once_and_never_again() {
    let mute = Impostor::new(|mut line| async move { while asked(&mut line).await {} }).await;
    let server = Server::started(Kind::Gearmand).await;
    let patience = Duration::from_secs(5);
    let source = source(&[mute.port, server.port], Limits { patience, ..limits() });
    server.queue("build:unit:debian", "one").await;
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 1)]));

    let began = Instant::now();
    for count in 2..=50 {
        server.queue("build:unit:debian", &count.to_string()).await;
        assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", count)]));
    }
    // Were each ask to wait for the mute one, this would take 49 times our patience.
    assert!(began.elapsed() < 20 * patience, "took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_asked_anew() {
    let mute = Impostor::new(|mut line| async move { while asked(&mut line).await {} }).await;
    let limits =
        Limits { patience: Duration::from_millis(50), deadline: Duration::from_millis(200), ..limits() };
    let source = source(&[mute.port], limits);
    ask_until(&source, |answer| {
        let text = answer.as_ref().unwrap_err().to_string();
        text.contains("no complete answer within 0.2 s") && mute.connections() >= 2
    })
    .await;
}

#[tokio::test]
async fn a_slow_server_is_late_and_not_unheard() {
    let ready = Arc::new(Semaphore::new(0));
    let answers = Arc::clone(&ready);
    let slow = Impostor::new(move |mut line| {
        let ready = Arc::clone(&answers);
        async move {
            while asked(&mut line).await {
                ready.acquire().await.unwrap().forget();
                line.write_all(b"build:unit:debian\t2\t0\t0\n.\n").await.unwrap();
            }
        }
    })
    .await;
    let source = source(&[slow.port], Limits { patience: Duration::from_millis(50), ..limits() });
    assert!(ask(&source).await.is_err(), "it cannot have answered yet");
    ready.add_permits(1);
    ask_until(&source, |answer| answer.as_ref().is_ok_and(|demand| *demand == jobs(&[("debian", 2)]))).await;
    assert_eq!(slow.connections(), 1);
}

/// What such a server says leaves what it told before in force, and is what the error tells when there is nothing.
async fn is_refused(answer: &'static [u8], then_closes: bool, complaint: &str) {
    let impostor = Impostor::new(move |mut line| async move {
        while asked(&mut line).await {
            if line.write_all(answer).await.is_err() || then_closes {
                return;
            }
        }
    })
    .await;
    let limits = Limits { deadline: Duration::from_millis(500), answer_bytes: 64 * 1024, ..limits() };
    let alone = source(&[impostor.port], limits);
    ask_until(&alone, |answer| {
        answer.as_ref().expect_err("this is no answer").to_string().contains(complaint)
    })
    .await;

    let server = Server::started(Kind::Gearmand).await;
    server.queue("build:unit:debian", "one").await;
    let beside = source(&[impostor.port, server.port], limits);
    let real = jobs(&[("debian", 1)]);
    ask_until(&beside, |answer| answer.as_ref().is_ok_and(|demand| *demand == real)).await;
}

#[tokio::test]
async fn a_web_server_is_no_gearman_server() {
    is_refused(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", true, "closed").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    is_refused(b"build:unit:debian\t5\t0\t0\nbuild:lint:fed", true, "closed").await;
}

#[tokio::test]
async fn an_answer_without_an_end_is_no_answer() {
    is_refused(b"build:unit:debian\t5\t0\t0\n", false, "no complete answer").await;
}

#[tokio::test]
async fn lines_that_make_no_sense_are_no_answer() {
    is_refused(b"\x00\xff\xfe garbage\nmore of it\n.\n", false, "does not speak").await;
}

async fn endless(piece: &'static [u8]) {
    let impostor = Impostor::new(move |mut line| async move {
        if asked(&mut line).await {
            while line.write_all(piece).await.is_ok() {}
        }
    })
    .await;
    let source = source(&[impostor.port], Limits { answer_bytes: 64 * 1024, ..limits() });
    ask_until(&source, |answer| {
        answer
            .as_ref()
            .expect_err("an endless answer is none")
            .to_string()
            .contains("longer than 65536 bytes")
    })
    .await;
}

#[tokio::test]
async fn endless_lines_are_cut_off() {
    endless(b"build:unit:debian\t5\t0\t0\n").await;
}

#[tokio::test]
async fn an_endless_line_is_cut_off() {
    endless(b"build:unit:debian").await;
}

#[tokio::test]
async fn one_connection_serves_all_questions() {
    let impostor = Impostor::new(|mut line| async move {
        while asked(&mut line).await {
            line.write_all(b"build:unit:debian\t1\t0\t0\n.\n").await.unwrap();
        }
    })
    .await;
    let source = source(&[impostor.port], limits());
    for _ in 0..20 {
        assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 1)]));
    }
    assert_eq!(impostor.connections(), 1);
}

#[tokio::test]
async fn what_was_said_unasked_is_not_taken_for_the_next_answer() {
    let impostor = Impostor::new(|mut line| async move {
        let mut said: &[u8] = b"build:unit:debian\t1\t0\t0\n.\nbuild:unit:debian\t9\t0\t0\n.\n";
        while asked(&mut line).await {
            line.write_all(said).await.unwrap();
            said = b"build:unit:debian\t1\t0\t0\n.\n";
        }
    })
    .await;
    let source = source(&[impostor.port], limits());
    for _ in 0..5 {
        assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 1)]));
    }
    assert_eq!(impostor.connections(), 5, "a connection that is out of step is not used again");
}

#[tokio::test]
async fn a_server_that_goes_mad_keeps_what_it_told_before() {
    let impostor = Impostor::new(|mut line| async move {
        if asked(&mut line).await {
            line.write_all(b"build:unit:debian\t3\t0\t0\n.\n").await.unwrap();
        }
        if asked(&mut line).await {
            line.write_all(b"panic\n.\n").await.unwrap();
        }
    })
    .await;
    let source = source(&[impostor.port], limits());
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 3)]));
    assert_eq!(ask(&source).await.unwrap(), jobs(&[("debian", 3)]));
    assert_eq!(impostor.connections(), 1, "it said that on the same connection");
}
