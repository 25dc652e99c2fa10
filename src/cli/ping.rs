//! `nodepool ping`: whether nodes let us in, and how long that takes.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use serde::Serialize;

use super::reach::{AtOnce, Choice, Door, Machines};
use super::{Failure, Format, Session, ids};
use crate::config::Config;
use crate::model::{Node, counted};

/// Which nodes, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Which nodes.
    #[command(flatten)]
    pub choice: Choice,
    /// How many at the same time: a number, or a share such as 25%
    #[arg(long, value_name = "NUMBER|SHARE", default_value = "50")]
    pub at_once: AtOnce,
    /// How long a node may take to let us in
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::duration)]
    pub timeout: Duration,
}

/// The answer of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Reply {
    node: i64,
    label: String,
    provider: String,
    state: String,
    address: Option<String>,
    /// Milliseconds until a shell answered.
    milliseconds: Option<f64>,
    /// Why it did not.
    error: Option<String>,
}

/// All answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Summary {
    nodes: Vec<Reply>,
    replies: usize,
    losses: usize,
    /// In milliseconds; `None` when nobody replied.
    min: Option<f64>,
    avg: Option<f64>,
    max: Option<f64>,
}

/// Logs in to each node, tells answers as they come, and then sums them up.
///
/// # Errors
/// A node did not reply.
pub async fn run(
    session: &Session,
    config: &Config,
    machines: &dyn Machines,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let nodes = arguments.choice.nodes(session, config).await?;
    let at_once = arguments.at_once.of(nodes.len());
    let asked = nodes.into_iter().map(|(node, door)| ask(machines, node, door, arguments.timeout));
    let mut answers = stream::iter(asked).buffer_unordered(at_once);
    let format = session.console.format();
    let mut replies = Vec::new();
    while let Some(reply) = answers.next().await {
        if format == Format::Table {
            let mut out = io::stdout().lock();
            writeln!(out, "{}", reply.line())?;
            out.flush()?;
        }
        replies.push(reply);
    }
    let summary = Summary::new(replies);
    match format {
        Format::Table => session.console.answer(|| summary.line(), &summary)?,
        Format::Csv => session.console.lines(String::new, || summary.nodes.clone())?,
        Format::Json | Format::Yaml => session.console.answer(String::new, &summary)?,
    }
    if summary.losses == 0 {
        return Ok(());
    }
    let lost = summary.nodes.iter().filter(|reply| reply.error.is_some()).map(|reply| reply.node);
    let lost = ids::in_words(&lost.collect::<Vec<_>>());
    let all = summary.nodes.len();
    Err(Failure::refused(
        format!("{} of {} did not reply: {lost}", summary.losses, counted(all, "node", "nodes")),
        "`nodepool doctor` looks at the way to them, `nodepool why ID` at one of them",
    ))
}

async fn ask(machines: &dyn Machines, node: Node, door: Result<Door, String>, patience: Duration) -> Reply {
    let began = Instant::now();
    let answer = match &door {
        Ok(door) => machines.log_in(door, patience).await.map_err(|error| format!("{error:#}")),
        Err(why) => Err(why.clone()),
    };
    let took = began.elapsed().as_secs_f64() * 1000.0;
    Reply {
        node: node.id.0,
        label: node.label,
        provider: node.provider,
        state: node.state.to_string(),
        address: door.ok().map(|door| door.address.to_string()).or(node.ip),
        milliseconds: answer.is_ok().then_some(took),
        error: answer.err(),
    }
}

impl Reply {
    fn line(&self) -> String {
        let Self { node, label, provider, address, .. } = self;
        let address = address.as_deref().unwrap_or("no address");
        let answer = match (self.milliseconds, &self.error) {
            (Some(time), _) => format!("{time:.1} ms"),
            (None, error) => {
                format!("no reply: {}", super::table::one_line(error.as_deref().unwrap_or_default()))
            }
        };
        format!("node {node} ({label} at {provider}, {address}): {answer}")
    }
}

impl Summary {
    fn new(mut nodes: Vec<Reply>) -> Self {
        nodes.sort_by_key(|reply| reply.node);
        let times: Vec<f64> = nodes.iter().filter_map(|reply| reply.milliseconds).collect();
        let (replies, sum) = (times.len(), times.iter().sum::<f64>());
        let count = f64::from(u32::try_from(replies).unwrap_or(u32::MAX));
        Self {
            replies,
            losses: nodes.len().saturating_sub(replies),
            min: times.iter().copied().reduce(f64::min),
            avg: (replies > 0).then(|| sum / count),
            max: times.iter().copied().reduce(f64::max),
            nodes,
        }
    }

    fn line(&self) -> String {
        let Self { nodes, replies, losses, .. } = self;
        let share = losses.saturating_mul(100).checked_div(nodes.len()).unwrap_or_default();
        let nodes = counted(nodes.len(), "node", "nodes");
        let (replies, losses) = (counted(*replies, "reply", "replies"), counted(*losses, "loss", "losses"));
        let mut line = format!("{nodes}, {replies}, {losses} ({share}%)");
        if let (Some(min), Some(avg), Some(max)) = (self.min, self.avg, self.max) {
            line = format!("{line}; min {min:.1} ms, avg {avg:.1} ms, max {max:.1} ms");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_replies_and_losses() {
        let reply = |node, time: Option<f64>| Reply {
            node,
            milliseconds: time,
            error: time.is_none().then(|| "not reached".to_owned()),
            ..Reply::default()
        };
        let summary = Summary::new(vec![reply(3, Some(30.0)), reply(1, Some(10.0)), reply(2, None)]);
        assert_eq!(summary.nodes.iter().map(|reply| reply.node).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(summary.line(), "3 nodes, 2 replies, 1 loss (33%); min 10.0 ms, avg 20.0 ms, max 30.0 ms");
        assert_eq!(Summary::new(Vec::new()).line(), "0 nodes, 0 replies, 0 losses (0%)");
        let one = Summary::new(vec![reply(1, Some(10.0))]).line();
        assert!(one.starts_with("1 node, 1 reply, 0 losses (0%); "), "{one}");
    }
}
