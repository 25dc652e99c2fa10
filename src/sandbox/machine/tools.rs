//! The programs of the machine that make servers: bubblewrap, and util-linux to enter a running one.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long a copy or a removal of a tree may take.
const TREE_DEADLINE: Duration = Duration::from_mins(5);
/// How long a signal may take to be sent.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// Copies an image's tree and makes it this server's: names, keys, fresh /tmp and /run.
pub(super) const PREPARE_SCRIPT: &str = include_str!("prepare.sh");
/// Copies a server's tree into an image, without what a boot makes anew.
pub(super) const SNAPSHOT_SCRIPT: &str = include_str!("snapshot.sh");
/// Unpacks an uploaded tar archive over an image's tree.
pub(super) const UNPACK_SCRIPT: &str = include_str!("unpack.sh");

/// Capabilities that processes keep inside a server: what root needs for files, processes and users of its own
/// namespace. CAP_SYS_ADMIN is not among them, so that read-only mounts stay read-only.
const CAPABILITIES: &str = "-all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
    +net_bind_service,+sys_chroot,+sys_ptrace,+setfcap";

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Tools {
    bwrap: PathBuf,
    nsenter: PathBuf,
}

impl Tools {
    /// Finds the programs and tries whether a namespace can be made.
    pub(super) fn find() -> io::Result<Self> {
        let tools =
            Tools { bwrap: on_path("bwrap", "bubblewrap")?, nsenter: on_path("nsenter", "util-linux")? };
        on_path("setpriv", "util-linux")?;
        let mut trial = std::process::Command::new(&tools.bwrap);
        trial.args(NAMESPACES).args([
            "--ro-bind",
            "/",
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--",
            "/bin/true",
        ]);
        let tried = trial.stdin(Stdio::null()).output()?;
        if tried.status.success() {
            return Ok(tools);
        }
        let reason = String::from_utf8_lossy(&tried.stderr).trim().to_string();
        Err(io::Error::other(format!(
            "bubblewrap cannot make a namespace here: {reason}. It needs user namespaces: on Debian \
             'sysctl kernel.unprivileged_userns_clone=1', on Ubuntu 24.04 \
             'sysctl kernel.apparmor_restrict_unprivileged_userns=0', in a container \
             '--security-opt seccomp=unconfined --security-opt systempaths=unconfined'"
        )))
    }

    /// bubblewrap with the namespaces that every server has.
    pub(super) fn server_box(&self) -> Command {
        let mut command = Command::new(&self.bwrap);
        command.args(NAMESPACES).env_clear();
        command
    }

    /// A command that runs inside the namespaces of the process `pid`, in a session of its own, in `folder`.
    pub(super) fn entering(&self, pid: u32, folder: &str) -> Command {
        let mut command = Command::new(&self.nsenter);
        command
            .arg(format!("--target={pid}"))
            .args(["--user", "--preserve-credentials", "--mount", "--pid", "--uts", "--ipc", "--"])
            .args(["/usr/bin/setpriv", &format!("--bounding-set={CAPABILITIES}"), "--"])
            .args(["/usr/bin/setsid", "/usr/bin/env", &format!("--chdir={folder}")])
            .env_clear();
        command
    }

    /// Runs a script over folders, as root of a user namespace: files of any mode can be read and removed. The
    /// script sees `/usr` and the given folders, nothing else of the machine, so no link leads out of a tree.
    pub(super) async fn run(
        &self,
        folders: &[(&Path, &str)],
        script: &str,
        arguments: &[&str],
    ) -> io::Result<()> {
        let mut command = Command::from(self.script(folders, script, arguments));
        command.kill_on_drop(true);
        let done = tokio::time::timeout(TREE_DEADLINE, command.output()).await;
        succeeded(&done.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
    }

    /// Ends a process for sure. The shell's own `kill` is there on every system.
    pub(super) async fn kill(&self, pid: u32) -> io::Result<()> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "kill -KILL \"$1\"", "sandbox", &pid.to_string()])
            .env_clear()
            .stdin(Stdio::null());
        let done = tokio::time::timeout(KILL_DEADLINE, command.kill_on_drop(true).output()).await;
        succeeded(&done.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
    }

    /// Removes a tree, whatever its modes. What is not there is fine.
    pub(super) fn remove_tree(&self, tree: &Path) -> io::Result<()> {
        match fs::remove_dir_all(tree) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            Ok(()) => return Ok(()),
            // A folder without write permission, which a normal user cannot empty from outside.
            Err(_) => {}
        }
        let script = "chmod -R u+rwx /tree; find /tree -mindepth 1 -delete";
        succeeded(&self.script(&[(tree, "/tree")], script, &[]).output()?)?;
        fs::remove_dir(tree)
    }

    fn script(&self, folders: &[(&Path, &str)], script: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.bwrap);
        // The script is process 1: otherwise bubblewrap leaves its own first process behind for init to reap.
        command.args([
            "--unshare-user",
            "--uid",
            "0",
            "--gid",
            "0",
            "--unshare-pid",
            "--die-with-parent",
            "--as-pid-1",
        ]);
        command.args(["--cap-add", "ALL", "--ro-bind", "/usr", "/usr", "--dev", "/dev", "--proc", "/proc"]);
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            let folder = Path::new("/").join(name);
            if let Ok(target) = fs::read_link(&folder) {
                command.args([OsStr::new("--symlink"), target.as_os_str(), folder.as_os_str()]);
            } else if folder.is_dir() {
                command.args([OsStr::new("--ro-bind"), folder.as_os_str(), folder.as_os_str()]);
            }
        }
        for (outside, inside) in folders {
            command.args([OsStr::new("--bind"), outside.as_os_str(), OsStr::new(inside)]);
        }
        command.args(["--chdir", "/", "--", "/bin/sh", "-c", script, "sandbox"]).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command
    }
}

const NAMESPACES: [&str; 9] = [
    "--unshare-user",
    "--uid",
    "0",
    "--gid",
    "0",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-ipc",
    "--die-with-parent",
];

fn succeeded(output: &std::process::Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
    Err(io::Error::other(format!("{}: {said}", output.status)))
}

fn on_path(program: &str, package: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| io::Error::other(format!("{program} is not installed: apt-get install {package}")))
}
