//! `nodepool`: shows and steers what `nodepoold` does.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use nodepool::cli::reach::{Door, Machines, Ran};
use nodepool::cli::{self, CloudReader, Console, Failure, Format, Session};
use nodepool::cloud::Cloud as _;
use nodepool::config::{self, Config, LogDestination, LogLevel, Provider};
use nodepool::doctor;
use nodepool::model::{CloudImage, Server};
use nodepool::remote::{self, Connection, Endpoint, Remote as _, RemoteError, SshRemote, Trust};
use nodepool::telemetry::{self, LogFormat, LogGuard};
use nodepool::wiring;
use secrecy::ExposeSecret as _;
use tokio::signal::unix::SignalKind;

/// What is logged unless the operator asks for more: the answer is what the command is about.
const LOG: &str = "warn";

/// Shows and steers nodepoold, which keeps a pool of single-use CI machines full.
#[derive(Debug, Parser)]
#[command(name = "nodepool", version, after_help = EXIT_STATUS)]
struct Arguments {
    /// Path of nodepool.yaml
    #[arg(short, long, value_name = "FILE", default_value = "/etc/nodepool/nodepool.yaml")]
    #[arg(global = true, help_heading = "Options of every command")]
    config: PathBuf,
    /// Path of secure.conf [default: /etc/nodepool/secure.conf, if it is there]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Options of every command")]
    secure: Option<PathBuf>,
    /// What is logged and where: what may stand below `logging` in nodepool.yaml, or Python's logging.conf
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Options of every command")]
    logconfig: Option<PathBuf>,
    /// Log what happens inside, too, to standard error
    #[arg(long, global = true, help_heading = "Options of every command")]
    debug: bool,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    #[arg(global = true, help_heading = "Options of every command")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  done, or written down for a nodepoold that does not run at the moment
  1  refused, not found, or a build that failed; of several things, at least one; of config-validate: an error
  2  the command line or the configuration cannot be used
  3  the store or a cloud cannot be reached

A mistyped name is refused with the names that there are. `-o json`, `yaml` and `csv` tell everything about each row.";

#[derive(Debug, Subcommand)]
enum Command {
    /// List the nodes
    ///
    /// Options choose which: of each option that is given, a node fits one of the values. `--label a,b --state ready`
    /// lists the ready nodes of a and of b.
    List(cli::list::Arguments),
    /// Show the pool as it changes: labels, providers, the newest nodes and the latest changes
    ///
    /// It fills the terminal and is drawn again when something is different, until q or Ctrl-C. Demand, quota and pace are told by
    /// nodepoold; without one the rest is shown. On a pipe it is `list --watch`: a line for each change, with `-o json` an
    /// object.
    Watch(cli::live::Arguments),
    /// Keep nodes for a person to look at
    Hold(cli::hold::Arguments),
    /// End the hold of nodes; they are deleted then
    Unhold(cli::unhold::Arguments),
    /// Delete nodes, whatever their state
    ///
    /// On a terminal it asks before it deletes several nodes, or with --now a used or held one. Where standard input,
    /// output or error is a file or a pipe it never asks, as nodepool v0 never did.
    Delete(cli::delete::Arguments),
    /// Show what happened to a node or an image, and why
    History(cli::history::Arguments),
    /// Show what nodepoold is about to do and what it is not, and why; it changes nothing
    ///
    /// It asks nodepoold itself, at its web port: the last plan was made from what it saw of the clouds and targets a moment
    /// ago, and the next look decides the same unless something happens. With `-c` and a file that says something else than what is
    /// in force, what would change if that were loaded comes first; errors in it are told as config-validate tells them.
    Plan(cli::plan::Arguments),
    /// Explain why a label, node, provider or image is as it is
    ///
    /// Each line says what is so, and the lines below it what is behind that.
    Why(cli::why::Arguments),
    /// Show how many spare nodes labels are to have as the clock goes on, and why
    ///
    /// The largest of `min-ready`, the windows of `schedule` and `headroom` applies; the last of them follows how many nodes jobs have,
    /// which is taken as it is now.
    Schedule(cli::schedule::Arguments),
    /// See whether nodes let us in over ssh, and how long that takes
    ///
    /// Each is logged in to as the daemon does: the user, port and key of its image, and the host key on record. Answers are told as they
    /// come, and then summed up. The status is 1 when a node did not reply.
    Ping(cli::ping::Arguments),
    /// Run a command on nodes over ssh, and show equal answers together
    ///
    /// A share of the nodes at a time; how far it is, is told on standard error. The status is 0 when the command ended
    /// with 0 on every node, and 1 when it did not or a node was not reached. Of what it prints 64 KiB are kept of each node.
    Run(cli::run::Arguments),
    /// Open a shell on a node
    ///
    /// It calls the system's ssh with the right user, port and key, and believes the host key on record and no other. The status
    /// is that of ssh: that of the remote command, or 255 when ssh itself failed.
    Ssh(cli::ssh::Arguments),
    /// Sum up launches, waits of jobs and idle time, by label and provider
    Stats(cli::stats::Arguments),
    /// Show which launches and builds failed, equal failures together
    Failures(cli::failures::Arguments),
    /// List the snapshot images
    ImageList(cli::image_list::Arguments),
    /// Build new images now
    ImageUpdate(cli::image_update::Arguments),
    /// Show what the scripts of a build printed
    ImageLog(cli::image_log::Arguments),
    /// Delete images; the one before the newest is current again
    ImageDelete(cli::image_delete::Arguments),
    /// List the servers of our projects that we did not make
    AlienList(cli::alien_list::Arguments),
    /// Delete servers of our projects that we did not make
    ///
    /// It shows what it is about to delete and asks. Where nobody can be asked it does nothing without --yes.
    AlienDelete(cli::alien_delete::Arguments),
    /// Look for what was left behind on the clouds, show it, or confirm that it is to go
    ///
    /// What carries our mark and has no row is deleted without being asked for, soon after it is seen twice. Without an
    /// option this looks for it at once. A cleanup that would delete much of what is ours stops itself until --confirm.
    Gc(cli::gc::Arguments),
    /// List the snapshots of our projects that we did not take
    AlienImageList(cli::alien::Arguments),
    /// List the jobs on whose failure nodes are held
    JobList,
    /// Hold nodes on which a job fails, or change how many
    JobCreate(cli::jobs::Create),
    /// Do not hold nodes any more on which a job fails; those that are held stay
    JobDelete(cli::jobs::Delete),
    /// Show what this installation is, whether it works, and what holds it up
    Info,
    /// Look whether everything that the pool stands on works, and say what to do where it does not
    ///
    /// The store, this machine's scripts and keys, each cloud (login, images, flavors, networks, quota, keypair), ssh to ready
    /// nodes, each Jenkins (login, rights, what the configuration names), each Gearman server and publisher are looked at,
    /// all together. Nothing is changed, unless --boot asks for it. The status is 1 when something is wrong.
    Doctor(cli::doctor::Arguments),
    /// Check the configuration and report every error in it
    ConfigValidate,
    /// Print the JSON Schema of nodepool.yaml
    ConfigSchema,
    /// Print the configuration as it is in force, with every default and without secrets
    ConfigShow,
    /// Print a script that completes command lines of nodepool: source it in the shell's start-up file
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Commands of nodepool v0 that are not there
    #[command(flatten)]
    Absent(Absent),
}

/// What nodepool v0 had and this version has not: a script that calls it learns that, whatever its arguments.
#[derive(Debug, Subcommand)]
enum Absent {
    #[command(hide = true, disable_help_flag = true)]
    DibImageList(Rest),
    #[command(hide = true, disable_help_flag = true)]
    DibImageDelete(Rest),
    #[command(hide = true, disable_help_flag = true)]
    ImageBuild(Rest),
    #[command(hide = true, disable_help_flag = true)]
    ImageUpload(Rest),
}

/// Arguments that nobody reads.
#[derive(Debug, clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<std::ffi::OsString>,
}

