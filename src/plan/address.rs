//! Which of a server's addresses to use.

use std::fmt;
use std::net::IpAddr;

use crate::config::{ConnectionAddress, NetworkName, Provider};
use crate::model::{Address, Server};

/// The addresses of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where to connect to.
    pub connect: IpAddr,
    /// The address by which the outside knows it; where it has none of that kind, the one to connect to.
    pub public: IpAddr,
    /// Its address on the inner network, when that is another one than `public`.
    pub private: Option<IpAddr>,
}

/// Which addresses of a server are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    connection: &'a ConnectionAddress,
    ipv6_preferred: bool,
    public_networks: Vec<&'a str>,
    has_pool: bool,
}

/// What a server lacks that shows no address of the kind that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Any address at all.
    Address,
    /// An address of the inner network.
    Private,
    /// An address of the network of this name.
    Network(String),
    /// A floating IP: it has inner addresses only, and its provider has a pool.
    FloatingIp,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("shows no address"),
            Self::Private => f.write_str("shows no private address (connection-address: private)"),
            Self::Network(name) => write!(f, "shows no address of network {name} (its connection-address)"),
            Self::FloatingIp => f.write_str("has no floating IP"),
        }
    }
}

impl<'a> Wanted<'a> {
    /// What is wanted of the servers of an image of a provider.
    pub fn of(provider: &'a Provider, image: &str) -> Self {
        const USUAL: &ConnectionAddress = &ConnectionAddress::Public;
        let public_networks = provider.networks.iter().filter(|network| network.public);
        Self {
            connection: provider.image(image).map_or(USUAL, |image| &image.connection_address),
            ipv6_preferred: provider.ipv6_preferred,
            public_networks: public_networks
                .map(|network| match &network.wanted {
                    NetworkName::Id(name) | NetworkName::Name(name) => name.as_str(),
                })
                .collect(),
            has_pool: provider.pool.is_some(),
        }
    }

    /// Any address, as the outside would choose.
    pub fn any(provider: &'a Provider) -> Self {
        Self { has_pool: false, ..Self::of(provider, "") }
    }

    fn is_public(&self, address: &Address) -> bool {
        address.network == "public" || self.public_networks.contains(&address.network.as_str())
    }
}

/// The addresses of a server, if the cloud shows those that are wanted. `floating` is the floating IP that leads to it
/// as the network service tells: what lists servers may learn of it much later.
///
/// As nodepool v0 chose: a preferred IPv6 address; a floating address; a network that is called or marked public; a
/// public address; and where no pool gives floating IPs, any IPv4 address, any address. The private address is the fixed
/// one of a network that is called private, or else the first inner one.
pub fn reach(server: &Server, floating: Option<IpAddr>, wanted: &Wanted<'_>) -> Result<Reach, Lack> {
    let usable = || server.addresses.iter().filter(|address| !link_local(address.ip));
    let v4 = || usable().filter(|address| address.ip.is_ipv4());
    if usable().next().is_none() {
        return Err(Lack::Address);
    }
    let outer = None
        .or_else(|| usable().find(|address| wanted.ipv6_preferred && address.ip.is_ipv6()).map(|one| one.ip))
        .or(floating)
        .or_else(|| v4().find(|address| address.floating).map(|one| one.ip))
        .or_else(|| v4().find(|address| wanted.is_public(address)).map(|one| one.ip))
        .or_else(|| v4().find(|address| !inner(address.ip)).map(|one| one.ip));
    let fixed = || v4().filter(|address| !address.floating);
    let private = None
        .or_else(|| fixed().find(|address| address.network == "private"))
        .or_else(|| fixed().find(|address| inner(address.ip)))
        .map(|address| address.ip);
    let connect = match wanted.connection {
        ConnectionAddress::Public => match outer {
            Some(outer) => outer,
            None if wanted.has_pool && v4().next().is_some() => return Err(Lack::FloatingIp),
            None => v4().next().or_else(|| usable().next()).ok_or(Lack::Address)?.ip,
        },
        ConnectionAddress::Private => private.ok_or(Lack::Private)?,
        ConnectionAddress::Network(name) => {
            let mut there: Vec<_> = usable().filter(|one| one.network == *name).collect();
            there.sort_by_key(|one| (one.floating, one.ip.is_ipv6() != wanted.ipv6_preferred));
            there.first().ok_or_else(|| Lack::Network(name.clone()))?.ip
        }
    };
    let public = outer.unwrap_or(connect);
    Ok(Reach { connect, public, private: private.filter(|private| *private != public) })
}

