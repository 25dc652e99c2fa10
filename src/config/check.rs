//! Makes a [`Config`] of what the files say, and reports everything in them that does not fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::clouds::Clouds;
use super::diagnostic::Report;
use super::files::Files;
use super::keys::{
    API_TIMEOUT, BOOT_TIMEOUT, LAUNCH_TIMEOUT, LEAK_LIMIT, MIN_READY, PRIVATE_KEY, RATE,
    READY_SCRIPT_TIMEOUT, SETUP_TIMEOUT, SSH_PORT, TEMPLATE_HOSTNAME, USER_HOME, USERNAME,
};
use super::labels;
use super::publishers;
use super::raw::{RawConfig, RawImage, RawLabel, RawProvider};
use super::secure::Secure;
use super::source_text::{Located, Position};
use super::sources::Sources;
use super::spelling;
use super::targets;
use super::template::{Field, Template};
use super::types::{
    Config, ConnectionAddress, DatabaseUrl, HostKeySource, ImageSource, Label, Logging, NetworkName,
    Provider, ProviderImage,
};

/// The users that the images of the distributions let in, after the configured one.
const BOOTSTRAP_USERS: [&str; 6] = ["root", "ubuntu", "fedora", "cloud-user", "centos", "debian"];
/// The most characters of a key or value of an image's properties; the clouds take no more.
const MAX_PROPERTY_CHARACTERS: usize = 255;

/// Checks the whole configuration. `None` when something that it needs is missing, which is reported.
pub(super) fn check(
    mut raw: RawConfig,
    database: Option<DatabaseUrl>,
    secure: Secure,
    sources: &Sources,
    report: &mut Report,
) -> Option<Config> {
    unique(raw.labels.iter().map(|label| &label.name), "label", report);
    unique(raw.providers.iter().map(|provider| &provider.name), "provider", report);
    unique(raw.targets.iter().map(|target| &target.name), "target", report);
    unique(raw.diskimages.iter().map(Some), "diskimage", report);
    let script_dir = raw.script_dir.as_ref();
    let mut files = Files::new(sources, script_dir, report);
    let script_dir = script_dir.map(|path| sources.path(&path.value));
    labels::check(&mut raw.labels, &raw.providers, &files, report);
    if let (true, Some(label)) =
        (raw.targets.is_empty(), raw.labels.iter().find_map(|label| label.name.as_ref()))
    {
        report
            .error(&label.at, "there are labels, but no target at which to offer their nodes")
            .help("add an item to `targets`");
    }
    let mut clouds = Clouds::new(sources);
    let diskimages: BTreeSet<&str> = raw.diskimages.iter().map(|name| name.value.as_str()).collect();
    let providers = all(raw.providers, |provider| {
        let (name, at) = match &provider.name {
            Some(name) => (name.value.as_str(), &name.at),
            None => ("(without a name)", &provider.at),
        };
        let credentials = provider
            .inline
            .as_ref()
            .and_then(|inline| clouds.credentials(name, at, provider.cloud.as_ref(), inline, report));
        let images = check_images(&provider, &diskimages, &mut files, report);
        make_provider(provider, credentials, images, report)
    });
    let gearman_servers = publishers::gearman_servers(raw.gearman_servers, &mut files, report);
    let labels = all(raw.labels, make_label);
    let around = targets::Around {
        has_gearman: !gearman_servers.is_empty(),
        labels: labels.as_deref().unwrap_or_default(),
        files: &files,
    };
    let targets = targets::make(raw.targets, secure.jenkins, &around, report);
    Some(Config {
        script_dir,
        database: database?,
        gearman_servers,
        zmq_publishers: publishers::check(raw.zmq_publishers, report),
        event_token: secure.event_token,
        web: secure.web,
        crons: raw.crons,
        delete_delay: raw.delete_delay.unwrap_or(Duration::ZERO),
        leak_limit: raw.leak_limit.or(count(LEAK_LIMIT)).unwrap_or(100),
        logging: raw.logging.map(|logging| Logging {
            directory: logging.directory.map(|path| sources.path(&path.to_string_lossy())),
            ..logging
        }),
        labels: labels?,
        providers: providers?,
        targets: targets?,
    })
}

/// Makes something of each item, and of all of them before it gives up.
pub(super) fn all<T, U>(items: Vec<T>, make: impl FnMut(T) -> Option<U>) -> Option<Vec<U>> {
    items.into_iter().map(make).collect::<Vec<_>>().into_iter().collect()
}

