//! The whole program against a real OpenStack (tools/devcloud): Keystone, Nova, Glance and Neutron as Debian ships them,
//! with servers that can be reached by ssh.

#[path = "devcloud/api.rs"]
mod api;
#[path = "devcloud/driver.rs"]
mod driver;
#[path = "devcloud/places.rs"]
mod places;
#[path = "devcloud/pool.rs"]
mod pool;

use std::collections::{BTreeMap, BTreeSet};

use api::{Cloud, installation, mark, text};
use chrono::{DateTime, NaiveDateTime, SubsecRound as _, Utc};
use pool::{FOREIGN, Node, PREFIX, Pool, say, until};
use serde_json::{Value, json};

/// How many ready nodes the pool is to have.
const MIN_READY: usize = 6;

/// What the provider says of its networks.
const PLACE: [&str; 1] = ["networks: [{net-label: private}]"];

fn ready(nodes: &[Node]) -> usize {
    nodes.iter().filter(|node| node.state == "ready").count()
}

/// Whether there are as many ready nodes as wanted, and nothing else but held ones.
fn is_full(nodes: &[Node]) -> bool {
    ready(nodes) == MIN_READY && nodes.iter().all(|node| ["ready", "hold"].contains(&node.state.as_str()))
}

#[test]
fn a_pool_lives_on_a_real_openstack() {
    let cloud = Cloud::open();
    let mut pool = Pool::new(&cloud, "pool");
    let start = Utc::now().trunc_subsecs(0);
    let foreign = make_foreign_server(&cloud);

    pool.configure(MIN_READY.try_into().unwrap(), &PLACE);
    pool.start();
    let nodes = pool.until_nodes("a pool of six is filled", is_full);
    let ours = check_cloud(&pool, &nodes, &foreign);
    let snapshot = check_image(&pool, &ours);
    check_servers(&cloud, &nodes, &snapshot);
    for node in &nodes {
        check_inside(&pool, node);
    }

    let held = hold_one(&mut pool, &nodes[0]);
    replace_one(&mut pool, &nodes[1]);
    let gone = nodes[1].server().to_owned();
    leave_port(&cloud, &gone);
    let nodes = kill_while_filling(&mut pool);
    assert_eq!(check_cloud(&pool, &nodes, &foreign), ours);
    for node in &nodes {
        check_inside(&pool, node);
    }
    let still = pool.node(held.id).expect("a held node stays");
    assert_eq!((still.state.as_str(), still.server_id), ("hold", held.server_id));
    assert_eq!(still.comment.as_deref(), Some("kept by the test"));
    check_aliens(&pool, &foreign, &ours);
    pool.nodepool(&["gc"]);
    until("the port of the server that is gone is deleted", || {
        let left = cloud.ports(&gone);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });

    empty(&mut pool, &ours, &PLACE);
    check_twins(&cloud, start);
    let there = cloud.servers().unwrap();
    let there = there.iter().find(|server| server["id"] == foreign.as_str());
    assert_eq!(there.expect("a server that is not ours stays")["status"], "ACTIVE");
    cloud.openstack(&["server", "delete", "--wait", &foreign]);
    pool.signal("TERM");
    assert!(pool.ended().success());
    check_log(&pool.log());
}

/// A server of somebody else in the same project. Returns its id.
fn make_foreign_server(cloud: &Cloud) -> String {
    let words = ["--flavor", "m1.tiny", "--image", "debian-12", "--network", "private", "--wait", FOREIGN];
    let id = cloud.openstack(&[&["server", "create", "-f", "value", "-c", "id"], &words[..]].concat());
    say(&format!("somebody else's server is {id}"));
    id
}

