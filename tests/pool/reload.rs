//! A configuration that changes all the time, while nodes launch: the pool ends as the last file says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::cloud::{Cloud, text};
use super::dice::Dice;
use super::setup::{DEADLINE, LONG, Pool, Settings};

const CHANGES: u32 = 100;
const CLOUDS: [&str; 2] = ["sandbox", "elsewhere"];
const IMAGES: [&str; 2] = ["trusty", "xenial"];
const LABELS: [&str; 3] = ["small", "large", "huge"];
const PROVIDERS: [&str; 3] = ["one", "two", "three"];
const TARGETS: [&str; 3] = ["jenkins1", "jenkins2", "jenkins3"];

/// What the file says.
#[derive(Clone, Debug)]
struct Wanted {
    labels: BTreeMap<&'static str, Label>,
    providers: BTreeMap<&'static str, Provider>,
    targets: BTreeSet<&'static str>,
}

#[derive(Clone, Debug)]
struct Label {
    image: &'static str,
    min_ready: u64,
    ready_script: bool,
    providers: BTreeSet<&'static str>,
}

#[derive(Clone, Debug)]
struct Provider {
    cloud: &'static str,
    max_servers: u64,
    images: BTreeSet<&'static str>,
}

impl Wanted {
    fn first() -> Self {
        let provider = |cloud| Provider { cloud, max_servers: 5, images: BTreeSet::from(IMAGES) };
        let label = |providers: &[&'static str]| Label {
            image: "trusty",
            min_ready: 1,
            ready_script: false,
            providers: providers.iter().copied().collect(),
        };
        Self {
            labels: BTreeMap::from([("small", label(&["one", "two"])), ("large", label(&["three"]))]),
            providers: BTreeMap::from([
                ("one", provider("sandbox")),
                ("two", provider("sandbox")),
                ("three", provider("elsewhere")),
            ]),
            targets: BTreeSet::from(["jenkins1"]),
        }
    }

    /// Changes one thing, of a kind that comes round in turn, and whatever else it takes to keep the file without errors.
    fn change(&mut self, number: u32, dice: &mut Dice) -> String {
        let label = pick(dice, &LABELS);
        let provider = pick(dice, &PROVIDERS);
        let image = pick(dice, &IMAGES);
        let target = pick(dice, &TARGETS);
        let what = match number % 11 {
            0 => self.add_or_remove_label(label, dice),
            1 => self.add_or_remove_provider(provider, dice),
            2 => {
                if !self.targets.remove(target) {
                    self.targets.insert(target);
                }
                format!("target {target} comes or goes")
            }
            3 => {
                let known = self.providers.get_mut(provider).map(|known| &mut known.images);
                if let Some(images) = known
                    && !images.remove(image)
                {
                    images.insert(image);
                }
                format!("image {image} of {provider} comes or goes")
            }
            4 => {
                let at = dice.between(0, 3);
                if let Some(known) = self.labels.get_mut(label) {
                    known.min_ready = at;
                }
                format!("min-ready of {label}: {at}")
            }
            5 => {
                let most = dice.between(0, 6);
                if let Some(known) = self.providers.get_mut(provider) {
                    known.max_servers = most;
                }
                format!("max-servers of {provider}: {most}")
            }
            6 => {
                if let Some(known) = self.labels.get_mut(label)
                    && !known.providers.remove(provider)
                {
                    known.providers.insert(provider);
                }
                format!("{provider} serves {label}, or not")
            }
            7 => {
                if let Some(known) = self.labels.get_mut(label) {
                    known.image = image;
                }
                format!("{label} boots {image}")
            }
            8 => {
                if let Some(known) = self.labels.get_mut(label) {
                    known.ready_script = !known.ready_script;
                }
                format!("{label} has a ready-script, or not")
            }
            9 => {
                let cloud = pick(dice, &CLOUDS);
                if let Some(known) = self.providers.get_mut(provider) {
                    known.cloud = cloud;
                }
                format!("{provider} is on {cloud}")
            }
            _ => {
                *self = Self::first();
                "all as it was at first".to_owned()
            }
        };
        self.mend();
        what
    }

    fn add_or_remove_label(&mut self, name: &'static str, dice: &mut Dice) -> String {
        if self.labels.remove(name).is_some() {
            return format!("label {name} goes");
        }
        let providers = self.providers.keys().copied().collect();
        let min_ready = dice.between(1, 2);
        let label =
            Label { image: pick(dice, &IMAGES), min_ready, ready_script: dice.happens(50), providers };
        self.labels.insert(name, label);
        format!("label {name} comes")
    }

