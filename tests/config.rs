//! The configuration: both forms of nodepool v0, every kind of error at once, and credentials from everywhere.

#[path = "config/broken.rs"]
mod broken;
#[path = "config/reference.rs"]
mod reference;
#[path = "config/targets.rs"]
mod targets;
#[path = "config/v0.rs"]
mod v0;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodepool::config::diff::diff;
use nodepool::config::template::{Field, Template, TemplateError, Values, render as render_template};
use nodepool::config::{
    CloudCredentials, Diagnostic, Domain, Identity, ImageSource, Launcher, Loaded, Named, Network,
    NetworkName, Offer, SecureConf, Severity, Sources, load, render,
};
use secrecy::ExposeSecret as _;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/config");

/// A working folder with scripts and a key, from which a configuration is loaded.
struct Scene {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        fs::create_dir(path.join("scripts")).unwrap();
        for script in ["setup_node.sh", "ready.sh"] {
            write(&path.join("scripts").join(script), "#!/bin/sh\n", 0o755);
        }
        write(&path.join("id_rsa"), "key", 0o600);
        write(&path.join("ca.pem"), "certificate", 0o644);
        write(&path.join("secure.conf"), "", 0o600);
        let sources = Sources {
            nodepool_yaml: path.join("nodepool.yaml"),
            secure_conf: SecureConf::Named(path.join("secure.conf")),
            environment: BTreeMap::new(),
            is_root: false,
            home: Some(path.join("home")),
            working_dir: path,
        };
        Self { folder, sources }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the scene; `ROOT` in its text stands for the folder.
    fn file(&self, name: &str, text: &str) -> &Self {
        let text = text.replace("ROOT", &self.folder.path().display().to_string());
        write(&self.path(name), &text, 0o600);
        self
    }

    fn data(&self, name: &str, from: &str) -> &Self {
        self.file(name, &fs::read_to_string(Path::new(DATA).join(from)).unwrap())
    }

    fn yaml(&self, text: &str) -> &Self {
        self.file("nodepool.yaml", text)
    }

    fn variables(mut self, variables: &[(&str, &str)]) -> Self {
        self.sources.environment =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self
    }

    fn load(&self) -> Loaded {
        load(&self.sources).unwrap_or_else(|found| panic!("{}", render(&found)))
    }

    fn errors(&self) -> Vec<Diagnostic> {
        let found = load(&self.sources).expect_err("the configuration has errors");
        assert!(!render(&found).contains("s3cr3t"), "a secret is shown:\n{}", render(&found));
        found
    }

    /// The report, with the scene's folder replaced by a word.
    fn report(&self, found: &[Diagnostic]) -> String {
        render(found).replace(&self.folder.path().display().to_string(), "ROOT")
    }

