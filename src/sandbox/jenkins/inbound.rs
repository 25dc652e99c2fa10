//! Agents that connect by themselves: over a WebSocket, with the secret of their name.
//!
//! Jenkins' own `agent.jar` speaks Java's remoting, which is not spoken here. What this Jenkins serves under that name is a small
//! stand-in that takes the same arguments, connects to the same address with the same headers, and then runs commands: a text
//! `{"id", "command"}` comes to it, and texts `{"id", "output"}` and at last `{"id", "status"}` come back.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::node::Launcher;
use super::ssh::{Channel, Order, Said};
use super::{Jenkins, page};

/// What stands for the agent's program.
pub(super) const AGENT: &str = include_str!("../commands/agent.py");
/// How many commands may wait to be sent.
const MOST_ORDERS: usize = 64;
/// The longest text that an agent may send.
const LONGEST_TEXT: usize = 1 << 20;

/// What an agent tells of a command.
#[derive(Deserialize)]
struct Told {
    id: u64,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    status: Option<i64>,
}

/// Whether this is the address to which agents connect.
pub(super) fn is_entrance(jenkins: &Jenkins, path: &str) -> bool {
    path.strip_prefix(jenkins.settings.prefix.as_str())
        .is_some_and(|rest| rest.trim_matches('/') == "wsagents")
}

/// Lets an agent in that knows the secret of its name.
pub(super) async fn enter(jenkins: &Arc<Jenkins>, request: axum::extract::Request) -> Response {
    let (mut parts, _body) = request.into_parts();
    let (name, secret) = (header(&parts.headers, "node-name"), header(&parts.headers, "secret-key"));
    let known = secret.is_some_and(|secret| secret == jenkins.logins.agent_secret(name.unwrap_or_default()));
    let Some(name) = name.filter(|_| known).map(str::to_owned) else {
        jenkins.count("jenkins-agent-connect", 403);
        return page::html(StatusCode::FORBIDDEN, "Error 403 Incorrect secret").into_response();
    };
    let waits = jenkins.controller().computer(&name).is_some_and(|seat| {
        matches!(seat.node.launcher, Launcher::Inbound { web_socket: true })
            && seat.channel.is_none()
            && seat.arrived.is_none()
    });
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let (true, Ok(upgrade)) = (waits, upgrade) else {
        jenkins.count("jenkins-agent-connect", 400);
        return page::html(StatusCode::BAD_REQUEST, "Error 400 No such agent waits for a WebSocket")
            .into_response();
    };
    jenkins.count("jenkins-agent-connect", 101);
    let (orders, ordered) = mpsc::channel(MOST_ORDERS);
    let broken = jenkins.stage().life.child_token();
    let channel = Channel::of_orders(orders, broken.clone());
    let inside = Arc::clone(jenkins);
    upgrade.max_message_size(LONGEST_TEXT).on_upgrade(async move |socket| {
        inside.change(|controller| {
            if let Some(seat) = controller.computer(&name) {
                seat.arrived = Some(channel);
                seat.launch.notify_one();
            }
        });
        talk(socket, ordered, &broken).await;
        broken.cancel();
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Carries commands there and what they print back, until either side has enough.
async fn talk(mut socket: WebSocket, mut ordered: mpsc::Receiver<Order>, broken: &CancellationToken) {
    let mut running: HashMap<u64, mpsc::Sender<Said>> = HashMap::new();
    let mut last = 0_u64;
    loop {
        tokio::select! {
            () = broken.cancelled() => break,
            order = ordered.recv() => {
                let Some(order) = order else { break };
                last = last.saturating_add(1);
                running.insert(last, order.says);
                let text = json!({"id": last, "command": order.command}).to_string();
                if socket.send(Message::Text(text.into())).await.is_err() {
                    break;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => tell(&mut running, &text).await,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
        }
    }
}

async fn tell(running: &mut HashMap<u64, mpsc::Sender<Said>>, text: &str) {
    let Ok(told) = serde_json::from_str::<Told>(text) else { return };
    let Some(says) = running.get(&told.id) else { return };
    // Whoever waits for it may have gone away.
    if let Some(output) = told.output {
        let _ = says.send(Said::Output(output.into_bytes())).await;
    }
    if let Some(status) = told.status {
        let _ = says.send(Said::Ended(u32::try_from(status).ok())).await;
        running.remove(&told.id);
    }
}
