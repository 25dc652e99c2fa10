//! Where a Gearman server is, and how it is reached: plainly, or over TLS as geard and its clients speak it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::connection::Trouble;

/// The most bytes of a file with keys or certificates.
const LONGEST_FILE: u64 = 1024 * 1024;

/// A Gearman server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The files for TLS; `None` speaks plainly.
    pub tls: Option<TlsFiles>,
}

/// The PEM files with which geard and its clients know each other. They are read for each connection, so that
/// certificates may be renewed at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our private key.
    pub key: PathBuf,
    /// Our certificate, and those between it and the authority's.
    pub certificate: PathBuf,
    /// The certificates of the authority that both sides trust.
    pub authority: PathBuf,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Bytes to and from a server.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

pub(super) type Stream = Box<dyn Duplex>;

impl Address {
    /// Connects. Whoever calls bounds the time.
    pub(super) async fn connect(&self) -> Result<Stream, Trouble> {
        let tls = match &self.tls {
            Some(files) => Some(files.read().await?),
            None => None,
        };
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(Trouble::Connect)?;
        stream.set_nodelay(true).map_err(Trouble::Connect)?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| Trouble::Tls(error.to_string()))?;
        let connected = TlsConnector::from(Arc::new(tls)).connect(name, stream).await;
        Ok(Box::new(connected.map_err(|error| Trouble::Tls(error.to_string()))?))
    }
}

impl TlsFiles {
    async fn read(&self) -> Result<ClientConfig, Trouble> {
        let authority = certificates(&self.authority).await?;
        let certificate = certificates(&self.certificate).await?;
        let key = PrivateKeyDer::from_pem_slice(&file(&self.key).await?)
            .map_err(|error| Trouble::Tls(format!("{} has no private key: {error}", self.key.display())))?;
        let mut roots = RootCertStore::empty();
        for one in authority {
            roots.add(one).map_err(|error| {
                Trouble::Tls(format!("{} has an unusable certificate: {error}", self.authority.display()))
            })?;
        }
        let provider = Arc::new(ring::default_provider());
        let signed = SignedByAuthority { roots, provider: Arc::clone(&provider) };
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(signed))
                    .with_client_auth_cert(certificate, key)
            })
            .map_err(|error| Trouble::Tls(error.to_string()))
    }
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let text = file(path).await?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| Trouble::Tls(format!("{} is no PEM file: {error}", path.display())))?;
    if found.is_empty() {
        return Err(Trouble::Tls(format!("{} has no certificate", path.display())));
    }
    Ok(found)
}

async fn file(path: &Path) -> Result<Vec<u8>, Trouble> {
    let told = |error: io::Error| Trouble::Tls(format!("{} cannot be read: {error}", path.display()));
    let mut text = Vec::new();
    let opened = tokio::fs::File::open(path).await.map_err(told)?;
    opened.take(LONGEST_FILE).read_to_end(&mut text).await.map_err(told)?;
    Ok(text)
}

/// Trusts what the authority signed, whatever name it was signed for: geard's clients do not look at names, and people
/// make the certificates of a geard accordingly. The authority is theirs alone.
#[derive(Debug)]
struct SignedByAuthority {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SignedByAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