    #[track_caller]
    fn fails(&self, line: usize, column: usize, message: &str) -> Diagnostic {
        let found = self.errors();
        let wanted = |one: &&Diagnostic| {
            one.severity == Severity::Error
                && (one.line, one.column) == (Some(line), Some(column))
                && one.message.contains(message)
        };
        match found.iter().find(wanted) {
            Some(one) => one.clone(),
            None => panic!("no error `{message}` at {line}:{column} in\n{}", render(&found)),
        }
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A provider `cloud1` and all around it; `PROVIDER` is replaced by the lines about credentials.
const SMALL: &str = "\
script-dir: scripts
labels:
  - {name: jessie, image: jessie, providers: [{name: cloud1}]}
providers:
  - name: cloud1
    max-servers: 5
    PROVIDER
    images:
      - {name: jessie, base-image: debian, setup: setup_node.sh, min-ram: 512, private-key: id_rsa}
targets:
  - name: jenkins
";

/// Inline credentials that are complete.
const INLINE: &str = "username: ci
    password: s3cr3t
    project-name: ci
    auth-url: https://keystone.example.org/v3";

fn small(provider: &str) -> String {
    SMALL.replace("PROVIDER", provider)
}

fn credentials(loaded: &Loaded) -> &CloudCredentials {
    &loaded.config.providers[0].credentials
}

fn in_domain(name: &str, domain: Domain) -> Named {
    Named { id: None, name: Some(name.into()), domain: Some(domain) }
}

fn warnings(loaded: &Loaded) -> Vec<&str> {
    loaded.warnings.iter().map(|warning| warning.message.as_str()).collect()
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` rewrites it.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(DATA).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{} differs; UPDATE_GOLDEN=1 rewrites it. Now it is:\n{text}", path.display());
}

#[test]
fn those_who_tell_of_jobs_are_found() {
    let scene = Scene::new();
    let yaml = "zmq-publishers: ['tcp://jenkins1:8888', 'tcp://[::1]:8888', 'tcp://jenkins1:8888']
gearman-servers:
  - {host: plain.example.org}
  - {host: tls.example.org, port: 4731, ssl_key: id_rsa, ssl_cert: id_rsa, ssl_ca: id_rsa}
";
    scene
        .yaml(&format!("{yaml}{}", small(INLINE)))
        .file("secure.conf", "[events]\ntoken = s3cr3t-s3cr3t-s3cr3t\n");
    let loaded = scene.load();
    let config = &loaded.config;
    assert_eq!(config.zmq_publishers, ["tcp://jenkins1:8888", "tcp://[::1]:8888"]);
    assert_eq!(warnings(&loaded), ["the publisher `tcp://jenkins1:8888` is given twice"]);
    assert_eq!(config.event_token.as_ref().unwrap().expose_secret(), "s3cr3t-s3cr3t-s3cr3t");
    let [plain, tls] = config.gearman_servers.as_slice() else { panic!("two servers") };
    assert_eq!((plain.port, &plain.tls), (4730, &None));
    assert_eq!(tls.tls.as_ref().unwrap().authority, scene.path("id_rsa"));
    for wrong in [
        "tcp://",
        "tcp://:8888",
        "tcp://h",
        "tcp://h:0",
        "tcp://h:70000",
        "tcp://*:8888",
        "ipc:///s",
        "h:8888",
        "tcp://::1:8888",
    ] {
        scene.yaml(&format!("zmq-publishers: ['{wrong}']\n{}", small(INLINE)));
        scene.fails(1, 18, "is not where a publisher can be reached");
    }
}

#[test]
fn the_form_of_0_1_loads() {
    let scene = Scene::new();
    let loaded = scene.data("nodepool.yaml", "wikimedia.yaml").load();
    let config = &loaded.config;
    assert!(config.database.0.expose_secret().starts_with("mysql+pymysql://nodepool:"));
    assert_eq!(config.script_dir, Some(scene.path("scripts")));
    assert_eq!(
        (config.gearman_servers[0].host.as_str(), config.gearman_servers[0].port),
        ("contint1001.wikimedia.org", 4730)
    );
    let label = config.label("ci-jessie-wikimedia").unwrap();
    assert_eq!(
        (label.min_ready, label.subnodes, label.ready_script.as_deref()),
        (Some(5), 0, Some("ready.sh"))
    );
    assert_eq!(label.ready_script_timeout, Duration::from_mins(30));
    let provider = config.provider("wmflabs-eqiad").unwrap();
    assert_eq!(provider.rate, Duration::from_secs(10));
    assert_eq!(provider.boot_timeout, Duration::from_mins(5));
    assert_eq!(provider.launch_timeout, Duration::from_hours(1));
    assert_eq!(provider.max_servers, Some(10));
    assert_eq!(provider.availability_zones, ["nova"]);
    assert_eq!(provider.credentials.auth_url, "http://labnet.example.org:35357/v3");
    assert_eq!(provider.credentials.region.as_deref(), Some("eqiad"));
    let Identity::Password { user, password, project } = &provider.credentials.identity else { panic!() };
    assert_eq!(*user, in_domain("nodepoolmanager", Domain::Name("Default".into())));
    assert_eq!(password.expose_secret(), "s3cr3t-cloud");
    assert_eq!(*project, Named { id: Some("contintcloud".into()), name: None, domain: None });
    let image = provider.image("snapshot-ci-jessie").unwrap();
    assert_eq!((image.min_ram, image.name_filter.as_deref(), image.ssh_port), (0, Some("m1.medium"), 22));
    assert_eq!(
        image.bootstrap_users,
        ["jenkins", "root", "ubuntu", "fedora", "cloud-user", "centos", "debian"]
    );
    assert_eq!(image.user_home, "/home/jenkins");
    assert_eq!(config.target("contint1001").unwrap().hostname, "{label.name}-{node_id}");
    let Offer::Jenkins(jenkins) = &config.target("contint1001").unwrap().offer else { panic!() };
    assert_eq!(jenkins.url, "https://integration.example.org/ci/");
    assert_eq!(
        (jenkins.user.as_str(), jenkins.apikey.expose_secret()),
        ("nodepoolmanager", "s3cr3t-jenkins")
    );
    let found = &config.provider("wmflabs-eqiad").unwrap().credentials;
    assert_eq!(
        (found.compute_type.as_deref(), found.compute_name.as_deref()),
        (Some("compute"), Some("nova"))
    );
    assert_eq!(jenkins.credentials_id.as_deref(), Some("d5a4a2c2-5c9f-4d2e-a9d1-000000000000"));
    assert_eq!((jenkins.launcher, jenkins.test_job.as_deref()), (Launcher::Ssh, None));
    assert_eq!(
        (jenkins.enroll_timeout, jenkins.api_timeout),
        (Duration::from_mins(5), Duration::from_mins(1))
    );
    assert!(!jenkins.queue_demand && jenkins.ca_file.is_none());
    golden("wikimedia.warnings", &scene.report(&loaded.warnings));
}

#[test]
fn the_form_of_0_3_loads_with_secure_conf_and_clouds_yaml() {
    let scene = Scene::new();
    for file in ["secure.conf", "clouds.yaml", "clouds-public.yaml", "secure.yaml"] {
        scene.data(file, file);
    }
    let loaded = scene.data("nodepool.yaml", "v0_3.yaml").load();
    let config = &loaded.config;
    assert_eq!(config.database.0.expose_secret(), "mysql://nodepool:s3cr3t%40db@localhost/nodepool");
    assert!(matches!(config.target("zuul").unwrap().offer, Offer::Gearman), "it has both, and a warning");
    assert_eq!(config.label("trusty").unwrap().ready_script_timeout, Duration::from_mins(10));
    assert_eq!(config.label("trusty-2-node").unwrap().subnodes, 1);
    assert_eq!(config.label("disabled").unwrap().min_ready, None);
    assert_eq!(config.label("usual").unwrap().min_ready, Some(2));
    assert_eq!(config.target("zuul").unwrap().hostname, "{label.name}-{provider.name}-{node_id}");

    let one = config.provider("cloud1").unwrap();
    assert_eq!(one.rate, Duration::from_millis(1));
    assert!(one.ipv6_preferred);
    assert_eq!(
        one.networks,
        [
            Network { wanted: NetworkName::Id("8f1ad5d9-9cd3-4a0c-a04e-0b3f1b5d0a0b".into()), public: false },
            Network { wanted: NetworkName::Name("fixed".into()), public: false },
            Network { wanted: NetworkName::Name("outside".into()), public: true }
        ]
    );
    assert_eq!(one.credentials.auth_url, "https://auth.vexxhost.example");
    assert_eq!(one.credentials.region.as_deref(), Some("ca-ymq-1"));
    let Identity::Password { user, password, project } = &one.credentials.identity else { panic!() };
    assert_eq!(*user, in_domain("ci", Domain::Name("users".into())));
    assert_eq!(*project, in_domain("ci-project", Domain::Id("projects".into())));
    assert_eq!(password.expose_secret(), "s3cr3t-vexx");
    assert_eq!(one.images.len(), 1, "the diskimage is left out");
    let image = &one.images[0];
    assert_eq!(image.bootstrap_users, ["debian", "ci"]);
    assert_eq!((image.config_drive, image.ssh_port), (Some(true), 2222));
    assert_eq!(image.meta.get("number").map(String::as_str), Some("7"));
    let ImageSource::Snapshot { base_image, setup_timeout, .. } = &image.source;
    assert_eq!((base_image.as_str(), *setup_timeout), ("Ubuntu 14.04 LTS", Duration::from_hours(1)));

    let two = config.provider("cloud2").unwrap();
    assert_eq!((two.max_servers, two.api_timeout), (None, Duration::from_mins(1)));
    assert_eq!(two.template_hostname, "template-{image.name}-{timestamp}");
    assert_eq!((two.credentials.interface.as_str(), two.credentials.verify), ("internal", false));
    assert_eq!(two.credentials.ca_file, Some(scene.path("ca.pem")));
    let Identity::ApplicationCredential { id, secret, .. } = &two.credentials.identity else { panic!() };
    assert_eq!((id.as_deref(), secret.expose_secret()), (Some("0123456789abcdef"), "s3cr3t-app"));
    golden("v0_3.warnings", &scene.report(&loaded.warnings));
}

#[test]
fn every_error_is_reported_at_once() {
    let scene = Scene::new();
    scene.data("nodepool.yaml", "broken.yaml");
    scene.file("secure.conf", "[database]\ndburi = sqlite:///s3cr3t.db\ndburl = x\n[databse]\nlost s3cr3t\n");
    golden("broken.report", &scene.report(&scene.errors()));
}

#[test]
fn the_words_of_yaml_1_1_are_booleans() {
    for (word, value) in [("yes", true), ("No", false), ("ON", true), ("off", false), ("true", true)] {
        let scene = Scene::new();
        scene.yaml(&small(&format!("ipv6-preferred: {word}\n    {INLINE}")));
        assert_eq!(scene.load().config.providers[0].ipv6_preferred, value, "{word}");
    }
    let scene = Scene::new();
    scene.yaml(&small(&format!("ipv6-preferred: 'yes'\n    {INLINE}"))).fails(7, 21, "must be a boolean");
    let scene = Scene::new();
    scene.yaml(&small(&format!("keypair: yes\n    {INLINE}"))).fails(
        7,
        14,
        "must be text, but this is the boolean yes",
    );
}

#[test]
fn merge_keys_and_aliases_are_written_out() {
    let scene = Scene::new();
    let text = small(INLINE).replace(
        "  - {name: jessie, image: jessie,",
        "  - &base {name: jessie, min-ready: 4, image: jessie,",
    );
    let text = text.replace(
        "providers:\n  - name: cloud1\n",
        "  - <<: *base\n    name: second\n  - {<<: [{min-ready: 1}, *base], name: third}\nproviders:\n  - name: cloud1\n",
    );
    let config = scene.yaml(&text).load().config;
    let labels: Vec<_> = config.labels.iter().map(|label| (label.name.as_str(), label.min_ready)).collect();
    assert_eq!(labels, [("jessie", Some(4)), ("second", Some(4)), ("third", Some(1))]);
    assert_eq!(config.labels[2].providers, ["cloud1"]);
}

#[test]
fn duplicate_keys_are_errors_that_name_both_places() {
    let scene = Scene::new();
    let found = scene.yaml(&small(&format!("keypair: a\n    keypair: b\n    {INLINE}"))).fails(
        8,
        5,
        "`keypair` is given twice",
    );
    assert!(found.help.unwrap().contains("line 7"));
}

#[test]
fn files_that_grow_without_bound_are_refused() {
    let scene = Scene::new();
    let refused = |text: &str, why: &str| {
        let found = scene.yaml(text).errors();
        found.iter().any(|one| one.message.contains(why))
    };
    let mut bomb = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    bomb.extend((1..12).map(|level| {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("a{level}: &a{level} [{items}]\n")
    }));
    assert!(refused(&bomb, "when its aliases are written out"));

    let mut merges = "big: &big\n".to_owned();
    merges.extend((0..1000).map(|number| format!("  k{number}: 1\n")));
    merges.push_str("list:\n");
    merges.extend((0..1000).map(|_| "  - <<: *big\n"));
    assert!(refused(&merges, "merge keys"));

    let mut deep = "a0: &a0 x\n".to_owned();
    deep.extend((1..10_000).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1)));
    assert!(refused(&deep, "levels deep"));

