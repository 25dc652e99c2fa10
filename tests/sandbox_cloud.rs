//! nodepool-sandbox as a user meets it: the real binary, the real `openstack` command, the system's `ssh`.
//!
//! Needs bubblewrap, openssh-client and python-openstackclient; a test that misses one fails and says how to get it.

#[path = "sandbox_cloud/breadth.rs"]
mod breadth;
#[path = "sandbox_cloud/driver.rs"]
mod driver;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use driver::{Api, Sandbox, processes_of, wait_until};
use serde_json::{Value, json};

#[test]
fn the_openstack_command_takes_a_server_from_create_to_snapshot_to_delete() {
    let sandbox = Sandbox::start(&[]);
    let key = sandbox.folder.path().join("key.pub");
    sandbox.openstack(&format!("keypair create --public-key {} key", key.display()));
    sandbox.openstack(
        "server create --flavor m1.small --image debian-12 --network private --key-name key --wait first",
    );
    sandbox.openstack("server set --property colour=blue first");
    let shown = sandbox.openstack("server show -f json first");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["status"], "ACTIVE");
    assert_eq!(shown["properties"]["colour"], "blue");
    let address = shown["addresses"]["private"][0].as_str().unwrap().to_string();
    wait_until("ssh answers", || sandbox.ssh(&address, "true").0 == 0);
    sandbox.ssh_ok(&address, "useradd -m jenkins && echo tool >/opt/tool && echo note >/home/jenkins/note");

    sandbox.openstack("server image create --name prepared --wait first");
    sandbox.openstack("server delete --wait first");
    assert!(TcpStream::connect((address.as_str(), sandbox.ssh_port)).is_err(), "a deleted server refuses");
    let booted = sandbox.openstack(
        "server create --flavor ci.medium --image prepared --network private --wait -f json second",
    );
    let booted: Value = serde_json::from_str(booted.trim()).unwrap();
    let second = booted["addresses"]["private"][0].as_str().unwrap().to_string();
    wait_until("ssh answers", || sandbox.ssh(&second, "true").0 == 0);
    assert_eq!(sandbox.ssh_ok(&second, "cat /opt/tool ~jenkins/note; hostname"), "tool\nnote\nsecond\n");

    sandbox.openstack("image delete prepared");
    sandbox.openstack("keypair delete key");
    assert_eq!(sandbox.openstack("image list -f value -c Name"), "debian-12\n");
}

#[test]
fn the_openstack_command_reads_every_list() {
    let sandbox = Sandbox::start(&[]);
    let expected = [
        ("flavor list -f value", "ci.large"),
        ("network list -f value", "private"),
        ("security group list -f value", "default"),
        ("availability zone list -f value", "nova available"),
        ("limits show --absolute -f value", "instances 200"),
        ("catalog list -f value", "glance image"),
        ("image list -f value", "debian-12 active"),
        (
            "server create --flavor m1.tiny --image debian-12 --network private --wait -f value -c status one",
            "ACTIVE",
        ),
        ("server list -f value", "one ACTIVE"),
        ("console log show one", "BEGIN SSH HOST KEY KEYS"),
        ("keypair create made", "BEGIN OPENSSH PRIVATE KEY"),
        ("keypair list -f value", "made"),
        ("image show -f value -c status debian-12", "active"),
    ];
    let lines: Vec<&str> = expected.iter().map(|(line, _)| *line).collect();
    let printed = sandbox.openstack_lines(&(lines.join("\n") + "\n"));
    for (line, words) in expected {
        assert!(printed.contains(words), "{line} does not say {words:?}:\n{printed}");
    }
    let mut client = sandbox.client();
    client.env("OS_CLOUD", "sandbox-application-credential");
    let issued = client.args(["token", "issue", "-f", "value", "-c", "id"]).output().unwrap();
    assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
}

#[test]
fn an_uploaded_tar_archive_becomes_a_server() {
    let sandbox = Sandbox::start(&[]);
    let tree = sandbox.folder.path().join("tree");
    std::fs::create_dir_all(tree.join("opt/built")).unwrap();
    std::fs::create_dir_all(tree.join("root/.ssh")).unwrap();
    std::fs::write(tree.join("opt/built/mark"), "from an element\n").unwrap();
    std::fs::write(tree.join("root/.ssh/authorized_keys"), sandbox.public_key()).unwrap();
    let archive = sandbox.folder.path().join("image.tar");
    assert!(
        Command::new("tar")
            .arg("-C")
            .arg(&tree)
            .arg("-cf")
            .arg(&archive)
            .arg(".")
            .status()
            .unwrap()
            .success()
    );
    sandbox.openstack(&format!("image create --disk-format raw --file {} uploaded", archive.display()));
    let made = sandbox
        .openstack("server create --flavor m1.tiny --image uploaded --network private --wait -f json up");
    let address =
        made.split('"').find(|word| word.parse::<Ipv4Addr>().is_ok()).expect("an address").to_string();
    wait_until("ssh answers", || sandbox.ssh(&address, "true").0 == 0);
    assert_eq!(sandbox.ssh_ok(&address, "cat /opt/built/mark"), "from an element\n");
}

