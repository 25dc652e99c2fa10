//! `nodepool alien-image-list`: snapshots in our projects that we did not take.

use serde::Serialize;

use super::alien::{self, Arguments, CloudReader};
use super::{Failure, Session, Table, rfc3339};
use crate::config::{Config, Provider};
use crate::model::{CloudImage, CloudImageStatus};

/// A snapshot that is not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct AlienImageView {
    provider: String,
    name: Option<String>,
    image_id: String,
    status: &'static str,
    created: Option<String>,
    /// The nodepool installation that took it, when it is one like us.
    installation: Option<String>,
}

/// Prints the snapshots without our tag.
pub async fn run(
    session: &Session,
    config: &Config,
    clouds: &dyn CloudReader,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let providers = alien::providers(config, arguments)?;
    let ours = session.store.installation().await?;
    let list = |provider| clouds.images(provider);
    let view = |provider: &Provider, images: Vec<CloudImage>| {
        let mut aliens: Vec<CloudImage> = images
            .into_iter()
            .filter(|image| image.snapshot && alien::is_alien(image.tag.as_ref(), &ours))
            .collect();
        aliens.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        aliens.into_iter().map(|image| AlienImageView::new(provider, image)).collect()
    };
    alien::show(session, providers, list, view, table).await
}

impl AlienImageView {
    fn new(provider: &Provider, image: CloudImage) -> Self {
        Self {
            provider: provider.name.clone(),
            name: image.name,
            image_id: image.id,
            status: match image.status {
                CloudImageStatus::Pending => "pending",
                CloudImageStatus::Active => "active",
                CloudImageStatus::Unusable => "unusable",
            },
            created: image.created.map(rfc3339),
            installation: image.tag.map(|tag| tag.installation),
        }
    }
}

fn table(views: &[AlienImageView]) -> Table {
    let mut table = Table::new(["Provider", "Name", "Image ID"]);
    for view in views {
        table.row([Some(view.provider.clone()), view.name.clone(), Some(view.image_id.clone())]);
    }
    table
}
