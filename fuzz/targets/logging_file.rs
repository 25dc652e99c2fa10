//! The file that `nodepoold -l` names: `logging` of nodepool.yaml, or Python's logging.conf.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::config::{LogDestination, log_file};
use nodepool_fuzz::scratch;

fuzz_target!(|said: &[u8]| {
    let file = scratch().path().join("logging.conf");
    std::fs::write(&file, said).expect("the file can be written");
    if let Err(complaint) = log_file(&file, LogDestination::Stderr) {
        assert!(!complaint.trim().is_empty(), "it is refused without a reason");
    }
});
