//! A launcher that behaves as Zuul 2.5's zuul-launcher does, as far as nodes are handed to it.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gearman::Connection;
use gearman::protocol::{Packet, PacketType};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::server::{DEADLINE, admin, workers_of};

/// What a launcher does with a node that is assigned to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// It says who it is and takes the node.
    Takes,
    /// It refuses.
    Refuses,
    /// It fails with words.
    Fails,
    /// It says who it is, and nothing more.
    FallsSilent,
    /// It says nothing at all.
    IsMute,
    /// It goes away in the middle.
    Leaves,
    /// It says who it is, and then takes its time.
    TakesLate(Duration),
}

/// A launcher, until it is dropped.
pub(crate) struct Launcher {
    name: String,
    got: Arc<Mutex<Vec<(String, Value)>>>,
    _working: AbortOnDropHandle<()>,
}

impl Launcher {
    /// A launcher that registered its functions at the server on this port.
    pub(crate) async fn at(port: u16, name: &str, manners: Manners) -> Self {
        let end = Instant::now() + DEADLINE;
        let connection = loop {
            if let Some(connection) = registered(port, name).await {
                break connection;
            }
            if Instant::now() > end {
                let (status, workers) = (admin(port, "status").await, admin(port, "workers").await);
                panic!("{name} is not known at the server:\n{status}{workers}");
            }
        };
        let got = Arc::new(Mutex::new(Vec::new()));
        let working = tokio::spawn(work(connection, name.to_owned(), manners, Arc::clone(&got)));
        Self { name: name.to_owned(), got, _working: AbortOnDropHandle::new(working) }
    }

    /// What it was told, by function.
    pub(crate) fn got(&self) -> Vec<(String, Value)> {
        self.got.lock().unwrap().clone()
    }

    /// The name of the node that it was told to give back, once it was.
    pub(crate) async fn revoked(&self) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let function = format!("node_revoke:{}", self.name);
            if let Some((_, data)) = self.got().into_iter().find(|(found, _)| *found == function) {
                return data["name"].clone();
            }
            assert!(Instant::now() < end, "nothing was revoked");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A connection whose functions the server knows. Nobody answers to what they are told with, and once in a great many times a
/// server that has just started has not heard it: then it is said again on another connection.
async fn registered(port: u16, name: &str) -> Option<Connection> {
    let mut connection = Connection::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let revoke = format!("node_revoke:{name}");
    for function in ["node_assign:zuul", &revoke] {
        say(&mut connection, PacketType::CanDo, &[function.as_bytes()]).await;
    }
    let end = Instant::now() + DEADLINE / 6;
    while workers_of(port, &revoke).await == 0 {
        if Instant::now() > end {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some(connection)
}

async fn say(connection: &mut Connection, kind: PacketType, arguments: &[&[u8]]) {
    let arguments = arguments.iter().map(|argument| Bytes::copy_from_slice(argument)).collect();
    connection.send(Packet::request(kind, arguments)).await.unwrap();
}

async fn work(
    mut connection: Connection,
    name: String,
    manners: Manners,
    got: Arc<Mutex<Vec<(String, Value)>>>,
) {
    say(&mut connection, PacketType::GrabJobUniq, &[]).await;
    while let Ok(Some(packet)) = connection.recv().await {
        match packet.ptype {
            PacketType::NoJob => say(&mut connection, PacketType::PreSleep, &[]).await,
            PacketType::Noop => say(&mut connection, PacketType::GrabJobUniq, &[]).await,
            PacketType::JobAssignUniq => {
                let (handle, function) = (packet.args[0].clone(), packet.arg_str(1).unwrap().to_owned());
                let data = serde_json::from_slice(&packet.args[3]).expect("JSON");
                got.lock().unwrap().push((function.clone(), data));
                if function.starts_with("node_revoke:") {
                    say(&mut connection, PacketType::WorkComplete, &[&handle, b""]).await;
                } else if !assign(&mut connection, &handle, &name, manners).await {
                    return;
                }
                say(&mut connection, PacketType::GrabJobUniq, &[]).await;
            }
            other => panic!("a server says {other:?} to a worker"),
        }
    }
}

/// Does what its manners are; false when it leaves.
async fn assign(connection: &mut Connection, handle: &[u8], name: &str, manners: Manners) -> bool {
    let who = json!({"manager": name}).to_string();
    match manners {
        Manners::Refuses => say(connection, PacketType::WorkFail, &[handle]).await,
        Manners::Fails => say(connection, PacketType::WorkException, &[handle, b"no room"]).await,
        Manners::IsMute => {}
        Manners::Leaves => return false,
        Manners::Takes | Manners::FallsSilent | Manners::TakesLate(_) => {
            say(connection, PacketType::WorkData, &[handle, who.as_bytes()]).await;
            if let Manners::TakesLate(pause) = manners {
                tokio::time::sleep(pause).await;
            }
            if manners != Manners::FallsSilent {
                say(connection, PacketType::WorkComplete, &[handle, b""]).await;
            }
        }
    }
    true
}
