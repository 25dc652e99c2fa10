//! What is wrong with a server is counted, by server and by what is wrong.

use std::time::Duration;

use nodepool::target::gearman::Limits;
use tokio::io::AsyncWriteExt as _;

use super::held_port::HeldPort;
use super::impostor::{Impostor, asked};
use super::server::{Kind, Outcomes, Server, ask, ask_until, limits, metered, plainly};

#[tokio::test]
async fn each_answer_and_each_failure_is_counted() {
    let server = Server::started(Kind::Geard).await;
    let mad = Impostor::new(|mut line| async move {
        while asked(&mut line).await {
            line.write_all(b"what?\n.\n").await.unwrap();
        }
    })
    .await;
    let hasty = Impostor::new(|mut line| async move {
        asked(&mut line).await;
    })
    .await;
    let held = HeldPort::new();
    let nobody = plainly(held.port);
    let outcomes = Outcomes::default();
    let servers = [server.address(), plainly(mad.port), plainly(hasty.port), nobody.clone()];
    let source = metered(servers, limits(), &outcomes);
    for _ in 0..3 {
        ask(&source).await.unwrap();
    }
    assert_eq!(outcomes.of(&server.address(), "ok"), 3);
    assert_eq!(outcomes.of(&plainly(mad.port), "nonsense"), 3);
    assert_eq!(outcomes.of(&plainly(hasty.port), "broken"), 3);
    assert_eq!(outcomes.of(&nobody, "no_connection"), 3);
}

#[tokio::test]
async fn who_is_late_is_counted_once_a_question_and_again_when_it_is_over() {
    let mute = Impostor::new(|mut line| async move { while asked(&mut line).await {} }).await;
    let outcomes = Outcomes::default();
    let limits =
        Limits { patience: Duration::from_millis(20), deadline: Duration::from_millis(400), ..limits() };
    let source = metered([plainly(mute.port)], limits, &outcomes);
    ask_until(&source, |_| outcomes.of(&plainly(mute.port), "silent") >= 2).await;
    let (late, silent) =
        (outcomes.of(&plainly(mute.port), "late"), outcomes.of(&plainly(mute.port), "silent"));
    assert!((silent..=silent + 1).contains(&late), "{late} late, {silent} silent");
}