    assert!(refused(&"[".repeat(100_000), "not valid YAML"));
    assert!(refused(&"#\n".repeat(3_000_000), "larger than"));
    let mut many = String::new();
    many.extend((0..20_000).map(|number| format!("password{number}: x\n")));
    assert!(refused(&many, "there are 19000 errors and 0 warnings more"));
    assert!(refused("a: &a [*a]\n", "contains the alias itself"));
    assert!(refused("a: *b\n", "no anchor `&b`"));
    assert!(refused("", "the file is empty"));
    assert!(refused("a: 1\n---\nb: 2\n", "second document"));
}

#[test]
fn a_file_that_is_missing_is_an_error_unless_it_is_the_usual_secure_conf() {
    let mut scene = Scene::new();
    scene.yaml(&small(INLINE));
    scene.sources.secure_conf = SecureConf::IfPresent(scene.path("absent.conf"));
    scene.load();
    scene.sources.secure_conf = SecureConf::Named(scene.path("absent.conf"));
    let found = scene.errors();
    assert_eq!((found.len(), found[0].file.as_deref()), (1, Some(scene.path("absent.conf").as_path())));
    fs::remove_file(scene.path("nodepool.yaml")).unwrap();
    assert_eq!(scene.errors().len(), 2);
}

/// Wherever a secret stands, no line of a report shows it. [`Scene::errors`] asserts that.
#[test]
fn secrets_are_masked() {
    let places = [
        "password: s3cr3t\n    passwrod: s3cr3t",
        "password: {a: s3cr3t}",
        "password: |\n      s3cr3t\n    foo: 1",
        "password:\n      s3cr3t\n    foo: 1",
        "password: \"s3cr3t\n      s3cr3t\"\n    foo: 1",
        "\"password\" : s3cr3t\n    foo: 1",
        "keypair: &pw s3cr3t\n    foo: 1\n    password: *pw",
        "auth-url: https://ci:s3cr3t@keystone.example.org",
        "password: s3cr3t\n    foo: [",
        "password: 's3cr3t",
        "pasword: s3cr3t",
        "images: {password: s3cr3t, apikey: s3cr3t}",
    ];
    for place in places {
        let scene = Scene::new();
        let found = scene.yaml(&small(place)).errors();
        assert!(found.iter().any(|one| !one.snippet.is_empty()), "{place}");
    }
    for uri in ["s3cr3t", "[s3cr3t]", "sqlserver://u:s3cr3t@h/d", "'mysql://u:s3cr3t@h/d'"] {
        let scene = Scene::new();
        scene.yaml(&format!("dburi: {uri}\nfoo: 1\n{}", small(INLINE)));
        scene.file(
            "secure.conf",
            "[database]\ndburi = s3cr3t\n[jenkins \"x\"]\napikey = s3cr3t\napi-key: s3cr3t\n",
        );
        scene.errors();
    }
    let scene = Scene::new();
    let loaded = scene.data("nodepool.yaml", "wikimedia.yaml").load();
    assert!(!format!("{loaded:?}").contains("s3cr3t"));
}

