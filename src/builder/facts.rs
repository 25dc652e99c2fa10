//! The files below `/etc/nodepool`: what jobs may know about their node.

use std::net::IpAddr;
use std::path::Path;

use secrecy::ExposeSecret as _;

use super::{FACTS_FOLDER, Preparation, quote_if_needed};
use crate::remote::{KeyPair, RemoteFile};

/// What a machine is in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Subnode,
}

/// The addresses of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    public: IpAddr,
    private: IpAddr,
}

/// The addresses of a set, those of the subnodes in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) primary: Addresses,
    pub(super) subnodes: Vec<Addresses>,
}

impl Addresses {
    pub(super) fn of(order: &Preparation) -> Self {
        let public = order.public_address;
        Self { public, private: order.private_address.unwrap_or(public) }
    }
}

/// The files of one machine of a set: their names and contents are those of nodepool v0. The key pair is the whole set's.
pub(super) fn files(order: &Preparation, role: Role, set: &Set, pair: &KeyPair) -> Vec<RemoteFile> {
    let own = Addresses::of(order);
    let lines = |of: fn(&Addresses) -> IpAddr| {
        set.subnodes.iter().flat_map(|subnode| [of(subnode).to_string(), "\n".to_owned()]).collect::<String>()
    };
    let role = match role {
        Role::Primary => "primary",
        Role::Subnode => "sub",
    };
    let file = |name: &str, text: &str, mode| RemoteFile {
        path: Path::new(FACTS_FOLDER).join(name),
        content: with_newline(text),
        mode,
    };
    vec![
        file("role", role, 0o644),
        file("node", &own.public.to_string(), 0o644),
        file("node_private", &own.private.to_string(), 0o644),
        file("primary_node", &set.primary.public.to_string(), 0o644),
        file("primary_node_private", &set.primary.private.to_string(), 0o644),
        file("sub_nodes", &lines(|subnode| subnode.public), 0o644),
        file("sub_nodes_private", &lines(|subnode| subnode.private), 0o644),
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
    use crate::remote::{Endpoint, Trust, generate_keypair};

    fn order() -> Preparation {
        let address = [192, 0, 2, 7].into();
        Preparation {
            endpoint: Endpoint {
                address,
                port: 22,
                users: vec!["jenkins".to_owned()],
                private_key: "/key".into(),
                trust: Trust::FirstContact,
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
        let set = Set { primary: Addresses::of(order), subnodes: Vec::new() };
        let files = files(order, Role::Primary, &set, &generate_keypair("n1").unwrap());
        let file = files.into_iter().find(|file| file.path == Path::new("/etc/nodepool").join(name)).unwrap();
        (String::from_utf8(file.content).unwrap(), file.mode)
    }

    #[test]
    fn each_machine_of_a_set_knows_itself_and_all_others() {
        let addresses =
            |last: u8| Addresses { public: [192, 0, 2, last].into(), private: [10, 0, 0, last].into() };
        let set = Set { primary: addresses(1), subnodes: vec![addresses(9), addresses(2)] };
        let pair = generate_keypair("n1").unwrap();
        let all = |last: u8, role| {
            let order = Preparation {
                public_address: [192, 0, 2, last].into(),
                private_address: Some([10, 0, 0, last].into()),
                ..order()
            };
            let files = files(&order, role, &set, &pair).into_iter();
            let text = files.map(|file| (file.path, String::from_utf8(file.content).unwrap()));
            text.collect::<std::collections::BTreeMap<_, _>>()
        };
        let (primary, subnode) = (all(1, Role::Primary), all(2, Role::Subnode));
        let read = |files: &std::collections::BTreeMap<_, String>, name: &str| {
            files[&Path::new("/etc/nodepool").join(name)].clone()
        };
        for (name, text) in [
            ("primary_node", "192.0.2.1\n"),
            ("primary_node_private", "10.0.0.1\n"),
            ("sub_nodes", "192.0.2.9\n192.0.2.2\n"),
            ("sub_nodes_private", "10.0.0.9\n10.0.0.2\n"),
        ] {
            assert_eq!((read(&primary, name), read(&subnode, name)), (text.to_owned(), text.to_owned()));
        }
        assert_eq!((read(&primary, "role"), read(&subnode, "role")), ("primary\n".into(), "sub\n".into()));
        assert_eq!(read(&primary, "node_private"), "10.0.0.1\n");
        assert_eq!(
            (read(&subnode, "node"), read(&subnode, "node_private")),
            ("192.0.2.2\n".into(), "10.0.0.2\n".into())
        );
        assert_eq!(read(&primary, "id_rsa"), read(&subnode, "id_rsa"));
        assert_eq!(read(&primary, "id_rsa.pub"), read(&subnode, "id_rsa.pub"));
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
