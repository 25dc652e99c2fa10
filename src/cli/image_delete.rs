//! `nodepool image-delete`: take an image away. Deleting the newest one makes the one before it current again.

use super::list::Look;
use super::{Failure, Session, image_list};
use crate::model::{ImageId, WishKind};

/// What to delete.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Number of the image
    #[arg(value_name = "ID", value_parser = super::number)]
    pub id: i64,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the deletion and prints the image.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let id = ImageId(arguments.id);
    session.image(id).await?;
    let answer = session.wish(&WishKind::ImageDelete(id)).await?;
    session.settle(&answer, "`nodepool image-list` shows the state of each image")?;
    let row = session.store.image(id).await?;
    image_list::show(session, row.into_iter().collect(), arguments.look)
}