/// A slip of the finger shows no secret either: each file is loaded once without each of its characters.
#[test]
fn a_slip_shows_no_secret() {
    let scene = Scene::new();
    let files =
        [("nodepool.yaml", "wikimedia.yaml"), ("secure.conf", "secure.conf"), ("secure.yaml", "secure.yaml")];
    for (name, from) in files {
        scene.data("nodepool.yaml", "v0_3.yaml").data("clouds.yaml", "clouds.yaml");
        let text = fs::read_to_string(Path::new(DATA).join(from)).unwrap();
        for (place, character) in text.char_indices() {
            let mut slip = text.clone();
            slip.remove(place);
            scene.file(name, &slip);
            let found = load(&scene.sources).map_or_else(|found| found, |loaded| loaded.warnings);
            let report = render(&found);
            assert!(!report.contains("s3cr3t"), "{name} without the {character:?} at {place}:\n{report}");
        }
    }
}

#[test]
fn the_database_is_a_file_in_the_state_folder_unless_it_is_named() {
    let url = |scene: &Scene| scene.load().config.database.0.expose_secret().to_owned();
    let mut scene = Scene::new();
    scene.yaml(&small(INLINE));
    assert_eq!(
        url(&scene),
        format!("sqlite://{}/home/.local/state/nodepool/nodepool.db", scene.folder.path().display())
    );
    scene.sources.environment.insert("XDG_STATE_HOME".into(), "/some where/100%".into());
    assert_eq!(url(&scene), "sqlite:///some where/100%/nodepool/nodepool.db");
    scene.sources.is_root = true;
    assert_eq!(url(&scene), "sqlite:///var/lib/nodepool/nodepool.db");
    scene.file("secure.conf", "[database]\ndburi = sqlite:////a.db\n");
    assert_eq!(url(&scene), "sqlite:////a.db");
    scene.yaml(&format!("dburi: sqlite:////a.db\n{}", small(INLINE)));
    assert_eq!(url(&scene), "sqlite:////a.db");
    scene.yaml(&format!("dburi: sqlite:////b.db\n{}", small(INLINE)));
    assert_eq!(url(&scene), "sqlite:////a.db", "secure.conf counts, as in v0");
    assert!(warnings(&scene.load())[0].contains("not the same"));
    scene.sources.is_root = false;
    scene.sources.environment.clear();
    scene.sources.home = None;
    scene.file("secure.conf", "").yaml(&small(INLINE));
    assert!(scene.errors()[0].message.contains("no folder for the database"));
}

