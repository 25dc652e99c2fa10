//! From an errand to the work that does it: look up what it needs, call one driver, translate the answer.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use secrecy::ExposeSecret as _;

use super::host_keys::server_of;
use super::{Engine, Outcome, Rows, Work};
use crate::builder::user_data;
use crate::cloud::{
    BootImage, Cloud, CloudError, FloatingIpRequest, NetworkChoice, ServerRequest, SnapshotRequest, UserData,
};
use crate::config::{ImageSource, NetworkName, Provider, ProviderImage};
use crate::model::{ImageId, NodeId, Owner, Tag, Timestamp};
use crate::plan::{Answer, Errand, Failure, Fault, LISTING_OVERLAP};
use crate::remote::{KeyPair, Remote};

/// A long listing may take several calls.
pub(super) const CALLS_OF_A_LISTING: u32 = 4;

/// A source of demand answers within a moment, or something is wrong with it.
const ASK_DEADLINE: Duration = Duration::from_secs(5);

impl Engine {
    /// The work that does an errand, from the rows as they are now.
    pub(super) fn work(&self, errand: &Errand, rows: &Rows, host_key: Option<&KeyPair>) -> Work {
        let made = match errand {
            Errand::AskDemand => Ok(self.ask_demand()),
            Errand::PrepareNode(id) => self.prepare_node(*id, rows),
            Errand::SetUpBuilder(id) => self.set_up_builder(*id, rows),
            Errand::VerifySnapshot(id) => self.verify_snapshot(*id, rows),
            Errand::CheckNode(id) => self.check_node(*id, rows),
            Errand::ListAgents { .. }
            | Errand::Enroll(_)
            | Errand::Withdraw { .. }
            | Errand::StartTest { .. }
            | Errand::Relabel(_)
            | Errand::Describe { .. }
            | Errand::Close(_)
            | Errand::ReadLaunchLog(_) => self.call_target(errand, rows),
            Errand::DeleteServer { provider, .. }
            | Errand::DeleteSnapshot { provider, .. }
            | Errand::DeleteKeypair { provider, .. }
            | Errand::DeleteFloatingIp { provider, .. }
            | Errand::DeletePort { provider, .. }
            | Errand::DeleteVolume { provider, .. }
            | Errand::MarkVolume { provider, .. }
            | Errand::CreateServer { provider, .. }
            | Errand::CreateFloatingIp { provider, .. }
            | Errand::ReadConsole { provider, .. }
            | Errand::TakeSnapshot { provider, .. }
            | Errand::ListServers { provider, .. }
            | Errand::ListImages { provider }
            | Errand::ListKeypairs { provider }
            | Errand::ListFloatingIps { provider }
            | Errand::ListPorts { provider }
            | Errand::ListVolumes { provider }
            | Errand::ReadQuota { provider } => self.call(errand, provider, rows, host_key),
        };
        let (deadline, future) = made.unwrap_or_else(|missing| {
            // What we lack ourselves says nothing about a node that serves.
            let fault = if matches!(errand, Errand::CheckNode(_)) { Fault::Login } else { Fault::Refused };
            let failure = Failure { fault, text: missing };
            (Duration::from_secs(1), ready(Outcome::Answer(Answer::Failed(failure))).boxed())
        });
        Work { errand: errand.clone(), deadline, future }
    }

