//! A plan as text.

use nodepool::fsm;
use nodepool::model::{Image, JobResult, Node, SetbackKind};
use nodepool::plan::{Action, Observation, Plan, Subject};

use super::errands;

/// The whole plan.
pub fn plan(seen: &Observation<'_>, plan: &Plan) -> String {
    let mut lines = vec!["do".to_owned()];
    for planned in &plan.actions {
        lines.push(format!("  {}", action(seen, &planned.action)));
        lines.push(format!("    because {}", planned.reason));
    }
    lines.push("do not".to_owned());
    for refusal in &plan.refusals {
        lines.push(format!("  {}: {}", subject(&refusal.subject), refusal.reason));
    }
    for (what, waiting) in [("jobs", &plan.waiting.jobs), ("spare nodes", &plan.waiting.spares)] {
        // Who begins to wait is not written: each label that lacks nodes is refused them above.
        let before = waiting.labels().filter(|(_, since)| *since < seen.now);
        let labels = before.map(|(label, since)| format!("{label} ({} s)", seen.now.since(since).as_secs()));
        let labels: Vec<String> = labels.collect();
        if !labels.is_empty() {
            lines.push(format!("still in vain asks for {what}: {}", labels.join(", ")));
        }
    }
    for (provider, resources) in &plan.stock.usage {
        let limited = resources.iter().filter_map(|(resource, usage)| {
            Some(format!("{} {} of {}", resource.title(), usage.used, usage.limit?))
        });
        let limited: Vec<String> = limited.collect();
        if !limited.is_empty() {
            lines.push(format!("used at {provider}: {}", limited.join(", ")));
        }
    }
    for one in &plan.leftovers {
        lines.push(format!(
            "left behind at {}: {} {}, made for {}, seen in {} listings since {} s: {} because {}",
            one.provider,
            one.kind.word(),
            one.id,
            one.made_for,
            one.listings,
            seen.now.since(one.first_seen).as_secs(),
            one.fate.word(),
            one.reason
        ));
    }
    lines.push(match plan.wake {
        Some(wake) => format!("look again in {} s", wake.since(seen.now).as_secs_f64()),
        None => "look again when there is news".to_owned(),
    });
    lines.push(String::new());
    lines.join("\n")
}

fn action(seen: &Observation<'_>, action: &Action) -> String {
    match action {
        Action::Node { row, event } => {
            let following = fsm::node::next(row.state, *event)
                .map_or_else(|illegal| illegal.to_string(), |state| state.to_string());
            let facts =
                seen.nodes.iter().find(|known| known.id == row.id).map(|known| node_facts(known, row));
            format!("node {}: {} by {}{}", row.id, following, event.word(), facts.unwrap_or_default())
        }
        Action::Image { row, event } => {
            let following = fsm::image::next(row.state, *event)
                .map_or_else(|illegal| illegal.to_string(), |state| state.to_string());
            format!("image {}: {} by {}{}", row.id, following, event.word(), image_facts(seen, row))
        }
        Action::Nodes { rows, event } => {
            let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
            format!("nodes {} together: {}", ids.join(" and "), event.word())
        }
        Action::NodeFacts { row } => {
            let known = seen.nodes.iter().find(|known| known.id == row.id);
            format!("node {}: facts{}", row.id, known.map(|known| node_facts(known, row)).unwrap_or_default())
        }
        Action::ImageFacts { row } => format!("image {}: facts{}", row.id, image_facts(seen, row)),
        Action::AddNode(node) => {
            let image = node.image_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let az = node.az.as_deref().map_or_else(String::new, |az| format!(", zone {az}"));
            let subnodes = match node.subnodes {
                0 => String::new(),
                number => format!(", {number} subnodes"),
            };
            format!(
                "add a node: {} at {}{az}, target {}, {} image {image}{subnodes}",
                node.label, node.provider, node.target, node.image
            )
        }
        Action::AddImage(image) => {
            let az = image.az.as_deref().map_or_else(String::new, |az| format!(", zone {az}"));
            format!("add an image: {} at {}{az}", image.image, image.provider)
        }
        Action::SetBack { kind, provider, name } => {
            format!("count a setback: {}", setback(*kind, provider, name))
        }
        Action::Recover { kind, provider, name } => {
            format!("forget the setbacks: {}", setback(*kind, provider, name))
        }
        Action::Send(errand) => format!("send {}", errands::written(errand)),
        Action::Recall(errand) => format!("recall {}", errands::written(errand)),
        Action::SettleWish { wish, granted } => {
            format!("answer wish {}: {}", wish.0, if *granted { "granted" } else { "refused" })
        }
        Action::ForgetProvider(name) => format!("forget provider {name}"),
        Action::ForgetTarget(name) => format!("forget target {name}"),
        Action::SettleJobEvent(id) => format!("settle job event {id}"),
        Action::CountJobRun(run) => {
            let result = run.result.map_or("an unknown end", JobResult::word);
            format!("count a run: {} of {} at {}, {result}", run.job, run.label, run.provider)
        }
        Action::WarnOfHoldEnd { row } => format!("node {}: warn of the end of its hold", row.id),
    }
}

