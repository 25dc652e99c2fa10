//! Publishers that are mad cost what they said, and nothing else.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::scene::{DEADLINE, Played, Scene, frame, heard, message};

async fn counted(scene: &Scene, publisher: &Played, outcome: &str, count: u32) {
    let port = publisher.port;
    scene
        .metric(&format!(
            "nodepool_job_events_total{{outcome=\"{outcome}\",source=\"tcp://127.0.0.1:{port}\"}} {count}"
        ))
        .await;
}

#[tokio::test]
async fn a_message_without_sense_costs_that_message() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let mut subscriber = publisher.subscriber().await;
    let good = message("onStarted", "n1", 1);
    for said in ["onStarted {", "onFinalized \u{1}", "onStarted"] {
        subscriber.write_all(&frame(0, said.as_bytes())).await.unwrap();
    }
    for said in
        ["", "onWhatever {}", r#"onStarted {"build":{"node_name":""}}"#, r#"onFinalized {"name":"x"}"#]
    {
        subscriber.write_all(&frame(0, said.as_bytes())).await.unwrap();
    }
    subscriber.write_all(&frame(0, good.as_bytes())).await.unwrap();
    assert_eq!(scene.told(1).await[0].nodename, "n1");
    counted(&scene, &publisher, "unreadable", 3).await;
    counted(&scene, &publisher, "ignored", 4).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_skipped() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let mut subscriber = publisher.subscriber().await;
    subscriber.write_all(&frame(0, &vec![b'x'; 5 * 1024 * 1024])).await.unwrap();
    // Each part fits, and together they do not.
    for _ in 0..3 {
        subscriber.write_all(&frame(1, &vec![b'x'; 512 * 1024])).await.unwrap();
    }
    subscriber.write_all(&frame(0, b"x")).await.unwrap();
    subscriber.write_all(&frame(0, message("onStarted", "n1", 1).as_bytes())).await.unwrap();
    assert_eq!(scene.told(1).await[0].nodename, "n1", "on the same connection");
    counted(&scene, &publisher, "unreadable", 2).await;
}

async fn is_left_and_called_again(publisher: &Played, scene: &Scene, mut subscriber: TcpStream, says: &[u8]) {
    // It may hang up before it has heard everything.
    let _ = subscriber.write_all(says).await;
    let end = tokio::time::timeout(DEADLINE, subscriber.read(&mut [0; 1])).await.expect("it hangs up");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    let mut next = publisher.subscriber().await;
    next.write_all(&frame(0, message("onStarted", "n1", 1).as_bytes())).await.unwrap();
    assert_eq!(scene.told(1).await[0].nodename, "n1");
}

#[tokio::test]
async fn a_length_beyond_all_bounds_ends_the_connection_and_not_the_program() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let subscriber = publisher.subscriber().await;
    let length = (u64::MAX / 2 - 100_000).to_be_bytes();
    is_left_and_called_again(&publisher, &scene, subscriber, &[&[2], &length[..]].concat()).await;
}

#[tokio::test]
async fn a_message_of_endless_parts_ends_the_connection() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let subscriber = publisher.subscriber().await;
    is_left_and_called_again(&publisher, &scene, subscriber, &frame(1, b"").repeat(1000)).await;
}

#[tokio::test]
async fn what_is_no_publisher_is_called_again_later() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    for says in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        // ZMTP 1.0: a message right away.
        b"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        // ZMTP 2.0, and a REP socket.
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x04\x00\x00",
        // ZMTP 2.0, and an identity of 2^63 bytes.
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x01\x02\x80\x00\x00\x00\x00\x00\x00\x00",
        b"",
    ] {
        let mut caller = publisher.caller().await;
        let _ = caller.write_all(says).await;
    }
    let mut subscriber = publisher.subscriber().await;
    subscriber.write_all(&frame(0, message("onStarted", "n1", 1).as_bytes())).await.unwrap();
    assert_eq!(scene.told(1).await[0].nodename, "n1");
}

/// Greets as ZMTP 3.1 does, and gives the connection when the other side has said its part.
async fn greeted_as_3(publisher: &Played, mechanism: &[u8]) -> TcpStream {
    let mut caller = publisher.caller().await;
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    greeting.extend(mechanism);
    greeting.resize(64, 0);
    caller.write_all(&greeting).await.unwrap();
    let theirs: [u8; 64] = heard(&mut caller).await;
    assert_eq!(
        (&theirs[..12], &theirs[12..17]),
        (&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0][..], &b"NULL\0"[..])
    );
    caller
}

#[tokio::test]
async fn a_heartbeat_of_zmtp_3_is_answered() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let mut caller = greeted_as_3(&publisher, b"NULL").await;
    let [flags, length] = heard(&mut caller).await;
    assert_eq!((flags, length), (4, 38));
    assert!(heard::<38>(&mut caller).await.starts_with(b"\x05READY\x0bSocket-Type\0\0\0\x03SUB"));
    caller.write_all(&frame(4, b"\x05READY\x0bSocket-Type\0\0\0\x03PUB")).await.unwrap();
    assert_eq!(heard::<3>(&mut caller).await, [0, 1, 1]);
    caller.write_all(&frame(4, b"\x04PING\0\x0acontext")).await.unwrap();
    assert_eq!(heard::<14>(&mut caller).await, *b"\x04\x0c\x04PONGcontext");
    caller.write_all(&frame(4, b"\x07UNKNOWN")).await.unwrap();
    caller.write_all(&frame(0, message("onStarted", "n1", 1).as_bytes())).await.unwrap();
    assert_eq!(scene.told(1).await[0].nodename, "n1");
}

#[tokio::test]
async fn what_wants_security_or_refuses_is_called_again_later() {
    let publisher = Played::new().await;
    let scene = Scene::new(&[publisher.port]).await;
    let mut caller = publisher.caller().await;
    caller.write_all(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x00CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").await.unwrap();
    caller.write_all(&[0; 32]).await.unwrap();
    let mut refusing = greeted_as_3(&publisher, b"NULL").await;
    refusing.write_all(&frame(4, b"\x05ERROR\x06go off")).await.unwrap();
    let mut pulling = greeted_as_3(&publisher, b"NULL").await;
    pulling.write_all(&frame(4, b"\x05READY\x0bSocket-Type\0\0\0\x04PUSH")).await.unwrap();
    let mut subscriber = publisher.subscriber().await;
    subscriber.write_all(&frame(0, message("onStarted", "n1", 1).as_bytes())).await.unwrap();
    assert_eq!(scene.told(1).await[0].nodename, "n1");
}