    fn call(
        &self,
        errand: &Errand,
        provider: &str,
        rows: &Rows,
        host_key: Option<&KeyPair>,
    ) -> Result<Made, String> {
        let configured = self
            .config
            .provider(provider)
            .ok_or_else(|| format!("provider {provider} is not in the configuration"))?;
        let deadline = configured.api_timeout;
        let Some(cloud) = self.drivers.clouds.get(provider).map(Arc::clone) else {
            return Ok((deadline, ready(without_cloud(errand, self.drivers.unusable.get(provider))).boxed()));
        };
        if let Some((calls, future)) = self.about_attached(errand, &cloud) {
            return Ok((deadline.saturating_mul(calls), future));
        }
        let made: BoxFuture<'static, Outcome> = match errand {
            Errand::ListServers { complete, .. } => {
                let since = if *complete { None } else { self.last_listing(provider) };
                let future =
                    async move { Outcome::Servers(cloud.servers(since).await.map_err(text)) }.boxed();
                return Ok((deadline.saturating_mul(CALLS_OF_A_LISTING), future));
            }
            Errand::ListImages { .. } => {
                let future = async move { Outcome::Images(cloud.images().await.map_err(text)) }.boxed();
                return Ok((deadline.saturating_mul(CALLS_OF_A_LISTING), future));
            }
            Errand::ReadQuota { .. } => {
                let future = async move { Outcome::Quota(cloud.quota().await.map_err(text)) }.boxed();
                return Ok((deadline.saturating_mul(CALLS_OF_A_LISTING), future));
            }
            Errand::ListKeypairs { .. } => {
                async move { Outcome::Keypairs(cloud.keypairs().await.map_err(text)) }.boxed()
            }
            Errand::DeleteServer { id, .. } => {
                let id = id.clone();
                async move { done(cloud.delete_server(&id).await) }.boxed()
            }
            Errand::DeleteSnapshot { id, .. } => {
                let id = id.clone();
                async move { done(cloud.delete_image(&id).await) }.boxed()
            }
            Errand::DeleteKeypair { name, .. } => {
                let name = name.clone();
                async move { done(cloud.delete_keypair(&name).await) }.boxed()
            }
            Errand::CreateFloatingIp { owner, .. } => {
                let request = self.floating_ip_request(configured, *owner, rows)?;
                async move { created(cloud.create_floating_ip(&request).await) }.boxed()
            }
            Errand::ReadConsole { owner, .. } => self.read_console(cloud, errand, *owner, rows)?,
            Errand::TakeSnapshot { image, .. } => self.take_snapshot(cloud, configured, *image, rows)?,
            Errand::CreateServer { owner: Owner::Node(id), .. } => {
                let request = self.node_request(configured, *id, rows, host_key)?;
                async move { created(cloud.create_server(&request).await) }.boxed()
            }
            Errand::CreateServer { owner: Owner::Verifier(id), .. } => {
                let request = self.verifier_request(configured, *id, rows, host_key)?;
                async move { created(cloud.create_server(&request).await) }.boxed()
            }
            Errand::CreateServer { owner: Owner::Builder(id), .. } => {
                self.create_builder(cloud, configured, *id, rows, host_key)?
            }
            _ => {
                return Err("it is not a call to a cloud".to_owned());
            }
        };
        Ok((deadline, made))
    }

    fn ask_demand(&self) -> Made {
        let source = self.drivers.demand.clone();
        let future = async move {
            let Some(source) = source else { return Outcome::Demand(Err("nothing tells it".to_owned())) };
            Outcome::Demand(source.ask().await.map_err(|error| error.to_string()))
        };
        (ASK_DEADLINE, future.boxed())
    }

    fn last_listing(&self, provider: &str) -> Option<Timestamp> {
        let began = self.memory.clouds.get(provider).and_then(|cloud| cloud.servers.began)?;
        Some(began.minus(LISTING_OVERLAP))
    }

    fn floating_ip_request(
        &self,
        provider: &Provider,
        owner: Owner,
        rows: &Rows,
    ) -> Result<FloatingIpRequest, String> {
        let attempt = match owner {
            Owner::Node(id) => rows.nodes.get(&id).map(|row| &row.attempt),
            Owner::Builder(id) | Owner::Verifier(id) => rows.images.get(&id).map(|row| &row.attempt),
        };
        Ok(FloatingIpRequest {
            pool: provider.pool.clone().ok_or("its provider has no pool")?,
            server_id: server_of(owner, rows).ok_or("its server has no id")?,
            tag: self.tag(owner, attempt.ok_or("its row is gone")?),
        })
    }

    fn node_request(
        &self,
        provider: &Provider,
        id: NodeId,
        rows: &Rows,
        host_key: Option<&KeyPair>,
    ) -> Result<ServerRequest, String> {
        let node = rows.nodes.get(&id).ok_or("its row is gone")?;
        let image = provider_image(provider, &node.image)?;
        let snapshot = node
            .image_id
            .and_then(|id| rows.images.get(&id))
            .and_then(|image| image.external_id.clone())
            .ok_or("the snapshot that it was to boot from is gone")?;
        let tag = self.tag(Owner::Node(id), &node.attempt);
        let base = request(provider, image, &node.hostname, BootImage::Id(snapshot), tag, host_key);
        Ok(ServerRequest { az: node.az.clone(), keypair: image.key_name.clone(), ..base })
    }

    fn verifier_request(
        &self,
        provider: &Provider,
        id: ImageId,
        rows: &Rows,
        host_key: Option<&KeyPair>,
    ) -> Result<ServerRequest, String> {
        let row = rows.images.get(&id).ok_or("its row is gone")?;
        let image = provider_image(provider, &row.image)?;
        let snapshot = row.external_id.clone().ok_or("its snapshot has no id")?;
        let tag = self.tag(Owner::Verifier(id), &row.attempt);
        let name = format!("{}-verify", row.hostname);
        let base = request(provider, image, &name, BootImage::Id(snapshot), tag, host_key);
        Ok(ServerRequest { az: row.az.clone(), keypair: image.key_name.clone(), ..base })
    }

    /// The keypair first, then the builder: both carry the tag, so neither can be lost.
    fn create_builder(
        &self,
        cloud: Arc<dyn Cloud>,
        provider: &Provider,
        id: ImageId,
        rows: &Rows,
        host_key: Option<&KeyPair>,
    ) -> Result<BoxFuture<'static, Outcome>, String> {
        let row = rows.images.get(&id).ok_or("its row is gone")?;
        let image = provider_image(provider, &row.image)?;
        let ImageSource::Snapshot { base_image, .. } = &image.source;
        let tag = self.tag(Owner::Builder(id), &row.attempt);
        let boot = BootImage::NameOrId(base_image.clone());
        let base = request(provider, image, &row.hostname, boot, tag, host_key);
        let own = row.keypair.clone();
        // The operator's text is for nodes; and a snapshot of a server that boots from a volume holds no disk.
        let request = ServerRequest {
            keypair: own.clone().or_else(|| provider.keypair.clone()),
            user_data: told(None, host_key, &row.attempt),
            boot_volume_gib: None,
            az: row.az.clone(),
            ..base
        };
        let (remote, private_key) = (Arc::clone(&self.drivers.remote), image.private_key.clone());
        let future = async move {
            if let Some(name) = own {
                let made = make_keypair(cloud.as_ref(), remote.as_ref(), &private_key, &name).await;
                if let Err(failure) = made {
                    return Outcome::Answer(Answer::Failed(failure));
                }
            }
            created(cloud.create_server(&request).await)
        };
        Ok(future.boxed())
    }

    fn take_snapshot(
        &self,
        cloud: Arc<dyn Cloud>,
        provider: &Provider,
        id: ImageId,
        rows: &Rows,
    ) -> Result<BoxFuture<'static, Outcome>, String> {
        let row = rows.images.get(&id).ok_or("its row is gone")?;
        let image = provider_image(provider, &row.image)?;
        let request = SnapshotRequest {
            server_id: row.server_id.clone().ok_or("its builder has no id")?,
            name: row.hostname.clone(),
            tag: self.tag(Owner::Builder(id), &row.attempt),
            meta: image.meta.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        };
        Ok(async move { created(cloud.create_snapshot(&request).await) }.boxed())
    }

    pub(super) fn tag(&self, owner: Owner, attempt: &str) -> Tag {
        Tag { installation: self.installation.clone(), owner, attempt: attempt.to_owned() }
    }
}

