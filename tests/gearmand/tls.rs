//! TLS as geard has it: both sides show a certificate that one authority signed, and nobody looks at names.

use std::fs;
use std::path::Path;

use nodepool::target::gearman::{Limits, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::server::{Address, DEADLINE, Kind, Outcomes, Server, ask, ask_until, jobs, limits, metered};

/// A handshake may take a while on a machine that is busy.
fn patient() -> Limits {
    Limits { patience: DEADLINE, deadline: DEADLINE, ..limits() }
}

/// An authority of a test's own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// The files of somebody whom this authority knows, in a folder of their own. The certificate is for a name that is
    /// nobody's host.
    pub(crate) fn files(&self, folder: &Path, name: &str) -> TlsFiles {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![format!("{name}.invalid")]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let written = |file: &str, text: &str| {
            let path = folder.join(file);
            fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            key: written("key.pem", &key.serialize_pem()),
            certificate: written("cert.pem", &certificate.pem()),
            authority: written("ca.pem", &self.pem),
        }
    }
}

#[tokio::test]
async fn geard_behind_tls_is_asked_over_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = Server::behind_tls(authority.files(folder.path(), "geard")).await;
    let ours = authority.files(folder.path(), "nodepool");
    let address = Address { tls: Some(ours.clone()), ..server.address() };
    let source = metered([address.clone()], patient(), &Outcomes::default());
    assert_eq!(ask(&source).await.unwrap(), jobs(&[]));
    // Files that are gone now are not needed while the connection is kept.
    fs::remove_file(&ours.certificate).unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&source).await.unwrap(), jobs(&[]));
    }
    let another = metered([address], patient(), &Outcomes::default());
    let error = ask(&another).await.unwrap_err().to_string();
    assert!(error.contains("cert.pem cannot be read"), "{error}");
}

#[tokio::test]
async fn who_is_not_known_to_the_authority_is_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (Authority::new(), Authority::new());
    let server = Server::behind_tls(theirs.files(folder.path(), "geard")).await;
    let outcomes = Outcomes::default();
    let address = Address { tls: Some(ours.files(folder.path(), "nodepool")), ..server.address() };
    let error = ask(&metered([address.clone()], patient(), &outcomes)).await.unwrap_err().to_string();
    assert!(error.contains("no connection over TLS"), "{error}");
    assert_eq!(outcomes.of(&address, "tls"), 1);

    // We trust it, and it does not know us.
    let mut files = ours.files(folder.path(), "stranger");
    files.authority = theirs.files(folder.path(), "trusted").authority;
    let stranger = Address { tls: Some(files), ..server.address() };
    assert!(ask(&metered([stranger], patient(), &outcomes)).await.is_err());
}

#[tokio::test]
async fn tls_is_never_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Server::started(Kind::Gearmand).await;
    let files = Authority::new().files(folder.path(), "nodepool");
    let address = Address { tls: Some(files.clone()), ..plain.address() };
    let source = metered([address], patient(), &Outcomes::default());
    ask_until(&source, |answer| answer.as_ref().is_err_and(|error| error.to_string().contains("127.0.0.1")))
        .await;

    fs::write(&files.key, "no key").unwrap();
    let address = Address { tls: Some(files.clone()), ..plain.address() };
    let error = ask(&metered([address], patient(), &Outcomes::default())).await.unwrap_err().to_string();
    assert!(error.contains("key.pem has no private key"), "{error}");
    assert!(!error.contains("no key\""), "what is in the file is not shown: {error}");
    fs::write(&files.authority, "").unwrap();
    let address = Address { tls: Some(files), ..plain.address() };
    let error = ask(&metered([address], patient(), &Outcomes::default())).await.unwrap_err().to_string();
    assert!(error.contains("ca.pem has no certificate"), "{error}");
}
