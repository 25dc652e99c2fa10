//! What Glance answers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::cloud::openstack::fuzz::glance;

fuzz_target!(|said: &[u8]| glance(said));
