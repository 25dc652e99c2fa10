//! Floating IPs of a cloud of the world. Each project may have as many as servers; a deleted server leaves its own behind.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use nodepool::cloud::{CloudError, FloatingIpRequest};
use nodepool::model::{Address, FloatingIp as Listed, NodeId, Owner, Tag, Timestamp};

use super::fault::Fault;
use super::{FloatingIp, State, quota};

/// All of the project that a listing shows.
pub fn listed(state: &State, provider: &str, at: Timestamp) -> Vec<Listed> {
    let there = state.floating_ips[provider].iter().filter(|(_, one)| one.exists(at));
    there
        .map(|(id, one)| Listed {
            id: id.clone(),
            ip: one.ip,
            tag: one.tag.clone(),
            server_attached: one.server.as_ref().is_some_and(|server| {
                state.servers[provider].get(server).is_some_and(|server| server.exists(at))
            }),
        })
        .collect()
}

/// Those that lead to a server, as the listing of servers shows them.
pub fn addresses(state: &State, provider: &str, server: &str, at: Timestamp) -> Vec<Address> {
    let there = state.floating_ips[provider].values().filter(|one| one.exists(at));
    there
        .filter(|one| one.server.as_deref() == Some(server))
        .map(|one| Address { ip: one.ip, network: "private".to_owned(), floating: true })
        .collect()
}

/// Makes one that leads to a server.
pub fn create(
    state: &mut State,
    provider: &str,
    request: &FloatingIpRequest,
    late: Duration,
) -> Result<String, CloudError> {
    expect_pool(state, provider);
    let now = state.now;
    if quota::floating_ips(state, provider) >= state.floating_quotas[provider] {
        state.refuse_for_quota(provider, "floating IP");
        return Err(CloudError::Quota("Quota exceeded for resources: ['floatingip'].".to_owned()));
    }
    let server = state.servers[provider].get(&request.server_id);
    let has_port = server.is_some_and(|server| {
        server.exists(now) && server.addressed.is_some_and(|addressed| addressed <= now)
    });
    if !has_port {
        return Err(CloudError::Rejected("the server has no port".to_owned()));
    }
    let made = state.floating_ips[provider].values();
    if made.filter(|one| one.exists(now)).any(|one| one.server.as_ref() == Some(&request.server_id)) {
        return Err(CloudError::Transient("that fixed IP already has a floating IP".to_owned()));
    }
    let (id, ip) = (state.id("floating"), address(state, provider));
    let one = FloatingIp {
        ip,
        tag: Some(request.tag.clone()),
        server: Some(request.server_id.clone()),
        appears: now.plus(late),
        gone: None,
    };
    state.floating_ips.get_mut(provider).expect("known").insert(id.clone(), one);
    Ok(id)
}

/// Where no pool is configured, nobody asks about floating IPs.
pub fn expect_pool(state: &mut State, provider: &str) {
    if !state.pools.contains(provider) {
        state.crimes.push(format!("a call about floating IPs at {provider}, which has no pool"));
    }
}

/// All of ours that exist: their provider, id, and what they were made for.
pub fn ours(state: &State) -> impl Iterator<Item = (&String, &String, &FloatingIp, Owner)> {
    state.floating_ips.iter().flat_map(|(provider, all)| {
        all.iter().filter(|(_, one)| one.exists(state.now)).filter_map(move |(id, one)| {
            let tag = one.tag.as_ref().filter(|tag| tag.installation != "another")?;
            Some((provider, id, one, tag.owner))
        })
    })
}

/// The server that answers at this address, where servers are reached by floating IPs.
pub fn leads_to(state: &State, provider: &str, address: IpAddr) -> Option<String> {
    let there = state.floating_ips[provider].values().filter(|one| one.exists(state.now));
    there.filter(|one| one.ip == address).find_map(|one| one.server.clone())
}

/// One appears that no row has, one vanishes, or the cloud has few left.
pub fn bad_luck(state: &mut State) {
    let pools: Vec<String> = state.pools.iter().cloned().collect();
    let Some(provider) = state.dice.pick(&pools).cloned() else { return };
    match state.dice.between(0, 2) {
        0 => leak(state, &provider),
        1 => {
            let quota = usize::try_from(state.dice.between(1, 7)).expect("small");
            state.room_lost(&provider);
            state.faults.count(Fault::QuotaShrinks);
            state.floating_quotas.insert(provider, quota);
        }
        _ => {
            let all: Vec<String> = ours(state).map(|(_, id, _, _)| id.clone()).collect();
            let Some(id) = state.dice.pick(&all).cloned() else { return };
            let now = state.now;
            let mut everywhere = state.floating_ips.values_mut();
            if let Some(one) = everywhere.find_map(|all| all.get_mut(&id)) {
                one.gone = Some(now);
                state.faults.count(Fault::FloatingIpLost);
            }
        }
    }
}

/// One that carries our tag and has no row.
fn leak(state: &mut State, provider: &str) {
    let Some(installation) = state.installation.clone() else { return };
    let (id, ip, appears) = (state.id("floating"), address(state, provider), state.now);
    let owner = Owner::Node(NodeId(1_000_000));
    let tag = Some(Tag { installation, owner, attempt: id.clone() });
    state.faults.count(Fault::FloatingIpLeaked);
    let one = FloatingIp { ip, tag, server: None, appears, gone: None };
    state.room_lost(provider);
    state.floating_ips.get_mut(provider).expect("known").insert(id, one);
}

/// Deletes one.
pub fn delete(state: &mut State, provider: &str, id: &str, late: Duration) -> Result<(), CloudError> {
    let now = state.now;
    let there = state.floating_ips.get_mut(provider).expect("known").get_mut(id);
    let Some(one) = there.filter(|one| one.exists(now)) else {
        return Err(state.unknown(id));
    };
    one.gone = Some(now.plus(late));
    if one.tag.as_ref().is_none_or(|tag| tag.installation == "another") {
        state.crimes.push(format!("floating IP {id}, which is not ours, was deleted"));
    }
    Ok(())
}

/// An address that no floating IP has. There are few, so that they come back.
fn address(state: &State, provider: &str) -> IpAddr {
    let all = state.floating_ips[provider].values();
    let taken: BTreeSet<_> =
        all.filter(|one| one.gone.is_none_or(|gone| gone > state.now)).map(|one| one.ip).collect();
    let net = if provider == "alpha" { 1 } else { 2 };
    (2..=250_u8)
        .map(|host| IpAddr::from([203, 0, net, host]))
        .find(|ip| !taken.contains(ip))
        .expect("the world has addresses enough")
}
