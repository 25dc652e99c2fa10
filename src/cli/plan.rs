//! `nodepool plan`: what the daemon decided last, and why. It changes nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::plan_view::{LabelView, PlanView};
use super::session::now;
use super::what_if::{self, Difference, Rows};
use super::{Console, Failure, Session, Table, config_show};
use crate::config::{self, Config, Loaded, SecureConf, Sources};

/// The file that nodepoold reads where nothing else is said.
const USUAL: &str = "/etc/nodepool/nodepool.yaml";

/// With what another configuration is compared.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// The file that nodepoold runs with, where that of -c names another database; /etc/nodepool/nodepool.yaml unless it is said
    #[arg(long, value_name = "FILE")]
    pub running: Option<PathBuf>,
}

/// The answer: the last plan, and what another configuration would change.
#[derive(Clone, Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    plan: PlanView,
    /// `None`: the files say what is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    if_loaded: Option<Difference>,
}

/// Prints the last plan: what is done and what is not, each with its reason, and the sums behind it. When the files say something
/// else than what is in force, what they would change comes first.
pub async fn run(
    console: Console,
    loaded: &Loaded,
    sources: &Sources,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let (session, moved) = running(console, loaded, sources, arguments).await?;
    let session = &session;
    let plan: PlanView = session.ask_daemon("/api/v1/plan").await?;
    let shown: serde_json::Value = session.ask_daemon("/api/v1/config").await?;
    let new = read_shown(serde_json::to_value(config_show::facts(loaded)).unwrap_or_default(), sources)?;
    let old = read_shown(shown, sources)?;
    let store = &session.store;
    let (nodes, images, setbacks) = (store.nodes().await?, store.images().await?, store.setbacks().await?);
    let rows = Rows {
        installation: &store.installation().await?,
        nodes: &nodes,
        images: &images,
        setbacks: &setbacks,
        told: &plan,
        now: now(),
    };
    let mut difference = what_if::difference(&old, &new, rows);
    if moved {
        difference.configuration.push(MOVED.to_owned());
    }
    let if_loaded = (!difference.configuration.is_empty()).then_some(difference);
    let answer = Answer { plan, if_loaded };
    let colours = session.console.colours();
    let file = sources.nodepool_yaml.display().to_string();
    session.console.answer(
        || match &answer.if_loaded {
            Some(difference) => {
                format!("{}\n{}", other(&file, difference, colours), text(&answer.plan, colours))
            }
            None => text(&answer.plan, colours),
        },
        &answer,
    )
}

/// What a reload does about another database.
const MOVED: &str =
    "dburi: another database, which is used only after a restart; until then the rows of this one count";

/// The store of the daemon that runs, and whether the files would have it use another one.
async fn running(
    console: Console,
    loaded: &Loaded,
    sources: &Sources,
    arguments: &Arguments,
) -> Result<(Session, bool), Failure> {
    let own = loaded.config.database.0.expose_secret();
    let usual = Path::new(USUAL);
    let other = if let Some(file) = &arguments.running {
        file.as_path()
    } else {
        let session = open(console, &loaded.config).await?;
        let may_be_usual = sources.nodepool_yaml != usual && usual.exists();
        if !may_be_usual || session.daemon_is_alive().await? {
            return Ok((session, false));
        }
        usual
    };
    let theirs = Sources { nodepool_yaml: other.to_owned(), ..sources.clone() };
    let theirs = config::load(&theirs).map_err(|found| {
        Failure::usage(
            format!("{} cannot be used\n{}", other.display(), config::render(&found).trim_end()),
            "name the file that nodepoold runs with: --running FILE",
        )
    })?;
    let session = open(console, &theirs.config).await?;
    Ok((session, theirs.config.database.0.expose_secret() != own))
}

async fn open(console: Console, config: &Config) -> Result<Session, Failure> {
    let token = config.web.read_token.clone().or_else(|| config.web.write_token.clone());
    Ok(Session::open(config.database.0.expose_secret(), console).await?.with_token(token))
}

/// Reads a configuration as it is shown. Secrets are masked in both that are compared, so that they make no difference.
fn read_shown(mut shown: serde_json::Value, sources: &Sources) -> Result<Config, Failure> {
    let failed = |what: String| {
        Failure::unreachable(
            format!("the configuration in force cannot be compared: {what}"),
            "run this as the user that nodepoold runs as, on its machine",
        )
    };
    if let Some(root) = shown.as_object_mut() {
        root.insert("dburi".to_owned(), "sqlite:////masked.db".into());
    }
    let mut file = tempfile::NamedTempFile::new().map_err(|error| failed(error.to_string()))?;
    // JSON is YAML.
    file.write_all(shown.to_string().as_bytes()).map_err(|error| failed(error.to_string()))?;
    let none = file.path().with_extension("none");
    let sources = Sources {
        nodepool_yaml: file.path().to_owned(),
        secure_conf: SecureConf::IfPresent(none),
        ..sources.clone()
    };
    match config::load(&sources) {
        Ok(loaded) => Ok(loaded.config),
        Err(found) => Err(failed(config::render(&found).trim_end().to_owned())),
    }
}

