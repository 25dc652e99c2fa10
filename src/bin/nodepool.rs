//! `nodepool`: shows and steers what `nodepoold` does.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nodepool::cli::{self, Console, Failure, Format, Session};
use nodepool::config::{self, SecureConf, Sources};
use nodepool::telemetry::{self, LogFormat};
use secrecy::ExposeSecret as _;

/// Shows and steers nodepoold, which keeps a pool of single-use CI machines full.
///
/// Exit status: 0 done (or written down for a nodepoold that does not run at the moment); 1 refused or not found;
/// 2 the command line or the configuration cannot be used; 3 the store or a cloud cannot be reached.
#[derive(Debug, Parser)]
#[command(name = "nodepool", version, verbatim_doc_comment)]
struct Arguments {
    /// Path of nodepool.yaml
    #[arg(short, long, global = true, value_name = "FILE", default_value = "/etc/nodepool/nodepool.yaml")]
    config: PathBuf,
    /// Path of secure.conf [default: /etc/nodepool/secure.conf, if it is there]
    #[arg(short, long, global = true, value_name = "FILE")]
    secure: Option<PathBuf>,
    /// Accepted for the sake of nodepool v0 and not read: RUST_LOG and --debug set what is logged
    #[arg(short, long, global = true, value_name = "FILE")]
    logconfig: Option<PathBuf>,
    /// Log what happens inside, requests to clouds too, to standard error
    #[arg(long, global = true)]
    debug: bool,
    /// Form of the answer
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

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
    /// List the snapshot images
    ImageList(cli::list::Look),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let console =
        Console::new(arguments.output, std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()));
    let log_filter = std::env::var("RUST_LOG").ok();
    telemetry::log(arguments.debug, LogFormat::Text, log_filter.as_deref().or(Some("warn")));
    if arguments.logconfig.is_some() {
        console.warn(
            "-l is accepted, but this version does not read it: RUST_LOG and --debug set what is logged",
        );
    }
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(&arguments, console)),
        Err(error) => Err(Failure::unreachable(
            format!("the program cannot start: {error}"),
            "the machine may be out of memory or file descriptors",
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
    let loaded = config::load(&sources(arguments)?).map_err(|diagnostics| {
        Failure::usage(
            format!("the configuration cannot be used\n{}", config::render(&diagnostics).trim_end()),
            "correct the files; `nodepool config-validate` checks them",
        )
    })?;
    let session = Session::open(loaded.config.database.0.expose_secret(), console).await?;
    match &arguments.command {
        Command::List(look) => cli::list::run(&session, *look).await,
        Command::Hold(arguments) => cli::hold::run(&session, arguments).await,
        Command::Unhold(arguments) => cli::unhold::run(&session, arguments).await,
        Command::Delete(arguments) => cli::delete::run(&session, arguments).await,
        Command::ImageList(look) => cli::image_list::run(&session, *look).await,
    }
}

/// Where the configuration is read from.
fn sources(arguments: &Arguments) -> Result<Sources, Failure> {
    let working_dir = std::env::current_dir().map_err(|error| {
        Failure::usage(format!("the working folder cannot be used: {error}"), "go to a folder that exists")
    })?;
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Sources {
        nodepool_yaml: arguments.config.clone(),
        secure_conf: arguments.secure.clone().map_or_else(SecureConf::default, SecureConf::Named),
        home: environment.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        environment,
        is_root: std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0),
        working_dir,
    })
}