#[test]
fn clouds_yaml_is_found_where_the_openstack_clients_find_it() {
    let cloud = |name: &str| {
        format!(
            "clouds: {{c: {{auth: {{auth_url: 'https://{name}.example.org', username: u, password: p, project_id: i}}}}}}\n"
        )
    };
    let mut scene = Scene::new();
    fs::create_dir_all(scene.path("home/.config/openstack")).unwrap();
    fs::create_dir_all(scene.path("xdg/openstack")).unwrap();
    scene.yaml(&small("cloud: c")).file("home/.config/openstack/clouds.yaml", &cloud("home"));
    assert_eq!(credentials(&scene.load()).auth_url, "https://home.example.org");
    scene.file("xdg/openstack/clouds.yml", &cloud("xdg"));
    scene.sources.environment.insert("XDG_CONFIG_HOME".into(), scene.path("xdg").display().to_string());
    assert_eq!(credentials(&scene.load()).auth_url, "https://xdg.example.org");
    scene.file("clouds.yaml", &cloud("here"));
    assert_eq!(credentials(&scene.load()).auth_url, "https://here.example.org");
    scene.file("named", &cloud("named"));
    scene
        .sources
        .environment
        .insert("OS_CLIENT_CONFIG_FILE".into(), scene.path("named").display().to_string());
    assert_eq!(credentials(&scene.load()).auth_url, "https://named.example.org");
    // A provider without credentials uses the cloud that OS_CLOUD names.
    scene.yaml(&small("region-name: r"));
    scene.sources.environment.insert("OS_CLOUD".into(), "c".into());
    assert_eq!(credentials(&scene.load()).region.as_deref(), Some("r"));
}

