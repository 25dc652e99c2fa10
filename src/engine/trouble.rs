//! What goes wrong outside, told in the log: the first time, and then less and less often.
//!
//! What a row remembers as its reason is told where rows change. A call that fails and is simply made again changes no
//! row; without a word here, nobody would learn why a cloud stays unread or a server stays.

use crate::model::counted;
use crate::plan::{Errand, Failure, Fault};

/// Tells that a call failed for the `count`th time in a row.
pub(super) fn call_failed(errand: &Errand, count: u32, failure: &Failure) {
    let row_tells = match failure.fault {
        Fault::NotFound | Fault::Quota | Fault::Refused | Fault::Unreachable => {
            matches!(
                errand,
                Errand::CreateServer { .. }
                    | Errand::CreateFloatingIp { .. }
                    | Errand::TakeSnapshot { .. }
                    | Errand::Enroll(_)
                    | Errand::StartTest { .. }
                    | Errand::Relabel(_)
                    | Errand::ReadLaunchLog(_)
            )
        }
        Fault::Throttled(_) | Fault::Uncertain | Fault::Login => false,
        // It is no trouble: the job ends some day, and whoever looks at the node is told what it waits for.
        Fault::Busy => true,
    };
    // A console that shows no host key yet is no trouble, and one that never does is told by the row.
    let is_search = matches!(errand, Errand::ReadConsole { .. });
    if !errand.is_visit() && !row_tells && !is_search {
        failed(errand, count, &failure.text);
    }
}

/// Tells that a listing failed for the `count`th time in a row.
pub(super) fn failed(errand: &Errand, count: u32, text: &str) {
    let what = match errand {
        Errand::ListPorts { .. } => "ports",
        Errand::ListVolumes { .. } => "volumes",
        _ => "",
    };
    if !what.is_empty() {
        // Not every cloud has them or lets us list them, and all goes on without: that is told once.
        if count == 1 {
            tracing::warn!(
                target: "nodepool.engine",
                "listing {what} failed: {text}. All else goes on; {what} that the cloud forgets to delete with their \
                 servers stay until this works. If it never does, see whether the catalogue has the service and the user \
                 may list and delete {what}"
            );
        }
        return;
    }
    if count.is_power_of_two() {
        let purpose = purpose(errand);
        tracing::warn!(target: "nodepool.engine", count, "{purpose} failed: {text}");
    }
}

/// Tells that our mark could not be put on a volume, once for all of them.
pub(super) fn mark_failed(errand: &Errand, first: bool, failure: &Failure) {
    let (purpose, text) = (purpose(errand), &failure.text);
    if first && failure.fault != Fault::NotFound {
        tracing::warn!(
            target: "nodepool.engine",
            "{purpose} failed: {text}. All else goes on, but should the cloud forget this volume, nobody will know that it \
             is ours; see whether the user may write the metadata of volumes"
        );
    } else {
        tracing::debug!(target: "nodepool.engine", "{purpose} failed: {text}");
    }
}

/// Tells that a listing works again.
pub(super) fn works_again(errand: &Errand, count: u32) {
    let purpose = purpose(errand);
    let times = counted(count, "time", "times");
    tracing::info!(target: "nodepool.engine", "{purpose} works again; it failed {times}");
}

fn purpose(errand: &Errand) -> String {
    match errand {
        Errand::DeleteServer { id, .. } => format!("deleting server {id}"),
        Errand::DeleteSnapshot { id, .. } => format!("deleting image {id}"),
        Errand::DeleteKeypair { name, .. } => format!("deleting keypair {name}"),
        Errand::CreateServer { owner, .. } => {
            let (kind, number) = owner.words();
            format!("creating the server of {kind} {number}")
        }
        Errand::DeleteFloatingIp { id, .. } => format!("deleting floating IP {id}"),
        Errand::CreateFloatingIp { owner, .. } => {
            let (kind, number) = owner.words();
            format!("making the floating IP of {kind} {number}")
        }
        Errand::ReadConsole { owner, .. } => {
            let (kind, number) = owner.words();
            format!("reading the console of {kind} {number}")
        }
        Errand::TakeSnapshot { image, .. } => format!("taking the snapshot of image {image}"),
        Errand::ListServers { .. } => "listing servers".to_owned(),
        Errand::ListImages { .. } => "listing images".to_owned(),
        Errand::ListKeypairs { .. } => "listing keypairs".to_owned(),
        Errand::ListFloatingIps { .. } => "listing floating IPs".to_owned(),
        Errand::ListPorts { .. } => "listing ports".to_owned(),
        Errand::ListVolumes { .. } => "listing volumes".to_owned(),
        Errand::DeletePort { id, .. } => format!("deleting port {id}"),
        Errand::DeleteVolume { id, .. } => format!("deleting volume {id}"),
        Errand::MarkVolume { id, .. } => format!("marking volume {id}"),
        Errand::ReadQuota { .. } => "reading the limits".to_owned(),
        Errand::AskDemand => "asking for the demand".to_owned(),
        Errand::PrepareNode(id) => format!("preparing node {id}"),
        Errand::SetUpBuilder(id) => format!("setting up the builder of image {id}"),
        Errand::VerifySnapshot(id) => format!("verifying image {id}"),
        Errand::CheckNode(id) => format!("checking node {id}"),
        Errand::ListAgents { target } => format!("listing the agents of {target}"),
        Errand::Enroll(id) => format!("enrolling node {id}"),
        Errand::Withdraw { target, name, .. } => format!("withdrawing agent {name} from {target}"),
        Errand::StartTest { node, job } => format!("starting test job {job} on node {node}"),
        Errand::Relabel(id) => format!("labelling the agent of node {id}"),
        Errand::Describe { node, .. } => format!("describing the agent of node {node}"),
        Errand::Close(id) => format!("closing the agent of node {id} to other jobs"),
        Errand::ReadLaunchLog(id) => format!("reading why the agent of node {id} is offline"),
    }
}
