//! `nodepool image-list`: the snapshot images.

use super::list::Look;
use super::session::now;
use super::view::ImageView;
use super::{Failure, Session, Table};
use crate::model::{Image, Timestamp};

/// Prints all images, ordered by provider and name.
pub async fn run(session: &Session, look: Look) -> Result<(), Failure> {
    let images = session.store.images().await?;
    show(session, images, look)
}

/// Prints these images.
pub(super) fn show(session: &Session, images: Vec<Image>, look: Look) -> Result<(), Failure> {
    let views = views(images, now());
    session.console.rows(|| table(&views, look), &views)
}

/// The text of the table, which the web page serves too.
pub fn text(images: Vec<Image>, now: Timestamp, look: Look) -> String {
    table(&views(images, now), look).render()
}

fn views(mut images: Vec<Image>, now: Timestamp) -> Vec<ImageView> {
    images.sort_by(|one, other| {
        (&one.provider, &one.image, one.id).cmp(&(&other.provider, &other.image, other.id))
    });
    images.iter().map(|image| ImageView::new(image, now)).collect()
}

/// The columns of nodepool 0.1 to 0.3 in their places: scripts cut them out by their number.
fn table(views: &[ImageView], look: Look) -> Table {
    let mut columns = vec![
        "ID",
        "Provider",
        "Image",
        "Hostname",
        "Version",
        "Image ID",
        "Server ID",
        "State",
        look.age.title(),
    ];
    if look.detail {
        columns.extend(["Step", "Reason"]);
    }
    let mut table = Table::new(columns);
    for image in views {
        let mut cells = vec![
            Some(image.id.to_string()),
            Some(image.provider.clone()),
            Some(image.image.clone()),
            Some(image.hostname.clone()),
            Some(image.version.to_string()),
            image.image_id.clone(),
            image.server_id.clone(),
            Some(image.state.to_owned()),
            Some(image.age(look.age)),
        ];
        if look.detail {
            cells.extend([image.step.map(str::to_owned), Some(image.reason.clone())]);
        }
        table.row(cells);
    }
    table
}
