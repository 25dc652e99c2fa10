//! A cloud: login, images, flavors, networks, quota, keypair.

use std::collections::BTreeSet;

use super::{CloudDoor, End, Finding};
use crate::cloud::{CloudError, NetworkChoice};
use crate::config::{ImageSource, NetworkName, Provider};
use crate::model::{Flavor, Quota, Resource, counted};

/// Looks at the cloud of a provider.
pub(super) async fn look(provider: &Provider, door: &dyn CloudDoor) -> Vec<Finding> {
    let leg = format!("cloud {}", provider.name);
    let servers = match door.servers(None).await {
        Ok(servers) => servers,
        // Without a login nothing else is worth a question.
        Err(error) => {
            return vec![trouble(&leg, "login and servers", &error).at(&provider.credentials.auth_url)];
        }
    };
    let ours = servers.iter().filter(|server| server.tag.is_some()).count();
    let text = format!(
        "logged in; {}, {ours} of them made by a nodepool",
        counted(servers.len(), "server", "servers")
    );
    let mut found = vec![Finding::good(&leg, "login and servers", text)];
    let (images, networks, quota) =
        tokio::join!(images(&leg, provider, door), networks(&leg, provider, door), door.quota());
    found.extend(images);
    found.extend(networks);
    match quota {
        Ok(quota) => found.extend(limits(&leg, provider, &quota)),
        Err(error) => found.push(trouble(&leg, "flavors and quota", &error)),
    }
    found.extend(keypairs(&leg, provider, door).await);
    found
}

/// The keypairs that the configuration names: that of builders, and those of nodes.
async fn keypairs(leg: &str, provider: &Provider, door: &dyn CloudDoor) -> Vec<Finding> {
    let of_nodes = provider.images.iter().filter_map(|image| image.key_name.as_deref());
    let of_nodes: BTreeSet<&str> = of_nodes.collect();
    let of_nodes = of_nodes.into_iter().map(|name| {
        (name, "so no node can be made that asks for it", "correct `key-name` of the images, or take it out")
    });
    let of_builders = provider.keypair.as_deref().map(|name| {
        let next = "correct `keypair`, or take it out: then each build makes its own";
        (name, "so no image can be built", next)
    });
    let named: Vec<_> = of_builders.into_iter().chain(of_nodes).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let known = match door.keypairs().await {
        Err(error) => return vec![trouble(leg, "keypair", &error)],
        Ok(known) => known,
    };
    let look = |(name, so, next): (&str, &str, &str)| {
        if known.iter().any(|known| known.name == name) {
            return Finding::good(leg, "keypair", format!("keypair {name} is there"));
        }
        Finding::wrong(leg, "keypair", format!("there is no keypair {name}, {so}"), End::Here, next)
    };
    named.into_iter().map(look).collect()
}

async fn images(leg: &str, provider: &Provider, door: &dyn CloudDoor) -> Vec<Finding> {
    let mut found = Vec::new();
    for image in &provider.images {
        let ImageSource::Snapshot { base_image, .. } = &image.source;
        let check = format!("base image of {}", image.name);
        found.push(match door.find_image(base_image).await {
            Ok(()) => Finding::good(leg, check, format!("{base_image} is there and active")),
            Err(CloudError::Rejected(text) | CloudError::NotFound(text)) => {
                let next = "correct `base-image`, or upload that image to the cloud";
                Finding::wrong(leg, check, text, End::Here, next)
            }
            Err(error) => trouble(leg, &check, &error),
        });
    }
    found
}

async fn networks(leg: &str, provider: &Provider, door: &dyn CloudDoor) -> Vec<Finding> {
    let mut found = Vec::new();
    for network in &provider.networks {
        let (name, choice) = match &network.wanted {
            NetworkName::Id(id) => (id, NetworkChoice::Id(id.clone())),
            NetworkName::Name(name) => (name, NetworkChoice::Name(name.clone())),
        };
        found.push(looked_up(leg, "network", name, door.find_network(&choice).await, "networks"));
    }
    if let Some(pool) = &provider.pool {
        found.push(looked_up(leg, "pool of floating IPs", pool, door.find_pool(pool).await, "pool"));
    }
    found
}

