//! The nodes that are held, and the images.

use std::collections::BTreeMap;

use super::super::html::Html;
use super::table::{Cell, Table};
use super::{Shown, colour, heading, more};
use crate::model::{Image, ImageState, ImageStep, NodeState};
use crate::store::Subject;

/// The most rows of one table; the commands show all.
const MOST: usize = 200;

impl Shown<'_> {
    pub(super) fn held(&self, html: &mut Html) {
        heading(html, "Held nodes");
        let held = self.picture.nodes().iter().filter(|node| node.state == NodeState::Hold);
        let columns = ["ID", "Label", "Hostname", "Held by", "For", "Since", "Ends", "Reason"];
        let mut table = Table::new("Held nodes", &columns);
        for node in held.clone().take(MOST) {
            table.row([
                Cell::link("node", node.id.0),
                Cell::text(&node.label),
                Cell::text(&node.hostname),
                match (&node.held_by, &node.held_for) {
                    (Some(who), _) => Cell::text(who),
                    (None, Some(_)) => Cell::text("a rule for failed jobs"),
                    (None, None) => Cell::Empty,
                },
                Cell::maybe(node.held_for.as_deref()),
                Cell::Since(node.state_time),
                node.held_until.map_or_else(|| Cell::marked("when somebody ends it", "away"), Cell::Until),
                Cell::wide(node.comment.as_deref().unwrap_or(&node.reason)),
            ]);
        }
        table.finish(html, "No node is held.");
        more(html, held.count().saturating_sub(MOST));
    }

    pub(super) fn images(&self, html: &mut Html) {
        heading(html, "Images");
        let mut images: Vec<&Image> = self.picture.images().iter().collect();
        images.sort_by_key(|image| (&image.provider, &image.image, std::cmp::Reverse(image.id)));
        let mut current: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for image in images.iter().filter(|image| image.state == ImageState::Ready) {
            let newest = current.entry((&image.provider, &image.image)).or_insert(image.version);
            *newest = (*newest).max(image.version);
        }
        let columns =
            ["ID", "Provider", "Image", "State", "Since", "Built", "Nodes", "Reason", "Hostname", "Image ID"];
        let mut table = Table::new("Images", &columns);
        for image in images.iter().take(MOST) {
            let newest = current.get(&(image.provider.as_str(), image.image.as_str()));
            table.row(image_row(image, newest == Some(&image.version)));
        }
        table.finish(html, "There are no images.");
        more(html, images.len().saturating_sub(MOST));
        self.gone_images(html);
    }

    /// Images that are no more, whose history is still there.
    fn gone_images(&self, html: &mut Html) {
        let gone = &self.picture.gone_images;
        if gone.is_empty() {
            return;
        }
        html.markup("<details><summary>").text(gone.len()).markup(" that are gone</summary>");
        let mut table = Table::new("Images that are gone", &["ID", "Provider", "Hostname", "Gone", "Reason"]);
        for line in gone.iter().rev() {
            table.row([
                match line.subject {
                    Subject::Image(id) => Cell::link("image", id.0),
                    Subject::Node(_) => Cell::Empty,
                },
                Cell::text(&line.provider),
                Cell::text(&line.hostname),
                Cell::Since(line.note.at),
                Cell::wide(&line.note.reason),
            ]);
        }
        table.finish(html, "");
        html.markup("</details>");
    }
}

fn image_row(image: &Image, is_current: bool) -> [Cell<'_>; 10] {
    let word = image.state.word();
    let state = match image.state.step().map(ImageStep::word) {
        Some(step) => format!("{word} ({step})"),
        None if is_current => format!("{word}, current"),
        None => word.to_owned(),
    };
    [
        Cell::link("image", image.id.0),
        Cell::text(&image.provider),
        Cell::text(&image.image),
        Cell::marked(state, colour(word)),
        Cell::Since(image.state_time),
        Cell::Since(image.created),
        Cell::Number(image.nodes_ready as usize),
        Cell::wide(&image.reason),
        Cell::text(&image.hostname),
        Cell::maybe(image.external_id.as_deref()),
    ]
}
