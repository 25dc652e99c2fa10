//! Visits over ssh: what the builder room needs to know, taken from the rows, the configuration and the listings.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use secrecy::ExposeSecret as _;

use super::act::{Made, provider_image};
use super::contact::Reporting;
use super::evidence::{LastLines, Witness};
use super::host_keys::{hint, trust};
use super::output::{BuildLog, NodeLog};
use super::{Engine, Outcome, Rows};
use crate::builder::{self, BuildError, Cause, FACTS_FOLDER, Member, Preparation, SetUp};
use crate::config::{ImageSource, Launcher, Offer, Provider};
use crate::model::{FloatingFacts, Image, ImageId, ImageStep, Node, NodeId, Owner};
use crate::plan::{Answer, BUILDER_PATIENCE, Errand, Failure, Fault, Reach, Wanted, reach};
use crate::remote::{Endpoint, RemoteError, RemoteFile, quote};
use crate::target::{Inbound, Target};

/// What a visit needs beside its script: to copy and write files, to end and kill what runs too long.
const VISIT_MARGIN: Duration = Duration::from_secs(120);

/// How long a ready node may take until ssh lets us in: it has done so before. The limit of nodepool v0.
const CHECK_PATIENCE: Duration = Duration::from_secs(60);

/// What the check of a node needs beside the log-in: a command that does nothing.
const CHECK_MARGIN: Duration = Duration::from_secs(30);

impl Engine {
    /// One visit to all members of a set: the node and its subnodes, if it has any.
    pub(super) fn prepare_node(&self, id: NodeId, rows: &Rows) -> Result<Made, String> {
        let node = rows.nodes.get(&id).ok_or("its row is gone")?;
        let mut subnodes: Vec<&Node> = rows.nodes.values().filter(|row| row.is_subnode_of(id)).collect();
        subnodes.sort_by_key(|row| row.subnode_index);
        let is_set = !subnodes.is_empty();
        let mut deadline = VISIT_MARGIN;
        let (mut visits, mut witnesses) = (Vec::new(), Vec::new());
        for member in std::iter::once(node).chain(subnodes) {
            let order = self
                .preparation(member)
                .map_err(|missing| if is_set { format!("{}: {missing}", member.title()) } else { missing })?;
            // The subnodes run their scripts at once, and the primary runs its own after them.
            let scripts = order.ready_script_timeout.saturating_mul(if is_set { 2 } else { 1 });
            deadline =
                deadline.max(order.endpoint.patience.saturating_add(scripts).saturating_add(VISIT_MARGIN));
            let remote = Reporting {
                remote: Arc::clone(&self.drivers.remote),
                errand: Errand::PrepareNode(id),
                node: Some(member.id),
                news: self.news.clone(),
            };
            witnesses.push((member.title(), self.witness(id, member)));
            visits.push((
                member.title(),
                order,
                remote,
                NodeLog { subnode: member.primary.map(|_| member.id.0), last: LastLines::default() },
            ));
        }
        let hint = hint(self.configured(&node.provider)?, &node.image);
        let inbound = self.inbound(node);
        let future = async move {
            let access = match inbound {
                None => Vec::new(),
                Some((target, name)) => match target.inbound(&name).await {
                    Ok(inbound) => vec![access_file(&inbound)],
                    Err(error) => {
                        let Failure { fault, text } = super::offer::failure(&error);
                        let text = format!("what its agent needs could not be had: {text}");
                        return Outcome::Answer(Answer::Failed(Failure { fault, text }));
                    }
                },
            };
            // The agent is that of the primary, which comes first: its secret is nothing for the others.
            let mut access = Some(access);
            let mut members: Vec<Member<'_>> = visits
                .iter_mut()
                .map(|(name, order, remote, log)| Member {
                    name: name.clone(),
                    order: order.clone(),
                    files: access.take().unwrap_or_default(),
                    remote,
                    output: log,
                })
                .collect();
            let Err(failed) = builder::prepare_set(&mut members).await else {
                return Outcome::Answer(Answer::Done);
            };
            drop(members);
            let output = visits.iter().find(|(name, ..)| *name == failed.name || !is_set);
            let output = output.and_then(|(_, _, _, log)| log.last.text());
            let witness = witnesses.into_iter().find(|(name, _)| *name == failed.name || !is_set);
            if let Some((_, witness)) = witness {
                witness.tell(output).await;
            }
            if is_set {
                return failure(format!("{}: {}", failed.name, told(&failed.error, hint)));
            }
            visited(Err(failed.error), hint)
        };
        Ok((deadline, future.boxed()))
    }