impl Absent {
    fn failure(&self) -> Failure {
        let (name, what) = match self {
            Self::DibImageList(_) => ("dib-image-list", "images of diskimage-builder"),
            Self::DibImageDelete(_) => ("dib-image-delete", "images of diskimage-builder"),
            Self::ImageBuild(_) => ("image-build", "images of diskimage-builder"),
            Self::ImageUpload(_) => ("image-upload", "images of diskimage-builder"),
        };
        Failure::usage(
            format!(
                "{name} is a command of nodepool v0 that this version does not have: there are no {what} here"
            ),
            "`nodepool --help` shows the commands that there are; image-update builds snapshots, hold keeps a node",
        )
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| unusable(&error));
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let console = Console::new(arguments.output, no_colour);
    let _log = start_log(&arguments, console);
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(&arguments, console)),
        Err(error) => Err(Failure::unreachable(
            format!("the program cannot start: {error}"),
            "see whether the machine is out of memory or of file descriptors",
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.fail(&failure);
            ExitCode::from(failure.status as u8)
        }
    }
}

/// Ends the program because of its command line; for a command that does not exist, with those that do.
fn unusable(error: &clap::Error) -> ! {
    if error.kind() == ErrorKind::InvalidSubcommand {
        let command = Arguments::command();
        let known = command.get_subcommands().filter(|known| !known.is_hide_set());
        let known: Vec<&str> = known.map(clap::Command::get_name).collect();
        // If nobody can be told, there is nobody to be told that.
        let _ = error.print();
        eprintln!("\nThe commands are: {}", known.join(", "));
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// Starts the log as `-l` says. A command does what it is for although its log cannot be used.
fn start_log(arguments: &Arguments, console: Console) -> LogGuard {
    let file = arguments.logconfig.as_deref().map(|path| config::log_file(path, LogDestination::Stderr));
    match file {
        Some(Ok(mut file)) => {
            for output in file.outputs.iter_mut().filter(|_| arguments.debug) {
                output.levels.insert("nodepool".to_owned(), Some(LogLevel::Debug));
            }
            return telemetry::log_to(&file.outputs);
        }
        Some(Err(wrong)) => console.warn(&format!("-l cannot be used: {}", wrong.trim_end())),
        None => {}
    }
    let filter = std::env::var("RUST_LOG").ok();
    telemetry::log(arguments.debug, LogFormat::Text, filter.as_deref().or(Some(LOG)));
    LogGuard::default()
}

async fn run(arguments: &Arguments, console: Console) -> Result<(), Failure> {
    let sources = wiring::sources(arguments.config.clone(), arguments.secure.clone()).map_err(|error| {
        Failure::usage(format!("the working folder cannot be used: {error}"), "go to a folder that exists")
    })?;
    match &arguments.command {
        Command::ConfigValidate => return cli::config_validate::run(console, &sources),
        Command::Absent(absent) => return Err(absent.failure()),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Arguments::command(), "nodepool", &mut std::io::stdout());
            return Ok(());
        }
        Command::ConfigSchema => return cli::config_schema::run(console),
        _ => {}
    }
    let loaded = config::load(&sources).map_err(|diagnostics| {
        Failure::usage(
            format!("the configuration cannot be used\n{}", config::render(&diagnostics).trim_end()),
            "correct the files; `nodepool config-validate` checks them",
        )
    })?;
    if let Command::ConfigShow = arguments.command {
        return cli::config_show::run(console, &loaded);
    }
    if let Command::Info = arguments.command {
        let session = Session::open(loaded.config.database.0.expose_secret(), console).await?;
        return cli::info::run(&session, &loaded.config, &sources, &loaded.files).await;
    }
    if let Command::Doctor(asked) = &arguments.command {
        let session = Session::open(loaded.config.database.0.expose_secret(), console).await;
        let (known, mut found) = cli::doctor::known(&session).await;
        let legs = wiring::legs(&loaded.config).await;
        found.extend(doctor::examine(&loaded.config, legs, &known, asked.boot).await);
        return cli::doctor::show(console, &found);
    }
    if let Command::Plan(asked) = &arguments.command {
        return cli::plan::run(console, &loaded, &sources, asked).await;
    }
    let config = &loaded.config;
    let token = config.web.read_token.clone().or_else(|| config.web.write_token.clone());
    let session = Session::open(config.database.0.expose_secret(), console).await?.with_token(token);
    obey(&arguments.command, &session, config).await
}

