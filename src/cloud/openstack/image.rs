//! Glance: the project's images, and the image that an operator's word names.

use reqwest::Method;
use serde::Deserialize;

use super::catalog::Service::Image;
use super::connection::{Call, Connection};
use super::lenient::{lenient, moment};
use super::mark::Marks;
use super::pages::{Entry, Page};
use crate::cloud::CloudError;
use crate::model::{CloudImage, CloudImageStatus};

impl Connection {
    /// All images that the project owns.
    pub(super) async fn images(&self) -> Result<Vec<CloudImage>, CloudError> {
        let project = self.project().await?;
        let filter = match &project {
            Some(project) => ("owner", project.clone()),
            None => ("visibility", "private".to_owned()),
        };
        let images = self.list::<ImagesPage>(Image, &["images"], None, &[filter]).await?;
        let ours = |image: &WireImage| match (&image.owner, &project) {
            (Some(owner), Some(project)) => owner == project,
            _ => true,
        };
        Ok(images.into_iter().filter(ours).map(CloudImage::from).collect())
    }

    /// The id of the newest active image of this name that the project can see.
    pub(super) async fn image_named(&self, name: &str) -> Result<String, CloudError> {
        let filters = [("name", name.to_owned()), ("status", "active".to_owned())];
        let images = self.list::<ImagesPage>(Image, &["images"], None, &filters).await?;
        let named =
            images.into_iter().filter(|image| image.name.as_deref() == Some(name) && image.is_active());
        let newest = named.max_by(|a, b| (a.created(), &a.id).cmp(&(b.created(), &b.id)));
        let none = || CloudError::Rejected(format!("the cloud has no active image named {name}"));
        newest.map(|image| image.id).ok_or_else(none)
    }

    /// Whether servers can be booted from the image of this id.
    pub(super) async fn image_is_active(&self, id: &str) -> Result<(), CloudError> {
        let answer = self.call(&Call::new(Image, Method::GET, &["images", id])).await?;
        let image: Result<WireImage, _> = serde_json::from_slice(&answer.body);
        if image.is_ok_and(|image| image.is_active()) {
            Ok(())
        } else {
            Err(CloudError::Rejected(format!("the image {id} is not active")))
        }
    }

    /// Deletes an image.
    pub(super) async fn delete_image(&self, id: &str) -> Result<(), CloudError> {
        self.call(&Call::new(Image, Method::DELETE, &["images", id])).await?;
        Ok(())
    }
}

/// A page of `GET /v2/images`.
#[derive(Deserialize)]
struct ImagesPage {
    images: Vec<WireImage>,
    #[serde(default, deserialize_with = "lenient")]
    next: Option<String>,
}

impl Page for ImagesPage {
    type Entry = WireImage;

    fn open(self) -> (Vec<WireImage>, bool) {
        (self.images, self.next.is_some())
    }
}

/// An image; its properties stand beside its fields. Only its id is certain to be there.
#[derive(Deserialize)]
struct WireImage {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    owner: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    created_at: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    image_type: Option<String>,
    /// The server that it is a snapshot of, by Nova.
    #[serde(default, deserialize_with = "lenient")]
    instance_uuid: Option<String>,
    /// The server that it is a snapshot of, by us.
    #[serde(default, deserialize_with = "lenient")]
    nodepool_server_id: Option<String>,
    /// What a snapshot of a server on a volume holds: references to volume snapshots.
    #[serde(default, deserialize_with = "lenient")]
    block_device_mapping: Option<String>,
    #[serde(flatten)]
    marks: Marks,
}

impl Entry for WireImage {
    fn id(&self) -> &str {
        &self.id
    }
}

impl WireImage {
    fn is_active(&self) -> bool {
        self.status.as_deref() == Some("active")
    }

    fn created(&self) -> Option<crate::model::Timestamp> {
        self.created_at.as_deref().and_then(moment)
    }

    /// Whether the mark is on this image for its own sake.
    ///
    /// Nova copies the properties of the image that a server booted from onto every snapshot of that server. A snapshot
    /// that an operator takes of one of our nodes therefore bears the mark of the image below it; it is not ours.
    fn is_marked_itself(&self) -> bool {
        self.instance_uuid.is_none() || self.instance_uuid == self.nodepool_server_id
    }
}

impl From<WireImage> for CloudImage {
    fn from(wire: WireImage) -> Self {
        let itself = wire.is_marked_itself();
        Self {
            created: wire.created(),
            snapshot: wire.image_type.as_deref() == Some("snapshot") || wire.block_device_mapping.is_some(),
            status: status(wire.status.as_deref()),
            tag: wire.marks.tag().filter(|_| itself),
            id: wire.id,
            name: wire.name,
        }
    }
}

/// The state by Glance's word. A word that we do not know may lead to `active` yet, so it is no reason to give up.
fn status(word: Option<&str>) -> CloudImageStatus {
    match word {
        Some("active") => CloudImageStatus::Active,
        Some("killed" | "deleted" | "pending_delete" | "deactivated") => CloudImageStatus::Unusable,
        _ => CloudImageStatus::Pending,
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let images = super::pages::fuzz::<ImagesPage>(body).into_iter().map(CloudImage::from);
    let image = serde_json::from_slice::<WireImage>(body).map(CloudImage::from);
    std::hint::black_box((images.collect::<Vec<_>>(), image.ok()));
}
