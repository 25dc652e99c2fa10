//! A cloud of the world: it loses answers, answers late, lists the past, runs out of quota, deletes slowly, and breaks
//! servers.

use std::time::Duration;

use async_trait::async_trait;
use nodepool::cloud::{BootImage, Cloud, CloudError, FloatingIpRequest, ServerRequest, SnapshotRequest};
use nodepool::model::{
    Address, CloudImage, CloudImageStatus, FloatingIp, HostKey, Keypair, Port, Quota, Server as Listed,
    ServerStatus, Tag, Timestamp, Volume,
};

use super::fault::Fault;
use super::{Image, Server, State, World, attached, floating, host_key, quota};

/// One project on one cloud of the world.
pub struct SimulatedCloud {
    pub world: World,
    pub provider: String,
}

/// What becomes of a call.
enum Turn {
    /// It is done and answered.
    Answered,
    /// It never reached the cloud; the caller hears of it, or waits in vain.
    NeverArrived { heard: bool },
    /// It is done, perhaps later than it seems; the answer is lost, or the caller waits in vain.
    AnswerLost { heard: bool, late: Duration },
    /// The cloud asks to slow down.
    Throttled,
}

impl SimulatedCloud {
    /// Lets a call happen, with an effect that takes place `late` if chance wants it so.
    async fn call<T>(
        &self,
        operation: &'static str,
        effect: impl FnOnce(&mut State, Duration) -> Result<T, CloudError> + Send,
    ) -> Result<T, CloudError>
    where
        T: Send,
    {
        let (turn, latency) = {
            let mut state = self.world.lock();
            *state.calls.entry(operation).or_default() += 1;
            let turn = draw(&mut state);
            (turn, state.dice.millis(5, 400))
        };
        match turn {
            Turn::Answered => {
                let answer = effect(&mut self.world.lock(), Duration::ZERO);
                self.world.pass(latency).await;
                answer
            }
            Turn::Throttled => {
                self.world.pass(latency).await;
                Err(CloudError::Throttled {
                    text: "429".to_owned(),
                    retry_after: Some(Duration::from_secs(3)),
                })
            }
            Turn::NeverArrived { heard } => self.lose(heard, latency).await,
            Turn::AnswerLost { heard, late } => {
                // The answer is lost, so nobody will know whether this was accepted.
                let _ = effect(&mut self.world.lock(), late);
                self.lose(heard, latency).await
            }
        }
    }

    async fn lose<T>(&self, heard: bool, latency: Duration) -> Result<T, CloudError> {
        if !heard {
            self.world.never().await;
        }
        self.world.pass(latency).await;
        Err(CloudError::Transient("connection cut".to_owned()))
    }
}

fn draw(state: &mut State) -> Turn {
    if !state.faulty {
        return Turn::Answered;
    }
    let (fault, turn) = match state.dice.between(1, 100) {
        1..=3 => (Fault::CallLost, Turn::NeverArrived { heard: true }),
        4 => (Fault::CallHangs, Turn::NeverArrived { heard: false }),
        5..=8 => (Fault::AnswerLost, Turn::AnswerLost { heard: true, late: state.dice.millis(0, 20_000) }),
        9..=10 => (Fault::CallHangs, Turn::AnswerLost { heard: false, late: state.dice.millis(0, 20_000) }),
        11..=12 => (Fault::CallThrottled, Turn::Throttled),
        _ => return Turn::Answered,
    };
    state.faults.count(fault);
    turn
}

/// The moment that a listing shows: now, or a while ago.
fn shown_moment(state: &mut State) -> Timestamp {
    let is_late = state.strikes(Fault::ListingStale, 30);
    let lag = if is_late { state.dice.millis(0, 20_000) } else { Duration::ZERO };
    state.now.minus(lag)
}

#[async_trait]
impl Cloud for SimulatedCloud {
    async fn servers(&self, changed_since: Option<Timestamp>) -> Result<Vec<Listed>, CloudError> {
        let operation = if changed_since.is_some() { "list-changes" } else { "list-servers" };
        self.call(operation, |state, _| {
            let at = shown_moment(state);
            let servers = state.servers[&self.provider].iter().filter(|(_, server)| match changed_since {
                None => server.exists(at),
                Some(since) => server.appears <= at && server.changed(at).seconds() >= since.seconds(),
            });
            let listed = servers.map(|(id, server)| {
                let mut listed = listed(id, server, at);
                listed.volumes = attached::of_server(state, &self.provider, id);
                if server.exists(at) {
                    listed.addresses.extend(floating::addresses(state, &self.provider, id, at));
                }
                listed
            });
            Ok(listed.collect())
        })
        .await
    }

