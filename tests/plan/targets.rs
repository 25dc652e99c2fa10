//! What targets show, from a description.

use std::time::Duration;

use nodepool::config::{Config, Jenkins, Launcher, Offer};
use nodepool::model::{Agent, AgentTag, NodeId};
use nodepool::plan::TargetView;

use super::scenario::{NodeRow, Scenario, TargetPart};
use super::situation::{OURS, ago, listing};

/// Puts into the configuration how nodes are offered at a target.
pub fn offer(config: &mut Config, name: &str, part: &TargetPart) -> Result<(), String> {
    if part.kind == "left" {
        return Ok(());
    }
    let target = config.targets.iter_mut().find(|target| target.name == *name);
    let target = target.ok_or_else(|| format!("the pool has no target {name}"))?;
    target.offer = match part.kind.as_str() {
        "gearman" => Offer::Gearman,
        "jenkins" => Offer::Jenkins(Box::new(Jenkins {
            url: "http://jenkins.example.org/".to_owned(),
            user: "nodepool".to_owned(),
            apikey: "secret".to_owned().into(),
            credentials_id: None,
            launcher: if part.inbound { Launcher::Inbound } else { Launcher::Ssh },
            test_job: part.test_job.clone(),
            queue_demand: false,
            close_used_agents: !part.left_open,
            enroll_timeout: Duration::from_secs(300),
            api_timeout: Duration::from_secs(30),
            ca_file: None,
        })),
        other => return Err(format!("{other} is not a kind of target")),
    };
    Ok(())
}

/// What a target shows: the agents of the rows, and others.
pub fn view(name: &str, part: &TargetPart, scenario: &Scenario) -> Result<TargetView, String> {
    let mut agents: Vec<(bool, Agent)> = Vec::new();
    for row in scenario.nodes.iter().filter(|row| row.target == name) {
        agents.extend(agent_of(row)?.map(|agent| (false, agent)));
    }
    for stray in &part.agents {
        let tag = stray.tag.as_deref().map(tag).transpose()?;
        agents.push((stray.once, agent(&stray.name, tag, true, true)));
    }
    let mut view = TargetView::new(part.kind != "gearman");
    for began in &part.listed {
        let shown = agents.iter().map(|(_, agent)| agent.clone()).collect();
        view.take_agents(ago(*began), shown, part.quieting_down);
    }
    view.agents = listing(&part.listed, &agents, |agent| agent.name.clone());
    if let Some(trouble) = &part.trouble {
        view.failed(ago(part.unreadable.unwrap_or(5)), trouble.clone());
    }
    Ok(view)
}

fn agent_of(row: &NodeRow) -> Result<Option<Agent>, String> {
    let ours = Some(AgentTag { installation: OURS.to_owned(), node: NodeId(row.id) });
    let name = format!("node-{}", row.id);
    let set_offline = |reason: &str| Agent {
        set_offline: true,
        offline_reason: reason.to_owned(),
        ..agent(&name, ours.clone(), false, true)
    };
    let build = Some("http://jenkins.example.org/job/unit/7/".to_owned());
    let shown = match row.agent.as_deref() {
        None | Some("no") => return Ok(None),
        Some("online") => agent(&name, ours.clone(), true, true),
        Some("busy") => Agent { build, ..agent(&name, ours.clone(), true, false) },
        Some("claimed") => agent(&name, ours.clone(), true, false),
        Some("tested") => {
            let build = Some("http://jenkins.example.org/job/check-node/7/".to_owned());
            Agent { build, ..agent(&name, ours.clone(), true, false) }
        }
        Some("offline") => agent(&name, ours.clone(), false, true),
        Some("lost") => {
            let offline_reason = "Connection was broken".to_owned();
            Agent { offline_reason, ..agent(&name, ours.clone(), false, true) }
        }
        Some("spent") => set_offline("Offline due to Gearman request"),
        Some("set-offline") => set_offline("Disconnected by admin : the disk is odd"),
        Some("taken") => agent(&name, None, true, true),
        Some(other) => return Err(format!("{other} is not the state of an agent")),
    };
    Ok(Some(shown))
}

fn agent(name: &str, tag: Option<AgentTag>, online: bool, idle: bool) -> Agent {
    Agent {
        name: name.to_owned(),
        tag,
        online,
        idle,
        set_offline: false,
        offline_reason: String::new(),
        labels: Vec::new(),
        build: None,
    }
}

/// `installation node`.
fn tag(text: &str) -> Result<AgentTag, String> {
    let (installation, node) = text.split_once(' ').ok_or_else(|| format!("`{text}` is not a mark"))?;
    let node = node.parse().map_err(|_| format!("{node} is not a number"))?;
    Ok(AgentTag { installation: installation.to_owned(), node: NodeId(node) })
}
