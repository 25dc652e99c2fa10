//! Builders and nodes: the scripts as shipped, and scripts that fail.
//!
//! The machine is a box around each command: its /etc, /opt, /home and /root are folders of the test, everything else
//! is the test machine's own and read-only. There is one user in it, so what changes users is replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodepool::builder::{BuildError, Cause, Preparation, SetUp, Step, prepare, set_up, verify};
use nodepool::remote::{Remote as _, RemoteError, SshRemote, Trust};

use super::server::{Kept, Server, until, write};

const BOX: &str = r#"#!/bin/bash
cd FOLDER
exec bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --bind etc /etc \
  --ro-bind /etc/alternatives /etc/alternatives --bind opt /opt --bind home /home --bind root /root --ro-bind bin /usr/local/bin --unshare-user --uid 0 --gid 0 \
  --unshare-pid --unshare-uts --die-with-parent --chdir /root --setenv HOME /root \
  --setenv PATH /usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin bash -c "$SSH_ORIGINAL_COMMAND"
"#;
const SUDO: &str =
    "#!/bin/sh\nwhile :; do case $1 in -u) shift 2 ;; -*) shift ;; *) exec \"$@\" ;; esac; done\n";
const USERADD: &str = "#!/bin/sh\nfor user; do :; done\ngrep -q \"^$user:\" /etc/passwd && exit 9\n\
    echo \"$user:x:0:0::/home/$user:/bin/bash\" >>/etc/passwd\nmkdir -p /home/$user\n";

/// A machine that runs.
fn machine() -> Server {
    let bubblewrap = std::process::Command::new("bwrap").arg("--version").output();
    bubblewrap.expect("cannot run bwrap: apt-get install bubblewrap");
    let server = Server::prepared("");
    for folder in ["opt", "home", "root", "etc/alternatives"] {
        fs::create_dir_all(server.path(folder)).unwrap();
    }
    write(&server.path("etc/passwd"), b"root:x:0:0:root:/root:/bin/bash\n", 0o644);
    write(&server.path("etc/group"), b"root:x:0:\n", 0o644);
    write(&server.path("etc/hosts"), b"127.0.0.1 localhost\n127.0.1.1 base-image\n", 0o644);
    write(&server.path("bin/sudo"), SUDO.as_bytes(), 0o755);
    write(&server.path("bin/useradd"), USERADD.as_bytes(), 0o755);
    for name in ["usermod", "chown"] {
        write(&server.path("bin").join(name), b"#!/bin/sh\n", 0o755);
    }
    let script = BOX.replace("FOLDER", &server.folder.path().display().to_string());
    write(&server.path("box"), script.as_bytes(), 0o755);
    let mut config = fs::read_to_string(server.path("sshd_config")).unwrap();
    config = format!("{config}ForceCommand {}\n", server.path("box").display());
    fs::write(server.path("sshd_config"), config).unwrap();
    let mut server = server;
    server.start();
    server
}

fn set_up_order(server: &Server, script_dir: PathBuf, setup: &str) -> SetUp {
    SetUp {
        endpoint: server.endpoint(),
        hostname: "image-1.example.org".to_owned(),
        script_dir: Some(script_dir),
        setup: setup.to_owned(),
        setup_timeout: Duration::from_mins(2),
        node_user: "jenkins".to_owned(),
        environment: vec![("NODEPOOL_GIVEN".to_owned(), "it's given".to_owned())],
    }
}

fn preparation(server: &Server, script: Option<&str>) -> Preparation {
    Preparation {
        endpoint: server.endpoint(),
        hostname: "ci-jessie-7".to_owned(),
        public_address: [192, 0, 2, 7].into(),
        private_address: Some([10, 0, 0, 7].into()),
        server_id: "4f0e".to_owned(),
        provider: "p1".to_owned(),
        cloud: Some("the cloud".to_owned()),
        region: None,
        az: Some("nova".to_owned()),
        ready_script: script.map(str::to_owned),
        ready_script_timeout: Duration::from_mins(1),
        environment: vec![("NODEPOOL_SSH_KEY".to_owned(), "the operator's own".to_owned())],
    }
}

