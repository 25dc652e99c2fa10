//! From files to drivers: what both programs do before their own work begins.
//!
//! Only `bin/` uses this room. It is the one place where concrete drivers are chosen.

mod legs;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cloud::metered::{Meter, Metered};
use crate::cloud::openstack::{self, OpenStack};
use crate::cloud::{Cloud, CloudError};
use crate::config::{self, CloudCredentials, Config, Offer, Provider, SecureConf, Sources};
use crate::engine::{Departed, Drivers, Retired};
use crate::model::{KnownProvider, KnownTarget};
use crate::remote::SshRemote;
use crate::target::gearman::{Address, GearmanDemand, GearmanLauncher, LauncherLimits, Limits, TlsFiles};
use crate::target::jenkins::{self, JenkinsTarget};
use crate::target::sources::{self, Sources as DemandSources};
use crate::target::{DemandSource, Target, TargetError, metered};
use crate::telemetry::Metrics;

pub use legs::legs;

/// Where the configuration is read from, as this process was started.
///
/// # Errors
/// When the working folder is gone.
pub fn sources(nodepool_yaml: PathBuf, secure_conf: Option<PathBuf>) -> io::Result<Sources> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Sources {
        nodepool_yaml,
        secure_conf: secure_conf.map_or_else(SecureConf::default, SecureConf::Named),
        home: environment.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        environment,
        is_root: std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0),
        working_dir: std::env::current_dir()?,
    })
}

/// The cloud of a provider. It is not called yet.
///
/// # Errors
/// When its URL or its file of certificates cannot be used.
pub async fn cloud(provider: &Provider) -> Result<OpenStack, CloudError> {
    OpenStack::new(settings(&provider.credentials, provider)).await
}