fn link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn inner(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerStatus;

    /// A server with addresses written as `NETWORK IP`, floating ones with a star at the end.
    fn server(addresses: &[&str]) -> Server {
        let address = |text: &&str| {
            let (network, ip) = text.split_once(' ').unwrap();
            Address {
                ip: ip.trim_end_matches('*').parse().unwrap(),
                network: network.to_owned(),
                floating: ip.ends_with('*'),
            }
        };
        Server {
            id: "s1".to_owned(),
            name: "s1".to_owned(),
            status: ServerStatus::Active,
            addresses: addresses.iter().map(address).collect(),
            fault: None,
            created: None,
            tag: None,
            az: None,
            volumes: Vec::new(),
        }
    }

    fn wanted<'a>(connection: &'a ConnectionAddress, public_networks: &[&'a str]) -> Wanted<'a> {
        let public_networks = public_networks.to_vec();
        Wanted { connection, ipv6_preferred: false, public_networks, has_pool: false }
    }

    /// Where to connect, the public and the private address, as one text; or what is missing.
    fn found(addresses: &[&str], floating: Option<&str>, wanted: &Wanted<'_>) -> String {
        let floating = floating.map(|ip| ip.parse().unwrap());
        match reach(&server(addresses), floating, wanted) {
            Ok(Reach { connect, public, private }) => {
                let private = private.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
                format!("{connect}, {public}, {private}")
            }
            Err(lack) => lack.to_string(),
        }
    }

    #[test]
    fn the_public_address_is_found_as_nodepool_v0_found_it() {
        let usual = wanted(&ConnectionAddress::Public, &[]);
        for (addresses, expected) in [
            (&["private 10.0.0.5", "private 192.0.2.5*"][..], "192.0.2.5, 192.0.2.5, 10.0.0.5"),
            (
                &["backend 10.1.0.5", "private 192.0.2.5*", "private 10.0.0.5"],
                "192.0.2.5, 192.0.2.5, 10.0.0.5",
            ),
            (&["lan 198.51.100.5", "public 10.68.0.5"], "10.68.0.5, 10.68.0.5, none"),
            (&["lan 10.0.0.5", "wan 198.51.100.5"], "198.51.100.5, 198.51.100.5, 10.0.0.5"),
            (&["lan 10.0.0.5"], "10.0.0.5, 10.0.0.5, none"),
            (&["lan 2001:db8::5"], "2001:db8::5, 2001:db8::5, none"),
            (&["lan fe80::5", "lan 169.254.0.5"], "shows no address"),
            (&[], "shows no address"),
        ] {
            assert_eq!(found(addresses, None, &usual), expected, "{addresses:?}");
        }
    }

    #[test]
    fn ipv6_is_taken_where_it_is_preferred() {
        let preferred = Wanted { ipv6_preferred: true, ..wanted(&ConnectionAddress::Public, &[]) };
        let both = ["lan 10.0.0.5", "lan 2001:db8::5", "lan 192.0.2.5*"];
        assert_eq!(found(&both, None, &preferred), "2001:db8::5, 2001:db8::5, 10.0.0.5");
        assert_eq!(found(&["lan 10.0.0.5"], None, &preferred), "10.0.0.5, 10.0.0.5, none");
    }

    #[test]
    fn a_network_may_be_marked_public() {
        let marked = wanted(&ConnectionAddress::Public, &["campus"]);
        let addresses = ["lan 10.0.0.5", "campus 10.1.0.5"];
        assert_eq!(found(&addresses, None, &marked), "10.1.0.5, 10.1.0.5, 10.0.0.5");
    }

    #[test]
    fn a_pool_is_for_servers_with_inner_addresses_only() {
        let pool = Wanted { has_pool: true, ..wanted(&ConnectionAddress::Public, &[]) };
        assert_eq!(found(&["lan 10.0.0.5"], None, &pool), "has no floating IP");
        assert_eq!(found(&["lan 10.0.0.5"], Some("192.0.2.5"), &pool), "192.0.2.5, 192.0.2.5, 10.0.0.5");
        assert_eq!(found(&["lan 198.51.100.5"], None, &pool), "198.51.100.5, 198.51.100.5, none");
        let private = Wanted { has_pool: true, ..wanted(&ConnectionAddress::Private, &[]) };
        assert_eq!(found(&["lan 10.0.0.5"], None, &private), "10.0.0.5, 10.0.0.5, none");
    }

    #[test]
    fn an_image_may_be_reached_by_another_address() {
        let addresses = ["lan 10.0.0.5", "lan 192.0.2.5*", "mgmt 172.16.0.5"];
        let private = wanted(&ConnectionAddress::Private, &[]);
        assert_eq!(found(&addresses, None, &private), "10.0.0.5, 192.0.2.5, 10.0.0.5");
        assert_eq!(
            found(&["wan 192.0.2.5"], None, &private),
            "shows no private address (connection-address: private)"
        );
        let mgmt = ConnectionAddress::Network("mgmt".to_owned());
        assert_eq!(found(&addresses, None, &wanted(&mgmt, &[])), "172.16.0.5, 192.0.2.5, 10.0.0.5");
        let lan = ConnectionAddress::Network("lan".to_owned());
        assert_eq!(found(&addresses, None, &wanted(&lan, &[])), "10.0.0.5, 192.0.2.5, 10.0.0.5");
        let other = ConnectionAddress::Network("other".to_owned());
        let lack = "shows no address of network other (its connection-address)";
        assert_eq!(found(&addresses, None, &wanted(&other, &[])), lack);
    }
}