fn text(server: &Server, name: &str) -> String {
    fs::read_to_string(server.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_scripts_as_shipped_make_an_image_and_a_node() {
    let server = machine();
    let remote = SshRemote::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let order = set_up_order(&server, shipped, "setup_node.sh");
    let mut host_key = None;
    // Twice, as after a restart of the daemon in the middle.
    for _ in 0..2 {
        let mut kept = Kept::default();
        let done =
            set_up(&remote, &order, &mut kept).await.unwrap_or_else(|error| panic!("{error}\n{:#?}", kept.0));
        assert!(text(&server, "host.pub").starts_with(&done.host_key.0));
        host_key = Some(done.host_key);
        assert_eq!(kept.0.first().unwrap(), "*** START to run setup_node.sh");
        assert_eq!(kept.0.last().unwrap(), "*** SUCCESSFULLY run setup_node.sh");
        assert!(kept.0.iter().any(|line| line == "setup_node: jenkins may use sudo"), "{:?}", kept.0);
    }
    let public = remote.public_key(&server.path("user")).await.unwrap();
    assert_eq!(text(&server, "home/jenkins/.ssh/authorized_keys"), format!("{public}\n"));
    assert_eq!(mode(&server.path("home/jenkins/.ssh/authorized_keys")), 0o600);
    assert_eq!(mode(&server.path("opt/nodepool-scripts/ready.sh")), 0o755);
    assert_eq!(mode(&server.path("etc/nodepool")), 0o755);
    assert!(text(&server, "etc/hosts").ends_with("\n127.0.1.1 image-1.example.org image-1\n"));

    let mut order = preparation(&server, Some("ready.sh"));
    // The server booted from the snapshot is this one, so its key has to be the builder's.
    order.endpoint.trust = Trust::Only(host_key.expect("it was set"));
    for _ in 0..2 {
        let mut kept = Kept::default();
        prepare(&remote, &order, &mut kept).await.unwrap_or_else(|error| panic!("{error}\n{:#?}", kept.0));
        assert!(kept.0.iter().any(|line| line.contains("workspace is writable for jenkins")), "{:?}", kept.0);
    }
    assert_eq!(text(&server, "etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 ci-jessie-7\n");
    let provider = "NODEPOOL_PROVIDER=p1\nNODEPOOL_CLOUD='the cloud'\nNODEPOOL_REGION=\nNODEPOOL_AZ=nova\n";
    assert_eq!(text(&server, "etc/nodepool/provider"), provider);
    for (name, content) in [
        ("role", "primary\n"),
        ("node", "192.0.2.7\n"),
        ("node_private", "10.0.0.7\n"),
        ("primary_node", "192.0.2.7\n"),
        ("primary_node_private", "10.0.0.7\n"),
        ("sub_nodes", ""),
        ("sub_nodes_private", ""),
        ("uuid", "4f0e\n"),
    ] {
        assert_eq!(text(&server, &format!("etc/nodepool/{name}")), content);
    }
    assert_eq!(mode(&server.path("etc/nodepool/id_rsa")), 0o600);
    let derived =
        std::process::Command::new("ssh-keygen").arg("-yf").arg(server.path("etc/nodepool/id_rsa")).output();
    assert_eq!(String::from_utf8(derived.unwrap().stdout).unwrap(), text(&server, "etc/nodepool/id_rsa.pub"));
    verify(&remote, &order.endpoint).await.unwrap();
}

#[tokio::test]
async fn scripts_find_their_environment() {
    let server = machine();
    let remote = SshRemote::new();
    let script = "#!/bin/bash\npwd; echo \"$1|$2\"; echo $PATH; env | grep ^NODEPOOL_ | sort\n";
    write(&server.path("scripts/show"), script.as_bytes(), 0o640);
    let mut kept = Kept::default();
    set_up(&remote, &set_up_order(&server, server.path("scripts"), "show extra"), &mut kept).await.unwrap();
    let public = remote.public_key(&server.path("user")).await.unwrap();
    let bare = public.split(' ').nth(1).unwrap();
    let expected = [
        "*** START to run show extra",
        "/opt/nodepool-scripts",
        "extra|image-1.example.org",
        "/usr/local/sbin:/sbin:/usr/sbin:/usr/local/bin:/bin:/usr/bin",
        "NODEPOOL_GIVEN=it's given",
        &format!("NODEPOOL_PUBLIC_KEY={public}"),
        &format!("NODEPOOL_SSH_KEY={bare}"),
        "*** SUCCESSFULLY run show extra",
    ];
    assert_eq!(kept.0, expected);
    let mut kept = Kept::default();
    prepare(&remote, &preparation(&server, Some("show")), &mut kept).await.unwrap();
    assert_eq!(kept.0[2], "ci-jessie-7|");
    assert_eq!(
        kept.0[4..6],
        [format!("NODEPOOL_PUBLIC_KEY={public}"), "NODEPOOL_SSH_KEY=the operator's own".to_owned()]
    );
}

#[tokio::test]
async fn a_failure_names_its_step_and_its_last_words() {
    let server = machine();
    let remote = SshRemote::new();
    write(&server.path("scripts/fails"), b"#!/bin/sh\nseq 30\necho too bad >&2\nexit 3\n", 0o755);
    let error =
        set_up(&remote, &set_up_order(&server, server.path("scripts"), "fails"), &mut Kept::default())
            .await
            .unwrap_err();
    assert_eq!(error.step, Step::Setup);
    let Cause::Exit { status: 3, tail } = &error.cause else { panic!("{error}") };
    assert_eq!((tail.len(), tail.iter().any(|line| line == "too bad")), (20, true));
    assert!(error.to_string().starts_with("setup: exit status 3; it said last: "), "{error}");

    let error =
        prepare(&remote, &preparation(&server, Some("missing")), &mut Kept::default()).await.unwrap_err();
    assert!(
        matches!(error, BuildError { step: Step::ReadyScript, cause: Cause::Exit { status: 127, .. } }),
        "{error}"
    );
    let error =
        prepare(&remote, &preparation(&server, Some("/bin/sh")), &mut Kept::default()).await.unwrap_err();
    assert!(matches!(error, BuildError { step: Step::ReadyScript, cause: Cause::Order(_) }), "{error}");
    let mut order = set_up_order(&server, server.path("no-such-folder"), "fails");
    let error = set_up(&remote, &order, &mut Kept::default()).await.unwrap_err();
    assert!(matches!(
        error,
        BuildError { step: Step::CopyScripts, cause: Cause::Remote(RemoteError::Local(_)) }
    ));
    // A file in the way of the folder of facts.
    fs::remove_dir_all(server.path("etc/nodepool")).unwrap();
    write(&server.path("etc/nodepool"), b"", 0o644);
    let error = prepare(&remote, &preparation(&server, None), &mut Kept::default()).await.unwrap_err();
    assert!(matches!(
        error,
        BuildError { step: Step::Files, cause: Cause::Remote(RemoteError::Rejected(_)) }
    ));
    order.endpoint.port = 1;
    order.endpoint.patience = Duration::ZERO;
    let error = set_up(&remote, &order, &mut Kept::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("connect: not reached: "), "{error}");
    assert_eq!(verify(&remote, &order.endpoint).await.unwrap_err().step, Step::Connect);
}

#[tokio::test]
async fn a_ready_script_that_hangs_is_killed_at_its_deadline() {
    let server = machine();
    let remote = SshRemote::new();
    write(&server.path("scripts/hangs"), b"#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n", 0o755);
    write(&server.path("scripts/setup"), b"#!/bin/sh\n", 0o755);
    set_up(&remote, &set_up_order(&server, server.path("scripts"), "setup"), &mut Kept::default())
        .await
        .unwrap();
    let mut order = preparation(&server, Some("hangs"));
    order.hostname = format!("hangs-{}", server.port);
    order.ready_script_timeout = Duration::from_secs(10);
    let runs = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok()).any(|line| {
            let mut words = line.split(|byte| *byte == 0);
            words.any(|word| word == b"./hangs") && words.any(|word| word == order.hostname.as_bytes())
        })
    };
    let mut kept = Kept::default();
    let preparing = prepare(&remote, &order, &mut kept);
    let (ended, ()) = tokio::join!(preparing, until("the script runs", runs));
    let expected = Cause::Remote(RemoteError::Deadline(Duration::from_secs(10)));
    assert_eq!(ended, Err(BuildError { step: Step::ReadyScript, cause: expected }));
    assert!(!runs(), "it still runs");
    assert_eq!(kept.0.last().unwrap(), "*** FAILED to run hangs: still running after 10 s, killed");
}