/// What a setback is counted for, as text.
pub fn setback(kind: SetbackKind, provider: &str, name: &str) -> String {
    let kind = match kind {
        SetbackKind::Image => "image",
        SetbackKind::Launch => "launch",
        SetbackKind::Capacity => "capacity",
        SetbackKind::Zone => "zone",
        SetbackKind::Target => "target",
        SetbackKind::Provider => "every launch",
        SetbackKind::Snapshot => "snapshot",
        SetbackKind::Flavor => "flavor",
    };
    if name.is_empty() { format!("{kind} at {provider}") } else { format!("{kind} of {name} at {provider}") }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Node(id) => format!("node {id}"),
        Subject::Image(id) => format!("image {id}"),
        Subject::Label(name) => format!("label {name}"),
        Subject::Provider(name) => format!("provider {name}"),
        Subject::Target(name) => format!("target {name}"),
        Subject::ProviderImage(provider, image) => format!("image {image} of {provider}"),
    }
}

/// The facts of a row that the plan changes, as text.
pub fn node_facts(before: &Node, after: &Node) -> String {
    let facts = |node: &Node| {
        [
            ("server", node.server_id.clone()),
            ("asked for", node.attempted.map(|at| at.to_string())),
            ("ip", node.ip.clone()),
            ("private ip", node.ip_private.clone()),
            ("zone", node.az.clone()),
            ("floating ip", node.floating_ip.id.clone()),
            ("floating ip asked for", node.floating_ip.attempted.map(|at| at.to_string())),
            ("hold ends", node.held_until.map(|until| until.to_string())),
            ("comment", node.comment.clone()),
            ("held by", node.held_by.clone()),
            ("held for", node.held_for.clone()),
            ("enrolled", node.agent.enrolled.then(|| "yes".to_owned())),
            ("manager", node.agent.manager.clone()),
            ("test passed", node.agent.test_passed.then(|| "yes".to_owned())),
            ("withdrawn", node.agent.withdrawn.then(|| "yes".to_owned())),
            ("insists", node.agent.insists.then(|| "yes".to_owned())),
            ("remark", node.agent.remark.clone()),
            ("job", node.job.name.clone()),
            ("job started", node.job.started.map(|at| at.to_string())),
            ("job ended", node.job.ended.map(|at| at.to_string())),
        ]
    };
    changes(&facts(before), &facts(after))
}

fn image_facts(seen: &Observation<'_>, after: &Image) -> String {
    let before = seen.images.iter().find(|known| known.id == after.id);
    before.map(|before| facts_of_image(before, after)).unwrap_or_default()
}

/// The facts of an image that are other ones than before, as text.
pub fn facts_of_image(before: &Image, after: &Image) -> String {
    let facts = |image: &Image| {
        [
            ("builder", image.server_id.clone()),
            ("builder asked for", image.attempted.map(|at| at.to_string())),
            ("snapshot", image.external_id.clone()),
            ("snapshot asked for", image.snapshot_attempted.map(|at| at.to_string())),
            ("verifier", image.verify_server_id.clone()),
            ("verifier asked for", image.verify_attempted.map(|at| at.to_string())),
            ("keypair", image.keypair.clone()),
            ("zone", image.az.clone()),
            ("floating ip", image.floating_ip.id.clone()),
            ("floating ip asked for", image.floating_ip.attempted.map(|at| at.to_string())),
            ("verifier's floating ip", image.verify_floating_ip.id.clone()),
        ]
    };
    changes(&facts(before), &facts(after))
}

fn changes(before: &[(&str, Option<String>)], after: &[(&str, Option<String>)]) -> String {
    let changed = before.iter().zip(after).filter(|(before, after)| before != after);
    let texts = changed.map(|(_, (name, value))| format!(", {name} {}", value.as_deref().unwrap_or("none")));
    texts.collect::<Vec<_>>().concat()
}