/// What is the same for every server of a provider image.
fn request(
    provider: &Provider,
    image: &ProviderImage,
    name: &str,
    boot: BootImage,
    tag: Tag,
    host_key: Option<&KeyPair>,
) -> ServerRequest {
    let networks = provider.networks.iter().map(|network| match &network.wanted {
        NetworkName::Id(id) => NetworkChoice::Id(id.clone()),
        NetworkName::Name(name) => NetworkChoice::Name(name.clone()),
    });
    ServerRequest {
        name: name.to_owned(),
        image: boot,
        min_ram: image.min_ram,
        name_filter: image.name_filter.clone(),
        az: None,
        networks: networks.collect(),
        keypair: None,
        config_drive: image.config_drive,
        security_groups: provider.security_groups.clone(),
        user_data: told(image.user_data.as_deref(), host_key, &tag.attempt),
        boot_volume_gib: image.boot_volume_gib,
        tag,
        provider: provider.name.clone(),
        image_name: image.name.clone(),
    }
}

/// The text for cloud-init on a new server.
fn told(operators: Option<&str>, host_key: Option<&KeyPair>, seed: &str) -> Option<UserData> {
    user_data(operators, host_key, seed).map(|text| UserData(text.expose_secret().to_owned()))
}

/// A deadline and what to do within it.
pub(super) type Made = (Duration, BoxFuture<'static, Outcome>);

/// Registers the public half of the key that opens the builder. Whatever goes wrong here, no server was asked for.
async fn make_keypair(
    cloud: &dyn Cloud,
    remote: &dyn Remote,
    private_key: &std::path::Path,
    name: &str,
) -> Result<(), Failure> {
    let public_key = remote
        .public_key(private_key)
        .await
        .map_err(|error| Failure { fault: Fault::Refused, text: error.to_string() })?;
    cloud.create_keypair(name, &public_key).await.map_err(|error| {
        let failure = failure(&error);
        let fault = if failure.fault == Fault::Uncertain { Fault::Refused } else { failure.fault };
        Failure { fault, text: format!("its keypair: {}", failure.text) }
    })
}

pub(super) fn provider_image<'a>(provider: &'a Provider, name: &str) -> Result<&'a ProviderImage, String> {
    provider
        .image(name)
        .ok_or_else(|| format!("image {name} is not in the configuration of {}", provider.name))
}