#[test]
fn what_a_cloud_lacks_is_named() {
    let scene = Scene::new();
    scene.yaml(&small("cloud: otter")).file(
        "clouds.yaml",
        "clouds:\n  other:\n    auth: {auth_url: ftp://x, username: u, password: s3cr3t}\n    interface: x\n    verify: perhaps\n",
    );
    let found = scene.fails(7, 12, "the cloud `otter` is not in");
    assert!(found.help.unwrap().contains("did you mean `other`?"));
    scene.yaml(&small("cloud: other")).fails(7, 12, "lack the project");
    scene.fails(3, 22, "no http or https URL");
    scene.fails(4, 16, "none of public, internal and admin");
    scene.fails(5, 13, "must be a boolean");
    scene.file(
        "clouds.yaml",
        "clouds: {other: {auth_type: v3token, auth: {auth_url: 'https://x'}, profile: p}}\n",
    );
    scene.fails(1, 29, "`v3token` is not supported");
    scene.fails(1, 78, "the profile `p` is not in");
    scene.file("clouds.yaml", "clouds: {other: {auth: {auth_url: 'https://x', application_credential_name: n}, auth_type: v3applicationcredential}}\n");
    scene.fails(7, 12, "the user that the named application credential belongs to");
    scene.fails(7, 12, "lack the application credential's secret");
    scene.file("clouds.yaml", "clouds: [\n");
    let found = scene.errors();
    assert_eq!(found.len(), 1, "an unreadable clouds.yaml is one error:\n{}", render(&found));
}