#[test]
fn commands_run_as_under_a_real_sshd() {
    let sandbox = Sandbox::start(&[]);
    let api = Api::new(&sandbox);
    let (id, address) = api.boot("Shell_1");
    let here = sandbox
        .ssh_ok(&address, "id -u; hostname; pwd; echo $HOME $USER $LOGNAME $SHELL; readlink -f /bin/sh >&2");
    assert_eq!(here, "0\nshell-1\n/root\n/root root root /bin/bash\n");
    assert_eq!(sandbox.ssh(&address, "echo out; echo err >&2; exit 3"), (3, "out\n".into(), "err\n".into()));
    // OpenSSH's client says 255 for a command that a signal ended.
    assert_eq!(sandbox.ssh(&address, "kill -KILL $$").0, 255);
    assert_ne!(sandbox.ssh(&address, "touch /usr/bin/mine || mount -o remount,rw /usr").0, 0);

    let terminal =
        sandbox.ssh_command(&format!("root@{address}")).args(["-tt", "tty; exit 4"]).output().unwrap();
    assert_eq!((terminal.status.code(), terminal.stdout.starts_with(b"/dev/pts/")), (Some(4), true));

    // One server's processes see and end each other, also from another connection.
    let group = sandbox.ssh_ok(&address, "(sleep 1000; true) </dev/null >/dev/null 2>&1 & echo $$");
    let group = group.trim();
    sandbox.ssh_ok(&address, &format!("test $(pgrep -g {group} | wc -l) -ge 1 && kill -- -{group}"));
    wait_until("the group is gone", || sandbox.ssh(&address, &format!("pgrep -g {group}")).0 == 1);

    // A client that goes away does not take its command with it.
    let mut client = sandbox
        .ssh_command(&format!("root@{address}"))
        .arg("echo up; exec sleep 4242")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    client.kill().unwrap();
    client.wait().unwrap();
    wait_until("the command goes on", || sandbox.ssh(&address, "pgrep -x sleep -a | grep 4242").0 == 0);

    // An open session ends with its server, and nobody answers there any more.
    let mut open = sandbox
        .ssh_command(&format!("root@{address}"))
        .arg("echo up; exec sleep 1000")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(open.stdout.take().unwrap()).read_line(&mut line).unwrap();
    api.delete_and_wait(&id);
    wait_until("the session is cut", || open.try_wait().unwrap().is_some());
    assert!(TcpStream::connect((address.as_str(), sandbox.ssh_port)).is_err());
}

#[test]
fn input_reaches_commands_whole_and_only_known_keys_get_in() {
    let sandbox = Sandbox::start(&["--users", "root,builder"]);
    let api = Api::new(&sandbox);
    let (_, address) = api.boot("input");
    let pipe = |user: &str, command: &str, input: &[u8]| {
        let mut ssh = sandbox.ssh_command(&format!("{user}@{address}"));
        let mut ssh = ssh.arg(command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, input) = (ssh.stdin.take().unwrap(), input.to_vec());
        let writer = std::thread::spawn(move || to.write_all(&input));
        let output = ssh.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        (output.status.code(), output.stdout)
    };
    let many: Vec<u8> = (0..8_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    assert!(pipe("root", "cat", &many) == (Some(0), many), "eight million bytes there and back");
    // A command that does not read its input still ends.
    assert_eq!(pipe("root", "exit 5", &vec![0; 100_000]).0, Some(5));

    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o751);
    header.set_uid(1234);
    header.set_gid(1234);
    archive.append_data(&mut header, "script", &b"hi\n"[..]).unwrap();
    let archive = archive.into_inner().unwrap();
    let unpacked = pipe("root", "tar -xpf - -C /opt && stat -c %a /opt/script", &archive);
    assert_eq!(unpacked, (Some(0), b"751\n".to_vec()));

    assert_eq!(pipe("builder", "pwd", b""), (Some(0), b"/home/builder\n".to_vec()));
    sandbox.ssh_ok(
        &address,
        "sudo useradd -m jenkins && sudo install -d -o jenkins -m 700 ~jenkins/.ssh && \
         cp ~/.ssh/authorized_keys ~jenkins/.ssh/ && sudo chown -R jenkins:jenkins ~jenkins",
    );
    assert_eq!(pipe("jenkins", "echo $USER; pwd", b""), (Some(0), b"jenkins\n/home/jenkins\n".to_vec()));
    assert_eq!(pipe("nobody", "true", b"").0, Some(255));
    sandbox.ssh_ok(
        &address,
        "rm ~jenkins/.ssh/authorized_keys; ln -s /root/.ssh/authorized_keys ~jenkins/.ssh/",
    );
    assert_eq!(pipe("jenkins", "true", b"").0, Some(255), "links in a tree are not followed from outside");
}

