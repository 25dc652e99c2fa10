//! Every request that the sandbox answers, in one table: its name, its method and its path.
//!
//! Faults are aimed at these names, and requests are counted under them, so the table is also what an
//! operator reads to learn which names exist. The first row that fits a request wins.

use serde::{Deserialize, Serialize};

/// Who speaks: it decides how errors look and whether a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Keystone, below `/identity`.
    Identity,
    /// Nova, below `/compute`.
    Compute,
    /// Glance, below `/image`.
    Image,
    /// Neutron, below `/network`.
    Network,
    /// Cinder, below `/volume`.
    Volume,
    /// The sandbox's own controls, below `/sandbox`.
    Control,
}

macro_rules! operations {
    ($($variant:ident $name:literal $service:ident $access:ident $method:literal $path:literal;)*) => {
        /// One kind of request. Its name in files, flags and counts is the kebab-case form, such as
        /// `server-create`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Operation {
            $(#[doc = concat!("`", $method, " ", $path, "`")] #[serde(rename = $name)] $variant,)*
        }

        impl Operation {
            /// All operations, in the order in which paths are matched.
            pub const ALL: &[Operation] = &[$(Operation::$variant),*];

            /// The name used in faults and in request counts.
            pub fn name(self) -> &'static str {
                match self { $(Operation::$variant => $name,)* }
            }

            /// The service that answers it.
            pub fn service(self) -> Service {
                match self { $(Operation::$variant => Service::$service,)* }
            }

            /// Whether a valid token is needed.
            pub fn needs_token(self) -> bool {
                match self { $(Operation::$variant => matches!(Access::$access, Access::Token),)* }
            }

            fn method_and_path(self) -> (&'static str, &'static str) {
                match self { $(Operation::$variant => ($method, $path),)* }
            }
        }
    };
}

enum Access {
    Open,
    Token,
}

