//! The daemon as a process: pid file, background, signals.

use std::path::PathBuf;

use serde_json::json;

use super::setup::{DEADLINE, Pool, Settings};

fn read(path: &PathBuf) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Ends a process that is not our child, and waits until it is gone.
async fn end(pool: &Pool, pid: u32) {
    let ended = tokio::process::Command::new("kill").arg(pid.to_string()).status().await.unwrap();
    assert!(ended.success());
    pool.until("the process in the background is gone", DEADLINE, async |_| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn it_goes_into_the_background_and_is_there_once() {
    let pool = Pool::new(&Settings::default(), &[]).await;
    let pid_file = pool.folder.path().join("run/nodepool.pid");
    let arguments = [
        "--webapp",
        "127.0.0.1:0",
        "-p",
        pid_file.to_str().unwrap(),
        "--no-builder",
        "--upload-workers",
        "4",
    ];
    std::fs::create_dir(pid_file.parent().unwrap()).unwrap();
    std::fs::write(&pid_file, "1\n").unwrap();

    let started = pool.nodepoold(&arguments).await;
    let pid = read(&pid_file).expect("it writes its number");
    assert!(started.success && started.out.contains(&format!("as process {pid};")), "{started:?}");
    assert!(pool.nodepool(&["list"]).await.success);

    // It serves when its start returns, and a second one says whom it met.
    let second = pool.nodepoold(&[&arguments[..], &["-d"]].concat()).await;
    assert!(!second.success && second.err.contains(&format!("runs already as process {pid};")), "{second:?}");
    assert_eq!(read(&pid_file), Some(pid), "the file of the first one stays");
    let behind = pool.nodepoold(&arguments).await;
    assert!(!behind.success && behind.err.contains("it ended before it served"), "{behind:?}");

    let log = std::fs::read_to_string(pool.folder.path().join("nodepoold.log")).unwrap();
    for option in ["--no-builder", "--upload-workers"] {
        assert!(log.contains(&format!("{option} has no effect")), "{log}");
    }
    end(&pool, pid).await;
    assert!(!pid_file.exists(), "it takes its file away");
    pool.end().await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut pool = Pool::new(&Settings::default(), &[]).await;
    let late =
        json!([{"operation": "server-list", "answer": {"late": {"milliseconds": 60_000}}, "rate": 1.0}]);
    pool.cloud.faults(&json!({ "answers": late })).await;
    pool.start_with(&["--debug"]);
    pool.until("a call is on its way", DEADLINE, async |pool| {
        let log = pool.daemon_log();
        log.lines().any(|line| line.contains("sent: ") && line.contains("ListServers")).then_some(())
    })
    .await;
    pool.signal("TERM").await;
    pool.until("it was asked to stop", DEADLINE, async |pool| {
        pool.daemon_log().contains("asked to stop").then_some(())
    })
    .await;
    pool.signal("INT").await;
    assert_eq!(pool.ended(DEADLINE).await.code(), Some(1), "{}", pool.log());
    assert!(pool.daemon_log().contains("ended at once, by a second signal"), "{}", pool.log());
    assert!(!pool.folder.path().join("nodepool.db.bell").exists(), "it takes its socket away all the same");
    pool.end().await;
}
