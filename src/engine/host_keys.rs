//! Where the host key of a new machine comes from: its console, or us.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::act::{failure, provider_image};
use super::{Engine, News, Outcome, Rows};
use crate::cloud::Cloud;
use crate::config::{HostKeySource, Provider};
use crate::model::{HostKey, Owner};
use crate::plan::{Answer, Errand, Failure, Fault};
use crate::remote::{KeyPair, Trust, generate_keypair, host_key_on_console};

impl Engine {
    /// The host key for the server that an errand creates, where its image takes one from us. The private half goes into
    /// the user data of that one call and nowhere else.
    pub(super) fn make_host_key(&self, errand: &Errand, rows: &Rows) -> Result<Option<KeyPair>, String> {
        let Errand::CreateServer { provider, owner } = errand else { return Ok(None) };
        let image = match owner {
            Owner::Node(id) => rows.nodes.get(id).map(|row| &row.image),
            Owner::Builder(id) | Owner::Verifier(id) => rows.images.get(id).map(|row| &row.image),
        };
        let (Some(provider), Some(image)) = (self.config.provider(provider), image) else { return Ok(None) };
        let source = provider.image(image).map(|image| image.host_key_source);
        if source != Some(HostKeySource::UserData) || !provider.host_key_checking {
            return Ok(None);
        }
        generate_keypair("nodepool").map(Some).map_err(|error| error.to_string())
    }

    /// Looks for a host key on a console. What is found is told at once; the answer only says that it was.
    pub(super) fn read_console(
        &self,
        cloud: Arc<dyn Cloud>,
        errand: &Errand,
        owner: Owner,
        rows: &Rows,
    ) -> Result<BoxFuture<'static, Outcome>, String> {
        let server = server_of(owner, rows).ok_or("its server has no id")?;
        let (errand, news) = (errand.clone(), self.news.clone());
        let future = async move {
            let answer = match cloud.console_log(&server).await {
                Ok(console) => match host_key_on_console(&console) {
                    Some(host_key) => {
                        // Nobody listens any more when the daemon is on its way out; then it is read again.
                        let _ = news.send(News::HostKey { errand, node: None, host_key });
                        Answer::Done
                    }
                    None => Answer::Failed(Failure {
                        fault: Fault::Uncertain,
                        text: "it shows no host keys".to_owned(),
                    }),
                },
                Err(error) => Answer::Failed(failure(&error)),
            };
            Outcome::Answer(answer)
        };
        Ok(future.boxed())
    }
}

/// The cloud's id of a server of a row.
pub(super) fn server_of(owner: Owner, rows: &Rows) -> Option<String> {
    match owner {
        Owner::Node(id) => rows.nodes.get(&id)?.server_id.clone(),
        Owner::Builder(id) => rows.images.get(&id)?.server_id.clone(),
        Owner::Verifier(id) => rows.images.get(&id)?.verify_server_id.clone(),
    }
}

/// Whom to believe at the other end.
pub(super) fn trust(provider: &Provider, known: Option<&HostKey>) -> Trust {
    match known {
        _ if !provider.host_key_checking => Trust::Anyone,
        Some(known) => Trust::Only(known.clone()),
        None => Trust::FirstContact,
    }
}

/// What may explain a wrong host key at the first login of all.
pub(super) fn hint(provider: &Provider, image: &str) -> Option<&'static str> {
    let image = provider_image(provider, image).ok()?;
    (image.host_key_source == HostKeySource::UserData).then_some(
        "the host-key-source of its image is user-data: does the image run cloud-init, with its ssh module?",
    )
}