operations! {
    SandboxIndex "sandbox-index" Control Open "GET" "/sandbox";
    FaultsShow "faults-show" Control Open "GET" "/sandbox/faults";
    FaultsReplace "faults-replace" Control Open "PUT" "/sandbox/faults";
    FaultsChange "faults-change" Control Open "PATCH" "/sandbox/faults";
    RequestsShow "requests-show" Control Open "GET" "/sandbox/requests";
    RequestsReset "requests-reset" Control Open "DELETE" "/sandbox/requests";
    JenkinsRestart "jenkins-restart" Control Open "POST" "/sandbox/jenkins/restart";

    IdentityVersions "identity-versions" Identity Open "GET" "/identity";
    IdentityVersion "identity-version" Identity Open "GET" "/identity/v3";
    TokenCreate "token-create" Identity Open "POST" "/identity/v3/auth/tokens";
    TokenShow "token-show" Identity Token "GET" "/identity/v3/auth/tokens";
    TokenRevoke "token-revoke" Identity Token "DELETE" "/identity/v3/auth/tokens";
    CatalogShow "catalog-show" Identity Token "GET" "/identity/v3/auth/catalog";
    ScopedProjects "auth-project-list" Identity Token "GET" "/identity/v3/auth/projects";
    ProjectList "project-list" Identity Token "GET" "/identity/v3/projects";
    ProjectShow "project-show" Identity Token "GET" "/identity/v3/projects/{id}";
    UserShow "user-show" Identity Token "GET" "/identity/v3/users/{id}";

    ComputeVersions "compute-versions" Compute Open "GET" "/compute";
    ComputeVersion "compute-version" Compute Open "GET" "/compute/v2.1";
    ServerCreate "server-create" Compute Token "POST" "/compute/v2.1/servers";
    ServerDetail "server-list" Compute Token "GET" "/compute/v2.1/servers/detail";
    ServerNames "server-list-brief" Compute Token "GET" "/compute/v2.1/servers";
    ServerShow "server-show" Compute Token "GET" "/compute/v2.1/servers/{id}";
    ServerUpdate "server-update" Compute Token "PUT" "/compute/v2.1/servers/{id}";
    ServerDelete "server-delete" Compute Token "DELETE" "/compute/v2.1/servers/{id}";
    ServerSnapshot "server-snapshot" Compute Token "POST" "/compute/v2.1/servers/{id}/action#createImage";
    ServerConsole "server-console" Compute Token "POST" "/compute/v2.1/servers/{id}/action#os-getConsoleOutput";
    ServerReboot "server-reboot" Compute Token "POST" "/compute/v2.1/servers/{id}/action#reboot";
    ServerAction "server-action" Compute Token "POST" "/compute/v2.1/servers/{id}/action";
    ServerMetadataShow "server-metadata-show" Compute Token "GET" "/compute/v2.1/servers/{id}/metadata";
    ServerMetadataMerge "server-metadata-merge" Compute Token "POST" "/compute/v2.1/servers/{id}/metadata";
    ServerMetadataReplace "server-metadata-replace" Compute Token "PUT" "/compute/v2.1/servers/{id}/metadata";
    ServerMetadataRemove "server-metadata-remove" Compute Token "DELETE" "/compute/v2.1/servers/{id}/metadata/{id}";
    ServerTagsShow "server-tags-show" Compute Token "GET" "/compute/v2.1/servers/{id}/tags";
    ServerTagsReplace "server-tags-replace" Compute Token "PUT" "/compute/v2.1/servers/{id}/tags";
    ServerAddresses "server-addresses" Compute Token "GET" "/compute/v2.1/servers/{id}/ips";
    ServerSecurityGroups "server-security-groups" Compute Token "GET" "/compute/v2.1/servers/{id}/os-security-groups";
    ServerInterfaces "server-interfaces" Compute Token "GET" "/compute/v2.1/servers/{id}/os-interface";
    ServerVolumes "server-volumes" Compute Token "GET" "/compute/v2.1/servers/{id}/os-volume_attachments";
    FlavorDetail "flavor-list" Compute Token "GET" "/compute/v2.1/flavors/detail";
    FlavorNames "flavor-list-brief" Compute Token "GET" "/compute/v2.1/flavors";
    FlavorShow "flavor-show" Compute Token "GET" "/compute/v2.1/flavors/{id}";
    FlavorExtraSpecs "flavor-extra-specs" Compute Token "GET" "/compute/v2.1/flavors/{id}/os-extra_specs";
    KeypairList "keypair-list" Compute Token "GET" "/compute/v2.1/os-keypairs";
    KeypairCreate "keypair-create" Compute Token "POST" "/compute/v2.1/os-keypairs";
    KeypairShow "keypair-show" Compute Token "GET" "/compute/v2.1/os-keypairs/{id}";
    KeypairDelete "keypair-delete" Compute Token "DELETE" "/compute/v2.1/os-keypairs/{id}";
    LimitsShow "limits-show" Compute Token "GET" "/compute/v2.1/limits";
    ZoneDetail "availability-zone-detail" Compute Token "GET" "/compute/v2.1/os-availability-zone/detail";
    ZoneList "availability-zone-list" Compute Token "GET" "/compute/v2.1/os-availability-zone";
    ComputeExtensions "compute-extension-list" Compute Token "GET" "/compute/v2.1/extensions";
    ComputeQuota "compute-quota-show" Compute Token "GET" "/compute/v2.1/os-quota-sets/{id}";

    ImageVersions "image-versions" Image Open "GET" "/image";
    ImageVersionList "image-version-list" Image Open "GET" "/image/versions";
    ImageVersion "image-version" Image Open "GET" "/image/v2";
    ImageList "image-list" Image Token "GET" "/image/v2/images";
    ImageCreate "image-create" Image Token "POST" "/image/v2/images";
    ImageShow "image-show" Image Token "GET" "/image/v2/images/{id}";
    ImageUpdate "image-update" Image Token "PATCH" "/image/v2/images/{id}";
    ImageDelete "image-delete" Image Token "DELETE" "/image/v2/images/{id}";
    ImageUpload "image-upload" Image Token "PUT" "/image/v2/images/{id}/file";
    ImageDownload "image-download" Image Token "GET" "/image/v2/images/{id}/file";
    ImageSchema "image-schema" Image Token "GET" "/image/v2/schemas/{id}";

    NetworkVersions "network-versions" Network Open "GET" "/network";
    NetworkVersion "network-version" Network Open "GET" "/network/v2.0";
    NetworkList "network-list" Network Token "GET" "/network/v2.0/networks";
    NetworkShow "network-show" Network Token "GET" "/network/v2.0/networks/{id}";
    SubnetList "subnet-list" Network Token "GET" "/network/v2.0/subnets";
    SubnetShow "subnet-show" Network Token "GET" "/network/v2.0/subnets/{id}";
    PortList "port-list" Network Token "GET" "/network/v2.0/ports";
    PortShow "port-show" Network Token "GET" "/network/v2.0/ports/{id}";
    PortDelete "port-delete" Network Token "DELETE" "/network/v2.0/ports/{id}";
    PortTagsReplace "port-tags-replace" Network Token "PUT" "/network/v2.0/ports/{id}/tags";
    SecurityGroupList "security-group-list" Network Token "GET" "/network/v2.0/security-groups";
    SecurityGroupCreate "security-group-create" Network Token "POST" "/network/v2.0/security-groups";
    SecurityGroupDelete "security-group-delete" Network Token "DELETE" "/network/v2.0/security-groups/{id}";
    SecurityGroupShow "security-group-show" Network Token "GET" "/network/v2.0/security-groups/{id}";
    SecurityGroupRuleList "security-group-rule-list" Network Token "GET" "/network/v2.0/security-group-rules";
    FloatingIpList "floating-ip-list" Network Token "GET" "/network/v2.0/floatingips";
    FloatingIpCreate "floating-ip-create" Network Token "POST" "/network/v2.0/floatingips";
    FloatingIpShow "floating-ip-show" Network Token "GET" "/network/v2.0/floatingips/{id}";
    FloatingIpUpdate "floating-ip-update" Network Token "PUT" "/network/v2.0/floatingips/{id}";
    FloatingIpDelete "floating-ip-delete" Network Token "DELETE" "/network/v2.0/floatingips/{id}";
    FloatingIpTagsReplace "floating-ip-tags-replace" Network Token "PUT" "/network/v2.0/floatingips/{id}/tags";
    RouterList "router-list" Network Token "GET" "/network/v2.0/routers";
    NetworkQuota "network-quota-show" Network Token "GET" "/network/v2.0/quotas/{id}";
    NetworkQuotaUsage "network-quota-usage" Network Token "GET" "/network/v2.0/quotas/{id}/details.json";
    NetworkExtensions "network-extension-list" Network Token "GET" "/network/v2.0/extensions";
    NetworkExtension "network-extension-show" Network Token "GET" "/network/v2.0/extensions/{id}";
    NetworkZones "network-availability-zone-list" Network Token "GET" "/network/v2.0/availability_zones";

    VolumeVersions "volume-versions" Volume Open "GET" "/volume";
    VolumeVersion "volume-version" Volume Open "GET" "/volume/v3";
    VolumeLimits "volume-limits-show" Volume Token "GET" "/volume/v3/{id}/limits";
    VolumeDetail "volume-list" Volume Token "GET" "/volume/v3/{id}/volumes/detail";
    VolumeNames "volume-list-brief" Volume Token "GET" "/volume/v3/{id}/volumes";
    VolumeShow "volume-show" Volume Token "GET" "/volume/v3/{id}/volumes/{id}";
    VolumeDelete "volume-delete" Volume Token "DELETE" "/volume/v3/{id}/volumes/{id}";
    VolumeMetadataMerge "volume-metadata-merge" Volume Token "POST" "/volume/v3/{id}/volumes/{id}/metadata";
}