    async fn images(&self) -> Result<Vec<CloudImage>, CloudError> {
        self.call("list-images", |state, _| {
            let at = shown_moment(state);
            let there = |image: &Image| image.appears <= at && image.gone.is_none_or(|gone| at < gone);
            let images = state.images[&self.provider].iter().filter(|(_, image)| there(image));
            Ok(images
                .map(|(id, image)| CloudImage {
                    id: id.clone(),
                    name: Some(image.name.clone()),
                    status: if image.active.is_some_and(|active| active <= at) {
                        CloudImageStatus::Active
                    } else {
                        CloudImageStatus::Pending
                    },
                    created: Some(image.appears),
                    tag: image.tag.clone(),
                    snapshot: true,
                })
                .collect())
        })
        .await
    }

    async fn keypairs(&self) -> Result<Vec<Keypair>, CloudError> {
        self.call("list-keypairs", |state, _| {
            Ok(state.keypairs[&self.provider].iter().map(|name| Keypair { name: name.clone() }).collect())
        })
        .await
    }

    async fn create_server(&self, request: &ServerRequest) -> Result<String, CloudError> {
        self.call("create-server", |state, late| create(state, &self.provider, request, late)).await
    }

    async fn delete_server(&self, id: &str) -> Result<(), CloudError> {
        self.call("delete-server", |state, late| delete(state, &self.provider, id, late)).await
    }

    async fn create_snapshot(&self, request: &SnapshotRequest) -> Result<String, CloudError> {
        self.call("create-snapshot", |state, late| {
            let now = state.now;
            let server = state.servers[&self.provider].get(&request.server_id);
            if !server.is_some_and(|server| server.exists(now) && !server.is_broken(now)) {
                return Err(CloudError::NotFound("no such server".to_owned()));
            }
            let id = state.id("image");
            let saved = state.dice.millis(500, 30_000);
            let fails = state.strikes(Fault::SnapshotFails, 10);
            if state.strikes(Fault::ImageSpoilt, 10) {
                state.spoilt.insert(id.clone());
            }
            let appears = now.plus(late);
            let image = Image {
                name: request.name.clone(),
                tag: Some(request.tag.clone()),
                appears,
                active: (!fails).then(|| appears.plus(saved)),
                gone: fails.then(|| appears.plus(saved)),
            };
            state.images.get_mut(&self.provider).expect("known").insert(id.clone(), image);
            Ok(id)
        })
        .await
    }

    async fn delete_image(&self, id: &str) -> Result<(), CloudError> {
        self.call("delete-image", |state, late| {
            let (now, mut crime) = (state.now, None);
            let image = state.images.get_mut(&self.provider).expect("known").get_mut(id);
            let Some(image) = image.filter(|image| image.gone.is_none_or(|gone| now < gone)) else {
                return Err(state.unknown(id));
            };
            if image.tag.as_ref().is_none_or(|tag| tag.installation == "another") {
                crime = Some(format!("image {id}, which is not ours, was deleted"));
            }
            image.gone = Some(now.plus(late));
            state.crimes.extend(crime);
            Ok(())
        })
        .await
    }

    async fn create_keypair(&self, name: &str, _public_key: &str) -> Result<(), CloudError> {
        self.call("create-keypair", |state, _| {
            state.keypairs.get_mut(&self.provider).expect("known").insert(name.to_owned());
            Ok(())
        })
        .await
    }

    async fn delete_keypair(&self, name: &str) -> Result<(), CloudError> {
        self.call("delete-keypair", |state, _| {
            if name == "operator" {
                state.crimes.push("the operator's keypair was deleted".to_owned());
            }
            if state.keypairs.get_mut(&self.provider).expect("known").remove(name) {
                Ok(())
            } else {
                Err(state.unknown(name))
            }
        })
        .await
    }