#[test]
fn the_environment_logs_in_a_provider_that_has_no_credentials() {
    let scene = Scene::new().variables(&[
        ("OS_AUTH_URL", "http://keystone.example.org:5000/v2.0"),
        ("OS_USERNAME", "u"),
        ("OS_PASSWORD", "s3cr3t"),
        ("OS_TENANT_NAME", "t"),
        ("OS_USER_DOMAIN_ID", "default"),
        ("OS_ENDPOINT_TYPE", "internalURL"),
        ("OS_COMPUTE_SERVICE_NAME", "nova"),
        ("OS_REGION_NAME", "r"),
        ("OS_CACERT", "ca.pem"),
        ("OS_INSECURE", "true"),
    ]);
    let loaded = scene.yaml(&small("")).load();
    let found = credentials(&loaded);
    assert_eq!(found.auth_url, "http://keystone.example.org:5000/v3");
    assert_eq!(
        (found.interface.as_str(), found.region.as_deref(), found.verify),
        ("internal", Some("r"), false)
    );
    assert_eq!((found.compute_type.as_deref(), found.compute_name.as_deref()), (None, Some("nova")));
    let Identity::Password { user, project, .. } = &found.identity else { panic!() };
    assert_eq!(*user, in_domain("u", Domain::Id("default".into())));
    assert_eq!(*project, in_domain("t", Domain::Name("Default".into())));
    assert_eq!(warnings(&loaded).len(), 1);

    let scene = Scene::new().variables(&[
        ("OS_AUTH_URL", "https://k.example.org/v3"),
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_APPLICATION_CREDENTIAL_NAME", "n"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "s3cr3t"),
        ("OS_USER_ID", "someone"),
    ]);
    let loaded = scene.yaml(&small("")).load();
    let Identity::ApplicationCredential { id, name, user, .. } = &credentials(&loaded).identity else {
        panic!()
    };
    assert_eq!((id, name.as_deref()), (&None, Some("n")));
    assert_eq!(user.as_ref().and_then(|user| user.id.as_deref()), Some("someone"));

    // Inline credentials are not completed from an environment that may be for another cloud.
    let scene = Scene::new().variables(&[("OS_PASSWORD", "s3cr3t")]);
    scene.yaml(&small("username: ci")).fails(5, 11, "lack the password");
    let found = Scene::new().yaml(&small("")).fails(5, 11, "lack the auth URL");
    assert!(found.help.unwrap().contains("OS_* variables"));
}

