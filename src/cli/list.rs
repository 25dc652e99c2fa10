//! `nodepool list`: the nodes.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::session::now;
use super::sort::{self, Key};
use super::view::NodeView;
use super::{Age, Failure, Format, Session, Table, suggest, watch};
use crate::config::Config;
use crate::model::{Node, NodeStep, Timestamp};
use crate::store::NodeLine;

/// How tables of nodes and images look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Look {
    /// How ages are written in tables
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub age: Age,
    /// Add columns after the age, and the subnodes of nodes
    #[arg(long)]
    pub detail: bool,
}

/// What to list, and in which order.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// Which nodes.
    #[command(flatten)]
    pub filter: Filter,
    /// Sort by these columns, the first one first; with a minus the other way round [default: provider,label]
    #[arg(long, value_name = "COLUMN[,-COLUMN]", value_delimiter = ',', allow_hyphen_values = true)]
    #[arg(value_parser = sort::key::<Column>)]
    pub sort: Vec<Key<Column>>,
    /// Go on: draw the list anew every second; on a pipe, a line for each change
    #[arg(long)]
    pub watch: bool,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Which nodes to list: those that fit one value of each option that is given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filter {
    /// Only nodes of these labels
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub label: Vec<String>,
    /// Only nodes at these providers
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub provider: Vec<String>,
    /// Only nodes in these states
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    #[arg(value_parser = ["building", "test", "ready", "used", "hold", "delete"])]
    pub state: Vec<String>,
    /// Only nodes offered at these targets
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub target: Vec<String>,
}

/// A column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Column {
    /// The number.
    Id,
    /// The provider.
    Provider,
    /// The availability zone.
    Az,
    /// The label.
    Label,
    /// The target.
    Target,
    /// The full host name.
    Hostname,
    /// The name of the agent.
    Nodename,
    /// The cloud's id of the server.
    ServerId,
    /// The address.
    Ip,
    /// The state.
    State,
    /// The time in that state.
    Age,
}

/// Prints the nodes, ordered by provider and label unless it is said otherwise.
pub async fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let plain_table = session.console.format() == Format::Table && !arguments.look.detail;
    if plain_table && !arguments.watch {
        let lines = session.store.node_lines().await?;
        arguments.filter.check(config, &lines)?;
        let chosen = arguments.choose_by(lines, true, |line| line);
        return session.console.table(&plain(chosen, arguments.look, now()));
    }
    let nodes = session.store.nodes().await?;
    arguments.filter.check(config, &lines_of(&nodes))?;
    if arguments.watch {
        return watch::run(session, arguments, nodes).await;
    }
    let chosen = arguments.choose(nodes, false);
    session.console.rows(|| table(&chosen, arguments.look, now()), || views(&chosen, now()))
}

/// Prints these nodes.
pub(super) fn show(session: &Session, nodes: Vec<Node>, look: Look) -> Result<(), Failure> {
    let nodes = Arguments::default().choose(nodes, false);
    session.console.rows(|| table(&nodes, look, now()), || views(&nodes, now()))
}

impl Arguments {
    /// The nodes that are meant, in the order that is wanted; without subnodes unless they are.
    pub(super) fn choose(&self, nodes: Vec<Node>, without_subnodes: bool) -> Vec<Node> {
        let lined = nodes.into_iter().map(|node| (NodeLine::from(&node), node)).collect();
        let chosen = self.choose_by(lined, without_subnodes, |(line, _)| line);
        chosen.into_iter().map(|(_, node)| node).collect()
    }

    fn choose_by<T>(
        &self,
        mut nodes: Vec<T>,
        without_subnodes: bool,
        line: impl Fn(&T) -> &NodeLine,
    ) -> Vec<T> {
        let meant =
            |node: &NodeLine| self.filter.takes(node) && !(without_subnodes && node.primary.is_some());
        nodes.retain(|node| meant(line(node)));
        nodes.sort_by(|one, other| {
            let (one, other) = (line(one), line(other));
            (&one.provider, &one.label, one.id).cmp(&(&other.provider, &other.label, other.id))
        });
        sort::sort(&mut nodes, &self.sort, |column, one, other| compare(column, line(one), line(other)));
        nodes
    }
}