    async fn floating_ips(&self) -> Result<Vec<FloatingIp>, CloudError> {
        self.call("list-floating-ips", |state, _| {
            floating::expect_pool(state, &self.provider);
            let at = shown_moment(state);
            Ok(floating::listed(state, &self.provider, at))
        })
        .await
    }

    async fn create_floating_ip(&self, request: &FloatingIpRequest) -> Result<String, CloudError> {
        self.call("create-floating-ip", |state, late| floating::create(state, &self.provider, request, late))
            .await
    }

    async fn delete_floating_ip(&self, id: &str) -> Result<(), CloudError> {
        self.call("delete-floating-ip", |state, late| floating::delete(state, &self.provider, id, late)).await
    }

    async fn ports(&self) -> Result<Vec<Port>, CloudError> {
        self.call("list-ports", |state, _| {
            let at = shown_moment(state);
            Ok(attached::ports(state, &self.provider, at))
        })
        .await
    }

    async fn delete_port(&self, id: &str, server_id: &str) -> Result<(), CloudError> {
        self.call("delete-port", |state, late| {
            attached::delete_port(state, &self.provider, id, server_id, late)
        })
        .await
    }

    async fn volumes(&self) -> Result<Vec<Volume>, CloudError> {
        self.call("list-volumes", |state, _| {
            attached::expect_volumes(state);
            let at = shown_moment(state);
            Ok(attached::volumes(state, &self.provider, at))
        })
        .await
    }

    async fn mark_volume(&self, id: &str, tag: &Tag) -> Result<(), CloudError> {
        self.call("mark-volume", |state, _| attached::mark_volume(state, &self.provider, id, tag)).await
    }

    async fn delete_volume(&self, id: &str) -> Result<(), CloudError> {
        self.call("delete-volume", |state, late| attached::delete_volume(state, &self.provider, id, late))
            .await
    }

    async fn quota(&self) -> Result<Quota, CloudError> {
        let asked = self.call("read-quota", |state, _| Ok((state.now, quota::told(state, &self.provider)?)));
        let (at, quota) = asked.await?;
        let mut state = self.world.lock();
        let heard = state.now;
        state.told.insert(self.provider.clone(), (at, heard));
        Ok(quota)
    }

    /// A console as cloud-init leaves it on a machine that came up.
    async fn console_log(&self, server_id: &str) -> Result<String, CloudError> {
        self.call("console-log", |state, _| {
            let now = state.now;
            let server = state.servers[&self.provider].get(server_id).filter(|server| server.exists(now));
            let server = server.ok_or_else(|| CloudError::NotFound("no such server".to_owned()))?;
            if server.answers.is_none_or(|answers| answers > now) {
                return Ok("[    0.000000] Linux version 6.1\n".to_owned());
            }
            let HostKey(key) = &server.host_key;
            Ok(format!(
                "[    0.000000] Linux version 6.1\n-----BEGIN SSH HOST KEY KEYS-----\n{key}\n\
                 -----END SSH HOST KEY KEYS-----\n"
            ))
        })
        .await
    }
}

fn listed(id: &str, server: &Server, at: Timestamp) -> Listed {
    let reached = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= at);
    let status = if reached(server.gone) {
        ServerStatus::Deleted
    } else if reached(server.broken) {
        ServerStatus::Error
    } else if reached(server.active) {
        ServerStatus::Active
    } else {
        ServerStatus::Build
    };
    let addresses = if reached(server.addressed) {
        vec![Address { ip: server.address, network: "private".to_owned(), floating: false }]
    } else {
        Vec::new()
    };
    Listed {
        id: id.to_owned(),
        name: server.name.clone(),
        fault: (status == ServerStatus::Error).then(|| "No valid host was found.".to_owned()),
        status,
        addresses,
        created: Some(server.appears),
        tag: server.tag.clone(),
        az: None,
        volumes: Vec::new(),
    }
}

