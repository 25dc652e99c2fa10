//! Nodes: made, shown, set offline, changed, deleted.

use std::sync::Arc;

use axum::http::StatusCode;

use super::{Named, form, posted};
use crate::sandbox::http::Answer;
use crate::sandbox::jenkins::controller::{Cause, CauseKind, Controller, Seat};
use crate::sandbox::jenkins::door::Asked;
use crate::sandbox::jenkins::node::{Launcher, Node, unsafe_name};
use crate::sandbox::jenkins::{Jenkins, launch, page, view};

/// The names of the only kind of node that can be made.
const KINDS: [&str; 2] = ["hudson.slaves.DumbSlave", "hudson.slaves.DumbSlave$DescriptorImpl"];
/// What is empty in a document unless it is asked for.
const HIDDEN: &[&str] = &["executors"];
/// The most nodes.
const MOST_NODES: usize = 5_000;

/// Answers below `/computer/`.
pub(super) fn answer(jenkins: &Arc<Jenkins>, asked: &Asked, rest: &[&str]) -> Named {
    match rest {
        [] => ("jenkins-page", page::page("Nodes [Jenkins]")),
        ["api", "json"] => {
            let whole = view::computers(&jenkins.controller(), &asked.root);
            ("jenkins-computer-list", asked.document(whole, HIDDEN))
        }
        ["doCreateItem"] => ("jenkins-computer-create", posted(asked, || create(jenkins, asked))),
        ["(built-in)" | "(master)", rest @ ..] => built_in(asked, rest),
        [name, rest @ ..] => {
            if jenkins.controller().computer(name).is_none() {
                return ("jenkins-computer-missing", page::not_found());
            }
            one(jenkins, asked, name, rest)
        }
    }
}

fn built_in(asked: &Asked, rest: &[&str]) -> Named {
    match rest {
        ["api", "json"] => ("jenkins-computer-show", asked.document(view::built_in(), HIDDEN)),
        ["doDelete"] => {
            let refused = || page::html(StatusCode::BAD_REQUEST, "Error 400 This node cannot be deleted");
            ("jenkins-computer-delete", posted(asked, refused))
        }
        [] => ("jenkins-page", page::page(view::BUILT_IN)),
        _ => ("jenkins-unknown", page::not_found()),
    }
}

fn one(jenkins: &Arc<Jenkins>, asked: &Asked, name: &str, rest: &[&str]) -> Named {
    let here = || page::redirect(format!("{}computer/{name}/", asked.root));
    match rest {
        [] => ("jenkins-page", page::page(name)),
        ["api", "json"] => ("jenkins-computer-show", shown(jenkins, asked, name)),
        ["config.xml"] if asked.method == axum::http::Method::POST => {
            ("jenkins-computer-change", reconfigure(jenkins, asked, name))
        }
        ["config.xml"] => {
            let text = jenkins.controller().computer(name).map(|seat| seat.node.to_xml());
            ("jenkins-computer-config", text.map_or_else(page::not_found, page::xml))
        }
        ["doDelete"] => (
            "jenkins-computer-delete",
            posted(asked, || {
                delete(jenkins, name);
                page::redirect(format!("{}computer/", asked.root))
            }),
        ),
        ["toggleOffline"] => (
            "jenkins-computer-toggle",
            posted(asked, || {
                toggle(jenkins, asked, name);
                here()
            }),
        ),
        ["changeOfflineCause"] => (
            "jenkins-computer-cause",
            posted(asked, || {
                let cause = user_cause(asked);
                jenkins.change(|controller| {
                    if let Some(seat) = controller.computer(name) {
                        seat.set_offline = Some(cause);
                    }
                });
                here()
            }),
        ),
        ["doDisconnect"] => (
            "jenkins-computer-disconnect",
            posted(asked, || {
                disconnect(jenkins, asked, name);
                here()
            }),
        ),
        ["launchSlaveAgent"] => (
            "jenkins-computer-launch",
            posted(asked, || {
                if let Some(seat) = jenkins.controller().computer(name) {
                    seat.launch.notify_one();
                }
                page::redirect(format!("{}computer/{name}/log", asked.root))
            }),
        ),
        ["logText", "progressiveText"] => ("jenkins-computer-log", log(jenkins, asked, name)),
        ["jenkins-agent.jnlp" | "slave-agent.jnlp"] => ("jenkins-computer-jnlp", jnlp(jenkins, asked, name)),
        _ => ("jenkins-unknown", page::not_found()),
    }
}

fn shown(jenkins: &Jenkins, asked: &Asked, name: &str) -> Answer {
    let controller = jenkins.controller();
    match controller.nodes.get(name) {
        Some(seat) => asked.document(view::computer(&controller, &asked.root, seat), HIDDEN),
        None => page::not_found(),
    }
}

