//! End to end: a server is booted from the newest image of a provider, logged in to, and deleted.
//!
//! It carries our mark and belongs to no row, so that what a check leaves behind that was broken off is found and deleted
//! by the daemon like every leak. A daemon that runs may also delete it while a slow check still goes on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::clouds::trouble;
use super::{CloudDoor, End, Finding, nodes};
use crate::cloud::{BootImage, CloudError, NetworkChoice, ServerRequest, UserData};
use crate::config::{NetworkName, Provider, ProviderImage};
use crate::model::{Image, ImageState, Owner, Server, ServerStatus, Tag};
use crate::plan::{Lack, Wanted, reach};
use crate::remote::{Endpoint, Remote, Trust};

/// The pause between two looks at a server.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a cloud may take to delete a server.
const DELETION: Duration = Duration::from_secs(120);

/// Boots, reaches and deletes a server at a provider.
pub(super) async fn look(
    provider: &Provider,
    door: Arc<dyn CloudDoor>,
    remote: Arc<dyn Remote>,
    installation: &str,
    images: &[Image],
) -> Vec<Finding> {
    let leg = format!("cloud {}", provider.name);
    let newest = images
        .iter()
        .filter(|row| row.provider == provider.name && row.state == ImageState::Ready)
        .filter_map(|row| Some((row, provider.image(&row.image)?, row.external_id.as_ref()?)))
        .max_by_key(|(row, ..)| row.version);
    let Some((row, image, snapshot)) = newest else {
        let next = "look again when an image is ready: `nodepool image-list`";
        return vec![Finding::doubtful(&leg, "boot", "no image is ready, so no server was booted", next)];
    };
    let began = Instant::now();
    let request = request(provider, image, row, snapshot, installation);
    let id = match door.create_server(&request).await {
        Ok(id) => id,
        Err(error) => return vec![trouble(&leg, "boot", &error)],
    };
    let booted = await_server(&leg, provider, image, door.as_ref(), &id).await;
    let mut found = match booted {
        Err(finding) => vec![finding],
        Ok(server) => log_in(&leg, provider, image, &server, remote.as_ref(), began).await,
    };
    found.push(delete(&leg, door.as_ref(), &id).await);
    found
}

fn request(
    provider: &Provider,
    image: &ProviderImage,
    row: &Image,
    snapshot: &str,
    installation: &str,
) -> ServerRequest {
    let networks = provider.networks.iter().map(|network| match &network.wanted {
        NetworkName::Id(id) => NetworkChoice::Id(id.clone()),
        NetworkName::Name(name) => NetworkChoice::Name(name.clone()),
    });
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    ServerRequest {
        name: format!("{}-doctor", row.hostname),
        image: BootImage::Id(snapshot.to_owned()),
        min_ram: image.min_ram,
        name_filter: image.name_filter.clone(),
        az: row.az.clone(),
        networks: networks.collect(),
        keypair: image.key_name.clone(),
        config_drive: image.config_drive,
        security_groups: provider.security_groups.clone(),
        user_data: image.user_data.clone().map(UserData),
        boot_volume_gib: image.boot_volume_gib,
        tag: Tag {
            installation: installation.to_owned(),
            owner: Owner::Verifier(row.id),
            attempt: format!("doctor-{now}"),
        },
        provider: provider.name.clone(),
        image_name: image.name.clone(),
    }
}

/// Waits until the server runs.
async fn await_server(
    leg: &str,
    provider: &Provider,
    image: &ProviderImage,
    door: &dyn CloudDoor,
    id: &str,
) -> Result<Server, Finding> {
    let deadline = Instant::now().checked_add(provider.launch_timeout);
    let wanted = Wanted::of(provider, &image.name);
    let mut last = "the cloud does not list it".to_owned();
    loop {
        match door.servers(None).await {
            Ok(servers) => match servers.into_iter().find(|server| server.id == id) {
                Some(server) if server.status == ServerStatus::Error => {
                    let text = format!("the server ended in ERROR: {}", server.fault.unwrap_or_default());
                    let next = "look for a hypervisor with room, and at the zone; ask the cloud's operators";
                    return Err(Finding::wrong(leg, "boot", text, End::There, next));
                }
                Some(server) if server.status == ServerStatus::Active => {
                    match reach(&server, None, &wanted) {
                        Ok(_) | Err(Lack::FloatingIp) => return Ok(server),
                        Err(lack) => last = format!("it is ACTIVE and {lack}"),
                    }
                }
                Some(server) => last = format!("it is {:?}", server.status),
                None => {}
            },
            Err(error) => last = error.to_string(),
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            let text = format!(
                "not up within the launch-timeout of {} s: {last}",
                provider.launch_timeout.as_secs()
            );
            let next = "see `openstack server show`; a slow cloud needs a longer `launch-timeout`";
            return Err(Finding::wrong(leg, "boot", text, End::There, next));
        }
        sleep(PAUSE).await;
    }
}

async fn log_in(
    leg: &str,
    provider: &Provider,
    image: &ProviderImage,
    server: &Server,
    remote: &dyn Remote,
    began: Instant,
) -> Vec<Finding> {
    let up = format!("a server of image {} was up after {} s", image.name, began.elapsed().as_secs());
    let mut found = vec![Finding::good(leg, "boot", up)];
    let Ok(way) = reach(server, None, &Wanted::of(provider, &image.name)) else {
        let next = "look at a node that is ready: this check takes no floating IP";
        found.push(Finding::doubtful(leg, "ssh", "it needs a floating IP, so it was not logged in to", next));
        return found;
    };
    let endpoint = Endpoint {
        address: way.connect,
        port: image.ssh_port,
        users: vec![image.username.clone()],
        private_key: image.private_key.clone(),
        trust: Trust::FirstContact,
        patience: provider.boot_timeout,
    };
    found.push(match remote.connect(&endpoint).await {
        Ok(_) => Finding::good(leg, "ssh", format!("{} let {} in", way.connect, image.username)),
        Err(error) => nodes::trouble(leg, "ssh", &error),
    });
    found
}

/// Deletes the server and waits until the cloud does not list it any more.
async fn delete(leg: &str, door: &dyn CloudDoor, id: &str) -> Finding {
    let next =
        "the daemon deletes it as a leak; look again with `nodepool alien-list` and `openstack server list`";
    let deadline = Instant::now().checked_add(DELETION);
    match door.delete_server(id).await {
        Ok(()) | Err(CloudError::NotFound(_)) => {}
        Err(error) => {
            let text = format!("the server {id} was not deleted: {error}");
            return Finding::wrong(leg, "deletion", text, End::There, next);
        }
    }
    loop {
        let listed = door.servers(None).await;
        if listed.is_ok_and(|servers| !servers.iter().any(|server| server.id == id)) {
            return Finding::good(leg, "deletion", "the server is gone again");
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            let text = format!("the server {id} is not gone after {} s", DELETION.as_secs());
            return Finding::wrong(leg, "deletion", text, End::There, next);
        }
        sleep(PAUSE).await;
    }
}
