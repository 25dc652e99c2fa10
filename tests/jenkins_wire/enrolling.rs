//! Making agents.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nodepool::target::jenkins::{JenkinsTarget, Launcher, Settings};
use nodepool::target::{Enrollment, Target as _, TargetError};
use serde_json::{Value, json};

use crate::fake::{APIKEY, Fake, agent, description, done, enrollment, field, header, page, refused, with};

const CREATE: &str = "/computer/doCreateItem";
const STORE: &str = "/credentials/store/system/domain/_";

/// A mock that makes agents.
async fn open() -> Fake {
    let fake = Fake::ready().await;
    fake.respond("POST", CREATE, done()).await;
    fake
}

async fn made(fake: &Fake) -> Value {
    let request = fake.request("POST", CREATE).await;
    assert_eq!(field(&request, "name"), "ci-42");
    assert_eq!(field(&request, "type"), "hudson.slaves.DumbSlave");
    assert!(header(&request, "content-type").unwrap().starts_with("application/x-www-form-urlencoded"));
    serde_json::from_str(&field(&request, "json")).unwrap()
}

#[tokio::test]
async fn an_ssh_agent_is_made_as_the_facts_say() {
    let fake = open().await;
    fake.driver().await.enroll(&enrollment(Path::new("unused"))).await.unwrap();
    let agent = made(&fake).await;
    assert_eq!(agent["name"], "ci-42");
    assert_eq!(agent["nodeDescription"], "Dynamic single use ci-jessie node [nodepool inst-1/42]");
    assert_eq!(agent["numExecutors"], "1");
    assert_eq!(agent["remoteFS"], "/home/jenkins");
    assert_eq!(agent["labelString"], "ci-jessie fast");
    assert_eq!(agent["mode"], "EXCLUSIVE");
    assert_eq!(agent["retentionStrategy"]["$class"], "hudson.slaves.RetentionStrategy$Always");
    let launcher = &agent["launcher"];
    assert_eq!(launcher["$class"], "hudson.plugins.sshslaves.SSHLauncher");
    assert_eq!((&launcher["host"], &launcher["port"]), (&json!("10.0.0.7"), &json!(2222)));
    assert_eq!(launcher["credentialsId"], "pool-ssh");
    let strategy = &launcher["sshHostKeyVerificationStrategy"];
    assert_eq!(
        strategy["$class"],
        "hudson.plugins.sshslaves.verifiers.ManuallyProvidedKeyVerificationStrategy"
    );
    assert_eq!(strategy["key"], "ssh-ed25519 AAAAC3Nza");
    assert_eq!(fake.log().await, ["GET /api/json".to_owned(), format!("POST {CREATE}")]);
}

#[tokio::test]
async fn what_is_not_known_is_left_to_jenkins() {
    let fake = open().await;
    let bare = Enrollment {
        host_key: None,
        labels: Vec::new(),
        address: "::ffff:10.0.0.9".parse().unwrap(),
        ..enrollment(Path::new("unused"))
    };
    fake.driver().await.enroll(&bare).await.unwrap();
    let agent = made(&fake).await;
    assert_eq!(agent["labelString"], "", "a node in its test has no labels");
    assert_eq!(agent["launcher"]["host"], "10.0.0.9");
    let strategy = &agent["launcher"]["sshHostKeyVerificationStrategy"]["$class"];
    assert_eq!(strategy, "hudson.plugins.sshslaves.verifiers.NonVerifyingKeyVerificationStrategy");
}

#[tokio::test]
async fn an_inbound_agent_uses_a_websocket_and_no_credentials() {
    let fake = open().await;
    let settings = Settings { launcher: Launcher::Inbound, credentials_id: None, ..fake.settings() };
    JenkinsTarget::new(settings).await.unwrap().enroll(&enrollment(Path::new("unused"))).await.unwrap();
    let launcher = &made(&fake).await["launcher"];
    assert_eq!(
        (&launcher["$class"], &launcher["webSocket"]),
        (&json!("hudson.slaves.JNLPLauncher"), &json!(true))
    );
}

#[tokio::test]
async fn a_controller_that_quiets_down_gets_no_agents() {
    let fake = Fake::empty().await;
    fake.json("GET", "/api/json", json!({"quietingDown": true})).await;
    let error = fake.driver().await.enroll(&enrollment(Path::new("unused"))).await.unwrap_err();
    assert!(matches!(error, TargetError::QuietingDown(_)), "{error:?}");
    assert_eq!(fake.log().await, ["GET /api/json"]);
}

#[tokio::test]
async fn a_name_that_jenkins_calls_unsafe_is_refused_without_asking() {
    let fake = open().await;
    let odd = Enrollment { name: "a/b".into(), ..enrollment(Path::new("unused")) };
    let error = fake.driver().await.enroll(&odd).await.unwrap_err();
    assert!(matches!(&error, TargetError::Rejected(text) if text.contains("`/`")), "{error:?}");
    assert!(fake.log().await.is_empty());
}

