//! What every line of the log carries: whose row it is about, the attempt, where, and the cloud's id of the request.
//!
//! A line in the middle of a call does not know whose server it makes, so these are spans: one around an errand from when
//! it is sent until what it came to is written down, one around each change of a row.

use tracing::field::Empty;
use tracing::{Span, error_span};

use super::Rows;
use crate::http::LastRequest;
use crate::model::{Image, Node};
use crate::plan::{Action, Consequence, Errand, Reason};
use crate::telemetry::SPANS;

/// What is known of an errand beside what it is for.
#[derive(Debug)]
pub(super) struct Context {
    /// What its lines carry.
    pub(super) span: Span,
    /// The cloud's id of its last request.
    pub(super) last_request: LastRequest,
}

impl Context {
    /// For an errand that is about to be sent.
    pub(super) fn new(errand: &Errand, rows: &Rows) -> Self {
        Self { span: of_errand(errand, rows), last_request: LastRequest::default() }
    }

    /// Its span, with the id of the last request in it.
    pub(super) fn ended(&self) -> (Span, Option<String>) {
        let id = self.last_request.id();
        if let Some(id) = &id {
            self.span.record("request_id", id.as_str());
        }
        (self.span.clone(), id)
    }
}

fn of_errand(errand: &Errand, rows: &Rows) -> Span {
    let span = error_span!(
        target: SPANS, "errand",
        node = Empty, image = Empty, attempt = Empty, provider = Empty, target = Empty, request_id = Empty
    );
    if let Some(node) = errand.node() {
        span.record("node", node.0);
        if let Some(row) = rows.nodes.get(&node) {
            span.record("attempt", row.attempt.as_str()).record("provider", row.provider.as_str());
            if errand.is_call_to_target() {
                span.record("target", row.target.as_str());
            }
            return span;
        }
    } else if let Some(image) = errand.image() {
        span.record("image", image.0);
        if let Some(row) = rows.images.get(&image) {
            span.record("attempt", row.attempt.as_str()).record("provider", row.provider.as_str());
            return span;
        }
    }
    if let Some(provider) = errand.paced_by() {
        span.record("provider", provider);
    }
    if let Errand::ListAgents { target } | Errand::Withdraw { target, .. } = errand {
        span.record("target", target.as_str());
    }
    span
}

/// For a change of a node's row.
pub(super) fn of_node(row: &Node) -> Span {
    let (node, attempt, provider) = (row.id.0, row.attempt.as_str(), row.provider.as_str());
    error_span!(target: SPANS, "row", node, attempt, provider)
}

/// For a change of an image's row.
pub(super) fn of_image(row: &Image) -> Span {
    let (image, attempt, provider) = (row.id.0, row.attempt.as_str(), row.provider.as_str());
    error_span!(target: SPANS, "row", image, attempt, provider)
}

/// For an action of a plan. An errand gets its own when it is sent; a set one for each of its rows.
pub(super) fn of_action(action: &Action) -> Span {
    match action {
        Action::Node { row, .. } | Action::NodeFacts { row } | Action::WarnOfHoldEnd { row } => of_node(row),
        Action::Image { row, .. } | Action::ImageFacts { row } => of_image(row),
        Action::Nodes { rows, .. } => match rows.as_slice() {
            [row] => of_node(row),
            _ => Span::none(),
        },
        _ => Span::none(),
    }
}

/// The consequence with the request that had it, so that history tells under which id the cloud's own logs know it.
pub(super) fn with_request(mut consequence: Consequence, id: &str) -> Consequence {
    match &mut consequence {
        Consequence::Node { reason, .. }
        | Consequence::Nodes { reason, .. }
        | Consequence::NodeFacts { reason, .. }
        | Consequence::Image { reason, .. }
        | Consequence::ImageFacts { reason, .. } => *reason = requested(&reason.0, id),
        Consequence::SetBack { .. }
        | Consequence::Recovered { .. }
        | Consequence::SawGone { .. }
        | Consequence::HoldOff { .. } => {}
    }
    consequence
}

/// A reason with the id of a request behind it.
pub(super) fn requested(reason: &str, id: &str) -> Reason {
    if reason.contains(id) { Reason(reason.to_owned()) } else { Reason(format!("{reason} ({id})")) }
}
