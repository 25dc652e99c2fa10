//! The configuration files of nodepool v0's own tests, judged as its `config-validate` judged them.
//!
//! They are in the source packages of 0.2.0 and 0.3.1 on PyPI, which `tools/test` downloads; they are not ours to keep here.
//! v0 looked at the shape of a file only, so what is found of this machine (scripts, keys) is not counted.

use super::*;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/nodepool-v0");

/// The files that v0 refused; it took all others.
const REFUSED: [&str; 2] = ["config_validate/schema_error.yaml", "config_validate/yaml_error.yaml"];

/// Where we say more than v0: part of a file's name, part of our error, and why it is better to say it.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "",
        "the auth URL of provider",
        "the fake clouds of v0's tests never log in; `fake` is no URL, and nobody could",
    ),
    ("", "there is no clouds.yaml", "v0 found out when it first called the cloud"),
];

fn fixtures(version: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new(SOURCES).join(format!("nodepool-{version}/nodepool/tests/fixtures"));
    assert!(folder.is_dir(), "{} is missing: run `tools/test config` once", folder.display());
    let mut found = Vec::new();
    for (prefix, folder) in [("", folder.clone()), ("config_validate/", folder.join("config_validate"))] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                found.push((format!("{prefix}{name}"), path));
            }
        }
    }
    found.sort();
    found
}

/// v0's tests put a port and folders in before they load a file.
fn filled(text: &str) -> String {
    text.replace("{gearman_port}", "4730").replace("{images_dir}", "images")
}

#[test]
fn the_fixtures_of_v0_are_judged_as_v0_judged_them() {
    let mut judged = 0;
    let mut unexpected = Vec::new();
    let mut met = std::collections::BTreeSet::new();
    for version in ["0.2.0", "0.3.1"] {
        for (name, path) in fixtures(version) {
            judged += 1;
            let scene = Scene::new();
            let text = filled(&String::from_utf8_lossy(&fs::read(&path).unwrap()));
            scene.file("secure.conf", "[database]\ndburi = sqlite:////nodepool.db\n").yaml(&text);
            let errors: Vec<Diagnostic> = match load(&scene.sources) {
                Ok(_) => Vec::new(),
                Err(found) => found
                    .into_iter()
                    .filter(|one| one.severity == Severity::Error && !one.about_machine)
                    .collect(),
            };
            if REFUSED.contains(&name.as_str()) {
                assert!(!errors.is_empty(), "{version} {name}: v0 refused it");
                continue;
            }
            for error in errors {
                let listed = DIFFERENCES
                    .iter()
                    .position(|(file, part, _)| name.contains(file) && error.message.contains(part));
                met.extend(listed);
                if listed.is_none() {
                    unexpected.push(format!("{version} {name}\n{error}"));
                }
            }
        }
    }
    assert!(judged >= 30, "{judged} fixtures");
    assert_eq!(met.len(), DIFFERENCES.len(), "each difference that is listed is still one");
    assert!(unexpected.is_empty(), "{} findings\n{}", unexpected.len(), unexpected.join("\n\n"));
}
