//! The keys of labels, providers and networks.

use super::{
    API_TIMEOUT, Absent, BOOT_TIMEOUT, IMAGE, Key, Kind, LAUNCH_TIMEOUT, MIN_READY, MOST, NO_DISKIMAGES,
    NONE, RATE, READY_SCRIPT_TIMEOUT, Section, TEMPLATE_HOSTNAME, key,
};

const CLOUDS: Absent = Absent::Words("the cloud's");
const CHOICE: Absent = Absent::Words("the cloud's choice");

/// An item of `labels`.
pub static LABEL: Section = Section {
    what: "a label",
    name: "label",
    keys: &[
        key("name", Kind::Text, Absent::Required, "the label that jobs ask for"),
        key(
            "image",
            Kind::Text,
            Absent::Required,
            "the image that its nodes boot; each of its providers must have it",
        ),
        key(
            "providers",
            Kind::List(&LABEL_PROVIDER),
            Absent::Required,
            "where its nodes may be booted, in order of preference",
        ),
        key(
            "min-ready",
            Kind::Integer(-1, MOST),
            Absent::Number(MIN_READY),
            "how many spare nodes to keep ready; 0 makes nodes on demand only, -1 switches the label off",
        ),
        key(
            "headroom",
            Kind::Percent(1000),
            NONE,
            "keeps spare nodes for this share of the nodes that jobs have, such as `20%`, rounded up, when that is more than \
             `min-ready`",
        )
        .new_here(),
        key(
            "schedule",
            Kind::Windows,
            NONE,
            "windows of the week, each with how many spare nodes are kept in it when that is more than `min-ready`: \
             `mon-fri 08:00-19:00 Europe/Paris: 12`",
        )
        .new_here(),
        key(
            "subnodes",
            Kind::Integer(0, MOST),
            Absent::Number(0),
            "additional servers of each node, which then takes 1 + `subnodes` places of `max-servers`; \
             `min-ready` and demand count it once",
        ),
        key("ready-script", Kind::Text, NONE, "the script that each node runs before it is ready"),
        key(
            "ready-script-timeout",
            Kind::Time(false),
            Absent::Time(READY_SCRIPT_TIMEOUT),
            "how long that script may run",
        )
        .new_here(),
        key(
            "max-ready-age",
            Kind::Time(false),
            Absent::Words("for ever"),
            "how long a node may be ready until another one takes its place; it goes when that one is ready",
        )
        .new_here(),
    ],
};

/// An item of a label's `providers`.
pub static LABEL_PROVIDER: Section = Section {
    what: "an item of a label's `providers`",
    name: "label-provider",
    keys: &[key("name", Kind::Text, Absent::Required, "the name of a provider")],
};

/// A key of the credentials in a provider itself that nodepool v0 left to clouds.yaml.
const fn credential(name: &'static str, meaning: &'static str) -> Key {
    key(name, Kind::Text, CLOUDS, meaning).new_here()
}