    /// Who tells what a failed visit leaves behind.
    fn witness(&self, id: NodeId, member: &Node) -> Witness {
        Witness {
            errand: Errand::PrepareNode(id),
            node: member.id,
            server: member.server_id.clone(),
            cloud: self.drivers.clouds.get(&member.provider).map(Arc::clone),
            news: self.news.clone(),
        }
    }

    /// The target that an agent on this node has to connect to by itself, and the agent's name.
    fn inbound(&self, node: &Node) -> Option<(Arc<dyn Target>, String)> {
        let Offer::Jenkins(jenkins) = &self.config.target(&node.target)?.offer else { return None };
        let target =
            self.drivers.targets.get(&node.target).filter(|_| jenkins.launcher == Launcher::Inbound)?;
        Some((Arc::clone(target), node.nodename.clone()))
    }

    fn preparation(&self, node: &Node) -> Result<Preparation, String> {
        let provider = self.configured(&node.provider)?;
        let image = provider_image(provider, &node.image)?;
        let label = self.config.label(&node.label).ok_or("its label is not in the configuration")?;
        let address: IpAddr =
            node.ip.as_deref().and_then(|ip| ip.parse().ok()).ok_or("its row has no usable address")?;
        Ok(Preparation {
            endpoint: Endpoint {
                address,
                port: image.ssh_port,
                users: vec![image.username.clone()],
                private_key: image.private_key.clone(),
                trust: trust(provider, node.host_key.as_ref()),
                patience: provider.boot_timeout,
            },
            hostname: node.hostname.clone(),
            public_address: self.public_address(node).unwrap_or(address),
            private_address: node.ip_private.as_deref().and_then(|ip| ip.parse().ok()),
            server_id: node.server_id.clone().unwrap_or_default(),
            provider: provider.name.clone(),
            cloud: provider.cloud.clone(),
            region: provider.credentials.region.clone(),
            az: node.az.clone(),
            ready_script: label.ready_script.clone(),
            ready_script_timeout: label.ready_script_timeout,
            environment: self.drivers.script_environment.clone(),
        })
    }

    pub(super) fn set_up_builder(&self, id: ImageId, rows: &Rows) -> Result<Made, String> {
        let row = rows.images.get(&id).ok_or("its row is gone")?;
        let provider = self.configured(&row.provider)?;
        let image = provider_image(provider, &row.image)?;
        let ImageSource::Snapshot { setup, setup_timeout, .. } = &image.source;
        let order = SetUp {
            endpoint: Endpoint {
                address: self.reach(&row.provider, row, Owner::Builder(id))?.connect,
                port: image.ssh_port,
                users: image.bootstrap_users.clone(),
                private_key: image.private_key.clone(),
                trust: trust(provider, row.host_key.as_ref()),
                patience: BUILDER_PATIENCE,
            },
            hostname: row.hostname.clone(),
            script_dir: self.config.script_dir.clone(),
            setup: setup.clone(),
            setup_timeout: *setup_timeout,
            node_user: image.username.clone(),
            environment: self.drivers.script_environment.clone(),
        };
        let deadline = BUILDER_PATIENCE.saturating_add(*setup_timeout).saturating_add(VISIT_MARGIN);
        let remote = self.reporting(Errand::SetUpBuilder(id));
        let hint = hint(provider, &row.image);
        let mut log = BuildLog {
            name: row.image.clone(),
            id,
            step: ImageStep::Setup,
            news: self.news.clone(),
            room: Arc::clone(&self.room_for_lines),
            missed: 0,
        };
        let future =
            async move { visited(builder::set_up(&remote, &order, &mut log).await.map(|_| ()), hint) };
        Ok((deadline, future.boxed()))
    }

    pub(super) fn verify_snapshot(&self, id: ImageId, rows: &Rows) -> Result<Made, String> {
        let row = rows.images.get(&id).ok_or("its row is gone")?;
        let provider = self.configured(&row.provider)?;
        let image = provider_image(provider, &row.image)?;
        let endpoint = Endpoint {
            address: self.reach(&row.provider, row, Owner::Verifier(id))?.connect,
            port: image.ssh_port,
            users: vec![image.username.clone()],
            private_key: image.private_key.clone(),
            trust: trust(provider, row.verify_host_key.as_ref()),
            patience: provider.boot_timeout,
        };
        let remote = self.reporting(Errand::VerifySnapshot(id));
        let hint = hint(provider, &row.image);
        let future = async move { visited(builder::verify(&remote, &endpoint).await, hint) };
        Ok((provider.boot_timeout.saturating_add(VISIT_MARGIN), future.boxed()))
    }

