//! When the files are read again, and what comes of it: with real files, and an engine that only takes what it is given.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nodepool::config::{Config, SecureConf, Sources, load};
use nodepool::engine::Drivers;
use nodepool::engine::run::Reconfiguration;
use nodepool::reload::{Parts, Reloaded, Reloads, Watched};
use nodepool::remote::SshRemote;
use nodepool::telemetry::{LastTick, Metrics, Pool};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

const YAML: &str = "
script-dir: scripts
labels:
  - name: small
    image: trusty
    min-ready: 2
    providers: [{name: alpha}]
providers:
  - name: alpha
    cloud: ours
    max-servers: 5
    images:
      - {name: trusty, base-image: ubuntu, min-ram: 512, setup: setup.sh, private-key: key}
targets: [{name: jenkins}]
";
const CLOUDS: &str = "
clouds:
  ours:
    auth:
      {auth_url: 'https://cloud.example.org:5000', username: ci, project_name: ci, password: first-secret}
";

/// How many looks are certainly enough for files to settle.
const MANY: usize = 20;

/// Files, and reloads of them.
struct Scene {
    folder: TempDir,
    reloads: Reloads,
    taken: mpsc::Receiver<Reconfiguration>,
    in_force: watch::Receiver<Arc<Config>>,
    doubts: watch::Receiver<Vec<String>>,
    metrics: Arc<Metrics>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("scripts")).unwrap();
        for (name, text) in [
            ("scripts/setup.sh", "#!/bin/sh\n"),
            ("key", "a key"),
            ("secure.conf", ""),
            ("nodepool.yaml", YAML),
            ("clouds.yaml", CLOUDS),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
            // Long ago: what is written next may have the same size, and a clock of files may tick slowly.
            let file = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
        }
        let sources = Sources {
            nodepool_yaml: folder.path().join("nodepool.yaml"),
            secure_conf: SecureConf::Named(folder.path().join("secure.conf")),
            environment: BTreeMap::new(),
            is_root: false,
            home: Some(folder.path().to_owned()),
            working_dir: folder.path().to_owned(),
        };
        let watched = Watched::now(&sources);
        let loaded = load(&sources).unwrap();
        let (in_force, in_force_seen) = watch::channel(Arc::new(loaded.config));
        let (doubts, doubts_seen) = watch::channel(Vec::new());
        let (reconfigure, taken) = mpsc::channel(1);
        let metrics = Arc::new(Metrics::new().unwrap());
        let make = Box::new(|config: Arc<Config>| {
            Box::pin(async move { no_drivers(&config) }) as futures::future::BoxFuture<'static, Drivers>
        });
        let told = Arc::clone(&metrics);
        let unusable = Vec::new();
        // Whoever logs to another folder has to start again.
        let relog = Box::new(|config: &Config| {
            let elsewhere = config.logging.as_ref().is_some_and(|logging| logging.directory.is_some());
            elsewhere.then(|| "where the log goes was changed".to_owned())
        });
        let parts =
            Parts { sources, make, relog, metrics: told, in_force, reconfigure, doubts, watched, unusable };
        let reloads = Reloads::new(parts, loaded.files);
        Self { folder, reloads, taken, in_force: in_force_seen, doubts: doubts_seen, metrics }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Looks again and again; gives what each reading came to.
    async fn look(&mut self, times: usize) -> Vec<Reloaded> {
        let mut seen = Vec::new();
        for _ in 0..times {
            seen.extend(self.reloads.look().await);
            let _ = self.taken.try_recv();
        }
        seen
    }

    async fn changes(&mut self) -> Vec<String> {
        match self.look(MANY).await.as_slice() {
            [Reloaded::InForce { changes }] => changes.clone(),
            other => panic!("not one change that is in force: {other:?}"),
        }
    }

    fn doubts(&self) -> Vec<String> {
        self.doubts.borrow().clone()
    }

    fn is_in_use(&self) -> bool {
        let (config, last) = (self.in_force.borrow().clone(), LastTick::default());
        let now = std::time::SystemTime::now().into();
        let pool = Pool { config: &config, nodes: &[], images: &[], setbacks: &[], last: &last, now };
        let text = self.metrics.render(&pool).unwrap();
        text.contains("\nnodepool_config_reload_ok 1\n")
    }
}

/// The doors of a configuration, none of which leads anywhere: a provider of the name `broken` cannot be used at all.
fn no_drivers(config: &Config) -> Drivers {
    let broken = config.providers.iter().filter(|provider| provider.name == "broken");
    Drivers {
        clouds: BTreeMap::new(),
        unusable: broken.map(|provider| (provider.name.clone(), "no such file".to_owned())).collect(),
        targets: BTreeMap::new(),
        demand: None,
        remote: Arc::new(SshRemote::new()),
        script_environment: Vec::new(),
    }
}

#[tokio::test]
async fn a_change_is_read_once_and_told_line_by_line() {
    let mut scene = Scene::new();
    assert_eq!(scene.look(MANY).await, [], "nothing is read that did not change");
    scene.write("nodepool.yaml", &YAML.replace("min-ready: 2", "min-ready: 3"));
    assert_eq!(scene.changes().await, ["label small: min-ready 2 -> 3"]);
    assert_eq!(scene.in_force.borrow().labels[0].min_ready, Some(3));
    scene.write("clouds.yaml", &CLOUDS.replace("first-secret", "second-secret"));
    assert_eq!(scene.changes().await, ["provider alpha: password changed"], "and not what it is");
    assert_eq!(scene.look(MANY).await, []);
}