/// Reports names that are given twice, and such that cannot be names.
fn unique<'a, N>(names: impl Iterator<Item = N>, what: &str, report: &mut Report)
where
    N: Into<Option<&'a Located<String>>>,
{
    let mut seen: BTreeMap<&str, &Position> = BTreeMap::new();
    for name in names.filter_map(Into::into) {
        if name.value.chars().any(|character| character.is_control() || character.is_whitespace()) {
            report.error(&name.at, format!("the name of a {what} must not have blanks"));
        }
        if let Some(first) = seen.get(name.value.as_str()) {
            let help = format!("the first one is on line {}", first.line);
            report.error(&name.at, format!("there are two {what}s of the name `{}`", name.value)).help(help);
        } else {
            seen.insert(&name.value, &name.at);
        }
    }
}

/// Reports a reference to something that does not exist.
pub(super) fn dangling<'a>(
    at: &Position,
    message: String,
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    report: &mut Report,
) {
    let mut listed = BTreeSet::new();
    let list = known.clone().filter(|name| listed.insert(*name)).map(|name| format!("`{name}`"));
    let list = list.collect::<Vec<_>>().join(", ");
    let finding = report.error(at, message);
    finding.help(match spelling::nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? The {what} are {list}"),
        None if list.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {list}"),
    });
}

