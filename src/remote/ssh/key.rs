//! Private keys: reading them from files, their public halves, and fresh pairs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, PublicKey, decode_secret_key};
use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;

use crate::model::HostKey;
use crate::remote::RemoteError;
use crate::remote::ssh::short_scalar;

/// The longest private key file that is read, in bytes. An RSA key of 16384 bits takes about 13 KB.
const LONGEST_FILE: u64 = 64 * 1024;

/// The private keys that were read, by path. A file that changed is read again.
#[derive(Default)]
pub(super) struct Keys {
    read: Mutex<HashMap<PathBuf, Read>>,
}

#[derive(Clone)]
struct Read {
    modified: Option<SystemTime>,
    length: u64,
    key: Arc<PrivateKey>,
}

impl Keys {
    /// The private key in the file `path`. Decoding an RSA key is costly, so that is done once per change of the file.
    pub(super) async fn load(&self, path: &Path) -> Result<Arc<PrivateKey>, RemoteError> {
        let unusable = |why: &dyn std::fmt::Display| RemoteError::Local(format!("{}: {why}", path.display()));
        let mut file = tokio::fs::File::open(path).await.map_err(|error| unusable(&error))?;
        let metadata = file.metadata().await.map_err(|error| unusable(&error))?;
        let (modified, length) = (metadata.modified().ok(), metadata.len());
        if let Some(known) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(path)
            && (known.modified, known.length) == (modified, length)
        {
            return Ok(Arc::clone(&known.key));
        }
        if length > LONGEST_FILE {
            return Err(unusable(&"too long for a private key"));
        }
        let mut text = String::new();
        (&mut file).take(LONGEST_FILE).read_to_string(&mut text).await.map_err(|error| unusable(&error))?;
        let key = Arc::new(decode(&text).map_err(|why| unusable(&why))?);
        let read = Read { modified, length, key: Arc::clone(&key) };
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), read);
        Ok(key)
    }
}

/// Decodes an unencrypted key in OpenSSH's or a PEM format. The error says nothing of the content.
fn decode(text: &str) -> Result<PrivateKey, String> {
    const ENCRYPTED: &str = "the private key is encrypted; the daemon needs one without a passphrase";
    // The two older formats say so in plain words, the OpenSSH format inside.
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(ENCRYPTED.to_owned());
    }
    match decode_secret_key(text, None) {
        Ok(key) if key.is_encrypted() => Err(ENCRYPTED.to_owned()),
        Ok(key) => Ok(key),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(ENCRYPTED.to_owned()),
        Err(error) => {
            short_scalar::decode(text).ok_or_else(|| format!("not a private key that we can read: {error}"))
        }
    }
}

/// The public key in OpenSSH's one-line form, without a comment.
pub(in crate::remote) fn public_line(key: &PublicKey) -> Result<String, String> {
    PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(|error| error.to_string())
}

/// A key pair for the nodes of a set among themselves.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The private half, in OpenSSH's format, unencrypted.
    pub private: SecretString,
    /// The public half, in OpenSSH's one-line form.
    pub public: String,
}

impl KeyPair {
    /// The public half as a host key: without its comment.
    pub fn host_key(&self) -> HostKey {
        let words: Vec<&str> = self.public.split_whitespace().take(2).collect();
        HostKey(words.join(" "))
    }
}

/// Makes a fresh ed25519 pair that carries `comment`.
///
/// nodepool v0 made RSA pairs of 2048 bits, which takes a thousand times as long; every OpenSSH since 6.5 (2014)
/// takes either.
pub fn generate_keypair(comment: &str) -> Result<KeyPair, RemoteError> {
    let failed = |error: russh::keys::ssh_key::Error| RemoteError::Local(format!("no key pair: {error}"));
    let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(failed)?;
    key.set_comment(comment.replace(char::is_control, " "));
    let private = key.to_openssh(LineEnding::LF).map_err(failed)?;
    let public = key.public_key().to_openssh().map_err(failed)?;
    Ok(KeyPair { private: SecretString::from(private.to_string()), public })
}
