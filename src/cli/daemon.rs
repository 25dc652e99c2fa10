//! Asking the daemon that runs what it alone knows: its last plan, which was made from listings that no store has.
//!
//! The daemon leaves the address of its web port beside its database, or in it where that is on a server. The CLI asks there, and nowhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Failure, Session};
use crate::bell;
use crate::http;
use crate::store::{ENGINE_LEASE, Store};

/// How long the daemon may take to answer: as long as it gives its own answers.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most that is read of an answer, in bytes.
const LARGEST: usize = 32 << 20;

/// Why the daemon does not answer.
#[derive(Debug, Default, Deserialize)]
struct Refused {
    error: String,
}

impl Session {
    /// What the daemon answers at this path of its web port.
    pub(super) async fn ask_daemon<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let address = self.web_address().await?;
        let url = format!("http://{address}{path}");
        let unreachable = |text: String| {
            Failure::unreachable(
                format!("nodepoold does not answer at {url}: {text}"),
                "run this on the machine of nodepoold; its log says whether it serves there",
            )
        };
        let client = http::client(DEADLINE).no_proxy().timeout(DEADLINE).build();
        let client = client.map_err(|error| unreachable(http::in_words(error)))?;
        let mut question = client.get(&url);
        if let Some(token) = &self.token {
            question = question.bearer_auth(token.expose_secret());
        }
        let answer = question.send().await.map_err(|error| unreachable(http::in_words(error)))?;
        let status = answer.status();
        let body = http::whole(answer, LARGEST).await.map_err(&unreachable)?;
        if matches!(status.as_u16(), 401 | 403) {
            return Err(self.unknown(&url, &body));
        }
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            return Err(unreachable(format!("{status}: {}", super::table::one_line(text.trim()))));
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::unreachable(
                format!("the answer at {url} makes no sense: {error}"),
                "use the `nodepool` that came with the `nodepoold` that runs",
            )
        })
    }

    /// The page is bound beyond this machine, and we do not show the token that it wants.
    fn unknown(&self, url: &str, body: &[u8]) -> Failure {
        let told: Refused = serde_json::from_slice(body).unwrap_or_default();
        let next = if self.token.is_some() {
            "the token of our secure.conf is not that of the running nodepoold: name its file with -s, or have it read the \
             newer one (systemctl reload nodepoold)"
        } else {
            "write `read-token = ...` into the section [web] of secure.conf, which nodepoold takes up by itself, and run this as \
             a user who can read that file, or name it with -s"
        };
        Failure::unreachable(
            format!("nodepoold at {url} wants a token: {}", super::table::one_line(told.error.trim())),
            next,
        )
    }

    /// Where the daemon serves.
    async fn web_address(&self) -> Result<SocketAddr, Failure> {
        if !self.daemon_is_alive().await? {
            return Err(Failure::unreachable(
                "nodepoold does not run on this store, and only it knows what it is about to do",
                "start it, or name the configuration that it runs with (plan: --running FILE); `nodepool info` shows what the \
                 store itself tells",
            ));
        }
        let announced = match self.file() {
            Some(file) => bell::page(file),
            None if self.store.is_shared() => announced(&self.store).await?,
            None => Ok(None),
        };
        match announced {
            Ok(Some(address)) => Ok(reachable(address)),
            Ok(None) => Err(Failure::unreachable(
                "nodepoold serves no web port, and only over that it tells what it is about to do",
                "start it without --no-webapp",
            )),
            Err(error) => Err(Failure::unreachable(
                format!("where nodepoold serves cannot be read: {error}"),
                "run this as the user that nodepoold runs as",
            )),
        }
    }
}

/// What the daemon that holds the lease said in a database on a server.
async fn announced(store: &Store) -> Result<io::Result<Option<SocketAddr>>, Failure> {
    let holder = store.lease(ENGINE_LEASE).await?.map(|lease| lease.holder);
    let page = store.page().await?.filter(|page| Some(&page.holder) == holder.as_ref());
    let address = page.map(|page| page.address).filter(|address| !address.is_empty());
    Ok(address.map(|address| address.parse().map_err(io::Error::other)).transpose())
}

/// A port that is served everywhere is served here, too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let here: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(here, address.port())
}
