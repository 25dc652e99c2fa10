//! `nodepool config-show`: the configuration as it is in force, with every default written out and secrets masked.
//!
//! What it prints is a nodepool.yaml that means the same, once the masks are replaced by the secrets. What has no effect
//! in this version is left out.

use std::time::Duration;

use super::facts::Facts;
use super::{Console, Failure};
use crate::config::{
    CleanFloatingIps, CloudCredentials, Config, ConnectionAddress, Cron, Domain, GearmanServer,
    HostKeySource, Identity, ImageSource, Jenkins, Label, Launcher, Loaded, Logging, Named, Network,
    NetworkName, Offer, Provider, ProviderImage, Target,
};

/// What stands for a secret.
pub const MASK: &str = "********";

/// Prints the configuration.
pub fn run(console: Console, loaded: &Loaded) -> Result<(), Failure> {
    let facts = facts(loaded);
    console.answer(|| serde_yaml::to_string(&facts).unwrap_or_default(), &facts)
}

/// The configuration as it would be written.
pub fn facts(loaded: &Loaded) -> Facts {
    shown(&loaded.config)
}

/// A configuration as it would be written.
pub fn shown(config: &Config) -> Facts {
    let mut root = general(config);
    root.add("labels", Facts::List(config.labels.iter().map(label).collect()));
    root.add("providers", Facts::List(config.providers.iter().map(provider).collect()));
    root.add("targets", Facts::List(config.targets.iter().map(target).collect()));
    root
}

fn gearman_server(server: &GearmanServer) -> Facts {
    let mut facts = Facts::map([("host", server.host.as_str().into()), ("port", server.port.into())]);
    if let Some(tls) = &server.tls {
        for (key, path) in [("ssl_key", &tls.key), ("ssl_cert", &tls.certificate), ("ssl_ca", &tls.authority)]
        {
            facts.add(key, path.display().to_string());
        }
    }
    facts
}

fn general(config: &Config) -> Facts {
    let mut root = Facts::map([]);
    root.add_if("script-dir", config.script_dir.as_ref().map(|path| path.display().to_string()));
    root.add("dburi", MASK);
    root.add("gearman-servers", Facts::List(config.gearman_servers.iter().map(gearman_server).collect()));
    root.add("zmq-publishers", Facts::texts(&config.zmq_publishers));
    root.add(
        "cron",
        Facts::map([
            ("image-update", cron(config.crons.image_update.as_ref())),
            ("cleanup", cron(config.crons.cleanup.as_ref())),
            ("check", cron(config.crons.check.as_ref())),
        ]),
    );
    let daemon = [("delete-delay", time(config.delete_delay)), ("leak-limit", config.leak_limit.into())];
    root.add("nodepoold", Facts::map(daemon));
    root.add_if("logging", config.logging.as_ref().map(logging));
    root
}

/// A time in seconds, whole where it can be.
fn time(time: Duration) -> Facts {
    if time.subsec_nanos() == 0 { time.as_secs().into() } else { time.as_secs_f64().into() }
}

/// A count that -1 switches off.
fn count(count: Option<u32>) -> Facts {
    count.map_or_else(|| (-1).into(), Into::into)
}

fn cron(cron: Option<&Cron>) -> Facts {
    match cron {
        None => "never".into(),
        Some(Cron { schedule, zone: None }) => schedule.as_str().into(),
        Some(Cron { schedule, zone: Some(zone) }) => {
            Facts::map([("schedule", schedule.as_str().into()), ("time-zone", zone.as_str().into())])
        }
    }
}

fn logging(logging: &Logging) -> Facts {
    let levels = logging.levels.iter().map(|(target, level)| (target.clone(), level.word().into()));
    let mut facts = Facts::map([
        ("format", logging.format.word().into()),
        ("level", logging.level.word().into()),
        ("levels", Facts::Map(levels.collect())),
    ]);
    facts.add_if("directory", logging.directory.as_ref().map(|path| path.display().to_string()));
    facts.add("keep", logging.keep);
    facts
}

fn label(label: &Label) -> Facts {
    let providers = label.providers.iter().map(|name| Facts::map([("name", name.as_str().into())]));
    let mut facts = Facts::map([
        ("name", label.name.as_str().into()),
        ("image", label.image.as_str().into()),
        ("providers", Facts::List(providers.collect())),
        ("min-ready", count(label.min_ready)),
        ("subnodes", label.subnodes.into()),
    ]);
    facts.add_if("headroom", (label.headroom > 0).then(|| format!("{}%", label.headroom)));
    let windows = label.schedule.iter().map(|window| (window.text.clone(), window.spares.into()));
    facts.add_if("schedule", (!label.schedule.is_empty()).then(|| Facts::Map(windows.collect())));
    facts.add_if("ready-script", label.ready_script.clone());
    facts.add("ready-script-timeout", time(label.ready_script_timeout));
    facts.add_if("max-ready-age", label.max_ready_age.map(time));
    facts
}

fn provider(provider: &Provider) -> Facts {
    let mut facts = Facts::map([("name", provider.name.as_str().into())]);
    facts.add_if("cloud", provider.cloud.clone());
    credentials(&provider.credentials, &mut facts);
    facts.add("max-servers", count(provider.max_servers));
    facts.add("api-timeout", time(provider.api_timeout));
    facts.add("boot-timeout", time(provider.boot_timeout));
    facts.add("launch-timeout", time(provider.launch_timeout));
    facts.add("rate", time(provider.rate));
    facts.add_if("keypair", provider.keypair.clone());
    facts.add("availability-zones", Facts::texts(&provider.availability_zones));
    facts.add("networks", Facts::List(provider.networks.iter().map(network).collect()));
    facts.add_if("pool", provider.pool.clone());
    match provider.clean_floating_ips {
        CleanFloatingIps::OfPool => facts.add("clean-floating-ips", false),
        CleanFloatingIps::Ours => facts.add("clean-floating-ips", true),
        CleanFloatingIps::All => facts.add("clean-floating-ips", "all"),
    }
    facts.add("security-groups", Facts::texts(&provider.security_groups));
    facts.add("ipv6-preferred", provider.ipv6_preferred);
    facts.add("host-key-checking", provider.host_key_checking);
    facts.add("template-hostname", provider.template_hostname.as_str());
    facts.add("images", Facts::List(provider.images.iter().map(image).collect()));
    facts
}

