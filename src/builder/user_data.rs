//! The text that cloud-init finds on a new machine: the operator's, and the host key that we made for it.
//!
//! Formats: <https://cloudinit.readthedocs.io/en/latest/explanation/format.html>. Two texts travel as the parts of one
//! MIME message, which every cloud-init since 0.6 takes apart.

use secrecy::{ExposeSecret as _, SecretString};

use crate::remote::KeyPair;

/// What begins a text of each kind that cloud-init knows, and the content type that says so in a MIME message.
const KINDS: [(&str, &str); 8] = [
    ("#!", "text/x-shellscript"),
    ("#cloud-config-archive", "text/cloud-config-archive"),
    ("#cloud-config", "text/cloud-config"),
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#include-once", "text/x-include-once-url"),
    ("#include", "text/x-include-url"),
    ("#part-handler", "text/part-handler"),
    ("## template: jinja", "text/jinja2"),
];

/// What a new machine is given: the operator's text as it is; or with `host_key`, which becomes the machine's only one.
///
/// `seed` makes the line that divides the parts; a longer one is made where the operator's text has it.
pub fn user_data(operators: Option<&str>, host_key: Option<&KeyPair>, seed: &str) -> Option<SecretString> {
    let Some(pair) = host_key else { return operators.map(SecretString::from) };
    let ours = host_key_config(pair);
    let Some(operators) = operators.filter(|text| !text.trim().is_empty()) else {
        return Some(SecretString::from(ours));
    };
    let mut boundary = format!("nodepool-{seed}");
    while operators.contains(&boundary) {
        boundary.push('-');
    }
    let (theirs, ours) = (as_part(operators), as_part(&ours));
    let text = format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n\
         --{boundary}\n{theirs}\n--{boundary}\n{ours}\n--{boundary}--\n"
    );
    Some(SecretString::from(text))
}

/// The cloud-config that gives a machine this host key and no other.
fn host_key_config(pair: &KeyPair) -> String {
    let private = pair.private.expose_secret().trim_end().replace('\n', "\n    ");
    format!(
        "#cloud-config\nssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n    {private}\n  ed25519_public: {}\n",
        pair.public.trim()
    )
}

/// A text with the headers of a part of a MIME message. One that is such a message already brings its own.
fn as_part(text: &str) -> String {
    let start = text.trim_start();
    let has_headers = ["content-type:", "mime-version:"]
        .iter()
        .any(|header| start.get(..header.len()).is_some_and(|found| found.eq_ignore_ascii_case(header)));
    if has_headers {
        return start.to_owned();
    }
    let kind = KINDS.iter().find(|(beginning, _)| start.starts_with(beginning));
    let content_type = kind.map_or("text/plain", |(_, content_type)| content_type);
    format!(
        "Content-Type: {content_type}; charset=\"utf-8\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n{start}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::generate_keypair;

    fn text(operators: Option<&str>, host_key: Option<&KeyPair>) -> String {
        user_data(operators, host_key, "s").unwrap().expose_secret().to_owned()
    }

    #[test]
    fn without_a_host_key_the_operators_text_stays_as_it_is() {
        assert!(user_data(None, None, "s").is_none());
        assert_eq!(text(Some("#!/bin/sh\n"), None), "#!/bin/sh\n");
    }

    #[test]
    fn a_host_key_alone_is_a_cloud_config() {
        let pair = generate_keypair("n1").unwrap();
        let private = pair.private.expose_secret().trim_end().replace('\n', "\n    ");
        let expected = format!(
            "#cloud-config\nssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n    {private}\n  ed25519_public: {}\n",
            pair.public
        );
        assert_eq!(text(None, Some(&pair)), expected);
    }

    #[test]
    fn both_travel_in_one_message_whatever_the_operators_text_is() {
        let pair = generate_keypair("n1").unwrap();
        for (theirs, content_type) in [
            ("#!/bin/sh\necho --nodepool-s\n", "text/x-shellscript"),
            ("\n#cloud-config\npackages: [git]\n", "text/cloud-config"),
            ("#include\nhttps://example.org/x\n", "text/x-include-url"),
            ("## template: jinja\n#cloud-config\n", "text/jinja2"),
            ("just words\n", "text/plain"),
        ] {
            let text = text(Some(theirs), Some(&pair));
            let boundary = text.split('"').nth(1).unwrap().to_owned();
            assert!(!theirs.contains(&boundary), "{text}");
            let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
            assert_eq!(parts.len(), 4, "{text}");
            assert!(parts[1].starts_with(&format!("\nContent-Type: {content_type};")), "{text}");
            assert!(parts[1].contains(theirs.trim()), "{text}");
            assert!(parts[2].contains("\n\n#cloud-config\nssh_deletekeys: true\n"), "{text}");
            assert_eq!(parts[3], "--\n");
        }
    }

    #[test]
    fn a_message_of_the_operators_is_a_part_with_its_own_headers() {
        let pair = generate_keypair("n1").unwrap();
        let theirs =
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\n#!/bin/sh\n--b--\n";
        let text = text(Some(theirs), Some(&pair));
        assert!(text.contains(&format!("--nodepool-s\n{theirs}\n--nodepool-s\n")), "{text}");
    }

    #[test]
    fn no_debug_output_shows_it() {
        let pair = generate_keypair("n1").unwrap();
        let shown = format!("{:?}", user_data(Some("#!/bin/sh"), Some(&pair), "s"));
        assert!(!shown.contains("PRIVATE") && !shown.contains("/bin/sh"), "{shown}");
    }
}
