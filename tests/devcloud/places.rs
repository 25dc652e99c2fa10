//! A pool on two networks with floating IPs, where two of three availability zones cannot serve.

use serde_json::Value;

use crate::api::{Cloud, mark, text};
use crate::pool::{Node, Pool, say, until};
use crate::{check_cloud, empty, is_marked_by, make_foreign_server};

/// How many ready nodes the pool is to have.
const MIN_READY: usize = 3;

/// No hypervisor is in `nowhere`, and that of `south` is dead. Both come before the one that serves.
const PLACE: [&str; 3] = [
    "networks: [{net-label: storage}, {net-label: private}]",
    "pool: public",
    "availability-zones: [nowhere, south, north]",
];

/// A zone whose hypervisor is said to be dead, until this is dropped.
struct Outage<'c>(&'c Cloud);

impl<'c> Outage<'c> {
    fn begin(cloud: &'c Cloud) -> Self {
        let outage = Self(cloud);
        outage.set("--down");
        outage
    }

    fn set(&self, flag: &str) {
        let words = ["--os-compute-api-version", "2.11", "compute", "service", "set", flag, "devcloud-south"];
        self.0.openstack_as_admin(&[&words[..], &["nova-compute"]].concat());
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        self.set("--up");
    }
}

fn is_full(nodes: &[Node]) -> bool {
    nodes.len() == MIN_READY && nodes.iter().all(|node| node.state == "ready")
}

#[test]
fn a_pool_with_floating_ips_lives_in_the_zone_that_serves() {
    let cloud = Cloud::open();
    let mut pool = Pool::new(&cloud, "places");
    let outage = Outage::begin(&cloud);
    let foreign = make_foreign_server(&cloud);
    pool.configure(MIN_READY.try_into().unwrap(), &PLACE);
    pool.start();
    let nodes = pool.until_nodes("a pool of three is filled in spite of two zones", is_full);
    let ours = check_cloud(&pool, &nodes, &foreign);
    check_zones(&pool, &nodes, &["north"]);
    check_setbacks(&pool);
    check_floating_ips(&pool, &nodes, &ours);

    // The call for a floating IP is under way or just answered when the daemon dies.
    pool.nodepool(&["delete", &nodes[0].id.to_string()]);
    let newest = nodes.iter().map(|node| node.id).max();
    pool.until_nodes("a new node is about to get its floating IP", |nodes| {
        // Or it has it, should that have been quicker than we look.
        let before = |node: &Node| matches!(node.step.as_deref(), Some("create" | "boot"));
        nodes.iter().any(|node| Some(node.id) > newest && !before(node))
    });
    pool.kill();
    pool.start();
    let nodes = pool.until_nodes("the new daemon has filled the pool", is_full);
    assert_eq!(check_cloud(&pool, &nodes, &foreign), ours);
    check_floating_ips(&pool, &nodes, &ours);

    // The zone is back, and is tried again by itself.
    drop(outage);
    until("the pause of the zone is over", || match setback(&pool, "south") {
        Some(setback) if !setback["next_try"].is_null() => Err(setback["next_try"].to_string()),
        _ => Ok(()),
    });
    for node in &nodes {
        pool.nodepool(&["delete", &node.id.to_string()]);
    }
    let nodes = pool.until_nodes("the zone that is back is used again", |nodes| {
        is_full(nodes) && nodes.iter().any(|node| node.az.as_deref() == Some("south"))
    });
    check_zones(&pool, &nodes, &["north", "south"]);
    check_floating_ips(&pool, &nodes, &ours);

    empty(&mut pool, &ours, &PLACE);
    assert_eq!(pool.cloud.floating_ips().unwrap(), [] as [Value; 0], "in this project nobody else makes any");
    cloud.openstack(&["server", "delete", "--wait", &foreign]);
    pool.signal("TERM");
    assert!(pool.ended().success());
}

/// The servers are where their rows say, and in no other zone than these.
fn check_zones(pool: &Pool, nodes: &[Node], zones: &[&str]) {
    let servers = pool.cloud.servers().unwrap();
    for node in nodes {
        let server = servers.iter().find(|server| server["id"] == node.server()).expect("the cloud lists it");
        let zone = text(server, "OS-EXT-AZ:availability_zone");
        assert_eq!(node.az.as_deref(), Some(zone));
        assert!(zones.contains(&zone), "{server}");
    }
}

/// `nodepool info` says which zones failed, and how.
fn check_setbacks(pool: &Pool) {
    for (zone, words) in [("nowhere", "zone is not available"), ("south", "No valid host was found")] {
        let told = setback(pool, zone).unwrap_or_else(|| panic!("zone {zone} has no setback"));
        assert!(text(&told, "reason").contains(words), "{told}");
        say(&format!("zone {zone}: {}", text(&told, "reason")));
    }
    assert_eq!(setback(pool, "north"), None);
}

/// What `nodepool info` says of a zone that failed.
fn setback(pool: &Pool, zone: &str) -> Option<Value> {
    let info: Value = serde_json::from_str(&pool.nodepool(&["-o", "json", "info"])).unwrap();
    let setbacks = info["setbacks"].as_array().unwrap();
    setbacks.iter().find(|setback| setback["about"] == format!("zone {zone} of devcloud")).cloned()
}

/// Each node is reached at a floating IP of its own, which leads to its port on the network with a router, and finds
/// both addresses in its files. Nothing else of ours has one: the builder's is given back.
fn check_floating_ips(pool: &Pool, nodes: &[Node], ours: &str) {
    let listed = until("only the nodes have floating IPs", || {
        let listed: Vec<Value> =
            pool.cloud.floating_ips()?.into_iter().filter(|one| is_marked_by(one, ours)).collect();
        if listed.len() == nodes.len() { Ok(listed) } else { Err(format!("{} are there", listed.len())) }
    });
    let private = pool.cloud.network_id("private");
    for node in nodes {
        let ip = node.ip.as_deref().unwrap();
        let floating =
            listed.iter().find(|one| one["floating_ip_address"] == ip).expect("it is a floating IP");
        let mark = mark(floating).unwrap();
        assert_eq!(
            (mark["nodepool_owner"].as_str(), &mark["nodepool_owner_id"]),
            ("node", &node.id.to_string())
        );
        let ports = pool.cloud.ports(node.server());
        assert_eq!(ports.len(), 2, "one on each network");
        let port = ports.iter().find(|port| port["network_id"] == private.as_str()).unwrap();
        assert_eq!(floating["port_id"], port["id"]);
        let inner = text(&port["fixed_ips"][0], "ip_address");
        assert_eq!(node.ip_private.as_deref(), Some(inner));
        let facts =
            pool.ssh(node, "cd /etc/nodepool; cat node primary_node node_private primary_node_private uuid");
        assert_eq!(facts, format!("{ip}\n{ip}\n{inner}\n{inner}\n{}\n", node.server()));
    }
}
