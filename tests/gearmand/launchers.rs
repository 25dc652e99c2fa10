//! Nodes handed to launchers over both servers, and what becomes of a node when that fails.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use nodepool::model::{AgentTag, NodeId};
use nodepool::target::gearman::{GearmanLauncher, LauncherLimits};
use nodepool::target::{Enrolled, Enrollment, Target as _, TargetError, Withdrawal};
use serde_json::json;

use super::held_port::HeldPort;
use super::impostor::Impostor;
use super::launcher::{Launcher, Manners};
use super::server::{Address, DEADLINE, Kind, Server, admin, jobs_of, plainly};
use super::tls::Authority;

const BOTH: [Kind; 2] = [Kind::Gearmand, Kind::Geard];

/// Bounds that tests can wait for.
fn limits() -> LauncherLimits {
    LauncherLimits {
        answer: Duration::from_secs(10),
        taken: Duration::from_millis(1500),
        grace: Duration::from_millis(1500),
        look: Duration::from_millis(300),
        ..LauncherLimits::default()
    }
}

/// For those who are answered: the machine may be busy.
fn patient() -> LauncherLimits {
    LauncherLimits { taken: DEADLINE, ..limits() }
}

fn tag() -> AgentTag {
    AgentTag { installation: "i1".to_owned(), node: NodeId(7) }
}

fn enrollment() -> Enrollment {
    Enrollment {
        name: "ci-7".to_owned(),
        tag: tag(),
        description: "Dynamic single use ci node [nodepool i1/7]".to_owned(),
        labels: vec!["ci".to_owned(), "big".to_owned()],
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)),
        port: 22,
        username: "jenkins".to_owned(),
        private_key: "/key".into(),
        host_key: None,
        root: "/home/jenkins".to_owned(),
    }
}

fn withdrawal(manager: Option<&str>) -> Withdrawal {
    Withdrawal { name: "ci-7".to_owned(), tag: tag(), manager: manager.map(str::to_owned), insist: false }
}

async fn handed_out(server: &Server, limits: LauncherLimits) -> Result<Enrolled, TargetError> {
    GearmanLauncher::new("zuul", vec![server.address()], limits).enroll(&enrollment()).await
}

fn by(manager: &str) -> Enrolled {
    Enrolled { manager: Some(manager.to_owned()) }
}

