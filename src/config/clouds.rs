//! How to log in to a provider's cloud: from the provider itself, clouds.yaml or `OS_*` variables.
//!
//! clouds.yaml and the variables are those of the OpenStack clients, so that what works for `openstack` works here. The
//! files are searched like theirs: the file that `OS_CLIENT_CONFIG_FILE` names, the working folder, the user's
//! configuration folder, `/etc/openstack`; the first that exists is read. The file is not ours, so keys that we do not
//! know are left alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::diagnostic::Report;
use super::fields::{Meaning, meaning};
use super::source_text::{Located, Position, SourceText};
use super::sources::{self, Sources};
use super::spelling;
use super::tree::{self, Entry, Node, Value};
use super::types::{CloudCredentials, Domain, Identity, Named};

/// The variables that are read, and the setting that each is.
const VARIABLES: [(&str, &str); 24] = [
    ("OS_AUTH_URL", "auth_url"),
    ("OS_AUTH_TYPE", "auth_type"),
    ("OS_USERNAME", "username"),
    ("OS_USER_ID", "user_id"),
    ("OS_PASSWORD", "password"),
    ("OS_PROJECT_ID", "project_id"),
    ("OS_PROJECT_NAME", "project_name"),
    ("OS_TENANT_ID", "tenant_id"),
    ("OS_TENANT_NAME", "tenant_name"),
    ("OS_USER_DOMAIN_ID", "user_domain_id"),
    ("OS_USER_DOMAIN_NAME", "user_domain_name"),
    ("OS_PROJECT_DOMAIN_ID", "project_domain_id"),
    ("OS_PROJECT_DOMAIN_NAME", "project_domain_name"),
    ("OS_DOMAIN_ID", "domain_id"),
    ("OS_DOMAIN_NAME", "domain_name"),
    ("OS_APPLICATION_CREDENTIAL_ID", "application_credential_id"),
    ("OS_APPLICATION_CREDENTIAL_NAME", "application_credential_name"),
    ("OS_APPLICATION_CREDENTIAL_SECRET", "application_credential_secret"),
    ("OS_REGION_NAME", "region_name"),
    ("OS_INTERFACE", "interface"),
    ("OS_COMPUTE_SERVICE_TYPE", "compute_service_type"),
    ("OS_COMPUTE_SERVICE_NAME", "compute_service_name"),
    ("OS_CACERT", "cacert"),
    ("OS_INSECURE", "insecure"),
];

/// A setting and where it stands; the environment has no place.
#[derive(Clone, Debug)]
struct Setting {
    value: SecretString,
    at: Option<Position>,
}

/// Settings by their name in clouds.yaml; those in its `auth` part are among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    settings: BTreeMap<&'static str, Setting>,
}

/// Every setting that is looked at.
const NAMES: [&str; 27] = [
    "auth_url",
    "auth_type",
    "username",
    "user_id",
    "password",
    "project_id",
    "project_name",
    "tenant_id",
    "tenant_name",
    "user_domain_id",
    "user_domain_name",
    "project_domain_id",
    "project_domain_name",
    "domain_id",
    "domain_name",
    "default_domain_id",
    "default_domain_name",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "region_name",
    "interface",
    "compute_service_type",
    "compute_service_name",
    "cacert",
    "verify",
    "insecure",
];

/// The settings that tell where to go and how, and not who logs in.
const PLACES: [&str; 6] =
    ["region_name", "interface", "compute_service_type", "compute_service_name", "cacert", "verify"];

impl Settings {
    /// Sets a value.
    pub(super) fn set(&mut self, name: &'static str, value: &str, at: Option<&Position>) {
        self.set_secret(name, value.to_owned().into(), at);
    }

    /// Sets a secret.
    pub(super) fn set_secret(&mut self, name: &'static str, value: SecretString, at: Option<&Position>) {
        self.settings.insert(name, Setting { value, at: at.cloned() });
    }

