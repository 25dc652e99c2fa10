//! How Nova shows a server, by microversion.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::{Microversion, time};
use crate::sandbox::state::{Cloud, Fixtures, ServerRow, Status};

/// What stands around a server in an answer.
pub(super) struct View<'a> {
    pub(super) base: &'a str,
    pub(super) cloud: &'a Cloud,
    pub(super) version: Microversion,
}

impl View<'_> {
    /// The `links` of a server.
    pub(super) fn links(&self, id: &str) -> Value {
        json!([{"rel": "self", "href": format!("{}/compute/v2.1/servers/{id}", self.base)},
            {"rel": "bookmark", "href": format!("{}/compute/servers/{id}", self.base)}])
    }

    /// A server in a listing without detail.
    pub(super) fn brief(&self, row: &ServerRow) -> Value {
        json!({"id": row.id, "name": row.name, "links": self.links(&row.id)})
    }

    /// A server with everything that a project's member sees.
    pub(super) fn detail(&self, row: &ServerRow) -> Value {
        let mut shown = json!({
            "id": row.id, "name": row.name, "status": row.status.name(), "links": self.links(&row.id),
            "tenant_id": self.cloud.fixtures.project, "user_id": self.cloud.fixtures.user, "metadata": row.metadata,
            "hostId": host_id(row), "image": self.image(row), "flavor": self.flavor(row),
            "created": time(row.created), "updated": time(row.updated), "key_name": row.key_name,
            "addresses": addresses(row, &self.cloud.fixtures), "accessIPv4": "", "accessIPv6": "",
            "config_drive": if row.config_drive { "True" } else { "" },
            "OS-DCF:diskConfig": "MANUAL", "OS-EXT-AZ:availability_zone": zone(row),
            "OS-EXT-STS:task_state": row.task_state, "OS-EXT-STS:vm_state": row.status.vm_state(),
            "OS-EXT-STS:power_state": row.status.power_state(),
            "OS-SRV-USG:launched_at": row.launched.map(usage_time),
            "OS-SRV-USG:terminated_at": row.terminated.map(usage_time),
            "os-extended-volumes:volumes_attached": self.volumes(row),
        });
        if let Some(fields) = shown.as_object_mut() {
            self.by_state(row, fields);
            self.by_version(row, fields);
        }
        shown
    }

    fn by_state(&self, row: &ServerRow, fields: &mut Map<String, Value>) {
        if matches!(row.status, Status::Build | Status::Active | Status::Reboot) {
            let progress = if row.status == Status::Build { 0 } else { 100 };
            fields.insert("progress".into(), json!(progress));
        }
        if row.status != Status::Build {
            fields.insert("security_groups".into(), json!(self.cloud.group_names(row)));
        }
        if let (Status::Error | Status::Deleted, Some((when, message))) = (row.status, &row.fault) {
            let fault = json!({"code": 500, "created": time(*when), "message": message});
            fields.insert("fault".into(), fault);
        }
    }

    fn by_version(&self, row: &ServerRow, fields: &mut Map<String, Value>) {
        let since: [(u16, &str, Value); 6] = [
            (9, "locked", json!(false)),
            (19, "description", json!(row.description)),
            (26, "tags", json!(row.tags)),
            (63, "trusted_image_certificates", Value::Null),
            (71, "server_groups", json!([])),
            (73, "locked_reason", Value::Null),
        ];
        for (minor, name, value) in since {
            if self.version >= Microversion(minor) {
                fields.insert(name.into(), value);
            }
        }
    }

    /// A server on a volume has no image of its own: the volume was made of it.
    fn image(&self, row: &ServerRow) -> Value {
        if row.volume.is_some() {
            return json!("");
        }
        let id = &row.image_id;
        let href = format!("{}/compute/images/{id}", self.base);
        json!({"id": id, "links": [{"rel": "bookmark", "href": href}]})
    }

    fn volumes(&self, row: &ServerRow) -> Value {
        let volume = row.volume.iter().map(|(id, _)| {
            if self.version >= Microversion(3) {
                json!({"id": id, "delete_on_termination": true})
            } else {
                json!({"id": id})
            }
        });
        volume.collect()
    }

    fn flavor(&self, row: &ServerRow) -> Value {
        let flavor = row.flavor;
        if self.version >= Microversion(47) {
            return json!({"original_name": flavor.name, "vcpus": flavor.cores, "ram": flavor.ram_mb,
                "disk": flavor.disk_gb, "ephemeral": 0, "swap": 0, "extra_specs": {}});
        }
        let href = format!("{}/compute/flavors/{}", self.base, flavor.id);
        json!({"id": flavor.id, "links": [{"rel": "bookmark", "href": href}]})
    }
}

/// The addresses of a server by network, empty until they are known.
pub(super) fn addresses(row: &ServerRow, fixtures: &Fixtures) -> Value {
    let mut shown = Map::new();
    if !row.address_shown || row.status == Status::Deleted {
        return Value::Object(shown);
    }
    for port in &row.ports {
        let Some(network) = fixtures.network(&port.network) else { continue };
        let one = |address: Ipv4Addr, kind: &str| json!({"addr": address, "version": 4, "OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": port.mac});
        let floating = port.floating.map(|address| one(address, "floating"));
        let addresses = [one(port.address, "fixed")].into_iter().chain(floating);
        if let Value::Array(list) = shown.entry(network.name.clone()).or_insert_with(|| json!([])) {
            list.extend(addresses);
        }
    }
    Value::Object(shown)
}

fn zone(row: &ServerRow) -> &'static str {
    if row.launched.is_some() { row.zone } else { "" }
}

fn host_id(row: &ServerRow) -> &'static str {
    // One host, the same for every server that was placed.
    if row.launched.is_some() { "5a6e3b0c9d1f4e7a8b2c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c" } else { "" }
}

/// `OS-SRV-USG` has its own way to write a time.
fn usage_time(when: chrono::DateTime<chrono::Utc>) -> String {
    when.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}
