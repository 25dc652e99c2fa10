//! What a reload changes, line by line, for the log. Secrets are compared, and never shown.
//!
//! Everything is taken apart by name, without `..`, so that a field that is added to the configuration and forgotten here
//! is an error of the compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::types::{
    CleanFloatingIps, CloudCredentials, Config, ConnectionAddress, Cron, Crons, Domain, GearmanServer,
    HostKeySource, Identity, ImageSource, Jenkins, Label, Launcher, Logging, Named, Network, NetworkName,
    Offer, Provider, ProviderImage, Target, WebTokens,
};

/// What is compared: a value that may be shown, or a secret.
enum Shown {
    Open(String),
    Secret(SecretString),
}

impl Shown {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Open(one), Self::Open(other)) => one == other,
            (Self::Secret(one), Self::Secret(other)) => one.expose_secret() == other.expose_secret(),
            (Self::Open(_), Self::Secret(_)) | (Self::Secret(_), Self::Open(_)) => false,
        }
    }
}

/// The fields of one thing, by name.
type Fields = BTreeMap<String, Shown>;

/// What is different in `new`, one change a line; empty when nothing is.
pub fn diff(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    compare_fields("", &general(old), &general(new), &mut lines);
    let labels = |config: &Config| named(&config.labels, |label| (label.name.clone(), label_fields(label)));
    compare("label", &labels(old), &labels(new), &mut lines);
    let providers = |config: &Config| {
        named(&config.providers, |provider| (provider.name.clone(), provider_fields(provider)))
    };
    compare("provider", &providers(old), &providers(new), &mut lines);
    let images = |config: &Config| {
        let pairs = config.providers.iter().flat_map(|provider| {
            provider
                .images
                .iter()
                .map(|image| (format!("{} of provider {}", image.name, provider.name), image))
        });
        pairs.map(|(name, image)| (name, image_fields(image))).collect::<Vec<_>>()
    };
    compare("image", &images(old), &images(new), &mut lines);
    let targets =
        |config: &Config| named(&config.targets, |target| (target.name.clone(), target_fields(target)));
    compare("target", &targets(old), &targets(new), &mut lines);
    lines
}

fn named<T>(items: &[T], fields: impl Fn(&T) -> (String, Fields)) -> Vec<(String, Fields)> {
    items.iter().map(fields).collect()
}

/// Compares things of one kind: those that came, went, changed, and their order, which means a preference.
fn compare(kind: &str, old: &[(String, Fields)], new: &[(String, Fields)], lines: &mut Vec<String>) {
    let find = |items: &[(String, Fields)], name: &str| items.iter().any(|(found, _)| found == name);
    for (name, _) in old.iter().filter(|(name, _)| !find(new, name)) {
        lines.push(format!("{kind} {name} removed"));
    }
    for (name, fields) in new {
        match old.iter().find(|(found, _)| found == name) {
            None => lines.push(format!("{kind} {name} added")),
            Some((_, before)) => compare_fields(&format!("{kind} {name}: "), before, fields, lines),
        }
    }
    let kept = |items: &[(String, Fields)], others: &[(String, Fields)]| {
        items.iter().map(|(name, _)| name.clone()).filter(|name| find(others, name)).collect::<Vec<_>>()
    };
    let order = kept(new, old);
    if kept(old, new) != order {
        lines.push(format!("order of {kind}s: now {}", order.join(", ")));
    }
}

fn compare_fields(prefix: &str, old: &Fields, new: &Fields, lines: &mut Vec<String>) {
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(key), new.get(key)) {
            (Some(before), Some(after)) if before.is_same(after) => {}
            (Some(Shown::Open(before)), Some(Shown::Open(after))) => {
                lines.push(format!("{prefix}{key} {before} -> {after}"));
            }
            (Some(_), Some(_)) => lines.push(format!("{prefix}{key} changed")),
            (Some(_), None) => lines.push(format!("{prefix}{key} removed")),
            (None, Some(Shown::Open(after))) => lines.push(format!("{prefix}{key} now {after}")),
            (None, _) => lines.push(format!("{prefix}{key} added")),
        }
    }
}

/// Collects fields; what is absent is left out.
#[derive(Default)]
struct Collected(Fields);

impl Collected {
    fn open(mut self, key: &str, value: &impl Debug) -> Self {
        self.0.insert(key.to_owned(), Shown::Open(format!("{value:?}")));
        self
    }

    /// A value in the words of the file.
    fn said(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.insert(key.to_owned(), Shown::Open(value.into()));
        self
    }

    fn time(self, key: &str, value: Duration) -> Self {
        self.said(key, humantime::format_duration(value).to_string())
    }

    fn maybe(self, key: &str, value: Option<&impl Debug>) -> Self {
        match value {
            Some(value) => self.open(key, value),
            None => self,
        }
    }

    fn secret(mut self, key: &str, value: &SecretString) -> Self {
        self.0.insert(key.to_owned(), Shown::Secret(value.clone()));
        self
    }

