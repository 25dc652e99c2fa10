//! Which of a server's addresses to use.

use std::net::IpAddr;

use crate::model::Server;

/// The addresses of a server that a node's row keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where to connect to.
    pub public: IpAddr,
    /// Its address on the inner network, when that is another one.
    pub private: Option<IpAddr>,
}

/// The addresses of a server, if the cloud shows any that can be used.
///
/// As nodepool v0 chose: a preferred IPv6 address; a floating address; the network named `public`; a public address;
/// any IPv4 address; any address.
pub fn reach(server: &Server, ipv6_preferred: bool) -> Option<Reach> {
    let usable = || server.addresses.iter().filter(|address| !link_local(address.ip));
    let v4 = || usable().filter(|address| address.ip.is_ipv4());
    let public = None
        .or_else(|| usable().find(|address| ipv6_preferred && address.ip.is_ipv6()))
        .or_else(|| v4().find(|address| address.floating))
        .or_else(|| v4().find(|address| address.network == "public"))
        .or_else(|| v4().find(|address| !inner(address.ip)))
        .or_else(|| v4().next())
        .or_else(|| usable().next())?
        .ip;
    let private = v4()
        .find(|address| address.network == "private" || (!address.floating && inner(address.ip)))
        .map(|address| address.ip)
        .filter(|private| *private != public);
    Some(Reach { public, private })
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
