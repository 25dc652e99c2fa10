//! What a launch that failed counts against, as far as can be told.
//!
//! Each launch counts against its label at its provider. Whether it counts against all launches there, against the snapshot
//! that it boots or against its zone as well depends on whose fault it was: a keypair that is not there says nothing about
//! the image, and an image that is not there says nothing about the provider. Where nobody can tell, it counts against all.

use crate::model::SetbackKind;

/// Whose fault it was that a node did not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// That of what is asked for its nodes alone: a flavor, a keypair, a private key of ours.
    Label,
    /// That of the image: it is not there, or what is in it does not work.
    Image,
    /// That of what all nodes at the provider share: networks, security groups, what our user may do.
    Provider,
    /// That of the availability zone.
    Zone,
    /// Nobody can tell.
    Unknown,
}

/// Words of a refusal, and what they are about; the first that fit hold. They are those of Nova
/// (`nova/api/openstack/compute/servers.py`, `nova/exception.py`), of Neutron and of our driver, in lower case.
const WORDS: [(&[&str], Blame); 4] = [
    (&["requested image", "image named", "image is not active"], Blame::Image),
    (&["availability zone"], Blame::Zone),
    (
        &[
            "flavor",
            "key_name",
            "keypair",
            "key pair",
            "user data",
            "userdata",
            "user_data",
            "block device",
            "config drive",
        ],
        Blame::Label,
    ),
    (&["network", "subnet", "security group", "security_group", "policy", "pool"], Blame::Provider),
];

impl Blame {
    /// What a refusal to make a server is about.
    pub(super) fn of_refusal(text: &str) -> Self {
        let text = text.to_lowercase();
        let told = WORDS.into_iter().find(|(words, _)| words.iter().any(|words| text.contains(words)));
        told.map_or(Self::Unknown, |(_, blame)| blame)
    }

    /// Whether a launch that failed counts against this.
    pub(super) const fn is_on(self, kind: SetbackKind) -> bool {
        match kind {
            SetbackKind::Launch => true,
            SetbackKind::Provider => matches!(self, Self::Provider | Self::Unknown),
            SetbackKind::Snapshot => matches!(self, Self::Image | Self::Unknown),
            SetbackKind::Zone => matches!(self, Self::Zone | Self::Unknown),
            SetbackKind::Image | SetbackKind::Capacity | SetbackKind::Flavor | SetbackKind::Target => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_it_is_about() {
        for (text, blame) in [
            ("POST servers: 400 Can not find requested image (req-1)", Blame::Image),
            ("POST servers: 400 Flavor's disk is too small for requested image.", Blame::Image),
            ("POST servers: 400 Invalid flavorRef provided.", Blame::Label),
            ("no flavor has 99000 MiB and a name with 'x'", Blame::Label),
            ("POST servers: 400 Invalid key_name provided.", Blame::Label),
            ("the cloud has no network named x", Blame::Provider),
            ("POST servers: 400 Network 1234 could not be found.", Blame::Provider),
            ("POST servers: 400 Security group x not found for project y.", Blame::Provider),
            ("POST servers: 403 Policy doesn't allow os_compute_api:servers:create", Blame::Provider),
            ("POST servers: 400 The requested availability zone is not available", Blame::Zone),
            ("POST servers: 400 something went wrong", Blame::Unknown),
            ("", Blame::Unknown),
        ] {
            assert_eq!(Blame::of_refusal(text), blame, "{text}");
        }
    }
}
