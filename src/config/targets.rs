//! Checks targets: where nodes are offered, and how. What secure.conf says of a Jenkins wins over what nodepool.yaml says.

use std::collections::BTreeMap;

use super::check::{all, template, text_or};
use super::diagnostic::Report;
use super::files::Files;
use super::keys::{API_TIMEOUT, ENROLL_TIMEOUT, NODE_HOSTNAME, SUBNODE_HOSTNAME};
use super::raw::{RawJenkins, RawLogin, RawTarget};
use super::source_text::{Located, Position};
use super::template::Field;
use super::types::{Jenkins, Label, Launcher, Offer, Target};

/// What targets are checked against.
pub(super) struct Around<'a> {
    /// Whether there are Gearman servers.
    pub(super) has_gearman: bool,
    /// The labels whose nodes are offered.
    pub(super) labels: &'a [Label],
    /// The files that they name.
    pub(super) files: &'a Files<'a>,
}

/// Makes the targets, with the log-ins of secure.conf by the names of targets.
pub(super) fn make(
    targets: Vec<RawTarget>,
    mut secure: BTreeMap<String, (Position, RawLogin)>,
    around: &Around<'_>,
    report: &mut Report,
) -> Option<Vec<Target>> {
    let targets = all(targets, |target| {
        let name = target.name.as_ref().map(|name| name.value.as_str());
        let login = name.and_then(|name| secure.remove(name));
        make_target(target, login, around, report)
    });
    for (name, (at, _)) in &secure {
        report.warning(at, format!("there is no target `{name}` in nodepool.yaml"));
    }
    targets
}

fn make_target(
    target: RawTarget,
    login: Option<(Position, RawLogin)>,
    around: &Around<'_>,
    report: &mut Report,
) -> Option<Target> {
    if let Some(name) = target.name.as_ref().filter(|name| name.value.contains('.')) {
        report.error(
            &name.at,
            "the name of a target must not have dots, since it is part of the names of metrics",
        );
    }
    let hostname = text_or(target.hostname.as_ref(), NODE_HOSTNAME);
    if let Some(found) = template(target.hostname.as_ref(), Field::OF_NODE, report)
        && let Some(text) = &target.hostname
        && !found.names(Field::NodeId)
    {
        report.warning(&text.at, "without `{node_id}` two nodes may get the same name");
    }
    let subnode_hostname = text_or(target.subnode_hostname.as_ref(), SUBNODE_HOSTNAME);
    if let Some(found) = template(target.subnode_hostname.as_ref(), Field::OF_SUBNODE, report)
        && let Some(text) = &target.subnode_hostname
        && !found.names(Field::SubnodeId)
    {
        report.warning(&text.at, "without `{subnode_id}` all subnodes of a node get the same name");
    }
    let name = target.name?.value;
    let offer = offer(&name, target.jenkins, login, target.assign_via_gearman, around, report);
    Some(Target { name, hostname, subnode_hostname, offer: offer? })
}

/// How nodes are offered. nodepool v0 did both where both are configured; here a node has one place.
fn offer(
    name: &str,
    jenkins: Option<RawJenkins>,
    login: Option<(Position, RawLogin)>,
    gearman: Option<Located<bool>>,
    around: &Around<'_>,
    report: &mut Report,
) -> Option<Offer> {
    let jenkins = merged(jenkins, login);
    if let Some(gearman) = gearman.filter(|gearman| gearman.value) {
        if !around.has_gearman {
            report
                .error(&gearman.at, "`assign-via-gearman` needs a Gearman server, and there is none")
                .help("name the server of the launchers in `gearman-servers`");
            return None;
        }
        if jenkins.is_some() {
            let what = "are handed to launchers over Gearman, and not to its Jenkins as well";
            report
                .warning(&gearman.at, format!("the nodes of target `{name}` {what}"))
                .help("take out `assign-via-gearman`, or else the Jenkins; two targets may share the nodes");
        }
        return Some(Offer::Gearman);
    }
    match jenkins {
        Some(raw) => make_jenkins(name, raw, around, report).map(|jenkins| Offer::Jenkins(Box::new(jenkins))),
        None => Some(Offer::Nowhere),
    }
}

