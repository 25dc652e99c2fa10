//! `nodepoold`: keeps the pool full.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use nodepool::bell::{self, Bell};
use nodepool::cloud::metered::Meter;
use nodepool::config::{self, Config, Loaded, LogDestination, LogLevel, LogOutput, Sources};
use nodepool::engine::run::{Driver, Pulse};
use nodepool::engine::{Departed, Engine};
use nodepool::events::{Listening, Ring, Writer};
use nodepool::plan::Permissions;
use nodepool::reload::{self, Make, Parts, Reloads, Relog, Watched, report_warnings};
use nodepool::service::{Clockwork, Holder, Lookout, PidFile, Start, notify};
use nodepool::store::{Page, Store};
use nodepool::target::zmq;
use nodepool::telemetry::{self, LastTick, LogFormat, LogGuard, Metrics, STATSD_PORT, Statsd};
use nodepool::{database_url, service, web, wiring};
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Keeps a pool of single-use CI machines full.
///
/// INT, TERM and USR1 stop it gracefully: calls to clouds come home, what is building goes on after the next start; a
/// second one ends it at once. HUP reads the configuration again. Exit status: 0 stopped as asked, 1 it could not start
/// or go on, or was ended by a second signal. USR2 has it write into the log what everything waits for.
#[derive(Clone, Debug, Parser)]
#[command(name = "nodepoold", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line that stands alone")]
struct Arguments {
    /// Path of nodepool.yaml
    #[arg(short, long, value_name = "FILE", default_value = "/etc/nodepool/nodepool.yaml")]
    config: PathBuf,
    /// Path of secure.conf [default: /etc/nodepool/secure.conf, if it is there]
    #[arg(short, long, value_name = "FILE")]
    secure: Option<PathBuf>,
    /// Stay in the foreground
    #[arg(short = 'd', long = "nodaemon")]
    foreground: bool,
    /// What is logged and where: what may stand below `logging` in nodepool.yaml, or Python's logging.conf
    #[arg(short, long, value_name = "FILE")]
    logconfig: Option<PathBuf>,
    /// Path of the file that the process id is written to [default in the background:
    /// /var/run/nodepool/nodepool.pid]
    #[arg(short, long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Log what happens inside, too
    #[arg(long)]
    debug: bool,
    /// Form of the log
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log_format: LogFormat,
    /// Where the status page, the metrics and the health checks are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = web::DEFAULT_ADDRESS)]
    webapp: SocketAddr,
    /// Serve no status page
    #[arg(long)]
    no_webapp: bool,
    /// Delete nothing in any cloud; what is to go waits
    #[arg(long)]
    no_deletes: bool,
    /// Make no new nodes; those that have a server go on
    #[arg(long)]
    no_launches: bool,
    /// Begin no image builds
    #[arg(long)]
    no_images: bool,
    #[command(flatten)]
    without_effect: WithoutEffect,
    /// Set by the process that goes into the background
    #[arg(long, hide = true)]
    detached: bool,
}

/// Options of nodepool v0 that mean nothing here: images are built by the daemon itself, as many as its clouds allow.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Accepted for the sake of nodepool v0 and without effect")]
struct WithoutEffect {
    /// There is no builder process
    #[arg(long)]
    no_builder: bool,
    /// There are no builder threads
    #[arg(long, value_name = "N")]
    build_workers: Option<u32>,
    /// There are no upload threads
    #[arg(long, value_name = "N")]
    upload_workers: Option<u32>,
}

impl WithoutEffect {
    fn given(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("--no-builder", self.no_builder),
            ("--build-workers", self.build_workers.is_some()),
            ("--upload-workers", self.upload_workers.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name)
    }
}

impl Arguments {
    const fn permissions(&self) -> Permissions {
        Permissions { deletes: !self.no_deletes, launches: !self.no_launches, images: !self.no_images }
    }

