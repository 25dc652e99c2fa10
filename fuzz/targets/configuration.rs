//! The files of the configuration: nodepool.yaml, secure.conf and clouds.yaml, with a line `---8<---` between them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::config::{SecureConf, Sources, load, render};
use nodepool_fuzz::scratch;

/// What stands between two files.
const BETWEEN: &str = "---8<---\n";

fuzz_target!(|said: &[u8]| {
    let folder = scratch().path();
    let text = String::from_utf8_lossy(said);
    let mut parts = text.splitn(3, BETWEEN);
    for name in ["nodepool.yaml", "secure.conf", "clouds.yaml"] {
        std::fs::write(folder.join(name), parts.next().unwrap_or_default()).expect("the file can be written");
    }
    let sources = Sources {
        nodepool_yaml: folder.join("nodepool.yaml"),
        secure_conf: SecureConf::Named(folder.join("secure.conf")),
        environment: std::iter::once(("OS_CLIENT_CONFIG_FILE".to_owned(), "clouds.yaml".to_owned()))
            .collect(),
        is_root: false,
        home: Some(folder.to_owned()),
        working_dir: folder.to_owned(),
    };
    match load(&sources) {
        Ok(loaded) => drop(render(&loaded.warnings)),
        Err(found) => assert!(!render(&found).trim().is_empty(), "it is refused without a reason"),
    }
});
