//! The files below `/etc/nodepool`: what jobs may know about their node.

use std::path::Path;

use secrecy::ExposeSecret as _;

use super::{FACTS_FOLDER, Preparation, quote_if_needed};
use crate::remote::{KeyPair, RemoteFile};

/// The files of a node that is alone in its set: their names and contents are those of nodepool v0.
pub(super) fn files(order: &Preparation, pair: &KeyPair) -> Vec<RemoteFile> {
    let public = order.public_address.to_string();
    let private = order.private_address.unwrap_or(order.public_address).to_string();
    let file = |name: &str, text: &str, mode| RemoteFile {
        path: Path::new(FACTS_FOLDER).join(name),
        content: with_newline(text),
        mode,
    };
    vec![
        file("role", "primary", 0o644),
        file("node", &public, 0o644),
        file("node_private", &private, 0o644),
        file("primary_node", &public, 0o644),
        file("primary_node_private", &private, 0o644),
        file("sub_nodes", "", 0o644),
        file("sub_nodes_private", "", 0o644),
        file("id_rsa", pair.private.expose_secret(), 0o600),
        file("id_rsa.pub", &pair.public, 0o644),
        file("provider", &provider(order), 0o644),
        file("uuid", &order.server_id, 0o644),
    ]
}

/// Text as a file: lines end with a newline, nothing at all is an empty file.
fn with_newline(text: &str) -> Vec<u8> {
    let mut content = text.as_bytes().to_vec();
    if !text.is_empty() && !text.ends_with('\n') {
        content.push(b'\n');
    }
    content
}

/// Lines that a shell can read: a value of the configuration must not become a command there.
fn provider(order: &Preparation) -> String {
    let values = [
        ("NODEPOOL_PROVIDER", Some(&order.provider)),
        ("NODEPOOL_CLOUD", order.cloud.as_ref()),
        ("NODEPOOL_REGION", order.region.as_ref()),
        ("NODEPOOL_AZ", order.az.as_ref()),
    ];
    let line = |(name, value): (&str, Option<&String>)| {
        let value = value.filter(|value| !value.is_empty()).map(|value| quote_if_needed(value));
        format!("{name}={}\n", value.unwrap_or_default())
    };
    values.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::remote::{Endpoint, generate_keypair};

    fn order() -> Preparation {
        let address = [192, 0, 2, 7].into();
        Preparation {
            endpoint: Endpoint {
                address,
                port: 22,
                users: vec!["jenkins".to_owned()],
                private_key: "/key".into(),
                host_key: None,
                patience: Duration::ZERO,
            },
            hostname: "n1".to_owned(),
            public_address: address,
            private_address: None,
            server_id: "u-u-i-d".to_owned(),
            provider: "it's; reboot".to_owned(),
            cloud: None,
            region: Some("eqiad".to_owned()),
            az: Some(String::new()),
            ready_script: None,
            ready_script_timeout: Duration::ZERO,
            environment: Vec::new(),
        }
    }

    fn content(order: &Preparation, name: &str) -> (String, u32) {
        let files = files(order, &generate_keypair("n1").unwrap());
        let file = files.into_iter().find(|file| file.path == Path::new("/etc/nodepool").join(name)).unwrap();
        (String::from_utf8(file.content).unwrap(), file.mode)
    }

    #[test]
    fn a_node_alone_is_primary_and_has_no_subnodes() {
        let mut order = order();
        for (name, text) in [
            ("role", "primary\n"),
            ("node", "192.0.2.7\n"),
            ("node_private", "192.0.2.7\n"),
            ("primary_node", "192.0.2.7\n"),
            ("sub_nodes", ""),
            ("uuid", "u-u-i-d\n"),
        ] {
            assert_eq!(content(&order, name), (text.to_owned(), 0o644), "{name}");
        }
        order.private_address = Some([10, 0, 0, 7].into());
        assert_eq!(content(&order, "node_private").0, "10.0.0.7\n");
        assert_eq!(content(&order, "primary_node_private").0, "10.0.0.7\n");
        let (private, mode) = content(&order, "id_rsa");
        assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n") && private.ends_with("-----\n"));
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn the_provider_file_is_safe_to_source() {
        let (text, _) = content(&order(), "provider");
        assert_eq!(
            text,
            "NODEPOOL_PROVIDER='it'\\''s; reboot'\nNODEPOOL_CLOUD=\nNODEPOOL_REGION=eqiad\nNODEPOOL_AZ=\n"
        );
    }
}
