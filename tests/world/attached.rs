//! Ports and volumes of a cloud of the world. It makes them for servers by itself, and forgets some when it deletes those.

use std::time::Duration;

use nodepool::cloud::{CloudError, ServerRequest};
use nodepool::model::{NodeId, Owner, Port, Tag, Timestamp, Volume as Listed};

use super::fault::Fault;
use super::{Server, State};

/// A port of somebody else whose server is gone, and what it was called.
const FOREIGN_PORT: &str = "port-of-somebody";
const FOREIGN_SERVER: &str = "server-of-somebody";
/// Volumes of somebody else: one of another installation, and one that says nothing.
const FOREIGN_VOLUMES: [&str; 2] = ["volume-of-another", "volume-of-somebody"];

/// What outlives servers.
#[derive(Default)]
pub struct Attached {
    /// Ports that the cloud forgot, by provider and then by server, and when they went.
    ports: std::collections::BTreeMap<(String, String), Option<Timestamp>>,
    /// All volumes that ever were, by provider and then by id.
    volumes: std::collections::BTreeMap<(String, String), Volume>,
}

/// The volume that a server boots from.
struct Volume {
    server: String,
    tag: Option<Tag>,
    /// Whether the cloud forgot it.
    left: bool,
    gone: Option<Timestamp>,
}

impl Volume {
    fn exists(&self, server: Option<&Server>, at: Timestamp) -> bool {
        server.is_some_and(|server| server.exists(at))
            || (self.left
                && server.is_some_and(|server| was_there(server, at))
                && self.gone.is_none_or(|gone| at < gone))
    }

    /// Whether the cloud still calls it attached. What it forgot before it was marked is.
    fn is_attached(&self, server: Option<&Server>, at: Timestamp) -> bool {
        server.is_some_and(|server| server.exists(at)) || self.tag.is_none()
    }
}

fn was_there(server: &Server, at: Timestamp) -> bool {
    server.gone.is_some_and(|gone| gone <= at)
}

/// Makes the volume of a server that boots from one.
pub fn create(state: &mut State, provider: &str, server: &str, request: &ServerRequest) {
    if request.boot_volume_gib.is_some() {
        let volume = Volume { server: server.to_owned(), tag: None, left: false, gone: None };
        state.attached.volumes.insert((provider.to_owned(), format!("volume-{server}")), volume);
    }
}

/// The volumes of a server, as the listing of servers shows them.
pub fn of_server(state: &State, provider: &str, server: &str) -> Vec<String> {
    let id = format!("volume-{server}");
    let key = (provider.to_owned(), id.clone());
    state.attached.volumes.contains_key(&key).then_some(id).into_iter().collect()
}

/// A server is deleted, and some of the time the cloud forgets what it made for it.
pub fn leave(state: &mut State, provider: &str, server: &str) {
    if state.strikes(Fault::PortForgotten, 12) {
        state.attached.ports.insert((provider.to_owned(), server.to_owned()), None);
    }
    let key = (provider.to_owned(), format!("volume-{server}"));
    if state.attached.volumes.contains_key(&key) && state.strikes(Fault::VolumeForgotten, 25) {
        state.attached.volumes.entry(key).and_modify(|known| known.left = true);
    }
}

/// All ports of the project that a listing shows.
pub fn ports(state: &State, provider: &str, at: Timestamp) -> Vec<Port> {
    let port = |id: String, server: &str| Port { id, server_id: server.to_owned(), tag: None };
    let of_servers = state.servers[provider].iter().filter(|(id, server)| {
        let forgotten = state.attached.ports.get(&(provider.to_owned(), (*id).clone()));
        let is_left = forgotten.is_some_and(|gone| gone.is_none_or(|gone| at < gone));
        server.exists(at) || (is_left && was_there(server, at))
    });
    let of_servers = of_servers.map(|(id, _)| port(format!("port-{id}"), id));
    of_servers.chain([port(FOREIGN_PORT.to_owned(), FOREIGN_SERVER)]).collect()
}

