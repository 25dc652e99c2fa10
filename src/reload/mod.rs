//! Another configuration while the daemon runs: noticing that its files changed, reading them again, putting them in
//! force.
//!
//! Files are looked at every second and read only when they changed and then stayed as they are for a moment, so that an
//! editor that writes in two steps is not caught in between; HUP has them read at once. What cannot be used is told once,
//! and leaves in force what was.

mod watched;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Diagnostic, Loaded, Sources, diff};
use crate::engine::Drivers;
use crate::engine::run::Reconfiguration;
use crate::service::notify;
use crate::telemetry::Metrics;
pub use watched::Watched;

/// The pause between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);

/// Makes the doors that belong to a configuration.
pub type Make = Box<dyn Fn(Arc<Config>) -> BoxFuture<'static, Drivers> + Send + Sync>;

/// Puts what a configuration says of the log in force; gives what needs a restart for that, for a person.
pub type Relog = Box<dyn Fn(&Config) -> Option<String> + Send + Sync>;

/// What reading the files came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// What they say is in force now.
    InForce {
        /// What is different from before, a change a line.
        changes: Vec<String>,
    },
    /// They say what is in force already.
    Same,
    /// They cannot be used. What was in force stays.
    Refused,
    /// The daemon is about to end.
    TooLate,
}

/// Puts another configuration in force whenever its files change.
pub struct Reloads {
    sources: Sources,
    make: Make,
    relog: Relog,
    metrics: Arc<Metrics>,
    in_force: watch::Sender<Arc<Config>>,
    reconfigure: mpsc::Sender<Reconfiguration>,
    /// What operators should know about the files; empty when they are in force as they are.
    doubts: watch::Sender<Vec<String>>,
    watched: Watched,
    unusable: Vec<String>,
}

/// What reloads need and tell.
pub struct Parts {
    /// Where the configuration comes from.
    pub sources: Sources,
    /// What makes the doors to its clouds.
    pub make: Make,
    /// What changes the log.
    pub relog: Relog,
    /// Where it is counted whether the files are in force.
    pub metrics: Arc<Metrics>,
    /// The configuration in force.
    pub in_force: watch::Sender<Arc<Config>>,
    /// Where the engine takes another one from.
    pub reconfigure: mpsc::Sender<Reconfiguration>,
    /// What is wrong with the files or with the providers in them, for those who show it.
    pub doubts: watch::Sender<Vec<String>>,
    /// How the files were before they were read for the first time.
    pub watched: Watched,
    /// Providers whose settings could not be used at the start, each with the reason.
    pub unusable: Vec<String>,
}

impl Reloads {
    /// Reloads of files that were read once.
    pub fn new(parts: Parts, loaded_from: BTreeSet<std::path::PathBuf>) -> Self {
        let Parts { sources, make, relog, metrics, in_force, reconfigure, doubts, watched, unusable } = parts;
        let mut reloads =
            Self { sources, make, relog, metrics, in_force, reconfigure, doubts, watched, unusable };
        reloads.watched.watch(loaded_from);
        reloads.tell(true, Vec::new());
        reloads
    }