    pub(super) fn check_node(&self, id: NodeId, rows: &Rows) -> Result<Made, String> {
        let node = rows.nodes.get(&id).ok_or("its row is gone")?;
        let provider = self.configured(&node.provider)?;
        let image = provider_image(provider, &node.image)?;
        let address: IpAddr =
            node.ip.as_deref().and_then(|ip| ip.parse().ok()).ok_or("its row has no usable address")?;
        let endpoint = Endpoint {
            address,
            port: image.ssh_port,
            users: vec![image.username.clone()],
            private_key: image.private_key.clone(),
            trust: trust(provider, node.host_key.as_ref()),
            patience: provider.boot_timeout.min(CHECK_PATIENCE),
        };
        let deadline = endpoint.patience.saturating_add(CHECK_MARGIN);
        let remote = Arc::clone(&self.drivers.remote);
        let mut log = NodeLog { subnode: None, last: LastLines::default() };
        let hint = hint(provider, &node.image);
        let future = async move { visited(builder::check(remote.as_ref(), &endpoint, &mut log).await, hint) };
        Ok((deadline, future.boxed()))
    }

    fn configured(&self, provider: &str) -> Result<&Provider, String> {
        self.config
            .provider(provider)
            .ok_or_else(|| format!("provider {provider} is not in the configuration"))
    }

    /// The addresses of a server of a build.
    fn reach(&self, provider: &str, row: &Image, owner: Owner) -> Result<Reach, String> {
        let (server, floating_ip) = match owner {
            Owner::Verifier(_) => (&row.verify_server_id, &row.verify_floating_ip),
            Owner::Node(_) | Owner::Builder(_) => (&row.server_id, &row.floating_ip),
        };
        let cloud = self.memory.clouds.get(provider);
        let server = server
            .as_ref()
            .and_then(|id| cloud?.servers.items.get(id))
            .ok_or("the cloud does not show it")?;
        let wanted = Wanted::of(self.configured(provider)?, &row.image);
        reach(server, self.floating_address(provider, floating_ip), &wanted)
            .map_err(|lack| format!("its server {lack}"))
    }

    /// The address by which the outside knows a node, as the cloud shows it now.
    fn public_address(&self, node: &Node) -> Option<IpAddr> {
        let cloud = self.memory.clouds.get(&node.provider)?;
        let server = cloud.servers.items.get(node.server_id.as_ref()?)?;
        let floating = self.floating_address(&node.provider, &node.floating_ip);
        let wanted = Wanted::of(self.config.provider(&node.provider)?, &node.image);
        reach(server, floating, &wanted).ok().map(|found| found.public)
    }

    fn floating_address(&self, provider: &str, known: &FloatingFacts) -> Option<IpAddr> {
        let shown = self.memory.clouds.get(provider)?.floating_ips.items.get(known.id.as_ref()?)?;
        shown.server_attached.then_some(shown.ip)
    }

    fn reporting(&self, errand: Errand) -> Reporting {
        Reporting { remote: Arc::clone(&self.drivers.remote), errand, node: None, news: self.news.clone() }
    }
}

/// What the ready script needs to start an inbound agent: in a file, since everybody on a machine sees the arguments and the
/// environment of a command.
fn access_file(inbound: &Inbound) -> RemoteFile {
    let lines = [
        ("NODEPOOL_JENKINS_URL", inbound.url.as_str()),
        ("NODEPOOL_JENKINS_AGENT_NAME", inbound.name.as_str()),
        ("NODEPOOL_JENKINS_SECRET", inbound.secret.expose_secret()),
    ];
    let lines = lines.map(|(name, value)| format!("{name}={}\n", quote(value)));
    RemoteFile {
        path: format!("{FACTS_FOLDER}/jenkins").into(),
        content: lines.concat().into_bytes(),
        mode: 0o600,
    }
}

fn failure(text: String) -> Outcome {
    Outcome::Answer(Answer::Failed(Failure { fault: Fault::Refused, text }))
}

fn visited(result: Result<(), BuildError>, hint: Option<&str>) -> Outcome {
    Outcome::Answer(match result {
        Ok(()) => Answer::Done,
        Err(error) => {
            let fault = match &error.cause {
                // What is wrong on our side says nothing about the machine.
                Cause::Remote(RemoteError::Local(_)) => Fault::Login,
                _ if error.is_unreachable() => Fault::Unreachable,
                _ => Fault::Refused,
            };
            Answer::Failed(Failure { fault, text: told(&error, hint) })
        }
    })
}

fn told(error: &BuildError, hint: Option<&str>) -> String {
    let wrong = matches!(&error.cause, Cause::Remote(RemoteError::WrongHostKey { .. }));
    let hint = hint.filter(|_| wrong).map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{error}{hint}")
}
