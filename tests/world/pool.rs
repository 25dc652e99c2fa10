//! The pool that every history begins with.

use std::collections::BTreeMap;
use std::time::Duration;

use nodepool::config::{
    CleanFloatingIps, CloudCredentials, Config, ConnectionAddress, Crons, DatabaseUrl, GearmanServer,
    HostKeySource, Identity, ImageSource, Jenkins, Label, Launcher, Named, Offer, Provider, ProviderImage,
    Target, WebTokens, Window,
};

/// The image that every label boots at first, and one that none does.
pub const IMAGE: &str = "trusty";
pub const OTHER_IMAGE: &str = "xenial";

/// The memory that each of them asks for: they boot different flavors.
pub const MIN_RAMS: [u32; 2] = [1024, 4096];

/// Offers the nodes of every target as agents.
pub fn with_agents(mut config: Config) -> Config {
    for target in &mut config.targets {
        target.offer = Offer::Jenkins(Box::new(Jenkins {
            url: "http://simulated/".to_owned(),
            user: "nodepool".to_owned(),
            apikey: "secret".to_owned().into(),
            credentials_id: None,
            launcher: Launcher::Ssh,
            test_job: None,
            queue_demand: false,
            close_used_agents: true,
            enroll_timeout: Duration::from_secs(120),
            api_timeout: Duration::from_secs(10),
            ca_file: None,
        }));
    }
    config
}

/// Replaces nodes that have been ready for a while.
pub fn with_aging(mut config: Config) -> Config {
    for label in &mut config.labels {
        label.max_ready_age = Some(Duration::from_secs(100));
    }
    config
}

/// Boots nodes from volumes.
pub fn with_volumes(mut config: Config) -> Config {
    for image in config.providers.iter_mut().flat_map(|provider| &mut provider.images) {
        image.boot_volume_gib = Some(10);
    }
    config
}

/// `pools` names the providers that have a pool of floating IPs.
pub fn config(has_queues: bool, pools: &[&str], source: HostKeySource) -> Config {
    let gearman = GearmanServer { host: "simulated".to_owned(), port: 4730, tls: None };
    Config {
        script_dir: None,
        database: DatabaseUrl("sqlite::memory:".to_owned().into()),
        gearman_servers: if has_queues { vec![gearman] } else { Vec::new() },
        zmq_publishers: Vec::new(),
        event_token: None,
        web: WebTokens::default(),
        crons: Crons { image_update: None, cleanup: None, check: None },
        delete_delay: Duration::ZERO,
        leak_limit: 25,
        logging: None,
        labels: vec![
            by_the_clock(label("small", 2, 0, &["alpha"])),
            label("large", 1, 1, &["alpha", "beta"]),
        ],
        providers: vec![
            in_zones(provider("alpha", 5, pools.contains(&"alpha"), source)),
            provider("beta", 2, pools.contains(&"beta"), source),
        ],
        targets: vec![Target {
            name: "jenkins".to_owned(),
            hostname: "{label.name}-{provider.name}-{node_id}".to_owned(),
            subnode_hostname: "{label.name}-{provider.name}-{node_id}-{subnode_id}".to_owned(),
            offer: Offer::Nowhere,
        }],
    }
}

fn label(name: &str, min_ready: u32, subnodes: u32, providers: &[&str]) -> Label {
    Label {
        name: name.to_owned(),
        image: IMAGE.to_owned(),
        min_ready: Some(min_ready),
        headroom: 0,
        schedule: Vec::new(),
        subnodes,
        ready_script: Some("ready.sh".to_owned()),
        ready_script_timeout: Duration::from_secs(60),
        max_ready_age: None,
        providers: providers.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Three spare nodes in the first minutes and again after an hour, and one for every two that jobs have.
fn by_the_clock(label: Label) -> Label {
    // Each history begins at 22:13:20.
    let windows = ["daily 22:00-22:25 UTC", "daily 23:15-23:40 UTC"];
    let schedule = windows.map(|text| Window::parse(text, 3).expect("a window"));
    Label { headroom: 50, schedule: schedule.into(), ..label }
}

fn in_zones(provider: Provider) -> Provider {
    Provider { availability_zones: vec!["a1".to_owned(), "a2".to_owned()], ..provider }
}

fn provider(name: &str, max_servers: u32, has_pool: bool, source: HostKeySource) -> Provider {
    Provider {
        name: name.to_owned(),
        cloud: None,
        credentials: CloudCredentials {
            auth_url: "http://simulated".to_owned(),
            identity: Identity::Password {
                user: named("nodepool"),
                password: "secret".to_owned().into(),
                project: named("ci"),
            },
            region: None,
            interface: "public".to_owned(),
            compute_type: None,
            compute_name: None,
            ca_file: None,
            verify: true,
        },
        api_timeout: Duration::from_secs(10),
        boot_timeout: Duration::from_secs(30),
        launch_timeout: Duration::from_secs(120),
        max_servers: Some(max_servers),
        keypair: None,
        rate: Duration::from_millis(200),
        availability_zones: Vec::new(),
        networks: Vec::new(),
        pool: has_pool.then(|| "external".to_owned()),
        clean_floating_ips: CleanFloatingIps::OfPool,
        security_groups: Vec::new(),
        host_key_checking: true,
        ipv6_preferred: false,
        template_hostname: "template-{image.name}-{timestamp}".to_owned(),
        images: vec![image(IMAGE, MIN_RAMS[0], source), image(OTHER_IMAGE, MIN_RAMS[1], source)],
        retired: None,
    }
}

fn image(name: &str, min_ram: u32, source: HostKeySource) -> ProviderImage {
    ProviderImage {
        name: name.to_owned(),
        source: ImageSource::Snapshot {
            base_image: "ubuntu".to_owned(),
            setup: "setup.sh".to_owned(),
            setup_timeout: Duration::from_secs(120),
        },
        min_ram,
        name_filter: None,
        username: "jenkins".to_owned(),
        user_home: "/home/jenkins".to_owned(),
        private_key: "/dev/null".into(),
        bootstrap_users: vec!["root".to_owned()],
        config_drive: None,
        meta: BTreeMap::new(),
        ssh_port: 22,
        key_name: None,
        user_data: None,
        boot_volume_gib: None,
        connection_address: ConnectionAddress::Public,
        host_key_source: source,
        pause: false,
    }
}

fn named(name: &str) -> Named {
    Named { id: None, name: Some(name.to_owned()), domain: None }
}
