//! This machine: the scripts and the private keys. That they are there was seen when the configuration was read.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use super::{End, Finding};
use crate::config::{Config, ImageSource};
use crate::remote::Remote;

/// Looks at the files that are used on machines.
pub(super) async fn files(config: &Config, remote: &Arc<dyn Remote>) -> Vec<Finding> {
    let leg = "this machine";
    let mut found = Vec::new();
    let images = config.providers.iter().flat_map(|provider| &provider.images);
    let mut scripts = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for image in images {
        let ImageSource::Snapshot { setup, .. } = &image.source;
        scripts.insert(setup.as_str());
        keys.insert(image.private_key.as_path());
    }
    scripts.extend(config.labels.iter().filter_map(|label| label.ready_script.as_deref()));
    for name in scripts {
        let Some(path) = config.script_dir.as_ref().map(|folder| folder.join(name)) else { continue };
        let check = format!("script {name}");
        found.push(match tokio::fs::metadata(&path).await {
            Ok(file) if file.permissions().mode() & 0o111 == 0 => {
                let next = format!("chmod +x {}", path.display());
                Finding::wrong(leg, check, "it cannot be executed", End::Here, next)
            }
            Ok(_) => Finding::good(leg, check, path.display().to_string()),
            Err(error) => {
                Finding::wrong(leg, check, error.to_string(), End::Here, "let nodepool's user read it")
            }
        });
    }
    for path in keys {
        let check = format!("key {}", path.display());
        found.push(match remote.public_key(path).await {
            Ok(public) => Finding::good(leg, check, public.split(' ').next().unwrap_or_default()),
            Err(error) => {
                let next =
                    "give the file of a private key without a passphrase that nodepool's user can read";
                Finding::wrong(leg, check, error.to_string(), End::Here, next)
            }
        });
    }
    found
}
