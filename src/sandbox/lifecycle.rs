//! What happens over time: a server boots, is snapshotted, reboots, goes. One task each, which ends when the
//! server is deleted or the sandbox stops.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use russh::keys::{HashAlg, PrivateKey, PublicKey};

use super::faults::Ssh;
use super::machine::Machine;
use super::state::{ImageStatus, Status};
use super::{Sandbox, cinder, floating, random, sshd, user_data};

/// Boots a server that was just created.
pub(crate) fn boot(sandbox: &Arc<Sandbox>, id: &str) {
    let (inside, id) = (Arc::clone(sandbox), id.to_string());
    sandbox.tasks.spawn(async move {
        let Some(machine) = inside.machine(&id) else { return };
        let gone = machine.gone.clone();
        gone.run_until_cancelled(booting(&inside, &id, &machine)).await;
    });
}

async fn booting(sandbox: &Arc<Sandbox>, id: &str, machine: &Arc<Machine>) {
    let Some(zone) = sandbox.cloud().server(id).map(|server| server.row.zone) else { return };
    let (time, error, ssh) = {
        let mut dice = sandbox.dice();
        (dice.duration(|faults| faults.boot_seconds), dice.boot_error(zone), dice.ssh())
    };
    let boot = async {
        for task in ["networking", "block_device_mapping", "spawning"] {
            task_state(sandbox, id, task);
            tokio::time::sleep(time.mul_f64(1.0 / 3.0)).await;
        }
    };
    if let Some(message) = error {
        boot.await;
        return fail(sandbox, id, message);
    }
    // What the making of the machine takes is a part of the time that was asked for, not more on top of it.
    let ((), made) = tokio::join!(boot, prepare(sandbox, id, machine));
    let host_key = match made {
        Ok(key) => key,
        Err(error) => {
            tracing::error!(%error, id, "a server could not be made");
            return fail(sandbox, id, format!("The sandbox could not make the server: {error}"));
        }
    };
    let (address_delay, ssh_delay, console_delay) = {
        let mut dice = sandbox.dice();
        (
            dice.duration(|faults| faults.address_seconds),
            dice.duration(|faults| faults.ssh_seconds),
            dice.duration(|faults| faults.console_seconds),
        )
    };
    active(sandbox, id, address_delay.is_zero());
    let public = host_key.public_key().clone();
    let speak = async {
        tokio::time::sleep(console_delay).await;
        if let Some(server) = sandbox.cloud().server(id) {
            server.console = console(id, machine.host_name(), &public);
        }
    };
    let show = async {
        tokio::time::sleep(address_delay).await;
        if let Some(server) = sandbox.cloud().server(id) {
            server.change(|row| row.address_shown = true);
        }
    };
    let listen = async {
        tokio::time::sleep(ssh_delay).await;
        match ssh {
            Ssh::Answers => sshd::serve(Arc::clone(machine), host_key).await,
            Ssh::IsMute => sshd::keep_silent(machine).await,
            Ssh::Refuses => {}
        }
    };
    tokio::join!(show, speak, listen);
}

fn task_state(sandbox: &Sandbox, id: &str, task: &'static str) {
    if let Some(server) = sandbox.cloud().server(id)
        && server.row.task_state != Some("deleting")
    {
        server.enter(Status::Build, Some(task));
    }
}

fn fail(sandbox: &Sandbox, id: &str, message: String) {
    if let Some(server) = sandbox.cloud().server(id) {
        let task = server.row.task_state.filter(|task| *task == "deleting");
        server.enter(Status::Error, task);
        server.row.fault = Some((Utc::now(), message));
    }
}

async fn prepare(sandbox: &Sandbox, id: &str, machine: &Machine) -> std::io::Result<PrivateKey> {
    let (image, key, host_key) = {
        let mut cloud = sandbox.cloud();
        let row = cloud.server(id).map(|server| server.row.clone());
        let row = row.ok_or(std::io::ErrorKind::NotFound)?;
        let image = cloud.images.get(&row.image_id).map(|image| image.folder.join("tree"));
        let image = image.ok_or_else(|| std::io::Error::other("its image was deleted"))?;
        let key = row
            .key_name
            .as_ref()
            .and_then(|name| cloud.keypairs.get(name).map(|pair| pair.public_key.clone()));
        let wished = row.user_data.as_deref().and_then(user_data::host_key);
        let host_key = wished.map_or_else(random::host_key, Ok).map_err(std::io::Error::other)?;
        (image, key, host_key)
    };
    machine.prepare(&image, host_key.public_key(), key.as_deref()).await?;
    Ok(host_key)
}

fn active(sandbox: &Sandbox, id: &str, with_address: bool) {
    let mut cloud = sandbox.cloud();
    let Some(server) = cloud.server(id) else { return };
    let task = server.row.task_state.filter(|task| *task == "deleting");
    server.enter(Status::Active, task);
    server.row.address_shown |= with_address;
    server.row.launched = Some(server.row.updated);
    server.console = vec![format!("[    0.000000] nodepool-sandbox server {id}")];
}

