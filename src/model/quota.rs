//! How much of a cloud a project may have, and what of it a server takes.

use std::collections::BTreeMap;

/// Something that a project may only have so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Servers.
    Instances,
    /// Virtual processors of all servers.
    Cores,
    /// Memory of all servers, in MiB.
    Ram,
    /// Ports: one for each network of each server.
    Ports,
    /// Floating IPs.
    FloatingIps,
}

impl Resource {
    /// Every resource, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Instances, Self::Cores, Self::Ram, Self::Ports, Self::FloatingIps];

    /// The word for it in the metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::Cores => "cores",
            Self::Ram => "ram_mib",
            Self::Ports => "ports",
            Self::FloatingIps => "floating_ips",
        }
    }

    /// What it is called in texts for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::Cores => "cores",
            Self::Ram => "RAM in MiB",
            Self::Ports => "ports",
            Self::FloatingIps => "floating IPs",
        }
    }
}

/// How much of a resource a project may have, and how much it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The most that it may have; `None`: the cloud sets no limit.
    pub limit: Option<u64>,
    /// What it has, whoever made it.
    pub used: u64,
}

/// A size of servers that a cloud offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flavor {
    /// The cloud's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its memory in MiB.
    pub ram: u64,
    /// Its virtual processors.
    pub cores: u64,
}

/// What a cloud told of a project's limits. A resource that is left out is one that it did not tell of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// What it told, by resource.
    pub usage: BTreeMap<Resource, Usage>,
    /// The flavors that can be used.
    pub flavors: Vec<Flavor>,
}

impl Flavor {
    /// The flavor for a server that needs this much memory (MiB) and whose flavor's name holds `filter`: of those that
    /// fit the one with least memory, of equal ones the first by name.
    pub fn smallest<'f>(flavors: &'f [Self], min_ram: u32, filter: Option<&str>) -> Option<&'f Self> {
        let filter = filter.unwrap_or_default();
        let fits = flavors.iter().filter(|one| one.ram >= u64::from(min_ram) && one.name.contains(filter));
        fits.min_by_key(|one| (one.ram, &one.name))
    }
}