/// The drivers that belong to a configuration. Each call to a cloud is told to the meter that `meter` makes for it, and each
/// question to a Gearman server to the metrics.
///
/// A provider whose settings cannot be used stands in the way of no other: it has a reason instead of a driver.
pub async fn drivers<M: Meter + 'static>(
    config: &Config,
    sources: &Sources,
    meter: impl Fn(&str) -> M,
    metrics: &Arc<Metrics>,
) -> Drivers {
    let mut clouds: BTreeMap<String, Arc<dyn Cloud>> = BTreeMap::new();
    let mut unusable = BTreeMap::new();
    for provider in &config.providers {
        let name = provider.name.clone();
        match cloud(provider).await {
            Ok(cloud) => {
                let metered: Arc<dyn Cloud> = Arc::new(Metered::new(cloud, meter(&name)));
                clouds.insert(name, metered);
            }
            Err(error) => {
                unusable.insert(name, error.to_string());
            }
        }
    }
    let jenkins = jenkins(config).await;
    let for_scripts = sources.environment.iter().filter(|(name, _)| name.starts_with("NODEPOOL_"));
    Drivers {
        clouds,
        unusable,
        demand: demand(config, &jenkins, metrics),
        targets: targets(config, &jenkins, metrics),
        remote: Arc::new(SshRemote::new()),
        script_environment: for_scripts.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

/// The providers that left the configuration before this process began and may still have something of ours, as far as
/// clouds.yaml tells how to reach them.
pub async fn retired<M: Meter + 'static>(
    known: &[KnownProvider],
    config: &Config,
    sources: &Sources,
    meter: impl Fn(&str) -> M,
) -> Vec<Retired> {
    let mut retired = Vec::new();
    for known in known {
        let name = &known.name;
        let now = config.provider(name);
        if now.is_some_and(|now| !now.credentials.place().differs_from(&known.place)) {
            continue;
        }
        let Some(provider) = Provider::departed(known, sources) else {
            if now.is_some() {
                tracing::warn!(
                    target: "nodepool",
                    "provider {name} is another cloud or project than before, and how to log in to the old one, at {}, \
                     is not known: what is left there is for you to delete", known.place.keystone
                );
            }
            continue;
        };
        match cloud(&provider).await {
            Ok(cloud) => {
                retired.push(Retired { provider, cloud: Arc::new(Metered::new(cloud, meter(name))) });
            }
            Err(error) => {
                tracing::warn!(
                    target: "nodepool", "provider {name} left the configuration, and cannot be cleaned up: {error}"
                );
            }
        }
    }
    retired
}

/// The targets that left the configuration before this process began and may still have agents of ours, each with its
/// driver, or with the reason why it has none.
pub async fn departed(
    known: &[KnownTarget],
    config: &Config,
    sources: &Sources,
    metrics: &Arc<Metrics>,
) -> Vec<Departed> {
    let mut departed = Vec::new();
    for known in known {
        let name = &known.name;
        let now = config.target(name).and_then(config::Target::known);
        if now.as_ref().is_some_and(|now| now.is_where(known)) {
            continue;
        }
        if now.is_some() {
            let place = known.url.as_deref().unwrap_or("the Gearman servers");
            tracing::warn!(
                target: "nodepool",
                "target {name} is another place than before: agents of ours that are left at {place} are for you to delete"
            );
            continue;
        }
        let driver = departed_target(known, config, sources).await;
        let driver = driver.map(|driver| measured(name, driver, metrics) as Arc<dyn Target>);
        departed.push(Departed { known: known.clone(), driver });
    }
    departed
}

async fn departed_target(
    known: &KnownTarget,
    config: &Config,
    sources: &Sources,
) -> Result<Arc<dyn Target>, String> {
    let name = &known.name;
    let Some(url) = &known.url else {
        let servers = gearman_servers(config);
        if servers.is_empty() {
            return Err("there are no `gearman-servers` any more".to_owned());
        }
        return Ok(Arc::new(GearmanLauncher::new(name, servers, LauncherLimits::default())));
    };
    let Some(jenkins) = config::Jenkins::departed(known, sources) else {
        return Err(format!(
            "how to log in to {url} is not known; put `user` and `apikey` into a section [jenkins \"{name}\"] of \
             secure.conf and restart nodepoold, or delete the agents there"
        ));
    };
    jenkins_target(&jenkins)
        .await
        .map(|made| Arc::new(made) as Arc<dyn Target>)
        .map_err(|error| error.to_string())
}

/// A target or a queue whose calls are told to the metrics.
fn measured<T: ?Sized>(
    name: &str,
    inner: Arc<T>,
    metrics: &Arc<Metrics>,
) -> Arc<metered::Metered<T, impl metered::Meter + use<T>>> {
    let (metrics, name) = (Arc::clone(metrics), name.to_owned());
    let meter = move |operation: &'static str, outcome: &'static str, took: Duration| {
        metrics.target_call(&name, operation, outcome, took);
    };
    Arc::new(metered::Metered::new(inner, meter))
}

/// The least time between two looks at a queue of Jenkins, which works out for each of its items why it waits.
const QUEUE_PAUSE: Duration = Duration::from_secs(2);

/// The Jenkins controllers of the configuration, by the names of their targets. One whose settings cannot be used stands in
/// the way of no other.
async fn jenkins(config: &Config) -> BTreeMap<String, Arc<JenkinsTarget>> {
    let mut found = BTreeMap::new();
    for target in &config.targets {
        let Offer::Jenkins(jenkins) = &target.offer else { continue };
        match jenkins_target(jenkins).await {
            Ok(made) => {
                found.insert(target.name.clone(), Arc::new(made));
            }
            Err(error) => {
                let name = &target.name;
                tracing::error!(target: "nodepool", "the Jenkins of target {name} cannot be used: {error}");
            }
        }
    }
    found
}

/// A Jenkins controller. It is not called yet.
///
/// # Errors
/// When its URL or its file of certificates cannot be used.
pub async fn jenkins_target(jenkins: &config::Jenkins) -> Result<JenkinsTarget, TargetError> {
    JenkinsTarget::new(jenkins::Settings {
        url: jenkins.url.clone(),
        user: jenkins.user.clone(),
        apikey: jenkins.apikey.clone(),
        credentials_id: jenkins.credentials_id.clone(),
        launcher: match jenkins.launcher {
            config::Launcher::Ssh => jenkins::Launcher::Ssh,
            config::Launcher::Inbound => jenkins::Launcher::Inbound,
        },
        api_timeout: jenkins.api_timeout,
        ca_file: jenkins.ca_file.clone(),
    })
    .await
}

/// Where nodes are enrolled, by the names of the targets.
fn targets(
    config: &Config,
    jenkins: &BTreeMap<String, Arc<JenkinsTarget>>,
    metrics: &Arc<Metrics>,
) -> BTreeMap<String, Arc<dyn Target>> {
    let mut made: BTreeMap<String, Arc<dyn Target>> = BTreeMap::new();
    for (name, target) in jenkins {
        made.insert(name.clone(), measured(name, Arc::clone(target), metrics));
    }
    for target in config.targets.iter().filter(|target| matches!(target.offer, Offer::Gearman)) {
        let launcher = GearmanLauncher::new(&target.name, gearman_servers(config), LauncherLimits::default());
        made.insert(target.name.clone(), measured(&target.name, Arc::new(launcher), metrics));
    }
    made
}

/// What tells the demand, where the configuration names something: Gearman servers, and queues of Jenkins.
fn demand(
    config: &Config,
    jenkins: &BTreeMap<String, Arc<JenkinsTarget>>,
    metrics: &Arc<Metrics>,
) -> Option<Arc<dyn DemandSource>> {
    let asked = config.queues();
    let queues: Vec<_> = asked.iter().filter_map(|target| jenkins.get_key_value(&target.name)).collect();
    let servers = gearman_servers(config);
    let gearman = (!servers.is_empty()).then(|| -> Arc<dyn DemandSource> {
        let metrics = Arc::clone(metrics);
        let meter = move |server: &str, outcome: &'static str| metrics.gearman_ask(server, outcome);
        Arc::new(GearmanDemand::new(servers, Limits::default(), meter))
    });
    if queues.is_empty() {
        return gearman;
    }
    let mut all = DemandSources::new(sources::Bounds::default());
    if let Some(gearman) = gearman {
        all = all.with("the Gearman servers", gearman, Duration::ZERO);
    }
    for (name, jenkins) in queues {
        let labels = config.labels.iter().filter(|label| label.min_ready.is_some());
        let queue = jenkins.queue(labels.map(|label| label.name.clone()));
        let queue = measured(name, Arc::new(queue), metrics);
        all = all.with(&format!("the queue of Jenkins {name}"), queue, QUEUE_PAUSE);
    }
    Some(Arc::new(all))
}

fn gearman_servers(config: &Config) -> Vec<Address> {
    let tls = |files: &config::GearmanTls| TlsFiles {
        key: files.key.clone(),
        certificate: files.certificate.clone(),
        authority: files.authority.clone(),
    };
    let address = |server: &config::GearmanServer| Address {
        host: server.host.clone(),
        port: server.port,
        tls: server.tls.as_ref().map(tls),
    };
    config.gearman_servers.iter().map(address).collect()
}

fn settings(credentials: &CloudCredentials, provider: &Provider) -> openstack::Settings {
    openstack::Settings {
        auth_url: credentials.auth_url.clone(),
        identity: identity(&credentials.identity),
        region: credentials.region.clone(),
        interface: credentials.interface.clone(),
        compute_type: credentials.compute_type.clone(),
        compute_name: credentials.compute_name.clone(),
        ca_file: credentials.ca_file.clone(),
        verify: credentials.verify,
        api_timeout: provider.api_timeout,
    }
}

fn identity(identity: &config::Identity) -> openstack::Identity {
    match identity {
        config::Identity::Password { user, password, project } => openstack::Identity::Password {
            user: named(user),
            password: password.clone(),
            project: named(project),
        },
        config::Identity::ApplicationCredential { id, name, user, secret } => {
            let credential = match (id, user) {
                (None, Some(user)) => {
                    openstack::Credential::Name { name: name.clone().unwrap_or_default(), user: named(user) }
                }
                (id, _) => openstack::Credential::Id(id.clone().unwrap_or_default()),
            };
            openstack::Identity::ApplicationCredential { credential, secret: secret.clone() }
        }
    }
}

/// Keystone's own default domain is meant where none is named.
fn named(named: &config::Named) -> openstack::Named {
    match &named.id {
        Some(id) => openstack::Named::Id(id.clone()),
        None => openstack::Named::Name {
            name: named.name.clone().unwrap_or_default(),
            domain: match &named.domain {
                Some(config::Domain::Id(id)) => openstack::Domain::Id(id.clone()),
                Some(config::Domain::Name(name)) => openstack::Domain::Name(name.clone()),
                None => openstack::Domain::Name("Default".to_owned()),
            },
        },
    }
}