async fn obey(command: &Command, session: &Session, config: &Config) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => cli::list::run(session, config, arguments).await,
        Command::Watch(arguments) => cli::live::run(session, config, arguments).await,
        Command::Hold(arguments) => cli::hold::run(session, arguments).await,
        Command::Unhold(arguments) => cli::unhold::run(session, arguments).await,
        Command::Delete(arguments) => cli::delete::run(session, arguments).await,
        Command::History(arguments) => cli::history::run(session, arguments).await,
        Command::Failures(arguments) => cli::failures::run(session, arguments).await,
        Command::Schedule(arguments) => cli::schedule::run(session, config, arguments).await,
        Command::Ping(arguments) => cli::ping::run(session, config, &SshMachines::default(), arguments).await,
        Command::Run(arguments) => cli::run::run(session, config, &SshMachines::default(), arguments).await,
        Command::Ssh(arguments) => shell(cli::ssh::call(session, config, arguments).await?).await,
        Command::Stats(arguments) => cli::stats::run(session, arguments).await,
        Command::Why(arguments) => cli::why::run(session, config, arguments).await,
        Command::ImageList(arguments) => cli::image_list::run(session, config, arguments).await,
        Command::ImageUpdate(arguments) => cli::image_update::run(session, config, arguments).await,
        Command::ImageLog(arguments) => cli::image_log::run(session, arguments).await,
        Command::ImageDelete(arguments) => cli::image_delete::run(session, arguments).await,
        Command::AlienList(arguments) => cli::alien_list::run(session, config, &Clouds, arguments).await,
        Command::AlienDelete(arguments) => cli::alien_delete::run(session, config, &Clouds, arguments).await,
        Command::Gc(arguments) => cli::gc::run(session, arguments).await,
        Command::AlienImageList(arguments) => {
            cli::alien_image_list::run(session, config, &Clouds, arguments).await
        }
        Command::JobList => cli::jobs::list(session).await,
        Command::JobCreate(arguments) => cli::jobs::create(session, arguments).await,
        Command::JobDelete(arguments) => cli::jobs::delete(session, arguments).await,
        Command::Info
        | Command::Plan(_)
        | Command::Doctor(_)
        | Command::ConfigValidate
        | Command::ConfigSchema
        | Command::ConfigShow
        | Command::Completions { .. }
        | Command::Absent(_) => Ok(()),
    }
}