    /// Takes from `other` what is not set here.
    fn fill(&mut self, other: &Self) {
        for (name, setting) in &other.settings {
            self.settings.entry(name).or_insert_with(|| setting.clone());
        }
    }

    /// Whether anything that logs in is set; a region alone is none.
    fn log_in(&self) -> bool {
        self.settings.keys().any(|name| !PLACES.contains(name))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.value.expose_secret())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn at(&self, name: &str) -> Option<&Position> {
        self.settings.get(name).and_then(|setting| setting.at.as_ref())
    }
}

/// The clouds of clouds.yaml, read when the first provider asks for one.
pub(super) struct Clouds<'a> {
    sources: &'a Sources,
    files: Option<CloudFiles>,
}

struct CloudFiles {
    clouds: Option<Arc<Node>>,
    secure: Option<Arc<Node>>,
    public: Option<Arc<Node>>,
    /// Where clouds.yaml was looked for.
    searched: Vec<PathBuf>,
    /// Whether a file could not be read; that is reported, and what is missing in it is not.
    broken: bool,
}

/// Who asks for credentials, and where they were looked for.
struct Asked<'a> {
    provider: &'a str,
    at: &'a Position,
    searched: String,
}

impl<'a> Clouds<'a> {
    /// The clouds that these sources name.
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self { sources, files: None }
    }

    /// Finds the credentials of a provider, or reports what is missing and where it was looked for.
    pub(super) fn credentials(
        &mut self,
        provider: &str,
        at: &Position,
        cloud: Option<&Located<String>>,
        inline: &Settings,
        report: &mut Report,
    ) -> Option<CloudCredentials> {
        let mut settings = inline.clone();
        let os_cloud = self.sources.variable("OS_CLOUD").map(str::to_owned);
        let mut asked = Asked { provider, at, searched: "in the provider itself".to_owned() };
        if let Some(cloud) = cloud {
            settings.fill(&self.cloud(&cloud.value, &cloud.at, report)?);
            asked.at = &cloud.at;
            asked.searched =
                format!("in the provider itself and in the cloud `{}` of clouds.yaml", cloud.value);
        } else if !inline.log_in() {
            if let Some(cloud) = os_cloud {
                settings.fill(&self.cloud(&cloud, at, report)?);
                asked.searched = format!("in the cloud `{cloud}` of clouds.yaml, which OS_CLOUD names");
            } else {
                settings.fill(&self.environment());
                "in the provider itself and in the OS_* variables of the environment"
                    .clone_into(&mut asked.searched);
            }
        }
        asked.read(&settings, self.sources, report)
    }

    fn environment(&self) -> Settings {
        let mut settings = Settings::default();
        for (variable, name) in VARIABLES {
            if let Some(value) = self.sources.variable(variable) {
                settings.set(name, value, None);
            }
        }
        // The older name of OS_INTERFACE.
        if let Some(value) = self.sources.variable("OS_ENDPOINT_TYPE")
            && settings.get("interface").is_none()
        {
            settings.set("interface", value, None);
        }
        settings
    }

    /// The settings of a named cloud: secure.yaml over clouds.yaml over its profile.
    fn cloud(&mut self, name: &str, at: &Position, report: &mut Report) -> Option<Settings> {
        let sources = self.sources;
        let files = self.files.get_or_insert_with(|| CloudFiles::read(sources, report));
        let clouds = files.clouds.as_deref().and_then(|root| entry(root, "clouds"));
        let Some(found) = clouds.and_then(|clouds| entry(clouds, name)) else {
            if !files.broken {
                files.report_unknown(name, clouds, at, report);
            }
            return None;
        };
        let mut settings = Settings::default();
        let secure = files.secure.as_deref().and_then(|root| entry(root, "clouds"));
        if let Some(secure) = secure.and_then(|clouds| entry(clouds, name)) {
            settings.fill(&cloud_settings(secure, report));
        }
        settings.fill(&cloud_settings(found, report));
        if let Some((profile, profile_at)) = entry(found, "profile").and_then(scalar) {
            let public = files.public.as_deref().and_then(|root| entry(root, "public-clouds"));
            match public.and_then(|public| entry(public, profile)) {
                Some(profile) => settings.fill(&cloud_settings(profile, report)),
                None if files.broken => {}
                None => {
                    report
                        .error(profile_at, format!("the profile `{profile}` is not in a clouds-public.yaml"))
                        .help("write what the profile stands for (auth_url and so on) into the cloud itself");
                }
            }
        }
        Some(settings)
    }
}

