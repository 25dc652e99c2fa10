//! Credentials with which Jenkins logs in to nodes, made of the nodes' own user and private key.
//!
//! They are for operators who name no `credentials-id`. Protocol: the REST API of the Credentials plugin; of the SSH
//! Credentials plugin the class `BasicSSHUserPrivateKey`. Their scope is SYSTEM, so that jobs cannot use them. The id is made
//! of the installation, the user and the key: another key is other credentials, and those in use are never changed.

use quick_xml::escape::escape;
use reqwest::StatusCode;
use sha2::{Digest as _, Sha256};

use super::connection::{Call, Connection};
use super::transport;
use crate::target::{Enrollment, TargetError};

/// The domain of Jenkins' own store that holds credentials for any place.
const STORE: [&str; 5] = ["credentials", "store", "system", "domain", "_"];

/// The most that is read of a private key, in bytes.
const KEY_LIMIT: u64 = 64 << 10;

/// The digits of the id: enough to be unique, and few enough for stores that take short ids.
const DIGEST_BYTES: usize = 12;

/// Makes the credentials of this node, unless they are there, and tells their id.
///
/// # Errors
/// `Rejected` when the private key cannot be read or the store takes none, `AuthFailed` when we may not make any.
pub(super) async fn ensure(connection: &Connection, enrollment: &Enrollment) -> Result<String, TargetError> {
    let key = private_key(enrollment).await?;
    let id = id(enrollment, &key);
    let [credentials, store, system, domain, global] = STORE;
    let path = [credentials, store, system, domain, global, "credential", id.as_str(), "api", "json"];
    let call = Call::get(&path).query("tree", "id");
    let answer = connection.call(&call).await.map_err(explained)?;
    match answer.status {
        StatusCode::OK => return Ok(id),
        StatusCode::NOT_FOUND => {}
        _ => return Err(connection.refusal(&call, &answer)),
    }
    let path = [credentials, store, system, domain, global, "createCredentials"];
    let call = Call::post(&path).xml(document(enrollment, &id, &key));
    let answer = connection.call(&call).await.map_err(explained)?;
    match answer.status {
        StatusCode::OK => Ok(id),
        // Somebody was faster: another node of the same image.
        StatusCode::CONFLICT => Ok(id),
        _ => Err(explained(match connection.refusal(&call, &answer) {
            TargetError::NotFound(text) => TargetError::Rejected(text),
            other => other,
        })),
    }
}

/// What an operator can do about it.
fn explained(error: TargetError) -> TargetError {
    let advice = "so no credentials can be made for nodes: name some in `credentials-id`";
    match error {
        TargetError::Rejected(text) => TargetError::Rejected(format!("{text}; {advice}")),
        TargetError::AuthFailed(text) => TargetError::AuthFailed(format!("{text}; {advice}")),
        other => other,
    }
}

async fn private_key(enrollment: &Enrollment) -> Result<String, TargetError> {
    let path = &enrollment.private_key;
    let wrong = |text: &str| TargetError::Rejected(format!("the private key {}: {text}", path.display()));
    let content = transport::file(path, KEY_LIMIT).await.map_err(|text| wrong(&text))?;
    String::from_utf8(content).map_err(|_| wrong("it is not text"))
}

fn id(enrollment: &Enrollment, key: &str) -> String {
    let mut digest = Sha256::new();
    for part in [enrollment.tag.installation.as_str(), &enrollment.username, key] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    let digits = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}"));
    format!("nodepool-{}", digits.collect::<String>())
}

fn document(enrollment: &Enrollment, id: &str, key: &str) -> String {
    const CLASS: &str = "com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey";
    let user = escape(&enrollment.username);
    let installation = escape(&enrollment.tag.installation);
    let key = escape(key);
    format!(
        "<{CLASS}><scope>SYSTEM</scope><id>{id}</id>\
         <description>Nodes of nodepool {installation}</description><username>{user}</username>\
         <privateKeySource class=\"{CLASS}$DirectEntryPrivateKeySource\"><privateKey>{key}</privateKey>\
         </privateKeySource></{CLASS}>"
    )
}