    /// Says what the command line brings with it that an operator may have forgotten.
    fn report(&self) {
        for name in self.without_effect.given() {
            tracing::warn!(target: "nodepool", "{name} has no effect: nodepoold builds images itself");
        }
        for (name, given, what) in [
            ("--no-deletes", self.no_deletes, "nothing is deleted in any cloud"),
            ("--no-launches", self.no_launches, "no new nodes are made"),
            ("--no-images", self.no_images, "no image builds begin"),
        ] {
            if given {
                tracing::warn!(target: "nodepool", "{name}: {what}");
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = if arguments.foreground { serve(&arguments) } else { go_into_background(&arguments) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nodepoold: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the same program again, detached, and leaves it alone.
fn go_into_background(arguments: &Arguments) -> anyhow::Result<()> {
    let loaded = load(&wiring::sources(arguments.config.clone(), arguments.secure.clone())?)?;
    let folder = database_url::file_of(loaded.config.database.0.expose_secret());
    let folder =
        folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("/var/log/nodepool")).to_owned();
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let log = folder.join("nodepoold.log");
    let output = File::options().create(true).append(true).open(&log);
    let output = output.with_context(|| format!("{} cannot be written", log.display()))?;
    let mut again = std::process::Command::new(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1)).args(["-d", "--detached"]);
    if arguments.pidfile.is_none() {
        again.arg("-p").arg("/var/run/nodepool/nodepool.pid");
    }
    let (id, start) = service::detach(again, output)?;
    let log = log.display();
    match start {
        Start::Serves => println!("nodepoold runs in the background as process {id}; it logs to {log}"),
        Start::StillStarts => println!("nodepoold still starts, as process {id}; it logs to {log}"),
        Start::Ended => bail!("it ended before it served; {log} says why"),
    }
    Ok(())
}

fn load(sources: &Sources) -> anyhow::Result<Loaded> {
    config::load(sources).map_err(|diagnostics| {
        let report = config::render(&diagnostics);
        anyhow::anyhow!("the configuration cannot be used\n{}", report.trim_end())
    })
}

fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    // Signals first: one that nobody takes ends the process, whatever it is.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (stop, at_once) = (CancellationToken::new(), CancellationToken::new());
    let signals = runtime.block_on(async {
        stop_on_signals(&stop, &at_once)?;
        let (hangups, dumps) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined2())?);
        anyhow::Ok(Signals { hangups, dumps })
    })?;
    let sources = wiring::sources(arguments.config.clone(), arguments.secure.clone())?;
    let watched = Watched::now(&sources);
    let loaded = load(&sources)?;
    let log = Arc::new(start_log(arguments, &loaded.config)?);
    arguments.report();
    report_warnings(&loaded);
    let _pid = arguments.pidfile.as_deref().map(write_pid).transpose()?;
    let served = runtime.block_on(async {
        tokio::select! {
            served = run(arguments, sources, (loaded, watched), &log, (signals, stop)) => served,
            () = at_once.cancelled() => Err(anyhow::anyhow!("ended at once, by a second signal")),
        }
    });
    let patience = if at_once.is_cancelled() { Duration::ZERO } else { Duration::from_secs(5) };
    runtime.shutdown_timeout(patience);
    served
}

/// The signals that do not end the daemon. What comes before it serves is not lost.
struct Signals {
    /// Have the configuration read again.
    hangups: Signal,
    /// Ask what everything waits for.
    dumps: Signal,
}

/// Starts the log.
fn start_log(arguments: &Arguments, config: &Config) -> anyhow::Result<LogGuard> {
    let Some((outputs, warnings)) = log_outputs(arguments, config)? else {
        let filter = std::env::var("RUST_LOG").ok();
        telemetry::log(arguments.debug, arguments.log_format, filter.as_deref());
        return Ok(LogGuard::default());
    };
    let guard = telemetry::log_to(&outputs);
    for warning in warnings {
        tracing::warn!(target: "nodepool.log", "{}", warning.trim_end());
    }
    Ok(guard)
}

/// What changes the levels of the log at a reload.
fn relog(arguments: &Arguments, log: Arc<LogGuard>) -> Relog {
    let arguments = arguments.clone();
    Box::new(move |config| {
        match log_outputs(&arguments, config) {
        Ok(Some((outputs, _))) if log.change_levels(&outputs) => None,
        Ok(None) if log.change_levels(&[]) => None,
        Ok(_) => Some(
            "where the log goes, or its form, was changed: that takes effect with a restart; the levels are in force"
                .to_owned(),
        ),
        Err(error) => Some(format!("the log stays as it was: {error:#}")),
    }
    })
}

