//! Floating IPs, several networks, zones, volumes, security groups, user data and consoles: by the `openstack` command,
//! and by our own driver.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use nodepool::cloud::openstack::{Domain, Identity, Named, OpenStack, Settings};
use nodepool::cloud::{
    BootImage, Cloud, CloudError, FloatingIpRequest, NetworkChoice, ServerRequest, UserData,
};
use nodepool::model::{Address, FloatingIp, NodeId, Owner, Server, ServerStatus, Tag};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::driver::{Api, Sandbox, wait_until};

/// Our driver, with a runtime to run it.
struct Ours {
    runtime: Runtime,
    cloud: OpenStack,
}

impl Ours {
    fn new(sandbox: &Sandbox) -> Self {
        let named = || Named::Name { name: "sandbox".into(), domain: Domain::Id("default".into()) };
        let identity = Identity::Password { user: named(), password: "secret".into(), project: named() };
        let settings = Settings {
            auth_url: format!("{}/identity/v2.0", sandbox.url),
            identity,
            region: Some("RegionOne".into()),
            interface: "public".into(),
            compute_type: None,
            compute_name: Some("nova".into()),
            ca_file: None,
            verify: true,
            api_timeout: Duration::from_secs(30),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let cloud = runtime.block_on(OpenStack::new(settings)).unwrap();
        Self { runtime, cloud }
    }

    fn create(&self, request: &ServerRequest) -> Result<String, CloudError> {
        self.runtime.block_on(self.cloud.create_server(request))
    }

    fn server(&self, id: &str) -> Server {
        let servers = self.runtime.block_on(self.cloud.servers(None)).unwrap();
        servers.into_iter().find(|server| server.id == id).expect("it is listed")
    }

    fn boot(&self, request: &ServerRequest) -> Server {
        let id = self.create(request).unwrap();
        wait_until("the server has addresses", || {
            let server = self.server(&id);
            server.status == ServerStatus::Active && !server.addresses.is_empty()
        });
        self.server(&id)
    }

    fn lead_to(&self, server: &str) -> Result<String, CloudError> {
        let request = FloatingIpRequest { pool: "public".into(), server_id: server.into(), tag: tag() };
        self.runtime.block_on(self.cloud.create_floating_ip(&request))
    }

    fn floating_ips(&self) -> Vec<FloatingIp> {
        self.runtime.block_on(self.cloud.floating_ips()).unwrap()
    }
}

fn tag() -> Tag {
    Tag { installation: "inst".into(), owner: Owner::Node(NodeId(7)), attempt: "attempt-1".into() }
}

fn request() -> ServerRequest {
    ServerRequest {
        name: "node-7".into(),
        image: BootImage::NameOrId("debian-12".into()),
        min_ram: 512,
        name_filter: None,
        az: None,
        networks: Vec::new(),
        keypair: None,
        config_drive: None,
        security_groups: Vec::new(),
        user_data: None,
        boot_volume_gib: None,
        tag: tag(),
        provider: "sandbox".into(),
        image_name: "ci".into(),
    }
}

/// The host key that a server shows, as its type and its base64.
fn shown_key(sandbox: &Sandbox, address: &str) -> String {
    let port = sandbox.ssh_port.to_string();
    let scan = || {
        let scanned =
            Command::new("ssh-keyscan").args(["-t", "ed25519", "-p", &port, address]).output().unwrap();
        let text = String::from_utf8(scanned.stdout).unwrap();
        let line = text.lines().find(|line| !line.starts_with('#'))?;
        Some(line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
    };
    let mut key = None;
    wait_until("the server shows its host key", || {
        key = scan();
        key.is_some()
    });
    key.unwrap()
}

#[test]
fn the_openstack_command_gives_and_takes_floating_ips() {
    let sandbox = Sandbox::start(&["--networks", "private,backend"]);
    let api = Api::new(&sandbox);
    let pair = json!({"keypair": {"name": "key", "public_key": sandbox.public_key()}});
    api.send("POST", "/compute/v2.1/os-keypairs", Some(&pair), &[]).unwrap();
    let lines = sandbox.openstack_lines(
        "network list -f value -c Name\n\
         network list --external -f value -c Name\n\
         availability zone list --compute -f value\n\
         security group create -f value -c name ci\n\
         server create --flavor m1.tiny --image debian-12 --network private --network backend --key-name key \
         --security-group ci --availability-zone nova-2 --wait -f value -c status one\n\
         floating ip create public -f value -c status\n",
    );
    for words in ["private", "backend", "nova available", "nova-2 available", "ci", "ACTIVE", "DOWN"] {
        assert!(lines.contains(words), "{words}:\n{lines}");
    }
    let made = api.get("/network/v2.0/floatingips")["floatingips"][0].take();
    let floating = made["floating_ip_address"].as_str().unwrap().to_string();
    assert!(TcpStream::connect((floating.as_str(), sandbox.ssh_port)).is_err(), "it leads nowhere yet");
    let lines = sandbox.openstack_lines(&format!(
        "server add floating ip one {floating}\n\
         server show -f json one\n\
         floating ip list -f value\n"
    ));
    assert!(lines.matches(&floating).count() >= 2, "{lines}");
    assert!(lines.contains("\"name\": \"ci\""), "{lines}");
    wait_until("ssh answers there", || sandbox.ssh(&floating, "true").0 == 0);
    assert_eq!(sandbox.ssh_ok(&floating, "hostname"), "one\n");
    let addresses = api.get("/compute/v2.1/servers/detail")["servers"][0]["addresses"].take();
    assert_eq!(addresses["private"][1]["OS-EXT-IPS:type"], "floating");
    assert_eq!(addresses["backend"].as_array().unwrap().len(), 1);

    sandbox.openstack_lines(&format!(
        "server remove floating ip one {floating}\nfloating ip delete {floating}\n"
    ));
    assert_eq!(api.get("/network/v2.0/floatingips")["floatingips"], json!([]));
    assert!(TcpStream::connect((floating.as_str(), sandbox.ssh_port)).is_err());
}

#[test]
fn our_driver_makes_a_floating_ip_on_the_port_that_a_router_reaches() {
    let sandbox = Sandbox::start(&["--networks", "private,backend,storage"]);
    let (api, ours) = (Api::new(&sandbox), Ours::new(&sandbox));
    let error = ours.create(&request()).unwrap_err();
    assert!(
        matches!(&error, CloudError::Rejected(text) if text.contains("Multiple possible networks")),
        "{error}"
    );

    let networks = ["storage", "backend", "private"].map(|name| NetworkChoice::Name(name.into())).to_vec();
    let server = ours.boot(&ServerRequest { networks, ..request() });
    let on: Vec<&str> = server.addresses.iter().map(|address| address.network.as_str()).collect();
    assert_eq!(on, ["backend", "private", "storage"], "as Nova lists them, by name");
    let before: Vec<Address> = server.addresses;

    let id = ours.lead_to(&server.id).unwrap();
    let listed = ours.floating_ips();
    let expected = FloatingIp { id: id.clone(), ip: listed[0].ip, tag: Some(tag()), server_attached: true };
    assert_eq!(listed, [expected]);
    let raw = api.get("/network/v2.0/floatingips")["floatingips"][0].take();
    assert_eq!(raw["tags"], json!(["nodepool:inst", "nodepool-owner:node:7", "nodepool-attempt:attempt-1"]));
    let added = Address { ip: listed[0].ip, network: "private".into(), floating: true };
    wait_until("it is among the server's addresses", || ours.server(&server.id).addresses.contains(&added));
    assert_eq!(ours.server(&server.id).addresses.len(), before.len() + 1);
    let private = before.iter().find(|address| address.network == "private").unwrap().ip.to_string();
    assert_eq!(shown_key(&sandbox, &listed[0].ip.to_string()), shown_key(&sandbox, &private));

    // A second one for the same server is not made: the first may be the one whose answer was lost.
    assert_eq!(ours.lead_to(&server.id).unwrap_err().word(), "transient");

    // A deleted server leaves it behind, with our mark on it.
    api.delete_and_wait(&server.id);
    let left = ours.floating_ips();
    assert_eq!((left[0].server_attached, left[0].tag.clone()), (false, Some(tag())));
    ours.runtime.block_on(ours.cloud.delete_floating_ip(&id)).unwrap();
    let again = ours.runtime.block_on(ours.cloud.delete_floating_ip(&id));
    assert!(matches!(again, Err(CloudError::NotFound(_))), "{again:?}");
    assert!(ours.floating_ips().is_empty());
}

#[test]
fn each_new_call_can_go_wrong() {
    let sandbox = Sandbox::start(&["--quota-floating-ips", "1", "--fault", "floating-ip-seconds=600"]);
    let (api, ours) = (Api::new(&sandbox), Ours::new(&sandbox));
    let (one, two) = (ours.boot(&request()), ours.boot(&request()));
    let faults = |answers: Value| {
        let change = json!({ "answers": answers });
        assert_eq!(api.send("PATCH", "/sandbox/faults", Some(&change), &[]).unwrap().status, 200);
    };
    let fault =
        |operation: &str, answer: Value| json!([{"operation": operation, "answer": answer, "count": 1}]);
    let broken = json!({"status": {"code": 500}});

    faults(fault("floating-ip-create", json!("lost")));
    assert_eq!(ours.lead_to(&one.id).unwrap_err().word(), "transient");
    let found = ours.floating_ips();
    assert_eq!(found[0].tag, Some(tag()), "it was made, and its mark was made with it");
    let error = ours.lead_to(&two.id).unwrap_err();
    assert!(matches!(&error, CloudError::Quota(text) if text.contains("floatingip")), "{error:?}");
    assert_eq!(ours.server(&one.id).addresses.len(), 1, "it is not shown yet");

    faults(fault("floating-ip-list", broken.clone()));
    assert_eq!(ours.runtime.block_on(ours.cloud.floating_ips()).unwrap_err().word(), "transient");
    faults(fault("floating-ip-delete", json!("lost")));
    let delete = || ours.runtime.block_on(ours.cloud.delete_floating_ip(&found[0].id));
    assert_eq!(delete().unwrap_err().word(), "transient");
    assert_eq!(delete().unwrap_err().word(), "not_found");
    faults(fault("floating-ip-tags-replace", broken.clone()));
    ours.lead_to(&two.id).unwrap();
    assert_eq!(ours.floating_ips()[0].tag, Some(tag()), "the description says it without tags");
    faults(fault("server-console", broken));
    let console = || ours.runtime.block_on(ours.cloud.console_log(&two.id));
    assert_eq!(console().unwrap_err().word(), "transient");
    console().unwrap();
}

#[test]
fn one_zone_fails_while_the_other_works() {
    let sandbox = Sandbox::start(&["--fault", "zone-errors={nova-2: {rate: 1.0}}"]);
    let ours = Ours::new(&sandbox);
    let zone = |zone: &str| ServerRequest { az: Some(zone.into()), ..request() };
    let failed = ours.create(&zone("nova-2")).unwrap();
    let server = ours.boot(&zone("nova"));
    assert_eq!(server.az.as_deref(), Some("nova"));
    wait_until("the other failed", || ours.server(&failed).status == ServerStatus::Error);
    assert!(ours.server(&failed).fault.unwrap().starts_with("No valid host was found"));
    let error = ours.create(&zone("nova-3")).unwrap_err();
    assert!(
        matches!(&error, CloudError::Rejected(text) if text.contains("zone is not available")),
        "{error:?}"
    );
}

#[test]
fn ports_and_volumes_go_with_their_server_or_are_left_behind() {
    let sandbox = Sandbox::start(&["--fault", "volume-left.count=1"]);
    let (api, ours) = (Api::new(&sandbox), Ours::new(&sandbox));
    let on_volume = ServerRequest { boot_volume_gib: Some(5), ..request() };
    let ports = || ours.runtime.block_on(ours.cloud.ports()).unwrap();
    let volumes = || ours.runtime.block_on(ours.cloud.volumes()).unwrap();
    let delete_port = |id: &str, server: &str| ours.runtime.block_on(ours.cloud.delete_port(id, server));
    let delete_volume = |id: &str| ours.runtime.block_on(ours.cloud.delete_volume(id));
    let first = ours.boot(&on_volume);
    let volume = volumes().remove(0);
    assert_eq!(
        (&volume.servers, volume.state.as_str(), &volume.tag),
        (&vec![first.id.clone()], "in-use", &None)
    );
    assert_eq!(first.volumes, [volume.id.as_str()]);
    ours.runtime.block_on(ours.cloud.mark_volume(&volume.id, &tag())).unwrap();
    assert_eq!(volumes()[0].tag, Some(tag()));
    assert_eq!(delete_volume(&volume.id).unwrap_err().word(), "rejected", "the server has it");
    assert_eq!(ports()[0].server_id, first.id);

    // Its volume stays, its port goes.
    api.delete_and_wait(&first.id);
    assert!(ports().is_empty());
    let left = volumes().remove(0);
    assert_eq!((left.state.as_str(), left.servers.len(), left.tag), ("available", 0, Some(tag())));
    delete_volume(&left.id).unwrap();
    assert_eq!(delete_volume(&left.id).unwrap_err().word(), "not_found");

    // The other way round.
    let change = json!({"port-left": {"count": 1}});
    assert_eq!(api.send("PATCH", "/sandbox/faults", Some(&change), &[]).unwrap().status, 200);
    let second = ours.boot(&on_volume);
    api.delete_and_wait(&second.id);
    assert!(volumes().is_empty());
    let left = ports().remove(0);
    assert_eq!(left.server_id, second.id);
    assert_eq!(delete_port(&left.id, "another").unwrap_err().word(), "not_found", "it is not that one's");
    delete_port(&left.id, &second.id).unwrap();
    assert!(ports().is_empty());
}

#[test]
fn the_console_shows_the_host_key_that_ssh_shows() {
    let sandbox = Sandbox::start(&["--fault", "console-seconds=1.0"]);
    let ours = Ours::new(&sandbox);
    let server = ours.boot(&request());
    let console = || ours.runtime.block_on(ours.cloud.console_log(&server.id)).unwrap();
    let key = shown_key(&sandbox, &server.addresses[0].ip.to_string());
    wait_until("the keys are on the console", || console().contains("-----END SSH HOST KEY KEYS-----"));
    let text = console();
    let keys = text.split_once("-----BEGIN SSH HOST KEY KEYS-----\n").unwrap().1;
    assert!(keys.starts_with(&key), "{keys} does not begin with {key}");
}

#[test]
fn a_host_key_in_the_user_data_is_the_servers() {
    let sandbox = Sandbox::start(&[]);
    let ours = Ours::new(&sandbox);
    let key = std::fs::read_to_string(sandbox.folder.path().join("key")).unwrap();
    let key = key.trim().replace('\n', "\n    ");
    let user_data = format!("#cloud-config\nssh_keys:\n  ed25519_private: |\n    {key}\n");
    let server = ours.boot(&ServerRequest { user_data: Some(UserData(user_data)), ..request() });
    let shown = shown_key(&sandbox, &server.addresses[0].ip.to_string());
    assert!(sandbox.public_key().starts_with(&shown), "{shown} is not {}", sandbox.public_key());
}

#[test]
fn a_server_boots_from_a_volume_in_its_security_groups() {
    let sandbox = Sandbox::start(&[]);
    let (api, ours) = (Api::new(&sandbox), Ours::new(&sandbox));
    let group = json!({"security_group": {"name": "ci", "description": "for tests"}});
    let group = api.send("POST", "/network/v2.0/security-groups", Some(&group), &[]).unwrap();
    assert_eq!(group.status, 201);
    let group = group.body["security_group"]["id"].as_str().unwrap().to_string();
    let security_groups = vec![group.clone(), "default".into()];
    let server = ours.boot(&ServerRequest { boot_volume_gib: Some(5), security_groups, ..request() });
    let shown = api.server(&server.id);
    assert_eq!(shown["image"], "");
    assert_eq!(shown["os-extended-volumes:volumes_attached"][0]["delete_on_termination"], true);
    assert_eq!(shown["security_groups"], json!([{"name": "ci"}, {"name": "default"}]));
    let path = format!("/network/v2.0/security-groups/{group}");
    assert_eq!(api.send("DELETE", &path, None, &[]).unwrap().status, 409, "a server is in it");

    let request = ServerRequest { security_groups: vec!["none".into()], ..request() };
    let error = ours.create(&request).unwrap_err();
    assert!(
        matches!(&error, CloudError::Rejected(text) if text.contains("Security group none not found")),
        "{error:?}"
    );
    let image = api.get("/image/v2/images?name=debian-12")["images"][0]["id"].clone();
    let device =
        json!([{"boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume"}]);
    let no_size = api.create("x", &json!({"imageRef": "", "block_device_mapping_v2": device})).unwrap();
    assert_eq!(no_size.status, 400, "{}", no_size.body);
}
