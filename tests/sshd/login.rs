//! Getting in: keys, users, host keys, patience.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use nodepool::model::HostKey;
use nodepool::remote::{Remote as _, RemoteError, RemoteFile, SshRemote, Trust, generate_keypair};
use secrecy::ExposeSecret as _;

use super::server::{Kept, Server, command, me, until, write};

#[tokio::test]
async fn each_kind_of_key_opens() {
    let server = Server::started();
    let keys = [
        server.let_in("ed25519", &["-t", "ed25519"]),
        server.let_in("rsa", &["-t", "rsa", "-b", "2048"]),
        server.let_in("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        server.let_in("rsa_pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        server.let_in("p256", &["-t", "ecdsa", "-b", "256"]),
        server.let_in("p384_pem", &["-t", "ecdsa", "-b", "384", "-m", "PEM"]),
        server.let_in("p521_pkcs8", &["-t", "ecdsa", "-b", "521", "-m", "PKCS8"]),
    ];
    let remote = SshRemote::new();
    for private_key in keys {
        let mut endpoint = server.endpoint();
        endpoint.private_key.clone_from(&private_key);
        let connection =
            remote.connect(&endpoint).await.unwrap_or_else(|error| panic!("{private_key:?}: {error}"));
        assert_eq!(connection.user(), me());
        let public = fs::read_to_string(private_key.with_extension("pub")).unwrap();
        let expected: Vec<&str> = public.split_whitespace().take(2).collect();
        assert_eq!(remote.public_key(&private_key).await.unwrap(), expected.join(" "));
    }
}

/// One P-256 key in 256 has a number that begins with a zero byte, which OpenSSH leaves out.
#[tokio::test]
async fn a_key_with_a_short_number_opens() {
    /// The number 0x0102..1f as RFC 5915 writes it.
    const SHORT: &str = "-----BEGIN EC PRIVATE KEY-----
MDECAQEEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4foAoGCCqGSM49AwEH
-----END EC PRIVATE KEY-----
";
    let server = Server::started();
    let mut endpoint = server.endpoint();
    endpoint.private_key = server.path("short");
    write(&endpoint.private_key, SHORT.as_bytes(), 0o600);
    // In the older format it has all its bytes; this rewrites it in OpenSSH's own.
    let rewritten =
        Process::new("ssh-keygen").args(["-q", "-p", "-N", "", "-f"]).arg(&endpoint.private_key).output();
    assert!(rewritten.unwrap().status.success());
    assert!(fs::read_to_string(&endpoint.private_key).unwrap().contains("BEGIN OPENSSH PRIVATE KEY"));
    let derived = Process::new("ssh-keygen").arg("-y").arg("-f").arg(&endpoint.private_key).output().unwrap();
    fs::write(server.path("authorized"), &derived.stdout).unwrap();
    SshRemote::new().connect(&endpoint).await.unwrap();
}

#[tokio::test]
async fn a_generated_pair_opens() {
    let server = Server::started();
    let pair = generate_keypair("node set 1").unwrap();
    assert!(
        pair.public.starts_with("ssh-ed25519 AAAA") && pair.public.ends_with(" node set 1"),
        "{}",
        pair.public
    );
    assert!(!format!("{pair:?}").contains("PRIVATE"));
    write(&server.path("pair"), pair.private.expose_secret().as_bytes(), 0o600);
    fs::write(server.path("authorized"), &pair.public).unwrap();
    let mut endpoint = server.endpoint();
    endpoint.private_key = server.path("pair");
    SshRemote::new().connect(&endpoint).await.unwrap();
    let derived = Process::new("ssh-keygen").arg("-y").arg("-f").arg(server.path("pair")).output().unwrap();
    assert_eq!(String::from_utf8(derived.stdout).unwrap().trim(), pair.public);
}

#[tokio::test]
async fn an_encrypted_key_is_named_as_such() {
    let server = Server::prepared("");
    for (name, format) in [("rfc4716", "RFC4716"), ("pem", "PEM"), ("pkcs8", "PKCS8")] {
        let mut endpoint = server.endpoint();
        endpoint.private_key = server.path(name);
        let made = Process::new("ssh-keygen")
            .args(["-q", "-N", "a passphrase", "-t", "rsa", "-b", "2048", "-m", format, "-f"])
            .arg(&endpoint.private_key)
            .status();
        assert!(made.unwrap().success());
        let error = SshRemote::new().connect(&endpoint).await.err().unwrap();
        assert!(
            matches!(&error, RemoteError::Local(text) if text.contains("is encrypted")),
            "{format}: {error}"
        );
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_our_fault() {
    let server = Server::prepared("");
    write(&server.path("nonsense"), b"no key", 0o600);
    for name in ["missing", "nonsense"] {
        let mut endpoint = server.endpoint();
        endpoint.private_key = server.path(name);
        let error = SshRemote::new().connect(&endpoint).await.err().unwrap();
        assert!(matches!(&error, RemoteError::Local(text) if text.contains(name)), "{error}");
    }
}

#[tokio::test]
async fn the_host_key_is_given_and_must_stay() {
    let mut server = Server::prepared("");
    let host_rsa = server.let_in("host_rsa", &["-t", "rsa", "-b", "2048"]);
    let config = fs::read_to_string(server.path("sshd_config")).unwrap();
    fs::write(server.path("sshd_config"), format!("{config}HostKey {}\n", host_rsa.display())).unwrap();
    server.start();
    let remote = SshRemote::new();
    let public = |name: &str| {
        let line = fs::read_to_string(server.path(name)).unwrap();
        HostKey(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    };
    let mut endpoint = server.endpoint();
    // Whichever of the server's keys was recorded is asked for.
    for recorded in [None, Some(public("host.pub")), Some(public("host_rsa.pub"))] {
        endpoint.trust = recorded.clone().map_or(Trust::FirstContact, Trust::Only);
        let connection = remote.connect(&endpoint).await.unwrap();
        assert_eq!(*connection.host_key(), recorded.unwrap_or_else(|| public("host.pub")));
    }
    endpoint.trust = Trust::Only(public("user.pub"));
    let began = Instant::now();
    let error = remote.connect(&endpoint).await.err().unwrap();
    let (recorded, found) = (public("user.pub"), public("host.pub"));
    assert_eq!(error, RemoteError::WrongHostKey { recorded, found });
    assert!(began.elapsed() < endpoint.patience, "a wrong host key must not be tried again");
}

#[tokio::test]
async fn a_refused_user_makes_way_for_the_next() {
    let server = Server::started();
    let mut endpoint = server.endpoint();
    endpoint.users = vec!["no-such-user".to_owned(), "nor-this-one".to_owned(), me()];
    assert_eq!(SshRemote::new().connect(&endpoint).await.unwrap().user(), me());
}

#[tokio::test]
async fn a_user_who_is_only_told_to_be_another_makes_way() {
    // The first login gets what cloud-init's forced command for root says; every later one gets a shell.
    let server = Server::prepared("");
    let script = format!(
        "#!/bin/sh\nif mkdir {} 2>/dev/null; then\n  echo 'Please login as the user \"debian\" rather than the user \
         \"root\".'; echo; sleep 10; exit 142\nfi\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        server.path("was-there").display()
    );
    write(&server.path("forced"), script.as_bytes(), 0o755);
    let config = fs::read_to_string(server.path("sshd_config")).unwrap();
    let forced = format!("{config}ForceCommand {}\n", server.path("forced").display());
    fs::write(server.path("sshd_config"), forced).unwrap();
    let mut server = server;
    server.start();
    until("sshd listens", || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).is_ok()).await;
    let mut endpoint = server.endpoint();
    endpoint.users = vec![me(), me()];
    let began = Instant::now();
    let mut connection = SshRemote::new().connect(&endpoint).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(9), "waited for the forced command to end");
    assert_eq!(connection.run(&command("exit 7"), &mut Kept::default()).await, Ok(7));
}

#[tokio::test]
async fn a_machine_that_comes_up_late_is_reached() {
    let mut server = Server::prepared("LogLevel VERBOSE");
    let (remote, endpoint) = (SshRemote::new(), server.endpoint());
    let authorized = fs::read(server.path("authorized")).unwrap();
    fs::write(server.path("authorized"), "").unwrap();
    // First something takes the connection and hangs up, then nothing listens, then sshd does not know our key yet.
    let early = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
    let connecting = tokio::spawn(async move { remote.connect(&endpoint).await.map(|_| ()) });
    drop(early.accept().await.unwrap());
    drop(early);
    server.start();
    let log = server.path("sshd.log");
    until("sshd refuses", || fs::read_to_string(&log).unwrap().contains("Failed publickey")).await;
    assert!(!connecting.is_finished());
    fs::write(server.path("authorized"), authorized).unwrap();
    connecting.await.unwrap().unwrap();
}

#[tokio::test]
async fn patience_ends() {
    let server = Server::prepared("");
    let mut endpoint = server.endpoint();
    endpoint.patience = Duration::from_secs(2);
    let began = Instant::now();
    let error = SshRemote::new().connect(&endpoint).await.err().unwrap();
    // The last attempt may have come too late to be refused.
    let is_told = |text: &str| text.contains("refused") || text.contains("no login in time");
    assert!(matches!(&error, RemoteError::Unreachable(text) if is_told(text)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    // A machine that takes connections and says nothing.
    let mute = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    endpoint.port = mute.local_addr().unwrap().port();
    let error = SshRemote::new().connect(&endpoint).await.err().unwrap();
    assert!(matches!(&error, RemoteError::Unreachable(text) if text.contains("no login in time")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_machines_at_once() {
    let server = Server::started();
    server.connect().await;
    let remote = std::sync::Arc::new(SshRemote::new());
    let mut connecting = tokio::task::JoinSet::new();
    for number in 0..100_u32 {
        let (remote, mut endpoint) = (std::sync::Arc::clone(&remote), server.endpoint());
        endpoint.patience = Duration::from_mins(3);
        let path = server.path(&format!("etc/{number}"));
        connecting.spawn(async move {
            let mut connection = remote.connect(&endpoint).await?;
            let file =
                RemoteFile { path: path.clone(), content: number.to_string().into_bytes(), mode: 0o644 };
            connection.write_files(&[file], endpoint.patience).await?;
            Ok::<_, RemoteError>((fs::read_to_string(path).unwrap() == number.to_string(), connection))
        });
    }
    let mut open = Vec::new();
    while let Some(done) = connecting.join_next().await {
        let (right, connection) = done.unwrap().unwrap();
        assert!(right);
        open.push(connection);
    }
    assert_eq!(open.len(), 100);
}
