//! What operators of nodepool v0 built on its output, run as they ran it.

use std::process::Stdio;
use std::time::Duration;

use nodepool::model::{NodeState, NodeStep};
use tokio::process::Command;

use crate::bench::{Bench, ago};

async fn bench() -> Bench {
    let bench = Bench::new().await;
    for (state, age) in [
        (NodeState::Ready, 60),
        (NodeState::Ready, 50_000),
        (NodeState::Used, 6000),
        (NodeState::Building(NodeStep::Boot), 30),
        (NodeState::Building(NodeStep::Create), 400),
        (NodeState::Hold, 90_000),
        (NodeState::Delete, 10),
    ] {
        bench.node("wmflabs-eqiad", "ci-jessie-wikimedia", state, ago(age)).await;
    }
    bench
}

/// Runs a line of shell in which `nodepool` is ours.
async fn shell(bench: &Bench, line: &str) -> (i32, String, String) {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_nodepool"));
    let config = bench.folder.path().join("nodepool.yaml");
    let line = format!("nodepool() {{ {} -c {} \"$@\"; }}\n{line}", binary.display(), config.display());
    let running = Command::new("sh")
        .args(["-c", &line])
        .env("HOME", bench.folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), running).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_one_liner_of_the_operators_page_counts_states() {
    let line = r"nodepool list | grep -e ^\| | grep -v State | cut -d\| -f 11 | sort | uniq -c";
    let (status, out, err) = shell(&bench().await, line).await;
    assert_eq!((status, err.as_str()), (0, ""));
    let counted: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        counted,
        [
            vec!["2", "building"],
            vec!["1", "delete"],
            vec!["1", "hold"],
            vec!["2", "ready"],
            vec!["1", "used"]
        ]
    );
}

/// What Wikimedia's check_nodepool_states did: split each line at the bars, drop what is empty, read the eleventh cell
/// as a number of hours, and compare it with the limit of the state in the tenth.
fn check_nodepool_states(list: &str) -> Vec<(String, String)> {
    const LIMITS: [(&str, f64); 4] = [("building", 0.10), ("delete", 0.10), ("used", 1.5), ("hold", 24.0)];
    let mut late = Vec::new();
    for line in list.lines().filter(|line| line.starts_with('|')) {
        let props: Vec<&str> = line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        if props[0] == "ID" {
            continue;
        }
        let hours: f64 = props[10].parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        if LIMITS.iter().any(|(state, limit)| *state == props[9] && hours > *limit) {
            late.push((props[0].to_owned(), props[9].to_owned()));
        }
    }
    late
}

#[tokio::test]
async fn the_probe_of_states_finds_what_is_late() {
    let (_, list, _) = shell(&bench().await, "nodepool list").await;
    let late = check_nodepool_states(&list);
    let expected = [("3", "used"), ("5", "building"), ("6", "hold")];
    assert_eq!(late, expected.map(|(id, state)| (id.to_owned(), state.to_owned())));
}

#[tokio::test]
async fn the_probe_of_aliens_finds_no_row_where_there_is_none() {
    let (status, out, _) =
        shell(&bench().await, "nodepool alien-list | grep -e '^|' | grep -v Hostname").await;
    assert_eq!((status, out.as_str()), (1, ""), "grep finds nothing");
}

#[tokio::test]
async fn a_terminal_gets_colours_and_a_pipe_never() {
    let bench = bench().await;
    // `script` does not wait for what is on its way to the terminal when its command ends.
    let on_terminal =
        |line: &str| format!("script -qec '{} && sleep 0.5' /dev/null", line.replace('\'', "'\\''"));
    let command = format!(
        "{} -c {} list",
        env!("CARGO_BIN_EXE_nodepool"),
        bench.folder.path().join("nodepool.yaml").display()
    );
    let (status, coloured, _) = shell(&bench, &on_terminal(&command)).await;
    assert_eq!(status, 0, "{coloured}");
    assert!(coloured.contains("| \x1b[32mready\x1b[0m "), "{coloured:?}");
    let (_, plain, _) = shell(&bench, &on_terminal(&format!("NO_COLOR=1 {command}"))).await;
    assert!(plain.contains("| ready ") && !plain.contains('\x1b'), "{plain:?}");
    let (_, piped, _) = shell(&bench, &on_terminal(&format!("{command} | cat"))).await;
    assert!(piped.contains("| ready ") && !piped.contains('\x1b'), "{piped:?}");
}

#[tokio::test]
async fn a_person_at_a_terminal_is_asked_before_much_is_deleted() {
    let bench = bench().await;
    let command = |arguments: &str| {
        format!(
            "{} -c {} delete {arguments}",
            env!("CARGO_BIN_EXE_nodepool"),
            bench.folder.path().join("nodepool.yaml").display()
        )
    };
    let answered = |arguments: &str, answer: &str| {
        format!("printf '{answer}\\n' | script -qec '{}' /dev/null", command(arguments))
    };
    for (arguments, answer, question, wishes) in [
        ("1 2", "n", "delete 2 nodes, 0 of them used or held? [y/N] ", 0),
        ("1 3", "", "delete 2 nodes, 1 of them used or held? [y/N] ", 0),
        ("--now 3", "no", "which is in state used? [y/N] ", 0),
        ("1 3", "y", "delete 2 nodes, 1 of them used or held? [y/N] ", 2),
    ] {
        let (_, out, _) = shell(&bench, &answered(arguments, answer)).await;
        assert!(out.contains(question), "{arguments}: {out}");
        assert_eq!(bench.store.open_wishes().await.unwrap().len(), wishes, "{arguments} {answer}: {out}");
    }
    for (arguments, wishes) in [("1 2 --yes", 4), ("4", 5)] {
        let (_, out, _) = shell(&bench, &answered(arguments, "n")).await;
        assert!(!out.contains("[y/N]"), "{arguments}: {out}");
        assert_eq!(bench.store.open_wishes().await.unwrap().len(), wishes, "{arguments}: {out}");
    }
}
