//! What a Jenkins answers: JSON, and the XML of agents.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::target::jenkins::fuzz::jenkins;

fuzz_target!(|said: &[u8]| jenkins(said));