/// What a path asks for: the operation and what stood in the places of `{id}`.
#[derive(Debug, PartialEq, Eq)]
pub struct Matched {
    /// The operation.
    pub operation: Operation,
    /// The identifiers of the path, in order.
    pub ids: Vec<String>,
}

impl Operation {
    /// Finds the operation of a method and a decoded path. Actions on a server share one path and are told
    /// apart by the body: they come back as [`Operation::ServerAction`], see [`Operation::of_action`].
    pub fn find(method: &str, segments: &[String]) -> Option<Matched> {
        Operation::ALL.iter().find_map(|operation| {
            let (wanted, path) = operation.method_and_path();
            if wanted != method || path.contains('#') {
                return None;
            }
            let ids = fit(path, segments)?;
            Some(Matched { operation: *operation, ids })
        })
    }

    /// The operation of a server action by the key of its body, such as `createImage`.
    pub fn of_action(name: &str) -> Operation {
        let named = |operation: &Operation| {
            operation.method_and_path().1.split_once('#').is_some_and(|(_, action)| action == name)
        };
        Operation::ALL.iter().copied().find(named).unwrap_or(Operation::ServerAction)
    }
}

fn fit(path: &str, segments: &[String]) -> Option<Vec<String>> {
    let pattern: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if pattern.len() != segments.len() {
        return None;
    }
    let mut ids = Vec::new();
    for (part, segment) in pattern.iter().zip(segments) {
        if *part == "{id}" {
            ids.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &str, path: &str) -> Option<Matched> {
        let segments: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(String::from).collect();
        Operation::find(method, &segments)
    }

    #[test]
    fn names_are_the_serialised_names_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for operation in Operation::ALL {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.name());
            assert!(seen.insert(operation.name()), "{} twice", operation.name());
        }
    }

    #[test]
    fn a_fixed_segment_wins_over_an_id() {
        assert_eq!(find("GET", "/compute/v2.1/servers/detail").unwrap().operation, Operation::ServerDetail);
        let shown = find("GET", "/compute/v2.1/servers/abc").unwrap();
        assert_eq!(shown, Matched { operation: Operation::ServerShow, ids: vec!["abc".into()] });
        assert_eq!(find("PUT", "/compute/v2.1/flavors"), None);
    }

    #[test]
    fn actions_are_told_apart_by_their_body() {
        let found = find("POST", "/compute/v2.1/servers/abc/action").unwrap();
        assert_eq!(found.operation, Operation::ServerAction);
        assert_eq!(Operation::of_action("createImage"), Operation::ServerSnapshot);
        assert_eq!(Operation::of_action("no-such-thing"), Operation::ServerAction);
    }
}
