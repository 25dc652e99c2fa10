//! One Gearman server: its connection, the question under way, and what it told last.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::connection::{AdminConnection, Trouble};
use super::status::Status;
use super::{Limits, Meter};

/// A server that owes an answer for so long is told to the log: what comes a little late is no news.
const SLOW: Duration = Duration::from_secs(2);

/// One server.
pub(super) struct Server {
    address: Address,
    limits: Limits,
    meter: Arc<dyn Meter>,
    connection: Option<AdminConnection>,
    /// Goes on between two asks, so that a server that is slow is late and not unheard.
    under_way: Option<Question>,
    /// Whether its last question took no longer than our patience: then it is worth waiting for.
    prompt: bool,
    told: Option<Told>,
    trouble: Option<String>,
    /// Whether it has been told to the log that something is wrong; once is enough until all is well again.
    complained: bool,
    /// Whether some of its lines could not be read.
    garbled: bool,
}

/// A question that is not answered yet.
struct Question {
    answer: AbortOnDropHandle<Asked>,
    began: Instant,
    /// Whether it has been told to the meter that the answer is late.
    late: bool,
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
    pub(super) fn new(address: Address, limits: Limits, meter: Arc<dyn Meter>) -> Self {
        Self {
            address,
            limits,
            meter,
            connection: None,
            under_way: None,
            prompt: true,
            told: None,
            trouble: None,
            complained: false,
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
            let answer = AbortOnDropHandle::new(tokio::spawn(question));
            self.under_way = Some(Question { answer, began: Instant::now(), late: false });
        }
    }

    /// Waits for the answer and takes it in. Can be dropped and called again.
    pub(super) async fn answered(&mut self) {
        let Some(Question { answer, .. }) = self.under_way.as_mut() else { return };
        let asked = answer.await;
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
        self.look_at_late();
        if self.told.as_ref().is_some_and(|told| told.asked.elapsed() > self.limits.kept) {
            self.told = None;
            let trouble = self.trouble.as_deref().unwrap_or("it does not answer");
            tracing::info!(target: "nodepool.target", server = %self.address, "what a Gearman server told is too old, none of its jobs are counted: {trouble}");
        }
    }

    /// Tells when it owes an answer for longer than we wait.
    fn look_at_late(&mut self) {
        let Some(question) = self.under_way.as_mut() else { return };
        self.prompt = false;
        let known = std::mem::replace(&mut question.late, true);
        let slow = question.began.elapsed() >= SLOW;
        if !known {
            self.meter.record(&self.address.to_string(), "late");
        }
        if slow {
            self.complain("it does not answer in time");
        }
    }

    fn complain(&mut self, trouble: &str) {
        if self.complained {
            return;
        }
        self.complained = true;
        if self.told.is_some() {
            let kept = self.limits.kept.as_secs();
            tracing::warn!(target: "nodepool.target", server = %self.address, "a Gearman server does not answer, what it told last counts for {kept} s: {trouble}");
        } else {
            tracing::warn!(target: "nodepool.target", server = %self.address, "the jobs of a Gearman server are not known, none are counted: {trouble}");
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
        self.meter.record(&self.address.to_string(), "ok");
        self.trouble = None;
        if std::mem::take(&mut self.complained) {
            tracing::info!(target: "nodepool.target", server = %self.address, "a Gearman server answers again");
        }
        let unreadable = status.unreadable();
        if unreadable > 0 && !self.garbled {
            tracing::warn!(target: "nodepool.target", server = %self.address, "{unreadable} lines of a Gearman server's status cannot be read and are left out");
        }
        self.garbled = unreadable > 0;
        self.told = Some(Told { asked, status });
    }

    fn failed(&mut self, trouble: &Trouble) {
        self.meter.record(&self.address.to_string(), trouble.word());
        let text = trouble.to_string();
        self.complain(&text);
        self.trouble = Some(text);
    }

    /// What it told, if that is recent enough.
    pub(super) fn status(&self) -> Option<&Status> {
        self.told.as_ref().map(|told| &told.status)
    }

    /// What is wrong with it, in words for a person.
    pub(super) fn trouble(&self) -> String {
        format!("{}: {}", self.address, self.trouble.as_deref().unwrap_or("no answer yet"))
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
    if let Some(mut kept) = kept
        && kept.is_usable()
    {
        match kept.status(most_bytes).await {
            Err(Trouble::Broken(_) | Trouble::Closed) => {}
            answer => return answer.map(|answer| (kept, answer)),
        }
    }
    let mut connection = AdminConnection::open(address).await?;
    let answer = connection.status(most_bytes).await?;
    Ok((connection, answer))
}
