//! Trees and files on their way.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use nodepool::remote::{RemoteError, RemoteFile};

use super::server::{Server, write};

const MINUTE: Duration = Duration::from_mins(1);

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_tree_is_copied_whole_and_replaces() {
    let server = Server::started();
    let (from, to) = (server.path("scripts"), server.path("there/scripts"));
    let large: Vec<u8> =
        (0..5_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    write(&from.join("run.sh"), b"#!/bin/sh\n", 0o755);
    write(&from.join("a b/'deep'/large"), &large, 0o640);
    write(&from.join("secret"), b"", 0o600);
    let long = format!("{}/{}", "n".repeat(150), "m".repeat(200));
    write(&from.join(&long), b"long", 0o644);
    fs::create_dir(from.join("empty")).unwrap();
    fs::set_permissions(from.join("empty"), fs::Permissions::from_mode(0o1770)).unwrap();
    fs::set_permissions(&from, fs::Permissions::from_mode(0o711)).unwrap();
    symlink("run.sh", from.join("link")).unwrap();
    symlink("/etc", from.join("a b/out")).unwrap();
    // What is there already goes, also what looks like the tree.
    write(&to.join("old"), b"old", 0o644);

    let mut connection = server.connect().await;
    for _ in 0..2 {
        connection.copy_tree(&from, to.to_str().unwrap(), MINUTE).await.unwrap();
    }
    assert_eq!(fs::read(to.join("a b/'deep'/large")).unwrap(), large);
    assert_eq!(fs::read(to.join(&long)).unwrap(), b"long");
    assert_eq!(mode(&to), 0o711);
    assert_eq!(mode(&to.join("run.sh")), 0o755);
    assert_eq!(mode(&to.join("a b/'deep'/large")), 0o640);
    assert_eq!(mode(&to.join("secret")), 0o600);
    assert_eq!(mode(&to.join("empty")), 0o1770);
    assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("run.sh"));
    assert_eq!(fs::read_link(to.join("a b/out")).unwrap(), Path::new("/etc"));
    let mut names: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(fs::read_dir(server.path("there")).unwrap().count(), 1, "something was left beside it");
}

#[tokio::test]
async fn a_tree_that_cannot_be_copied_is_our_fault() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let to = server.path("to").display().to_string();
    let large = server.path("large");
    write(&large.join("file"), b"", 0o644);
    fs::File::options().write(true).open(large.join("file")).unwrap().set_len(257 << 20).unwrap();
    write(&server.path("file"), b"", 0o644);
    let odd = server.path("odd");
    write(&odd.join("file"), b"", 0o644);
    let _socket = std::os::unix::net::UnixListener::bind(odd.join("socket")).unwrap();
    for (from, why) in [
        (large, "more than 256 MiB"),
        (server.path("missing"), "No such file"),
        (server.path("file"), "not a folder"),
        (odd, "socket is neither"),
    ] {
        let error = connection.copy_tree(&from, &to, MINUTE).await.unwrap_err();
        assert!(matches!(&error, RemoteError::Local(text) if text.contains(why)), "{why}: {error}");
    }
    for to in ["relative", "/", "/a/../b", "/a/"] {
        let error = connection.copy_tree(&server.path("odd"), to, MINUTE).await.unwrap_err();
        assert!(matches!(&error, RemoteError::Local(_)), "{to}: {error}");
    }
    assert!(!server.path("to").exists());
}

#[tokio::test]
async fn a_machine_that_refuses_says_why() {
    let server = Server::started();
    write(&server.path("from/file"), b"content", 0o644);
    write(&server.path("in-the-way"), b"", 0o644);
    let mut connection = server.connect().await;
    let to = server.path("in-the-way/to").display().to_string();
    let error = connection.copy_tree(&server.path("from"), &to, MINUTE).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Rejected(text) if text.contains("Not a directory")), "{error}");
    // The connection is of use after that.
    let to = server.path("to").display().to_string();
    connection.copy_tree(&server.path("from"), &to, MINUTE).await.unwrap();
    assert_eq!(fs::read(server.path("to/file")).unwrap(), b"content");
}

#[tokio::test]
async fn files_are_written_whole_with_their_modes() {
    let server = Server::started();
    let mut connection = server.connect().await;
    let file = |name: &str, content: &[u8], mode| RemoteFile {
        path: server.path(name),
        content: content.to_vec(),
        mode,
    };
    write(&server.path("etc/role"), b"older and longer", 0o600);
    let large = vec![7; 3_000_000];
    let files = [
        file("etc/role", b"primary\n", 0o644),
        file("etc/id_rsa", b"private", 0o600),
        file("etc/it's here/x y", b"", 0o640),
        file("other/large", &large, 0o755),
    ];
    for _ in 0..2 {
        connection.write_files(&files, MINUTE).await.unwrap();
        for file in &files {
            assert_eq!(fs::read(&file.path).unwrap(), file.content);
            assert_eq!(mode(&file.path), file.mode);
        }
    }
    let uid = fs::metadata(server.folder.path()).unwrap().uid();
    assert_eq!(fs::metadata(server.path("etc/id_rsa")).unwrap().uid(), uid);
    assert_eq!(fs::read_dir(server.path("etc")).unwrap().count(), 3, "something was left beside them");
    connection.write_files(&[], MINUTE).await.unwrap();
    let error = connection.write_files(&[file("other/large/under", b"", 0o644)], MINUTE).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Rejected(_)), "{error}");
    let wrong = RemoteFile { path: "etc/role".into(), content: Vec::new(), mode: 0o644 };
    let error = connection.write_files(&[wrong], MINUTE).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Local(_)), "{error}");
}

#[tokio::test]
async fn a_user_who_is_not_root_goes_through_sudo() {
    let bin = tempfile::tempdir().unwrap();
    let server = Server::with(&format!(
        "ForceCommand PATH={}:$PATH exec sh -c \"$SSH_ORIGINAL_COMMAND\"",
        bin.path().display()
    ));
    let log = server.path("log");
    let replace = |name: &str, then: &str| {
        let script = format!("#!/bin/sh\necho {name} \"$1 $2 $3\" >>{}\n{then}\n", log.display());
        write(&bin.path().join(name), script.as_bytes(), 0o755);
    };
    replace("id", "echo 1234");
    replace("chown", "");
    replace("sudo", "[ \"$1\" = -n ] || exit 1; shift; exec \"$@\"");
    write(&server.path("from/file"), b"content", 0o644);
    let file = RemoteFile { path: server.path("etc/id_rsa"), content: b"private".to_vec(), mode: 0o600 };

    let mut connection = server.connect().await;
    connection.copy_tree(&server.path("from"), server.path("to").to_str().unwrap(), MINUTE).await.unwrap();
    assert_eq!(fs::read(server.path("to/file")).unwrap(), b"content");
    let calls = fs::read_to_string(&log).unwrap();
    assert!(calls.contains("sudo -n true") && calls.contains("sudo -n sh -c"), "{calls}");
    // What root writes has to be the login user's, or nobody could read it.
    connection.write_files(std::slice::from_ref(&file), MINUTE).await.unwrap();
    assert!(fs::read_to_string(&log).unwrap().contains("chown 1234:1234 "));
    assert_eq!(fs::read(&file.path).unwrap(), file.content);
    // Without sudo the user's own rights are used.
    replace("sudo", "exit 1");
    connection.write_files(std::slice::from_ref(&file), MINUTE).await.unwrap();
}