/// Where the log goes, and what is doubtful about that: as `-l` says, or the section `logging`, or else on standard error
/// or in the journal. `None` leaves it to `RUST_LOG`.
fn log_outputs(
    arguments: &Arguments,
    config: &Config,
) -> anyhow::Result<Option<(Vec<LogOutput>, Vec<String>)>> {
    let journal = telemetry::is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    let usual = if journal { LogDestination::Journal } else { LogDestination::Stderr };
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let (mut outputs, warnings) = match (&arguments.logconfig, &config.logging) {
        (Some(path), _) => {
            let file = config::log_file(path, usual.clone());
            let file = file.map_err(|wrong| anyhow::anyhow!("-l cannot be used\n{}", wrong.trim_end()))?;
            (file.outputs, file.warnings)
        }
        (None, Some(logging)) => (logging.outputs(usual.clone()), Vec::new()),
        (None, None) if filter.is_none() => {
            let format = match arguments.log_format {
                LogFormat::Json if !journal => config::LogFormat::Json,
                LogFormat::Json | LogFormat::Text => config::LogFormat::Text,
            };
            (vec![LogOutput { format, ..LogOutput::usual(usual.clone()) }], Vec::new())
        }
        (None, None) => return Ok(None),
    };
    for output in outputs.iter_mut().filter(|output| arguments.debug && output.to == usual) {
        output.levels.insert("nodepool".to_owned(), Some(LogLevel::Debug));
    }
    Ok(Some((outputs, warnings)))
}

fn write_pid(path: &Path) -> anyhow::Result<PidFile> {
    PidFile::write(path).with_context(|| format!("the pid file {} cannot be used", path.display()))
}

async fn run(
    arguments: &Arguments,
    sources: Sources,
    (loaded, watched): (Loaded, Watched),
    log: &Arc<LogGuard>,
    (signals, stop): (Signals, CancellationToken),
) -> anyhow::Result<()> {
    let config = Arc::new(loaded.config);
    let url = config.database.0.clone();
    let metrics = Arc::new(Metrics::new()?.with_statsd(statsd().await));
    let (store, Post { bell, place, _lock }) = open_store(url.expose_secret(), &metrics).await?;
    let holder = Holder::new();
    holder.succeed(&store).await.context("the lease of the store cannot be taken over")?;
    let make = driver_maker(sources.clone(), Arc::clone(&metrics));
    let drivers = make(Arc::clone(&config)).await;
    let unusable = reload::unusable(&drivers);
    let known = store.providers().await.context("the providers cannot be read")?;
    let retired = wiring::retired(&known, &config, &sources, |name| meter(&metrics, name)).await;
    let departed = departed(&store, &config, &sources, &metrics).await?;
    let (mut engine, news) = Engine::new(store.clone(), Arc::clone(&config), drivers).await?;
    engine.retire(retired);
    engine.depart(departed);
    engine.report_to(Arc::clone(&metrics));
    engine.permit(arguments.permissions());
    let (published, last) = watch::channel(LastTick::default());
    let (reconfigure, reconfigurations) = mpsc::channel(1);
    let (in_force, config_seen) = watch::channel(Arc::clone(&config));
    let (doubts, doubts_seen) = watch::channel(Vec::new());
    let ring = Ring::by(move || {
        // A bell that is not heard delays the news by a few seconds.
        let _ = place.as_ref().map(bell::ring);
    });
    let events = Writer::new(store.clone(), ring.clone(), Arc::clone(&metrics));
    let listening = listen_for_jobs(&events, &config_seen, &metrics, &stop);
    let (clock, shared) = (ring.clone(), store.clone());
    let clockwork =
        Clockwork { store: store.clone(), config: config_seen.clone(), ring: Box::new(move || clock.ring()) };
    tokio::spawn(clockwork.run(stop.clone()));
    let dump_config = config_seen.clone();
    tokio::spawn(notify::report(last.clone(), stop.clone()));
    let mut web_address = None;
    let web = if arguments.no_webapp {
        None
    } else {
        let metrics = Arc::clone(&metrics);
        let state = web::State { store, config: config_seen, doubts: doubts_seen, last, metrics, events };
        let listener = tokio::net::TcpListener::bind(arguments.webapp).await;
        let listener = listener.with_context(|| format!("{} cannot be served", arguments.webapp))?;
        let address = listener.local_addr()?;
        web_address = Some(address);
        tracing::info!(target: "nodepool", "status page at http://{address}/");
        Some(tokio::spawn(web::serve(listener, state, stop.clone())))
    };
    let (told, relog) = (Arc::clone(&metrics), relog(arguments, Arc::clone(log)));
    let parts =
        Parts { sources, make, relog, metrics: told, in_force, reconfigure, doubts, watched, unusable };
    tokio::spawn(Reloads::new(parts, loaded.files).watch(signals.hangups, stop.clone()));
    let (ask, dumps) = mpsc::channel(1);
    let page = announce_page(url.expose_secret(), web_address);
    look_out(&shared, &holder, web_address, ring, &stop);
    tokio::spawn(dump_on_signal(signals.dumps, ask, dump_config, page));
    let pulse = notify::watchdog().map(|every| Pulse { every, beat: notify::alive });
    let holder = holder.name().to_owned();
    let driver = Driver { engine, news, bell, reconfigurations, holder, published, metrics, dumps, pulse };
    tracing::info!(target: "nodepool", "nodepoold {} has started", env!("CARGO_PKG_VERSION"));
    if arguments.detached {
        println!("{}", service::STARTED);
    }
    driver.run(stop).await;
    if let Some(web) = web {
        // The page ends with the same token; a page that does not end in time is cut off with the runtime.
        let _ = tokio::time::timeout(Duration::from_secs(5), web).await;
    }
    // It bounds its end itself.
    let _ = listening.await;
    tracing::info!(target: "nodepool", "nodepoold has stopped");
    Ok(())
}

