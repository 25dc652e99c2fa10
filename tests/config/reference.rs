//! The JSON Schema, the reference and `config-show`: each made from, or compared with, what is read.

use std::process::{Command, Stdio};

use nodepool::cli::config_schema::schema;
use nodepool::cli::config_show::{self, MASK};
use nodepool::config::keys::{Absent, Effect, Key, Kind, SECTIONS};

use super::*;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
/// The validator that `tools/test` installs.
const VALIDATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/jsonschema/bin/python");

fn takes(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Secret => "text, never shown".into(),
        Kind::TextOrNumber => "text or a number".into(),
        Kind::Template => "template".into(),
        Kind::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Integer(least, most) => format!("{least} to {most}"),
        Kind::Boolean => "boolean".into(),
        Kind::BooleanOr(word) => format!("boolean or `{word}`"),
        Kind::Time(true) => "time".into(),
        Kind::Time(false) => "time above 0".into(),
        Kind::Schedule => "schedule".into(),
        Kind::Percent(most) => format!("0% to {most}%"),
        Kind::Windows => "mapping from windows to numbers".into(),
        Kind::Texts => "list of texts".into(),
        Kind::Words => "mapping to text".into(),
        Kind::Mapping(section) => format!("mapping, see {}", section.name),
        Kind::List(section) => format!("list, see {}", section.name),
        Kind::Anything => "anything".into(),
    }
}

fn row(key: &Key) -> String {
    let default = match key.default {
        Absent::Required => "required".into(),
        Absent::Words(words) => words.to_owned(),
        Absent::Text(text) => format!("`{text}`"),
        Absent::Number(number) => number.to_string(),
        Absent::Time(time) if time.is_zero() => "0".into(),
        Absent::Time(time) => humantime::format_duration(time).to_string(),
        Absent::Boolean(boolean) => (if boolean { "yes" } else { "no" }).into(),
    };
    let new = if key.is_new { "**new**: " } else { "" };
    let effect = match key.effect {
        Effect::Works => String::new(),
        Effect::Later(why) => format!("; *no effect: {why}*"),
        Effect::Replaced(by) => format!("; *means nothing any more: {by}*"),
    };
    format!("| `{}` | {} | {default} | {new}{}{effect} |\n", key.name, takes(key.kind), key.meaning)
}

/// The reference with its tables made anew.
fn with_tables(text: &str) -> String {
    let mut made = text.to_owned();
    for section in SECTIONS {
        let (begin, end) = (format!("<!-- keys: {} -->\n", section.name), "<!-- end -->");
        let start = made.find(&begin).unwrap_or_else(|| panic!("no table {}", section.name)) + begin.len();
        let length = made[start..].find(end).expect("a table ends");
        let rows: String = section.keys.iter().map(row).collect();
        let table = format!("\n| key | takes | default | meaning |\n|---|---|---|---|\n{rows}\n");
        made.replace_range(start..start + length, &table);
    }
    made
}

#[test]
fn the_reference_is_made_from_the_table_of_keys() {
    let text = fs::read_to_string(REFERENCE).unwrap();
    let made = with_tables(&text);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(REFERENCE, &made).unwrap();
    } else {
        assert!(text == made, "docs/configuration.md is not that of the table; UPDATE_GOLDEN=1 rewrites it");
    }
}

/// That the reader asks for each key of the table, and for no other, is asserted by the reader itself in every test.
#[test]
fn the_schema_has_each_key_with_what_it_takes_and_means() {
    let schema = serde_json::to_value(schema()).unwrap();
    for section in SECTIONS {
        let object = match section.name {
            "nodepool" => &schema,
            name => &schema["$defs"][name],
        };
        assert_eq!(object["additionalProperties"], false, "{}", section.name);
        let properties = object["properties"].as_object().unwrap();
        assert_eq!(properties.len(), section.keys.len(), "{}", section.name);
        for key in section.keys {
            let property = &properties[key.name];
            assert!(property["description"].as_str().unwrap().starts_with(key.meaning), "{}", key.name);
            let typed = ["type", "enum", "$ref", "anyOf"].iter().any(|word| property.get(word).is_some());
            assert!(typed || matches!(key.kind, Kind::Anything), "{} has a type", key.name);
            let has_default = !matches!(key.default, Absent::Required | Absent::Words(_));
            assert_eq!(property.get("default").is_some(), has_default, "{}", key.name);
            let required = object["required"].as_array().is_some_and(|list| list.contains(&key.name.into()));
            assert_eq!(required, matches!(key.default, Absent::Required), "{}", key.name);
        }
    }
}