    fn add_or_remove_provider(&mut self, name: &'static str, dice: &mut Dice) -> String {
        if self.providers.remove(name).is_some() {
            return format!("provider {name} goes");
        }
        let provider =
            Provider { cloud: pick(dice, &CLOUDS), max_servers: 4, images: BTreeSet::from(IMAGES) };
        self.providers.insert(name, provider);
        for label in self.labels.values_mut().filter(|_| dice.happens(50)) {
            label.providers.insert(name);
        }
        format!("provider {name} comes")
    }

    /// A file with a label that nobody can serve would be refused.
    fn mend(&mut self) {
        let providers = &self.providers;
        for label in self.labels.values_mut() {
            let image = label.image;
            let has = |name: &&str| providers.get(name).is_some_and(|known| known.images.contains(image));
            label.providers.retain(has);
        }
        self.labels.retain(|_, label| !label.providers.is_empty());
        if self.targets.is_empty() {
            self.targets.insert("jenkins1");
        }
    }

    /// So much room that every watermark can be reached.
    fn make_room(&mut self) {
        for provider in self.providers.values_mut() {
            provider.max_servers = 12;
        }
    }

    fn yaml(&self, pool: &Pool, other: &Cloud) -> String {
        let folder = pool.folder.path().display();
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
        let mut yaml =
            format!("script-dir: {scripts}\ndburi: sqlite:///{}\nlabels:\n", pool.database().display());
        for (name, label) in &self.labels {
            let (image, min_ready) = (label.image, label.min_ready);
            write!(yaml, "  - {{name: {name}, image: {image}, min-ready: {min_ready}").unwrap();
            if label.ready_script {
                write!(yaml, ", ready-script: ready.sh").unwrap();
            }
            let providers: Vec<String> =
                label.providers.iter().map(|name| format!("{{name: {name}}}")).collect();
            writeln!(yaml, ", providers: [{}]}}", providers.join(", ")).unwrap();
        }
        yaml.push_str("providers:\n");
        for (name, provider) in &self.providers {
            let (cloud, most) = (provider.cloud, provider.max_servers);
            write!(
                yaml,
                "  - {{name: {name}, cloud: {cloud}, max-servers: {most}, rate: 0.01, api-timeout: 10"
            )
            .unwrap();
            let ssh_port = if cloud == "sandbox" { pool.cloud.ssh_port } else { other.ssh_port };
            let images = provider.images.iter().map(|image| {
                format!(
                    "{{name: {image}, base-image: debian-12, setup: setup_node.sh, min-ram: 512, username: jenkins, \
                     private-key: {folder}/key, ssh-port: {ssh_port}}}"
                )
            });
            writeln!(yaml, ", boot-timeout: 30, images: [{}]}}", images.collect::<Vec<_>>().join(", "))
                .unwrap();
        }
        yaml.push_str("targets:\n");
        for name in &self.targets {
            writeln!(yaml, "  - {{name: {name}}}").unwrap();
        }
        yaml
    }

    /// What of the pool is not as the file says; nothing when all is.
    async fn amiss(&self, pool: &Pool, other: &Cloud) -> Option<String> {
        let (nodes, images) = (pool.nodes().await, pool.images().await);
        for (name, label) in &self.labels {
            let ready =
                nodes.iter().filter(|node| node["label"] == *name && node["state"] == "ready").count();
            if (ready as u64) < label.min_ready {
                return Some(format!("{ready} nodes of {name} are ready, not {}", label.min_ready));
            }
        }
        if let Some(node) = nodes.iter().find(|node| !self.wants_node(node)) {
            return Some(format!("a node is there that should not be: {node}"));
        }
        if let Some(image) = images.iter().find(|image| !self.wants_image(image)) {
            return Some(format!("an image is there that should not be: {image}"));
        }
        let mut servers = pool.cloud.server_ids().await;
        servers.extend(other.server_ids().await);
        servers.sort();
        let mut rows: Vec<String> = nodes.iter().map(|node| text(node, "server_id")).collect();
        rows.sort();
        if servers != rows {
            return Some(format!("the servers {servers:?} are not those of the rows {rows:?}"));
        }
        let base_images = CLOUDS.len();
        let snapshots = pool.cloud.images().await.len() + other.images().await.len() - base_images;
        if snapshots != images.len() {
            return Some(format!("there are {snapshots} snapshots and {} images", images.len()));
        }
        let keypairs = pool.cloud.keypairs().await.len() + other.keypairs().await.len();
        if keypairs > 0 {
            return Some(format!("{keypairs} keypairs are left over"));
        }
        let known = pool.store().await.providers().await.unwrap();
        let known: BTreeSet<String> = known.into_iter().map(|known| known.name).collect();
        if !known.iter().eq(self.providers.keys()) {
            return Some(format!("the providers {known:?} are remembered"));
        }
        None
    }

