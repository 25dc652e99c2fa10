//! `nodepool`: shows and steers what `nodepoold` does.

use std::path::PathBuf;
use std::process::ExitCode;

use async_trait::async_trait;
use clap::{Parser, Subcommand};
use nodepool::cli::{self, CloudReader, Console, Failure, Format, Session};
use nodepool::cloud::Cloud as _;
use nodepool::config::{self, Provider};
use nodepool::model::{CloudImage, Server};
use nodepool::telemetry::{self, LogFormat};
use nodepool::wiring;
use secrecy::ExposeSecret as _;

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
    /// Accepted for the sake of nodepool v0 and not read: RUST_LOG and --debug set what is logged
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
  1  refused, or not found
  2  the command line or the configuration cannot be used
  3  the store or a cloud cannot be reached";

#[derive(Debug, Subcommand)]
enum Command {
    /// List the nodes
    List(cli::list::Look),
    /// Keep a node for a person to look at
    Hold(cli::hold::Arguments),
    /// End the hold of a node; it is deleted then
    Unhold(cli::unhold::Arguments),
    /// Delete a node, whatever its state
    Delete(cli::delete::Arguments),
    /// Show what happened to a node or an image, and why
    History(cli::history::Arguments),
    /// List the snapshot images
    ImageList(cli::list::Look),
    /// Build new images now
    ImageUpdate(cli::image_update::Arguments),
    /// Delete an image; the one before it is current again
    ImageDelete(cli::image_delete::Arguments),
    /// List the servers of our projects that we did not make
    AlienList(cli::alien::Arguments),
    /// List the snapshots of our projects that we did not take
    AlienImageList(cli::alien::Arguments),
    /// Check the configuration and report every error in it
    ConfigValidate,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let console = Console::new(arguments.output, no_colour);
    let filter = std::env::var("RUST_LOG").ok();
    telemetry::log(arguments.debug, LogFormat::Text, filter.as_deref().or(Some(LOG)));
    if arguments.logconfig.is_some() {
        console.warn("-l is accepted but not read; RUST_LOG and --debug set what is logged");
    }
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

async fn run(arguments: &Arguments, console: Console) -> Result<(), Failure> {
    let sources = wiring::sources(arguments.config.clone(), arguments.secure.clone()).map_err(|error| {
        Failure::usage(format!("the working folder cannot be used: {error}"), "go to a folder that exists")
    })?;
    if let Command::ConfigValidate = arguments.command {
        return cli::config_validate::run(console, &sources);
    }
    let config = config::load(&sources).map(|loaded| loaded.config).map_err(|diagnostics| {
        Failure::usage(
            format!("the configuration cannot be used\n{}", config::render(&diagnostics).trim_end()),
            "correct the files; `nodepool config-validate` checks them",
        )
    })?;
    let session = Session::open(config.database.0.expose_secret(), console).await?;
    match &arguments.command {
        Command::List(look) => cli::list::run(&session, *look).await,
        Command::Hold(arguments) => cli::hold::run(&session, arguments).await,
        Command::Unhold(arguments) => cli::unhold::run(&session, arguments).await,
        Command::Delete(arguments) => cli::delete::run(&session, arguments).await,
        Command::History(arguments) => cli::history::run(&session, arguments).await,
        Command::ImageList(look) => cli::image_list::run(&session, *look).await,
        Command::ImageUpdate(arguments) => cli::image_update::run(&session, &config, arguments).await,
        Command::ImageDelete(arguments) => cli::image_delete::run(&session, arguments).await,
        Command::AlienList(arguments) => cli::alien_list::run(&session, &config, &Clouds, arguments).await,
        Command::AlienImageList(arguments) => {
            cli::alien_image_list::run(&session, &config, &Clouds, arguments).await
        }
        Command::ConfigValidate => Ok(()),
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