/// All volumes of the project that a listing shows.
pub fn volumes(state: &State, provider: &str, at: Timestamp) -> Vec<Listed> {
    let of_provider = state.attached.volumes.iter().filter(|((name, _), _)| name == provider);
    let ours = of_provider.filter_map(|((_, id), volume)| {
        let server = state.servers[provider].get(&volume.server);
        let attached = volume.is_attached(server, at);
        volume.exists(server, at).then(|| Listed {
            id: id.clone(),
            state: if attached { "in-use" } else { "available" }.to_owned(),
            servers: attached.then(|| volume.server.clone()).into_iter().collect(),
            tag: volume.tag.clone(),
            marked: volume.tag.is_some(),
        })
    });
    let another = Tag {
        installation: "another".to_owned(),
        owner: Owner::Node(NodeId(1)),
        attempt: "theirs".to_owned(),
    };
    let foreign = FOREIGN_VOLUMES.into_iter().zip([Some(another), None]).map(|(id, tag)| Listed {
        id: id.to_owned(),
        state: "available".to_owned(),
        servers: Vec::new(),
        marked: tag.is_some(),
        tag,
    });
    ours.chain(foreign).collect()
}

/// Deletes a port.
pub fn delete_port(
    state: &mut State,
    provider: &str,
    id: &str,
    server: &str,
    late: Duration,
) -> Result<(), CloudError> {
    let now = state.now;
    if id == FOREIGN_PORT {
        state.crimes.push(format!("port {id}, which is not ours, was deleted"));
    }
    if state.servers[provider].get(server).is_some_and(|server| server.exists(now)) {
        state.crimes.push(format!("the port of server {server}, which is there, was deleted"));
    }
    if id != format!("port-{server}") {
        state.crimes.push(format!("port {id} was taken for one of server {server}"));
    }
    match state.attached.ports.get_mut(&(provider.to_owned(), server.to_owned())) {
        Some(gone) if gone.is_none_or(|gone| now < gone) => {
            *gone = Some(now.plus(late));
            Ok(())
        }
        _ => Err(state.unknown(id)),
    }
}

/// Writes our mark on a volume.
pub fn mark_volume(state: &mut State, provider: &str, id: &str, tag: &Tag) -> Result<(), CloudError> {
    expect_volumes(state);
    let now = state.now;
    let key = (provider.to_owned(), id.to_owned());
    let server = state.attached.volumes.get(&key).map(|volume| volume.server.clone());
    let server = server.and_then(|server| state.servers[provider].get(&server).cloned());
    let right = server.as_ref().and_then(|server| server.tag.as_ref()) == Some(tag);
    let there = state.attached.volumes.get_mut(&key).filter(|volume| volume.exists(server.as_ref(), now));
    let Some(volume) = there else { return Err(CloudError::NotFound(format!("no volume {id}"))) };
    volume.tag = Some(tag.clone());
    if !right {
        state.crimes.push(format!("volume {id} was marked as what it is not"));
    }
    Ok(())
}

/// Deletes a volume that nobody has.
pub fn delete_volume(state: &mut State, provider: &str, id: &str, late: Duration) -> Result<(), CloudError> {
    expect_volumes(state);
    let now = state.now;
    if FOREIGN_VOLUMES.contains(&id) {
        state.crimes.push(format!("volume {id}, which is not ours, was deleted"));
    }
    let key = (provider.to_owned(), id.to_owned());
    let server = state.attached.volumes.get(&key).map(|volume| volume.server.clone());
    let server = server.and_then(|server| state.servers[provider].get(&server).cloned());
    let there = state.attached.volumes.get_mut(&key).filter(|volume| volume.exists(server.as_ref(), now));
    let Some(volume) = there else { return Err(state.unknown(id)) };
    if volume.is_attached(server.as_ref(), now) {
        return Err(CloudError::Rejected("Volume status must be available".to_owned()));
    }
    volume.gone = Some(now.plus(late));
    Ok(())
}

/// Where no image boots from a volume, nobody asks about volumes.
pub fn expect_volumes(state: &mut State) {
    if !state.boots_from_volumes {
        state.crimes.push("a call about volumes, although no image boots from one".to_owned());
    }
}

/// What servers of ours left behind and is still there.
pub fn left(state: &State) -> impl Iterator<Item = String> {
    let now = state.now;
    let ports = state.attached.ports.iter().filter(move |((provider, server), gone)| {
        let server = state.servers[provider].get(server);
        gone.is_none_or(|gone| now < gone) && server.is_some_and(|server| was_there(server, now))
    });
    let volumes = state.attached.volumes.iter().filter(move |((provider, _), volume)| {
        let server = state.servers[provider].get(&volume.server);
        volume.exists(server, now) && !server.is_some_and(|server| server.exists(now))
    });
    let ports = ports.map(|((_, server), _)| format!("the port of server {server}"));
    ports.chain(volumes.map(|((_, id), _)| id.clone()))
}