/// Checks the images of a provider and makes those that can be built.
fn check_images(
    provider: &RawProvider,
    diskimages: &BTreeSet<&str>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Vec<ProviderImage>> {
    unique(provider.images.iter().map(|image| &image.name), "image", report);
    for image in &provider.images {
        check_connection_address(image, provider, report);
    }
    let mut images = Some(Vec::new());
    for image in &provider.images {
        let made = if let Some(diskimage) = &image.diskimage {
            if !diskimages.contains(diskimage.value.as_str()) {
                let known = diskimages.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                // nodepool v0 found out when it came to the build, and this version does not come to it.
                report
                    .warning(&diskimage.at, format!("there is no diskimage `{}`", diskimage.value))
                    .help(format!("the diskimages are {known}"));
            }
            continue;
        } else {
            make_image(image, files, report)
        };
        match (made, &mut images) {
            (Some(made), Some(images)) => images.push(made),
            _ => images = None,
        }
    }
    images
}

/// A network to connect through must be one of the provider's, as far as their names are known.
fn check_connection_address(image: &RawImage, provider: &RawProvider, report: &mut Report) {
    let Some(Located { value: ConnectionAddress::Network(name), at }) = &image.connection_address else {
        return;
    };
    let known: Option<Vec<&str>> = provider
        .networks
        .iter()
        .map(|network| match &network.wanted {
            NetworkName::Name(name) => Some(name.as_str()),
            NetworkName::Id(_) => None,
        })
        .collect();
    if let Some(known) = known.filter(|known| !known.is_empty() && !known.contains(&name.as_str())) {
        let message =
            format!("`connection-address` names the network `{name}`, which is none of the provider's");
        dangling(
            at,
            message,
            name,
            "networks, besides `public` and `private`,",
            known.iter().copied(),
            report,
        );
    }
}

fn make_image(image: &RawImage, files: &mut Files<'_>, report: &mut Report) -> Option<ProviderImage> {
    if let Some(setup) = &image.setup {
        files.script(setup, "setup", report);
    }
    let blame = image.private_key.as_ref().map_or(&image.at, |key| &key.at);
    let private_key =
        files.private_key(image.private_key.as_ref().map_or(PRIVATE_KEY, |key| &key.value), blame, report);
    for text in image.meta.iter().flat_map(|(key, value)| [key, value]) {
        if text.value.chars().count() > MAX_PROPERTY_CHARACTERS {
            report.error(
                &text.at,
                format!("a key or value of `meta` has at most {MAX_PROPERTY_CHARACTERS} characters"),
            );
        }
    }
    let username = text_or(image.username.as_ref(), USERNAME);
    Some(ProviderImage {
        name: image.name.as_ref()?.value.clone(),
        source: ImageSource::Snapshot {
            base_image: image.base_image.as_ref()?.value.clone(),
            setup: image.setup.as_ref()?.value.clone(),
            setup_timeout: image.setup_timeout.unwrap_or(SETUP_TIMEOUT),
        },
        min_ram: u32::try_from(image.min_ram.as_ref()?.value).ok()?,
        name_filter: image.name_filter.as_ref().map(|filter| filter.value.clone()),
        bootstrap_users: bootstrap_users(image, &username),
        username,
        user_home: text_or(image.user_home.as_ref(), USER_HOME),
        private_key,
        config_drive: image.config_drive.as_ref().map(|drive| drive.value),
        meta: image.meta.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect(),
        ssh_port: image.ssh_port.as_ref().and_then(|port| u16::try_from(port.value).ok()).unwrap_or(SSH_PORT),
        key_name: image.key_name.as_ref().map(|name| name.value.clone()),
        user_data: image.user_data.as_ref().map(|text| text.value.clone()),
        boot_volume_gib: image.boot_volume_gib.as_ref().and_then(|size| u32::try_from(size.value).ok()),
        connection_address: image
            .connection_address
            .as_ref()
            .map_or(ConnectionAddress::Public, |address| address.value.clone()),
        host_key_source: image.host_key_source.as_ref().map_or(HostKeySource::Learn, |source| source.value),
        pause: image.pause.as_ref().is_some_and(|pause| pause.value),
    })
}

pub(super) fn text_or(text: Option<&Located<String>>, default: &str) -> String {
    text.map_or_else(|| default.to_owned(), |text| text.value.clone())
}

/// The users to try on a builder: those that are given, or the image's user and those of the distributions; each once.
fn bootstrap_users(image: &RawImage, username: &str) -> Vec<String> {
    let mut users: Vec<String> = image.bootstrap_users.iter().map(|user| user.value.clone()).collect();
    if users.is_empty() {
        users.push(username.to_owned());
        users.extend(BOOTSTRAP_USERS.map(str::to_owned));
    }
    let mut seen = BTreeSet::new();
    users.retain(|user| seen.insert(user.clone()));
    users
}

fn make_provider(
    provider: RawProvider,
    credentials: Option<super::CloudCredentials>,
    images: Option<Vec<ProviderImage>>,
    report: &mut Report,
) -> Option<Provider> {
    let template_hostname = text_or(provider.template_hostname.as_ref(), TEMPLATE_HOSTNAME);
    template(provider.template_hostname.as_ref(), Field::OF_IMAGE, report);
    Some(Provider {
        name: provider.name?.value,
        cloud: provider.cloud.map(|cloud| cloud.value),
        credentials: credentials?,
        api_timeout: provider.api_timeout.unwrap_or(API_TIMEOUT),
        boot_timeout: provider.boot_timeout.unwrap_or(BOOT_TIMEOUT),
        launch_timeout: provider.launch_timeout.unwrap_or(LAUNCH_TIMEOUT),
        max_servers: count(provider.max_servers?.value),
        keypair: provider.keypair.map(|keypair| keypair.value),
        rate: provider.rate.unwrap_or(RATE),
        availability_zones: provider.availability_zones.into_iter().map(|zone| zone.value).collect(),
        networks: provider.networks,
        pool: provider.pool.map(|pool| pool.value),
        clean_floating_ips: provider.clean_floating_ips,
        security_groups: provider.security_groups.into_iter().map(|group| group.value).collect(),
        host_key_checking: provider.host_key_checking.is_none_or(|checking| checking.value),
        ipv6_preferred: provider.ipv6_preferred.is_some_and(|preferred| preferred.value),
        template_hostname,
        images: images?,
        retired: None,
    })
}

/// A count that -1 switches off.
fn count(number: i64) -> Option<u32> {
    u32::try_from(number).ok()
}

fn make_label(label: RawLabel) -> Option<Label> {
    Some(Label {
        name: label.name?.value,
        image: label.image?.value,
        min_ready: count(label.min_ready.map_or(MIN_READY, |number| number.value)),
        headroom: label.headroom.map_or(0, |headroom| headroom.value),
        schedule: label.schedule.into_iter().map(|window| window.value).collect(),
        subnodes: label.subnodes.and_then(|number| count(number.value)).unwrap_or(0),
        ready_script: label.ready_script.map(|script| script.value),
        ready_script_timeout: label.ready_script_timeout.unwrap_or(READY_SCRIPT_TIMEOUT),
        max_ready_age: label.max_ready_age,
        providers: label.providers.into_iter().map(|provider| provider.value).collect(),
    })
}

/// Reads a template, or reports what is wrong with it.
pub(super) fn template(
    text: Option<&Located<String>>,
    allowed: &[Field],
    report: &mut Report,
) -> Option<Template> {
    let text = text?;
    match Template::parse(&text.value, allowed) {
        Ok(template) => Some(template),
        Err(error) => {
            let list = allowed.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
            report.error(&text.at, error.to_string()).help(format!("the placeholders are {list}"));
            None
        }
    }
}