fn create(
    state: &mut State,
    provider: &str,
    request: &ServerRequest,
    late: Duration,
) -> Result<String, CloudError> {
    let now = state.now;
    if quota::servers(state, provider) >= state.quotas[provider] {
        state.refuse_for_quota(provider, "server");
        return Err(CloudError::Quota("Quota exceeded for instances".to_owned()));
    }
    if let BootImage::Id(image) = &request.image {
        let image = state.images[provider].get(image);
        let usable = |image: &Image| {
            image.active.is_some_and(|active| active <= now) && image.gone.is_none_or(|gone| now < gone)
        };
        if !image.is_some_and(usable) {
            return Err(CloudError::Rejected("Can not find requested image".to_owned()));
        }
    }
    let (id, address) = (state.id("server"), state.address(provider));
    let appears = now.plus(late);
    let active = appears.plus(state.dice.millis(1_000, 20_000));
    let in_bad_zone = request.az.is_some() && request.az == state.bad_zone;
    state.failed_in_zone += u32::from(in_bad_zone);
    let error =
        state.strikes(Fault::ServerError, 5) || in_bad_zone || state.bad_flavor == Some(request.min_ram);
    let stuck = state.strikes(Fault::ServerStuck, 2);
    let mute = state.strikes(Fault::ServerMute, 5);
    let late_address = state.strikes(Fault::AddressLate, 10);
    if let BootImage::Id(image) = &request.image {
        state.booted.insert(id.clone(), image.clone());
    }
    let server = Server {
        name: request.name.clone(),
        tag: Some(request.tag.clone()),
        address,
        host_key: told_host_key(request).unwrap_or_else(|| host_key(&id)),
        appears,
        active: (!error && !stuck).then_some(active),
        addressed: Some(if late_address { active.plus(state.dice.millis(0, 10_000)) } else { active }),
        answers: (!mute).then(|| active.plus(state.dice.millis(100, 10_000))),
        broken: error.then_some(active),
        gone: None,
        deleted: false,
        leaked: false,
    };
    if state.known_to_us(provider) >= state.limit(provider) {
        state.crimes.push(format!("server {id} was created although all places at {provider} are taken"));
    }
    state.installation = Some(request.tag.installation.clone());
    if state.strikes(Fault::MadeTwice, 2) {
        make_twin(state, provider, &server);
    }
    state.servers.get_mut(provider).expect("known").insert(id.clone(), server);
    attached::create(state, provider, &id, request);
    Ok(id)
}

/// What stands before the cloud has sent the call on a second time, and nobody hears of it.
fn make_twin(state: &mut State, provider: &str, server: &Server) {
    let (id, address) = (state.id("twin"), state.address(provider));
    let twin = Server { address, host_key: host_key(&id), leaked: true, ..server.clone() };
    state.room_lost(provider);
    state.servers.get_mut(provider).expect("known").insert(id, twin);
}

/// The host key that user data gives to a new machine, as its cloud-init would take it from there.
fn told_host_key(request: &ServerRequest) -> Option<HostKey> {
    let text: &str = request.user_data.as_ref()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("ed25519_public: "))?;
    Some(HostKey(line.split(' ').take(2).collect::<Vec<_>>().join(" ")))
}

fn delete(state: &mut State, provider: &str, id: &str, late: Duration) -> Result<(), CloudError> {
    let now = state.now;
    let (slow, forgotten) =
        (state.strikes(Fault::DeletionSlow, 5), state.strikes(Fault::DeletionForgotten, 3));
    let takes = if slow { state.dice.millis(60_000, 300_000) } else { state.dice.millis(100, 8_000) };
    let held = state.held.get(id).is_some_and(|until| until.is_none_or(|until| now < until));
    let Some(server) =
        state.servers.get_mut(provider).expect("known").get_mut(id).filter(|server| server.exists(now))
    else {
        return Err(state.unknown(id));
    };
    let owner = server.tag.as_ref().map(|tag| tag.owner);
    let foreign = server.tag.as_ref().is_none_or(|tag| tag.installation == "another");
    let gone = now.plus(late).plus(takes);
    server.deleted = true;
    if !forgotten {
        server.gone = Some(server.gone.map_or(gone, |earlier| earlier.min(gone)));
    }
    if foreign {
        state.crimes.push(format!("server {id}, which is not ours, was deleted"));
    }
    if state.agents_of_ours().values().any(|agent| {
        agent.busy && agent.tag.as_ref().map(|tag| nodepool::model::Owner::Node(tag.node)) == owner
    }) {
        state.crimes.push(format!("server {id} was deleted while a job ran on its node"));
    }
    if held {
        state.crimes.push(format!("server {id} of a held node was deleted"));
    }
    attached::leave(state, provider, id);
    Ok(())
}
