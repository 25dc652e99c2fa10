//! Errands as text, and text as errands.

use nodepool::model::{ImageId, NodeId, Owner};
use nodepool::plan::{Errand, Pressing};

/// The text of an errand.
pub fn written(errand: &Errand) -> String {
    match errand {
        Errand::DeleteServer { provider, id, owner: Some(owner) } => {
            format!("delete-server {provider} {id} of {}", owner_text(*owner))
        }
        Errand::DeleteServer { provider, id, owner: None } => {
            format!("delete-server {provider} {id} of nobody")
        }
        Errand::DeleteSnapshot { provider, id } => format!("delete-snapshot {provider} {id}"),
        Errand::DeleteKeypair { provider, name } => format!("delete-keypair {provider} {name}"),
        Errand::CreateServer { provider, owner } => {
            format!("create-server {provider} for {}", owner_text(*owner))
        }
        Errand::TakeSnapshot { provider, image } => format!("take-snapshot {provider} for image {image}"),
        Errand::ListServers { provider, complete: true } => format!("list-servers {provider} all"),
        Errand::ListServers { provider, complete: false } => format!("list-servers {provider} changes"),
        Errand::ListImages { provider } => format!("list-images {provider}"),
        Errand::ListKeypairs { provider } => format!("list-keypairs {provider}"),
        Errand::ListFloatingIps { provider } => format!("list-floating-ips {provider}"),
        Errand::ListPorts { provider } => format!("list-ports {provider}"),
        Errand::ListVolumes { provider } => format!("list-volumes {provider}"),
        Errand::DeletePort { provider, id, server } => {
            format!("delete-port {provider} {id} of server {server}")
        }
        Errand::DeleteVolume { provider, id } => format!("delete-volume {provider} {id}"),
        Errand::MarkVolume { provider, id, owner, attempt } => {
            format!("mark-volume {provider} {id} of {} {attempt}", owner_text(*owner))
        }
        Errand::ReadQuota { provider } => format!("read-quota {provider}"),
        Errand::CreateFloatingIp { provider, owner } => {
            format!("create-floating-ip {provider} for {}", owner_text(*owner))
        }
        Errand::DeleteFloatingIp { provider, id, owner } => {
            let owner = owner.map_or_else(|| "nobody".to_owned(), owner_text);
            format!("delete-floating-ip {provider} {id} of {owner}")
        }
        Errand::ReadConsole { provider, owner } => {
            format!("read-console {provider} of {}", owner_text(*owner))
        }
        Errand::AskDemand => "ask-demand".to_owned(),
        Errand::PrepareNode(id) => format!("prepare-node {id}"),
        Errand::SetUpBuilder(id) => format!("set-up-builder {id}"),
        Errand::VerifySnapshot(id) => format!("verify-snapshot {id}"),
        Errand::CheckNode(id) => format!("check-node {id}"),
        Errand::ListAgents { target } => format!("list-agents {target}"),
        Errand::Enroll(id) => format!("enroll {id}"),
        Errand::Withdraw { target, name, node, pressing } => {
            let owner = node.map_or_else(|| "nobody".to_owned(), |id| format!("node {id}"));
            let verb = match pressing {
                Pressing::WhenIdle => "withdraw",
                Pressing::JobOver => "withdraw-after-job",
                Pressing::AtOnce => "withdraw-at-once",
            };
            format!("{verb} {target} {name} of {owner}")
        }
        Errand::StartTest { node, job } => format!("start-test {node} {job}"),
        Errand::Relabel(id) => format!("relabel {id}"),
        Errand::Describe { node, remark } => format!("describe {node} {remark}"),
        Errand::Close(id) => format!("close {id}"),
        Errand::ReadLaunchLog(id) => format!("read-launch-log {id}"),
    }
}