#[tokio::test]
async fn a_node_is_handed_out_and_taken_back() {
    for kind in BOTH {
        let server = Server::started(kind).await;
        let launcher = Launcher::at(server.port, "zl01", Manners::Takes).await;
        assert_eq!(handed_out(&server, patient()).await, Ok(by("zl01")), "{kind:?}");
        let expected = json!({
            "name": "ci-7",
            "host": "10.0.0.7",
            "description": "Dynamic single use ci node [nodepool i1/7]",
            "labels": "ci big",
            "root": "/home/jenkins",
        });
        assert_eq!(launcher.got(), [("node_assign:zuul".to_owned(), expected)], "{kind:?}");
        let target = GearmanLauncher::new("zuul", vec![server.address()], limits());
        target.withdraw(&withdrawal(Some("zl01"))).await.unwrap();
        assert_eq!(launcher.revoked().await, "ci-7", "{kind:?}");
        target.withdraw(&withdrawal(None)).await.expect("nobody knows of it");
        assert_eq!(target.roster().await, Ok(None));
        let refused = target.start_test("job", "ci-7").await.unwrap_err();
        assert!(matches!(refused, TargetError::Rejected(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_launcher_that_comes_in_time_gets_the_node() {
    for kind in BOTH {
        let server = Server::started(kind).await;
        let (port, handed_out) = (server.port, handed_out(&server, patient()));
        let late = async {
            while jobs_of(port, "node_assign:zuul").await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Launcher::at(port, "zl01", Manners::Takes).await
        };
        let (enrolled, _launcher) = tokio::join!(handed_out, late);
        assert_eq!(enrolled, Ok(by("zl01")), "{kind:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_refusal() {
    for (kind, manners) in [
        (Kind::Gearmand, Manners::Refuses),
        (Kind::Geard, Manners::Refuses),
        // gearmand passes no exceptions on to those who have not asked for them.
        (Kind::Geard, Manners::Fails),
        // geard says of a worker that left what it says of one that failed.
        (Kind::Geard, Manners::Leaves),
    ] {
        let server = Server::started(kind).await;
        let _launcher = Launcher::at(server.port, "zl01", manners).await;
        let error = handed_out(&server, patient()).await.unwrap_err();
        assert!(matches!(error, TargetError::Rejected(_)), "{kind:?} {manners:?}: {error}");
    }
}

#[tokio::test]
async fn gearmand_gives_a_job_to_another_launcher_when_one_leaves() {
    let server = Server::started(Kind::Gearmand).await;
    let leaving = Launcher::at(server.port, "zl01", Manners::Leaves).await;
    let port = server.port;
    let after_it = async {
        while leaving.got().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Launcher::at(port, "zl02", Manners::Takes).await
    };
    let (enrolled, _launcher) = tokio::join!(handed_out(&server, patient()), after_it);
    assert_eq!(enrolled, Ok(by("zl02")));
}

#[tokio::test]
async fn without_a_launcher_it_is_given_up_and_no_job_is_left() {
    for kind in BOTH {
        let server = Server::started(kind).await;
        let error = handed_out(&server, limits()).await.unwrap_err();
        assert!(matches!(error, TargetError::Unavailable(_)), "{kind:?}: {error}");
        assert!(error.to_string().contains("is one registered for node_assign:zuul?"), "{error}");
        gets_nothing(&server, kind).await;
    }
}

/// A launcher that comes now is not given a node that was given up.
async fn gets_nothing(server: &Server, kind: Kind) {
    let late = Launcher::at(server.port, "zl09", Manners::Takes).await;
    // What it is told first shows that nothing was waiting for it before.
    let target = GearmanLauncher::new("zuul", vec![server.address()], limits());
    target.withdraw(&withdrawal(Some("zl09"))).await.unwrap();
    late.revoked().await;
    let functions: Vec<String> = late.got().into_iter().map(|(function, _)| function).collect();
    assert_eq!(functions, ["node_revoke:zl09"], "{kind:?}");
    // gearmand drops a job that nobody waits for when a worker would be given it: after this one asked for more.
    let end = Instant::now() + DEADLINE;
    while jobs_of(server.port, "node_assign:zuul").await > 0 {
        assert!(Instant::now() < end, "{kind:?} keeps the job");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(late.got().len(), 1, "{kind:?}: it was given the node after all");
}

/// Whether the server has noticed that nobody waits for the job any more. gearmand counts such a job until somebody would
/// be given it, and marks it meanwhile: HANDLE, RETRIES, IGNORED, QUEUED.
async fn is_forgotten(server: &Server, kind: Kind) -> bool {
    match kind {
        Kind::Geard => jobs_of(server.port, "node_assign:zuul").await == 0,
        Kind::Gearmand => {
            let jobs = admin(server.port, "show jobs").await;
            jobs.lines().all(|line| line == "." || line.split('\t').nth(2) == Some("1"))
        }
    }
}

#[tokio::test]
async fn a_try_that_is_dropped_leaves_no_job() {
    for kind in BOTH {
        let server = Server::started(kind).await;
        let dropped = async {
            while jobs_of(server.port, "node_assign:zuul").await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            ended = handed_out(&server, patient()) => panic!("{kind:?}: {ended:?}"),
            () = dropped => {}
        }
        let end = Instant::now() + DEADLINE;
        while !is_forgotten(&server, kind).await {
            assert!(Instant::now() < end, "{kind:?} keeps the job");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gets_nothing(&server, kind).await;
    }
}

#[tokio::test]
async fn a_launcher_that_says_nothing_is_given_up() {
    for kind in BOTH {
        let server = Server::started(kind).await;
        let launcher = Launcher::at(server.port, "zl01", Manners::IsMute).await;
        let error = handed_out(&server, limits()).await.unwrap_err();
        assert!(matches!(error, TargetError::Unavailable(_)), "{kind:?}: {error}");
        assert!(
            error.to_string().contains("a launcher took the job and did not finish"),
            "{kind:?}: {error}"
        );
        assert_eq!(launcher.got().len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_launcher_that_may_have_the_node_is_told_to_give_it_back() {
    for kind in BOTH {
        let server = Server::started(kind).await;
        let launcher = Launcher::at(server.port, "zl01", Manners::FallsSilent).await;
        let error = handed_out(&server, limits()).await.unwrap_err();
        assert!(error.to_string().contains("zl01 took the node and did not finish"), "{kind:?}: {error}");
        assert_eq!(launcher.revoked().await, "ci-7", "{kind:?}");
    }
}

#[tokio::test]
async fn a_launcher_that_has_begun_may_finish() {
    let limits = LauncherLimits { taken: Duration::from_millis(500), grace: DEADLINE, ..limits() };
    for kind in BOTH {
        let server = Server::started(kind).await;
        let _launcher = Launcher::at(server.port, "zl01", Manners::TakesLate(Duration::from_secs(2))).await;
        assert_eq!(handed_out(&server, limits).await, Ok(by("zl01")), "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_leaves_it_uncertain() {
    for kind in BOTH {
        let mut server = Server::started(kind).await;
        let launcher = Launcher::at(server.port, "zl01", Manners::IsMute).await;
        let target = GearmanLauncher::new("zuul", vec![server.address()], patient());
        let killing = async {
            while launcher.got().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            server.kill();
        };
        let node = enrollment();
        let (ended, ()) = tokio::join!(target.enroll(&node), killing);
        assert!(matches!(ended, Err(TargetError::Unavailable(_))), "{kind:?}: {ended:?}");
        assert!(
            matches!(target.enroll(&node).await, Err(TargetError::Unavailable(_))),
            "{kind:?}: nobody is there"
        );
        assert!(matches!(target.withdraw(&withdrawal(Some("zl01"))).await, Err(TargetError::Unavailable(_))));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let mute = Impostor::new(|line| async move {
        let _line = line;
        std::future::pending::<()>().await;
    })
    .await;
    let limits = LauncherLimits { answer: Duration::from_millis(200), ..limits() };
    let target = GearmanLauncher::new("zuul", vec![plainly(mute.port)], limits);
    let error = target.enroll(&enrollment()).await.unwrap_err();
    assert!(matches!(&error, TargetError::Unavailable(why) if why.contains("within 0.2 s")), "{error}");
}

#[tokio::test]
async fn the_server_with_a_launcher_is_used() {
    for kind in BOTH {
        let (without, with) = (Server::started(kind).await, Server::started(kind).await);
        let _launcher = Launcher::at(with.port, "zl01", Manners::Takes).await;
        let nobody = HeldPort::new();
        let servers = vec![plainly(nobody.port), without.address(), with.address()];
        let target = GearmanLauncher::new("zuul", servers, patient());
        assert_eq!(target.enroll(&enrollment()).await, Ok(by("zl01")), "{kind:?}");
    }
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = Server::behind_tls(authority.files(folder.path(), "geard")).await;
    let ours = authority.files(folder.path(), "nodepool");
    let address = Address { tls: Some(ours), ..server.address() };
    let target = GearmanLauncher::new("zuul", vec![address], limits());
    let error = target.enroll(&enrollment()).await.unwrap_err();
    assert!(error.to_string().contains("no launcher took the node"), "{error}");
    target.withdraw(&withdrawal(Some("zl01"))).await.expect("geard takes the job");
}

#[tokio::test]
async fn names_that_would_break_the_protocol_are_refused() {
    let server = Server::started(Kind::Gearmand).await;
    for name in ["with blank", "with\nline", "with\0nul", &"x".repeat(600)] {
        let target = GearmanLauncher::new(name, vec![server.address()], limits());
        let error = target.enroll(&enrollment()).await.unwrap_err();
        assert!(matches!(error, TargetError::Rejected(_)), "{name:?}: {error}");
        let error = target.withdraw(&withdrawal(Some(name))).await.unwrap_err();
        assert!(matches!(error, TargetError::Rejected(_)), "{name:?}: {error}");
    }
    let error = GearmanLauncher::new("zuul", Vec::new(), limits()).enroll(&enrollment()).await.unwrap_err();
    assert!(matches!(error, TargetError::Rejected(_)), "{error}");
}