/// The cloud has exactly one server for each row, and none besides but the foreign one. Returns our installation.
fn check_cloud(pool: &Pool, nodes: &[Node], foreign: &str) -> String {
    let servers = pool.cloud.servers().unwrap();
    let first = servers.iter().find(|server| server["id"] == nodes[0].server()).expect("the cloud lists it");
    let ours = installation(first).expect("our servers carry our mark").to_owned();
    let marked = servers.iter().filter(|server| installation(server) == Some(&ours));
    let in_cloud: BTreeMap<&str, &str> =
        marked.map(|server| (text(server, "id"), text(&server["metadata"], "nodepool_owner_id"))).collect();
    let numbers: Vec<(&str, String)> =
        nodes.iter().map(|node| (node.server(), node.id.to_string())).collect();
    let in_rows = numbers.iter().map(|(server, number)| (*server, number.as_str())).collect();
    assert_eq!(in_cloud, in_rows, "servers and the numbers of their nodes");
    assert_eq!(nodes.len(), in_cloud.len(), "each node has a server of its own");
    let foreign = servers.iter().find(|server| server["id"] == foreign).expect("it was left alone");
    assert_eq!(installation(foreign), None);
    ours
}

/// One image, whose snapshot carries our mark and the operator's properties; nothing else is left of its build. Returns
/// the snapshot's id.
fn check_image(pool: &Pool, ours: &str) -> String {
    let rows = pool.images();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["state"], &rows[0]["server_id"]), (&json!("ready"), &Value::Null));
    let snapshots = pool.cloud.images().unwrap();
    let mut snapshots = snapshots.iter().filter(|image| installation(image) == Some(ours));
    let snapshot = snapshots.next().expect("Glance lists it");
    assert_eq!(snapshots.next(), None);
    assert_eq!(snapshot["id"], rows[0]["image_id"]);
    assert_eq!(snapshot["name"], rows[0]["hostname"]);
    assert_eq!(snapshot["colour"], "blue");
    assert_eq!(snapshot["nodepool_owner"], "builder");
    assert_eq!(keypairs(pool.cloud, ours).unwrap(), [""; 0]);
    text(snapshot, "id").to_owned()
}

/// The names of the keypairs that an installation made.
fn keypairs(cloud: &Cloud, ours: &str) -> Result<Vec<String>, String> {
    let names = cloud.keypairs()?.into_iter().map(|pair| text(&pair, "name").to_owned());
    Ok(names.filter(|name| name.starts_with(&format!("nodepool-{ours}-"))).collect())
}

/// Whether a floating IP carries the mark of that installation.
fn is_marked_by(floating_ip: &Value, installation: &str) -> bool {
    mark(floating_ip)
        .is_some_and(|mark| mark.get("nodepool_installation").is_some_and(|of| of == installation))
}

/// Nodes boot our snapshot, in the smallest flavor that will do, without a keypair: the keys are in the snapshot.
fn check_servers(cloud: &Cloud, nodes: &[Node], snapshot: &str) {
    for server in cloud.servers().unwrap() {
        let Some(node) = nodes.iter().find(|node| server["id"] == node.server()) else { continue };
        assert_eq!(server["name"], node.hostname.as_str());
        assert_eq!(server["image"]["id"], snapshot);
        assert_eq!(server["flavor"]["original_name"], "m1.tiny");
        assert_eq!(server["key_name"], Value::Null);
        assert_eq!(server["metadata"]["nodepool_owner"], "node");
        let tags = server["tags"].as_array().unwrap();
        assert!(tags.contains(&json!(format!("nodepool-owner:node:{}", node.id))), "{tags:?}");
        let launched =
            NaiveDateTime::parse_from_str(text(&server, "OS-SRV-USG:launched_at"), "%FT%T%.f").unwrap();
        let moment = |text: &str| text.parse::<DateTime<Utc>>().unwrap().naive_utc();
        let seconds = |span: chrono::TimeDelta| span.as_seconds_f64();
        let (added, ready) = (moment(&node.created), moment(&node.state_time));
        let (boot, rest) = (seconds(launched - added), seconds(ready - launched));
        // The cloud tells whole seconds.
        say(&format!("node {}: ACTIVE {boot:.0} s after it was decided, ready {rest:.0} s later", node.id));
    }
}

