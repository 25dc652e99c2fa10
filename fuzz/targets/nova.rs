//! What Nova answers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::cloud::openstack::fuzz::nova;

fuzz_target!(|said: &[u8]| nova(said));