#[tokio::test]
async fn what_is_not_part_of_it_is_not_read() {
    let mut scene = Scene::new();
    scene.write("scripts/setup.sh", "#!/bin/sh\ntrue\n");
    scene.write("notes.txt", "nothing");
    // clouds.yaml was found before this one would be looked for.
    scene.write("clouds.json", "{}");
    assert_eq!(scene.look(MANY).await, []);
    // This one would have been read, had it been there.
    scene.write("secure.yaml", "clouds: {ours: {auth: {password: from-secure}}}\n");
    assert_eq!(scene.changes().await, ["provider alpha: password changed"]);
}

#[tokio::test]
async fn an_editor_is_not_caught_in_between() {
    let mut scene = Scene::new();
    // The file is emptied, and written a moment later.
    scene.write("nodepool.yaml", "");
    assert_eq!(scene.look(1).await, []);
    scene.write("nodepool.yaml", &YAML.replace("min-ready: 2", "min-ready: 4"));
    assert_eq!(scene.changes().await, ["label small: min-ready 2 -> 4"]);
    // It is moved away, and another one is put in its place.
    fs::rename(scene.path("nodepool.yaml"), scene.path("nodepool.yaml~")).unwrap();
    assert_eq!(scene.look(4).await, []);
    scene.write("nodepool.yaml", YAML);
    assert_eq!(scene.changes().await, ["label small: min-ready 4 -> 2"]);
    // The old file comes back as it was.
    fs::rename(scene.path("nodepool.yaml"), scene.path("nodepool.yaml~")).unwrap();
    assert_eq!(scene.look(2).await, []);
    fs::rename(scene.path("nodepool.yaml~"), scene.path("nodepool.yaml")).unwrap();
    let seen = scene.look(MANY).await;
    assert!(seen.iter().all(|reloaded| *reloaded == Reloaded::Same), "{seen:?}");
    assert!(scene.doubts().is_empty() && scene.is_in_use());
}

#[tokio::test]
async fn a_bad_file_is_told_once_and_leaves_in_force_what_was() {
    let mut scene = Scene::new();
    scene.write("nodepool.yaml", &YAML.replace("image: trusty", "image: trusti"));
    assert_eq!(scene.look(MANY).await, [Reloaded::Refused], "once, not at every look");
    assert_eq!(scene.in_force.borrow().labels[0].image, "trusty");
    let doubts = scene.doubts();
    assert!(doubts.len() == 1 && doubts[0].contains("has no image `trusti`"), "{doubts:?}");
    assert!(!scene.is_in_use());
    fs::remove_file(scene.path("nodepool.yaml")).unwrap();
    assert_eq!(scene.look(MANY).await, [Reloaded::Refused], "gone for good is an error, too");
    scene.write("nodepool.yaml", YAML);
    assert_eq!(scene.look(MANY).await, [Reloaded::Same]);
    assert!(scene.doubts().is_empty() && scene.is_in_use());
}

#[tokio::test]
async fn another_database_waits_for_a_restart_and_holds_up_nothing_else() {
    let mut scene = Scene::new();
    let other = YAML.replace("min-ready: 2", "min-ready: 1");
    scene.write("nodepool.yaml", &format!("dburi: sqlite:////somewhere/else.db\n{other}"));
    assert_eq!(scene.changes().await, ["label small: min-ready 2 -> 1"]);
    let doubts = scene.doubts();
    assert!(doubts.len() == 1 && doubts[0].contains("dburi"), "{doubts:?}");
    assert!(!scene.is_in_use());
    scene.write("nodepool.yaml", &other);
    assert_eq!(scene.look(MANY).await, [Reloaded::Same]);
    assert!(scene.doubts().is_empty() && scene.is_in_use());
}

#[tokio::test]
async fn a_log_that_needs_a_restart_is_doubtful_until_it_is_as_it_was() {
    let mut scene = Scene::new();
    scene.write("nodepool.yaml", &format!("{YAML}logging: {{directory: logs}}\n"));
    assert!(matches!(scene.look(MANY).await.as_slice(), [Reloaded::InForce { .. }]));
    assert_eq!(*scene.doubts.borrow(), ["where the log goes was changed"]);
    scene.write("nodepool.yaml", YAML);
    assert!(matches!(scene.look(MANY).await.as_slice(), [Reloaded::InForce { .. }]));
    assert!(scene.doubts.borrow().is_empty());
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_stands_in_nobodys_way() {
    let mut scene = Scene::new();
    let broken = "providers:\n  - {name: broken, cloud: ours, max-servers: 1, images: []}\n";
    scene.write("nodepool.yaml", &YAML.replace("providers:\n  - name", &format!("{broken}  - name")));
    assert_eq!(scene.changes().await, ["provider broken added"]);
    assert_eq!(scene.doubts(), ["the cloud of provider broken cannot be used: no such file"]);
    assert!(scene.is_in_use());
    // Asked again, it tries again, although no file changed.
    assert_eq!(scene.reloads.reload().await, Reloaded::InForce { changes: Vec::new() });
}