    fn wants_node(&self, node: &Value) -> bool {
        let (label, provider) = (text(node, "label"), text(node, "provider"));
        let served =
            self.labels.get(label.as_str()).is_some_and(|known| known.providers.contains(&*provider));
        node["state"] == "ready" && served && self.targets.contains(&*text(node, "target"))
    }

    fn wants_image(&self, image: &Value) -> bool {
        let (name, provider) = (text(image, "image"), text(image, "provider"));
        let known = self.providers.get(&*provider).is_some_and(|known| known.images.contains(&*name));
        known && image["state"] == "ready"
    }
}

fn pick<T: Copy>(dice: &mut Dice, of: &[T]) -> T {
    *dice.pick(of).unwrap()
}

/// Starts the daemon and waits until it listens to signals.
async fn start(pool: &mut Pool) {
    let starts = |pool: &Pool| pool.daemon_log().matches("has started").count();
    let before = starts(pool);
    pool.start();
    pool.until("the daemon serves", DEADLINE, async |pool| (starts(pool) > before).then_some(())).await;
}

/// Writes a file as people and programs do: at once, in two steps, or beside it and then in its place.
fn write(file: &PathBuf, text: &str, dice: &mut Dice) {
    match dice.between(0, 2) {
        0 => fs::write(file, text).unwrap(),
        1 => {
            fs::write(file, "").unwrap();
            fs::write(file, text).unwrap();
        }
        _ => {
            let beside = file.with_extension("new");
            fs::write(&beside, text).unwrap();
            fs::rename(beside, file).unwrap();
        }
    }
}

/// Another cloud, and both in one clouds.yaml.
async fn two_clouds(pool: &Pool) -> Cloud {
    let folder = pool.folder.path().join("elsewhere");
    fs::create_dir(&folder).unwrap();
    let other = Cloud::start(&folder, &[]).await;
    let read = |file: PathBuf| -> Value { serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap() };
    let (mut ours, theirs) = (read(pool.cloud.clouds_yaml()), read(other.clouds_yaml()));
    ours["clouds"]["elsewhere"] = theirs["clouds"]["sandbox"].clone();
    // JSON is YAML, too.
    fs::write(pool.cloud.clouds_yaml(), ours.to_string()).unwrap();
    other
}

#[tokio::test]
async fn under_load_the_pool_ends_as_the_last_file_says() {
    let seed = match std::env::var("NODEPOOL_RELOAD_SEED") {
        Ok(seed) => seed.parse().expect("NODEPOOL_RELOAD_SEED is a number"),
        Err(_) => u64::from(SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()),
    };
    eprintln!("to have these changes again: NODEPOOL_RELOAD_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut pool = Pool::new(&Settings::default(), &[]).await;
    let mut other = two_clouds(&pool).await;
    let file = pool.folder.path().join("nodepool.yaml");
    let mut wanted = Wanted::first();
    fs::write(&file, wanted.yaml(&pool, &other)).unwrap();
    start(&mut pool).await;
    for number in 0..CHANGES {
        let what = wanted.change(number, &mut dice);
        eprintln!("change {number}: {what}");
        let before = pool.readings();
        let yaml = wanted.yaml(&pool, &other);
        if dice.happens(10) {
            // A mistake, which is mended at once.
            write(&file, &yaml.replace("providers:", "provders:"), &mut dice);
        }
        write(&file, &yaml, &mut dice);
        if dice.happens(4) {
            pool.stop().await;
            start(&mut pool).await;
            continue;
        }
        // Most changes are told to the daemon; it finds the others by itself.
        if dice.happens(90) {
            pool.signal("HUP").await;
        }
        pool.until("the files are read again", DEADLINE, async |pool| {
            (pool.readings() > before).then_some(())
        })
        .await;
        // Nodes launch meanwhile: so much time passes between two changes.
        tokio::time::sleep(dice.millis(0, 600)).await;
    }
    wanted.make_room();
    eprintln!("the last file says: {wanted:?}");
    fs::write(&file, wanted.yaml(&pool, &other)).unwrap();
    let last = std::cell::RefCell::new(None);
    let settled = tokio::time::timeout(
        LONG.saturating_mul(2),
        pool.until("the pool is as the last file says", Duration::MAX, async |pool| {
            let amiss = wanted.amiss(pool, &other).await;
            *last.borrow_mut() = amiss.clone();
            amiss.is_none().then_some(())
        }),
    )
    .await;
    assert!(settled.is_ok(), "{}\n{}", last.borrow().as_deref().unwrap_or_default(), pool.log());
    pool.end().await;
    other.stop().await;
}
