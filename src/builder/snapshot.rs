//! A builder between its boot and its snapshot: the scripts are copied and the setup script runs.

use std::path::PathBuf;
use std::time::Duration;

use super::{
    BuildError, FACTS_FOLDER, SCRIPTS_FOLDER, STEP_DEADLINE, Step, connect, environment, run, run_script,
    script_line,
};
use crate::model::HostKey;
use crate::remote::{Command, Endpoint, Output, Remote, quote};

/// How long copying the scripts may take.
const COPY_DEADLINE: Duration = Duration::from_mins(1);
/// What the setup script finds as its PATH: the one of nodepool v0, with the folders of root's commands.
const PATH: &str = "/usr/local/sbin:/sbin:/usr/sbin:/usr/local/bin:/bin:/usr/bin";

/// A builder to set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUp {
    /// How to reach it; the first of the users that is let in does the work.
    pub endpoint: Endpoint,
    /// Its host name.
    pub hostname: String,
    /// The folder whose tree is copied to it, if any.
    pub script_dir: Option<PathBuf>,
    /// The script in that folder to run.
    pub setup: String,
    /// How long that script may run.
    pub setup_timeout: Duration,
    /// The user as whom nodes of this image are prepared later. `/etc/nodepool` will belong to it if it exists by
    /// then, so that it can be written to on images whose user has no sudo.
    pub node_user: String,
    /// The environment of the script: the daemon's own `NODEPOOL_` variables.
    pub environment: Vec<(String, String)>,
}

/// A builder that is ready for its snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUpDone {
    /// The host key that it showed.
    pub host_key: HostKey,
}

/// Copies the scripts to the builder and runs the setup script there, over one connection.
///
/// Doing so again starts over: the scripts are replaced, and a script that still runs from an earlier visit is ended.
pub async fn set_up(
    remote: &dyn Remote,
    order: &SetUp,
    output: &mut dyn Output,
) -> Result<SetUpDone, BuildError> {
    let script = script_line(&order.setup, &order.hostname).map_err(|cause| Step::Setup.failed(cause))?;
    let environment = environment(remote, &order.endpoint.private_key, &order.environment)
        .await
        .map_err(|error| Step::Setup.failed(error))?;
    let mut connection = connect(remote, &order.endpoint).await?;
    if let Some(folder) = &order.script_dir {
        connection
            .copy_tree(folder, SCRIPTS_FOLDER, COPY_DEADLINE)
            .await
            .map_err(|error| Step::CopyScripts.failed(error))?;
    }
    let folders = Command {
        line: folders_line(order.script_dir.is_some()),
        environment: Vec::new(),
        deadline: STEP_DEADLINE,
    };
    run(connection.as_mut(), Step::Files, &folders, output).await?;
    let setup = Command {
        line: format!("export PATH={PATH}; {script} && {}", last_line(&order.node_user)),
        environment,
        deadline: order.setup_timeout,
    };
    run_script(connection.as_mut(), Step::Setup, &setup, &order.setup, output).await?;
    Ok(SetUpDone { host_key: connection.host_key().clone() })
}

/// Logs in to a server that was booted from a new snapshot, as its nodes will be: that is what a snapshot is good for.
pub async fn verify(remote: &dyn Remote, endpoint: &Endpoint) -> Result<(), BuildError> {
    connect(remote, endpoint).await.map(|_| ())
}

/// Makes the folder of facts, and scripts that everybody may read and run, whatever their modes were here.
fn folders_line(scripts: bool) -> String {
    let open = if scripts { format!(" && $sudo chmod -R a+rx {SCRIPTS_FOLDER}") } else { String::new() };
    format!(
        "sudo='sudo -n'; [ \"$(id -u)\" != 0 ] || sudo=; $sudo mkdir -p {FACTS_FOLDER} && $sudo chmod 755 {FACTS_FOLDER}{open}"
    )
}

/// What follows a setup script that succeeded.
///
/// The user of nodes may have been made by the script, and its login user may have lost sudo: then the folder stays
/// root's. The snapshot is taken of the running server, so what is still in its memory would be missing: nodepool v0
/// lost files that way. `sync` waits until all has been written, and `sync -f` also has the disk empty its own cache;
/// v0 slept five seconds instead.
fn last_line(node_user: &str) -> String {
    let user = quote(node_user);
    format!(
        "{{ sudo='sudo -n'; [ \"$(id -u)\" != 0 ] || sudo=; id -u {user} >/dev/null 2>&1 && \
         $sudo chown {user} {FACTS_FOLDER} 2>/dev/null; sync && {{ sync -f / 2>/dev/null || :; }}; }}"
    )
}