/// What jobs find on a node. Only `ready.sh` writes its name into `/etc/hosts`: the snapshot has the builder's there.
fn check_inside(pool: &Pool, node: &Node) {
    let command = "set -e; cd /etc/nodepool; cat role node primary_node uuid; cat sub_nodes sub_nodes_private; \
                   . ./provider; echo $NODEPOOL_PROVIDER $NODEPOOL_CLOUD $NODEPOOL_REGION; \
                   stat -c '%a %U' id_rsa; [ \"$(ssh-keygen -y -f id_rsa | cut -d' ' -f2)\" = \"$(cut -d' ' -f2 id_rsa.pub)\" ]; \
                   id -un; sudo -n id -u; hostname; grep ^127.0.1.1 /etc/hosts; test -w ~/workspace; ls /opt/nodepool-scripts";
    let (name, server) = (&node.hostname, node.server());
    let address = node.ip.as_deref().unwrap();
    let expected = format!(
        "primary\n{address}\n{address}\n{server}\ndevcloud devcloud RegionOne\n600 jenkins\njenkins\n0\n{name}\n\
         127.0.1.1 {name}\nhost_name.sh\njenkins_agent.sh\nready.sh\nsetup_node.sh\n"
    );
    assert_eq!(pool.ssh(node, command), expected, "node {}", node.id);
}

/// Holds a node; another one takes its place among the ready ones.
fn hold_one(pool: &mut Pool, node: &Node) -> Node {
    pool.nodepool(&["hold", "--reason", "kept by the test", &node.id.to_string()]);
    let held = pool.node(node.id).unwrap();
    assert_eq!(held.state, "hold");
    assert_eq!(held.server_id, node.server_id);
    let nodes = pool.until_nodes("another node is ready in place of the held one", is_full);
    assert_eq!(nodes.len(), MIN_READY + 1);
    held
}

/// Deletes a node; when its row is gone, so is its server, and another one comes.
fn replace_one(pool: &mut Pool, node: &Node) {
    pool.nodepool(&["delete", "--now", &node.id.to_string()]);
    let servers = pool.cloud.servers().unwrap();
    assert!(
        !servers.iter().any(|server| server["id"] == node.server()),
        "its row is gone, its server is not"
    );
    let nodes = pool.until_nodes("another node is ready in place of the deleted one", is_full);
    assert!(nodes.iter().all(|other| other.id != node.id && other.server_id != node.server_id));
}

/// Makes a port as Nova does for a server, and forgets it when the server is gone already.
fn leave_port(cloud: &Cloud, server: &str) {
    let words =
        ["port", "create", "--network", "private", "--device", server, "--device-owner", "compute:nova"];
    cloud.openstack(&[&words[..], &["left-behind"]].concat());
    assert_eq!(cloud.ports(server).len(), 1, "the port of a server that is gone");
}

/// Takes half the pool away, and kills the daemon while it asks for new servers. What was ready stays.
fn kill_while_filling(pool: &mut Pool) -> Vec<Node> {
    let before = pool.nodes();
    let doomed: Vec<&Node> = before.iter().filter(|node| node.state == "ready").take(MIN_READY / 2).collect();
    for node in &doomed {
        pool.nodepool(&["delete", &node.id.to_string()]);
    }
    let created = |node: &&Node| node.step.as_deref() == Some("create");
    let booting = |node: &&Node| node.step.as_deref() == Some("boot");
    pool.until_nodes("the daemon is in the middle of filling", |nodes| {
        nodes.iter().any(|node| created(&node)) && nodes.iter().any(|node| booting(&node))
            || nodes.iter().filter(booting).count() == doomed.len()
            || nodes.iter().any(|node| node.state == "building" && !created(&node) && !booting(&node))
    });
    pool.kill();
    let after = pool.nodes();
    let places: Vec<String> = after.iter().map(|node| format!("{} {}", node.id, node.place())).collect();
    say(&format!("killed the daemon with these nodes: {}", places.join(", ")));
    assert!(after.iter().any(|node| node.state == "building"), "{after:?}");
    let stays: BTreeSet<(i64, &str)> = before
        .iter()
        .filter(|node| doomed.iter().all(|doomed| doomed.id != node.id))
        .map(|node| (node.id, node.server()))
        .collect();
    pool.start();
    let nodes = pool.until_nodes("the new daemon has filled the pool", is_full);
    let there: BTreeSet<(i64, &str)> = nodes.iter().map(|node| (node.id, node.server())).collect();
    assert!(there.is_superset(&stays), "{stays:?} of {there:?}");
    nodes
}

