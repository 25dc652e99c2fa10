//! `nodepool info`: what this installation is, whether it works, and what holds it up.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::session::now;
use super::{Failure, Session, Table, rfc3339};
use crate::config::{Config, Label, Offer, Sources};
use crate::model::{
    Image, ImageState, KnownProvider, KnownTarget, Node, NodeState, Setback, SetbackKind, Timestamp, Wish,
    WishKind,
};
use crate::plan::{self, Watermark};
use crate::store::ENGINE_LEASE;

/// Everything that `info` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Info {
    version: &'static str,
    /// What everything that this installation makes on a cloud is marked with.
    installation: String,
    store: Option<String>,
    daemon: Daemon,
    configuration: Vec<String>,
    providers: Vec<ProviderView>,
    targets: Vec<TargetView>,
    labels: Vec<LabelView>,
    outdated_images: Vec<OutdatedView>,
    wishes: Vec<WishView>,
    setbacks: Vec<SetbackView>,
}

/// Who works on the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Daemon {
    alive: bool,
    holder: Option<String>,
    since: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct ProviderView {
    name: String,
    servers: usize,
    /// `None`: the provider is drained, or left the configuration.
    max_servers: Option<u32>,
    nodes: usize,
    builders: usize,
    /// Whether it is not in the configuration any more, and is cleaned up.
    left: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct TargetView {
    name: String,
    /// Where nodes are offered: the URL of a Jenkins, `gearman`, or `nowhere`. `None`: nothing tells any more.
    offers: Option<String>,
    /// Nodes and primaries that are to be offered there, or are.
    nodes: usize,
    /// Those of them that may have an agent there.
    agents: usize,
    /// Whether it is not in the configuration any more, and our agents there are taken back.
    left: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct LabelView {
    name: String,
    ready: usize,
    /// `None`: the label is switched off.
    min_ready: Option<u32>,
    /// How many spare nodes there are to be now; `None`: the label is switched off.
    spares: Option<u32>,
    /// The setting that asks for so many.
    spares_by: Option<String>,
    building: usize,
    used: usize,
    hold: usize,
    delete: usize,
}

/// An image that was built from other settings than the configuration has now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct OutdatedView {
    id: i64,
    provider: String,
    image: String,
    changed: Vec<String>,
    /// The command that builds it anew.
    command: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct WishView {
    id: i64,
    wish: String,
    written: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct SetbackView {
    about: String,
    /// `closed` after a few failures, `open` while it is left alone, `half-open` while one node tries it.
    breaker: &'static str,
    failures: u32,
    last: String,
    /// When it is tried again; `None`: at the next look.
    next_try: Option<String>,
    reason: String,
}

/// Prints it all. No cloud is asked. `read` are the files that the configuration was made from.
pub async fn run(
    session: &Session,
    config: &Config,
    sources: &Sources,
    read: &BTreeSet<PathBuf>,
) -> Result<(), Failure> {
    let now = now();
    let store = &session.store;
    let (nodes, images) = (store.nodes().await?, store.images().await?);
    let lease = store.lease(ENGINE_LEASE).await?.filter(|lease| lease.expires > now);
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        installation: store.installation().await?,
        store: session.place().map(str::to_owned),
        daemon: Daemon {
            alive: lease.is_some(),
            holder: lease.as_ref().map(|lease| lease.holder.clone()),
            since: lease.and_then(|lease| lease.taken).map(rfc3339),
        },
        configuration: files(sources, read),
        providers: providers(config, &store.providers().await?, &nodes, &images),
        targets: targets(config, &store.targets().await?, &nodes),
        labels: config.labels.iter().map(|known| label(known, &nodes, now)).collect(),
        outdated_images: outdated(config, &images),
        wishes: store.open_wishes().await?.iter().map(wish).collect(),
        setbacks: store.setbacks().await?.iter().map(|known| setback(known, now)).collect(),
    };
    session.console.answer(|| info.text(session.console.colours()), &info)
}

/// The files that this configuration was read from: nodepool.yaml, secure.conf, and then what they led to, such as the
/// clouds.yaml that was found.
fn files(sources: &Sources, read: &BTreeSet<PathBuf>) -> Vec<String> {
    let first = [sources.nodepool_yaml.as_path(), sources.secure_conf.path()]
        .map(|path| sources.working_dir.join(path));
    let others = read.iter().map(|path| sources.working_dir.join(path)).filter(|path| !first.contains(path));
    let all = first.iter().cloned().chain(others).filter(|path| path.exists());
    all.map(|path| path.display().to_string()).collect()
}

/// The providers of the configuration, then those that left it and of which the store still knows.
fn providers(
    config: &Config,
    known: &[KnownProvider],
    nodes: &[Node],
    images: &[Image],
) -> Vec<ProviderView> {
    let named = nodes.iter().map(|node| &node.provider).chain(images.iter().map(|image| &image.provider));
    let named = named.chain(known.iter().map(|known| &known.name));
    let left: BTreeSet<&String> = named.filter(|name| config.provider(name).is_none()).collect();
    let serving =
        config.providers.iter().map(|known| provider(&known.name, known.max_servers, nodes, images));
    let left =
        left.into_iter().map(|name| ProviderView { left: true, ..provider(name, None, nodes, images) });
    serving.chain(left).collect()
}

/// The targets of the configuration, then those that left it and of which the store still knows.
fn targets(config: &Config, known: &[KnownTarget], nodes: &[Node]) -> Vec<TargetView> {
    let view = |name: &str, offers: Option<String>, left: bool| {
        let heads = nodes.iter().filter(|node| node.target == name && node.primary.is_none());
        let (mut nodes, mut agents) = (0_usize, 0_usize);
        for node in heads {
            nodes = nodes.saturating_add(1);
            let may_have_one = node.agent.attempted.is_some() && !node.agent.withdrawn;
            agents = agents.saturating_add(usize::from(may_have_one));
        }
        TargetView { name: name.to_owned(), offers, nodes, agents, left }
    };
    let serving = config.targets.iter().map(|target| {
        let offers = match &target.offer {
            Offer::Jenkins(jenkins) => jenkins.url.clone(),
            Offer::Gearman => "gearman".to_owned(),
            Offer::Nowhere => "nowhere".to_owned(),
        };
        view(&target.name, Some(offers), false)
    });
    let named = nodes.iter().map(|node| &node.target).chain(known.iter().map(|known| &known.name));
    let left: BTreeSet<&String> = named.filter(|name| config.target(name).is_none()).collect();
    let left = left.into_iter().map(|name| {
        let known = known.iter().find(|known| known.name == *name);
        let offers = known.map(|known| known.url.clone().unwrap_or_else(|| "gearman".to_owned()));
        view(name, offers, true)
    });
    serving.chain(left).collect()
}

/// What a provider has by our rows: servers that may exist count, as they do for `max-servers`.
fn provider(name: &str, max_servers: Option<u32>, nodes: &[Node], images: &[Image]) -> ProviderView {
    let nodes = nodes.iter().filter(|node| node.provider == name);
    let nodes = nodes.filter(|node| node.server_id.is_some() || node.attempted.is_some()).count();
    let images = images.iter().filter(|image| image.provider == name);
    let servers = images.map(|image| {
        let builder = usize::from(image.server_id.is_some());
        builder.saturating_add(usize::from(image.verify_server_id.is_some()))
    });
    let builders = servers.fold(0, usize::saturating_add);
    ProviderView {
        name: name.to_owned(),
        servers: nodes.saturating_add(builders),
        max_servers,
        nodes,
        builders,
        left: false,
    }
}

fn label(label: &Label, nodes: &[Node], now: Timestamp) -> LabelView {
    let name = label.name.as_str();
    let of_label = |state: NodeState| {
        let is =
            |node: &&Node| node.label == name && node.primary.is_none() && node.state.word() == state.word();
        nodes.iter().filter(is).count()
    };
    let busy = of_label(NodeState::Used);
    let watermark = Watermark::of(label, u32::try_from(busy).unwrap_or(u32::MAX), now);
    LabelView {
        name: name.to_owned(),
        ready: of_label(NodeState::Ready),
        min_ready: label.min_ready,
        spares: watermark.as_ref().map(|watermark| watermark.spares),
        spares_by: watermark.map(|watermark| watermark.cause.to_string()),
        building: nodes
            .iter()
            .filter(|node| node.label == name && node.primary.is_none())
            .filter(|node| matches!(node.state, NodeState::Building(_) | NodeState::Test))
            .count(),
        used: busy,
        hold: of_label(NodeState::Hold),
        delete: of_label(NodeState::Delete),
    }
}

/// The newest image of each kind, where the configuration says something else than when its build began.
fn outdated(config: &Config, images: &[Image]) -> Vec<OutdatedView> {
    let configured = config
        .providers
        .iter()
        .flat_map(|provider| provider.images.iter().map(move |image| (provider.name.as_str(), image)));
    let found = configured.filter_map(|(provider, image)| {
        let rows = images.iter().filter(|row| {
            row.provider == provider
                && row.image == image.name
                && matches!(row.state, ImageState::Building(_) | ImageState::Ready)
        });
        let newest = rows.max_by_key(|row| (row.version, row.id))?;
        let changed = image.changed_since(&newest.recipe);
        (!changed.is_empty()).then(|| OutdatedView {
            id: newest.id.0,
            provider: provider.to_owned(),
            image: image.name.clone(),
            changed,
            command: format!("nodepool image-update {provider} {}", image.name),
        })
    });
    found.collect()
}

fn wish(wish: &Wish) -> WishView {
    let words = match &wish.kind {
        WishKind::Hold { node, .. } => format!("hold node {node}"),
        WishKind::Unhold(node) => format!("end the hold of node {node}"),
        WishKind::Delete { node, .. } => format!("delete node {node}"),
        WishKind::ImageUpdate { provider, image } => format!("build image {image} at {provider}"),
        WishKind::ImageDelete(image) => format!("delete image {image}"),
        WishKind::Check => "check all ready nodes".to_owned(),
        WishKind::Cleanup => "look for leftovers".to_owned(),
        WishKind::ConfirmCleanup => "go on with a cleanup that stopped itself".to_owned(),
        WishKind::AlienDelete { provider, server } => format!("delete server {server} at {provider}"),
    };
    WishView { id: wish.id.0, wish: words, written: rfc3339(wish.created) }
}

fn setback(setback: &Setback, now: Timestamp) -> SetbackView {
    let Setback { kind, provider, name, failures, last, reason } = setback;
    let about = match kind {
        SetbackKind::Image => format!("builds of image {name} at {provider}"),
        SetbackKind::Launch => format!("launches of {name} at {provider}"),
        SetbackKind::Capacity => format!("room at {provider}"),
        SetbackKind::Provider => format!("all launches at {provider}"),
        SetbackKind::Snapshot => format!("nodes from image {name} at {provider}"),
        SetbackKind::Flavor => format!("flavor {name} of {provider}"),
        SetbackKind::Zone => format!("zone {name} of {provider}"),
        SetbackKind::Target => format!("enrollments at target {provider}"),
    };
    let next = last.plus(plan::backoff(*kind, *failures));
    SetbackView {
        about,
        breaker: plan::BreakerState::of(setback, now).word(),
        failures: *failures,
        last: rfc3339(*last),
        next_try: (next > now).then(|| rfc3339(next)),
        reason: reason.clone(),
    }
}

impl Info {
    fn text(&self, colours: bool) -> String {
        let mut text = String::new();
        let daemon = match (&self.daemon.holder, &self.daemon.since) {
            (None, _) => "does not run: wishes wait until it does".to_owned(),
            (Some(holder), None) => format!("runs, as {holder}"),
            (Some(holder), Some(since)) => format!("runs, as {holder}, since {since}"),
        };
        for (title, value) in [
            ("Version", self.version),
            ("Installation", &self.installation),
            ("Store", self.store.as_deref().unwrap_or("in memory")),
            ("nodepoold", &daemon),
        ] {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{title:<14} {value}");
        }
        for (place, file) in self.configuration.iter().enumerate() {
            let _ = writeln!(text, "{:<14} {file}", if place == 0 { "Configuration" } else { "" });
        }
        let or = |number: Option<u32>, word: &str| {
            number.map_or_else(|| word.to_owned(), |number| number.to_string())
        };
        let mut table = Table::new(["Provider", "Servers", "max-servers", "Nodes", "Builders"]);
        for view in &self.providers {
            let none = if view.left { "left the configuration" } else { "drained" };
            let numbers = [view.servers.to_string(), or(view.max_servers, none)];
            let rest = [view.nodes.to_string(), view.builders.to_string()];
            table.row([view.name.clone()].into_iter().chain(numbers).chain(rest).map(Some));
        }
        section(&mut text, "Providers", &table, self.providers.len(), colours);
        let mut table = Table::new(["Target", "Offers nodes at", "Nodes", "Agents", "Configured"]);
        for view in &self.targets {
            let numbers = [view.nodes, view.agents].map(|count| Some(count.to_string()));
            let configured = if view.left { "no more: it is cleaned up" } else { "yes" };
            let first = [Some(view.name.clone()), view.offers.clone()];
            table.row(first.into_iter().chain(numbers).chain([Some(configured.to_owned())]));
        }
        section(&mut text, "Targets", &table, self.targets.len(), colours);
        let mut table = Table::new([
            "Label",
            "Ready",
            "min-ready",
            "Building",
            "Used",
            "Hold",
            "Delete",
            "Spares now",
            "Because",
        ]);
        for view in &self.labels {
            let numbers = [view.ready.to_string(), or(view.min_ready, "off")];
            let rest = [view.building, view.used, view.hold, view.delete].map(|count| count.to_string());
            let row = [view.name.clone()].into_iter().chain(numbers).chain(rest);
            let spares = [Some(or(view.spares, "off")), view.spares_by.clone()];
            table.row(row.map(Some).chain(spares));
        }
        section(&mut text, "Labels", &table, self.labels.len(), colours);
        text.push_str(&self.outdated(colours));
        let mut table = Table::new(["ID", "Wish", "Written"]);
        for view in &self.wishes {
            table.row([view.id.to_string(), view.wish.clone(), view.written.clone()].map(Some));
        }
        section(&mut text, "Open wishes", &table, self.wishes.len(), colours);
        let mut table = Table::new(["Setback", "Breaker", "Failures", "Last", "Next try", "Reason"]);
        for view in &self.setbacks {
            let next = view.next_try.clone().unwrap_or_else(|| "at the next look".to_owned());
            let breaker = [view.about.clone(), view.breaker.to_owned()];
            let cells = [view.failures.to_string(), view.last.clone(), next];
            table.row(breaker.into_iter().chain(cells).chain([view.reason.clone()]).map(Some));
        }
        section(&mut text, "Setbacks", &table, self.setbacks.len(), colours);
        text
    }

    /// What images are built of settings that are not those of the configuration any more; nothing where none is.
    fn outdated(&self, colours: bool) -> String {
        let mut text = String::new();
        if self.outdated_images.is_empty() {
            return text;
        }
        let mut table =
            Table::new(["ID", "Provider", "Image", "Changed since it was built", "To build it anew"]);
        for view in &self.outdated_images {
            let first = [view.id.to_string(), view.provider.clone(), view.image.clone()];
            table.row(first.into_iter().chain([view.changed.join(", "), view.command.clone()]).map(Some));
        }
        let rows = self.outdated_images.len();
        section(&mut text, "Images built from other settings", &table, rows, colours);
        text
    }
}

fn section(text: &mut String, title: &str, table: &Table, rows: usize, colours: bool) {
    let body = if rows == 0 { " none\n".to_owned() } else { format!("\n{}", table.render(colours)) };
    let _ = write!(text, "\n{title}:{body}");
}
