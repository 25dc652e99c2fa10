//! New images, kept images, and setup scripts that fail.

use std::path::Path;

use nodepool::bell;
use nodepool::model::WishKind;

use super::setup::{DEADLINE, Pool, Settings, id, scripts};

const SETUP: &str =
    "#!/bin/bash\nset -eu\n\"${0%/*}/setup_node.sh\" \"$1\"\necho VERSION | tee /etc/ci-version\n";

fn write_setup(folder: &Path, version: &str) -> std::path::PathBuf {
    scripts(folder, &[("setup_ci.sh", &SETUP.replace("VERSION", version))])
}

async fn update_image(pool: &Pool) {
    let wish = WishKind::ImageUpdate { provider: "sandbox".to_owned(), image: "ci-debian".to_owned() };
    pool.store().await.add_wish(&wish, std::time::SystemTime::now().into()).await.unwrap();
    assert!(bell::ring(&bell::beside(&pool.database())), "the daemon listens");
}

/// The numbers of the images that are ready, if nothing else is there.
async fn ready_images(pool: &Pool) -> Option<Vec<i64>> {
    let images = pool.images().await;
    let ready = images.iter().filter(|image| image["state"] == "ready");
    let ready: Vec<i64> = ready.map(|image| image["id"].as_i64().unwrap()).collect();
    (ready.len() == images.len()).then_some(ready)
}

async fn until_ready(pool: &Pool, expected: &[i64]) {
    pool.until(&format!("the images {expected:?} are ready and no other is there"), DEADLINE, async |pool| {
        (ready_images(pool).await? == expected).then_some(())
    })
    .await;
}

/// Deletes the only node and gives what its successor was made of.
async fn version_of_next_node(pool: &Pool) -> (i64, String) {
    let node = pool.until_full(1, DEADLINE).await.remove(0);
    pool.rows(&["delete", &id(&node)]).await;
    let next = pool
        .until("another node is ready", DEADLINE, async |pool| {
            let nodes = pool.nodes_in("ready").await;
            nodes.into_iter().find(|next| next["id"] != node["id"])
        })
        .await;
    (next["image_id"].as_i64().unwrap(), pool.ssh(&next, "cat /etc/ci-version").await.trim().to_owned())
}

#[tokio::test]
async fn new_images_serve_new_nodes_and_a_failed_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = Some(write_setup(folder.path(), "one"));
    let settings = Settings { min_ready: 1, scripts, setup: "setup_ci.sh", ..Settings::default() };
    let pool = Pool::filled(&settings).await;
    let first = pool.nodes().await.remove(0);

    write_setup(folder.path(), "two");
    let followed = pool.nodepool(&["image-update", "sandbox", "ci-debian", "--follow"]).await;
    assert!(followed.success, "{followed:?}\n{}", pool.log());
    for words in ["-------- building (boot): ", " setup    two\n", " image 2 (sandbox/ci-debian) is ready\n"]
    {
        assert!(followed.out.contains(words), "{words}: {}", followed.out);
    }
    until_ready(&pool, &[1, 2]).await;
    assert_eq!(pool.nodes().await[0]["id"], first["id"], "a new image takes no node away");
    assert_eq!(version_of_next_node(&pool).await, (2, "two".to_owned()));

    write_setup(folder.path(), "three");
    update_image(&pool).await;
    until_ready(&pool, &[2, 3]).await;
    pool.until_full(1, DEADLINE).await;

    write_setup(folder.path(), "four; sleep 5; echo the disk is full; exit 3; echo");
    let followed = pool.nodepool(&["image-update", "sandbox", "ci-debian", "--follow"]).await;
    assert!(!followed.success && followed.out.contains(" setup    the disk is full\n"), "{followed:?}");
    assert!(followed.err.contains("was not built: setup: exit status 3"), "{followed:?}");
    pool.until("the failed build is told", DEADLINE, async |pool| {
        pool.daemon_log().contains("setup: exit status 3; it said last:").then_some(())
    })
    .await;
    assert!(pool.daemon_log().contains("the disk is full"), "{}", pool.log());
    until_ready(&pool, &[2, 3]).await;
    assert_eq!(version_of_next_node(&pool).await, (3, "three".to_owned()));
    pool.until_full(1, DEADLINE).await;
    pool.end().await;
}

#[tokio::test]
async fn an_image_that_cannot_be_built_is_tried_again_later_and_later() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = Some(write_setup(folder.path(), "none; exit 9; echo"));
    let settings = Settings { min_ready: 1, scripts, setup: "setup_ci.sh", ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    pool.start();
    let built = pool
        .until("two builds have failed", DEADLINE, async |pool| {
            let log = pool.daemon_log();
            let failed = log.lines().filter(|line| line.contains("doomed: setup: exit status 9")).count();
            (failed >= 2).then(|| log.lines().filter(|line| line.contains("added: no image")).count())
        })
        .await;
    assert_eq!(built, 2, "none is built without a pause:\n{}", pool.log());
    write_setup(folder.path(), "at-last");
    let node = pool.until_full(1, DEADLINE).await.remove(0);
    assert_eq!(node["image_id"], 3, "{}", pool.log());
    assert_eq!(pool.ssh(&node, "cat /etc/ci-version").await, "at-last\n");
    pool.end().await;
}