/// What another file would change.
fn other(file: &str, difference: &Difference, colours: bool) -> String {
    let mut text = format!(
        "If {file} were loaded, by the rows and the demand of now ({}):\n\nIn the configuration:\n",
        difference.assumed
    );
    for line in &difference.configuration {
        let _ = writeln!(text, "  {}", super::table::one_line(line));
    }
    for (title, counted) in [("Done besides", &difference.done), ("Not done any more", &difference.not_done)]
    {
        let mut table = Table::new(["Times", "Action", "Reason"]);
        for one in counted {
            table.row([one.count.to_string(), one.view.action.clone(), one.view.reason.clone()].map(Some));
        }
        section(&mut text, title, &table, counted.len(), 0, colours);
    }
    let mut table = Table::new(["About", "Reason"]);
    for view in &difference.refused {
        table.row([view.about.to_string(), view.reason.clone()].map(Some));
    }
    section(&mut text, "Refused besides", &table, difference.refused.len(), 0, colours);
    let mut table = Table::new(["Label", "Spares", "Missing"]);
    for (name, pair) in &difference.labels {
        let both = |of: fn(&LabelView) -> Option<u32>| {
            let one = |view: &Option<LabelView>| match view {
                None => "unknown".to_owned(),
                Some(view) => of(view).map_or_else(|| "off".to_owned(), |number| number.to_string()),
            };
            format!("{} -> {}", one(&pair.before), one(&pair.after))
        };
        table.row([name.clone(), both(|view| view.spares), both(|view| Some(view.missing))].map(Some));
    }
    section(&mut text, "Labels", &table, difference.labels.len(), 0, colours);
    text
}

fn text(plan: &PlanView, colours: bool) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = match &plan.at {
        Some(at) => writeln!(text, "Decided at {at}"),
        None => writeln!(text, "nodepoold has not looked at anything yet"),
    };
    if let Some(trouble) = &plan.trouble {
        let _ = writeln!(text, "Trouble: {}", super::table::one_line(trouble));
    }
    let mut table = Table::new(["Action", "Reason"]);
    for view in &plan.actions {
        table.row([view.action.clone(), view.reason.clone()].map(Some));
    }
    section(&mut text, "What is done", &table, plan.actions.len(), plan.more_actions, colours);
    let mut table = Table::new(["About", "Reason"]);
    for view in &plan.refusals {
        table.row([view.about.to_string(), view.reason.clone()].map(Some));
    }
    section(&mut text, "What is not done", &table, plan.refusals.len(), plan.more_refusals, colours);
    let or =
        |number: Option<u32>, word: &str| number.map_or_else(|| word.to_owned(), |number| number.to_string());
    let mut table =
        Table::new(["Label", "Jobs", "Spares", "Ready", "Building", "Busy", "Missing", "Spares by"]);
    for (name, view) in &plan.labels {
        let counts = [view.ready, view.building, view.busy, view.missing].map(|count| count.to_string());
        let wanted = [name.clone(), view.jobs.to_string(), or(view.spares, "off")];
        let by = view.spares_by.clone().or_else(|| view.spares.map(|_| "min-ready".to_owned()));
        table.row(wanted.into_iter().chain(counts).map(Some).chain([by]));
    }
    section(&mut text, "Labels", &table, plan.labels.len(), 0, colours);
    let mut table = Table::new(["Provider", "Servers", "max-servers"]);
    for (name, view) in &plan.providers {
        table.row([name.clone(), view.servers.to_string(), or(view.max_servers, "drained")].map(Some));
    }
    section(&mut text, "Providers", &table, plan.providers.len(), 0, colours);
    for (target, closed) in &plan.targets {
        if let Some(closed) = closed {
            let _ = writeln!(text, "\nTarget {target} takes no nodes: {}", super::table::one_line(closed));
        }
    }
    for (label, jobs) in &plan.unknown_demand {
        let label = super::table::one_line(label);
        let _ = writeln!(text, "\n{jobs} jobs ask for label {label}, which is not in the configuration");
    }
    text
}

fn section(text: &mut String, title: &str, table: &Table, rows: usize, more: usize, colours: bool) {
    let body = if rows == 0 { " nothing\n".to_owned() } else { format!("\n{}", table.render(colours)) };
    let _ = write!(text, "\n{title}:{body}");
    if more > 0 {
        let _ = writeln!(text, "{more} more are not shown");
    }
}
