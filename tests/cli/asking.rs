//! `nodepool plan` and `nodepool why` where nobody answers: what is told, and what to do.

use std::time::Duration;

use nodepool::bell;
use nodepool::store::ENGINE_LEASE;

use crate::bench::{Bench, now};

#[tokio::test]
async fn without_a_daemon_nobody_knows_the_plan() {
    let bench = Bench::new().await;
    for command in [&["plan"][..], &["why", "x"]] {
        let ran = bench.run(command).await;
        assert_eq!((ran.status, ran.out.as_str()), (3, ""), "{ran:?}");
        assert!(ran.err.contains("nodepoold does not run on this store"), "{ran:?}");
    }
    bench.store.take_lease(ENGINE_LEASE, "somebody", now(), Duration::from_secs(600)).await.unwrap();
    let ran = bench.run(&["plan"]).await;
    assert!(ran.status == 3 && ran.err.contains("start it without --no-webapp"), "{ran:?}");

    // A port at which nobody listens any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    bell::announce_page(&bench.folder.path().join("nodepool.db"), Some(address)).unwrap();
    let ran = bench.run(&["plan"]).await;
    assert!(ran.status == 3 && ran.err.contains(&format!("does not answer at http://{address}/")), "{ran:?}");
}
