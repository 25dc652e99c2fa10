//! Steering several nodes or images with one command: what is known is done, what is not is named.

use super::list::{self, Look};
use super::wish::Answer;
use super::{Failure, Ids, Session, ids};
use crate::model::{Image, ImageId, Node, NodeId, WishKind};

/// What was found of the numbers that were typed.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    pub(super) problems: Vec<String>,
}

impl Session {
    /// The nodes of these numbers, in this order, and a problem that names those that there are not.
    pub(super) async fn find_nodes(&self, ids: &Ids) -> Result<Found<Node>, Failure> {
        let (mut rows, mut unknown) = (Vec::new(), Vec::new());
        for number in ids.numbers()? {
            match self.store.node(NodeId(number)).await? {
                Some(node) => rows.push(node),
                None => unknown.push(number),
            }
        }
        let problems = match unknown.as_slice() {
            [] => Vec::new(),
            [one] => vec![format!("Node {one} not found.")],
            many => vec![format!("Nodes {} not found.", ids::in_words(many))],
        };
        Ok(Found { rows, problems })
    }

    /// The images of these numbers, in this order, and a problem that names those that there are not.
    pub(super) async fn find_images(&self, ids: &Ids) -> Result<Found<Image>, Failure> {
        let (mut rows, mut unknown) = (Vec::new(), Vec::new());
        for number in ids.numbers()? {
            match self.store.image(ImageId(number)).await? {
                Some(image) => rows.push(image),
                None => unknown.push(number),
            }
        }
        let problems = match unknown.as_slice() {
            [] => Vec::new(),
            [one] => vec![format!("No image '{one}' found.")],
            many => vec![format!("No images {} found.", ids::in_words(many))],
        };
        Ok(Found { rows, problems })
    }

    /// Writes the wishes down and waits for the answers. Gives for each whether it was not refused, and adds why the
    /// others were to `problems`; why something is still open is told, once. `plain` is how an
    /// answer begins that is told where it says more than that.
    pub(super) async fn ask(
        &self,
        wishes: &[WishKind],
        problems: &mut Vec<String>,
        plain: impl Fn(&WishKind) -> Option<String>,
    ) -> Result<Vec<bool>, Failure> {
        let mut told = Vec::new();
        let mut accepted = Vec::with_capacity(wishes.len());
        for (kind, (_wish, answer)) in wishes.iter().zip(self.wishes(wishes).await?) {
            accepted.push(!matches!(answer, Answer::Refused(_)));
            match answer {
                Answer::Granted(outcome) => {
                    let more = plain(kind).and_then(|plain| outcome.strip_prefix(&plain).map(str::is_empty));
                    if more == Some(false) {
                        self.console.note(&outcome);
                    }
                }
                Answer::Refused(why) => problems.push(why),
                Answer::Open(why) if told.contains(&why) => {}
                Answer::Open(why) => {
                    self.console.note(&why);
                    told.push(why);
                }
            }
        }
        Ok(accepted)
    }

    /// Wishes something for each of these nodes, prints those that it was not refused for, and fails when there was a
    /// problem with any.
    pub(super) async fn steer(
        &self,
        ids: &Ids,
        look: Look,
        next: &str,
        wish: impl Fn(NodeId) -> WishKind,
    ) -> Result<(), Failure> {
        let Found { rows, mut problems } = self.find_nodes(ids).await?;
        if rows.is_empty() {
            return whole(&problems, next);
        }
        let wishes: Vec<WishKind> = rows.iter().map(|node| wish(node.id)).collect();
        let accepted = self.ask(&wishes, &mut problems, |_| None).await?;
        let mut shown = Vec::new();
        for node in rows.iter().zip(&accepted).filter_map(|(node, accepted)| accepted.then_some(node)) {
            shown.extend(self.store.node(node.id).await?);
        }
        if accepted.contains(&true) {
            list::show(self, shown, look)?;
        }
        whole(&problems, next)
    }
}

/// A success, unless there were problems.
pub(super) fn whole(problems: &[String], next: &str) -> Result<(), Failure> {
    match problems {
        [] => Ok(()),
        [one] => Err(Failure::refused(one.as_str(), next)),
        many => Err(Failure::refused(format!("not everything was done\n  {}", many.join("\n  ")), next)),
    }
}
