//! What all machines share: the tools they are made with, the folders they live in, the base file tree.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tools::{self, Tools};

/// Folders of the machine that every server sees as its own, read only. `/usr` is always one of them.
const SYSTEM_FOLDERS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Parts of `/etc` that servers see read only, because they belong to what is installed in `/usr`.
const SHARED_ETC: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "fonts",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "perl",
    "python3",
    "python3.11",
    "python3.13",
    "pki",
    "ssl",
];
/// Small files of `/etc` that a base image starts with as a copy.
const COPIED_ETC: &[&str] = &[
    "bash.bashrc",
    "debian_version",
    "environment",
    "gai.conf",
    "host.conf",
    "inputrc",
    "locale.alias",
    "login.defs",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "profile",
    "protocols",
    "resolv.conf",
    "services",
    "shells",
    "timezone",
];

/// Where machines live and what they are made with.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) state_dir: PathBuf,
    pub(super) tools: Tools,
    pub(super) users: Vec<String>,
}

impl Place {
    /// Looks for the tools, empties the folders and writes the commands that servers have of their own.
    pub(crate) fn new(state_dir: PathBuf, users: Vec<String>) -> io::Result<Self> {
        let tools = Tools::find()?;
        for folder in ["servers", "images", "commands"] {
            tools.remove_tree(&state_dir.join(folder))?;
            fs::create_dir_all(state_dir.join(folder))?;
        }
        super::commands::write(&state_dir.join("commands"))?;
        Ok(Place { state_dir, tools, users })
    }

    /// The folder of an image.
    pub(crate) fn image_folder(&self, id: &str) -> PathBuf {
        self.state_dir.join("images").join(id)
    }

    /// The folder of a server.
    pub(crate) fn server_folder(&self, id: &str) -> PathBuf {
        self.state_dir.join("servers").join(id)
    }

    /// Makes the file tree of a base image.
    pub(crate) fn make_base_image(&self, folder: &Path) -> io::Result<()> {
        let tree = folder.join("tree");
        for inner in [
            "dev",
            "etc",
            "etc/nodepool",
            "etc/ssh",
            "home",
            "opt",
            "proc",
            "root",
            "run",
            "srv",
            "sys",
            "tmp",
            "usr",
            "var",
            "var/cache",
            "var/lib",
            "var/log",
            "var/tmp",
        ] {
            fs::create_dir_all(tree.join(inner))?;
        }
        fs::set_permissions(tree.join("root"), fs::Permissions::from_mode(0o700))?;
        for inner in ["tmp", "var/tmp"] {
            fs::set_permissions(tree.join(inner), fs::Permissions::from_mode(0o1777))?;
        }
        symlink("/run", tree.join("var/run"))?;
        for name in SYSTEM_FOLDERS {
            // On a merged /usr these are links; a server has the same links.
            if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
                symlink(target, tree.join(name))?;
            }
        }
        for name in COPIED_ETC {
            let from = Path::new("/etc").join(name);
            if from.is_file() {
                fs::write(tree.join("etc").join(name), fs::read(&from)?)?;
            }
        }
        for (name, target) in [
            ("os-release", "../usr/lib/os-release"),
            ("localtime", "/usr/share/zoneinfo/Etc/UTC"),
            ("mtab", "/proc/self/mounts"),
        ] {
            symlink(target, tree.join("etc").join(name))?;
        }
        self.make_users(&tree)
    }

    /// Everyone is uid 0: a user namespace that a normal user may make maps one uid only.
    fn make_users(&self, tree: &Path) -> io::Result<()> {
        let mut passwd = vec![
            "root:x:0:0:root:/root:/bin/bash".to_string(),
            "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin".into(),
            "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin".into(),
        ];
        let mut group: Vec<String> =
            ["root:x:0:", "daemon:x:1:", "adm:x:4:", "tty:x:5:", "sudo:x:27:", "nogroup:x:65534:"]
                .map(Into::into)
                .into();
        let mut shadow = vec!["root:*:19000:0:99999:7:::".to_string()];
        let others = self.users.iter().filter(|user| *user != "root");
        for (user, id) in others.zip(1000_u32..) {
            passwd.push(format!("{user}:x:{id}:{id}::/home/{user}:/bin/bash"));
            group.push(format!("{user}:x:{id}:"));
            shadow.push(format!("{user}:*:19000:0:99999:7:::"));
            fs::create_dir_all(tree.join("home").join(user))?;
        }
        let file = |lines: Vec<String>| lines.join("\n") + "\n";
        fs::write(tree.join("etc/passwd"), file(passwd))?;
        fs::write(tree.join("etc/group"), file(group))?;
        fs::write(tree.join("etc/shadow"), file(shadow))?;
        fs::set_permissions(tree.join("etc/shadow"), fs::Permissions::from_mode(0o640))
    }

    /// The mounts that turn a tree into a server's `/`.
    pub(super) fn mounts(&self, tree: &Path) -> Vec<std::ffi::OsString> {
        let mut arguments: Vec<std::ffi::OsString> = Vec::new();
        let mut add = |words: [&std::ffi::OsStr; 3]| arguments.extend(words.map(Into::into));
        add(["--bind".as_ref(), tree.as_os_str(), "/".as_ref()]);
        add(["--ro-bind".as_ref(), "/usr".as_ref(), "/usr".as_ref()]);
        for name in SYSTEM_FOLDERS {
            let folder = Path::new("/").join(name);
            if folder.is_dir() && !folder.is_symlink() {
                add(["--ro-bind".as_ref(), folder.as_os_str(), folder.as_os_str()]);
            }
        }
        for name in SHARED_ETC {
            let part = Path::new("/etc").join(name);
            add(["--ro-bind-try".as_ref(), part.as_os_str(), part.as_os_str()]);
        }
        let commands = self.state_dir.join("commands");
        add(["--ro-bind".as_ref(), commands.as_os_str(), "/usr/local/sbin".as_ref()]);
        add(["--ro-bind".as_ref(), "/sys".as_ref(), "/sys".as_ref()]);
        arguments.extend(["--dev", "/dev", "--proc", "/proc"].map(Into::into));
        arguments
    }

    /// After an upload: the tree of the image is the base tree, and what the file holds if it is a tar archive.
    pub(crate) async fn unpack_image(self: &Arc<Self>, folder: &Path) -> io::Result<()> {
        let (place, inside) = (Arc::clone(self), folder.to_path_buf());
        let made = tokio::task::spawn_blocking(move || {
            place.remove_tree(&inside.join("tree"))?;
            place.make_base_image(&inside)?;
            is_tar(&inside.join("data"))
        });
        if made.await.map_err(io::Error::other)?? {
            self.tools.run(&[(folder, "/image")], tools::UNPACK_SCRIPT, &[]).await?;
        }
        Ok(())
    }

    /// Removes a server's or an image's folder, whatever modes its files have.
    pub(crate) fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        self.tools.remove_tree(folder)
    }

    /// Removes what this sandbox put into the state folder.
    pub(crate) fn remove_all(&self) -> io::Result<()> {
        for folder in ["servers", "images", "commands"] {
            self.tools.remove_tree(&self.state_dir.join(folder))?;
        }
        Ok(())
    }
}

/// POSIX tar has its name at a fixed place of the first header.
fn is_tar(path: &Path) -> io::Result<bool> {
    use std::io::Read as _;
    let mut start = Vec::new();
    fs::File::open(path)?.take(262).read_to_end(&mut start)?;
    Ok(start.get(257..262) == Some(b"ustar"))
}
