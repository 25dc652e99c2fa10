//! Where the controller is: its prefix path, TLS, and URLs that cannot be used.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nodepool::target::jenkins::{JenkinsTarget, Settings};
use nodepool::target::{Target as _, TargetError};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use wiremock::MockServer;

use crate::fake::{Fake, PREFIX};

#[tokio::test]
async fn the_prefix_path_is_kept_however_the_url_ends() {
    for end in ["", "/", "//", "/?a=b", "/#top"] {
        let fake = Fake::ready().await;
        fake.json("GET", "/computer/api/json", json!({"computer": []})).await;
        let url = format!("{}{PREFIX}{end}", fake.server.uri());
        let driver = JenkinsTarget::new(Settings { url, ..fake.settings() }).await.unwrap();
        if end == "//" {
            // Not the same place, as any proxy sees it; it must not be taken for one without agents.
            driver.roster().await.unwrap_err();
        } else {
            driver.roster().await.unwrap();
        }
    }
}

#[tokio::test]
async fn urls_that_cannot_be_used_are_refused_without_being_shown() {
    let fake = Fake::empty().await;
    for url in [
        "",
        "jenkins",
        "ftp://jenkins",
        "http://",
        "http://nodepool:s3cr3t@jenkins/",
        "http://s3cr3t@jenkins/",
    ] {
        let settings = Settings { url: url.into(), ..fake.settings() };
        let error = JenkinsTarget::new(settings).await.err().unwrap();
        assert!(
            matches!(&error, TargetError::Rejected(text) if !text.contains("s3cr3t")),
            "{url}: {error:?}"
        );
    }
}

/// A door with TLS before a mock, and the file of the certificate that it shows.
async fn behind_tls(mock: &MockServer, folder: &Path) -> (SocketAddr, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let file = folder.join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, inside) = (listener.local_addr().unwrap(), *mock.address());
    tokio::spawn(async move {
        while let Ok((outside, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(outside).await else { return };
                let mut inside = TcpStream::connect(inside).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (address, file)
}

#[tokio::test]
async fn certificates_are_checked_against_the_ca_file_and_refused_without_it() {
    let fake = Fake::ready().await;
    fake.json("GET", "/computer/api/json", json!({"computer": []})).await;
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (address, file) = behind_tls(&fake.server, folder.path()).await;
    let (_, other) = behind_tls(&fake.server, other.path()).await;
    let url = format!("https://{address}{PREFIX}");
    for ca_file in [None, Some(other)] {
        let settings = Settings { url: url.clone(), ca_file, ..fake.settings() };
        let error = JenkinsTarget::new(settings).await.unwrap().roster().await.unwrap_err();
        assert!(
            matches!(&error, TargetError::Unavailable(text) if text.contains("certificate")),
            "{error:?}"
        );
    }
    assert!(fake.log().await.is_empty(), "no key goes to a stranger");
    let trusting = Settings { url, ca_file: Some(file), ..fake.settings() };
    JenkinsTarget::new(trusting).await.unwrap().roster().await.unwrap();
    for (name, content) in [("none.pem", None), ("empty.pem", Some("")), ("odd.pem", Some("no certificate"))]
    {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let settings = Settings { ca_file: Some(path), ..fake.settings() };
        let error = JenkinsTarget::new(settings).await.err().unwrap();
        assert!(matches!(&error, TargetError::Rejected(text) if text.contains(name)), "{error:?}");
    }
}