/// How long the address of a statsd may take to be found.
const STATSD_PATIENCE: Duration = Duration::from_secs(10);

/// The statsd that the environment names as nodepool v0 had it: `STATSD_HOST`, `STATSD_PORT` and `STATSD_PREFIX`. The daemon
/// does its work although there is none.
async fn statsd() -> Option<Statsd> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = variable("STATSD_HOST")?;
    let port = variable("STATSD_PORT").map_or(Ok(STATSD_PORT), |port| port.parse());
    let Ok(port) = port else {
        tracing::warn!(target: "nodepool", "STATSD_PORT is not the number of a port: no statsd is told anything");
        return None;
    };
    let (name, prefix) = (host.clone(), variable("STATSD_PREFIX"));
    let made = tokio::task::spawn_blocking(move || Statsd::new(&name, port, prefix.as_deref()));
    match tokio::time::timeout(STATSD_PATIENCE, made).await {
        Ok(Ok(Ok(statsd))) => {
            tracing::info!(target: "nodepool", "tells statsd at {}", statsd.address());
            Some(statsd)
        }
        Ok(Ok(Err(error))) => {
            tracing::warn!(target: "nodepool", "statsd at {host} is told nothing until a restart: {error}");
            None
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(target: "nodepool", "statsd at {host} is told nothing until a restart: its address was not found in time");
            None
        }
    }
}

/// Where we can be woken, and what keeps a second daemon away.
struct Post {
    bell: Option<Bell>,
    place: Option<bell::Place>,
    _lock: Option<File>,
}

/// Opens the store, whose calls the metrics count.
async fn open_store(url: &str, metrics: &Arc<Metrics>) -> anyhow::Result<(Store, Post)> {
    // Whoever has the lock of a file works on it, so it comes first.
    let post = database_url::file_of(url).as_deref().map(beside).transpose()?;
    let store = Store::open(url).await.context("the store cannot be opened")?;
    let post = match post {
        Some(post) => post,
        None if store.is_shared() => on_this_machine(&store.installation().await?)?,
        None => Post { bell: None, place: None, _lock: None },
    };
    let metrics = Arc::clone(metrics);
    Ok((store.timed(Arc::new(move |operation, took| metrics.store_call(operation, took))), post))
}

/// Of the daemons of one machine one works on a database that is on a server: the later would take the lease of the earlier.
fn on_this_machine(installation: &str) -> anyhow::Result<Post> {
    let place = bell::of_installation(installation);
    match Bell::listen(&place) {
        Ok(bell) => Ok(Post { bell: Some(bell), place: Some(place), _lock: None }),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "another nodepoold of this machine runs on this database (installation {installation}); stop it first"
            )
        }
        Err(error) => Err(error).context("there can be no bell"),
    }
}

/// Looks for what commands on other machines write, where the database is on a server.
fn look_out(store: &Store, holder: &Holder, page: Option<SocketAddr>, ring: Ring, stop: &CancellationToken) {
    if !store.is_shared() {
        return;
    }
    let address = page.map_or_else(String::new, |address| address.to_string());
    let page = Page { holder: holder.name().to_owned(), address };
    let lookout = Lookout { store: store.clone(), ring: Box::new(move || ring.ring()), page };
    tokio::spawn(lookout.run(stop.clone()));
}

