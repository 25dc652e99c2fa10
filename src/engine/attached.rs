//! Floating IPs, ports and volumes: the calls about those that are there, and whose they are as far as they do not say so themselves.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::act::{CALLS_OF_A_LISTING, done, text};
use super::{Engine, Outcome};
use crate::cloud::Cloud;
use crate::model::{DepartedServer, Tag, Timestamp};
use crate::plan::Errand;
use crate::store::StoreError;

/// How many servers that a listing of ports or volumes names, and that nobody shows, are looked up in the store. In a
/// project that others use, too, their servers are shown; so many that are not are a sign of something else.
const LOOKED_UP: u32 = 1000;

impl Engine {
    /// What does an errand about a floating IP, a port or a volume that is there, and how many calls it takes at most;
    /// `None` for any other errand.
    pub(super) fn about_attached(
        &self,
        errand: &Errand,
        cloud: &Arc<dyn Cloud>,
    ) -> Option<(u32, BoxFuture<'static, Outcome>)> {
        let cloud = Arc::clone(cloud);
        let calls = match errand {
            errand if errand.is_listing() => CALLS_OF_A_LISTING,
            // It is asked first whose it is.
            Errand::DeletePort { .. } => 2,
            _ => 1,
        };
        let future = match errand {
            Errand::ListFloatingIps { .. } => {
                async move { Outcome::FloatingIps(cloud.floating_ips().await.map_err(text)) }.boxed()
            }
            Errand::ListPorts { .. } => {
                async move { Outcome::Ports(cloud.ports().await.map_err(text)) }.boxed()
            }
            Errand::ListVolumes { .. } => {
                async move { Outcome::Volumes(cloud.volumes().await.map_err(text)) }.boxed()
            }
            Errand::DeleteFloatingIp { id, .. } => {
                let id = id.clone();
                async move { done(cloud.delete_floating_ip(&id).await) }.boxed()
            }
            Errand::DeletePort { id, server, .. } => {
                let (id, server) = (id.clone(), server.clone());
                async move { done(cloud.delete_port(&id, &server).await) }.boxed()
            }
            Errand::DeleteVolume { id, .. } => {
                let id = id.clone();
                async move { done(cloud.delete_volume(&id).await) }.boxed()
            }
            Errand::MarkVolume { id, owner, attempt, .. } => {
                let (id, tag) = (id.clone(), self.tag(*owner, attempt));
                async move { done(cloud.mark_volume(&id, &tag).await) }.boxed()
            }
            _ => return None,
        };
        Some((calls, future))
    }

    /// Puts our tag on what a listing shows of servers of ours that were gone before it began, where nothing says whose it
    /// is.
    pub(super) async fn recognise(
        &self,
        began: Timestamp,
        errand: &Errand,
        outcome: Outcome,
    ) -> Result<Outcome, StoreError> {
        let Some(provider) = errand.paced_by() else { return Ok(outcome) };
        let mut looked_up = 0;
        match outcome {
            Outcome::Ports(Ok(mut ports)) => {
                for port in ports.iter_mut().filter(|port| port.tag.is_none()) {
                    port.tag = self.of_departed(provider, &port.server_id, began, &mut looked_up).await?;
                }
                // Those of others are many, and of no interest.
                ports.retain(|port| port.tag.is_some());
                Ok(Outcome::Ports(Ok(ports)))
            }
            Outcome::Volumes(Ok(mut volumes)) => {
                for volume in volumes.iter_mut().filter(|volume| volume.tag.is_none()) {
                    if let Some(server) = volume.servers.first() {
                        volume.tag = self.of_departed(provider, server, began, &mut looked_up).await?;
                    }
                }
                Ok(Outcome::Volumes(Ok(volumes)))
            }
            other => Ok(other),
        }
    }

    /// The tag that a server had which is not shown, if it was ours and was gone at that moment.
    async fn of_departed(
        &self,
        provider: &str,
        server: &str,
        began: Timestamp,
        looked_up: &mut u32,
    ) -> Result<Option<Tag>, StoreError> {
        let shown =
            self.memory.clouds.get(provider).is_some_and(|cloud| cloud.servers.items.contains_key(server));
        if shown || *looked_up >= LOOKED_UP {
            return Ok(None);
        }
        *looked_up = looked_up.saturating_add(1);
        let known = self.store.departed_server(provider, server).await?;
        let known = known.filter(|known| known.departed <= began);
        Ok(known.map(|known| self.tag(known.owner, &known.attempt)))
    }

    /// Remembers a server of ours without a row that is about to be deleted: nothing else will.
    pub(super) async fn note_departure(&self, now: Timestamp, errand: &Errand) -> Result<(), StoreError> {
        let Errand::DeleteServer { provider, id, owner: None } = errand else { return Ok(()) };
        let shown = self.memory.clouds.get(provider).and_then(|cloud| cloud.servers.items.get(id));
        let Some(tag) = shown.and_then(|server| server.tag.as_ref()) else { return Ok(()) };
        if tag.installation != self.installation {
            return Ok(());
        }
        let departed = DepartedServer {
            provider: provider.clone(),
            id: id.clone(),
            owner: tag.owner,
            attempt: tag.attempt.clone(),
            departed: now,
        };
        self.store.add_departed_server(&departed).await
    }
}
