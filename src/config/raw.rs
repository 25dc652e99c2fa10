//! The shape of nodepool.yaml: which keys there are, of which types, and which of them do nothing yet.
//!
//! It is read from a tree of located nodes and not by serde's derive: serde ends at the first error, and this reading
//! finds all of them with their places. What a value refers to is looked up afterwards, in [`super::check`].

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::clouds::Settings;
use super::diagnostic::Report;
use super::fields::{self, Fields};
use super::keys;
use super::source_text::{Located, Position};
use super::tree::{Node, Value};
use super::types::{
    CleanFloatingIps, ConnectionAddress, Crons, HostKeySource, Launcher, Logging, Network, NetworkName,
};
use super::windows::{self, Window};
use super::{cron, logging};

/// The credentials that may stand in a provider itself, and the setting of clouds.yaml that each is.
const CREDENTIALS: [(&str, &str); 16] = [
    ("username", "username"),
    ("auth-url", "auth_url"),
    ("project-id", "project_id"),
    ("project-name", "project_name"),
    ("region-name", "region_name"),
    ("user-id", "user_id"),
    ("user-domain-id", "user_domain_id"),
    ("user-domain-name", "user_domain_name"),
    ("project-domain-id", "project_domain_id"),
    ("project-domain-name", "project_domain_name"),
    ("application-credential-id", "application_credential_id"),
    ("application-credential-name", "application_credential_name"),
    ("interface", "interface"),
    ("service-type", "compute_service_type"),
    ("service-name", "compute_service_name"),
    ("cacert", "cacert"),
];
const HOST_KEY_SOURCES: [(&str, HostKeySource); 3] = [
    ("learn", HostKeySource::Learn),
    ("console", HostKeySource::Console),
    ("user-data", HostKeySource::UserData),
];

const LAUNCHERS: [(&str, Launcher); 2] = [("ssh", Launcher::Ssh), ("inbound", Launcher::Inbound)];

/// The whole file.
pub(super) struct RawConfig {
    pub(super) script_dir: Option<Located<String>>,
    pub(super) dburi: Option<Located<SecretString>>,
    pub(super) gearman_servers: Vec<RawGearmanServer>,
    pub(super) zmq_publishers: Vec<Located<String>>,
    pub(super) crons: Crons,
    pub(super) delete_delay: Option<Duration>,
    pub(super) leak_limit: Option<u32>,
    pub(super) logging: Option<Logging>,
    pub(super) labels: Vec<RawLabel>,
    pub(super) providers: Vec<RawProvider>,
    pub(super) targets: Vec<RawTarget>,
    pub(super) diskimages: Vec<Located<String>>,
}

/// An item of `gearman-servers`.
pub(super) struct RawGearmanServer {
    pub(super) at: Position,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) ssl_key: Option<Located<String>>,
    pub(super) ssl_cert: Option<Located<String>>,
    pub(super) ssl_ca: Option<Located<String>>,
}

/// An item of `labels`.
pub(super) struct RawLabel {
    pub(super) name: Option<Located<String>>,
    pub(super) image: Option<Located<String>>,
    pub(super) min_ready: Option<Located<i64>>,
    pub(super) headroom: Option<Located<u32>>,
    pub(super) schedule: Vec<Located<Window>>,
    pub(super) subnodes: Option<Located<i64>>,
    pub(super) ready_script: Option<Located<String>>,
    pub(super) ready_script_timeout: Option<Duration>,
    pub(super) max_ready_age: Option<Duration>,
    pub(super) providers: Vec<Located<String>>,
}

/// An item of `providers`.
pub(super) struct RawProvider {
    pub(super) at: Position,
    pub(super) name: Option<Located<String>>,
    pub(super) cloud: Option<Located<String>>,
    /// The credentials in the provider itself; `None` when one of them or `cloud` is wrong, which was reported.
    pub(super) inline: Option<Settings>,
    pub(super) api_timeout: Option<Duration>,
    pub(super) boot_timeout: Option<Duration>,
    pub(super) launch_timeout: Option<Duration>,
    pub(super) max_servers: Option<Located<i64>>,
    pub(super) keypair: Option<Located<String>>,
    pub(super) rate: Option<Duration>,
    pub(super) availability_zones: Vec<Located<String>>,
    pub(super) networks: Vec<Network>,
    pub(super) pool: Option<Located<String>>,
    pub(super) clean_floating_ips: CleanFloatingIps,
    pub(super) security_groups: Vec<Located<String>>,
    pub(super) host_key_checking: Option<Located<bool>>,
    pub(super) ipv6_preferred: Option<Located<bool>>,
    pub(super) template_hostname: Option<Located<String>>,
    pub(super) images: Vec<RawImage>,
}