#[test]
fn faults_come_from_a_file_and_change_while_it_runs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sandbox/faults.yaml");
    let sandbox = Sandbox::start(&["--faults", file.to_str().unwrap()]);
    let api = Api::new(&sandbox);
    let slow = api.send("GET", "/compute/v2.1/flavors/detail", None, &[]).unwrap();
    assert_eq!((slow.status, slow.headers["retry-after"].to_str().unwrap()), (429, "3"));
    assert_eq!(slow.body["overLimit"]["code"], 429);
    let asked = Instant::now();
    api.get("/compute/v2.1/limits");
    assert!(asked.elapsed() >= Duration::from_millis(300));

    // The first answer is lost; the server is there all the same, and ends in ERROR.
    assert!(api.create("lost", &json!({})).is_err());
    let found = api.get("/compute/v2.1/servers?name=lost")["servers"][0]["id"].as_str().unwrap().to_string();
    let failed = api.wait_for(&found, "ERROR");
    assert!(failed["fault"]["message"].as_str().unwrap().starts_with("No valid host"));

    let second = api.create_ok("second", &json!({}));
    // Its faults are drawn when it begins to boot, so that the next ones are the third one's.
    api.wait_for(&second, "ACTIVE");
    let refused = api.create("third", &json!({})).unwrap();
    assert_eq!(
        (refused.status, refused.body["forbidden"]["message"].as_str().unwrap()),
        (403, "Quota exceeded for instances: Requested 1, but already used 2 of 2 instances")
    );

    let change = json!({"quota": {"instances": 3}, "listing-lag-seconds": 500, "ssh-never": {"count": 1}});
    let changed = api.send("PATCH", "/sandbox/faults", Some(&change), &[]).unwrap();
    assert_eq!((changed.status, &changed.body["seed"]), (200, &json!(7)));
    assert_eq!(api.get("/compute/v2.1/servers/detail")["servers"], json!([]), "as it was before");
    let third = api.create_ok("third", &json!({}));
    let address =
        api.wait_for(&third, "ACTIVE")["addresses"]["private"][0]["addr"].as_str().unwrap().to_string();
    assert!(TcpStream::connect((address.as_str(), sandbox.ssh_port)).is_err());

    let wrong = api.send("PUT", "/sandbox/faults", Some(&json!({"boot-second": 1})), &[]).unwrap();
    assert_eq!(wrong.status, 400);
    api.send("PUT", "/sandbox/faults", Some(&json!({"snapshot-error": {"count": 1}})), &[]).unwrap();
    assert_eq!(api.get("/compute/v2.1/servers/detail")["servers"].as_array().unwrap().len(), 3);
    let path = format!("/compute/v2.1/servers/{second}/action");
    let image = api.send("POST", &path, Some(&json!({"createImage": {"name": "bad"}})), &[]).unwrap();
    assert_eq!(image.status, 202);
    wait_until("the failed image is gone", || {
        api.get("/image/v2/images?name=bad")["images"] == json!([])
            && api.server(&second)["OS-EXT-STS:task_state"].is_null()
    });

    let counts = api.get("/sandbox/requests");
    assert_eq!(counts["requests"]["server-create"]["403"], 1);
    assert_eq!(api.send("DELETE", "/sandbox/requests", None, &[]).unwrap().status, 204);
    assert!(api.get("/sandbox/requests")["requests"].get("server-create").is_none());
}

