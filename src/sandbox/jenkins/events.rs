//! Events about builds, published over ZMQ as the plugin zmq-event-publisher does: one frame each, `TOPIC JSON`.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeromq::{Socket as _, SocketSend as _};

use super::Jenkins;
use super::build::Begun;

/// How many events wait to be sent, the plugin's number; more are dropped.
const QUEUE: usize = 1024;
/// How many late events may be on their way.
const MOST_LATE: usize = 1000;
/// After how long a port that could not be had is tried again.
const BIND_PAUSE: Duration = Duration::from_millis(200);

/// What happened to a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Started,
    Completed,
    Finalized,
}

impl Topic {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Topic::Started => ("onStarted", "STARTED"),
            Topic::Completed => ("onCompleted", "COMPLETED"),
            Topic::Finalized => ("onFinalized", "FINISHED"),
        }
    }
}

/// The socket, and what waits to be sent on it.
#[derive(Default)]
pub(super) struct Publisher {
    address: Option<SocketAddr>,
    sender: Option<mpsc::Sender<String>>,
    rest: Mutex<Option<(zeromq::PubSocket, mpsc::Receiver<String>)>>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Publisher").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Publisher {
    /// One that publishes at this address; port 0 takes a free one.
    pub(super) async fn bound(address: SocketAddr) -> io::Result<Publisher> {
        let (socket, port) = bind(address).await?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        Ok(Publisher {
            address: Some(SocketAddr::new(address.ip(), port)),
            sender: Some(sender),
            rest: Mutex::new(Some((socket, receiver))),
        })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

async fn bind(address: SocketAddr) -> io::Result<(zeromq::PubSocket, u16)> {
    let mut socket = zeromq::PubSocket::new();
    match socket.bind(&format!("tcp://{address}")).await.map_err(io::Error::other)? {
        zeromq::Endpoint::Tcp(_, port) => Ok((socket, port)),
        _ => Err(io::Error::other("not bound to a TCP port")),
    }
}

/// The document of an event, in the plugin's order and names.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    url: String,
    build: ToldBuild<'a>,
}

#[derive(Serialize)]
struct ToldBuild<'a> {
    full_url: String,
    number: u64,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    url: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    parameters: Map<String, Value>,
    node_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_description: Option<String>,
    host_name: String,
}

/// Has an event published, if events are.
pub(super) fn announce(jenkins: &Jenkins, topic: Topic, begun: &Begun) {
    let Some(sender) = &jenkins.publisher.sender else { return };
    let Some(frame) = frame(jenkins, topic, begun) else { return };
    if sender.try_send(frame).is_err() {
        tracing::warn!("an event was dropped: too many wait");
    }
}

fn frame(jenkins: &Jenkins, topic: Topic, begun: &Begun) -> Option<String> {
    let (word, phase) = topic.words();
    let url = format!("job/{}/", begun.job);
    let build_url = format!("{url}{}/", begun.number);
    let mut controller = jenkins.controller();
    let node_description =
        controller.seat(&begun.node, begun.serial).map(|seat| seat.node.description.clone());
    let build = controller.build(&begun.job, begun.number)?;
    let parameters = build.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let told = Told {
        name: &begun.job,
        url,
        build: ToldBuild {
            full_url: format!("{}{build_url}", jenkins.url()),
            number: begun.number,
            phase,
            status: build.result,
            url: build_url,
            parameters: parameters.collect(),
            node_name: &begun.node,
            node_description,
            host_name: host_name(),
        },
    };
    Some(format!("{word} {}", gson(&told)?))
}

/// The name that the controller calls itself by.
pub(super) fn host_name() -> String {
    "nodepool-sandbox".into()
}

/// JSON as Java's Gson writes it: what means something in HTML is escaped. Those characters are only ever inside of texts.
pub(super) fn gson(value: &impl Serialize) -> Option<String> {
    let plain = serde_json::to_string(value).ok()?;
    let mut safe = String::with_capacity(plain.len());
    for char in plain.chars() {
        match char {
            '=' => safe.push_str("\\u003d"),
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\'' => safe.push_str("\\u0027"),
            char => safe.push(char),
        }
    }
    Some(safe)
}

/// Publishes what is announced, as far as the faults let it. A restart cuts off the subscribers, and what is announced
/// until they are back is lost.
pub(super) async fn publish(jenkins: &Jenkins) {
    let taken = jenkins.publisher.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (Some((mut socket, mut frames)), Some(address)) = (taken, jenkins.publisher.address) else { return };
    let mut late = Late::new(jenkins.shared.stop.clone());
    loop {
        let stage = jenkins.stage();
        stage.life.run_until_cancelled(send(jenkins, &mut socket, &mut frames, &mut late)).await;
        socket.close().await;
        jenkins.stage().running.cancelled().await;
        while frames.try_recv().is_ok() {}
        socket = loop {
            match bind(address).await {
                Ok((socket, _)) => break socket,
                Err(error) => tracing::warn!(%error, "events are not published"),
            }
            tokio::time::sleep(BIND_PAUSE).await;
        };
    }
}

/// Events that are published later than they happened.
struct Late {
    waiting: TaskTracker,
    sender: mpsc::Sender<String>,
    due: mpsc::Receiver<String>,
    stop: CancellationToken,
}

impl Late {
    fn new(stop: CancellationToken) -> Late {
        let (sender, due) = mpsc::channel(QUEUE);
        Late { waiting: TaskTracker::new(), sender, due, stop }
    }

    /// Keeps an event back, unless too many are.
    fn keep(&self, frame: String, delay: Duration) {
        if self.waiting.len() >= MOST_LATE {
            return;
        }
        let (sender, stop) = (self.sender.clone(), self.stop.clone());
        self.waiting.spawn(async move {
            if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_some() {
                // As with all events: when too many wait, it is dropped.
                let _ = sender.try_send(frame);
            }
        });
    }
}

async fn send(
    jenkins: &Jenkins,
    socket: &mut zeromq::PubSocket,
    frames: &mut mpsc::Receiver<String>,
    late: &mut Late,
) {
    loop {
        let (frame, delivery) = tokio::select! {
            Some(frame) = late.due.recv() => (frame, Delivery::Once),
            Some(frame) = frames.recv() => (frame, delivery(jenkins)),
            else => return,
        };
        let times = match delivery {
            Delivery::Never => 0,
            Delivery::Once => 1,
            Delivery::Twice => 2,
            Delivery::Late => {
                late.keep(frame, jenkins.duration(|faults| faults.event_late_seconds));
                continue;
            }
        };
        for _ in 0..times {
            if let Err(error) = socket.send(frame.clone().into()).await {
                tracing::warn!(%error, "an event was not published");
            }
        }
    }
}

/// How an event is published.
pub(super) enum Delivery {
    Never,
    Once,
    Twice,
    Late,
}

/// How the next event is published.
pub(super) fn delivery(jenkins: &Jenkins) -> Delivery {
    let mut dice = jenkins.dice();
    if dice.strikes(|faults| &mut faults.jenkins.event_lost) {
        Delivery::Never
    } else if dice.strikes(|faults| &mut faults.jenkins.event_late) {
        Delivery::Late
    } else if dice.strikes(|faults| &mut faults.jenkins.event_twice) {
        Delivery::Twice
    } else {
        Delivery::Once
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gson_escapes_what_html_knows() {
        let text = gson(&serde_json::json!({"a": "x=1 & <'y'>"})).unwrap();
        assert_eq!(text, r#"{"a":"x\u003d1 \u0026 \u003c\u0027y\u0027\u003e"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["a"], "x=1 & <'y'>");
    }
}