fn credentials(credentials: &CloudCredentials, facts: &mut Facts) {
    facts.add("auth-url", credentials.auth_url.as_str());
    match &credentials.identity {
        Identity::Password { user, password: _, project } => {
            named(user, ["user-id", "username", "user-domain-id", "user-domain-name"], facts);
            facts.add("password", MASK);
            let keys = ["project-id", "project-name", "project-domain-id", "project-domain-name"];
            named(project, keys, facts);
        }
        Identity::ApplicationCredential { id, name, user, secret: _ } => {
            facts.add_if("application-credential-id", id.clone());
            facts.add_if("application-credential-name", name.clone());
            if let Some(user) = user {
                named(user, ["user-id", "username", "user-domain-id", "user-domain-name"], facts);
            }
            facts.add("application-credential-secret", MASK);
        }
    }
    facts.add_if("region-name", credentials.region.clone());
    facts.add("interface", credentials.interface.as_str());
    facts.add_if("service-type", credentials.compute_type.clone());
    facts.add_if("service-name", credentials.compute_name.clone());
    facts.add_if("cacert", credentials.ca_file.as_ref().map(|path| path.display().to_string()));
    facts.add("verify", credentials.verify);
}

/// A user or a project; the keys are those of its id, its name, its domain's id and its domain's name.
fn named(named: &Named, [id, name, domain_id, domain_name]: [&str; 4], facts: &mut Facts) {
    facts.add_if(id, named.id.clone());
    facts.add_if(name, named.name.clone());
    match &named.domain {
        Some(Domain::Id(domain)) => facts.add(domain_id, domain.as_str()),
        Some(Domain::Name(domain)) => facts.add(domain_name, domain.as_str()),
        None => {}
    }
}

fn network(network: &Network) -> Facts {
    let (key, name) = match &network.wanted {
        NetworkName::Id(id) => ("net-id", id),
        NetworkName::Name(name) => ("name", name),
    };
    Facts::map([(key, name.as_str().into()), ("public", network.public.into())])
}

fn image(image: &ProviderImage) -> Facts {
    let ImageSource::Snapshot { base_image, setup, setup_timeout } = &image.source;
    let mut facts = Facts::map([
        ("name", image.name.as_str().into()),
        ("base-image", base_image.as_str().into()),
        ("setup", setup.as_str().into()),
        ("setup-timeout", time(*setup_timeout)),
        ("min-ram", image.min_ram.into()),
    ]);
    facts.add_if("name-filter", image.name_filter.clone());
    facts.add("username", image.username.as_str());
    facts.add("user-home", image.user_home.as_str());
    facts.add("private-key", image.private_key.display().to_string());
    facts.add("bootstrap-users", Facts::texts(&image.bootstrap_users));
    facts.add("ssh-port", image.ssh_port);
    facts.add_if("key-name", image.key_name.clone());
    facts.add_if("config-drive", image.config_drive);
    // It often holds a password.
    facts.add_if("user-data", image.user_data.as_ref().map(|_| MASK));
    facts.add("boot-from-volume", image.boot_volume_gib.is_some());
    facts.add_if("volume-size", image.boot_volume_gib);
    let address = match &image.connection_address {
        ConnectionAddress::Public => "public",
        ConnectionAddress::Private => "private",
        ConnectionAddress::Network(name) => name,
    };
    facts.add("connection-address", address);
    let source = match image.host_key_source {
        HostKeySource::Learn => "learn",
        HostKeySource::Console => "console",
        HostKeySource::UserData => "user-data",
    };
    facts.add("host-key-source", source);
    let meta = image.meta.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
    facts.add("meta", Facts::Map(meta.collect()));
    facts.add("pause", image.pause);
    facts
}

fn target(target: &Target) -> Facts {
    let mut facts = Facts::map([
        ("name", target.name.as_str().into()),
        ("hostname", target.hostname.as_str().into()),
        ("subnode-hostname", target.subnode_hostname.as_str().into()),
    ]);
    match &target.offer {
        Offer::Nowhere => {}
        Offer::Gearman => facts.add("assign-via-gearman", true),
        Offer::Jenkins(found) => facts.add("jenkins", jenkins(found)),
    }
    facts
}

fn jenkins(jenkins: &Jenkins) -> Facts {
    let launcher = match jenkins.launcher {
        Launcher::Ssh => "ssh",
        Launcher::Inbound => "inbound",
    };
    let mut facts = Facts::map([
        ("url", jenkins.url.as_str().into()),
        ("user", jenkins.user.as_str().into()),
        ("apikey", MASK.into()),
    ]);
    facts.add_if("credentials-id", jenkins.credentials_id.clone());
    facts.add("launcher", launcher);
    facts.add_if("test-job", jenkins.test_job.clone());
    facts.add("enroll-timeout", time(jenkins.enroll_timeout));
    facts.add("api-timeout", time(jenkins.api_timeout));
    facts.add("queue-demand", jenkins.queue_demand);
    facts.add("close-used-agents", jenkins.close_used_agents);
    facts.add_if("cacert", jenkins.ca_file.as_ref().map(|path| path.display().to_string()));
    facts
}
