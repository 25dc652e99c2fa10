//! The driver alone on the real cloud: floating IPs on servers with two networks.

use std::time::Duration;

use nodepool::cloud::openstack::{Domain, Identity, Named, OpenStack, Settings};
use nodepool::cloud::{BootImage, Cloud as _, CloudError, FloatingIpRequest, NetworkChoice, ServerRequest};
use nodepool::model::{FloatingIp, NodeId, Owner, Server, ServerStatus, Tag};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::api::Cloud;
use crate::pool::{PREFIX, Turn, say, until};

/// How many floating IPs the project may have, as tools/devcloud says.
const QUOTA: &str = "500";

/// Our driver, with a runtime to run it.
struct Ours<'c> {
    runtime: Runtime,
    driver: OpenStack,
    cloud: &'c Cloud,
    tag: Tag,
}

impl<'c> Ours<'c> {
    fn new(cloud: &'c Cloud) -> Self {
        let login = &cloud.login;
        let named =
            |name: &str| Named::Name { name: name.to_owned(), domain: Domain::Name("Default".into()) };
        let settings = Settings {
            auth_url: login.auth_url.clone(),
            identity: Identity::Password {
                user: named(&login.username),
                password: login.password.clone().into(),
                project: named(&login.project_name),
            },
            region: Some("RegionOne".into()),
            interface: "public".into(),
            compute_type: None,
            compute_name: None,
            ca_file: None,
            verify: true,
            api_timeout: Duration::from_secs(120),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let driver = runtime.block_on(OpenStack::new(settings)).unwrap();
        let installation = format!("driver-test-{}", std::process::id());
        let tag = Tag { installation, owner: Owner::Node(NodeId(7)), attempt: "attempt-1".into() };
        Self { runtime, driver, cloud, tag }
    }

    /// A server on these networks, once it is ACTIVE with an address on each.
    fn boot(&self, name: &str, networks: Vec<NetworkChoice>) -> Server {
        let count = networks.len();
        let id = self.runtime.block_on(self.driver.create_server(&self.request(name, networks))).unwrap();
        until(&format!("{name} has {count} addresses"), || {
            let servers = self.runtime.block_on(self.driver.servers(None)).unwrap();
            let server = servers.into_iter().find(|server| server.id == id).ok_or("it is not listed")?;
            let complete = server.status == ServerStatus::Active && server.addresses.len() == count;
            if complete { Ok(server) } else { Err(format!("{:?}", server.status)) }
        })
    }

    fn request(&self, name: &str, networks: Vec<NetworkChoice>) -> ServerRequest {
        ServerRequest {
            name: format!("{PREFIX}{name}"),
            image: BootImage::NameOrId("debian-12".into()),
            min_ram: 512,
            name_filter: None,
            az: Some("north".into()),
            networks,
            keypair: None,
            config_drive: None,
            security_groups: Vec::new(),
            user_data: None,
            boot_volume_gib: None,
            tag: self.tag.clone(),
            provider: "devcloud".into(),
            image_name: "ci".into(),
        }
    }

    fn lead_to(&self, server: &str, pool: &str) -> Result<String, CloudError> {
        self.runtime.block_on(self.driver.create_floating_ip(&self.order(server, pool)))
    }

    fn order(&self, server: &str, pool: &str) -> FloatingIpRequest {
        FloatingIpRequest { pool: pool.into(), server_id: server.into(), tag: self.tag.clone() }
    }

    /// What the driver lists, of those that carry the mark of this test.
    fn floating_ips(&self) -> Vec<FloatingIp> {
        let mut listed = self.runtime.block_on(self.driver.floating_ips()).unwrap();
        listed.retain(|one| one.tag.as_ref().is_some_and(|tag| tag.installation == self.tag.installation));
        listed
    }

    /// The only one of them, as Neutron itself shows it.
    fn raw(&self, id: &str) -> Value {
        let listed = self.cloud.floating_ips().unwrap();
        listed.into_iter().find(|one| one["id"] == id).expect("Neutron lists it")
    }

    fn delete(&self, id: &str) -> Result<(), CloudError> {
        self.runtime.block_on(self.driver.delete_floating_ip(id))
    }

    /// Asks for a floating IP and never learns what came of it: as soon as Neutron has made it, the connection is cut.
    fn ask_in_vain(&self, server: &str) {
        let order = self.order(server, "public");
        self.runtime.block_on(async {
            let made = async {
                loop {
                    let listed = self.driver.floating_ips().await.unwrap();
                    if listed.iter().any(|one| one.tag.as_ref() == Some(&self.tag)) {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                answer = self.driver.create_floating_ip(&order) => drop(answer),
                () = made => {}
            }
        });
    }
}

/// The quota of floating IPs, which is as it was again whatever happens.
struct Quota<'c>(&'c Cloud);

impl Quota<'_> {
    fn set(&self, number: &str) {
        let project = &self.0.login.project_name;
        self.0.openstack_as_admin(&["quota", "set", "--floating-ips", number, project]);
    }
}

impl Drop for Quota<'_> {
    fn drop(&mut self) {
        self.set(QUOTA);
    }
}

