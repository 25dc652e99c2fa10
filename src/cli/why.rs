//! `nodepool why`: why a label, a node, a provider or an image is as it is.

use serde::Serialize;

use super::cause::Evidence;
use super::plan_view::PlanView;
use super::session::now;
use super::{Failure, Session, suggest};
use crate::config::Config;

/// What to explain.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Name of a label, an image or a provider, or the number of a node
    #[arg(value_name = "LABEL|NODE|PROVIDER|IMAGE")]
    pub about: String,
}

/// A line of the chain.
#[derive(Clone, Debug, Default, Serialize)]
struct Line {
    depth: usize,
    text: String,
}

/// Prints the causal chain: what is so, and below each line what is behind it.
pub async fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let plan: PlanView = session.ask_daemon("/api/v1/plan").await?;
    let store = &session.store;
    let (nodes, images, setbacks) = (store.nodes().await?, store.images().await?, store.setbacks().await?);
    let evidence =
        Evidence { config, nodes: &nodes, images: &images, setbacks: &setbacks, plan: &plan, now: now() };
    let about = &arguments.about;
    let question = evidence.question(about);
    let question =
        question.ok_or_else(|| suggest::unknown("label, image or provider", about, evidence.names()))?;
    let chain = evidence.why(&question);
    let lines: Vec<Line> =
        chain.lines.iter().map(|(depth, text)| Line { depth: *depth, text: text.clone() }).collect();
    session.console.answer(|| chain.text(), &lines)
}
