//! The keys of targets.

use super::{
    API_TIMEOUT, Absent, ENROLL_TIMEOUT, Kind, NODE_HOSTNAME, NONE, RATE, SUBNODE_HOSTNAME, Section, key,
};

/// An item of `targets`.
pub static TARGET: Section = Section {
    what: "a target",
    name: "target",
    keys: &[
        key("name", Kind::Text, Absent::Required, "its name, without dots"),
        key(
            "hostname",
            Kind::Template,
            Absent::Text(NODE_HOSTNAME),
            "the host name of nodes; also `{timestamp}`",
        ),
        key(
            "subnode-hostname",
            Kind::Template,
            Absent::Text(SUBNODE_HOSTNAME),
            "the host name of subnodes; also `{timestamp}`",
        ),
        key(
            "jenkins",
            Kind::Mapping(&JENKINS),
            Absent::Words("nodes are not offered to a Jenkins"),
            "the Jenkins to whose agents nodes become; how to log in there usually stands in `secure.conf`",
        ),
        key(
            "assign-via-gearman",
            Kind::Boolean,
            Absent::Boolean(false),
            "whether nodes are handed to launchers over `gearman-servers`, and to no Jenkins",
        ),
        key("rate", Kind::Time(true), Absent::Time(RATE), "the average pause between two calls to Jenkins")
            .replaced(
                "how many calls to a target are under way at once is bounded, and not the pause between two",
            ),
    ],
};

/// A target's Jenkins.
pub static JENKINS: Section = Section {
    what: "`jenkins`",
    name: "jenkins",
    keys: &[
        key("url", Kind::Text, LOGIN, "its URL, with the path that it is served under"),
        key("user", Kind::Text, LOGIN, "the user who logs in"),
        key("apikey", Kind::Secret, LOGIN, "that user's API token, or password"),
        key(
            "credentials-id",
            Kind::Text,
            Absent::Words("made from the image's user and key"),
            "the credentials with which Jenkins logs in to nodes",
        ),
        key(
            "launcher",
            Kind::OneOf(LAUNCHERS),
            Absent::Text("ssh"),
            "how agents connect: `ssh`, Jenkins logs in to the node; `inbound`, the ready script starts an agent there",
        )
        .new_here(),
        key("test-job", Kind::Text, NONE, "the job that a node must pass before it is ready"),
        key(
            "enroll-timeout",
            Kind::Time(false),
            Absent::Time(ENROLL_TIMEOUT),
            "how long an agent may take until it is online",
        )
        .new_here(),
        key("api-timeout", Kind::Time(false), Absent::Time(API_TIMEOUT), "the deadline of each API call").new_here(),
        key(
            "queue-demand",
            Kind::Boolean,
            Absent::Boolean(false),
            "whether jobs that wait in Jenkins' own queue get nodes",
        )
        .new_here(),
        key(
            "close-used-agents",
            Kind::Boolean,
            Absent::Boolean(true),
            "whether an agent is set offline when its job starts, so that no second one can; `false` where pipelines are to go on \
             after a restart of Jenkins",
        )
        .new_here(),
        key(
            "cacert",
            Kind::Text,
            Absent::Words("the system's"),
            "a file with the certificates to trust in place of the system's",
        )
        .new_here(),
    ],
};

const LOGIN: Absent = Absent::Words("see secure.conf");

/// How agents connect.
pub const LAUNCHERS: &[&str] = &["ssh", "inbound"];
