//! Our mark on servers and snapshots: how a [`Tag`] is written on the cloud and read back.
//!
//! Metadata exists on every cloud and says all, so it is what counts. Tags are written beside it where Nova has them:
//! people see them, and a server can be found by them; they are read where the metadata is gone.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::lenient::lenient;
use crate::cloud::{CloudError, ServerRequest};
use crate::model::{Owner, Tag};

/// The key of the installation.
const INSTALLATION: &str = "nodepool_installation";
/// The key of what it was made for: `node`, `builder` or `verifier`.
const OWNER: &str = "nodepool_owner";
/// The key of the number of that node or image.
const OWNER_ID: &str = "nodepool_owner_id";
/// The key of the attempt.
const ATTEMPT: &str = "nodepool_attempt";
/// The key of the server that a snapshot was taken of, for snapshots only.
pub(super) const SERVER: &str = "nodepool_server_id";

/// The longest value of metadata (Nova and Glance) and of a description (Neutron), in characters.
const VALUE_LIMIT: usize = 255;
/// The longest tag, in characters (Nova).
const TAG_LIMIT: usize = 60;

/// Metadata, or properties of an image, as far as we read them.
#[derive(Default, Deserialize)]
pub(super) struct Marks {
    #[serde(rename = "nodepool_installation", default, deserialize_with = "lenient")]
    installation: Option<String>,
    #[serde(rename = "nodepool_owner", default, deserialize_with = "lenient")]
    owner: Option<String>,
    #[serde(rename = "nodepool_owner_id", default, deserialize_with = "lenient")]
    owner_id: Option<String>,
    #[serde(rename = "nodepool_attempt", default, deserialize_with = "lenient")]
    attempt: Option<String>,
}

impl Marks {
    /// The tag that is spelled here, if one is.
    pub(super) fn tag(self) -> Option<Tag> {
        let owner = Owner::from_words(&self.owner?, self.owner_id?.parse().ok()?)?;
        Some(Tag { installation: self.installation?, owner, attempt: self.attempt? })
    }
}

/// The tag that Nova's tags spell, if they spell one.
pub(super) fn from_tags(tags: &[String]) -> Option<Tag> {
    let value = |prefix: &str| tags.iter().find_map(|tag| tag.strip_prefix(prefix));
    let (kind, number) = value("nodepool-owner:")?.split_once(':')?;
    Some(Tag {
        installation: value("nodepool:")?.to_owned(),
        owner: Owner::from_words(kind, number.parse().ok()?)?,
        attempt: value("nodepool-attempt:")?.to_owned(),
    })
}

/// Nova's tags for a tag of ours. One that Nova would refuse is left out: the metadata says the same.
pub(super) fn tags(tag: &Tag) -> Vec<String> {
    let (kind, number) = tag.owner.words();
    let tags = [
        format!("nodepool:{}", tag.installation),
        format!("nodepool-owner:{kind}:{number}"),
        format!("nodepool-attempt:{}", tag.attempt),
    ];
    let fits = |tag: &String| tag.chars().count() <= TAG_LIMIT && !tag.contains(['/', ',']);
    tags.into_iter().filter(fits).collect()
}

/// The metadata that spells a tag.
pub(super) fn metadata(tag: &Tag) -> Map<String, Value> {
    let (kind, number) = tag.owner.words();
    let pairs = [
        (INSTALLATION, tag.installation.clone()),
        (OWNER, kind.to_owned()),
        (OWNER_ID, number.to_string()),
        (ATTEMPT, tag.attempt.clone()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))).collect()
}

/// The text that spells a tag where a thing has no metadata but a description: the same pairs, as JSON.
///
/// # Errors
/// `Rejected` when the cloud would cut it off: a thing without our mark would be lost.
pub(super) fn description(tag: &Tag) -> Result<String, CloudError> {
    let text = Value::Object(metadata(tag)).to_string();
    if text.chars().count() > VALUE_LIMIT {
        return Err(CloudError::Rejected("our mark does not fit into a description".to_owned()));
    }
    Ok(text)
}

