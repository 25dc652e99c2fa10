//! Removing an agent, and closing one to further builds.
//!
//! Jenkins refuses no removal: a build on the agent fails at once. So we look first; and since a build may begin between the
//! look and the removal, an agent that takes jobs is first told to take none, and looked at again.

use reqwest::StatusCode;

use super::agents::{self, leads_to_the_list};
use super::connection::{Call, Connection};
use super::{failure, names};
use crate::model::{Agent, AgentTag};
use crate::target::{TargetError, Withdrawal};

/// Removes the agent, if it is there, is ours, and is idle or not to be spared.
///
/// # Errors
/// `Busy`, and `Rejected` for an agent that does not carry the mark.
pub(super) async fn withdraw(connection: &Connection, withdrawal: &Withdrawal) -> Result<(), TargetError> {
    names::check(&withdrawal.name)?;
    let Some(agent) = agents::look(connection, &withdrawal.name).await? else { return Ok(()) };
    may_go(&agent, withdrawal)?;
    if agent.online && !agent.set_offline && !withdrawal.insist {
        // A user who may delete agents and not take them offline loses the moment's safety, and nothing else.
        let told = set_offline(connection, &withdrawal.name, "nodepool removes this agent").await;
        if let Err(error @ TargetError::Unavailable(_)) = told {
            return Err(error);
        }
        let Some(agent) = agents::look(connection, &withdrawal.name).await? else { return Ok(()) };
        may_go(&agent, withdrawal)?;
    }
    delete(connection, &withdrawal.name).await
}

/// Tells Jenkins to start nothing more on the agent, if it is ours and takes builds.
///
/// # Errors
/// `NotFound`, and `Rejected` for an agent that does not carry the mark.
pub(super) async fn close(
    connection: &Connection,
    name: &str,
    tag: &AgentTag,
    why: &str,
) -> Result<(), TargetError> {
    names::check(name)?;
    let agent = agents::look(connection, name).await?;
    let agent = agent.ok_or_else(|| TargetError::NotFound(format!("there is no agent `{name}`")))?;
    carries(&agent, tag)?;
    if agent.set_offline { Ok(()) } else { set_offline(connection, name, why).await }
}

fn carries(agent: &Agent, tag: &AgentTag) -> Result<(), TargetError> {
    if agent.tag.as_ref() == Some(tag) {
        return Ok(());
    }
    Err(TargetError::Rejected(format!(
        "the agent `{}` does not carry the mark of node {} of this installation: it is left alone",
        agent.name, tag.node
    )))
}

fn may_go(agent: &Agent, withdrawal: &Withdrawal) -> Result<(), TargetError> {
    carries(agent, &withdrawal.tag)?;
    if !agent.idle && !withdrawal.insist {
        let build = agent.build.as_deref().unwrap_or("a build that is about to begin or to end");
        return Err(TargetError::Busy(format!("on the agent `{}` is {build}", agent.name)));
    }
    Ok(())
}

/// Tells Jenkins to start nothing more there, and why. It stays so: a node serves one job at most. A job that runs goes on.
///
/// # Errors
/// `AuthFailed` when the user may not take agents offline.
pub(super) async fn set_offline(connection: &Connection, name: &str, why: &str) -> Result<(), TargetError> {
    let path = ["computer", name, "changeOfflineCause"];
    let call = Call::post(&path).form(vec![("offlineMessage", why.into())]);
    let answer = connection.call(&call).await?;
    let done = answer.status.is_success() || answer.status.is_redirection();
    if done { Ok(()) } else { Err(connection.refusal(&call, &answer)) }
}

async fn delete(connection: &Connection, name: &str) -> Result<(), TargetError> {
    let path = ["computer", name, "doDelete"];
    let call = Call::post(&path);
    let answer = connection.call(&call).await?;
    let gone = answer.status == StatusCode::NOT_FOUND
        || leads_to_the_list(answer.status, failure::location(&answer));
    if gone { Ok(()) } else { Err(connection.refusal(&call, &answer)) }
}
