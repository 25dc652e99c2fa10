//! Errands to targets: what the target room needs to know, taken from the rows and the configuration.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::act::{Made, provider_image};
use super::{Engine, Outcome, Rows};
use crate::config::Offer;
use crate::model::{AgentTag, CLOSED, Node, NodeId, Timestamp};
use crate::plan::{Answer, Errand, Failure, Fault};
use crate::target::{Enrollment, Target, TargetError, Withdrawal, describe};

/// How long an errand to a target may take beyond the deadline of one call: some take several calls.
const CALLS_OF_AN_ERRAND: u32 = 4;

/// The deadline of a call to a target whose configuration does not say one.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

impl Engine {
    /// One errand to a target.
    pub(super) fn call_target(&self, errand: &Errand, rows: &Rows) -> Result<Made, String> {
        let row = errand.node().and_then(|id| rows.nodes.get(&id));
        let name = match errand {
            Errand::ListAgents { target } | Errand::Withdraw { target, .. } => target,
            _ => &row.ok_or("its row is gone")?.target,
        };
        let deadline = self.call_deadline(name).saturating_mul(CALLS_OF_AN_ERRAND);
        let Some(target) = self.drivers.targets.get(name).map(Arc::clone) else {
            let text = self.why_unreachable(name);
            let outcome = match errand {
                Errand::ListAgents { .. } => Outcome::Agents(Err(text)),
                _ => Outcome::Answer(Answer::Failed(Failure { fault: Fault::Uncertain, text })),
            };
            return Ok((deadline, ready(outcome).boxed()));
        };
        let future: BoxFuture<'static, Outcome> = match errand {
            Errand::ListAgents { .. } => {
                async move { Outcome::Agents(target.roster().await.map_err(|error| error.to_string())) }
                    .boxed()
            }
            Errand::Withdraw { name, node, .. } => self.withdraw(target, name, *node, row)?,
            Errand::Enroll(_) => self.enroll(target, row.ok_or("its row is gone")?)?,
            Errand::StartTest { job, .. } => {
                let (job, name) = (job.clone(), row.ok_or("its row is gone")?.nodename.clone());
                async move { done(target.start_test(&job, &name).await) }.boxed()
            }
            Errand::Relabel(_) => {
                let row = row.ok_or("its row is gone")?;
                let (name, tag, labels) =
                    (row.nodename.clone(), self.agent_tag(row.id), vec![row.label.clone()]);
                async move { done(target.relabel(&name, &tag, &labels).await) }.boxed()
            }
            Errand::Describe { .. } => {
                let row = row.ok_or("its row is gone")?;
                let (name, tag) = (row.nodename.clone(), self.agent_tag(row.id));
                let why = hold_in_words(row);
                let text = describe(&row.label, &tag, Some(&why));
                async move { done(target.hold(&name, &tag, &text, &why).await) }.boxed()
            }
            Errand::Close(_) => {
                let row = row.ok_or("its row is gone")?;
                let (name, tag) = (row.nodename.clone(), self.agent_tag(row.id));
                async move { done(target.close(&name, &tag, CLOSED).await) }.boxed()
            }
            Errand::ReadLaunchLog(_) => {
                let name = row.ok_or("its row is gone")?.nodename.clone();
                async move {
                    Outcome::Answer(match target.launch_log(&name).await {
                        Ok(text) => Answer::Text(text),
                        Err(error) => Answer::Failed(failure(&error)),
                    })
                }
                .boxed()
            }
            _ => return Err("it is not a call to a target".to_owned()),
        };
        Ok((deadline, future))
    }

    fn withdraw(
        &self,
        target: Arc<dyn Target>,
        name: &str,
        node: Option<NodeId>,
        row: Option<&Node>,
    ) -> Result<BoxFuture<'static, Outcome>, String> {
        // The mark of an agent without a row is the one that it was seen with.
        let seen = || {
            let mut views = self.memory.targets.values();
            views.find_map(|view| view.agents.items.get(name)?.tag.clone())
        };
        let tag =
            node.map(|id| self.agent_tag(id)).or_else(seen).ok_or("its agent is not listed any more")?;
        let withdrawal = Withdrawal {
            name: name.to_owned(),
            tag,
            manager: row.and_then(|row| row.agent.manager.clone()),
            insist: row.is_some_and(|row| row.agent.insists),
        };
        Ok(async move { done(target.withdraw(&withdrawal).await) }.boxed())
    }

    fn enroll(&self, target: Arc<dyn Target>, node: &Node) -> Result<BoxFuture<'static, Outcome>, String> {
        let provider =
            self.config.provider(&node.provider).ok_or("its provider is not in the configuration")?;
        let image = provider_image(provider, &node.image)?;
        let address: IpAddr =
            node.ip.as_deref().and_then(|ip| ip.parse().ok()).ok_or("its row has no usable address")?;
        let tested = match self.config.target(&node.target).map(|target| &target.offer) {
            Some(Offer::Jenkins(jenkins)) => jenkins.test_job.is_some(),
            _ => false,
        };
        let tag = self.agent_tag(node.id);
        let enrollment = Enrollment {
            name: node.nodename.clone(),
            description: describe(&node.label, &tag, None),
            tag,
            labels: if tested { Vec::new() } else { vec![node.label.clone()] },
            address,
            port: image.ssh_port,
            username: image.username.clone(),
            private_key: image.private_key.clone(),
            host_key: node.host_key.as_ref().map(|key| key.0.clone()),
            root: image.user_home.clone(),
        };
        let future = async move {
            Outcome::Answer(match target.enroll(&enrollment).await {
                Ok(enrolled) => enrolled.manager.map_or(Answer::Done, Answer::Id),
                Err(error) => Answer::Failed(failure(&error)),
            })
        };
        Ok(future.boxed())
    }

    fn agent_tag(&self, node: NodeId) -> AgentTag {
        AgentTag { installation: self.installation.clone(), node }
    }

    fn call_deadline(&self, target: &str) -> Duration {
        match self.config.target(target).map(|target| &target.offer) {
            Some(Offer::Jenkins(jenkins)) => jenkins.api_timeout,
            _ => CALL_DEADLINE,
        }
    }
}

/// Who holds a node, how long and why, for people who see it at the target.
fn hold_in_words(node: &Node) -> String {
    let by = node.held_by.as_deref().map_or_else(String::new, |owner| format!(" by {owner}"));
    let until = node.held_until.map_or_else(String::new, |until| format!(" until {}", utc(until)));
    let why = node.comment.as_deref().map_or_else(String::new, |comment| format!(": {comment}"));
    format!("held{by}{until}{why}")
}

fn utc(moment: Timestamp) -> String {
    let since_epoch = Duration::from_secs(u64::try_from(moment.seconds()).unwrap_or(0));
    let time = std::time::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(std::time::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string()
}

fn done(answer: Result<(), TargetError>) -> Outcome {
    Outcome::Answer(match answer {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(failure(&error)),
    })
}

pub(super) fn failure(error: &TargetError) -> Failure {
    let fault = match error {
        TargetError::NotFound(_) => Fault::NotFound,
        TargetError::Busy(_) => Fault::Busy,
        TargetError::Rejected(_) => Fault::Refused,
        TargetError::Unavailable(_) => Fault::Uncertain,
        TargetError::AuthFailed(_) => Fault::Login,
        TargetError::QuietingDown(_) => Fault::Throttled(None),
    };
    Failure { fault, text: error.to_string() }
}
