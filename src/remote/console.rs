//! Host keys as cloud-init prints them on the console of a machine that boots.

use russh::keys::PublicKey;

use super::ssh::public_line;
use crate::model::HostKey;

/// The lines between which cloud-init prints them.
const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";

/// How each kind of key begins, the one to be preferred first.
const KINDS: [&str; 5] =
    ["ssh-ed25519 ", "ecdsa-sha2-nistp256 ", "ecdsa-sha2-nistp384 ", "ecdsa-sha2-nistp521 ", "ssh-rsa "];

/// The host key to hold a machine to, from what it printed on its console: the best of the last complete block. `None`
/// while there is no such block, or none of its lines is a key.
///
/// The kernel prints on the same console, so a line may have something before the key, and a key that something else was
/// printed into is none.
pub fn host_key_on_console(console: &str) -> Option<HostKey> {
    let end = console.rfind(END)?;
    let begin = console.get(..end)?.rfind(BEGIN)?;
    let block = console.get(begin..end)?;
    KINDS.iter().find_map(|kind| block.lines().find_map(|line| key_in(line, kind)))
}

fn key_in(line: &str, kind: &str) -> Option<HostKey> {
    let found = line.get(line.find(kind)?..)?;
    let mut words = found.split_whitespace();
    let bare = format!("{} {}", words.next()?, words.next()?);
    let key = PublicKey::from_openssh(&bare).ok()?;
    public_line(&key).ok().map(HostKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

    fn console(keys: &[&str]) -> String {
        format!(
            "[    1.2] systemd[1]: x\r\nci-info: no authorized SSH keys fingerprints found for user debian.\r\n\
             {BEGIN}\r\n{}\r\n{END}\r\n[   14.7] cloud-init[612]: done\r\n",
            keys.join("\r\n")
        )
    }

    #[test]
    fn the_best_key_of_the_block_is_taken() {
        let text =
            console(&[&format!("{ECDSA} root@n1"), &format!("{ED25519} root@n1"), "ssh-rsa AAAAB3 root@n1"]);
        assert_eq!(host_key_on_console(&text), Some(HostKey(ED25519.to_owned())));
        let text = console(&[&format!("[   14.0] cloud-init[612]: {ECDSA} root@n1")]);
        assert_eq!(host_key_on_console(&text), Some(HostKey(ECDSA.to_owned())));
    }

    #[test]
    fn the_last_block_counts() {
        let other = ED25519.replace("ILM+", "IAAA");
        let text = console(&[&other]) + &console(&[ED25519]);
        assert_eq!(host_key_on_console(&text), Some(HostKey(ED25519.to_owned())));
    }

    #[test]
    fn what_is_no_key_is_not_believed() {
        let begun = console(&[ED25519]).replace(END, "");
        let broken = ED25519.replace("C1lZDI", "[ 14.1] random");
        let lying = ED25519.replace("ssh-ed25519 ", "ssh-rsa ");
        for text in ["", END, &begun, &console(&[]), &console(&[&broken]), &console(&[&lying])] {
            assert_eq!(host_key_on_console(text), None, "{text}");
        }
        assert_eq!(host_key_on_console(&format!("{END} {ED25519} {BEGIN}")), None);
    }
}