impl Filter {
    /// Whether a node is meant.
    pub(super) fn takes(&self, node: &NodeLine) -> bool {
        let fits =
            |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|one| one == value);
        fits(&self.label, &node.label)
            && fits(&self.provider, &node.provider)
            && fits(&self.state, node.state.word())
            && fits(&self.target, &node.target)
    }

    /// Names that are neither in the configuration nor in a row are slips of the pen.
    pub(super) fn check(&self, config: &Config, nodes: &[NodeLine]) -> Result<(), Failure> {
        let known = |configured: Vec<&'_ str>, of: fn(&NodeLine) -> &str| -> BTreeSet<String> {
            configured.into_iter().chain(nodes.iter().map(of)).map(str::to_owned).collect()
        };
        let check = |kind: &str, wanted: &[String], known: &dyn Fn() -> BTreeSet<String>| {
            if wanted.is_empty() {
                return Ok(());
            }
            let known = known();
            suggest::check(kind, wanted, &known.iter().map(String::as_str).collect())
        };
        check("label", &self.label, &|| {
            known(config.labels.iter().map(|label| label.name.as_str()).collect(), |node| &node.label)
        })?;
        check("provider", &self.provider, &|| {
            known(config.providers.iter().map(|one| one.name.as_str()).collect(), |node| &node.provider)
        })?;
        check("target", &self.target, &|| {
            known(config.targets.iter().map(|target| target.name.as_str()).collect(), |node| &node.target)
        })
    }
}

fn compare(column: Column, one: &NodeLine, other: &NodeLine) -> Ordering {
    let address = |node: &NodeLine| node.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    match column {
        Column::Id => one.id.cmp(&other.id),
        Column::Provider => one.provider.cmp(&other.provider),
        Column::Az => one.az.cmp(&other.az),
        Column::Label => one.label.cmp(&other.label),
        Column::Target => one.target.cmp(&other.target),
        Column::Hostname => one.hostname.cmp(&other.hostname),
        Column::Nodename => one.nodename.cmp(&other.nodename),
        Column::ServerId => one.server_id.cmp(&other.server_id),
        Column::Ip => address(one).cmp(&address(other)),
        Column::State => one.state.cmp(&other.state),
        // The younger one entered its state later.
        Column::Age => other.state_time.cmp(&one.state_time),
    }
}

pub(super) fn views(nodes: &[Node], now: Timestamp) -> Vec<NodeView> {
    nodes.iter().map(|node| NodeView::new(node, now)).collect()
}

pub(super) fn lines_of(nodes: &[Node]) -> Vec<NodeLine> {
    nodes.iter().map(NodeLine::from).collect()
}

/// The table of nodes that look wants.
pub(super) fn table(nodes: &[Node], look: Look, now: Timestamp) -> Table {
    if !look.detail {
        return plain(lines_of(nodes), look, now);
    }
    let added = ["Step", "Comment", "Held until", "Reason", "Subnode of", "Held by", "Job"];
    let mut table = Table::new(columns(look).into_iter().chain(added));
    for node in nodes {
        let detail = [
            node.state.step().map(|step| NodeStep::word(step).to_owned()),
            node.comment.clone(),
            node.held_until.map(super::rfc3339),
            Some(node.reason.clone()),
            node.primary.map(|primary| primary.to_string()),
            node.held_by.clone(),
            node.job.name.clone(),
        ];
        table.row(cells(NodeLine::from(node), look, now).into_iter().chain(detail));
    }
    table
}

fn plain(lines: Vec<NodeLine>, look: Look, now: Timestamp) -> Table {
    let mut table = Table::new(columns(look));
    for line in lines {
        table.row(cells(line, look, now));
    }
    table
}

/// The columns of nodepool 0.1 and 0.2 in their places: scripts cut them out by their number.
fn columns(look: Look) -> [&'static str; 11] {
    let age = look.age.title();
    ["ID", "Provider", "AZ", "Label", "Target", "Hostname", "NodeName", "Server ID", "IP", "State", age]
}

fn cells(line: NodeLine, look: Look, now: Timestamp) -> [Option<String>; 11] {
    [
        Some(line.id.to_string()),
        Some(line.provider),
        line.az,
        Some(line.label),
        Some(line.target),
        Some(line.hostname),
        Some(line.nodename),
        line.server_id,
        line.ip,
        Some(line.state.word().to_owned()),
        Some(look.age.text(now.since(line.state_time))),
    ]
}