/// What comes of an errand to a provider that has no cloud. Its listings fail, so that nothing else is even tried.
fn without_cloud(errand: &Errand, reason: Option<&String>) -> Outcome {
    let text = reason.cloned().unwrap_or_else(|| "nothing is known of its cloud".to_owned());
    match errand {
        Errand::ListServers { .. } => Outcome::Servers(Err(text)),
        Errand::ListImages { .. } => Outcome::Images(Err(text)),
        Errand::ListKeypairs { .. } => Outcome::Keypairs(Err(text)),
        Errand::ListPorts { .. } => Outcome::Ports(Err(text)),
        Errand::ListVolumes { .. } => Outcome::Volumes(Err(text)),
        Errand::ReadQuota { .. } => Outcome::Quota(Err(text)),
        _ => Outcome::Answer(Answer::Failed(Failure { fault: Fault::Refused, text })),
    }
}

fn created(answer: Result<String, CloudError>) -> Outcome {
    Outcome::Answer(match answer {
        Ok(id) => Answer::Id(id),
        Err(error) => Answer::Failed(failure(&error)),
    })
}

pub(super) fn done(answer: Result<(), CloudError>) -> Outcome {
    Outcome::Answer(match answer {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(failure(&error)),
    })
}

pub(super) fn failure(error: &CloudError) -> Failure {
    let fault = match error {
        CloudError::NotFound(_) => Fault::NotFound,
        CloudError::Quota(_) => Fault::Quota,
        CloudError::Throttled { retry_after, .. } => Fault::Throttled(*retry_after),
        CloudError::Transient(_) => Fault::Uncertain,
        CloudError::Rejected(_) => Fault::Refused,
        CloudError::AuthFailed(_) => Fault::Login,
    };
    Failure { fault, text: error.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn text(error: CloudError) -> String {
    error.to_string()
}
