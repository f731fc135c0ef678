//! What a client sends to the broker, before and after it is let in.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| limits::in_time(|| {
    broker::fuzzing::packets(bytes);
}));
