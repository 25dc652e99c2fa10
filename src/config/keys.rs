//! Every key of nodepool.yaml, in one table: what it takes, what it is when it is absent, and what it means.
//!
//! The file is read by this table ([`super::fields`]): it says which keys are known, which must be there, which numbers are
//! accepted and what is said of a key that does nothing. The JSON Schema and the reference in `docs/` are made from it,
//! so that neither can say something else than what is read.

use std::time::Duration;

mod image;
mod provider;
mod target;

pub use image::IMAGE;
pub use provider::{LABEL, LABEL_PROVIDER, NETWORK, PROVIDER};
pub use target::{JENKINS, TARGET};

/// A mapping of the file.
#[derive(Debug)]
pub struct Section {
    /// What it is, as an error calls it: `a label`.
    pub what: &'static str,
    /// A short name: that of the schema's definition and of the table in the reference.
    pub name: &'static str,
    /// Its keys in the order in which they are shown.
    pub keys: &'static [Key],
}

/// A key of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is absent.
    pub default: Absent,
    /// What it means, in a sentence without a full stop.
    pub meaning: &'static str,
    /// Whether nodepool v0 did not have it.
    pub is_new: bool,
    /// What it does in this version.
    pub effect: Effect,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// Text that is never shown.
    Secret,
    /// Text, or a number that is taken as it is written.
    TextOrNumber,
    /// Text in which placeholders in braces may stand.
    Template,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// Yes or no.
    Boolean,
    /// Yes or no, or this word.
    BooleanOr(&'static str),
    /// Seconds, or text such as `10m`; zero only where this is true.
    Time(bool),
    /// Five or six fields; or a mapping with a time zone; or `never`.
    Schedule,
    /// A whole share in percent, such as `20%`, at most this many.
    Percent(u32),
    /// A mapping from windows of the week to numbers.
    Windows,
    /// A list of texts.
    Texts,
    /// A mapping from text to text, numbers or booleans.
    Words,
    /// A mapping.
    Mapping(&'static Section),
    /// A list of mappings.
    List(&'static Section),
    /// Whatever it is, it is not looked at.
    Anything,
}

/// What holds when a key is absent.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// An error: the key must be there.
    Required,
    /// Nothing that a value could say; in words.
    Words(&'static str),
    /// This text.
    Text(&'static str),
    /// This number.
    Number(i64),
    /// This time.
    Time(Duration),
    /// This.
    Boolean(bool),
}

/// What a key does in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What it says.
    Works,
    /// Nothing yet, for this reason.
    Later(&'static str),
    /// Nothing any more; this is in its place.
    Replaced(&'static str),
}

/// Nothing.
const NONE: Absent = Absent::Words("none");
/// The most of anything that is counted.
pub const MOST: i64 = 1_000_000;
const PORTS: Kind = Kind::Integer(1, 65535);

pub(super) const GEARMAN_PORT: u16 = 4730;
pub(super) const MIN_READY: i64 = 2;
/// The largest share, in percent, of what is ours that is deleted without a row and without being asked.
pub(super) const LEAK_LIMIT: i64 = 25;
pub(super) const READY_SCRIPT_TIMEOUT: Duration = Duration::from_mins(30);
pub(super) const SETUP_TIMEOUT: Duration = Duration::from_hours(2);
/// nodepool v0 waited for ever.
pub(super) const API_TIMEOUT: Duration = Duration::from_mins(1);
pub(super) const BOOT_TIMEOUT: Duration = Duration::from_mins(1);
pub(super) const ENROLL_TIMEOUT: Duration = Duration::from_mins(5);
pub(super) const LAUNCH_TIMEOUT: Duration = Duration::from_hours(1);
pub(super) const RATE: Duration = Duration::from_secs(1);
pub(super) const TEMPLATE_HOSTNAME: &str = "template-{image.name}-{timestamp}";
pub(super) const NODE_HOSTNAME: &str = "{label.name}-{provider.name}-{node_id}";
pub(super) const SUBNODE_HOSTNAME: &str = "{label.name}-{provider.name}-{node_id}-{subnode_id}";
pub(super) const USERNAME: &str = "jenkins";
pub(super) const USER_HOME: &str = "/home/jenkins";
pub(super) const PRIVATE_KEY: &str = "/var/lib/jenkins/.ssh/id_rsa";
pub(super) const SSH_PORT: u16 = 22;
pub(super) const VOLUME_GIB: i64 = 50;
pub(super) const IMAGE_UPDATE: &str = "14 2 * * *";
pub(super) const CLEANUP: &str = "* * * * *";
pub(super) const CHECK: &str = "*/15 * * * *";
pub(super) const KEEP: i64 = 15;

const NO_DISKIMAGES: &str = "images of diskimage-builder are not built in this version";

const fn key(name: &'static str, kind: Kind, default: Absent, meaning: &'static str) -> Key {
    Key { name, kind, default, meaning, is_new: false, effect: Effect::Works }
}

impl Key {
    /// nodepool v0 did not have it.
    const fn new_here(self) -> Self {
        Self { is_new: true, ..self }
    }

    const fn later(self, why: &'static str) -> Self {
        Self { effect: Effect::Later(why), ..self }
    }

    const fn replaced(self, by: &'static str) -> Self {
        Self { effect: Effect::Replaced(by), ..self }
    }
}

impl Section {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Every kind of mapping in the file, the whole file first.
pub static SECTIONS: [&Section; 15] = [
    &ROOT,
    &GEARMAN_SERVER,
    &CRON,
    &SCHEDULE,
    &LOGGING,
    &LABEL,
    &LABEL_PROVIDER,
    &PROVIDER,
    &NETWORK,
    &IMAGE,
    &TARGET,
    &JENKINS,
    &NODEPOOLD,
    &DISKIMAGE,
    &ZOOKEEPER_SERVER,
];

/// The whole file.
pub static ROOT: Section = Section {
    what: "nodepool.yaml",
    name: "nodepool",
    keys: &[
        key(
            "script-dir",
            Kind::Text,
            NONE,
            "the folder with the scripts that run on builders and nodes; needed as soon as one is named",
        ),
        key(
            "dburi",
            Kind::Secret,
            Absent::Words("an SQLite file, see below"),
            "the URL of the database; usually in `secure.conf`",
        ),
        key("gearman-servers", Kind::List(&GEARMAN_SERVER), NONE, "servers whose queues tell the demand"),
        key(
            "cron",
            Kind::Mapping(&CRON),
            Absent::Words("see below"),
            "when what is done by the clock is done",
        ),
        key("logging", Kind::Mapping(&LOGGING), NONE, "what is logged, and where").new_here(),
        key("labels", Kind::List(&LABEL), NONE, "the kinds of nodes that jobs ask for"),
        key(
            "providers",
            Kind::List(&PROVIDER),
            NONE,
            "the projects on clouds; equal ones are preferred in this order",
        ),
        key("targets", Kind::List(&TARGET), NONE, "where nodes are offered"),
        key("nodepoold", Kind::Mapping(&NODEPOOLD), NONE, "settings of the daemon"),
        key(
            "zmq-publishers",
            Kind::Texts,
            NONE,
            "where Jenkins' plugin zmq-event-publisher tells of its jobs: `tcp://HOST:PORT`",
        ),
        key("diskimages", Kind::List(&DISKIMAGE), NONE, "images that diskimage-builder builds")
            .later(NO_DISKIMAGES),
        key("elements-dir", Kind::Text, NONE, "the folder of diskimage-builder's elements")
            .later(NO_DISKIMAGES),
        key("images-dir", Kind::Text, NONE, "the folder where diskimage-builder's images lie")
            .later(NO_DISKIMAGES),
        key("zookeeper-servers", Kind::List(&ZOOKEEPER_SERVER), NONE, "servers of ZooKeeper")
            .replaced("the state of images is in the database"),
    ],
};

/// An item of `gearman-servers`.
pub static GEARMAN_SERVER: Section = Section {
    what: "a Gearman server",
    name: "gearman-server",
    keys: &[
        key("host", Kind::Text, Absent::Required, "its host name or address"),
        key("port", PORTS, Absent::Number(4730), "its port"),
        key("ssl_key", Kind::Text, NONE, "the file with our private key, for a server that speaks TLS")
            .new_here(),
        key("ssl_cert", Kind::Text, NONE, "the file with our certificate").new_here(),
        key(
            "ssl_ca",
            Kind::Text,
            NONE,
            "the file with the certificates of the authority that signed the server's and ours",
        )
        .new_here(),
    ],
};

/// An item of `zookeeper-servers`.
pub static ZOOKEEPER_SERVER: Section = Section {
    what: "a ZooKeeper server",
    name: "zookeeper-server",
    keys: &[
        key("host", Kind::Text, Absent::Required, "its host name or address"),
        key("port", PORTS, Absent::Number(2181), "its port"),
        key("chroot", Kind::Text, NONE, "the folder of our nodes"),
    ],
};

/// The section `cron`.
pub static CRON: Section = Section {
    what: "`cron`",
    name: "cron",
    keys: &[
        key(
            "image-update",
            Kind::Schedule,
            Absent::Text(IMAGE_UPDATE),
            "when every image in use is built again",
        ),
        key("cleanup", Kind::Schedule, Absent::Text(CLEANUP), "when leftovers are looked for"),
        key(
            "check",
            Kind::Schedule,
            Absent::Text(CHECK),
            "when ready nodes are visited to see whether they still answer",
        ),
        key(
            "time-zone",
            Kind::Text,
            Absent::Words("the machine's"),
            "the time zone of all three, by its IANA name, such as `Europe/Paris`",
        )
        .new_here(),
    ],
};

/// A schedule that is a mapping.
pub static SCHEDULE: Section = Section {
    what: "a cron",
    name: "schedule",
    keys: &[
        key("schedule", Kind::Text, Absent::Required, "five or six fields").new_here(),
        key(
            "time-zone",
            Kind::Text,
            Absent::Words("that of `cron`"),
            "its time zone, by its IANA name, such as `Europe/Paris`",
        )
        .new_here(),
    ],
};

/// The section `nodepoold`.
pub static NODEPOOLD: Section = Section {
    what: "`nodepoold`",
    name: "nodepoold",
    keys: &[
        key(
            "delete-delay",
            Kind::Time(true),
            Absent::Time(Duration::ZERO),
            "how long a node rests between the end of its job and its deletion",
        ),
        key(
            "leak-limit",
            Kind::Integer(1, 100),
            Absent::Number(LEAK_LIMIT),
            "the largest share, in percent, of what carries our mark at a provider that is deleted as left behind without \
             anybody confirming it; ten things are always deleted, and 100 sets no limit",
        )
        .new_here(),
    ],
};

/// The section `logging`.
pub static LOGGING: Section = Section {
    what: "`logging`",
    name: "logging",
    keys: &[
        key("format", Kind::OneOf(&["text", "json"]), Absent::Text("text"), "the form of the lines").new_here(),
        key("level", Kind::OneOf(LEVELS), Absent::Text("info"), "the level of what `levels` does not name")
            .new_here(),
        key(
            "levels",
            Kind::Words,
            NONE,
            "levels by the name of a log target, which stands for those below it, too: `nodepool.image: debug`",
        )
        .new_here(),
        key("directory", Kind::Text, NONE, "the folder for `nodepool.log`, `debug.log` and `image.log`").new_here(),
        key("keep", Kind::Integer(0, 10_000), Absent::Number(KEEP), "how many old files of each are kept").new_here(),
    ],
};

/// The levels of a log, the most urgent first.
pub const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// An item of `diskimages`.
pub static DISKIMAGE: Section = Section {
    what: "a diskimage",
    name: "diskimage",
    keys: &[
        key("name", Kind::Text, Absent::Required, "its name"),
        key("elements", Kind::Texts, NONE, "the elements that make it"),
        key("release", Kind::TextOrNumber, NONE, "the release of the distribution"),
        key("env-vars", Kind::Words, NONE, "variables of the environment of disk-image-create"),
        key(
            "rebuild-age",
            Kind::Time(true),
            Absent::Time(Duration::from_hours(24)),
            "when it is built again",
        ),
        key("pause", Kind::Boolean, Absent::Boolean(false), "whether no new builds of it are made"),
        key("formats", Kind::Texts, NONE, "the formats of the file"),
    ],
};