/// An item of a provider's `images`.
pub(super) struct RawImage {
    pub(super) at: Position,
    pub(super) name: Option<Located<String>>,
    pub(super) base_image: Option<Located<String>>,
    pub(super) setup: Option<Located<String>>,
    pub(super) setup_timeout: Option<Duration>,
    pub(super) diskimage: Option<Located<String>>,
    pub(super) min_ram: Option<Located<i64>>,
    pub(super) name_filter: Option<Located<String>>,
    pub(super) username: Option<Located<String>>,
    pub(super) user_home: Option<Located<String>>,
    pub(super) private_key: Option<Located<String>>,
    pub(super) bootstrap_users: Vec<Located<String>>,
    pub(super) config_drive: Option<Located<bool>>,
    pub(super) meta: Vec<(Located<String>, Located<String>)>,
    pub(super) ssh_port: Option<Located<i64>>,
    pub(super) key_name: Option<Located<String>>,
    pub(super) user_data: Option<Located<String>>,
    pub(super) boot_volume_gib: Option<Located<i64>>,
    pub(super) connection_address: Option<Located<ConnectionAddress>>,
    pub(super) host_key_source: Option<Located<HostKeySource>>,
    pub(super) pause: Option<Located<bool>>,
}

/// An item of `targets`.
pub(super) struct RawTarget {
    pub(super) name: Option<Located<String>>,
    pub(super) hostname: Option<Located<String>>,
    pub(super) subnode_hostname: Option<Located<String>>,
    pub(super) jenkins: Option<RawJenkins>,
    pub(super) assign_via_gearman: Option<Located<bool>>,
}

/// A target's Jenkins.
pub(super) struct RawJenkins {
    pub(super) at: Position,
    pub(super) login: RawLogin,
    pub(super) launcher: Option<Located<Launcher>>,
    pub(super) test_job: Option<Located<String>>,
    pub(super) enroll_timeout: Option<Duration>,
    pub(super) api_timeout: Option<Duration>,
    pub(super) queue_demand: Option<Located<bool>>,
    pub(super) close_used_agents: Option<Located<bool>>,
    pub(super) ca_file: Option<Located<String>>,
}

/// How to log in to a Jenkins, from a target or from secure.conf.
pub(super) struct RawLogin {
    /// The keys that are wrong, which was reported.
    pub(super) broken: Vec<&'static str>,
    pub(super) url: Option<Located<String>>,
    pub(super) user: Option<Located<String>>,
    pub(super) apikey: Option<Located<SecretString>>,
    pub(super) credentials: Option<Located<String>>,
}

impl RawJenkins {
    /// One of which nothing is said but how to log in.
    pub(super) const fn with_login(at: Position, login: RawLogin) -> Self {
        Self {
            at,
            login,
            launcher: None,
            test_job: None,
            enroll_timeout: None,
            api_timeout: None,
            queue_demand: None,
            close_used_agents: None,
            ca_file: None,
        }
    }
}

impl RawLogin {
    /// What this one says, and of the rest what the other says.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            broken: self.broken.into_iter().chain(other.broken).collect(),
            url: self.url.or(other.url),
            user: self.user.or(other.user),
            apikey: self.apikey.or(other.apikey),
            credentials: self.credentials.or(other.credentials),
        }
    }
}

