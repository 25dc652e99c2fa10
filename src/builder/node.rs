//! A node between its boot and its first job: its facts are written and its ready script runs. A node of several servers
//! is a set of machines, which are prepared together.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::try_join_all;

use super::facts::{self, Addresses, Role, Set};
use super::{BuildError, Cause, STEP_DEADLINE, Step, connect, environment, run, run_script, script_line};
use crate::model::HostKey;
use crate::remote::{Command, Connection, Endpoint, KeyPair, Output, Remote, RemoteFile, generate_keypair};

/// A node to prepare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// How to reach it, and how long to try.
    pub endpoint: Endpoint,
    /// Its full host name.
    pub hostname: String,
    /// The address at which it is reached.
    pub public_address: IpAddr,
    /// Its address on the private network, where that differs.
    pub private_address: Option<IpAddr>,
    /// The cloud's id of its server.
    pub server_id: String,
    /// Name of its provider.
    pub provider: String,
    /// The provider's name in clouds.yaml, if it is described there.
    pub cloud: Option<String>,
    /// The region of its cloud, if there are several.
    pub region: Option<String>,
    /// Its availability zone, if one was asked for.
    pub az: Option<String>,
    /// The script in the script folder to run, if any.
    pub ready_script: Option<String>,
    /// How long that script may run.
    pub ready_script_timeout: Duration,
    /// The environment of that script: the daemon's own `NODEPOOL_` variables.
    pub environment: Vec<(String, String)>,
}

/// A node that is prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The host key that it showed.
    pub host_key: HostKey,
}

/// One machine of a set to prepare, and the way to it.
pub struct Member<'m> {
    /// What it is called when something goes wrong.
    pub name: String,
    /// What is to be done there.
    pub order: Preparation,
    /// What is written there beside the facts: files that scripts of one target need.
    pub files: Vec<RemoteFile>,
    /// How it is reached.
    pub remote: &'m dyn Remote,
    /// Where the lines of its script go.
    pub output: &'m mut dyn Output,
}

/// The preparation of a set that failed at one of its machines.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{name}: {error}")]
pub struct MemberError {
    /// What that machine is called.
    pub name: String,
    /// How it failed.
    pub error: BuildError,
}

/// Prepares a node that is alone: a set of one.
pub async fn prepare(
    remote: &dyn Remote,
    order: &Preparation,
    output: &mut dyn Output,
) -> Result<Prepared, BuildError> {
    let mut alone =
        [Member { name: order.hostname.clone(), order: order.clone(), files: Vec::new(), remote, output }];
    let prepared = prepare_set(&mut alone).await.map_err(|failed| failed.error)?;
    let nothing = || Step::Connect.failed(Cause::Order("nobody was visited".to_owned()));
    prepared.into_iter().next().ok_or_else(nothing)
}

/// Writes the facts of all machines of a set and runs their ready scripts, over one connection to each: the subnodes at
/// once, and when all of them are done the primary, which is the first member.
///
/// Doing so again does no harm: files are replaced, and a script that still runs from an earlier visit is ended.
pub async fn prepare_set(members: &mut [Member<'_>]) -> Result<Vec<Prepared>, MemberError> {
    let addresses: Vec<Addresses> = members.iter().map(|member| Addresses::of(&member.order)).collect();
    let (Some(primary), Some(first)) = (addresses.first(), members.first()) else { return Ok(Vec::new()) };
    let set = Set { primary: *primary, subnodes: addresses.iter().skip(1).copied().collect() };
    let pair = generate_keypair(&format!("nodepool {}", first.order.hostname))
        .map_err(|error| first.failed(Step::Files.failed(error)))?;
    let mut visits = try_join_all(members.iter_mut().map(Visit::begin)).await?;
    let Some((primary, subnodes)) = visits.split_first_mut() else { return Ok(Vec::new()) };
    try_join_all(subnodes.iter_mut().map(|visit| visit.write_facts(Role::Subnode, &set, &pair))).await?;
    primary.write_facts(Role::Primary, &set, &pair).await?;
    try_join_all(subnodes.iter_mut().map(Visit::run_script)).await?;
    primary.run_script().await?;
    let prepared = |visit: &Visit<'_, '_>| Prepared { host_key: visit.connection.host_key().clone() };
    Ok(visits.iter().map(prepared).collect())
}

impl Member<'_> {
    fn failed(&self, error: BuildError) -> MemberError {
        MemberError { name: self.name.clone(), error }
    }
}

/// A member that was reached.
struct Visit<'v, 'm> {
    member: &'v mut Member<'m>,
    connection: Box<dyn Connection>,
    script: Option<Command>,
}

impl<'v, 'm> Visit<'v, 'm> {
    async fn begin(member: &'v mut Member<'m>) -> Result<Self, MemberError> {
        // What can be wrong with the order shows before the machine is waited for.
        let script = script(member.remote, &member.order).await.map_err(|error| member.failed(error))?;
        let connection =
            connect(member.remote, &member.order.endpoint).await.map_err(|error| member.failed(error))?;
        Ok(Self { member, connection, script })
    }

    async fn write_facts(&mut self, role: Role, set: &Set, pair: &KeyPair) -> Result<(), MemberError> {
        let mut files = facts::files(&self.member.order, role, set, pair);
        files.extend(self.member.files.iter().cloned());
        let written = self.connection.write_files(&files, STEP_DEADLINE).await;
        written.map_err(|error| self.member.failed(Step::Files.failed(error)))
    }

    async fn run_script(&mut self) -> Result<(), MemberError> {
        let (Some(name), Some(script)) = (&self.member.order.ready_script, &self.script) else {
            return Ok(());
        };
        let output = &mut *self.member.output;
        let ran = run_script(self.connection.as_mut(), Step::ReadyScript, script, name, output).await;
        ran.map_err(|error| self.member.failed(error))
    }
}

/// The ready script as a command, if there is one.
async fn script(remote: &dyn Remote, order: &Preparation) -> Result<Option<Command>, BuildError> {
    let Some(script) = &order.ready_script else { return Ok(None) };
    let line = script_line(script, &order.hostname).map_err(|cause| Step::ReadyScript.failed(cause))?;
    let environment = environment(remote, &order.endpoint.private_key, &order.environment)
        .await
        .map_err(|error| Step::ReadyScript.failed(error))?;
    Ok(Some(Command { line, environment, deadline: order.ready_script_timeout }))
}

/// Reaches a node that is ready and runs a command there that does nothing: whether it still can be used.
pub async fn check(
    remote: &dyn Remote,
    endpoint: &Endpoint,
    output: &mut dyn Output,
) -> Result<(), BuildError> {
    let mut connection = connect(remote, endpoint).await?;
    let nothing = Command { line: "true".to_owned(), environment: Vec::new(), deadline: STEP_DEADLINE };
    run(connection.as_mut(), Step::Connect, &nothing, output).await
}
