//! `nodepool image-delete`: take images away. Deleting the newest one makes the one before it current again.

use super::list::Look;
use super::several::{Found, whole};
use super::{Failure, Ids, Session, confirm, image_list};
use crate::model::WishKind;

/// What to delete.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Which images.
    #[command(flatten)]
    pub ids: Ids,
    /// Do not ask, also on a terminal where several are to be deleted
    #[arg(short, long)]
    pub yes: bool,
    /// Accepted for the sake of nodepool 0.3.1, which then forgot an image that its cloud did not delete. An image is
    /// forgotten when its cloud no longer has it, and not before
    #[arg(long)]
    pub force: bool,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the deletions and prints the images.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let next = "`nodepool image-list` shows the images that there are";
    let Found { rows, mut problems } = session.find_images(&arguments.ids).await?;
    if rows.is_empty() {
        return whole(&problems, next);
    }
    if rows.len() > 1 && !arguments.yes {
        confirm::ask(&format!("delete {} images", rows.len()))?;
    }
    if arguments.force {
        session.console.note("--force: nodepoold goes on trying until the cloud no longer has the image");
    }
    let wishes: Vec<WishKind> = rows.iter().map(|image| WishKind::ImageDelete(image.id)).collect();
    let accepted = session.ask(&wishes, &mut problems, |_| None).await?;
    let mut shown = Vec::new();
    for image in rows.iter().zip(&accepted).filter_map(|(image, accepted)| accepted.then_some(image)) {
        shown.extend(session.store.image(image.id).await?);
    }
    if accepted.contains(&true) {
        image_list::show(session, shown, arguments.look)?;
    }
    whole(&problems, next)
}
