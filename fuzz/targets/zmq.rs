//! What a publisher of job events says: the greeting, the frames, and the messages in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nodepool::events::read_published;
use nodepool::target::zmq::fuzz::connection;
use tokio::runtime::Builder;

/// The longest message, in bytes.
const LONGEST: u64 = 4096;

/// The blanks between the parts of a message, at most.
const PARTS: u64 = 16;

fuzz_target!(|said: &[u8]| {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    for message in runtime.block_on(connection(said, LONGEST)) {
        assert!(message.len() as u64 <= LONGEST + PARTS, "a message is longer than it may be");
        let _ = read_published(&message);
    }
    let _ = read_published(said);
});