#[tokio::test]
async fn an_agent_that_is_there_already_is_a_success_if_it_is_this_nodes() {
    let other_node = description().replace("/42]", "/43]");
    let other_installation = description().replace("inst-1", "inst-2");
    for (there, ours) in [
        (agent("ci-42", &description()), true),
        (agent("ci-42", &other_node), false),
        (agent("ci-42", &other_installation), false),
        (agent("ci-42", ""), false),
        (with(agent("ci-42", ""), json!({"description": null})), false),
    ] {
        let fake = Fake::ready().await;
        fake.respond("POST", CREATE, refused("Agent called  ci-42  already exists")).await;
        fake.json("GET", "/computer/ci-42/api/json", there.clone()).await;
        match fake.driver().await.enroll(&enrollment(Path::new("unused"))).await {
            Ok(_) => assert!(ours, "{there}"),
            Err(TargetError::Rejected(text)) => {
                assert!(
                    !ours && text.contains("already exists") && text.contains("not this node's"),
                    "{text}"
                );
            }
            Err(other) => panic!("{there}: {other:?}"),
        }
    }
    // A node without executors holds its name, and cannot be seen.
    let fake = Fake::ready().await;
    fake.respond("POST", CREATE, refused("Agent called  ci-42  already exists")).await;
    fake.respond("GET", "/computer/ci-42/api/json", page(404)).await;
    let error = fake.driver().await.enroll(&enrollment(Path::new("unused"))).await.unwrap_err();
    assert!(matches!(&error, TargetError::Rejected(text) if text.contains("no executors")), "{error:?}");
}

#[tokio::test]
async fn a_redirect_to_elsewhere_is_no_success() {
    for location in [
        "https://sso.example.org/login?from=%2Fcomputer%2F",
        "https://secure.example.org/ci/jenkins/computer/doCreateItem",
    ] {
        let fake = Fake::ready().await;
        let elsewhere = wiremock::ResponseTemplate::new(302).insert_header("Location", location);
        fake.respond("POST", CREATE, elsewhere).await;
        let error = fake.driver().await.enroll(&enrollment(Path::new("unused"))).await.unwrap_err();
        assert!(matches!(&error, TargetError::Rejected(text) if text.contains("URL right")), "{error:?}");
    }
}

/// A private key of tests, with what XML must escape.
fn key(folder: &Path) -> PathBuf {
    let file = folder.join("id");
    std::fs::write(&file, "-----BEGIN <&> KEY-----\nabc\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

async fn without_credentials(fake: &Fake) -> JenkinsTarget {
    JenkinsTarget::new(Settings { credentials_id: None, ..fake.settings() }).await.unwrap()
}

/// The id of the credentials that were asked for first.
async fn asked_id(fake: &Fake) -> String {
    let begin = format!("GET {STORE}/credential/");
    let line = fake.log().await.into_iter().find(|line| line.starts_with(&begin)).unwrap();
    line[begin.len()..].strip_suffix("/api/json").unwrap().to_owned()
}

#[tokio::test]
async fn credentials_are_made_of_the_nodes_key_where_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let enrollment = enrollment(&key(folder.path()));
    let fake = open().await;
    fake.respond("POST", &format!("{STORE}/createCredentials"), wiremock::ResponseTemplate::new(200)).await;
    without_credentials(&fake).await.enroll(&enrollment).await.unwrap();
    let id = asked_id(&fake).await;
    assert!(id.starts_with("nodepool-") && id.len() <= 40, "{id}");
    let request = fake.request("POST", &format!("{STORE}/createCredentials")).await;
    assert!(header(&request, "content-type").unwrap().starts_with("application/xml"));
    let body = String::from_utf8(request.body).unwrap();
    for part in [
        "<com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey><scope>SYSTEM</scope>",
        &format!("<id>{id}</id>"),
        "<username>jenkins</username>",
        "$DirectEntryPrivateKeySource\"><privateKey>-----BEGIN &lt;&amp;&gt; KEY-----\nabc\n</privateKey>",
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
    assert_eq!(made(&fake).await["launcher"]["credentialsId"], id.as_str());

    // Those that are there are used as they are; another user or key needs others.
    let again = open().await;
    again.json("GET", &format!("{STORE}/credential/{id}/api/json"), json!({"id": id})).await;
    without_credentials(&again).await.enroll(&enrollment).await.unwrap();
    assert!(again.requests("POST", &format!("{STORE}/createCredentials")).await.is_empty());
    let other = open().await;
    other.respond("POST", &format!("{STORE}/createCredentials"), wiremock::ResponseTemplate::new(409)).await;
    let root = Enrollment { username: "root".into(), ..enrollment };
    without_credentials(&other).await.enroll(&root).await.unwrap();
    assert_ne!(asked_id(&other).await, id, "somebody else made them at the same moment: a success");
}

#[tokio::test]
async fn a_store_that_takes_no_credentials_stands_in_the_way_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = key(folder.path());
    for (status, rejected) in [(404, true), (403, false)] {
        let fake = open().await;
        fake.respond("POST", &format!("{STORE}/createCredentials"), page(status)).await;
        let error = without_credentials(&fake).await.enroll(&enrollment(&file)).await.unwrap_err();
        assert!(error.to_string().contains("credentials-id"), "{error}");
        assert_eq!(matches!(error, TargetError::Rejected(_)), rejected, "{error:?}");
        assert!(fake.requests("POST", CREATE).await.is_empty(), "nothing is made that could not be launched");
        assert!(!error.to_string().contains("BEGIN") && !error.to_string().contains(APIKEY));
    }
    let fake = open().await;
    let error =
        without_credentials(&fake).await.enroll(&enrollment(&folder.path().join("none"))).await.unwrap_err();
    assert!(matches!(&error, TargetError::Rejected(text) if text.contains("private key")), "{error:?}");
}
