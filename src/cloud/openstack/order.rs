//! The body of the request for a server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::mark;
use crate::cloud::{CloudError, ServerRequest, USER_DATA_LIMIT};

/// A server to be created, its references resolved.
pub(super) struct Order<'a> {
    /// What the engine asked for.
    pub(super) request: &'a ServerRequest,
    /// The id of the image.
    pub(super) image: &'a str,
    /// The id of the flavor.
    pub(super) flavor: &'a str,
    /// The ids of the networks; empty leaves the choice to Nova.
    pub(super) networks: &'a [String],
}

impl Order<'_> {
    /// The server without its networks and tags: whether these are written depends on what Nova offers.
    ///
    /// # Errors
    /// `Rejected` when the user data is longer than Nova takes.
    pub(super) fn body(&self) -> Result<Map<String, Value>, CloudError> {
        let request = self.request;
        let groups = request.security_groups.iter().map(|name| json!({"name": name}));
        let groups: Option<Value> = (!request.security_groups.is_empty()).then(|| groups.collect());
        let user_data = request.user_data.as_deref().map(encoded).transpose()?;
        // A server that boots from a volume names its image there. Some Novas refuse to be told an image twice.
        let (image, volume) = match request.boot_volume_gib {
            Some(size) => (None, Some(self.volume(size))),
            None => (Some(self.image.into()), None),
        };
        let fields = [
            ("name", Some(request.name.clone().into())),
            ("imageRef", image),
            ("block_device_mapping_v2", volume),
            ("flavorRef", Some(self.flavor.into())),
            ("metadata", Some(mark::server_metadata(request).into())),
            ("availability_zone", request.az.clone().map(Value::String)),
            ("key_name", request.keypair.clone().map(Value::String)),
            ("config_drive", request.config_drive.map(Value::Bool)),
            ("security_groups", groups),
            ("user_data", user_data.map(Value::String)),
        ];
        Ok(fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
    }

    /// The one disk: a volume that Nova makes of the image, and deletes with the server.
    fn volume(&self, gib: u32) -> Value {
        json!([{"boot_index": 0, "uuid": self.image, "source_type": "image", "destination_type": "volume",
            "volume_size": gib, "delete_on_termination": true}])
    }
}

fn encoded(user_data: &str) -> Result<String, CloudError> {
    let length = user_data.len();
    if length > USER_DATA_LIMIT {
        let text = format!("the user data has {length} bytes; a cloud takes at most {USER_DATA_LIMIT}");
        return Err(CloudError::Rejected(text));
    }
    Ok(STANDARD.encode(user_data))
}
