//! Nova: servers, snapshots, keypairs and flavors.

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::debug;

use super::catalog::Service::Compute;
use super::connection::{Call, Connection};
use super::failure::Failure;
use super::lenient::{lenient, lenient_list, whole_seconds};
use super::mark;
use super::microversion::Microversion;
use super::order::Order;
use super::pages::{Entry, Page};
use super::server::{Link, ServersPage};
use super::transport::{Answer, LISTING_LIMIT};
use crate::cloud::{CloudError, SnapshotRequest};
use crate::model::{Flavor, Keypair, Server, ServerStatus, Timestamp};

/// The most servers of a listing that are asked for their fault.
const FAULTS: usize = 5;

/// A flavor as Nova lists it.
#[derive(Debug, Deserialize)]
struct WireFlavor {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    ram: u64,
    #[serde(default, deserialize_with = "lenient")]
    vcpus: Option<u64>,
    #[serde(rename = "OS-FLV-DISABLED:disabled", default, deserialize_with = "lenient")]
    disabled: Option<bool>,
}

impl Connection {
    /// All servers, or those that changed since then.
    pub(super) async fn servers(&self, changed_since: Option<Timestamp>) -> Result<Vec<Server>, CloudError> {
        let version = self.microversion(Microversion::SHOWS_TAGS).await?;
        let since = changed_since.and_then(whole_seconds).map(|text| ("changes-since", text));
        let filters: Vec<_> = since.into_iter().collect();
        let servers = self.list::<ServersPage>(Compute, &["servers", "detail"], version, &filters).await?;
        let mut servers: Vec<Server> = servers.into_iter().map(Server::from).collect();
        self.add_faults(&mut servers).await;
        Ok(servers)
    }