    /// Watches the files and the signal until `stop` is cancelled.
    pub async fn watch(mut self, mut hangups: Signal, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                hangup = hangups.recv() => hangup.is_some(),
                _ = looks.tick() => false,
            };
            let reloaded = tokio::select! {
                () = stop.cancelled() => return,
                reloaded = async {
                    if asked {
                        tracing::info!(target: "nodepool", "asked to read the configuration again");
                        notify::reloading();
                        let reloaded = self.reload().await;
                        notify::reloaded();
                        Some(reloaded)
                    } else {
                        self.look().await
                    }
                } => reloaded,
            };
            if reloaded == Some(Reloaded::TooLate) {
                return;
            }
        }
    }

    /// Reads the files again if they changed and have settled.
    pub async fn look(&mut self) -> Option<Reloaded> {
        let changed = self.watched.look(&self.sources).await?;
        let files: Vec<String> = changed.iter().map(|path| path.display().to_string()).collect();
        tracing::info!(target: "nodepool", "{} changed", files.join(", "));
        Some(self.reload().await)
    }

    /// Reads the files and puts them in force, unless they cannot be used.
    pub async fn reload(&mut self) -> Reloaded {
        self.watched.take(&self.sources).await;
        let sources = self.sources.clone();
        // Files may be many and slow, and the runtime has other things to do.
        let loaded = tokio::task::spawn_blocking(move || config::load(&sources)).await;
        let loaded = match loaded {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(diagnostics)) => return self.refuse(&diagnostics),
            Err(_) => return Reloaded::TooLate,
        };
        report_warnings(&loaded);
        self.watched.watch(loaded.files);
        let before = self.in_force.borrow().clone();
        let (config, restart) = keep_database(&before, loaded.config);
        let restart = restart.into_iter().chain(self.change_log(&config)).collect::<Vec<_>>();
        let changes = diff::diff(&before, &config);
        if changes.is_empty() && self.unusable.is_empty() {
            tracing::info!(target: "nodepool", "the configuration was read again: it says what is in force already");
            self.tell(restart.is_empty(), restart);
            return Reloaded::Same;
        }
        for change in &changes {
            tracing::info!(target: "nodepool", "configuration: {change}");
        }
        for line in other_recipes(&before, &config) {
            tracing::info!(target: "nodepool", "{line}");
        }
        let config = Arc::new(config);
        let drivers = (self.make)(Arc::clone(&config)).await;
        self.unusable = unusable(&drivers);
        if self.reconfigure.send((Arc::clone(&config), drivers)).await.is_err() {
            return Reloaded::TooLate;
        }
        tracing::info!(target: "nodepool", "the configuration was read again, and what it says is in force now");
        self.in_force.send_replace(config);
        self.tell(restart.is_empty(), restart);
        Reloaded::InForce { changes }
    }

    /// Has the log be as the configuration says, as far as that needs no restart; gives what does.
    fn change_log(&self, config: &Config) -> Option<String> {
        let restart = (self.relog)(config)?;
        tracing::warn!(target: "nodepool", "{restart}");
        Some(restart)
    }

    fn refuse(&mut self, diagnostics: &[Diagnostic]) -> Reloaded {
        // What would have to be mended may be in a file that was not even looked for before.
        self.watched.watch_all();
        let report = config::render(diagnostics);
        tracing::error!(
            target: "nodepool",
            "the configuration cannot be used; what was in force before stays in force\n{}", report.trim_end()
        );
        let first = diagnostics.iter().find(|found| found.severity == config::Severity::Error);
        let first = first.map_or_else(String::new, |found| format!(": {}", found.message));
        let text = format!("the configuration files have errors, and older ones are in force{first}");
        self.tell(false, vec![text]);
        Reloaded::Refused
    }

    /// Tells whether the files are in force as they are, and what else there is to know.
    fn tell(&self, as_they_are: bool, doubts: Vec<String>) {
        self.metrics.config_reload(as_they_are);
        for reason in &self.unusable {
            tracing::error!(target: "nodepool", "{reason}");
        }
        self.doubts.send_replace(doubts.into_iter().chain(self.unusable.iter().cloned()).collect());
    }
}

/// What has to be said of images whose next build is another one, while nodes boot what was built before.
fn other_recipes(before: &Config, after: &Config) -> Vec<String> {
    let images = after
        .providers
        .iter()
        .flat_map(|provider| provider.images.iter().map(move |image| (provider, image)));
    let changed = images.filter(|(provider, image)| {
        let old = before.provider(&provider.name).and_then(|old| old.image(&image.name));
        old.is_some_and(|old| !image.changed_since(&old.recipe()).is_empty())
    });
    changed
        .map(|(provider, image)| {
            let (provider, image) = (&provider.name, &image.name);
            format!(
                "image {image} of provider {provider}: its next build is made so; nodes boot what was built before, and \
                 `nodepool image-update {provider} {image}` builds it now"
            )
        })
        .collect()
}

/// The database cannot be another one while the daemon runs: it stays, and the rest takes effect.
fn keep_database(before: &Config, mut config: Config) -> (Config, Option<String>) {
    if before.database.0.expose_secret() == config.database.0.expose_secret() {
        return (config, None);
    }
    config.database = before.database.clone();
    let text = "dburi was changed: another database is used only after a restart; the rest is in force";
    tracing::warn!(target: "nodepool", "{text}");
    (config, Some(text.to_owned()))
}

/// The providers whose settings cannot be used, each with the reason.
pub fn unusable(drivers: &Drivers) -> Vec<String> {
    let told = drivers.unusable.iter();
    told.map(|(provider, reason)| format!("the cloud of provider {provider} cannot be used: {reason}"))
        .collect()
}

/// Logs what is doubtful in the files.
pub fn report_warnings(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!(target: "nodepool", "{}", config::render(std::slice::from_ref(warning)).trim_end());
    }
}