    fn maybe_secret(self, key: &str, value: Option<&SecretString>) -> Self {
        match value {
            Some(value) => self.secret(key, value),
            None => self,
        }
    }

    /// A count that -1 switches off.
    fn count(self, key: &str, value: Option<u32>) -> Self {
        self.open(key, &value.map_or(-1, i64::from))
    }
}

fn gearman_server(server: &GearmanServer) -> String {
    let tls = server.tls.as_ref().map(|tls| {
        let [key, certificate, authority] =
            [&tls.key, &tls.certificate, &tls.authority].map(|path| path.display());
        format!(" with {key}, {certificate}, {authority}")
    });
    format!("{}:{}{}", server.host, server.port, tls.unwrap_or_default())
}

fn general(config: &Config) -> Fields {
    // Labels, providers and targets are compared one by one.
    let Config {
        script_dir,
        database,
        gearman_servers,
        zmq_publishers,
        event_token,
        web: WebTokens { read_token, write_token },
        crons: Crons { image_update, cleanup, check },
        delete_delay,
        leak_limit,
        logging,
        labels: _,
        providers: _,
        targets: _,
    } = config;
    let servers: Vec<String> = gearman_servers.iter().map(gearman_server).collect();
    let Collected(fields) = logging
        .iter()
        .fold(Collected::default(), logging_fields)
        .maybe("script-dir", script_dir.as_ref())
        .secret("dburi", &database.0)
        .open("gearman-servers", &servers)
        .open("zmq-publishers", zmq_publishers)
        .maybe_secret("event token", event_token.as_ref())
        .maybe_secret("read token", read_token.as_ref())
        .maybe_secret("write token", write_token.as_ref())
        .said("cron image-update", cron(image_update.as_ref()))
        .said("cron cleanup", cron(cleanup.as_ref()))
        .said("cron check", cron(check.as_ref()))
        .time("delete-delay", *delete_delay)
        .open("leak-limit", leak_limit);
    fields
}

fn logging_fields(collected: Collected, logging: &Logging) -> Collected {
    let Logging { format, level, levels, directory, keep } = logging;
    let levels: Vec<String> =
        levels.iter().map(|(target, level)| format!("{target}: {}", level.word())).collect();
    collected
        .said("logging format", format.word())
        .said("logging level", level.word())
        .said("logging levels", format!("{{{}}}", levels.join(", ")))
        .maybe("logging directory", directory.as_ref())
        .open("logging keep", keep)
}

fn cron(cron: Option<&Cron>) -> String {
    let Some(Cron { schedule, zone }) = cron else { return "never".to_owned() };
    match zone {
        Some(zone) => format!("{schedule:?} ({zone})"),
        None => format!("{schedule:?}"),
    }
}

fn label_fields(label: &Label) -> Fields {
    let Label {
        name: _,
        image,
        min_ready,
        headroom,
        schedule,
        subnodes,
        ready_script,
        ready_script_timeout,
        max_ready_age,
        providers,
    } = label;
    let windows = schedule.iter().map(|window| format!("{}: {}", window.text, window.spares));
    let windows: Vec<String> = windows.collect();
    let collected = Collected::default()
        .open("image", image)
        .count("min-ready", *min_ready)
        .said("headroom", format!("{headroom}%"))
        .open("schedule", &windows)
        .open("subnodes", subnodes)
        .maybe("ready-script", ready_script.as_ref())
        .time("ready-script-timeout", *ready_script_timeout)
        .open("providers", providers);
    let Collected(fields) =
        max_ready_age.iter().fold(collected, |fields, age| fields.time("max-ready-age", *age));
    fields
}

fn provider_fields(provider: &Provider) -> Fields {
    let Provider {
        name: _,
        cloud,
        credentials,
        api_timeout,
        boot_timeout,
        launch_timeout,
        max_servers,
        keypair,
        rate,
        availability_zones,
        networks,
        pool,
        clean_floating_ips,
        security_groups,
        host_key_checking,
        ipv6_preferred,
        template_hostname,
        images: _,
        retired: _,
    } = provider;
    let networks: Vec<String> = networks.iter().map(network).collect();
    let clean_floating_ips = match clean_floating_ips {
        CleanFloatingIps::OfPool => "no",
        CleanFloatingIps::Ours => "yes",
        CleanFloatingIps::All => "all",
    };
    let collected = Collected::default()
        .maybe("cloud", cloud.as_ref())
        .time("api-timeout", *api_timeout)
        .time("boot-timeout", *boot_timeout)
        .time("launch-timeout", *launch_timeout)
        .count("max-servers", *max_servers)
        .maybe("keypair", keypair.as_ref())
        .time("rate", *rate)
        .open("availability-zones", availability_zones)
        .said("networks", format!("[{}]", networks.join(", ")))
        .maybe("pool", pool.as_ref())
        .said("clean-floating-ips", clean_floating_ips)
        .open("security-groups", security_groups)
        .open("host-key-checking", host_key_checking)
        .open("ipv6-preferred", ipv6_preferred)
        .open("template-hostname", template_hostname);
    let Collected(fields) = credential_fields(collected, credentials);
    fields
}