/// The errand that a text says.
pub fn read(text: &str) -> Result<Errand, String> {
    let words: Vec<&str> = text.split(' ').collect();
    let provider = words.get(1).map(|word| (*word).to_owned()).unwrap_or_default();
    let errand = match words.as_slice() {
        ["delete-server", _, id, "of", "nobody"] => {
            Some(Errand::DeleteServer { provider, id: (*id).to_owned(), owner: None })
        }
        ["delete-server", _, id, "of", kind, number] => owner(kind, number)
            .map(|owner| Errand::DeleteServer { provider, id: (*id).to_owned(), owner: Some(owner) }),
        ["delete-snapshot", _, id] => Some(Errand::DeleteSnapshot { provider, id: (*id).to_owned() }),
        ["delete-keypair", _, name] => Some(Errand::DeleteKeypair { provider, name: (*name).to_owned() }),
        ["create-server", _, "for", kind, number] => {
            owner(kind, number).map(|owner| Errand::CreateServer { provider, owner })
        }
        ["take-snapshot", _, "for", "image", number] => {
            number.parse().ok().map(|number| Errand::TakeSnapshot { provider, image: ImageId(number) })
        }
        ["list-servers", _, "all"] => Some(Errand::ListServers { provider, complete: true }),
        ["list-servers", _, "changes"] => Some(Errand::ListServers { provider, complete: false }),
        ["list-images", _] => Some(Errand::ListImages { provider }),
        ["list-keypairs", _] => Some(Errand::ListKeypairs { provider }),
        ["list-floating-ips", _] => Some(Errand::ListFloatingIps { provider }),
        ["list-ports", _] => Some(Errand::ListPorts { provider }),
        ["list-volumes", _] => Some(Errand::ListVolumes { provider }),
        ["delete-volume", _, id] => Some(Errand::DeleteVolume { provider, id: (*id).to_owned() }),
        ["read-quota", _] => Some(Errand::ReadQuota { provider }),
        ["create-floating-ip", _, "for", kind, number] => {
            owner(kind, number).map(|owner| Errand::CreateFloatingIp { provider, owner })
        }
        ["delete-floating-ip", _, id, "of", "nobody"] => {
            Some(Errand::DeleteFloatingIp { provider, id: (*id).to_owned(), owner: None })
        }
        ["delete-floating-ip", _, id, "of", kind, number] => owner(kind, number)
            .map(|owner| Errand::DeleteFloatingIp { provider, id: (*id).to_owned(), owner: Some(owner) }),
        ["read-console", _, "of", kind, number] => {
            owner(kind, number).map(|owner| Errand::ReadConsole { provider, owner })
        }
        ["ask-demand"] => Some(Errand::AskDemand),
        ["prepare-node", number] => number.parse().ok().map(|number| Errand::PrepareNode(NodeId(number))),
        ["check-node", number] => number.parse().ok().map(|number| Errand::CheckNode(NodeId(number))),
        ["set-up-builder", number] => number.parse().ok().map(|number| Errand::SetUpBuilder(ImageId(number))),
        ["verify-snapshot", number] => {
            number.parse().ok().map(|number| Errand::VerifySnapshot(ImageId(number)))
        }
        words => for_target(words),
    };
    errand.filter(|errand| written(errand) == text).ok_or_else(|| format!("`{text}` is not an errand"))
}

/// The errand to a target that these words say.
fn for_target(words: &[&str]) -> Option<Errand> {
    match words {
        ["list-agents", target] => Some(Errand::ListAgents { target: (*target).to_owned() }),
        ["withdraw", target, name, "of", "nobody"] => Some(Errand::Withdraw {
            target: (*target).to_owned(),
            name: (*name).to_owned(),
            node: None,
            pressing: Pressing::WhenIdle,
        }),
        [verb, target, name, "of", "node", number] => {
            let pressing = match *verb {
                "withdraw" => Some(Pressing::WhenIdle),
                "withdraw-after-job" => Some(Pressing::JobOver),
                "withdraw-at-once" => Some(Pressing::AtOnce),
                _ => None,
            };
            let node = number.parse().ok().map(NodeId);
            pressing.filter(|_| node.is_some()).map(|pressing| Errand::Withdraw {
                target: (*target).to_owned(),
                name: (*name).to_owned(),
                node,
                pressing,
            })
        }
        ["start-test", number, job] => number
            .parse()
            .ok()
            .map(|number| Errand::StartTest { node: NodeId(number), job: (*job).to_owned() }),
        ["describe", number, remark @ ..] => number
            .parse()
            .ok()
            .map(|number| Errand::Describe { node: NodeId(number), remark: remark.join(" ") }),
        ["enroll", number] => number.parse().ok().map(|number| Errand::Enroll(NodeId(number))),
        ["close", number] => number.parse().ok().map(|number| Errand::Close(NodeId(number))),
        ["relabel", number] => number.parse().ok().map(|number| Errand::Relabel(NodeId(number))),
        ["read-launch-log", number] => {
            number.parse().ok().map(|number| Errand::ReadLaunchLog(NodeId(number)))
        }
        _ => None,
    }
}

fn owner(kind: &str, number: &str) -> Option<Owner> {
    Owner::from_words(kind, number.parse().ok()?)
}

fn owner_text(owner: Owner) -> String {
    let (kind, number) = owner.words();
    format!("{kind} {number}")
}