/// Calls the system's ssh and ends as it ends.
async fn shell(call: cli::ssh::Call) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::unreachable(
            format!("ssh cannot be called: {error}"),
            "install openssh-client, and see that /tmp can be written",
        )
    };
    let mut known_hosts = tempfile::NamedTempFile::new().map_err(failed)?;
    known_hosts.write_all(call.known_hosts.as_deref().unwrap_or_default().as_bytes()).map_err(failed)?;
    let path = known_hosts.path().display().to_string();
    let arguments = call.arguments.iter().map(|argument| argument.replace(cli::ssh::KNOWN_HOSTS, &path));
    // Keys such as Ctrl-C are for what runs there. Here they would leave the file behind.
    let mut signals = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate(), SignalKind::hangup()] {
        signals.push(tokio::signal::unix::signal(kind).map_err(failed)?);
    }
    let ended = tokio::process::Command::new("ssh")
        .args(arguments)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(failed)?;
    drop(known_hosts);
    match ended.code() {
        Some(0) => Ok(()),
        code => std::process::exit(code.unwrap_or(255)),
    }
}

/// Machines over ssh.
#[derive(Default)]
struct SshMachines(SshRemote);

impl SshMachines {
    async fn connect(&self, door: &Door, patience: Duration) -> Result<Box<dyn Connection>, RemoteError> {
        let endpoint = Endpoint {
            address: door.address,
            port: door.port,
            users: vec![door.user.clone()],
            private_key: door.private_key.clone(),
            trust: door.host_key.clone().map_or(Trust::Anyone, Trust::Only),
            patience,
        };
        self.0.connect(&endpoint).await
    }
}

#[async_trait]
impl Machines for SshMachines {
    async fn log_in(&self, door: &Door, patience: Duration) -> anyhow::Result<()> {
        self.connect(door, patience).await?;
        Ok(())
    }

    async fn run(
        &self,
        door: &Door,
        patience: Duration,
        line: &str,
        deadline: Duration,
        most_bytes: usize,
    ) -> anyhow::Result<Ran> {
        let command = remote::Command { line: line.to_owned(), environment: Vec::new(), deadline };
        let mut kept = Kept { lines: Vec::new(), left: most_bytes };
        let status = self.connect(door, patience).await?.run(&command, &mut kept).await?;
        Ok(Ran { status, lines: kept.lines })
    }
}

/// The first lines that a command prints.
struct Kept {
    lines: Vec<String>,
    left: usize,
}

impl remote::Output for Kept {
    fn line(&mut self, line: &str) {
        let taken = line.len().saturating_add(1);
        match self.left.checked_sub(taken) {
            Some(left) => {
                self.left = left;
                self.lines.push(line.to_owned());
            }
            None if self.left > 0 => {
                self.left = 0;
                self.lines.push("(what follows was not kept)".to_owned());
            }
            None => {}
        }
    }
}

/// The clouds of the configuration.
struct Clouds;

#[async_trait]
impl CloudReader for Clouds {
    async fn servers(&self, provider: &Provider) -> anyhow::Result<Vec<Server>> {
        Ok(wiring::cloud(provider).await?.servers(None).await?)
    }

    async fn images(&self, provider: &Provider) -> anyhow::Result<Vec<CloudImage>> {
        Ok(wiring::cloud(provider).await?.images().await?)
    }
}

#[cfg(test)]
#[path = "../../tests/man/pages.rs"]
mod pages;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_pages_are_those_of_this_command_line() {
        pages::check(Arguments::command(), "1");
    }
}
