//! What a build prints: shown while it goes on, and afterwards.

use std::time::Duration;

use nodepool::model::{Image, ImageState, ImageStep};
use nodepool::store::NewLine;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::bench::{Bench, ago, note, now};

const CONFIG: &str = "\
script-dir: scripts
labels: [{name: ci, image: jessie, providers: [{name: east}]}]
providers:
  - name: east
    username: robot
    password: open-sesame
    project-name: ci
    auth-url: http://127.0.0.1:9/identity
    max-servers: 5
    images: [{name: jessie, base-image: debian, min-ram: 1, setup: setup.sh, private-key: key}]
targets: [{name: jenkins1}]
";

async fn bench() -> Bench {
    let bench = Bench::configured(CONFIG).await;
    std::fs::create_dir(bench.folder.path().join("scripts")).unwrap();
    bench.script("scripts/setup.sh");
    bench.script("key");
    bench
}

fn lines(texts: &[&str]) -> Vec<NewLine> {
    let line =
        |text: &&str| NewLine { at: now(), step: ImageStep::Setup, missed: 0, text: (*text).to_owned() };
    texts.iter().map(line).collect()
}

/// A run of `image-update --follow`, and the image that its daemon builds.
async fn following(bench: &Bench) -> (Child, Lines<BufReader<ChildStdout>>, Image) {
    let mut child = bench.command(&["image-update", "east", "jessie", "--follow"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = next(&mut out).await;
    assert!(first.ends_with("-------- building (create): an operator asked for it"), "{first}");
    let image = bench.store.images().await.unwrap().pop().unwrap();
    (child, out, image)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap().unwrap().unwrap()
}

async fn ended(child: Child) -> (i32, String) {
    let output =
        tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_build_is_followed_until_it_is_ready() {
    let bench = bench().await;
    let _daemon = bench.daemon().await;
    let (child, mut out, mut image) = following(&bench).await;
    bench
        .store
        .add_build_lines(image.id, &lines(&["Reading package lists...", "é\x1b[2Jdone"]))
        .await
        .unwrap();
    for text in [" setup    Reading package lists...", " setup    é [2Jdone"] {
        let line = next(&mut out).await;
        assert!(line.ends_with(text), "{line}");
        assert_eq!(line.find('Z'), Some("2026-11-27T06:45:10.123".len()), "{line}");
    }
    image.state = ImageState::Ready;
    bench.store.update_image(&image, &note("verified")).await.unwrap();
    assert!(next(&mut out).await.ends_with("-------- after: the test says so"));
    assert!(next(&mut out).await.ends_with(" image 1 (east/jessie) is ready"));
    assert_eq!(ended(child).await, (0, String::new()));
}

#[tokio::test]
async fn a_build_that_fails_says_why_and_where_to_look() {
    let bench = bench().await;
    let _daemon = bench.daemon().await;
    let (child, _out, mut image) = following(&bench).await;
    image.state = ImageState::Delete;
    image.reason = "setup.sh ended with status 7".to_owned();
    bench.store.update_image(&image, &note("failed")).await.unwrap();
    let (status, err) = ended(child).await;
    assert_eq!(status, 1);
    assert!(
        err.starts_with("nodepool: image 1 was not built: setup.sh ended with status 7\n  next: "),
        "{err}"
    );
    assert!(err.contains("`nodepool history --image 1`") && err.contains("`nodepool image-log 1`"), "{err}");
}

#[tokio::test]
async fn nothing_can_be_followed_without_a_daemon() {
    let bench = bench().await;
    let ran = bench.run(&["image-update", "east", "jessie", "--follow"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.err.contains("nodepoold does not run") && ran.err.contains("next: start nodepoold"),
        "{}",
        ran.err
    );
    assert_eq!(bench.store.open_wishes().await.unwrap().len(), 1, "it is written down all the same");
}

#[tokio::test]
async fn the_log_of_a_build_outlives_it_and_says_what_is_missing() {
    let bench = bench().await;
    let image = bench.image("east", "jessie", ImageState::Delete, ago(60)).await;
    let mut some = lines(&["one", "two", "five"]);
    some[2].missed = 2;
    bench.store.add_build_lines(image.id, &some).await.unwrap();
    bench.store.remove_image(&image, &note("gone")).await.unwrap();
    let ran = bench.run(&["image-log", "1"]).await;
    let shown: Vec<&str> =
        ran.out.lines().map(|line| line.split_once("setup    ").map_or(line, |cut| cut.1)).collect();
    assert_eq!(
        shown,
        ["one", "two", "(2 lines are not here: they came faster than they could be kept)", "five"]
    );
    let json = bench.run(&["image-log", "1", "--limit", "1", "-o", "json"]).await.json();
    assert_eq!(
        (&json[0]["number"], &json[0]["line"], json.as_array().unwrap().len()),
        (&5.into(), &"five".into(), 1)
    );
    let ran = bench.run(&["image-log", "2"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
}

#[tokio::test]
async fn of_each_build_the_newest_lines_are_kept() {
    let bench = bench().await;
    let many = |count: usize, text: &str| lines(&vec![text; count]);
    let short = bench.image("east", "jessie", ImageState::Building(ImageStep::Setup), ago(60)).await.id;
    for _ in 0..21 {
        bench.store.add_build_lines(short, &many(1000, "short")).await.unwrap();
    }
    let kept = bench.store.build_lines(short, 0, 50_000).await.unwrap();
    assert_eq!((kept.len(), kept[0].number, kept[19_999].number), (20_000, 1001, 21_000));
    let ran = bench.run(&["image-log", "1"]).await;
    let first = "(1000 lines are not here: of each build the newest 20000 lines or 4 MiB are kept)";
    assert_eq!((ran.status, ran.out.lines().next()), (0, Some(first)));

    let long = bench.image("east", "jessie", ImageState::Building(ImageStep::Setup), ago(60)).await.id;
    for _ in 0..3 {
        bench.store.add_build_lines(long, &many(500, &"x".repeat(5000))).await.unwrap();
    }
    let kept = bench.store.build_lines(long, 0, 50_000).await.unwrap();
    let bytes: usize = kept.iter().map(|line| line.text.len()).sum();
    assert_eq!((bytes, kept.last().unwrap().number), (4 << 20, 1500), "a line is cut at 4096 characters");
    assert_eq!(
        bench.store.build_lines(short, 0, 50_000).await.unwrap().len(),
        20_000,
        "the other keeps its own"
    );
}

#[tokio::test]
async fn logs_of_builds_go_with_their_history_and_when_there_are_too_many() {
    let bench = bench().await;
    let mut ids = Vec::new();
    for _ in 0..52 {
        let id = bench.image("east", "jessie", ImageState::Ready, ago(60)).await.id;
        bench.store.add_build_lines(id, &lines(&["line"])).await.unwrap();
        ids.push(id);
    }
    let mut removed = 0;
    while bench.store.forget_old_build_logs().await.unwrap() > 0 {
        removed += 1;
    }
    assert_eq!(removed, 2, "fifty builds have a log");
    assert!(bench.store.build_lines(ids[1], 0, 10).await.unwrap().is_empty());
    assert_eq!(bench.store.build_lines(ids[2], 0, 10).await.unwrap().len(), 1);
    bench.store.prune(now().plus(Duration::from_secs(1)), 10_000).await.unwrap();
    assert!(bench.store.build_lines(ids[51], 0, 10).await.unwrap().is_empty());
}
