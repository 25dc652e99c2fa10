//! One Gearman server: its connection, the question under way, and what it told last.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Limits;
use super::connection::{AdminConnection, Trouble};
use super::status::Status;

/// One server.
pub(super) struct Server {
    address: Address,
    limits: Limits,
    connection: Option<AdminConnection>,
    /// Goes on between two asks, so that a server that is slow is late and not unheard.
    under_way: Option<AbortOnDropHandle<Asked>>,
    /// Whether its last question took no longer than our patience: then it is worth waiting for.
    prompt: bool,
    told: Option<Told>,
    trouble: Option<String>,
    /// Whether it has been told to the log that what it told is too old.
    forgotten: bool,
    /// Whether some of its lines could not be read.
    garbled: bool,
}

#[derive(Clone)]
struct Address {
    host: String,
    port: u16,
}

/// What a server told, and when it was asked.
struct Told {
    asked: Instant,
    status: Status,
}

/// How a question ended.
struct Asked {
    at: Instant,
    took: Duration,
    connection: Option<AdminConnection>,
    answer: Result<Status, Trouble>,
}

impl Server {
    pub(super) fn new(host: String, port: u16, limits: Limits) -> Self {
        Self {
            address: Address { host, port },
            limits,
            connection: None,
            under_way: None,
            prompt: true,
            told: None,
            trouble: None,
            forgotten: false,
            garbled: false,
        }
    }

    pub(super) const fn is_prompt(&self) -> bool {
        self.prompt
    }

    /// Asks, unless it still owes an answer.
    pub(super) fn begin(&mut self) {
        if self.under_way.is_none() {
            let question = ask(self.address.clone(), self.connection.take(), self.limits);
            self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(question)));
        }
    }

    /// Waits for the answer and takes it in. Can be dropped and called again.
    pub(super) async fn answered(&mut self) {
        let Some(under_way) = self.under_way.as_mut() else { return };
        let asked = under_way.await;
        self.under_way = None;
        match asked {
            Ok(asked) => self.take_in(asked),
            Err(error) => self.failed(&Trouble::CutOff(error.to_string())),
        }
    }

    /// Takes in what has come by now, and forgets what is too old.
    pub(super) fn look(&mut self) {
        // `None` says that it is not there yet, and `under_way` says so too.
        let _ = self.answered().now_or_never();
        if self.under_way.is_some() {
            self.prompt = false;
        }
        if self.told.as_ref().is_some_and(|told| told.asked.elapsed() > self.limits.kept) {
            self.told = None;
        }
        if self.told.is_none() && self.trouble.is_some() && !self.forgotten {
            self.forgotten = true;
            tracing::warn!(target: "nodepool.target", server = %self, "the jobs of this Gearman server are not known, none are counted");
        }
    }

    fn take_in(&mut self, asked: Asked) {
        self.prompt = asked.took <= self.limits.patience;
        self.connection = asked.connection;
        match asked.answer {
            Ok(status) => self.succeeded(asked.at, status),
            Err(trouble) => self.failed(&trouble),
        }
    }

    fn succeeded(&mut self, asked: Instant, status: Status) {
        if self.trouble.take().is_some() {
            tracing::info!(target: "nodepool.target", server = %self, "the Gearman server tells its jobs again");
        }
        let unreadable = status.unreadable();
        if unreadable > 0 && !self.garbled {
            tracing::warn!(target: "nodepool.target", server = %self, "{unreadable} lines of a Gearman server's status cannot be read and are left out");
        }
        self.garbled = unreadable > 0;
        self.forgotten = false;
        self.told = Some(Told { asked, status });
    }

    fn failed(&mut self, trouble: &Trouble) {
        let text = trouble.to_string();
        if self.trouble.is_none() {
            let kept = self.limits.kept.as_secs();
            tracing::warn!(target: "nodepool.target", server = %self, "the Gearman server does not tell its jobs, what it told last counts for {kept} s: {text}");
        }
        self.trouble = Some(text);
    }

    /// What it told, if that is recent enough.
    pub(super) fn status(&self) -> Option<&Status> {
        self.told.as_ref().map(|told| &told.status)
    }

    /// What is wrong with it, in words for a person.
    pub(super) fn trouble(&self) -> String {
        format!("{self}: {}", self.trouble.as_deref().unwrap_or("no answer yet"))
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.address.host, self.address.port)
    }
}

async fn ask(address: Address, kept: Option<AdminConnection>, limits: Limits) -> Asked {
    let at = Instant::now();
    let answered = tokio::time::timeout(limits.deadline, exchange(&address, kept, limits.answer_bytes)).await;
    let (connection, answer) = match answered {
        Ok(Ok((connection, answer))) => match Status::parse(&answer) {
            nonsense if nonsense.is_nonsense() => (None, Err(Trouble::Nonsense)),
            status => (Some(connection), Ok(status)),
        },
        Ok(Err(trouble)) => (None, Err(trouble)),
        Err(_) => (None, Err(Trouble::Silent(limits.deadline))),
    };
    Asked { at, took: at.elapsed(), connection, answer }
}

/// Asks over the connection that was kept, or over a new one: a server that was restarted meanwhile has not failed.
async fn exchange(
    address: &Address,
    kept: Option<AdminConnection>,
    most_bytes: u64,
) -> Result<(AdminConnection, Vec<u8>), Trouble> {
    if let Some(mut kept) = kept.filter(AdminConnection::is_usable) {
        match kept.status(most_bytes).await {
            Err(Trouble::Broken(_) | Trouble::Closed) => {}
            answer => return answer.map(|answer| (kept, answer)),
        }
    }
    let mut connection = AdminConnection::open(&address.host, address.port).await?;
    let answer = connection.status(most_bytes).await?;
    Ok((connection, answer))
}