/// The tag that a description spells, if it spells one.
pub(super) fn from_description(text: &str) -> Option<Tag> {
    serde_json::from_str::<Marks>(text).ok().and_then(Marks::tag)
}

/// The metadata of a server: our tag, and what nodepool v0 wrote, which other tools of the operator may read.
pub(super) fn server_metadata(request: &ServerRequest) -> Map<String, Value> {
    let mut metadata = metadata(&request.tag);
    let ServerRequest { provider, image_name: image, .. } = request;
    let (nodepool, groups) = match request.tag.owner {
        Owner::Node(id) => (
            json!({"provider_name": provider, "node_id": id.0, "image_name": image}),
            Some(json!([provider, image])),
        ),
        Owner::Builder(id) | Owner::Verifier(id) => {
            (json!({"provider_name": provider, "snapshot_image_id": id.0}), None)
        }
    };
    let of_v0 = [("nodepool", Some(nodepool)), ("groups", groups)];
    for (key, value) in of_v0 {
        // Nova would refuse the whole server for a value that is too long.
        let text = value.map(|value| value.to_string()).filter(|text| text.chars().count() <= VALUE_LIMIT);
        if let Some(text) = text {
            metadata.insert(key.to_owned(), Value::String(text));
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageId, NodeId};

    fn tag(owner: Owner) -> Tag {
        Tag { installation: "inst".into(), owner, attempt: "a-1".into() }
    }

    #[test]
    fn reads_back_what_it_writes() {
        for owner in [Owner::Node(NodeId(7)), Owner::Builder(ImageId(8)), Owner::Verifier(ImageId(9))] {
            let marks: Marks = serde_json::from_value(Value::Object(metadata(&tag(owner)))).unwrap();
            assert_eq!(marks.tag(), Some(tag(owner)));
            assert_eq!(from_tags(&tags(&tag(owner))), Some(tag(owner)));
            assert_eq!(from_description(&description(&tag(owner)).unwrap()), Some(tag(owner)));
        }
    }

    #[test]
    fn what_is_incomplete_or_odd_is_no_tag() {
        for text in [
            "{}",
            r#"{"nodepool_installation": "i", "nodepool_owner": "node", "nodepool_owner_id": "7"}"#,
            r#"{"nodepool_installation": "i", "nodepool_owner": "cat", "nodepool_owner_id": "7", "nodepool_attempt": "a"}"#,
            r#"{"nodepool_installation": "i", "nodepool_owner": "node", "nodepool_owner_id": "x", "nodepool_attempt": "a"}"#,
            r#"{"nodepool_installation": 5, "nodepool_owner": "node", "nodepool_owner_id": "7", "nodepool_attempt": "a"}"#,
        ] {
            let marks: Marks = serde_json::from_str(text).unwrap();
            assert_eq!(marks.tag(), None, "{text}");
        }
    }

    #[test]
    fn a_description_is_ours_or_no_tag_and_never_cut_off() {
        for text in ["", "of the web server", "[]", r#"{"nodepool_installation": "i"}"#] {
            assert_eq!(from_description(text), None, "{text}");
        }
        let real = Tag {
            installation: "0123456789abcdef".into(),
            owner: Owner::Verifier(ImageId(i64::MAX)),
            attempt: "01234567-89ab-cdef-0123-456789abcdef".into(),
        };
        assert!(description(&real).is_ok_and(|text| text.chars().count() < VALUE_LIMIT));
        let long = Tag { attempt: "x".repeat(VALUE_LIMIT), ..real };
        assert!(matches!(description(&long), Err(CloudError::Rejected(_))));
    }

    #[test]
    fn leaves_out_tags_that_nova_would_refuse() {
        let long = Tag { installation: "i".repeat(60), owner: Owner::Node(NodeId(1)), attempt: "a,b".into() };
        assert_eq!(tags(&long), ["nodepool-owner:node:1"]);
    }
}
