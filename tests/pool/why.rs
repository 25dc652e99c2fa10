//! `nodepool why` in the whole program: several labels lack nodes in one pool, each for a reason of its own.

use std::fmt::Write as _;

use super::cloud::text;
use super::setup::{DEADLINE, Pool, Settings, id};

/// Each label, and what the answer has to name. The watermark of the first one is that of a window that never ends.
const CAUSES: [(&str, &[&str]); 4] = [
    (
        "full",
        &[
            "spare nodes wanted 3 (schedule daily 00:00-24:00 UTC)",
            "small is full: 2 of 2 servers (max-servers) are taken: 2 ready",
        ],
    ),
    ("idle", &["it is switched off in the configuration (min-ready: -1)"]),
    ("kept", &["holds is full: 2 of 2 servers", "is held by jane until somebody ends it: look at the disk"]),
    ("imageless", &["bare has no image broken that nodes could boot from"]),
];

fn configuration(pool: &Pool) -> String {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
    let (database, key) = (pool.database(), pool.folder.path().join("key"));
    let mut yaml = format!(
        "script-dir: {scripts}\ndburi: sqlite:///{}\nlabels:\n\
         \x20 - name: full\n    image: good\n    min-ready: 1\n    providers: [{{name: small}}]\n\
         \x20   schedule: {{'daily 00:00-24:00 UTC': 3}}\n\
         \x20 - {{name: idle, image: good, min-ready: -1, providers: [{{name: small}}]}}\n\
         \x20 - {{name: kept, image: good, min-ready: 1, providers: [{{name: holds}}]}}\n\
         \x20 - {{name: imageless, image: broken, min-ready: 1, providers: [{{name: bare}}]}}\n\
         targets: [{{name: local}}]\nproviders:\n",
        database.display()
    );
    for (name, image, base) in
        [("small", "good", "debian-12"), ("holds", "good", "debian-12"), ("bare", "broken", "no-such-image")]
    {
        write!(
            yaml,
            "  - name: {name}\n    cloud: sandbox\n    max-servers: 2\n    rate: 0.01\n    api-timeout: 10\n\
             \x20   boot-timeout: 30\n    images:\n\
             \x20     - {{name: {image}, base-image: {base}, setup: setup_node.sh, min-ram: 512, username: jenkins,\n\
             \x20        private-key: {}, ssh-port: {}}}\n",
            key.display(),
            pool.cloud.ssh_port
        )
        .unwrap();
    }
    yaml
}

#[tokio::test]
async fn each_label_is_told_its_own_cause() {
    let mut pool = Pool::new(&Settings::default(), &[]).await;
    std::fs::write(pool.folder.path().join("nodepool.yaml"), configuration(&pool)).unwrap();
    pool.start();
    // Jane holds each node of a label as it comes, until there is room for no other one.
    let mut held = 0;
    while held < 2 {
        let node = pool
            .until("a node is ready to be held", DEADLINE, async |pool| {
                let ready = pool.nodes_in("ready").await;
                ready.into_iter().find(|node| text(node, "label") == "kept")
            })
            .await;
        let ran =
            pool.nodepool(&["hold", &id(&node), "--owner", "jane", "--reason", "look at the disk"]).await;
        assert!(ran.success, "{ran:?}");
        held += 1;
    }
    for (label, causes) in CAUSES {
        pool.until(&format!("{label} is told its cause"), DEADLINE, async |pool| {
            let why = pool.nodepool(&["why", label]).await;
            causes.iter().all(|cause| why.out.contains(cause)).then_some(())
        })
        .await;
    }
    let plan = pool.nodepool(&["plan"]).await;
    assert!(plan.success && plan.out.contains("| schedule daily 00:00-24:00 UTC |"), "{plan:?}");

    let other = pool.folder.path().join("other.yaml");
    let text = configuration(&pool)
        .replace("min-ready: -1", "min-ready: 2")
        .replace("name: kept", "name: held")
        .replacen("max-servers: 2", "max-servers: 5", 1);
    std::fs::write(&other, &text).unwrap();
    let other = other.to_str().unwrap();
    let asked = pool.nodepool(&["plan", "-c", other]).await;
    assert!(asked.success, "{asked:?}");
    for part in [
        "label idle: min-ready -1 -> 2",
        "label held added",
        "label kept removed",
        "| idle ",
        "off -> 2",
        "unknown -> 1",
        "| 1     | add a node of full at small |",
        "| 2     | add a node of idle at small |",
    ] {
        assert!(asked.out.contains(part), "{part} is not in\n{}", asked.out);
    }
    let before = pool.rows(&["list"]).await;
    std::fs::write(other, text.replace("max-servers: 2", "max-servers: two")).unwrap();
    let wrong = pool.nodepool(&["plan", "-c", other]).await;
    assert!(!wrong.success && wrong.err.contains("`max-servers` must be an integer"), "{wrong:?}");
    assert_eq!(pool.rows(&["list"]).await.len(), before.len(), "it changes nothing");
    pool.end().await;
}
