//! What Keystone answers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::cloud::openstack::fuzz::keystone;

fuzz_target!(|said: &[u8]| keystone(said));
