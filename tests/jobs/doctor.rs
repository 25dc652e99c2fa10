//! `nodepool doctor` beside a pool that works, and beside one whose legs are broken.

use serde_json::{Value, json};

use super::held_port::HeldPort;
use super::jenkins::TOKEN;
use super::setup::Ran;
use super::webhook::Told;

/// What the doctor finds, and how it ends.
async fn findings(told: &Told, more: &[&str]) -> (Vec<Value>, Ran) {
    let ran = told.pool.nodepool(&[&["doctor", "-o", "json"], more].concat()).await;
    let found = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    (found, ran)
}

fn of<'f>(found: &'f [Value], leg: &str, check: &str) -> &'f Value {
    let fits = |finding: &&Value| finding["leg"] == leg && finding["check"] == check;
    found.iter().find(fits).unwrap_or_else(|| panic!("no {check} of {leg} in {found:#?}"))
}

/// Everything works, and a server is booted, reached and deleted.
pub(crate) async fn finds_nothing_wrong(told: &Told) {
    let before = told.pool.cloud.server_ids().await;
    let (found, ran) = findings(told, &["--boot"]).await;
    assert!(ran.success, "{ran:?}");
    for (leg, check) in [
        ("store", "daemon"),
        ("this machine", "script setup_node.sh"),
        ("cloud sandbox", "login and servers"),
        ("cloud sandbox", "base image of ci-debian"),
        ("cloud sandbox", "flavor of ci-debian"),
        ("cloud sandbox", "quota of instances"),
        ("cloud sandbox", "boot"),
        ("cloud sandbox", "ssh"),
        ("cloud sandbox", "deletion"),
        ("jenkins local", "login"),
        ("jenkins local", "agents"),
        ("jenkins local", "right to make agents"),
    ] {
        assert_eq!(of(&found, leg, check)["verdict"], "good", "{found:#?}");
    }
    assert!(found.iter().any(|finding| finding["leg"] == "ssh sandbox"), "{found:#?}");
    assert_eq!(told.pool.cloud.server_ids().await, before, "nothing is left of it");
}

/// Each broken leg is told with its end, and hides no other.
pub(crate) async fn tells_which_end_is_at_fault(told: &Told) {
    let folder = told.pool.folder.path();
    let (yaml, secure) = (folder.join("nodepool.yaml"), folder.join("secure.conf"));
    let login = std::fs::read_to_string(&secure).unwrap().replace(TOKEN, "another-token-that-is-wrong");
    let text = std::fs::read_to_string(&yaml).unwrap();
    let text = text
        .replace(
            "        base-image: debian-12\n",
            "        base-image: debian-none\n        key-name: no-such-key\n        name-filter: no-such-flavor\n",
        )
        .replace(
            "    rate: 0.01\n",
            "    rate: 0.01\n    networks: [{name: no-such-network}]\n    pool: no-such-pool\n",
        );
    let nobody = HeldPort::new();
    let silent = nobody.port;
    let more = format!(
        "gearman-servers:\n  - {{host: 127.0.0.1, port: {silent}}}\nzmq-publishers: ['tcp://127.0.0.1:{silent}']\n"
    );
    let before = [&yaml, &secure].map(|path| (path.clone(), std::fs::read(path).unwrap()));
    std::fs::write(&secure, login).unwrap();
    std::fs::write(&yaml, text + &more).unwrap();
    let (found, ran) = findings(told, &[]).await;
    for (path, content) in before {
        std::fs::write(path, content).unwrap();
    }
    assert!(!ran.success && ran.err.contains("found something wrong"), "{ran:?}");
    for (leg, check, end) in [
        ("jenkins local".to_owned(), "login", "here"),
        ("cloud sandbox".to_owned(), "base image of ci-debian", "here"),
        ("cloud sandbox".to_owned(), "flavor of ci-debian", "here"),
        ("cloud sandbox".to_owned(), "network", "here"),
        ("cloud sandbox".to_owned(), "pool of floating IPs", "here"),
        ("cloud sandbox".to_owned(), "keypair", "here"),
        (format!("gearman 127.0.0.1:{silent}"), "status", "between"),
        (format!("publisher tcp://127.0.0.1:{silent}"), "greeting", "between"),
    ] {
        let finding = of(&found, &leg, check);
        assert_eq!((&finding["verdict"], &finding["end"]), (&json!("wrong"), &json!(end)), "{finding}");
        assert!(finding["next"].as_str().is_some_and(|next| !next.is_empty()), "{finding}");
    }
    assert_eq!(of(&found, "cloud sandbox", "login and servers")["verdict"], "good");
    assert!(!ran.out.contains("another-token-that-is-wrong"), "no secret is shown");
}