fn create(jenkins: &Arc<Jenkins>, asked: &Asked) -> Answer {
    let Some(name) = asked.parameter("name").map(str::trim).filter(|name| !name.is_empty()) else {
        return page::failure("Query parameter 'name' is required");
    };
    if let Some(reason) = unsafe_name(name) {
        return page::failure(&reason);
    }
    if jenkins.controller().nodes.contains_key(name) {
        return page::failure(&format!("Agent called  {name}  already exists"));
    }
    if !asked.parameter("type").is_some_and(|kind| KINDS.contains(&kind)) {
        return page::oops();
    }
    let json = match form(asked) {
        Ok(json) => json,
        Err(refusal) => return refusal,
    };
    let node = match Node::from_form(name, &json) {
        Ok(node) => node,
        Err(unreadable) => {
            tracing::info!(name, field = unreadable.0, "a node was not taken");
            return page::oops();
        }
    };
    // Looked at again under one lock: somebody else may have made it meanwhile.
    let made = jenkins.change(|controller| {
        let free = !controller.nodes.contains_key(name) && controller.nodes.len() < MOST_NODES;
        free.then(|| controller.add(node))
    });
    let Some(serial) = made else {
        return page::failure(&format!("Agent called  {name}  already exists"));
    };
    let has_computer = jenkins.controller().computer(name).is_some();
    if has_computer {
        launch::spawn(jenkins, name, serial);
    }
    page::redirect(format!("{}computer/", asked.root))
}

fn delete(jenkins: &Jenkins, name: &str) {
    let seat = jenkins.change(|controller| controller.nodes.remove(name));
    let Some(seat) = seat else { return };
    seat.gone.cancel();
    // What runs there loses its connection and fails.
    if let Some(channel) = seat.channel {
        channel.broken.cancel();
    }
}

fn user_cause(asked: &Asked) -> Cause {
    Cause::now(CauseKind::User, asked.parameter("offlineMessage").unwrap_or_default())
}

fn toggle(jenkins: &Jenkins, asked: &Asked, name: &str) {
    let cause = user_cause(asked);
    jenkins.change(|controller: &mut Controller| {
        let Some(seat) = controller.computer(name) else { return };
        seat.set_offline = if seat.set_offline.is_some() { None } else { Some(cause) };
    });
}

fn disconnect(jenkins: &Jenkins, asked: &Asked, name: &str) {
    let cause = user_cause(asked);
    let channel = jenkins.change(|controller| {
        let seat = controller.computer(name)?;
        seat.cut_off = Some(cause);
        seat.channel.clone()
    });
    if let Some(channel) = channel {
        channel.broken.cancel();
    }
}

fn reconfigure(jenkins: &Jenkins, asked: &Asked, name: &str) -> Answer {
    let changed = jenkins.change(|controller| {
        let seat: &mut Seat = controller.computer(name)?;
        Some(seat.node.with_xml(&asked.text()).map(|mut node| {
            // The number of executors is that of the computer, which stays.
            node.executors = seat.node.executors;
            seat.node = node;
        }))
    });
    match changed {
        Some(Ok(())) => page::done(),
        Some(Err(_)) => page::oops(),
        None => page::not_found(),
    }
}

fn log(jenkins: &Jenkins, asked: &Asked, name: &str) -> Answer {
    let start = asked.parameter("start").and_then(|start| start.parse().ok()).unwrap_or(0);
    match jenkins.controller().computer(name) {
        Some(seat) => {
            let answer = page::text(seat.log.since(start).to_owned());
            answer.with("x-text-size", seat.log.size().to_string()).with("x-more-data", "true")
        }
        None => page::not_found(),
    }
}

/// What an inbound agent is started with.
fn jnlp(jenkins: &Jenkins, asked: &Asked, name: &str) -> Answer {
    let secret = jenkins.logins.agent_secret(name);
    let mut controller = jenkins.controller();
    let Some(seat) = controller.computer(name) else { return page::not_found() };
    let Launcher::Inbound { web_socket } = seat.node.launcher else { return page::not_found() };
    let mut arguments = vec![secret, name.to_owned()];
    if web_socket {
        arguments.push("-webSocket".into());
    }
    arguments.extend(["-workDir".into(), seat.node.root.clone().unwrap_or_default()]);
    arguments.extend(["-internalDir".into(), "remoting".into(), "-url".into(), asked.root.clone()]);
    let arguments: Vec<String> = arguments.iter().map(|argument| page::escaped(argument)).collect();
    let arguments = format!("<argument>{}</argument>", arguments.join("</argument><argument>"));
    let text = format!("<jnlp><application-desc>{arguments}</application-desc></jnlp>");
    page::xml(text).with("content-type", "application/x-java-jnlp-file")
}