#[test]
fn files_that_the_configuration_names_are_looked_at() {
    let scene = Scene::new();
    scene.yaml(&small(INLINE));
    assert_eq!(warnings(&scene.load()), [] as [&str; 0]);
    fs::set_permissions(scene.path("scripts/setup_node.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(scene.path("id_rsa"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(scene.path("secure.conf"), fs::Permissions::from_mode(0o604)).unwrap();
    let loaded = scene.load();
    for part in ["is not executable", "is open to other users", "open to every user"] {
        assert!(warnings(&loaded).iter().any(|warning| warning.contains(part)), "{part}");
    }
    fs::remove_file(scene.path("scripts/setup_node.sh")).unwrap();
    scene.fails(12, 51, "setup_node.sh cannot be read: it does not exist");
    fs::remove_dir_all(scene.path("scripts")).unwrap();
    scene.fails(1, 13, "the script folder");
    scene.yaml(&small(INLINE).replace("script-dir: scripts\n", "")).fails(11, 51, "there is no `script-dir`");
    scene.yaml(
        &small(INLINE)
            .replace("script-dir: scripts", "script-dir: .")
            .replace("setup_node.sh", "scripts/../x"),
    );
    scene.fails(12, 51, "must be the name of a file");
}

#[test]
fn a_watermark_that_cannot_be_reached_is_doubtful() {
    let found = |label: &str, servers: &str| {
        let scene = Scene::new();
        let text =
            small(INLINE).replace("image: jessie, providers", &format!("image: jessie, {label}providers"));
        let loaded = scene.yaml(&text.replace("max-servers: 5", servers)).load();
        warnings(&loaded).join("|")
    };
    assert_eq!(
        found("min-ready: 6, ", "max-servers: 5"),
        "`min-ready` 6 needs 6 servers, but all providers of the label together have 5"
    );
    assert!(found("min-ready: 3, subnodes: 1, ", "max-servers: 5").contains("needs 6 servers"));
    assert!(found("", "max-servers: 1").contains("`min-ready` 2 needs 2 servers"));
    assert_eq!(found("min-ready: 5, ", "max-servers: 5"), "");
    assert_eq!(
        found("min-ready: 5, ", "max-servers: -1"),
        "none of the label's providers can boot a node of it"
    );
    assert_eq!(found("min-ready: -1, ", "max-servers: -1"), "");
}

#[test]
fn labels_without_a_target_are_an_error() {
    let scene = Scene::new();
    scene.yaml(&small(INLINE).replace("  - name: jenkins\n", "  []\n")).fails(3, 12, "no target");
}

#[test]
fn templates_take_the_values_that_they_name() {
    let values = Values {
        label_name: Some("jessie"),
        provider_name: Some("cloud1"),
        image_name: Some("img"),
        node_id: Some(7),
        subnode_id: None,
        timestamp: Some(1_486_399_717),
    };
    let rendered = |text| render_template(text, &values);
    assert_eq!(rendered("{label.name}-{provider.name}-{node_id}").unwrap(), "jessie-cloud1-7");
    assert_eq!(rendered("template-{image.name}-{timestamp}").unwrap(), "template-img-1486399717");
    assert_eq!(rendered("{subnode_id}"), Err(TemplateError::MissingValue("subnode_id")));
    let refused = |text| Template::parse(text, Field::OF_NODE).unwrap_err();
    assert_eq!(refused("{image.name}"), TemplateError::UnknownField("image.name".into()));
    assert_eq!(refused("{node_id:05d}"), TemplateError::UnknownField("node_id:05d".into()));
    assert_eq!(refused("{{node_id}}"), TemplateError::UnmatchedBrace);
    assert_eq!(refused("a}"), TemplateError::UnmatchedBrace);
    assert_eq!(refused("{node_id"), TemplateError::UnmatchedBrace);
    assert_eq!(refused("a b"), TemplateError::BadCharacter(' '));
}

#[test]
fn what_is_built_otherwise_now_is_told_by_its_settings() {
    let scene = Scene::new();
    let image = |text: &str| scene.yaml(text).load().config.providers[0].images[0].clone();
    let built = image(&small(INLINE)).recipe();
    assert_eq!(image(&small(INLINE)).changed_since(&built), [] as [String; 0]);
    assert_eq!(image(&small(INLINE)).changed_since(""), [] as [String; 0], "older than recipes");
    let other = small(INLINE).replace("min-ram: 512", "min-ram: 1024, username: ci, meta: {a: b}");
    assert_eq!(
        image(&other).changed_since(&built),
        ["username was \"jenkins\" and is \"ci\"", "meta was \"\" and is \"a=b\""],
        "memory is no part of a snapshot"
    );
}

#[test]
fn a_moment_that_never_comes_is_a_warning() {
    let scene = Scene::new();
    let text = format!("cron: {{check: '0 0 30 2 *', cleanup: '* * * * * 5'}}\n{}", small(INLINE));
    let warnings = scene.yaml(&text).load().warnings;
    assert!(warnings.iter().any(|one| one.message == "the moment of `check` never comes"), "{warnings:?}");
    assert!(!warnings.iter().any(|one| one.message.contains("cleanup")), "{warnings:?}");
}

#[test]
fn a_reload_tells_what_it_changes() {
    let scene = Scene::new();
    let old = scene.yaml(&small(INLINE)).load().config;
    assert_eq!(diff(&old, &old), [] as [String; 0]);
    let text = small(INLINE)
        .replace("s3cr3t", "s3cr3t-new")
        .replace(
            "max-servers: 5",
            "max-servers: -1\n    keypair: k\n    boot-timeout: 90\n    networks: [{name: n, public: yes}, {net-id: i}]",
        )
        .replace("min-ram: 512", "min-ram: 1024")
        .replace("  - name: jenkins\n", "  - name: zuul\n")
        .replace("labels:\n", "labels:\n  - {name: new, image: jessie, providers: [{name: cloud1}]}\n");
    let new = scene.yaml(&format!("dburi: sqlite:////s3cr3t\n{text}")).load().config;
    assert_eq!(
        diff(&old, &new),
        [
            "dburi changed",
            "label new added",
            "provider cloud1: boot-timeout 1m -> 1m 30s",
            "provider cloud1: keypair now \"k\"",
            "provider cloud1: max-servers 5 -> -1",
            "provider cloud1: networks [] -> [{name: n, public: yes}, {net-id: i}]",
            "provider cloud1: password changed",
            "image jessie of provider cloud1: min-ram 512 -> 1024",
            "target jenkins removed",
            "target zuul added",
        ]
    );
    let swapped = Scene::new();
    let text = small(INLINE).replace(
        "labels:\n  - {name: jessie,",
        "labels:\n  - {name: new, image: jessie, providers: [{name: cloud1}]}\n  - {name: jessie,",
    );
    let one = swapped.yaml(&text).load().config;
    let mut other = one.clone();
    other.labels.reverse();
    assert_eq!(diff(&one, &other), ["order of labels: now jessie, new"]);
}
