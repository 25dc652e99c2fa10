//! Cinder v3: the volumes that Nova makes for servers to boot from, as far as one may outlive its server.
//!
//! Nova makes them without our mark, so it is written on them afterwards, as metadata. It is not asked for volumes of ours
//! alone: which filters users may use is for each cloud to say.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::catalog::Service;
use super::connection::{Call, Connection};
use super::lenient::{lenient, lenient_list};
use super::mark::{self, Marks};
use super::pages::{Entry, Page};
use super::server::Link;
use crate::cloud::CloudError;
use crate::model::{Tag, Volume};

impl Connection {
    /// All volumes of the project.
    pub(super) async fn volumes(&self) -> Result<Vec<Volume>, CloudError> {
        let listed = self.list::<VolumesPage>(Service::Volume, &["volumes", "detail"], None, &[]).await?;
        Ok(listed.into_iter().map(Volume::from).collect())
    }

    /// Writes our mark into the metadata of a volume. What else is there stays.
    pub(super) async fn mark_volume(&self, id: &str, tag: &Tag) -> Result<(), CloudError> {
        let body = json!({"metadata": mark::metadata(tag)});
        let path = ["volumes", id, "metadata"];
        self.call(&Call::new(Service::Volume, Method::POST, &path).json(&body)).await?;
        Ok(())
    }

    /// Asks for the deletion of a volume, but not of snapshots of it, if there are any: those are somebody's.
    pub(super) async fn delete_volume(&self, id: &str) -> Result<(), CloudError> {
        self.call(&Call::new(Service::Volume, Method::DELETE, &["volumes", id])).await?;
        Ok(())
    }
}

/// A page of `GET /v3/PROJECT/volumes/detail`.
#[derive(Deserialize)]
struct VolumesPage {
    volumes: Vec<WireVolume>,
    #[serde(default, deserialize_with = "lenient_list")]
    volumes_links: Vec<Link>,
}

impl Page for VolumesPage {
    type Entry = WireVolume;

    fn open(self) -> (Vec<WireVolume>, bool) {
        let follows = self.volumes_links.iter().any(Link::is_next);
        (self.volumes, follows)
    }
}

#[derive(Deserialize)]
struct WireVolume {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    attachments: Vec<Attachment>,
    #[serde(default, deserialize_with = "lenient")]
    metadata: Option<Marks>,
}

#[derive(Deserialize)]
struct Attachment {
    server_id: String,
}

impl Entry for WireVolume {
    fn id(&self) -> &str {
        &self.id
    }
}

impl From<WireVolume> for Volume {
    fn from(wire: WireVolume) -> Self {
        let tag = wire.metadata.and_then(Marks::tag);
        Self {
            state: wire.status.map(|word| super::failure::tidy(&word.to_lowercase())).unwrap_or_default(),
            servers: wire.attachments.into_iter().map(|one| one.server_id).collect(),
            marked: tag.is_some(),
            tag,
            id: wire.id,
        }
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let volumes = super::pages::fuzz::<VolumesPage>(body).into_iter().map(Volume::from);
    std::hint::black_box(volumes.collect::<Vec<_>>());
}
