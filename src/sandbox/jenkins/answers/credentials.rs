//! Credentials of the system's store, of the one kind that agents are launched with: a user name with a private key.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use russh::keys::decode_secret_key;
use serde_json::{Value, json};

use super::{Named, form, posted};
use crate::sandbox::http::Answer;
use crate::sandbox::jenkins::controller::Credential;
use crate::sandbox::jenkins::door::Asked;
use crate::sandbox::jenkins::{Jenkins, page, xml};
use crate::sandbox::random;

/// The class of the credentials that can be made.
const KIND: &str = "com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey";
/// The class of a private key that is sent along.
const DIRECT: &str =
    "com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey$DirectEntryPrivateKeySource";
/// The most credentials.
const MOST: usize = 1_000;

/// Answers below `/credentials/store/system/domain/_/`.
pub(super) fn answer(jenkins: &Arc<Jenkins>, asked: &Asked, rest: &[&str]) -> Named {
    match rest {
        [] => ("jenkins-page", page::page("Global credentials [Jenkins]")),
        ["api", "json"] => {
            let all: Vec<Value> = jenkins
                .controller()
                .credentials
                .iter()
                .map(|(id, credential)| shown(id, credential))
                .collect();
            let whole = json!({"_class": "com.cloudbees.plugins.credentials.CredentialsStoreAction$DomainWrapper",
                "credentials": all, "global": true, "urlName": "_"});
            ("jenkins-credential-list", asked.document(whole, &[]))
        }
        ["createCredentials"] => ("jenkins-credential-create", posted(asked, || create(jenkins, asked))),
        ["credential", id, rest @ ..] => one(jenkins, asked, id, rest),
        _ => ("jenkins-unknown", page::not_found()),
    }
}

fn shown(id: &str, credential: &Credential) -> Value {
    json!({"_class": "com.cloudbees.plugins.credentials.CredentialsStoreAction$CredentialsWrapper", "id": id,
        "description": credential.description, "displayName": format!("{} ({id})", credential.user),
        "fullName": format!("system/_/{id}"), "typeName": "SSH Username with private key", "fingerprint": null})
}

fn one(jenkins: &Jenkins, asked: &Asked, id: &str, rest: &[&str]) -> Named {
    let Some(credential) = jenkins.controller().credentials.get(id).cloned() else {
        return ("jenkins-credential-missing", page::not_found());
    };
    match rest {
        ["api", "json"] => ("jenkins-credential-show", asked.document(shown(id, &credential), &[])),
        ["config.xml"] if asked.method == Method::POST => (
            "jenkins-credential-change",
            match of_xml(&asked.text()) {
                Some((_, credential)) => {
                    jenkins.change(|controller| controller.credentials.insert(id.to_owned(), credential));
                    page::done()
                }
                None => page::oops(),
            },
        ),
        ["config.xml"] => {
            // Jenkins does not show what is secret.
            let text = format!(
                "<{KIND}>\n  <scope>GLOBAL</scope>\n  <id>{}</id>\n  <description>{}</description>\n  \
                 <username>{}</username>\n  <privateKeySource class=\"{DIRECT}\">\n    <privateKey>\n      \
                 <secret-redacted/>\n    </privateKey>\n  </privateKeySource>\n</{KIND}>",
                page::escaped(id),
                page::escaped(&credential.description),
                page::escaped(&credential.user),
            );
            ("jenkins-credential-config", page::xml(text))
        }
        ["doDelete"] => (
            "jenkins-credential-delete",
            posted(asked, || {
                jenkins.change(|controller| controller.credentials.remove(id));
                page::redirect(format!("{}credentials/store/system/domain/_/", asked.root))
            }),
        ),
        _ => ("jenkins-unknown", page::not_found()),
    }
}

fn create(jenkins: &Jenkins, asked: &Asked) -> Answer {
    let by_xml = asked.has_type(&["application/xml", "text/xml"]);
    let read = if by_xml {
        of_xml(&asked.text()).ok_or_else(page::oops)
    } else {
        form(asked).and_then(|json| of_form(&json).ok_or_else(page::oops))
    };
    let (id, credential) = match read {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let made = jenkins.change(|controller| {
        let free = !controller.credentials.contains_key(&id) && controller.credentials.len() < MOST;
        if free {
            controller.credentials.insert(id, credential);
        }
        free
    });
    match (by_xml, made) {
        (true, true) => page::done(),
        (true, false) => page::html(StatusCode::CONFLICT, "Error 409 Conflict"),
        // A form leads back to the store, also when nothing was added.
        (false, _) => page::redirect(format!("{}credentials/store/system/domain/_/", asked.root)),
    }
}

fn of_form(json: &Value) -> Option<(String, Credential)> {
    let sent = json.get("credentials")?;
    let text =
        |object: &Value, key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let class = sent.get("$class").or_else(|| sent.get("stapler-class"))?;
    if class != KIND {
        return None;
    }
    let source = sent.get("privateKeySource")?;
    Some(made(
        text(sent, "id"),
        text(sent, "username"),
        text(sent, "description"),
        &text(source, "privateKey"),
    ))
}

fn of_xml(text: &str) -> Option<(String, Credential)> {
    xml::read(text, |root| {
        let child = |key: &str| xml::child(root, key).unwrap_or_default();
        let key = xml::element(root, "privateKeySource").and_then(|source| xml::child(source, "privateKey"));
        let right = root.has_tag_name(KIND);
        right.then(|| made(child("id"), child("username"), child("description"), &key.unwrap_or_default()))
    })?
}

fn made(id: String, user: String, description: String, key: &str) -> (String, Credential) {
    let id = if id.is_empty() { random::uuid() } else { id };
    // A form may have sent the line breaks of other systems.
    let key = key.replace("\r\n", "\n");
    let key = decode_secret_key(&format!("{}\n", key.trim()), None).ok().map(Arc::new);
    (id, Credential { user, description, key })
}