/// Whether the schema takes these files, in their order, as the validator of PyPI says it.
fn judged_by_schema(files: &[PathBuf]) -> Vec<bool> {
    assert!(Path::new(VALIDATOR).exists(), "{VALIDATOR} is missing: run `tools/test config` once");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    fs::write(&path, serde_json::to_string(&schema()).unwrap()).unwrap();
    let script = "import json, sys, yaml, jsonschema\n\
                  schema = json.load(open(sys.argv[1]))\n\
                  jsonschema.Draft202012Validator.check_schema(schema)\n\
                  validator = jsonschema.Draft202012Validator(schema)\n\
                  for path in sys.argv[2:]:\n    \
                  errors = list(validator.iter_errors(yaml.safe_load(open(path))))\n    \
                  print('no' if errors else 'yes', [error.message[:200] for error in errors], path)\n";
    let out = Command::new(VALIDATOR)
        .args(["-c", script])
        .arg(&path)
        .args(files)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    println!("{text}");
    text.lines().map(|line| line.starts_with("yes")).collect()
}

#[test]
fn the_schema_takes_what_is_right_and_refuses_what_is_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut right = vec![Path::new(DATA).join("wikimedia.yaml"), Path::new(DATA).join("v0_3.yaml")];
    let examples = fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    right.extend(examples.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")));
    // An example has names between at signs, for tools/quickstart to replace: by a yes or no, or else by a text or number.
    let value = |name: &str| if name == "QUEUE_DEMAND" { "true" } else { "1" }.to_owned();
    let folder = tempfile::tempdir().unwrap();
    for (number, path) in right.iter_mut().enumerate() {
        let text = fs::read_to_string(&path).unwrap();
        let parts = text.split('@').enumerate();
        let filled: String = if path.starts_with(root.join("examples")) {
            parts.map(|(at, part)| if at % 2 == 1 { value(part) } else { part.to_owned() }).collect()
        } else {
            text.clone()
        };
        *path = folder.path().join(format!("{number}.yaml"));
        fs::write(&path, filled).unwrap();
    }
    let judged = judged_by_schema(&right);
    assert_eq!(judged, vec![true; right.len()], "{right:?}");
    // Of the broken files, those whose mistake is one of shape.
    let wrong = [
        "typo-in-a-key",
        "underscore-for-dash",
        "key-of-another-place",
        "number-as-text",
        "text-for-a-number",
        "fraction-of-a-server",
        "maybe-for-a-boolean",
        "number-for-a-name",
        "name-for-a-list",
        "names-for-mappings",
        "map-for-a-list",
        "list-for-a-map",
        "time-of-nothing",
        "no-name",
        "no-max-servers",
        "no-base-image",
        "label-without-providers",
        "negative-min-ready",
        "port-out-of-range",
        "network-without-a-name",
        "word-that-is-unknown",
        "headroom-without-a-sign",
        "window-without-a-zone",
        "window-without-minutes",
        "window-of-text",
        "schedule-as-a-list",
    ];
    let all: Vec<PathBuf> =
        fs::read_dir(Path::new(DATA).join("broken")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let named = |name: &&str| {
        let wanted = format!("-{name}.yaml");
        all.iter().find(|path| path.to_str().unwrap().ends_with(&wanted)).cloned().expect("the file is there")
    };
    let wrong: Vec<PathBuf> = wrong.iter().map(named).collect();
    assert_eq!(judged_by_schema(&wrong), vec![false; wrong.len()]);
}

/// Shows a configuration, puts the secrets back and loads it again: nothing may be different but those.
fn comes_back(scene: &Scene) -> String {
    let loaded = scene.load();
    let shown = serde_yaml::to_string(&config_show::facts(&loaded)).unwrap();
    assert!(!shown.contains("s3cr3t"), "a secret is shown:\n{shown}");
    assert!(shown.contains(MASK));
    let again = Scene { folder: tempfile::tempdir().unwrap(), sources: scene.sources.clone() };
    let mut again = again;
    again.sources.nodepool_yaml = again.folder.path().join("nodepool.yaml");
    again.sources.secure_conf = SecureConf::IfPresent(again.folder.path().join("none.conf"));
    write(&again.sources.nodepool_yaml, &shown.replacen(MASK, "sqlite:////shown.db", 1), 0o600);
    let back = load(&again.sources).unwrap_or_else(|found| panic!("{}\n{shown}", render(&found)));
    let changed = diff(&loaded.config, &back.config);
    let secrets = [
        "dburi changed",
        ": password changed",
        "jenkins apikey changed",
        "secret changed",
        ": user-data changed",
    ];
    let other: Vec<_> =
        changed.iter().filter(|line| !secrets.iter().any(|secret| line.ends_with(secret))).collect();
    assert!(other.is_empty(), "{other:#?}\n{shown}");
    shown
}

#[test]
fn what_config_show_prints_loads_again() {
    let scene = Scene::new();
    comes_back(scene.data("nodepool.yaml", "wikimedia.yaml"));
    let scene = Scene::new();
    for file in ["secure.conf", "clouds.yaml", "clouds-public.yaml", "secure.yaml"] {
        scene.data(file, file);
    }
    comes_back(scene.data("nodepool.yaml", "v0_3.yaml"));
    let scene = Scene::new();
    let every = "user-data: '#cloud-config s3cr3t'
        boot-from-volume: yes
        connection-address: inside
        host-key-source: console
        pause: on
        key-name: ours
        ";
    let text = small(INLINE)
        .replace(
            "{name: jessie, base-image: debian, setup: setup_node.sh, min-ram: 512, private-key: id_rsa}",
            &format!("name: jessie\n        base-image: debian\n        setup: setup_node.sh\n        min-ram: 512\n        private-key: id_rsa\n        {every}"),
        )
        .replace("max-servers: 5", "max-servers: 5\n    pool: public\n    security-groups: [ci]\n    networks: [{name: inside, public: yes}]\n    rate: 0.5\n    host-key-checking: no");
    let text = text.replace(
        "  - name: jenkins\n",
        "  - name: jenkins
    jenkins: {url: 'https://j.example.org/ci', user: robot, apikey: s3cr3t, credentials-id: c-1, launcher: inbound,
      test-job: check, enroll-timeout: 90, api-timeout: 7, queue-demand: yes,
      close-used-agents: no, cacert: id_rsa}
",
    );
    let text = text.replace(
        "{name: jessie, image: jessie, providers: [{name: cloud1}]}",
        "name: jessie\n    image: jessie\n    headroom: 20%\n    schedule: {'mon-fri 08:00-19:00 Europe/Paris': 4, 'sat 22:00-02:00 UTC': 3}\n    providers: [{name: cloud1}]",
    );
    let general = "cron: {check: never, cleanup: 'CRON_TZ=Europe/Paris */5 * * * *', time-zone: UTC}
nodepoold: {delete-delay: 1m, leak-limit: 40}
logging: {format: json, level: debug, levels: {nodepool.image: trace}, directory: /var/log/nodepool, keep: 3}
";
    let shown = comes_back(scene.yaml(&format!("{general}{text}")));
    for line in [
        "delete-delay: 60",
        "headroom: 20%",
        "mon-fri 08:00-19:00 Europe/Paris\": 4",
        "leak-limit: 40",
        "schedule:",
        "volume-size: 50",
        "connection-address: inside",
        "rate: 0.5",
        "enroll-timeout: 90",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}
