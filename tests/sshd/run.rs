//! Commands: what they print, how they end, and that they end.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nodepool::remote::{Command, Output, Remote as _, RemoteError, SshRemote};
use tokio::sync::Notify;

use super::server::{Kept, Server, command, until, write};

async fn run(server: &Server, line: &str) -> (Result<u32, RemoteError>, Vec<String>) {
    let mut kept = Kept::default();
    let ended = server.connect().await.run(&command(line), &mut kept).await;
    (ended, kept.0)
}

/// Whether a process of this number lives; a dead one that nobody waited for does not.
fn lives(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
}

fn processes(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("processes")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A script that is hard to end: itself, a child and a grandchild ignore TERM, one of them in a group of its own.
fn stubborn(server: &Server) -> (PathBuf, Command) {
    let folder = server.path("stubborn");
    let script = r#"trap '' TERM HUP INT
cd "$FOLDER"
echo $$ >>processes
setsid() { :; }
sh -c 'trap "" TERM; echo $$ >>processes; sh -c "echo \$\$ >>processes; while :; do sleep 1; done" & wait' &
set -m
sh -c 'trap "" TERM; echo $$ >>processes; touch all; while :; do sleep 1; done' &
wait
while :; do sleep 1; done
"#;
    write(&folder.join("script"), script.as_bytes(), 0o755);
    let mut command = command(&format!("bash {}", folder.join("script").display()));
    command.environment.push(("FOLDER".to_owned(), folder.display().to_string()));
    (folder, command)
}

#[tokio::test]
async fn output_status_and_environment() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let mut given = command("echo \"$A\"; echo \"$NODEPOOL_B\" >&2; printf 'no end'; exit 3");
    given.environment =
        vec![("A".to_owned(), "it's $HOME\t`id` \\".to_owned()), ("NODEPOOL_B".to_owned(), String::new())];
    let mut kept = Kept::default();
    assert_eq!(connection.run(&given, &mut kept).await, Ok(3));
    kept.0.sort();
    assert_eq!(kept.0, ["", "it's $HOME\t`id` \\", "no end"]);
    for (line, status) in
        [("true", 0), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("no-such-command-here", 127)]
    {
        assert_eq!(connection.run(&command(line), &mut Kept::default()).await, Ok(status), "{line}");
    }
    let mut wrong = command("true");
    wrong.environment = vec![("A;id".to_owned(), String::new())];
    let error = connection.run(&wrong, &mut Kept::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Local(_)), "{error}");
    let error = connection.run(&command(&"#".repeat(200_000)), &mut Kept::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Local(_)), "{error}");
}

#[tokio::test]
async fn a_command_has_no_input_and_a_session_of_its_own() {
    let server = Server::started();
    let (ended, lines) = run(&server, "cat; tty; cut -d' ' -f1,5,6 /proc/$$/stat; echo $$").await;
    assert_eq!(ended, Ok(0));
    let me = lines.last().unwrap();
    assert_eq!(lines, ["not a tty", &format!("{me} {me} {me}"), me]);
}

#[tokio::test]
async fn lines_come_while_the_command_runs() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let go = server.path("go");
    let line = format!("echo first; until [ -e {} ]; do sleep 0.05; done; exit 5", go.display());
    let bell = Arc::new(Notify::new());
    let mut output = Bell(Arc::clone(&bell));
    // The command goes on only after its first line has come.
    let letting_go = async {
        bell.notified().await;
        fs::write(&go, "").unwrap();
    };
    let given = command(&line);
    let (ended, ()) = tokio::join!(connection.run(&given, &mut output), letting_go);
    assert_eq!(ended, Ok(5));
}

#[tokio::test]
async fn much_output_and_long_lines() {
    let server = Server::started();
    let (ended, lines) =
        run(&server, "seq 200000; head -c 3000000 /dev/zero | tr '\\0' a; echo; echo end").await;
    assert_eq!(ended, Ok(0));
    assert_eq!(lines.len(), 200_002);
    assert_eq!(
        (lines[199_999].as_str(), lines[200_000].len(), lines[200_001].as_str()),
        ("200000", 4096, "end")
    );
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_does_not_hold_us() {
    let server = Server::started();
    let began = Instant::now();
    let (ended, lines) = run(&server, "sleep 50 & echo $!").await;
    assert_eq!(ended, Ok(0));
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(lives(&lines[0]), "a service that a ready script starts must stay");
    Process::new("kill").arg(&lines[0]).status().unwrap();
}

#[tokio::test]
async fn the_deadline_ends_all_that_a_command_started() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let (folder, mut given) = stubborn(&server);
    given.deadline = Duration::from_secs(12);
    let ended = connection.run(&given, &mut Kept::default()).await;
    let processes = processes(&folder);
    assert_eq!(ended, Err(RemoteError::Deadline(Duration::from_secs(12))));
    assert_eq!(processes.len(), 4, "the script was not under way at its deadline");
    assert!(!processes.iter().any(|process| lives(process)), "{processes:?}");
    // The connection is of use after that.
    assert_eq!(connection.run(&command("exit 4"), &mut Kept::default()).await, Ok(4));
}