/// Reads the file; a `None` was reported.
pub(super) fn read(root: &Node, report: &mut Report) -> Option<RawConfig> {
    let mut fields = Fields::open(root, &keys::ROOT, report)?;
    let daemon = fields.find("nodepoold").and_then(|node| daemon(node, report));
    let config = RawConfig {
        script_dir: fields.text("script-dir", report),
        dburi: fields.secret("dburi", report),
        gearman_servers: each(fields.list("gearman-servers", report), gearman_server, report),
        zmq_publishers: fields.texts("zmq-publishers", report),
        crons: cron::read(fields.find("cron"), report),
        delete_delay: daemon.as_ref().and_then(|daemon| daemon.0),
        leak_limit: daemon.as_ref().and_then(|daemon| daemon.1),
        logging: fields.find("logging").and_then(|node| logging::read(node, report)),
        labels: each(fields.list("labels", report), label, report),
        providers: each(fields.list("providers", report), provider, report),
        targets: each(fields.list("targets", report), target, report),
        diskimages: each(fields.list("diskimages", report), diskimage, report),
    };
    fields.text("elements-dir", report);
    fields.text("images-dir", report);
    for node in fields.list("zookeeper-servers", report) {
        zookeeper(node, report);
    }
    fields.finish(report);
    Some(config)
}

/// Reads each item of a list.
fn each<T>(
    nodes: &[Arc<Node>],
    read: impl Fn(&Node, &mut Report) -> Option<T>,
    report: &mut Report,
) -> Vec<T> {
    nodes.iter().filter_map(|node| read(node, report)).collect()
}

fn gearman_server(node: &Node, report: &mut Report) -> Option<RawGearmanServer> {
    let mut fields = Fields::open(node, &keys::GEARMAN_SERVER, report)?;
    let at = fields.at.clone();
    let host = fields.text("host", report);
    let port = fields.integer("port", report);
    let [ssl_key, ssl_cert, ssl_ca] = ["ssl_key", "ssl_cert", "ssl_ca"].map(|key| fields.text(key, report));
    fields.finish(report);
    let port = port.and_then(|port| u16::try_from(port.value).ok()).unwrap_or(keys::GEARMAN_PORT);
    Some(RawGearmanServer { at, host: host?.value, port, ssl_key, ssl_cert, ssl_ca })
}

fn zookeeper(node: &Node, report: &mut Report) {
    let Some(mut fields) = Fields::open(node, &keys::ZOOKEEPER_SERVER, report) else { return };
    fields.text("host", report);
    fields.integer("port", report);
    fields.text("chroot", report);
    fields.finish(report);
}

/// The delete-delay and the leak-limit.
fn daemon(node: &Node, report: &mut Report) -> Option<(Option<Duration>, Option<u32>)> {
    let mut fields = Fields::open(node, &keys::NODEPOOLD, report)?;
    let delay = fields.time("delete-delay", report);
    let limit = fields.integer("leak-limit", report);
    fields.finish(report);
    Some((delay, limit.and_then(|limit| u32::try_from(limit.value).ok())))
}

fn diskimage(node: &Node, report: &mut Report) -> Option<Located<String>> {
    let mut fields = Fields::open(node, &keys::DISKIMAGE, report)?;
    let name = fields.text("name", report);
    fields.texts("elements", report);
    if let Some(release) = fields.find("release") {
        fields::words(release, "`release`", report);
    }
    fields.words("env-vars", report);
    fields.time("rebuild-age", report);
    fields.boolean("pause", report);
    fields.texts("formats", report);
    fields.finish(report);
    name
}

fn label(node: &Node, report: &mut Report) -> Option<RawLabel> {
    let mut fields = Fields::open(node, &keys::LABEL, report)?;
    let label = RawLabel {
        name: fields.text("name", report),
        image: fields.text("image", report),
        min_ready: fields.integer("min-ready", report),
        headroom: fields.percent("headroom", report),
        schedule: windows::read(fields.find("schedule"), report),
        subnodes: fields.integer("subnodes", report),
        ready_script: fields.text("ready-script", report),
        ready_script_timeout: fields.time("ready-script-timeout", report),
        max_ready_age: fields.time("max-ready-age", report),
        providers: each(fields.list("providers", report), named, report),
    };
    if let Some(node) = fields.find("providers")
        && matches!(&node.value, Value::List(items) if items.is_empty())
    {
        report
            .error(&node.at, "a label needs at least one provider")
            .help("add an item such as `- name: PROVIDER`");
    }
    fields.finish(report);
    Some(label)
}

fn named(node: &Node, report: &mut Report) -> Option<Located<String>> {
    let mut fields = Fields::open(node, &keys::LABEL_PROVIDER, report)?;
    let name = fields.text("name", report);
    fields.finish(report);
    name
}