/// How to log in to a cloud that no provider asks for any more; `None` when its files do not tell.
pub(super) fn credentials_of(cloud: &str, sources: &Sources) -> Option<CloudCredentials> {
    let at = Position::whole(&SourceText::new(&sources.nodepool_yaml, String::new()));
    let name = Located { value: cloud.to_owned(), at: at.clone() };
    // Who asks is told that it is not known, which is all that matters here.
    let mut unread = Report::default();
    Clouds::new(sources).credentials(cloud, &at, Some(&name), &Settings::default(), &mut unread)
}

impl CloudFiles {
    fn read(sources: &Sources, report: &mut Report) -> Self {
        let mut broken = false;
        let mut first = |(variable, base): (&str, &str)| {
            let candidates = sources.cloud_files(variable, base);
            for path in &candidates {
                report.looked_at(path);
                match SourceText::read(path) {
                    Ok(None) => {}
                    Ok(Some(source)) => {
                        let root = tree::read(&source, report);
                        broken |= root.is_none();
                        return (root, candidates);
                    }
                    Err(reason) => {
                        broken = true;
                        report.error_without_text(Some(path.clone()), format!("the file {reason}"));
                        return (None, candidates);
                    }
                }
            }
            if let (Some(_), Some(named)) = (sources.variable(variable), candidates.first()) {
                broken = true;
                report.error_without_text(
                    Some(named.clone()),
                    format!("the file that {variable} names is missing"),
                );
            }
            (None, candidates)
        };
        let (clouds, searched) = first(sources::CLOUDS);
        let (secure, _) = first(sources::SECURE);
        let (public, _) = first(sources::PUBLIC);
        Self { clouds, secure, public, searched, broken }
    }

    fn report_unknown(&self, name: &str, clouds: Option<&Node>, at: &Position, report: &mut Report) {
        let Some(root) = &self.clouds else {
            let searched =
                self.searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            report
                .error(at, format!("the cloud `{name}` is unknown: there is no clouds.yaml"))
                .help(format!("it was looked for at {searched}"));
            return;
        };
        let known = match clouds.map(|clouds| &clouds.value) {
            Some(Value::Mapping(entries)) => entries.as_slice(),
            _ => &[],
        };
        let names = || known.iter().map(|entry| entry.key.as_str());
        let near = spelling::nearest(name, names())
            .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        let list = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let list =
            if list.is_empty() { "it has no clouds".to_owned() } else { format!("its clouds are {list}") };
        report
            .error(at, format!("the cloud `{name}` is not in {}", root.at.source.path.display()))
            .help(format!("{near}{list}"));
    }
}

/// The value of a key of a mapping.
fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &*entry.value),
        _ => None,
    }
}

/// A scalar that is not null, as it is written.
fn scalar(node: &Node) -> Option<(&str, &Position)> {
    match &node.value {
        Value::Scalar { text, plain } if meaning(text, *plain) != Meaning::Null => Some((text, &node.at)),
        _ => None,
    }
}

