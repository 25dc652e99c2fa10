//! Where the controller is: its prefix path, TLS, and URLs that cannot be used.

use nodepool::target::jenkins::{JenkinsTarget, Settings};
use nodepool::target::{Target as _, TargetError};
use serde_json::json;

use crate::fake::{Fake, PREFIX};
use crate::tls::behind_tls;

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