fn provider(node: &Node, report: &mut Report) -> Option<RawProvider> {
    let mut fields = Fields::open(node, &keys::PROVIDER, report)?;
    let name = fields.text("name", report);
    let cloud = fields.text("cloud", report);
    let cloud_broken = cloud.is_none() && fields.has("cloud");
    let provider = RawProvider {
        at: fields.at.clone(),
        name,
        cloud,
        inline: inline_settings(&mut fields, report).filter(|_| !cloud_broken),
        api_timeout: fields.time("api-timeout", report),
        boot_timeout: fields.time("boot-timeout", report),
        launch_timeout: fields.time("launch-timeout", report),
        max_servers: fields.integer("max-servers", report),
        keypair: fields.text("keypair", report),
        rate: fields.time("rate", report),
        availability_zones: fields.texts("availability-zones", report),
        networks: each(fields.list("networks", report), network, report),
        pool: fields.text("pool", report),
        clean_floating_ips: clean_floating_ips(&mut fields, report),
        security_groups: fields.texts("security-groups", report),
        host_key_checking: fields.boolean("host-key-checking", report),
        ipv6_preferred: fields.boolean("ipv6-preferred", report),
        template_hostname: fields.text("template-hostname", report),
        images: each(fields.list("images", report), image, report),
    };
    for key in ["image-type", "nodepool-id"] {
        fields.text(key, report);
    }
    fields.finish(report);
    Some(provider)
}

/// nodepool v0 took a boolean.
fn clean_floating_ips(fields: &mut Fields<'_>, report: &mut Report) -> CleanFloatingIps {
    match fields.boolean_or("clean-floating-ips", report).map(|found| found.value) {
        None | Some(Some(false)) => CleanFloatingIps::OfPool,
        Some(Some(true)) => CleanFloatingIps::Ours,
        Some(None) => CleanFloatingIps::All,
    }
}

/// Reads the credentials that stand in a provider itself.
fn inline_settings(fields: &mut Fields<'_>, report: &mut Report) -> Option<Settings> {
    let mut settings = Settings::default();
    let mut broken = false;
    for (key, setting) in CREDENTIALS {
        match fields.text(key, report) {
            Some(text) => settings.set(setting, &text.value, Some(&text.at)),
            None => broken |= fields.has(key),
        }
    }
    for (key, setting) in
        [("password", "password"), ("application-credential-secret", "application_credential_secret")]
    {
        match fields.secret(key, report) {
            Some(secret) => settings.set_secret(setting, secret.value, Some(&secret.at)),
            None => broken |= fields.has(key),
        }
    }
    match fields.boolean("verify", report) {
        Some(verify) => settings.set("verify", if verify.value { "true" } else { "false" }, Some(&verify.at)),
        None => broken |= fields.has("verify"),
    }
    if let (Some(_), Some(name)) = (fields.find("project-id"), fields.find("project-name")) {
        report
            .warning(&name.at, "`project-name` has no effect beside `project-id`")
            .help("keep one of the two");
    }
    (!broken).then_some(settings)
}

fn network(node: &Node, report: &mut Report) -> Option<Network> {
    let mut fields = Fields::open(node, &keys::NETWORK, report)?;
    let id = fields.text("net-id", report);
    let label = fields.text("net-label", report);
    let name = fields.text("name", report);
    if let (Some(_), Some(name)) = (&label, &name) {
        report.warning(&name.at, "`name` has no effect beside `net-label`").help("keep one of the two");
    }
    let public = fields.boolean("public", report).is_some_and(|public| public.value);
    let at = fields.at.clone();
    fields.finish(report);
    match (id, label.or(name)) {
        (Some(id), None) => Some(Network { wanted: NetworkName::Id(id.value), public }),
        (None, Some(name)) => Some(Network { wanted: NetworkName::Name(name.value), public }),
        (Some(_), Some(_)) => {
            report
                .error(&at, "a network is given by `net-id` or by its name, not by both")
                .help("keep `net-id`, or else `name`");
            None
        }
        (None, None) => {
            report
                .error(&at, "a network needs one of `net-id`, `net-label` and `name`")
                .help("add `name`, as `openstack network list` shows it");
            None
        }
    }
}

