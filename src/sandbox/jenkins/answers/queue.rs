//! The queue.

use std::sync::Arc;

use axum::http::StatusCode;

use super::{Named, posted};
use crate::sandbox::http::Answer;
use crate::sandbox::jenkins::controller::Fate;
use crate::sandbox::jenkins::door::Asked;
use crate::sandbox::jenkins::{Jenkins, page, view};

/// Answers below `/queue/`.
pub(super) fn answer(jenkins: &Arc<Jenkins>, asked: &Asked, rest: &[&str]) -> Named {
    match rest {
        ["api", "json"] => {
            let whole = view::queue(&jenkins.controller(), &asked.root);
            ("jenkins-queue", asked.document(whole, &[]))
        }
        ["item", id, "api", "json"] => ("jenkins-queue-item", item(jenkins, asked, id)),
        ["cancelItem"] => ("jenkins-queue-cancel", posted(asked, || cancel(jenkins, asked))),
        _ => ("jenkins-unknown", page::not_found()),
    }
}

fn item(jenkins: &Jenkins, asked: &Asked, id: &str) -> Answer {
    let controller = jenkins.controller();
    let found = id.parse().ok().and_then(|id: u64| Some((id, controller.queue.get(&id)?)));
    match found {
        Some((id, item)) => asked.document(view::item(&controller, &asked.root, id, item), &[]),
        None => page::not_found(),
    }
}

fn cancel(jenkins: &Jenkins, asked: &Asked) -> Answer {
    let id = asked.parameter("id").and_then(|id| id.parse().ok()).unwrap_or(0);
    jenkins.change(|controller| {
        if let Some(item) = controller.queue.get_mut(&id)
            && item.fate == Fate::Waits
        {
            item.fate = Fate::Cancelled;
        }
    });
    Answer::empty(StatusCode::NO_CONTENT)
}