/// An item of `providers`.
pub static PROVIDER: Section = Section {
    what: "a provider",
    name: "provider",
    keys: &[
        key("name", Kind::Text, Absent::Required, "its name"),
        key(
            "max-servers",
            Kind::Integer(-1, MOST),
            Absent::Required,
            "the most servers that may exist at once; -1 drains the provider",
        ),
        key("images", Kind::List(&IMAGE), Absent::Required, "the images that its nodes boot"),
        key("cloud", Kind::Text, NONE, "a cloud of `clouds.yaml`; the credentials here win over its own"),
        key("auth-url", Kind::Text, CLOUDS, "the URL of Keystone"),
        key("username", Kind::Text, CLOUDS, "the user who logs in"),
        key("password", Kind::Secret, CLOUDS, "that user's password"),
        key("project-name", Kind::Text, CLOUDS, "the project, by name"),
        key("project-id", Kind::Text, CLOUDS, "the project, by id"),
        key("region-name", Kind::Text, CLOUDS, "the region"),
        credential("user-id", "the user, by id"),
        credential("user-domain-name", "the domain of the user, by name"),
        credential("user-domain-id", "the domain of the user, by id"),
        credential("project-domain-name", "the domain of the project, by name"),
        credential("project-domain-id", "the domain of the project, by id"),
        credential("application-credential-id", "an application credential in place of a user, by id"),
        credential("application-credential-name", "an application credential of the user, by name"),
        key(
            "application-credential-secret",
            Kind::Secret,
            CLOUDS,
            "the secret of the application credential",
        )
        .new_here(),
        credential("interface", "which URLs of the catalogue to use: `public`, `internal` or `admin`"),
        key(
            "service-type",
            Kind::Text,
            CLOUDS,
            "the type under which the catalogue lists the compute service; the usual ones are known",
        ),
        key(
            "service-name",
            Kind::Text,
            CLOUDS,
            "the name of the compute service in the catalogue, where it lists several",
        ),
        credential("cacert", "a file with the certificates to trust in place of the system's"),
        key("verify", Kind::Boolean, CLOUDS, "whether TLS certificates are checked").new_here(),
        key("api-timeout", Kind::Time(false), Absent::Time(API_TIMEOUT), "the deadline of each API call"),
        key(
            "boot-timeout",
            Kind::Time(false),
            Absent::Time(BOOT_TIMEOUT),
            "from ACTIVE with an address until ssh answers",
        ),
        key(
            "launch-timeout",
            Kind::Time(false),
            Absent::Time(LAUNCH_TIMEOUT),
            "from the create call until ACTIVE with an address",
        ),
        key("rate", Kind::Time(true), Absent::Time(RATE), "the average pause between two API calls"),
        key(
            "keypair",
            Kind::Text,
            Absent::Words("one for each build"),
            "a keypair of the cloud for builders; never deleted by us",
        ),
        key("availability-zones", Kind::Texts, CHOICE, "zones to choose from"),
        key("networks", Kind::List(&NETWORK), CHOICE, "networks to plug, in order"),
        key(
            "pool",
            Kind::Text,
            Absent::Words("no floating IPs"),
            "the external network, by name or id, from which each server gets a floating IP",
        ),
        key("security-groups", Kind::Texts, CHOICE, "security groups of every server, by name or id")
            .new_here(),
        key(
            "ipv6-preferred",
            Kind::Boolean,
            Absent::Boolean(false),
            "whether to reach nodes over IPv6 where they have it",
        ),
        key(
            "host-key-checking",
            Kind::Boolean,
            Absent::Boolean(true),
            "whether a machine whose host key is not the one that is known is refused",
        )
        .new_here(),
        key(
            "template-hostname",
            Kind::Template,
            Absent::Text(TEMPLATE_HOSTNAME),
            "the name of builders and snapshots; also `{provider.name}`",
        ),
        key("image-type", Kind::Text, NONE, "the format of diskimage-builder's images").later(NO_DISKIMAGES),
        key(
            "clean-floating-ips",
            Kind::BooleanOr("all"),
            Absent::Boolean(false),
            "whether floating IPs that Nodepool made are looked for even without a `pool`; with one they always are; \
             `all` also deletes those of others in the project that lead nowhere",
        ),
        key("nodepool-id", Kind::Text, NONE, "whose servers are ours")
            .replaced("servers carry the id of the installation, which is in the database"),
    ],
};

/// An item of a provider's `networks`.
pub static NETWORK: Section = Section {
    what: "a network",
    name: "network",
    keys: &[
        key("net-id", Kind::Text, NONE, "the network, by id"),
        key("net-label", Kind::Text, NONE, "the network, by name"),
        key("name", Kind::Text, NONE, "the network, by name, as nodepool 0.3 has it"),
        key(
            "public",
            Kind::Boolean,
            Absent::Boolean(false),
            "whether its addresses can be reached from everywhere",
        ),
    ],
};
