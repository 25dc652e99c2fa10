//! What a server does with its user data: as cloud-init does, it takes its host key from there.

use russh::keys::PrivateKey;
use serde::Deserialize;

#[derive(Deserialize)]
struct CloudConfig {
    ssh_keys: Option<SshKeys>,
}

#[derive(Deserialize)]
struct SshKeys {
    ed25519_private: Option<String>,
}

/// The ed25519 host key that a cloud-config brings. Other parts of it, and other user data, are passed over.
pub(crate) fn host_key(user_data: &str) -> Option<PrivateKey> {
    let text = user_data.strip_prefix("#cloud-config")?;
    let config: CloudConfig = serde_yaml::from_str(text)
        .inspect_err(|error| tracing::warn!(%error, "user data that cloud-init could not read either"))
        .ok()?;
    let key = config.ssh_keys?.ed25519_private?;
    PrivateKey::from_openssh(key)
        .inspect_err(|error| tracing::warn!(%error, "the host key in user data cannot be read"))
        .ok()
}

#[cfg(test)]
mod tests {
    use russh::keys::ssh_key::LineEnding;

    use super::*;

    #[test]
    fn takes_the_host_key_of_a_cloud_config_only() {
        let key = crate::sandbox::random::host_key().unwrap();
        let text = key.to_openssh(LineEnding::LF).unwrap();
        let indented = text.trim().replace('\n', "\n    ");
        let config = format!("#cloud-config\nhostname: x\nssh_keys:\n  ed25519_private: |\n    {indented}\n");
        assert_eq!(host_key(&config).unwrap().public_key(), key.public_key());
        assert!(host_key(config.trim_start_matches('#')).is_none());
        for other in [
            "#!/bin/sh\n",
            "#cloud-config\n",
            "#cloud-config\nssh_keys: {ed25519_private: x}\n",
            "#cloud-config\n[",
        ] {
            assert!(host_key(other).is_none(), "{other}");
        }
    }
}