fn image(node: &Node, report: &mut Report) -> Option<RawImage> {
    let mut fields = Fields::open(node, &keys::IMAGE, report)?;
    let image = RawImage {
        at: fields.at.clone(),
        name: fields.text("name", report),
        base_image: fields.text("base-image", report),
        setup: fields.text("setup", report),
        setup_timeout: fields.time("setup-timeout", report),
        diskimage: fields.text("diskimage", report),
        min_ram: fields.integer("min-ram", report),
        name_filter: fields.text("name-filter", report),
        username: fields.text("username", report),
        user_home: fields.text("user-home", report),
        private_key: fields.text("private-key", report),
        bootstrap_users: fields.texts("bootstrap-users", report),
        config_drive: fields.boolean("config-drive", report),
        meta: fields.words("meta", report),
        ssh_port: fields.integer("ssh-port", report),
        key_name: fields.text("key-name", report),
        user_data: fields.text("user-data", report),
        boot_volume_gib: boot_volume(&mut fields, report),
        connection_address: fields.text("connection-address", report).map(connection_address),
        host_key_source: fields.one_of("host-key-source", &HOST_KEY_SOURCES, report),
        pause: fields.boolean("pause", report),
    };
    // A diskimage is not made from a base image.
    let required: &[&str] = if fields.has("diskimage") { &[] } else { &["base-image", "setup"] };
    for key in required {
        if !fields.has(key) {
            fields.missing(key, report);
        }
    }
    fields.find("reset");
    fields.finish(report);
    Some(image)
}

/// The size of the volume to boot from, when nodes boot from one.
fn boot_volume(fields: &mut Fields<'_>, report: &mut Report) -> Option<Located<i64>> {
    let wanted = fields.boolean("boot-from-volume", report);
    let size = fields.integer("volume-size", report);
    match (wanted, size) {
        (Some(Located { value: true, at }), size) => {
            Some(size.unwrap_or(Located { value: keys::VOLUME_GIB, at }))
        }
        (_, Some(size)) => {
            report
                .warning(&size.at, "`volume-size` has no effect without `boot-from-volume`")
                .help("add `boot-from-volume: true`, or take `volume-size` out");
            None
        }
        _ => None,
    }
}

fn connection_address(text: Located<String>) -> Located<ConnectionAddress> {
    let value = match text.value.as_str() {
        "public" => ConnectionAddress::Public,
        "private" => ConnectionAddress::Private,
        _ => ConnectionAddress::Network(text.value),
    };
    Located { value, at: text.at }
}

fn target(node: &Node, report: &mut Report) -> Option<RawTarget> {
    let mut fields = Fields::open(node, &keys::TARGET, report)?;
    let target = RawTarget {
        name: fields.text("name", report),
        hostname: fields.text("hostname", report),
        subnode_hostname: fields.text("subnode-hostname", report),
        jenkins: fields.find("jenkins").and_then(|node| jenkins(node, report)),
        assign_via_gearman: fields.boolean("assign-via-gearman", report),
    };
    fields.time("rate", report);
    fields.finish(report);
    Some(target)
}

fn jenkins(node: &Node, report: &mut Report) -> Option<RawJenkins> {
    let mut fields = Fields::open(node, &keys::JENKINS, report)?;
    let mut login = RawLogin {
        broken: Vec::new(),
        url: fields.text("url", report),
        user: fields.text("user", report),
        apikey: fields.secret("apikey", report),
        credentials: fields.text("credentials-id", report),
    };
    let given =
        [("url", login.url.is_some()), ("user", login.user.is_some()), ("apikey", login.apikey.is_some())];
    login.broken.extend(given.into_iter().filter(|(key, read)| !read && fields.has(key)).map(|(key, _)| key));
    let jenkins = RawJenkins {
        at: fields.at.clone(),
        login,
        launcher: fields.one_of("launcher", &LAUNCHERS, report),
        test_job: fields.text("test-job", report),
        enroll_timeout: fields.time("enroll-timeout", report),
        api_timeout: fields.time("api-timeout", report),
        queue_demand: fields.boolean("queue-demand", report),
        close_used_agents: fields.boolean("close-used-agents", report),
        ca_file: fields.text("cacert", report),
    };
    fields.finish(report);
    Some(jenkins)
}