#[test]
fn nova_answers_as_a_client_of_a_pool_expects() {
    let sandbox = Sandbox::start(&["--token-life", "1h"]);
    let api = Api::new(&sandbox);
    assert_eq!(api.log_in("wrong"), Err(401));
    assert_eq!(
        api.send("GET", "/compute/v2.1/servers", None, &[("x-auth-token", "wrong")]).unwrap().status,
        401
    );
    let version =
        |value| api.send("GET", "/compute/v2.1/limits", None, &[("openstack-api-version", value)]).unwrap();
    assert_eq!(version("compute 2.93").headers["openstack-api-version"], "compute 2.93");
    assert_eq!(version("compute 2.94").status, 406);
    assert!(version("compute 2.1").headers.contains_key("x-openstack-request-id"));

    let bad = api.create("bad", &json!({"imageRef": "00000000-0000-4000-8000-000000000000"})).unwrap();
    assert_eq!(
        (bad.status, &bad.body["badRequest"]["message"]),
        (400, &json!("Can not find requested image"))
    );
    let tags = json!({"tags": ["pool", "attempt:1"], "metadata": {"a": "b"}});
    let ids: Vec<String> = ["a", "b", "c"].map(|name| api.create_ok(name, &tags)).into();
    api.create_ok("untagged", &json!({}));
    let tagged = api.get("/compute/v2.1/servers/detail?tags=pool&limit=2");
    assert_eq!(tagged["servers"].as_array().unwrap().len(), 2);
    let next =
        tagged["servers_links"][0]["href"].as_str().unwrap().strip_prefix(&sandbox.url).unwrap().to_string();
    let rest = api.get(&next);
    assert_eq!(rest["servers"][0]["id"], json!(ids[0]));
    assert!(rest.get("servers_links").is_none());

    // Clients page until a page is empty.
    let networks = api.get("/network/v2.0/networks?limit=50")["networks"].take();
    let last = networks.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_string();
    assert_eq!(api.get(&format!("/network/v2.0/networks?marker={last}"))["networks"], json!([]));
    wait_until("two have a port", || api.get("/network/v2.0/ports")["ports"].as_array().unwrap().len() > 1);
    assert_eq!(api.get("/network/v2.0/ports?limit=1")["ports_links"][0]["rel"], "next");

    let shown = api.wait_for(&ids[0], "ACTIVE");
    assert_eq!((&shown["tags"], &shown["metadata"]), (&tags["tags"], &tags["metadata"]));
    let path = format!("/compute/v2.1/servers/{}/action", ids[0]);
    let snapshot = |name| {
        api.send(
            "POST",
            &path,
            Some(&json!({"createImage": {"name": name}})),
            &[("openstack-api-version", "compute 2.45")],
        )
        .unwrap()
    };
    let slow = json!({"snapshot-seconds": 600});
    assert_eq!(api.send("PATCH", "/sandbox/faults", Some(&slow), &[]).unwrap().status, 200);
    let first = snapshot("one");
    assert_eq!(first.status, 202);
    assert!(first.headers["location"].to_str().unwrap().ends_with(first.body["image_id"].as_str().unwrap()));
    let again = snapshot("two");
    assert_eq!(again.status, 409, "{}", again.body);
    let unknown = api.send("POST", &path, Some(&json!({"no-such": null})), &[]).unwrap();
    assert_eq!(unknown.status, 400);

    let before = &shown["updated"].as_str().unwrap();
    api.delete_and_wait(&ids[0]);
    let changed = api.get(&format!("/compute/v2.1/servers/detail?changes-since={before}"));
    let deleted =
        changed["servers"].as_array().unwrap().iter().find(|server| server["id"] == ids[0]).unwrap();
    assert_eq!(deleted["status"], "DELETED");
    let again = api.send("DELETE", &format!("/compute/v2.1/servers/{}", ids[0]), None, &[]).unwrap();
    assert_eq!((again.status, &again.body["itemNotFound"]["code"]), (404, &json!(404)));
}

#[test]
fn a_token_expires() {
    let sandbox = Sandbox::start(&["--token-life", "300ms"]);
    let api = Api::new(&sandbox);
    let asked = || api.send("GET", "/compute/v2.1/limits", None, &[]).unwrap().status;
    wait_until("the token has expired", || asked() == 401);
}

#[test]
fn a_stop_leaves_no_process_no_file_and_no_listener() {
    let mut sandbox = Sandbox::start(&[]);
    let state = sandbox.state();
    let (api_port, address) = {
        let api = Api::new(&sandbox);
        let (_, address) = api.boot("busy");
        sandbox.ssh_ok(&address, "setsid sleep 1000 </dev/null >/dev/null 2>&1 & mkdir -m 500 /opt/closed");
        (sandbox.url.rsplit(':').next().unwrap().parse::<u16>().unwrap(), address)
    };
    assert!(processes_of(&state) > 0);
    sandbox.terminate();
    wait_until("every process is gone", || processes_of(&state) == 0);
    assert!(!state.exists(), "{} is left", state.display());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, api_port)).is_err());
    assert!(TcpStream::connect((address.as_str(), sandbox.ssh_port)).is_err());
}

#[test]
fn a_second_sandbox_and_a_foreign_folder_are_refused() {
    let sandbox = Sandbox::start(&[]);
    let try_in = |folder: &Path| {
        let mut command = Command::new("timeout");
        command.args(["20", env!("CARGO_BIN_EXE_nodepool-sandbox"), "--port", "0", "--state-dir"]);
        command.arg(folder).output().unwrap()
    };
    let second = try_in(&sandbox.state());
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another sandbox is running"));
    let foreign = sandbox.folder.path().join("foreign");
    std::fs::create_dir_all(foreign.join("images")).unwrap();
    std::fs::write(foreign.join("letter"), "dear reader").unwrap();
    assert!(!try_in(&foreign).status.success());
    assert!(foreign.join("letter").exists() && foreign.join("images").exists());
}
