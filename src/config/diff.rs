//! What a reload changes, line by line, for the log. Secrets are compared, and never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use secrecy::{ExposeSecret as _, SecretString};

use super::types::{
    CloudCredentials, Config, Cron, Identity, ImageSource, Label, Named, Provider, ProviderImage, Target,
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

    /// A count that -1 switches off.
    fn count(self, key: &str, value: Option<u32>) -> Self {
        self.open(key, &value.map_or(-1, i64::from))
    }
}

fn general(config: &Config) -> Fields {
    let servers: Vec<String> =
        config.gearman_servers.iter().map(|server| format!("{}:{}", server.host, server.port)).collect();
    let Collected(fields) = Collected::default()
        .maybe("script-dir", config.script_dir.as_ref())
        .secret("dburi", &config.database.0)
        .open("gearman-servers", &servers)
        .maybe("cron image-update", config.crons.image_update.as_ref().map(cron).as_ref())
        .maybe("cron cleanup", config.crons.cleanup.as_ref().map(cron).as_ref())
        .maybe("cron check", config.crons.check.as_ref().map(cron).as_ref())
        .open("delete-delay", &config.delete_delay)
        .maybe("logging", config.logging.as_ref());
    fields
}

fn cron(cron: &Cron) -> String {
    match &cron.zone {
        Some(zone) => format!("{} ({zone})", cron.schedule),
        None => cron.schedule.clone(),
    }
}

fn label_fields(label: &Label) -> Fields {
    let Collected(fields) = Collected::default()
        .open("image", &label.image)
        .count("min-ready", label.min_ready)
        .open("subnodes", &label.subnodes)
        .maybe("ready-script", label.ready_script.as_ref())
        .open("ready-script-timeout", &label.ready_script_timeout)
        .open("providers", &label.providers);
    fields
}

fn provider_fields(provider: &Provider) -> Fields {
    let collected = Collected::default()
        .open("api-timeout", &provider.api_timeout)
        .open("boot-timeout", &provider.boot_timeout)
        .open("launch-timeout", &provider.launch_timeout)
        .count("max-servers", provider.max_servers)
        .maybe("keypair", provider.keypair.as_ref())
        .open("rate", &provider.rate)
        .open("availability-zones", &provider.availability_zones)
        .open("networks", &provider.networks)
        .maybe("pool", provider.pool.as_ref())
        .open("security-groups", &provider.security_groups)
        .open("host-key-checking", &provider.host_key_checking)
        .open("ipv6-preferred", &provider.ipv6_preferred)
        .open("template-hostname", &provider.template_hostname);
    let Collected(fields) = credential_fields(collected, &provider.credentials);
    fields
}

fn credential_fields(collected: Collected, credentials: &CloudCredentials) -> Collected {
    let collected = collected
        .open("auth-url", &credentials.auth_url)
        .maybe("region", credentials.region.as_ref())
        .open("interface", &credentials.interface)
        .maybe("cacert", credentials.ca_file.as_ref())
        .open("verify", &credentials.verify);
    match &credentials.identity {
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
    collected
        .maybe(&format!("{what} id"), named.id.as_ref())
        .maybe(&format!("{what} name"), named.name.as_ref())
        .maybe(&format!("{what} domain"), named.domain.as_ref())
}

fn image_fields(image: &ProviderImage) -> Fields {
    let ImageSource::Snapshot { base_image, setup, setup_timeout } = &image.source;
    let Collected(fields) = Collected::default()
        .open("base-image", base_image)
        .open("setup", setup)
        .open("setup-timeout", setup_timeout)
        .open("min-ram", &image.min_ram)
        .maybe("name-filter", image.name_filter.as_ref())
        .open("username", &image.username)
        .open("user-home", &image.user_home)
        .open("private-key", &image.private_key)
        .open("bootstrap-users", &image.bootstrap_users)
        .maybe("config-drive", image.config_drive.as_ref())
        .open("meta", &image.meta)
        .open("ssh-port", &image.ssh_port)
        .maybe("key-name", image.key_name.as_ref())
        .maybe("boot volume in GiB", image.boot_volume_gib.as_ref())
        .open("connection-address", &image.connection_address)
        .open("host-key-source", &image.host_key_source)
        .open("pause", &image.pause);
    // User data often holds a password.
    let Collected(fields) = match &image.user_data {
        Some(text) => Collected(fields).secret("user-data", &text.clone().into()),
        None => Collected(fields),
    };
    fields
}

fn target_fields(target: &Target) -> Fields {
    let Collected(fields) = Collected::default()
        .open("hostname", &target.hostname)
        .open("subnode-hostname", &target.subnode_hostname);
    fields
}
