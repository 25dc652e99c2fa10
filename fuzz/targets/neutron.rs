//! What Neutron answers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::cloud::openstack::fuzz::neutron;

fuzz_target!(|said: &[u8]| neutron(said));
