//! The answer of a Gearman server to `status`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::target::gearman::fuzz::status;

fuzz_target!(|said: &[u8]| status(said));