/// `alien-list` shows the foreign server and none of ours.
fn check_aliens(pool: &Pool, foreign: &str, ours: &str) {
    let aliens: Vec<Value> = serde_json::from_str(&pool.nodepool(&["-o", "json", "alien-list"])).unwrap();
    let alien = aliens.iter().find(|alien| alien["server_id"] == foreign);
    assert_eq!(alien.unwrap_or_else(|| panic!("{foreign} is not in {aliens:?}"))["hostname"], FOREIGN);
    assert!(aliens.iter().all(|alien| alien["installation"] != ours), "{aliens:?}");
}

/// Switches the label off and deletes everything; nothing with our mark is left in the cloud.
fn empty(pool: &mut Pool, ours: &str, place: &[&str]) {
    pool.configure(-1, place);
    pool.signal("HUP");
    until("the configuration was read again", || {
        let log = pool.log();
        let read = log.lines().any(|line| line.contains("min-ready ") && line.contains(" -> -1"));
        if read { Ok(()) } else { Err("the log does not say so".to_owned()) }
    });
    for node in pool.nodes() {
        pool.nodepool(&["delete", &node.id.to_string()]);
    }
    for image in pool.images() {
        pool.nodepool(&["image-delete", &image["id"].to_string()]);
    }
    pool.until_nodes("no node is left", <[Node]>::is_empty);
    until("nothing of ours is left", || {
        let marked = |list: Vec<Value>| list.iter().filter(|thing| installation(thing) == Some(ours)).count();
        let left = (
            pool.images().len(),
            marked(pool.cloud.servers()?),
            marked(pool.cloud.images()?),
            keypairs(pool.cloud, ours)?.len(),
            pool.cloud.floating_ips()?.iter().filter(|one| is_marked_by(one, ours)).count(),
        );
        if left == (0, 0, 0, 0, 0) {
            Ok(())
        } else {
            Err(format!("rows, servers, snapshots, keypairs, floating IPs: {left:?}"))
        }
    });
}

/// Whatever was killed and restarted, no row was ever given two servers: names, which have the row's number, are unique.
fn check_twins(cloud: &Cloud, start: DateTime<Utc>) {
    let servers = cloud.servers_since(start).unwrap();
    let made =
        servers.iter().filter(|server| text(server, "created").parse::<DateTime<Utc>>().unwrap() >= start);
    let mut names: Vec<&str> =
        made.map(|server| text(server, "name")).filter(|name| name.starts_with(PREFIX)).collect();
    names.sort_unstable();
    say(&format!("servers that were made: {}", names.join(", ")));
    assert!(names.len() > MIN_READY + 2, "Nova tells of deleted servers, too");
    assert!(names.is_sorted_by(|one, next| one < next), "a name was used twice: {names:?}");
}

/// On a cloud that works, whatever the daemon complains about is a fault of ours.
fn check_log(log: &str) {
    let level =
        |line: &&str| line.split_whitespace().nth(1).is_some_and(|level| ["WARN", "ERROR"].contains(&level));
    // A statement that takes more than a second is the machine's slowness.
    let ours = log.lines().filter(|line| !line.contains(" sqlx::query"));
    let complaints: Vec<&str> = ours.filter(level).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(
        log.contains("*** SUCCESSFULLY run setup_node.sh") && log.contains("*** SUCCESSFULLY run ready.sh")
    );
}
