//! The keys of a provider's images.

use super::{
    Absent, Kind, NO_DISKIMAGES, NONE, PORTS, PRIVATE_KEY, SETUP_TIMEOUT, Section, USER_HOME, USERNAME,
    VOLUME_GIB, key,
};

/// An item of a provider's `images`.
pub static IMAGE: Section = Section {
    what: "an image",
    name: "image",
    keys: &[
        key("name", Kind::Text, Absent::Required, "its name"),
        key(
            "min-ram",
            Kind::Integer(0, 4_294_967_295),
            Absent::Required,
            "the least memory of the flavor, in MiB",
        ),
        key(
            "base-image",
            Kind::Text,
            Absent::Words("required, but for a diskimage"),
            "the cloud's image to start from, by name or id",
        ),
        key(
            "setup",
            Kind::Text,
            Absent::Words("required, but for a diskimage"),
            "the script that prepares the builder",
        ),
        key("setup-timeout", Kind::Time(false), Absent::Time(SETUP_TIMEOUT), "how long that script may run")
            .new_here(),
        key("name-filter", Kind::Text, NONE, "text that the flavor's name must contain"),
        key("username", Kind::Text, Absent::Text(USERNAME), "the user on finished nodes"),
        key("user-home", Kind::Text, Absent::Text(USER_HOME), "that user's home"),
        key("private-key", Kind::Text, Absent::Text(PRIVATE_KEY), "the key that opens nodes"),
        key(
            "bootstrap-users",
            Kind::Texts,
            Absent::Words("`username`, then root, ubuntu, fedora, cloud-user, centos, debian"),
            "the users to try on a builder, in this order",
        )
        .new_here(),
        key("ssh-port", PORTS, Absent::Number(22), "the ssh port of builders and nodes").new_here(),
        key("key-name", Kind::Text, NONE, "the cloud's keypair to give to nodes"),
        key(
            "config-drive",
            Kind::Boolean,
            Absent::Words("the cloud's choice"),
            "whether to ask for a config drive",
        ),
        key("user-data", Kind::Text, NONE, "text for cloud-init on nodes").new_here(),
        key("boot-from-volume", Kind::Boolean, Absent::Boolean(false), "whether nodes boot from a volume")
            .new_here(),
        key(
            "volume-size",
            Kind::Integer(1, 65_536),
            Absent::Number(VOLUME_GIB),
            "the size of that volume, in GiB",
        )
        .new_here(),
        key(
            "connection-address",
            Kind::Text,
            Absent::Text("public"),
            "the address at which machines are reached: `public`, `private`, or the name of a network",
        )
        .new_here(),
        key(
            "host-key-source",
            Kind::OneOf(&["learn", "console", "user-data"]),
            Absent::Text("learn"),
            "where a machine's host key is known from: the first contact, the log of its console, or us",
        )
        .new_here(),
        key(
            "meta",
            Kind::Words,
            NONE,
            "properties of the snapshot; keys and values have at most 255 characters",
        ),
        key("pause", Kind::Boolean, Absent::Boolean(false), "whether no new builds of it are made"),
        key("diskimage", Kind::Text, NONE, "the diskimage that it is, in place of `base-image` and `setup`")
            .later(NO_DISKIMAGES),
        key("reset", Kind::Anything, NONE, "nothing").replaced("it never did anything"),
    ],
};
