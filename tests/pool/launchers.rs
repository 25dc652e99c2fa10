//! Nodes of a target behind a real gearmand: a launcher takes them, says when their jobs start and end, and is told when
//! they go. It behaves as zuul-launcher does.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gearman::Connection;
use gearman::protocol::{Packet, PacketType};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;
use zeromq::{PubSocket, Socket as _, SocketSend as _};

use super::cloud::text;
use super::held_port::HeldPort;
use super::setup::{DEADLINE, LONG, Pool, Settings, id};

const ASSIGN: &str = "node_assign:zuul";
const REVOKE: &str = "node_revoke:zl01";

fn gearmand(port: u16) -> Child {
    let port = port.to_string();
    Command::new("/usr/sbin/gearmand")
        .args(["--listen", "127.0.0.1", "--port", &port, "--log-file", "stderr", "--verbose", "FATAL"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("gearmand is missing: apt-get install gearman-job-server")
}

/// What a launcher was told: a function, and the data of the job.
type Told = Arc<Mutex<Vec<(String, Value)>>>;

async fn say(connection: &mut Connection, kind: PacketType, arguments: &[&[u8]]) {
    let arguments = arguments.iter().map(|argument| Bytes::copy_from_slice(argument)).collect();
    connection.send(Packet::request(kind, arguments)).await.unwrap();
}

/// Takes every node that it is given, and gives every one back that it is told to.
async fn launch(mut connection: Connection, told: Told) {
    for function in [ASSIGN, REVOKE] {
        say(&mut connection, PacketType::CanDo, &[function.as_bytes()]).await;
    }
    say(&mut connection, PacketType::GrabJobUniq, &[]).await;
    while let Ok(Some(packet)) = connection.recv().await {
        match packet.ptype {
            PacketType::NoJob => say(&mut connection, PacketType::PreSleep, &[]).await,
            PacketType::Noop => say(&mut connection, PacketType::GrabJobUniq, &[]).await,
            _ => {
                let (handle, function) = (packet.args[0].clone(), packet.arg_str(1).unwrap().to_owned());
                let data = serde_json::from_slice(&packet.args[3]).unwrap();
                if function == ASSIGN {
                    say(&mut connection, PacketType::WorkData, &[&handle, b"{\"manager\":\"zl01\"}"]).await;
                }
                told.lock().unwrap().push((function, data));
                say(&mut connection, PacketType::WorkComplete, &[&handle, b""]).await;
                say(&mut connection, PacketType::GrabJobUniq, &[]).await;
            }
        }
    }
}

/// The names of the nodes that the launcher was told of by this function.
fn names(told: &Told, function: &str) -> Vec<String> {
    let told = told.lock().unwrap();
    told.iter().filter(|(found, _)| found == function).map(|(_, data)| text(data, "name")).collect()
}

/// Has the target of a pool be a launcher's, with these servers around it.
fn offer_to_launcher(pool: &Pool, gearman: u16, publisher: u16) {
    let path = pool.folder.path().join("nodepool.yaml");
    let yaml = std::fs::read_to_string(&path).unwrap();
    let target = format!(
        "  - name: zuul\n    assign-via-gearman: true\n\
         gearman-servers:\n  - host: 127.0.0.1\n    port: {gearman}\n\
         zmq-publishers:\n  - tcp://127.0.0.1:{publisher}\n"
    );
    std::fs::write(path, yaml.replace("  - name: local\n", &target)).unwrap();
}

async fn publish(publisher: &mut PubSocket, topic: &str, node: &str) {
    let build = json!({"name": "gate-x", "build": {"node_name": node, "status": "SUCCESS"}});
    publisher.send(format!("{topic} {build}").into()).await.unwrap();
}

#[tokio::test]
async fn a_launcher_takes_nodes_and_gives_them_back() {
    let held = HeldPort::new();
    let port = held.port;
    let _server = gearmand(port);
    let mut publisher = PubSocket::new();
    let zeromq::Endpoint::Tcp(_, at) = publisher.bind("tcp://127.0.0.1:0").await.unwrap() else {
        panic!("not bound to TCP")
    };
    let settings = Settings { min_ready: 1, ..Settings::default() };
    let mut pool = Pool::new(&settings, &[]).await;
    offer_to_launcher(&pool, port, at);
    let told = Told::default();
    let connection = pool
        .until("gearmand listens", DEADLINE, async |_| {
            Connection::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
        })
        .await;
    let _launcher = AbortOnDropHandle::new(tokio::spawn(launch(connection, Arc::clone(&told))));
    pool.start();
    let node = pool.until_full(1, LONG).await.swap_remove(0);
    let (first, name) = (id(&node), text(&node, "nodename"));
    assert_eq!(names(&told, ASSIGN), [name.as_str()], "handed out once");
    let given = told.lock().unwrap()[0].1.clone();
    assert_eq!((text(&given, "host"), text(&given, "labels")), (text(&node, "ip"), "debian".to_owned()));

    // A job runs there. Who is not subscribed yet misses what is said, and what is said twice counts once.
    pool.until("the node is used", DEADLINE, async |pool| {
        publish(&mut publisher, "onStarted", &name).await;
        (pool.nodes_in("used").await.iter().any(|node| id(node) == first)).then_some(())
    })
    .await;
    assert!(names(&told, REVOKE).is_empty(), "not while its job runs");
    publish(&mut publisher, "onFinalized", &name).await;
    let next = pool
        .until("it is replaced", LONG, async |pool| {
            let nodes = pool.nodes().await;
            let full = nodes.len() == 1 && nodes[0]["state"] == "ready" && id(&nodes[0]) != first;
            full.then(|| text(&nodes[0], "nodename"))
        })
        .await;
    assert_eq!(names(&told, ASSIGN), [name.as_str(), &next]);
    assert_eq!(names(&told, REVOKE), [name.as_str()], "its launcher was told, once");
    pool.end().await;
}
