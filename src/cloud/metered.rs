//! A cloud whose calls are counted and timed.

use std::future::Future;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Cloud, CloudError, FloatingIpRequest, ServerRequest, SnapshotRequest};
use crate::model::{CloudImage, FloatingIp, Keypair, Port, Quota, Server, Tag, Timestamp, Volume};

/// What is told of each call. Closures of this shape are meters.
pub trait Meter: Send + Sync {
    /// A call of `operation` ended after `took`; `outcome` is `ok` or the word of its error.
    fn record(&self, operation: &'static str, outcome: &'static str, took: Duration);
}

impl<F: Fn(&'static str, &'static str, Duration) + Send + Sync> Meter for F {
    fn record(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self(operation, outcome, took);
    }
}

/// A cloud that tells a meter of each call.
pub struct Metered<C, M> {
    cloud: C,
    meter: M,
}

impl<C: Cloud, M: Meter> Metered<C, M> {
    /// Puts the meter before the cloud.
    pub const fn new(cloud: C, meter: M) -> Self {
        Self { cloud, meter }
    }

    async fn measure<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, CloudError>> + Send,
    ) -> Result<T, CloudError> {
        let start = Instant::now();
        let outcome = call.await;
        let word = outcome.as_ref().map_or_else(CloudError::word, |_| "ok");
        self.meter.record(operation, word, start.elapsed());
        outcome
    }
}

#[async_trait]
impl<C: Cloud, M: Meter> Cloud for Metered<C, M> {
    async fn servers(&self, changed_since: Option<Timestamp>) -> Result<Vec<Server>, CloudError> {
        let operation = if changed_since.is_some() { "list_changed_servers" } else { "list_servers" };
        self.measure(operation, self.cloud.servers(changed_since)).await
    }

    async fn images(&self) -> Result<Vec<CloudImage>, CloudError> {
        self.measure("list_images", self.cloud.images()).await
    }

    async fn keypairs(&self) -> Result<Vec<Keypair>, CloudError> {
        self.measure("list_keypairs", self.cloud.keypairs()).await
    }

    async fn create_server(&self, request: &ServerRequest) -> Result<String, CloudError> {
        self.measure("create_server", self.cloud.create_server(request)).await
    }

    async fn delete_server(&self, id: &str) -> Result<(), CloudError> {
        self.measure("delete_server", self.cloud.delete_server(id)).await
    }

    async fn create_snapshot(&self, request: &SnapshotRequest) -> Result<String, CloudError> {
        self.measure("create_snapshot", self.cloud.create_snapshot(request)).await
    }

    async fn delete_image(&self, id: &str) -> Result<(), CloudError> {
        self.measure("delete_image", self.cloud.delete_image(id)).await
    }

    async fn create_keypair(&self, name: &str, public_key: &str) -> Result<(), CloudError> {
        self.measure("create_keypair", self.cloud.create_keypair(name, public_key)).await
    }

    async fn delete_keypair(&self, name: &str) -> Result<(), CloudError> {
        self.measure("delete_keypair", self.cloud.delete_keypair(name)).await
    }

    async fn floating_ips(&self) -> Result<Vec<FloatingIp>, CloudError> {
        self.measure("list_floating_ips", self.cloud.floating_ips()).await
    }

    async fn create_floating_ip(&self, request: &FloatingIpRequest) -> Result<String, CloudError> {
        self.measure("create_floating_ip", self.cloud.create_floating_ip(request)).await
    }

    async fn delete_floating_ip(&self, id: &str) -> Result<(), CloudError> {
        self.measure("delete_floating_ip", self.cloud.delete_floating_ip(id)).await
    }

    async fn ports(&self) -> Result<Vec<Port>, CloudError> {
        self.measure("list_ports", self.cloud.ports()).await
    }

    async fn delete_port(&self, id: &str, server_id: &str) -> Result<(), CloudError> {
        self.measure("delete_port", self.cloud.delete_port(id, server_id)).await
    }

    async fn volumes(&self) -> Result<Vec<Volume>, CloudError> {
        self.measure("list_volumes", self.cloud.volumes()).await
    }

    async fn mark_volume(&self, id: &str, tag: &Tag) -> Result<(), CloudError> {
        self.measure("mark_volume", self.cloud.mark_volume(id, tag)).await
    }

    async fn delete_volume(&self, id: &str) -> Result<(), CloudError> {
        self.measure("delete_volume", self.cloud.delete_volume(id)).await
    }

    async fn console_log(&self, server_id: &str) -> Result<String, CloudError> {
        self.measure("get_console_log", self.cloud.console_log(server_id)).await
    }

    async fn quota(&self) -> Result<Quota, CloudError> {
        self.measure("get_quota", self.cloud.quota()).await
    }
}
