//! Commands that a server has of its own, first in its PATH: what usually needs more than one uid or a package
//! manager, done in a way that works where there is one uid and the machine's software is shared.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Name in `/usr/local/sbin`, and the script.
const COMMANDS: &[(&str, &str)] = &[
    ("adduser", include_str!("../commands/adduser.sh")),
    ("addgroup", include_str!("../commands/groupadd.sh")),
    ("apt", include_str!("../commands/apt-get.sh")),
    ("apt-get", include_str!("../commands/apt-get.sh")),
    ("chgrp", include_str!("../commands/chown.sh")),
    ("chown", include_str!("../commands/chown.sh")),
    ("groupadd", include_str!("../commands/groupadd.sh")),
    ("hostname", include_str!("../commands/hostname.sh")),
    ("install", include_str!("../commands/install.sh")),
    ("java", include_str!("../commands/java.sh")),
    ("runuser", include_str!("../commands/su.sh")),
    ("su", include_str!("../commands/su.sh")),
    ("sudo", include_str!("../commands/sudo.sh")),
    ("useradd", include_str!("../commands/useradd.sh")),
    ("userdel", include_str!("../commands/userdel.sh")),
    ("usermod", include_str!("../commands/usermod.sh")),
];

/// Writes them into a folder.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    for (name, script) in COMMANDS {
        let path = folder.join(name);
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
