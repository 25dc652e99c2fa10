//! What Nova and Neutron allow a project, and what of that is used.
//!
//! Nova: `GET /limits` (API reference, "Limits"). Neutron: `GET /v2.0/quotas/PROJECT/details.json` (extension
//! `quota_details`). Nova's own numbers of floating IPs are of no use: on a cloud with Neutron they are -1.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use tracing::debug;

use super::catalog::Service::{Compute, Network};
use super::compute::unreadable;
use super::connection::{Call, Connection};
use super::failure::Failure;
use super::lenient::lenient;
use crate::cloud::CloudError;
use crate::model::{Resource, Usage};

/// What was told, by resource.
type Told = BTreeMap<Resource, Usage>;

impl Connection {
    /// What the project may have and has.
    pub(super) async fn usage(&self) -> Result<Told, CloudError> {
        let answer = self.call(&Call::new(Compute, Method::GET, &["limits"])).await;
        let answer = answer.map_err(Failure::of_no_thing)?;
        let read: Result<Limits, _> = serde_json::from_slice(&answer.body);
        let mut told = read.map_err(|_| unreadable("the limits", &answer))?.limits.absolute.told();
        told.extend(self.network_usage().await?);
        Ok(told)
    }

    /// What Neutron tells; nothing where there is no Neutron, or one that does not tell.
    async fn network_usage(&self) -> Result<Told, CloudError> {
        let Some(project) = self.project().await? else { return Ok(Told::new()) };
        let path = ["quotas", project.as_str(), "details.json"];
        let answer =
            match self.call(&Call::new(Network, Method::GET, &path)).await.map_err(Failure::of_no_thing) {
                Ok(answer) => answer,
                Err(CloudError::Rejected(text)) => {
                    debug!("Neutron does not tell its quota: {text}");
                    return Ok(Told::new());
                }
                Err(error) => return Err(error),
            };
        let read: Result<Details, _> = serde_json::from_slice(&answer.body);
        let details = read.map_err(|_| unreadable("the quota of networks", &answer))?.quota;
        let told = [(Resource::Ports, details.port), (Resource::FloatingIps, details.floatingip)];
        Ok(told.into_iter().filter_map(|(resource, detail)| Some((resource, detail?.usage()?))).collect())
    }
}

/// The answer to `GET /limits`.
#[derive(Deserialize)]
struct Limits {
    limits: Absolute,
}

#[derive(Deserialize)]
struct Absolute {
    absolute: Numbers,
}

/// Each pair is told only if both of its numbers are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    #[serde(default, deserialize_with = "lenient")]
    max_total_instances: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    total_instances_used: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    max_total_cores: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    total_cores_used: Option<i64>,
    #[serde(rename = "maxTotalRAMSize", default, deserialize_with = "lenient")]
    max_total_ram: Option<i64>,
    #[serde(rename = "totalRAMUsed", default, deserialize_with = "lenient")]
    total_ram_used: Option<i64>,
}

impl Numbers {
    fn told(&self) -> Told {
        let pairs = [
            (Resource::Instances, self.max_total_instances, self.total_instances_used),
            (Resource::Cores, self.max_total_cores, self.total_cores_used),
            (Resource::Ram, self.max_total_ram, self.total_ram_used),
        ];
        pairs.into_iter().filter_map(|(resource, most, used)| Some((resource, usage(most?, used?)))).collect()
    }
}

/// The answer about Neutron's quotas. An odd entry says nothing, rather than that nothing is allowed.
#[derive(Deserialize)]
struct Details {
    quota: Kinds,
}

#[derive(Deserialize)]
struct Kinds {
    #[serde(default, deserialize_with = "lenient")]
    port: Option<Detail>,
    #[serde(default, deserialize_with = "lenient")]
    floatingip: Option<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default, deserialize_with = "lenient")]
    limit: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    used: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    reserved: Option<i64>,
}

impl Detail {
    fn usage(&self) -> Option<Usage> {
        Some(usage(self.limit?, self.used?.saturating_add(self.reserved.unwrap_or(0))))
    }
}

/// A negative limit is none.
fn usage(limit: i64, used: i64) -> Usage {
    Usage { limit: u64::try_from(limit).ok(), used: u64::try_from(used).unwrap_or(0) }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let limits = serde_json::from_slice::<Limits>(body).map(|limits| limits.limits.absolute.told());
    let details = serde_json::from_slice::<Details>(body).map(|details| details.quota);
    let usage = details.map(|kinds| [kinds.port, kinds.floatingip].map(|detail| detail?.usage()));
    std::hint::black_box((limits.ok(), usage.ok()));
}