/// The settings of a cloud: those in its `auth` part win over those beside it.
fn cloud_settings(cloud: &Node, report: &mut Report) -> Settings {
    let mut settings = Settings::default();
    if let Some(auth) = entry(cloud, "auth") {
        settings.fill(&plain_settings(auth, report));
    }
    settings.fill(&plain_settings(cloud, report));
    for (other, name) in [("endpoint_type", "interface"), ("project", "project_name")] {
        if let Some((text, at)) = entry(cloud, other).and_then(scalar)
            && settings.get(name).is_none()
        {
            settings.set(name, text, Some(at));
        }
    }
    // A list of regions means the first one, unless one is chosen.
    if let Some(Value::List(regions)) = entry(cloud, "regions").map(|node| &node.value)
        && settings.get("region_name").is_none()
        && let Some((text, at)) = regions
            .first()
            .and_then(|region| scalar(region).or_else(|| entry(region, "name").and_then(scalar)))
    {
        settings.set("region_name", text, Some(at));
    }
    settings
}

fn plain_settings(node: &Node, report: &mut Report) -> Settings {
    let mut settings = Settings::default();
    let Value::Mapping(entries) = &node.value else {
        report.error(&node.at, "this must be a mapping");
        return settings;
    };
    for Entry { key, value, .. } in entries {
        let Some(name) = NAMES.into_iter().find(|name| *name == key.replace('-', "_")) else { continue };
        match &value.value {
            Value::Scalar { text, plain } if meaning(text, *plain) == Meaning::Null || text.is_empty() => {}
            Value::Scalar { text, .. } => settings.set(name, text, Some(&value.at)),
            Value::List(_) | Value::Mapping(_) => {
                report.error(&value.at, format!("`{key}` must be text"));
            }
            Value::Broken => {}
        }
    }
    settings
}