fn looked_up(leg: &str, check: &str, name: &str, answer: Result<(), CloudError>, key: &str) -> Finding {
    match answer {
        Ok(()) => Finding::good(leg, check, format!("{name} is there")),
        Err(CloudError::Rejected(text) | CloudError::NotFound(text)) => {
            let next =
                format!("correct `{key}` in the provider; `openstack network list` shows what there is");
            Finding::wrong(leg, check, text, End::Here, next)
        }
        Err(error) => trouble(leg, check, &error),
    }
}

/// The flavor of each image, and whether the quota allows what `max-servers` promises.
fn limits(leg: &str, provider: &Provider, quota: &Quota) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut largest: Option<&Flavor> = None;
    for image in &provider.images {
        let check = format!("flavor of {}", image.name);
        let filter = image.name_filter.as_deref();
        let Some(flavor) = Flavor::smallest(&quota.flavors, image.min_ram, filter) else {
            let named = filter.map_or_else(String::new, |filter| format!(" and `{filter}` in its name"));
            let text = format!("no flavor has {} MiB{named}", image.min_ram);
            let next = "correct `min-ram` or `name-filter`; `openstack flavor list` shows what there is";
            found.push(Finding::wrong(leg, check, text, End::Here, next));
            continue;
        };
        let text =
            format!("{} with {} MiB and {}", flavor.name, flavor.ram, counted(flavor.cores, "core", "cores"));
        found.push(Finding::good(leg, check, text));
        largest = largest.filter(|known| known.ram >= flavor.ram).or(Some(flavor));
    }
    let servers = u64::from(provider.max_servers.unwrap_or(0));
    let usual = Flavor::default();
    let flavor = largest.unwrap_or(&usual);
    for (resource, usage) in &quota.usage {
        let Some(limit) = usage.limit else { continue };
        let needed = match resource {
            Resource::Instances => servers,
            Resource::Cores => servers.saturating_mul(flavor.cores),
            Resource::Ram => servers.saturating_mul(flavor.ram),
            Resource::Ports => {
                servers.saturating_mul(u64::try_from(provider.networks.len().max(1)).unwrap_or(1))
            }
            Resource::FloatingIps if provider.pool.is_some() => servers,
            Resource::FloatingIps => 0,
        };
        let check = format!("quota of {}", resource.title());
        let text = format!("{} of {limit} are used; {needed} are needed for max-servers", usage.used);
        found.push(if usage.used >= limit && needed > 0 {
            let next = "delete what nobody needs (`nodepool alien-list` shows what is not ours), or ask for a higher quota";
            Finding::wrong(leg, check, text, End::There, next)
        } else if needed > limit {
            Finding::doubtful(leg, check, text, "lower `max-servers`, or ask the cloud for a higher quota")
        } else {
            Finding::good(leg, check, text)
        });
    }
    found
}

/// A call that failed: at which end, and what to do.
pub(super) fn trouble(leg: &str, check: &str, error: &CloudError) -> Finding {
    let (end, next) = match error {
        CloudError::AuthFailed(_) => (
            End::Here,
            "correct the credentials and the project in clouds.yaml or nodepool.yaml; `openstack token issue` tries them",
        ),
        CloudError::Transient(_) => (
            End::Between,
            "see whether `auth_url` and the URLs of the cloud's catalogue are reached from this machine, and its status page",
        ),
        CloudError::Throttled { .. } => (End::There, "wait; a higher `rate` makes fewer calls"),
        CloudError::Quota(_) => (End::There, "delete what nobody needs, or ask for a higher quota"),
        CloudError::NotFound(_) | CloudError::Rejected(_) => (
            End::There,
            "ask the cloud's operators about the request id; `nodepool --debug` shows the exchange",
        ),
    };
    Finding::wrong(leg, check, error.to_string(), end, next)
}
