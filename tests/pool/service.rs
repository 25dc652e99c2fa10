//! The daemon as a process: pid file, background, signals.

use std::path::PathBuf;

use serde_json::json;

use super::setup::{DEADLINE, Pool, Settings, scripts};

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
    // The call does not come home by itself meanwhile.
    let mut pool = Pool::new(&Settings { api_timeout: 60, ..Settings::default() }, &[]).await;
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

/// What systemd would hear.
struct Listener(tokio::sync::mpsc::UnboundedReceiver<String>);

impl Listener {
    /// Takes what comes all the time: few messages fit into the socket, and who sends waits while it is full.
    fn at(path: &std::path::Path) -> Self {
        let socket = tokio::net::UnixDatagram::bind(path).unwrap();
        let (tell, hear) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer).await {
                if tell.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self(hear)
    }

    /// Waits for a message that says this, and gives what was said until then and with it.
    async fn hears(&mut self, what: &str) -> String {
        let mut heard = String::new();
        let listening = async {
            loop {
                let message = self.0.recv().await.unwrap();
                heard.push_str(&message);
                if message.contains(what) {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(DEADLINE, listening).await;
        assert!(found.is_ok(), "nobody said {what}, but:\n{heard}");
        heard
    }
}

#[tokio::test]
async fn it_tells_systemd_what_it_does_and_usr2_what_it_waits_for() {
    // A setup that takes so long that nobody misses it.
    let ours = include_str!("../../scripts/setup_node.sh");
    let slow = ours.replacen("set -euo pipefail\n", "set -euo pipefail\nsleep 15\n", 1);
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        scripts: Some(scripts(folder.path(), &[("setup_node.sh", &slow)])),
        ready_script: Some("ready.sh"),
        cron: None,
        ..Settings::default()
    };
    let mut pool = Pool::new(&settings, &[]).await;
    let socket = pool.folder.path().join("notify.sock");
    let mut systemd = Listener::at(&socket);
    pool.start_in(&[], &[("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")]);
    let heard = systemd.hears("READY=1").await;
    assert!(!heard.contains("STOPPING"), "{heard}");
    systemd.hears("WATCHDOG=1").await;
    systemd.hears("WATCHDOG=1").await;

    pool.until("the setup script runs", DEADLINE, async |pool| {
        pool.daemon_log().contains("START to run setup_node.sh").then_some(())
    })
    .await;
    let dump = pool
        .until("a dump with the script is in the log", DEADLINE, async |pool| {
            pool.signal("USR2").await;
            let log = pool.daemon_log();
            let (_, dump) = log.rsplit_once("INFO nodepool.stack_dump: what everything waits for\n")?;
            let parts = ["  cron check: ", "    runs for at most "];
            parts.iter().all(|part| dump.contains(part)).then(|| dump.to_owned())
        })
        .await;
    for part in [
        "errands under way: ",
        "image 1: the setup of its builder: since ",
        ", deadline in ",
        "    runs for at most ",
        "lanes: 1\n  sandbox: servers read ",
        "open wishes: 0",
        "refusals of the plan: ",
        "label debian: provider sandbox has no image ci-debian ready",
        "tasks:\n  status page: serves at http://127.0.0.1:",
        "  cron image-update: waits until 20",
        "  cron cleanup: waits until 20",
    ] {
        assert!(dump.contains(part), "{part}\n{dump}");
    }
    systemd.hears("STATUS=2 ready, 0 building, 0 busy, 0 going").await;
    pool.signal("HUP").await;
    systemd.hears("RELOADING=1\nMONOTONIC_USEC=").await;
    systemd.hears("READY=1").await;
    pool.signal("TERM").await;
    systemd.hears("STOPPING=1").await;
    assert!(pool.ended(DEADLINE).await.success(), "{}", pool.log());
    pool.end().await;
}

#[tokio::test]
async fn a_systemd_that_does_not_read_holds_nobody() {
    let mut pool = Pool::new(&Settings { min_ready: 1, ..Settings::default() }, &[]).await;
    let socket = pool.folder.path().join("notify.sock");
    let mute = tokio::net::UnixDatagram::bind(&socket).unwrap();
    // As many signs of life as are never read, long before the pool is full.
    pool.start_in(&[], &[("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "2000")]);
    let node = pool.until_full(1, DEADLINE).await.remove(0);
    pool.rows(&["delete", &super::setup::id(&node)]).await;
    pool.until("the daemon works on", DEADLINE, async |pool| {
        let ready = pool.nodes_in("ready").await;
        ready.first().is_some_and(|other| other["id"] != node["id"]).then_some(())
    })
    .await;
    pool.stop().await;
    drop(mute);
    pool.end().await;
}

#[tokio::test]
async fn a_reload_changes_the_levels_of_the_log_and_says_what_it_cannot_change() {
    let settings = Settings { min_ready: 0, ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    let yaml = pool.folder.path().join("nodepool.yaml");
    let usual = std::fs::read_to_string(&yaml).unwrap();
    let read_again = async |pool: &Pool, logging: &str, words: &str| {
        let before = pool.daemon_log().matches(words).count();
        std::fs::write(&yaml, format!("{usual}logging: {logging}\n")).unwrap();
        pool.signal("HUP").await;
        pool.until(words, DEADLINE, async |pool| {
            (pool.daemon_log().matches(words).count() > before).then_some(())
        })
        .await;
    };
    // The build waits until the levels are in force.
    let busy = json!([{"operation": "server-create", "rate": 1.0,
        "answer": {"status": {"code": 429, "retry-after-seconds": 1}}}]);
    pool.cloud.faults(&json!({ "answers": busy })).await;
    pool.start();
    pool.until("it has started", DEADLINE, async |pool| {
        pool.daemon_log().contains("has started").then_some(())
    })
    .await;
    assert!(!pool.daemon_log().contains("DEBUG"), "{}", pool.daemon_log());

    read_again(&pool, "{level: error, levels: {nodepool.engine: debug}}", "nodepool.engine: sent: ").await;
    let from = pool.daemon_log().len();
    pool.cloud.faults(&json!({ "answers": [] })).await;
    // Neither this reload nor an image that is ready is told.
    pool.until("an image is ready", DEADLINE, async |pool| {
        pool.images().await.iter().any(|image| image["state"] == "ready").then_some(())
    })
    .await;
    let quiet = pool.daemon_log()[from..].to_owned();
    assert!(quiet.contains("nodepool.engine: sent: ") && !quiet.contains(" INFO "), "{quiet}");

    let words = "where the log goes, or its form, was changed: that takes effect with a restart";
    read_again(&pool, "{level: info, directory: logs}", words).await;
    assert!(!pool.folder.path().join("logs").exists(), "that would have been half a change");
    pool.end().await;
}

#[tokio::test]
async fn files_are_written_as_logging_conf_says() {
    let mut pool = Pool::new(&Settings { min_ready: 1, ..Settings::default() }, &[]).await;
    let conf = pool.folder.path().join("logging.conf");
    let logs = pool.folder.path().join("logs");
    let handler = |name: &str, level: &str, when: &str, keep: u32| {
        let file = logs.join(format!("{name}.log"));
        format!(
            "[handler_{name}]\nclass=handlers.TimedRotatingFileHandler\nlevel={level}\n\
             args=('{}', '{when}', 1, {keep})\n",
            file.display()
        )
    };
    let text = format!(
        "[loggers]\nkeys=root,image\n[handlers]\nkeys=debug,nodepool,image,syslog\n[formatters]\nkeys=\n\
         [logger_root]\nlevel=DEBUG\nhandlers=debug,nodepool\n\
         [logger_image]\nlevel=DEBUG\nhandlers=image\nqualname=nodepool.image.build\npropagate=0\n\
         [handler_syslog]\nclass=handlers.SysLogHandler\n{}{}{}",
        handler("debug", "DEBUG", "H", 96),
        handler("nodepool", "INFO", "midnight", 15),
        handler("image", "INFO", "midnight", 15),
    );
    std::fs::write(&conf, text).unwrap();
    pool.start_with(&["-l", conf.to_str().unwrap()]);
    pool.until_full(1, DEADLINE).await;
    pool.stop().await;
    // With what was set aside, should midnight or a full hour have come meanwhile.
    let read = |name: &str| -> String {
        let files = std::fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap());
        let ours = files.filter(|entry| entry.file_name().to_str().unwrap().starts_with(name));
        ours.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect()
    };
    let (debug, normal, image) = (read("debug.log"), read("nodepool.log"), read("image.log"));
    assert!(image.contains("START to run setup_node.sh") && !image.contains("has started"), "{image}");
    assert!(normal.contains("has started") && normal.contains("has stopped"), "{normal}");
    assert!(!normal.contains("DEBUG") && !normal.contains("START to run"), "{normal}");
    assert!(normal.contains("logging.conf:16: handlers.SysLogHandler is not known here"), "{normal}");
    assert!(debug.contains("nodepool.engine: sent: ") && !debug.contains("START to run"));
    assert_eq!(pool.daemon_log(), "", "nothing goes to standard error");
    pool.end().await;
}

#[tokio::test]
async fn signals_that_come_while_it_starts_do_not_end_it() {
    let mut pool = Pool::new(&Settings::default(), &[]).await;
    let pid_file = pool.folder.path().join("nodepool.pid");
    pool.start_in(&["-p", pid_file.to_str().unwrap()], &[]);
    // It writes its number long before it serves.
    pool.until("it writes its number", DEADLINE, async |_| read(&pid_file)).await;
    pool.signal("HUP").await;
    pool.signal("USR2").await;
    pool.until_full(2, DEADLINE).await;
    pool.end().await;
}