/// What both files say of a Jenkins, key by key.
fn merged(jenkins: Option<RawJenkins>, secure: Option<(Position, RawLogin)>) -> Option<RawJenkins> {
    match (jenkins, secure) {
        (Some(jenkins), Some((_, login))) => Some(RawJenkins { login: login.or(jenkins.login), ..jenkins }),
        (None, Some((at, login))) => Some(RawJenkins::with_login(at, login)),
        (jenkins, None) => jenkins,
    }
}

fn make_jenkins(name: &str, raw: RawJenkins, around: &Around<'_>, report: &mut Report) -> Option<Jenkins> {
    let login = &raw.login;
    let given =
        [("url", login.url.is_some()), ("user", login.user.is_some()), ("apikey", login.apikey.is_some())];
    let missing = given.into_iter().filter(|(key, given)| !given && !login.broken.contains(key));
    let missing: Vec<String> = missing.map(|(key, _)| format!("`{key}`")).collect();
    if !missing.is_empty() {
        let keys = if missing.len() == 1 { "key" } else { "keys" };
        let message = format!("the Jenkins of target `{name}` needs the {keys} {}", missing.join(", "));
        report.error(&raw.at, message).help(format!(
            "add it here, or a section [jenkins \"{name}\"] with `url`, `user` and `apikey` to secure.conf"
        ));
    }
    let url = raw.login.url.filter(|url| check_url(name, url, report));
    let ca_file = raw.ca_file.map(|file| around.files.certificate(&file, "cacert", report));
    if let Some(Located { value: Launcher::Inbound, at }) = &raw.launcher {
        check_ready_scripts(at, around, report);
    }
    Some(Jenkins {
        url: url?.value,
        user: raw.login.user?.value,
        apikey: raw.login.apikey?.value,
        credentials_id: raw.login.credentials.map(|id| id.value),
        launcher: raw.launcher.map_or(Launcher::Ssh, |launcher| launcher.value),
        test_job: raw.test_job.map(|job| job.value),
        queue_demand: raw.queue_demand.is_some_and(|wanted| wanted.value),
        close_used_agents: raw.close_used_agents.is_none_or(|wanted| wanted.value),
        enroll_timeout: raw.enroll_timeout.unwrap_or(ENROLL_TIMEOUT),
        api_timeout: raw.api_timeout.unwrap_or(API_TIMEOUT),
        ca_file,
    })
}

/// Reports a URL at which there can be no Jenkins, or that holds what belongs to other keys.
fn check_url(name: &str, url: &Located<String>, report: &mut Report) -> bool {
    let rest = url.value.strip_prefix("https://").or_else(|| url.value.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    if url.value.contains('@') && host.is_none_or(|host| host.contains('@')) {
        report.hide(&url.at);
        report
            .error(
                &url.at,
                format!("the URL of the Jenkins of target `{name}` must not hold a user or a password"),
            )
            .help("write them as `user` and `apikey`");
        return false;
    }
    let begins = |host: &str| host.starts_with(|first: char| first.is_alphanumeric() || first == '[');
    let is_clean = !url.value.contains(|character: char| character.is_whitespace() || character.is_control());
    if is_clean && host.is_some_and(begins) {
        return true;
    }
    report
        .error(&url.at, format!("the URL of the Jenkins of target `{name}` is no http or https URL"))
        .help("write it like https://jenkins.example.org/");
    false
}

/// An agent that connects by itself is started by the ready script.
fn check_ready_scripts(at: &Position, around: &Around<'_>, report: &mut Report) {
    let mut without =
        around.labels.iter().filter(|label| label.min_ready.is_some() && label.ready_script.is_none());
    if let Some(label) = without.next() {
        let message =
            format!("nothing starts an agent on nodes of label `{}`: it has no ready script", label.name);
        report
            .warning(at, message)
            .help("name a `ready-script` that starts it with what /etc/nodepool says, or take `launcher: inbound` out");
    }
}
