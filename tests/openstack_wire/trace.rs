//! What `--debug` shows of the exchanges with a cloud: enough to see what happened, and never a secret.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use nodepool::cloud::openstack::{Credential, Identity, OpenStack, Settings};
use nodepool::cloud::{Cloud, ServerRequest, UserData};
use serde_json::json;
use tracing_subscriber::EnvFilter;
use wiremock::ResponseTemplate;

use crate::fake::{self, Fake, PASSWORD};

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Starts to keep what this thread logs.
    fn start(filter: &str) -> (Self, tracing::subscriber::DefaultGuard) {
        // A place in the code that logs is judged for good when it is reached first, and while there is one subscriber alone by
        // that of the thread that reaches it: another test's, which has none. So there are others.
        static OTHERS: OnceLock<[tracing::Dispatch; 2]> = OnceLock::new();
        OTHERS.get_or_init(|| [(); 2].map(|()| tracing::Dispatch::new(tracing_subscriber::registry())));
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

const USER_DATA: &str = "#cloud-config\nssh_keys: {ed25519_private: topmost-secret}\n";

/// A life on a cloud that repeats in its answers whatever it was told.
async fn live(fake: &Fake, identity: Option<Identity>) {
    let settings = fake.settings();
    let identity = identity.unwrap_or_else(|| settings.identity.clone());
    let driver = OpenStack::new(Settings { identity, ..settings }).await.unwrap();
    let accepted = json!({"server": {"id": "s-1", "adminPass": "Tr0ub4dor&3"}});
    let accepted = ResponseTemplate::new(202).set_body_json(accepted);
    let accepted = accepted.insert_header("X-Openstack-Request-Id", "req-77");
    fake.respond("POST", "/compute/v2.1/servers", accepted).await;
    let echo = ResponseTemplate::new(502).set_body_string("you sent token-1 and token-2");
    fake.respond("DELETE", "/compute/v2.1/servers/s-1", echo).await;
    let request = ServerRequest { user_data: Some(UserData(USER_DATA.to_owned())), ..fake::server() };
    driver.create_server(&request).await.unwrap();
    driver.delete_server("s-1").await.unwrap_err();
}

#[tokio::test]
async fn each_exchange_is_shown_with_what_a_person_needs() {
    let (log, guard) = Log::start("warn,nodepool=debug");
    let fake = Fake::ready().await;
    live(&fake, None).await;
    drop(guard);
    let text = log.text();
    let server = fake.server.uri();
    for expected in [
        format!("nodepool.http: > POST {server}/compute/v2.1/servers headers="),
        format!("nodepool.http: < POST {server}/compute/v2.1/servers status=202 millis="),
        "request_id=req-77".to_owned(),
        "openstack-api-version: compute 2.52".to_owned(),
        r#""flavorRef":"f-a""#.to_owned(),
        r#""adminPass":"[secret]""#.to_owned(),
        "x-auth-token: [secret]".to_owned(),
        "x-subject-token: [secret]".to_owned(),
        "body=you sent [secret] and".to_owned(),
        format!("> GET {server}/image/v2/images?name=debian&status=active&limit=1000"),
    ] {
        assert!(text.contains(&expected), "no {expected} in\n{text}");
    }
    let sent = fake.server.received_requests().await.unwrap().len();
    assert_eq!(text.matches("nodepool.http: > ").count(), sent, "each request is shown once");
    assert_eq!(text.matches("nodepool.http: < ").count(), sent, "each answer is shown once");
}

#[tokio::test]
async fn no_secret_is_shown() {
    let credential = Identity::ApplicationCredential {
        credential: Credential::Id("c-1".into()),
        secret: "hush-hush".into(),
    };
    for identity in [None, Some(credential)] {
        let (log, guard) = Log::start("trace");
        let fake = Fake::ready().await;
        live(&fake, identity).await;
        // An odd answer to a login, which may hold anything.
        let echo = format!("<p>you sent {PASSWORD}</p>");
        fake.first("POST", "/identity/v3/auth/tokens", ResponseTemplate::new(403).set_body_string(&echo))
            .await;
        fake.driver().await.keypairs().await.unwrap_err();
        drop(guard);
        let text = log.text();
        let ours: String = text.lines().filter(|line| line.contains("nodepool")).collect();
        assert!(ours.contains("[secret]") && ours.contains("/servers"));
        let user_data = base64::engine::general_purpose::STANDARD.encode(USER_DATA);
        for secret in [PASSWORD, "hush-hush", "token-1", "topmost-secret", "Tr0ub4dor", user_data.as_str()] {
            assert!(!ours.contains(secret), "{secret} in\n{ours}");
        }
    }
}

#[tokio::test]
async fn nothing_is_shown_unless_asked_for() {
    let (log, guard) = Log::start("info");
    live(&Fake::ready().await, None).await;
    drop(guard);
    assert!(!log.text().contains("nodepool.http"), "{}", log.text());
}
