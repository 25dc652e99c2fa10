//! What a Gearman server and a launcher behind it say about a job.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::target::gearman::fuzz::packets;

fuzz_target!(|said: &[u8]| packets(said));