fn by_name(name: &str) -> NetworkChoice {
    NetworkChoice::Name(name.into())
}

#[test]
fn the_driver_gives_a_server_on_two_networks_a_floating_ip() {
    let cloud = Cloud::open();
    let _turn = Turn::take(&cloud, "");
    let ours = Ours::new(&cloud);
    let (private, storage) = (cloud.network_id("private"), cloud.network_id("storage"));
    let both = vec![by_name("storage"), NetworkChoice::Id(private.clone())];
    let server = ours.boot("both", both);
    let on: Vec<&str> = server.addresses.iter().map(|address| address.network.as_str()).collect();
    assert_eq!(on, ["private", "storage"]);
    let ports = cloud.ports(&server.id);
    let port = |network: &str| ports.iter().find(|port| port["network_id"] == network).unwrap();
    say(&format!(
        "the port that no router reaches is {}",
        if storage < private { "tried first" } else { "not tried: the other network's id comes first" }
    ));

    let id = ours.lead_to(&server.id, "public").unwrap();
    let listed = ours.floating_ips();
    let expected =
        FloatingIp { id: id.clone(), ip: listed[0].ip, tag: Some(ours.tag.clone()), server_attached: true };
    assert_eq!(listed, [expected]);
    let raw = ours.raw(&id);
    assert_eq!((&raw["port_id"], &raw["status"]), (&port(&private)["id"], &json!("ACTIVE")));
    assert_eq!(raw["fixed_ip_address"], port(&private)["fixed_ips"][0]["ip_address"]);
    let tags: Vec<&str> = raw["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(
        tags.contains(&"nodepool-owner:node:7") && tags.contains(&"nodepool-attempt:attempt-1"),
        "{tags:?}"
    );

    // A second one for the same server is refused in a way that makes the caller look for the first.
    assert_eq!(ours.lead_to(&server.id, "public").unwrap_err().word(), "transient");
    let unknown = ours.lead_to(&server.id, "nowhere").unwrap_err();
    assert!(matches!(&unknown, CloudError::Rejected(text) if text.contains("nowhere")), "{unknown:?}");
    ours.delete(&id).unwrap();
    assert!(matches!(ours.delete(&id), Err(CloudError::NotFound(_))));
    assert_eq!(ours.floating_ips(), []);

    ours.ask_in_vain(&server.id);
    let found = ours.floating_ips();
    assert_eq!(found.len(), 1, "it is found by its mark");
    assert_eq!((&found[0].tag, found[0].server_attached), (&Some(ours.tag.clone()), true));

    let inside = ours.boot("inside", vec![by_name("storage")]);
    let unreachable = ours.lead_to(&inside.id, "public").unwrap_err();
    let told = |text: &str| text.contains("is not reachable from subnet");
    assert!(matches!(&unreachable, CloudError::Rejected(text) if told(text)), "{unreachable:?}");
    assert_eq!(ours.floating_ips(), found, "none was made for it");

    check_quota(&ours, found.len());
    cloud.openstack(&["server", "delete", "--wait", &server.id, &inside.id]);
    let left = ours.floating_ips();
    assert_eq!((&left[0].id, left[0].server_attached), (&found[0].id, false), "its server leaves it behind");
    ours.delete(&found[0].id).unwrap();
    assert_eq!(ours.floating_ips(), []);
}

/// Where the project may have no more floating IPs, Neutron says so in a way that the driver understands.
fn check_quota(ours: &Ours<'_>, there: usize) {
    let server = ours.boot("third", vec![by_name("private")]);
    let quota = Quota(ours.cloud);
    quota.set(&there.to_string());
    let refused = ours.lead_to(&server.id, "public").unwrap_err();
    assert!(matches!(&refused, CloudError::Quota(text) if text.contains("floatingip")), "{refused:?}");
    quota.set("0");
    assert_eq!(ours.lead_to(&server.id, "public").unwrap_err().word(), "quota");
    ours.cloud.delete_server(&server.id).unwrap();
}
