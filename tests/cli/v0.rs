//! The whole command table of nodepool v0, 0.1.1 to 0.3.1: each command line still parses and means the same, or says
//! what is missing.

use nodepool::model::{ImageState, NodeState};

use crate::bench::{Bench, ago};

/// A pool with a node 1 and an image 1, without providers: what asks a cloud has nobody to ask.
async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.node("wmflabs", "ci-jessie", NodeState::Ready, ago(60)).await;
    bench.image("wmflabs", "jessie", ImageState::Ready, ago(60)).await;
    bench
}

#[tokio::test]
async fn each_command_line_of_v0_works() {
    for (arguments, status) in [
        (&["list"][..], 0),
        (&["hold", "1"], 0),
        (&["hold", "--reason", "look at the disk", "1"], 0),
        (&["hold", "1", "--reason", "look at the disk"], 0),
        (&["delete", "1"], 0),
        // Without a daemon nobody deletes it now, so it fails, but it is written down.
        (&["delete", "1", "--now"], 1),
        (&["delete", "--now", "1"], 1),
        (&["alien-list"], 0),
        (&["alien-list", "nowhere"], 1),
        (&["alien-image-list"], 0),
        (&["alien-image-list", "nowhere"], 1),
        (&["image-list"], 0),
        (&["image-update", "nowhere", "jessie"], 1),
        (&["image-update", "all", "jessie"], 1),
        (&["image-delete", "1"], 0),
        (&["image-delete", "1", "--force"], 0),
        (&["image-delete", "--force", "1"], 0),
        (&["config-validate"], 0),
        (&["--debug", "list"], 0),
        (&["list", "--debug"], 0),
        (&["-l", "logging.conf", "list"], 0),
        (&["list", "-l", "logging.conf"], 0),
    ] {
        let bench = bench().await;
        let ran = bench.run(arguments).await;
        assert_eq!(ran.status, status, "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn options_of_every_command_stand_before_or_after_it() {
    let bench = bench().await;
    let secure = bench.folder.path().join("secure.conf");
    std::fs::write(&secure, "[database]\n").unwrap();
    let secure = secure.to_str().unwrap();
    for arguments in [["-s", secure, "list"], ["list", "-s", secure], ["list", "--secure", secure]] {
        let ran = bench.run(&arguments).await;
        assert_eq!((ran.status, ran.rows().len()), (0, 1), "{ran:?}");
    }
    let ran = bench.run(&["--version"]).await;
    assert_eq!((ran.status, ran.out.starts_with("nodepool ")), (0, true), "{ran:?}");
}

#[tokio::test]
async fn commands_that_are_not_there_say_what_is_missing() {
    let bench = bench().await;
    for arguments in [
        &["dib-image-list"][..],
        &["dib-image-delete", "3"],
        &["image-build", "debian"],
        &["image-upload", "all", "debian"],
        &["image-upload", "debian"],
    ] {
        let ran = bench.run(arguments).await;
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{arguments:?}");
        let told =
            format!("nodepool: {} is a command of nodepool v0 that this version does not have", arguments[0]);
        assert!(ran.err.starts_with(&told) && ran.err.contains("\n  next: "), "{ran:?}");
    }
}

#[tokio::test]
async fn a_mistyped_command_or_option_gets_a_suggestion() {
    let bench = bench().await;
    for (arguments, told) in [
        (&["lits"][..], &["list", "The commands are: list, watch, hold, unhold, delete"][..]),
        (&["image-lst"], &["'image-list'"]),
        (&["list", "--lable", "x"], &["'--label'"]),
        (&["list", "--state", "redy"], &["'ready'", "building, test, ready, used, hold, delete"]),
        (&["list", "--sort", "agge"], &["did you mean age?", "columns are: id, provider"]),
        (&["list", "-o", "jsn"], &["'json'", "table, json, yaml, csv"]),
    ] {
        let ran = bench.run(arguments).await;
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{arguments:?}");
        for words in told {
            assert!(ran.err.contains(words), "{words} is not in {}", ran.err);
        }
    }
}

#[tokio::test]
async fn each_command_has_help_and_the_exit_statuses_are_in_it() {
    let bench = bench().await;
    let help = bench.run(&["--help"]).await;
    assert_eq!(help.status, 0);
    for words in ["Exit status:", "  1  refused, not found", "image-log", "info", "completions"] {
        assert!(help.out.contains(words), "{words}: {}", help.out);
    }
    assert!(!help.out.contains("dib-image-list"), "{}", help.out);
    for command in
        ["list", "hold", "unhold", "delete", "image-list", "image-update", "image-log", "image-delete"]
    {
        let ran = bench.run(&[command, "--help"]).await;
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{command}");
    }
    let script = bench.run(&["completions", "bash"]).await;
    assert!(script.status == 0 && script.out.contains("complete -F _nodepool"), "{}", script.err);
}
