//! What is posted to `/api/events/jenkins`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::events::read;

fuzz_target!(|said: &[u8]| {
    let _ = read(said, None);
    let _ = read(said, Some("node-1"));
});