/// What cloud-init and the login prompt leave on a console.
fn console(id: &str, name: &str, host_key: &PublicKey) -> Vec<String> {
    [
        format!("[    0.000000] nodepool-sandbox server {id}"),
        format!("{name} systemd[1]: Started ssh.service - OpenBSD Secure Shell server."),
        "-----BEGIN SSH HOST KEY FINGERPRINTS-----".into(),
        format!("256 {} root@{name} (ED25519)", host_key.fingerprint(HashAlg::Sha256)),
        "-----END SSH HOST KEY FINGERPRINTS-----".into(),
        "-----BEGIN SSH HOST KEY KEYS-----".into(),
        format!("{} root@{name}", host_key.to_openssh().unwrap_or_default()),
        "-----END SSH HOST KEY KEYS-----".into(),
        format!("{name} login: "),
    ]
    .into()
}

/// Takes a server away after the delete time.
pub(crate) fn delete(sandbox: &Arc<Sandbox>, id: &str) {
    let (inside, id) = (Arc::clone(sandbox), id.to_string());
    sandbox.tasks.spawn(async move {
        let time = inside.dice().duration(|faults| faults.delete_seconds);
        pause(&inside, time).await;
        if let Some(machine) = inside.machine(&id) {
            machine.destroy().await;
        }
        let (port_stays, volume_stays) = inside.dice().left_behind();
        let mut cloud = inside.cloud();
        if let Some(server) = cloud.server(&id) {
            server.enter(Status::Deleted, None);
            server.row.terminated = Some(server.row.updated);
            let row = server.row.clone();
            if port_stays && row.address_shown {
                cloud.ports_left.extend(row.ports.iter().map(|port| (row.clone(), port.clone())));
            }
        }
        floating::leave(&mut cloud, &id);
        cinder::leave(&mut cloud, &id, volume_stays);
    });
}

/// Fills a queued image from a server's tree.
pub(crate) fn snapshot(sandbox: &Arc<Sandbox>, server: &str, image: &str) {
    let (inside, server, image) = (Arc::clone(sandbox), server.to_string(), image.to_string());
    sandbox.tasks.spawn(async move {
        let (time, fails) = {
            let mut dice = inside.dice();
            (dice.duration(|faults| faults.snapshot_seconds), dice.snapshot_error())
        };
        let Some(machine) = inside.machine(&server) else { return };
        // The disk is copied as it is now; what takes the time in a real cloud is to upload it.
        let folder = inside.place.image_folder(&image);
        let copied = machine.snapshot(&folder).await;
        image_status(&inside, &image, ImageStatus::Saving);
        let whole = machine.gone.run_until_cancelled(pause(&inside, time)).await.is_some();
        if let Err(error) = &copied {
            tracing::warn!(%error, image, "the snapshot failed");
        }
        let kept = whole && !fails && copied.is_ok() && image_status(&inside, &image, ImageStatus::Active);
        if !kept {
            // As Nova does when an upload fails, or the server goes before its end.
            inside.cloud().images.remove(&image);
            discard(&inside, folder);
        }
        if let Some(server) = inside.cloud().server(&server)
            && server.row.task_state == Some("image_snapshot")
        {
            server.enter(Status::Active, None);
        }
    });
}

fn image_status(sandbox: &Sandbox, id: &str, status: ImageStatus) -> bool {
    let mut cloud = sandbox.cloud();
    let Some(image) = cloud.images.get_mut(id) else { return false };
    image.status = status;
    image.updated = Utc::now();
    if status == ImageStatus::Active {
        image.size = Some(u64::try_from(image.min_disk_gb).unwrap_or(0) << 30);
    }
    true
}

/// Ends all processes of a server; it answers again at once.
pub(crate) fn reboot(sandbox: &Arc<Sandbox>, id: &str) {
    let (inside, id) = (Arc::clone(sandbox), id.to_string());
    sandbox.tasks.spawn(async move {
        if let Some(machine) = inside.machine(&id) {
            machine.stop().await;
        }
        if let Some(server) = inside.cloud().server(&id)
            && server.row.task_state == Some("rebooting")
        {
            server.enter(Status::Active, None);
        }
    });
}

/// Removes a folder that nothing refers to any more.
pub(crate) fn discard(sandbox: &Arc<Sandbox>, folder: PathBuf) {
    let place = Arc::clone(&sandbox.place);
    sandbox.tasks.spawn_blocking(move || {
        if let Err(error) = place.remove_tree(&folder) {
            tracing::warn!(%error, "an image's files could not be removed");
        }
    });
}

/// Sleeps, at most until the sandbox stops.
async fn pause(sandbox: &Sandbox, time: Duration) {
    let _ = sandbox.stop.run_until_cancelled(tokio::time::sleep(time)).await;
}