fn network(network: &Network) -> String {
    let Network { wanted, public } = network;
    let public = if *public { ", public: yes" } else { "" };
    match wanted {
        NetworkName::Id(id) => format!("{{net-id: {id}{public}}}"),
        NetworkName::Name(name) => format!("{{name: {name}{public}}}"),
    }
}

fn credential_fields(collected: Collected, credentials: &CloudCredentials) -> Collected {
    let CloudCredentials {
        auth_url,
        identity,
        region,
        interface,
        compute_type,
        compute_name,
        ca_file,
        verify,
    } = credentials;
    let collected = collected
        .open("auth-url", auth_url)
        .maybe("region", region.as_ref())
        .open("interface", interface)
        .maybe("service-type", compute_type.as_ref())
        .maybe("service-name", compute_name.as_ref())
        .maybe("cacert", ca_file.as_ref())
        .open("verify", verify);
    match identity {
        Identity::Password { user, password, project } => {
            name_fields(name_fields(collected, "user", user), "project", project).secret("password", password)
        }
        Identity::ApplicationCredential { id, name, user, secret } => {
            let collected = match user {
                Some(user) => name_fields(collected, "user", user),
                None => collected,
            };
            collected
                .maybe("application credential id", id.as_ref())
                .maybe("application credential name", name.as_ref())
                .secret("application credential secret", secret)
        }
    }
}

fn name_fields(collected: Collected, what: &str, named: &Named) -> Collected {
    let Named { id, name, domain } = named;
    let collected =
        collected.maybe(&format!("{what} id"), id.as_ref()).maybe(&format!("{what} name"), name.as_ref());
    match domain {
        Some(Domain::Id(id)) => collected.open(&format!("{what} domain id"), id),
        Some(Domain::Name(name)) => collected.open(&format!("{what} domain name"), name),
        None => collected,
    }
}

fn image_fields(image: &ProviderImage) -> Fields {
    let ProviderImage {
        name: _,
        source: ImageSource::Snapshot { base_image, setup, setup_timeout },
        min_ram,
        name_filter,
        username,
        user_home,
        private_key,
        bootstrap_users,
        config_drive,
        meta,
        ssh_port,
        key_name,
        user_data,
        boot_volume_gib,
        connection_address,
        host_key_source,
        pause,
    } = image;
    let connection_address = match connection_address {
        ConnectionAddress::Public => "public",
        ConnectionAddress::Private => "private",
        ConnectionAddress::Network(name) => name,
    };
    let host_key_source = match host_key_source {
        HostKeySource::Learn => "learn",
        HostKeySource::Console => "console",
        HostKeySource::UserData => "user-data",
    };
    let collected = Collected::default()
        .open("base-image", base_image)
        .open("setup", setup)
        .time("setup-timeout", *setup_timeout)
        .open("min-ram", min_ram)
        .maybe("name-filter", name_filter.as_ref())
        .open("username", username)
        .open("user-home", user_home)
        .open("private-key", private_key)
        .open("bootstrap-users", bootstrap_users)
        .maybe("config-drive", config_drive.as_ref())
        .open("meta", meta)
        .open("ssh-port", ssh_port)
        .maybe("key-name", key_name.as_ref())
        .maybe("boot volume in GiB", boot_volume_gib.as_ref())
        .said("connection-address", connection_address)
        .said("host-key-source", host_key_source)
        .open("pause", pause);
    // User data often holds a password.
    let Collected(fields) = match user_data {
        Some(text) => collected.secret("user-data", &text.clone().into()),
        None => collected,
    };
    fields
}

fn target_fields(target: &Target) -> Fields {
    let Target { name: _, hostname, subnode_hostname, offer } = target;
    let collected =
        Collected::default().open("hostname", hostname).open("subnode-hostname", subnode_hostname);
    let Collected(fields) = match offer {
        Offer::Nowhere => collected,
        Offer::Gearman => collected.open("assign-via-gearman", &true),
        Offer::Jenkins(jenkins) => jenkins_fields(collected, jenkins),
    };
    fields
}

fn jenkins_fields(collected: Collected, jenkins: &Jenkins) -> Collected {
    let Jenkins {
        url,
        user,
        apikey,
        credentials_id,
        launcher,
        test_job,
        queue_demand,
        close_used_agents,
        enroll_timeout,
        api_timeout,
        ca_file,
    } = jenkins;
    let launcher = match launcher {
        Launcher::Ssh => "ssh",
        Launcher::Inbound => "inbound",
    };
    collected
        .open("jenkins url", url)
        .open("jenkins user", user)
        .secret("jenkins apikey", apikey)
        .maybe("jenkins credentials-id", credentials_id.as_ref())
        .said("jenkins launcher", launcher)
        .maybe("jenkins test-job", test_job.as_ref())
        .open("jenkins queue-demand", queue_demand)
        .open("jenkins close-used-agents", close_used_agents)
        .time("jenkins enroll-timeout", *enroll_timeout)
        .time("jenkins api-timeout", *api_timeout)
        .maybe("jenkins cacert", ca_file.as_ref())
}
