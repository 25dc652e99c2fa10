//! A node between its boot and its first job: its facts are written and its ready script runs.

use std::net::IpAddr;
use std::time::Duration;

use super::{BuildError, STEP_DEADLINE, Step, connect, environment, facts, run_script, script_line};
use crate::model::HostKey;
use crate::remote::{Command, Endpoint, Output, Remote, generate_keypair};

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

/// Writes the node's facts and runs its ready script, over one connection.
///
/// Doing so again does no harm: files are replaced, and a script that still runs from an earlier visit is ended.
pub async fn prepare(
    remote: &dyn Remote,
    order: &Preparation,
    output: &mut dyn Output,
) -> Result<Prepared, BuildError> {
    // What can be wrong with the order shows before the machine is waited for.
    let script = match &order.ready_script {
        Some(script) => {
            let line =
                script_line(script, &order.hostname).map_err(|cause| Step::ReadyScript.failed(cause))?;
            let environment = environment(remote, &order.endpoint.private_key, &order.environment)
                .await
                .map_err(|error| Step::ReadyScript.failed(error))?;
            Some((script, Command { line, environment, deadline: order.ready_script_timeout }))
        }
        None => None,
    };
    let pair = generate_keypair(&format!("nodepool {}", order.hostname))
        .map_err(|error| Step::Files.failed(error))?;
    let mut connection = connect(remote, &order.endpoint).await?;
    connection
        .write_files(&facts::files(order, &pair), STEP_DEADLINE)
        .await
        .map_err(|error| Step::Files.failed(error))?;
    if let Some((name, script)) = script {
        run_script(connection.as_mut(), Step::ReadyScript, &script, name, output).await?;
    }
    Ok(Prepared { host_key: connection.host_key().clone() })
}