    /// Asks for the fault of servers of ours that are in ERROR for a reason that the listing does not tell.
    ///
    /// Nova reads the faults of a listing from one of its databases only (`InstanceList.fill_faults`). A server that no
    /// host had room for is kept in another one, cell0, so that just the most frequent fault is never listed; asked for
    /// the server alone, Nova tells it.
    async fn add_faults(&self, servers: &mut [Server]) {
        let unexplained = servers.iter_mut().filter(|server| {
            server.status == ServerStatus::Error && server.fault.is_none() && server.tag.is_some()
        });
        let asking = async {
            for server in unexplained.take(FAULTS) {
                server.fault = self.fault(&server.id).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(self.deadline(), asking).await {
            Ok(Ok(())) => {}
            // The listing is whole without it.
            Ok(Err(Failure { error, .. })) => debug!(%error, "the fault of a server was not told"),
            Err(_) => debug!("the fault of a server was not told in time"),
        }
    }

    async fn fault(&self, id: &str) -> Result<Option<String>, Failure> {
        let answer = self.call(&Call::new(Compute, Method::GET, &["servers", id])).await?;
        Ok(super::server::fault(&answer.body))
    }

    /// Asks for a server. Gives the id that Nova answers with and asks for nothing more: an answer that is lost on a
    /// second request must not lose the id.
    ///
    /// With tags, Nova wants to be told the networks. So where the choice is left to it, the server gets its metadata
    /// only.
    pub(super) async fn order_server(&self, order: &Order<'_>) -> Result<String, Failure> {
        let mut server = order.body()?;
        let mut version = None;
        if !order.networks.is_empty() {
            let networks = order.networks.iter().map(|id| json!({"uuid": id}));
            server.insert("networks".to_owned(), networks.collect());
            version = self.microversion(Microversion::TAGS_AT_CREATE).await?;
        }
        if version.is_some() {
            server.insert("tags".to_owned(), mark::tags(&order.request.tag).into());
        }
        let call = Call::new(Compute, Method::POST, &["servers"]).version(version);
        let answer = self.call(&call.json(&json!({"server": server}))).await?;
        let read: Result<Created, _> = serde_json::from_slice(&answer.body);
        Ok(read.map_err(|_| unreadable("the new server's id", &answer))?.server.id)
    }

    /// Asks for the deletion of a server.
    pub(super) async fn delete_server(&self, id: &str) -> Result<(), CloudError> {
        self.call(&Call::new(Compute, Method::DELETE, &["servers", id])).await?;
        Ok(())
    }

    /// Asks for a snapshot of a server and gives the image's id.
    pub(super) async fn create_snapshot(&self, request: &SnapshotRequest) -> Result<String, CloudError> {
        let version = self.microversion(Microversion::SNAPSHOT_ID).await?;
        let mut metadata: Map<String, Value> = Map::new();
        metadata.extend(request.meta.iter().map(|(key, value)| (key.clone(), value.clone().into())));
        metadata.extend(mark::metadata(&request.tag));
        metadata.insert(mark::SERVER.to_owned(), request.server_id.clone().into());
        let body = json!({"createImage": {"name": request.name, "metadata": metadata}});
        let path = ["servers", request.server_id.as_str(), "action"];
        let call = Call::new(Compute, Method::POST, &path).version(version).json(&body);
        let answer = self.call(&call).await.map_err(busy)?;
        let id = snapshot_id(&answer);
        id.ok_or_else(|| unreadable("the new image's id", &answer))
    }

    /// All keypairs of the user.
    pub(super) async fn keypairs(&self) -> Result<Vec<Keypair>, CloudError> {
        let call = Call::new(Compute, Method::GET, &["os-keypairs"]).limit(LISTING_LIMIT);
        let answer = self.call(&call).await.map_err(Failure::of_no_thing)?;
        let read: Result<Keypairs, _> = serde_json::from_slice(&answer.body);
        let keypairs = read.map_err(|_| unreadable("the listing of keypairs", &answer))?.keypairs;
        Ok(keypairs.into_iter().map(|one| Keypair { name: one.keypair.name }).collect())
    }

    /// Registers a public key; one that exists already is a success.
    pub(super) async fn create_keypair(&self, name: &str, public_key: &str) -> Result<(), CloudError> {
        let body = json!({"keypair": {"name": name, "public_key": public_key}});
        let outcome = self.call(&Call::new(Compute, Method::POST, &["os-keypairs"]).json(&body)).await;
        match outcome {
            Ok(_) | Err(Failure { status: Some(StatusCode::CONFLICT), error: CloudError::Rejected(_) }) => {
                Ok(())
            }
            Err(failure) => Err(failure.of_no_thing()),
        }
    }

    /// Deletes a keypair.
    pub(super) async fn delete_keypair(&self, name: &str) -> Result<(), CloudError> {
        self.call(&Call::new(Compute, Method::DELETE, &["os-keypairs", name])).await?;
        Ok(())
    }

    /// The flavors that can be used.
    pub(super) async fn flavors(&self) -> Result<Vec<Flavor>, CloudError> {
        let flavors = self.list::<FlavorsPage>(Compute, &["flavors", "detail"], None, &[]).await?;
        let usable = flavors.into_iter().filter(|flavor| flavor.disabled != Some(true));
        Ok(usable.map(Flavor::from).collect())
    }
}

/// Nova refuses a snapshot of a server that it is taking one of. That may be the one that we asked for before, when the
/// answer was lost: the caller has to look.
fn busy(failure: Failure) -> CloudError {
    match failure.error {
        CloudError::Rejected(text)
            if failure.status == Some(StatusCode::CONFLICT) && text.contains("task_state image_") =>
        {
            CloudError::Transient(text)
        }
        error => error,
    }
}

/// The id of a new image: in the body from microversion 2.45 on, before that at the end of a header's URL.
fn snapshot_id(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        image_id: String,
    }
    let in_body = serde_json::from_slice(&answer.body).ok().map(|Body { image_id }| image_id);
    in_body.or_else(|| {
        let location = answer.headers.get(LOCATION)?.to_str().ok()?;
        let id = location.trim_end_matches('/').rsplit('/').next()?;
        Some(id.to_owned()).filter(|id| !id.is_empty())
    })
}

/// The cloud said yes, but not what we need to know.
pub(super) fn unreadable(what: &str, answer: &Answer) -> CloudError {
    CloudError::Transient(format!("{} came without {what}", super::failure::text("an answer", answer, "")))
}

/// A page of `GET /flavors/detail`.
#[derive(Deserialize)]
struct FlavorsPage {
    flavors: Vec<WireFlavor>,
    #[serde(default, deserialize_with = "lenient_list")]
    flavors_links: Vec<Link>,
}

impl Page for FlavorsPage {
    type Entry = WireFlavor;

    fn open(self) -> (Vec<WireFlavor>, bool) {
        let follows = self.flavors_links.iter().any(Link::is_next);
        (self.flavors, follows)
    }
}

impl From<WireFlavor> for Flavor {
    fn from(wire: WireFlavor) -> Self {
        Self { id: wire.id, name: wire.name, ram: wire.ram, cores: wire.vcpus.unwrap_or(0) }
    }
}

impl Entry for WireFlavor {
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Deserialize)]
struct Created {
    server: CreatedServer,
}

#[derive(Deserialize)]
struct CreatedServer {
    id: String,
}

#[derive(Deserialize)]
struct Keypairs {
    keypairs: Vec<WireKeypair>,
}

#[derive(Deserialize)]
struct WireKeypair {
    keypair: KeypairName,
}

#[derive(Deserialize)]
struct KeypairName {
    name: String,
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let flavors = super::pages::fuzz::<FlavorsPage>(body).into_iter().map(Flavor::from);
    let created = serde_json::from_slice::<Created>(body).map(|created| created.server.id);
    let keypairs = serde_json::from_slice::<Keypairs>(body);
    let keypairs =
        keypairs.map(|all| all.keypairs.into_iter().map(|one| one.keypair.name).collect::<Vec<_>>());
    let answer = super::fuzz::answer(body);
    std::hint::black_box((flavors.collect::<Vec<_>>(), created.ok(), keypairs.ok(), snapshot_id(&answer)));
}