#[tokio::test]
async fn the_deadline_holds_although_our_script_there_hangs() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let (folder, mut given) = stubborn(&server);
    given.deadline = Duration::from_secs(12);
    // The leader's parent supervises, and a child of that watches.
    let hung = server.path("hung");
    let script = "until set -- $(cat /proc/$PPID/task/$PPID/children); [ $# = 2 ]; do sleep 0.1; done
    for p in \"$@\" $PPID; do
        [ $p = $$ ] || { echo $p; kill -STOP $p; }
    done";
    given.line = format!("({script}) >{}; {}", hung.display(), given.line);
    let ended = connection.run(&given, &mut Kept::default()).await;
    let (processes, hung) = (processes(&folder), fs::read_to_string(hung).unwrap());
    let alive: Vec<_> = processes.iter().filter(|process| lives(process)).collect();
    let hung: Vec<&str> = hung.lines().collect();
    let all_hung = hung.len() == 2 && hung.iter().all(|process| lives(process));
    for process in hung {
        Process::new("kill").args(["-KILL", process]).status().unwrap();
    }
    assert!(all_hung, "this test did not test what it should");
    assert_eq!(ended, Err(RemoteError::Deadline(Duration::from_secs(12))));
    assert!(processes.len() == 4 && alive.is_empty(), "{alive:?} of {processes:?}");
}

#[tokio::test]
async fn a_command_without_its_supervisor_ends_too() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let (folder, mut given) = stubborn(&server);
    let all = folder.join("all").display().to_string();
    given.line = format!("{} & until [ -e {all} ]; do sleep 0.1; done; kill -KILL $PPID; wait", given.line);
    assert_eq!(connection.run(&given, &mut Kept::default()).await, Ok(137));
    until("all is ended", || !processes(&folder).iter().any(|process| lives(process))).await;
}

#[tokio::test]
async fn a_lost_connection_ends_the_command() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let (folder, given) = stubborn(&server);
    let running = tokio::spawn(async move { connection.run(&given, &mut Kept::default()).await });
    until("the script is under way", || folder.join("all").exists()).await;
    running.abort();
    until("all is ended", || !processes(&folder).iter().any(|process| lives(process))).await;
}

#[tokio::test]
async fn a_second_run_ends_the_first() {
    let server = Server::started();
    let (folder, given) = stubborn(&server);
    let mut first = server.connect().await;
    let running = tokio::spawn(async move { first.run(&given, &mut Kept::default()).await });
    until("the script is under way", || folder.join("all").exists()).await;
    let earlier = processes(&folder);
    // As after a crash of the daemon of which the machine has not heard: the first connection still stands.
    let (ended, lines) = run(&server, "echo second").await;
    assert_eq!((ended, lines), (Ok(0), vec!["second".to_owned()]));
    assert!(!earlier.iter().any(|process| lives(process)), "{earlier:?}");
    assert_eq!(running.await.unwrap(), Ok(137));
}

/// Rings when a line comes.
struct Bell(Arc<Notify>);

impl Output for Bell {
    fn line(&mut self, _: &str) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_machine_that_dies_is_noticed() {
    let server = Server::started();
    server.connect().await;
    // A wire that can be cut without either end hearing of it.
    let wire = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut endpoint = server.endpoint();
    let port = std::mem::replace(&mut endpoint.port, wire.local_addr().unwrap().port());
    let cut = Arc::new(Notify::new());
    let scissors = Arc::clone(&cut);
    tokio::spawn(async move {
        let (mut near, _) = wire.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = scissors.notified() => {}
        }
        std::future::pending::<()>().await;
    });
    let mut connection = SshRemote::new().connect(&endpoint).await.unwrap();
    let mut given = command("echo up; sleep 600");
    given.deadline = Duration::from_mins(10);
    let began = Instant::now();
    let error = connection.run(&given, &mut Bell(cut)).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Lost(text) if text.contains("timeout")), "{error}");
    let took = began.elapsed();
    assert!(took > Duration::from_secs(20) && took < Duration::from_mins(1), "{took:?}");
}