/// The targets that left the configuration before this process began.
async fn departed(
    store: &Store,
    config: &Config,
    sources: &Sources,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Vec<Departed>> {
    let known = store.targets().await.context("the targets cannot be read")?;
    Ok(wiring::departed(&known, config, sources, metrics).await)
}

/// Leaves beside the database where the page is served, for the commands that ask the daemon itself, and gives what a dump
/// says of it.
fn announce_page(database_url: &str, address: Option<SocketAddr>) -> String {
    let announced = database_url::file_of(database_url).map(|file| bell::announce_page(&file, address));
    if let Some(Err(error)) = announced {
        tracing::warn!(target: "nodepool", "`nodepool plan` and `nodepool why` cannot find this daemon: {error}");
    }
    address.map_or_else(|| "switched off".to_owned(), |address| format!("serves at http://{address}/"))
}

/// How long the end of the daemon waits until job events that were heard are written.
const EVENTS_PATIENCE: Duration = Duration::from_secs(3);

/// Listens to the publishers of job events until `stop` is cancelled.
fn listen_for_jobs(
    writer: &Writer,
    config: &watch::Receiver<Arc<Config>>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (config, writer, metrics) = (config.clone(), writer.clone(), Arc::clone(metrics));
    let limits = zmq::Limits::default();
    let listening = Listening { config, writer, metrics, limits, patience: EVENTS_PATIENCE };
    tokio::spawn(listening.run(stop.clone()))
}

/// What makes the drivers of a configuration, now and at each reload.
fn driver_maker(sources: Sources, metrics: Arc<Metrics>) -> Make {
    Box::new(move |config| {
        let (sources, metrics) = (sources.clone(), Arc::clone(&metrics));
        Box::pin(
            async move { wiring::drivers(&config, &sources, |name| meter(&metrics, name), &metrics).await },
        )
    })
}

/// What counts the calls to the cloud of a provider.
fn meter(metrics: &Arc<Metrics>, provider: &str) -> impl Meter + use<> {
    let (metrics, provider) = (Arc::clone(metrics), provider.to_owned());
    move |operation: &'static str, outcome: &'static str, took: Duration| {
        metrics.cloud_call(&provider, operation, outcome, took);
    }
}

/// The first signal stops the daemon gracefully. Any second one, whichever it is, ends it at once.
fn stop_on_signals(stop: &CancellationToken, at_once: &CancellationToken) -> anyhow::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::user_defined1()] {
        let (mut signals, stop, at_once) = (signal(kind)?, stop.clone(), at_once.clone());
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if asked.swap(true, Ordering::Relaxed) {
                    at_once.cancel();
                    return;
                }
                tracing::info!(
                    target: "nodepool",
                    "asked to stop; calls that are on their way come home first, unless a second signal comes"
                );
                notify::stopping();
                stop.cancel();
            }
        });
    }
    Ok(())
}

/// How long the engine's loop may take to answer.
const DUMP_PATIENCE: Duration = Duration::from_secs(5);

/// Writes into the log what everything waits for, each time that USR2 comes.
async fn dump_on_signal(
    mut signals: Signal,
    ask: mpsc::Sender<oneshot::Sender<String>>,
    config: watch::Receiver<Arc<Config>>,
    page: String,
) {
    while signals.recv().await.is_some() {
        let (reply, answer) = oneshot::channel();
        let engine = async {
            ask.send(reply).await.ok()?;
            answer.await.ok()
        };
        let engine = tokio::time::timeout(DUMP_PATIENCE, engine).await.ok().flatten();
        let engine =
            engine.unwrap_or_else(|| "engine: its loop did not answer; it hangs, or it stops\n".to_owned());
        let crons = service::outlook(&config.borrow());
        tracing::info!(
            target: "nodepool.stack_dump",
            "what everything waits for\n{engine}tasks:\n  status page: {page}\n  configuration: waits for HUP or a change\n  {}",
            crons.join("\n  ")
        );
    }
}

/// What is beside the file of a database while we have it: the bell that the CLI rings, and the lock.
fn beside(database: &Path) -> anyhow::Result<Post> {
    let lock = lock_beside(database)?;
    let place = bell::beside(database);
    let bell = Bell::listen(&place)
        .with_context(|| format!("the bell beside {} cannot be used", database.display()))?;
    Ok(Post { bell: Some(bell), place: Some(place), _lock: Some(lock) })
}

/// One daemon acts on one SQLite database. The lock goes with the process, however it ends.
fn lock_beside(database: &Path) -> anyhow::Result<File> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("another nodepoold runs on {}; stop it first", database.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).context(format!("{} cannot be locked", path.display()))
        }
    }
}

#[cfg(test)]
#[path = "../../tests/man/pages.rs"]
mod pages;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_manual_page_is_that_of_this_command_line() {
        pages::check(Arguments::command(), "8");
    }
}