impl Asked<'_> {
    /// Makes credentials of the settings.
    fn read(&self, settings: &Settings, sources: &Sources, report: &mut Report) -> Option<CloudCredentials> {
        let auth_url = self.auth_url(settings, report);
        let identity = self.identity(settings, report);
        let interface = settings.get("interface").unwrap_or("public");
        let interface = interface.strip_suffix("URL").unwrap_or(interface);
        if !["public", "internal", "admin"].contains(&interface) {
            let at = settings.at("interface");
            report.error_somewhere(
                at,
                format!("the interface `{interface}` is none of public, internal and admin"),
            );
        }
        let ca_file = settings.get("cacert").map(|path| sources.path(path));
        if let Some(path) = ca_file.as_ref().filter(|path| !path.is_file()) {
            report.error_somewhere(
                settings.at("cacert"),
                format!("there is no file {} (cacert)", path.display()),
            );
        }
        let insecure = self.boolean("insecure", settings, report).unwrap_or(false);
        let verify = self.boolean("verify", settings, report).unwrap_or(!insecure);
        Some(CloudCredentials {
            auth_url: auth_url?,
            identity: identity?,
            region: settings.text("region_name"),
            interface: interface.to_owned(),
            compute_type: settings.text("compute_service_type"),
            compute_name: settings.text("compute_service_name"),
            ca_file,
            verify,
        })
    }

    fn boolean(&self, name: &str, settings: &Settings, report: &mut Report) -> Option<bool> {
        match settings.get(name)?.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => {
                let message =
                    format!("`{name}` of the cloud of provider `{}` must be a boolean", self.provider);
                report.error_somewhere(settings.at(name), message);
                None
            }
        }
    }

    fn missing(&self, what: &str, report: &mut Report) {
        report
            .error(self.at, format!("the credentials of provider `{}` lack {what}", self.provider))
            .help(format!("they were looked for {}", self.searched));
    }

    fn auth_url(&self, settings: &Settings, report: &mut Report) -> Option<String> {
        let Some(url) = settings.get("auth_url") else {
            self.missing("the auth URL (`auth-url`, `auth_url`, OS_AUTH_URL)", report);
            return None;
        };
        let at = settings.at("auth_url");
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if !rest
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['))
            || url.contains(|character: char| {
                character.is_whitespace() || character.is_control() || character == '@'
            })
        {
            let message = format!("the auth URL of provider `{}` is no http or https URL", self.provider);
            report.error_somewhere(at, message).help("write it like https://keystone.example.org:5000/v3");
            return None;
        }
        let Some(base) = url.trim_end_matches('/').strip_suffix("/v2.0") else {
            return Some(url.to_owned());
        };
        let v3 = format!("{base}/v3");
        let message =
            format!("the auth URL of provider `{}` is of Keystone v2, and v3 is used instead", self.provider);
        report.warning_somewhere(at, message).help(format!("write {v3}"));
        Some(v3)
    }

    fn identity(&self, settings: &Settings, report: &mut Report) -> Option<Identity> {
        let by_name = |name: &str| settings.get(name).is_some();
        let auth_type = settings.get("auth_type").unwrap_or(
            if by_name("application_credential_id") || by_name("application_credential_secret") {
                "v3applicationcredential"
            } else {
                "password"
            },
        );
        match auth_type {
            "password" | "v3password" | "v2password" => self.password(settings, report),
            "v3applicationcredential" => self.application_credential(settings, report),
            _ => {
                report
                    .error_somewhere(
                        settings.at("auth_type"),
                        format!("the auth type `{auth_type}` is not supported"),
                    )
                    .help("supported are `password`, `v3password` and `v3applicationcredential`");
                None
            }
        }
    }

    fn password(&self, settings: &Settings, report: &mut Report) -> Option<Identity> {
        let user = named(settings, "user_id", "username", "user_domain");
        let project = named(settings, "project_id", "project_name", "project_domain")
            .or_else(|| named(settings, "tenant_id", "tenant_name", "project_domain"));
        let password = settings.settings.get("password").map(|setting| setting.value.clone());
        for (present, what) in [
            (user.is_some(), "the user (`username`, `user_id`, OS_USERNAME, OS_USER_ID)"),
            (password.is_some(), "the password (`password`, OS_PASSWORD)"),
            (project.is_some(), "the project (`project-name`, `project-id`, OS_PROJECT_NAME, OS_PROJECT_ID)"),
        ] {
            if !present {
                self.missing(what, report);
            }
        }
        Some(Identity::Password { user: user?, password: password?, project: project? })
    }

    fn application_credential(&self, settings: &Settings, report: &mut Report) -> Option<Identity> {
        let id = settings.text("application_credential_id");
        let name = settings.text("application_credential_name").filter(|_| id.is_none());
        let user = named(settings, "user_id", "username", "user_domain").filter(|_| id.is_none());
        let secret =
            settings.settings.get("application_credential_secret").map(|setting| setting.value.clone());
        if id.is_none() && name.is_none() {
            self.missing("the application credential's id or name (OS_APPLICATION_CREDENTIAL_ID)", report);
        } else if name.is_some() && user.is_none() {
            self.missing("the user that the named application credential belongs to", report);
        }
        if secret.is_none() {
            self.missing("the application credential's secret (OS_APPLICATION_CREDENTIAL_SECRET)", report);
        }
        (id.is_some() || (name.is_some() && user.is_some())).then_some(Identity::ApplicationCredential {
            id,
            name,
            user,
            secret: secret?,
        })
    }
}

/// A user or a project: the id is enough; a name is in a domain, which is `Default` when nothing else is said.
fn named(settings: &Settings, id: &str, name: &str, domain: &str) -> Option<Named> {
    if let Some(id) = settings.text(id) {
        return Some(Named { id: Some(id), name: None, domain: None });
    }
    let name = settings.text(name)?;
    let domain = [domain, "domain", "default_domain"]
        .into_iter()
        .find_map(|domain| {
            let id = settings.text(&format!("{domain}_id")).map(Domain::Id);
            id.or_else(|| settings.text(&format!("{domain}_name")).map(Domain::Name))
        })
        .unwrap_or_else(|| Domain::Name("Default".to_owned()));
    Some(Named { id: None, name: Some(name), domain: Some(domain) })
}
